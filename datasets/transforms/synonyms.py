"""Where synonyms come from: our own lexicon, a user's file, WordNet's corpus on this machine, or the neighbours of a
word among a model's input embeddings.

A provider is a function of one lower-case word: its synonyms as words of letters and single spaces, without the word
itself; sorted, so that the same draws give the same texts in every process (neighbours: the nearest first).
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from ..core import backbones, fingerprints
from ..core.errors import DataError
from ..readers.files import read_text
from .word_operations import Synonyms

Provider = Literal["lexicon", "file", "wordnet", "embedding"]
PROVIDERS = (
    "lexicon: our own list, and synonyms_file where it is given; file: synonyms_file alone; wordnet: the corpus in a "
    "local nltk_data folder, else the lexicon; embedding: nearest neighbours in synonyms_backbone's input embeddings"
)
FILE = "lines of words that mean the same, WORD|WORD|...; text before a tab is left out (synset numbers); .gz too"
LEXICON = Path(__file__).with_name("lexicon.txt")
LONGEST_FILE = 256 << 20  # bytes of a file of synonyms, unpacked
WORDNET_FILES = ("data.noun", "data.verb", "data.adj", "data.adv")


def check(provider: Provider, file: str | None) -> None:
    """Raises ValueError where provider and file do not go together."""
    if provider == "file" and file is None:
        raise ValueError("synonyms: file needs synonyms_file")
    if file is not None and provider not in ("file", "lexicon"):
        raise ValueError(f"synonyms_file is read with synonyms: lexicon or file, not with {provider}")


def provider(name: Provider, file: str | None = None, backbone: str = "minilm") -> Synonyms:
    """The function that gives a word's synonyms.

    Raises DataError for a file that is not there or cannot be read, and for a backbone without a folder. Where there is
    no WordNet a warning says so and the lexicon answers.
    """
    if name == "embedding":
        from .neighbours import Neighbours  # torch

        return Neighbours(_folder(backbone))
    if name == "wordnet":
        found = wordnet_folder()
        if found is not None:
            return _looked_up(wordnet(found))
        warnings.warn(
            "there is no WordNet corpus in a local nltk_data folder: synonyms are those of the lexicon", stacklevel=2
        )
    paths = [] if name == "file" else [LEXICON]
    return _looked_up(thesaurus([*paths, *([Path(file).expanduser()] if file else [])]))


def content(name: Provider, file: str | None = None, backbone: str = "minilm") -> str:
    """sha256 of what the provider reads. Raises as :func:`provider` does."""
    if name == "embedding":
        return fingerprints.of([_weights(_folder(backbone))])[0]
    if name == "wordnet":
        found = wordnet_folder()
        if found is not None:
            return "".join(fingerprints.of([found / part for part in WORDNET_FILES]))
    paths = [] if name == "file" else [LEXICON]
    return "".join(fingerprints.of([*paths, *([Path(file).expanduser()] if file else [])]))


def _looked_up(known: Mapping[str, Sequence[str]]) -> Callable[[str], Sequence[str]]:
    return lambda word: known.get(word, ())


def plain(phrase: str) -> str:
    """A word or phrase as EDA's cleaning leaves one: lower-case letters, single spaces."""
    return " ".join(re.sub("[^a-z ]", "", phrase.lower().replace("_", " ").replace("-", " ")).split())


def grouped(groups: Iterable[Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Word -> all other members of the groups that it is in, sorted."""
    found: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        members = {plain(word) for word in group} - {""}
        for word in members:
            if " " not in word:
                found[word] |= members - {word}
    return {word: tuple(sorted(others)) for word, others in found.items() if others}


def thesaurus(paths: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Synonyms of the files' lines, joined. Raises DataError."""
    return grouped(group for path in paths for group in _groups(path))


def _groups(path: Path) -> Iterator[list[str]]:
    try:
        text = read_text(path, LONGEST_FILE)
    except DataError as error:
        raise DataError(f"synonyms cannot be read ({error}): synonyms_file names {FILE}") from error
    found = False
    for line in text.splitlines():
        words = line.rpartition("\t")[2].split("|")
        if len(words) > 1:
            found = True
            yield words
    if not found:
        raise DataError(f"{path}: no line has two words or more with '|' between them")


def wordnet_folder() -> Path | None:
    """The folder ``corpora/wordnet`` with WordNet's files in the places where NLTK keeps data; None: there is none."""
    named = [Path(part) for part in os.environ.get("NLTK_DATA", "").split(os.pathsep) if part]
    places = [
        *named,
        Path.home() / "nltk_data",
        *(Path(sys.prefix) / part for part in ("nltk_data", "share/nltk_data")),
    ]
    places += [Path(part) / "nltk_data" for part in ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")]
    for place in places:
        folder = place / "corpora" / "wordnet"
        if all((folder / part).is_file() for part in WORDNET_FILES):
            return folder
    return None


def wordnet(folder: Path) -> dict[str, tuple[str, ...]]:
    """Word -> the other members of its synsets, of WordNet's database files (format: wndb(5WN)). Raises DataError."""

    def groups() -> Iterator[list[str]]:
        for part in WORDNET_FILES:
            for number, line in enumerate(read_text(folder / part).splitlines(), 1):
                if line.startswith("  "):  # the licence
                    continue
                fields = line.split(" ")
                try:
                    count = int(fields[3], 16)
                    words = [re.sub(r"\((a|p|ip)\)$", "", word) for word in fields[4 : 4 + 2 * count : 2]]
                except (IndexError, ValueError) as error:
                    raise DataError(f"{folder / part} line {number}: no synset of WordNet") from error
                yield words

    return grouped(groups())


def _folder(backbone: str) -> Path:
    try:
        folder = backbones.folder_of(backbone)
    except ModuleNotFoundError as error:
        raise DataError(f"synonyms_backbone: {error}") from error
    if folder is None:
        raise DataError(f"synonyms_backbone: '{backbone}' is no folder of a model here, and not 'minilm'")
    return folder


def _weights(folder: Path) -> Path:
    path = folder / "model.safetensors"
    if not path.is_file():
        raise DataError(f"{path}: missing, and its input embeddings give the synonyms")
    return path
