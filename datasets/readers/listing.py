"""A listing of a folder of recordings or images: classes from folders or names, splits that share no speaker.

Recordings: ``manifest.csv`` (path, transcription, intent, speaker, split), as the data set coconut/manifest reads it;
images: ``index.csv`` (path, label, subject, split), as cdvg/folder does.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..core import fingerprints
from ..core.errors import DataError
from ..core.seeds import generator
from .csv import SPLIT_WORDS, SPLITS, read_rows
from .files import read_text
from .images import SUFFIXES

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
SAYS = re.compile(r"(?:^|[/_-])(?:speaker|subject|spk|subj|sub|person)[-_]?(\w+?)(?=[/_.-]|$)", re.IGNORECASE)
NAMES = {"intent": "label", "class": "label", "speaker": "group", "subject": "group"}  # what a column may be called
EXTRA = "metadata.csv"


@dataclass
class Item:
    """One file: its path below the folder, and what is known of it."""

    path: str
    label: str
    text: str = ""
    group: str = ""
    split: str = ""


@dataclass
class Listing:
    """What was found in a folder, each file with its split."""

    sound: bool
    items: list[Item]
    grouped: bool  # no speaker or subject lies in two splits
    warnings: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The file that it is written to."""
        return "manifest.csv" if self.sound else "index.csv"

    def text(self) -> str:
        """The file's content."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        if self.sound:
            writer.writerow(["path", "transcription", "intent", "speaker", "split"])
            writer.writerows([i.path, i.text, i.label, i.group, i.split] for i in self.items)
        else:
            writer.writerow(["path", "label", "subject", "split"])
            writer.writerows([i.path, i.label, i.group, i.split] for i in self.items)
        return out.getvalue()


def pattern_of(text: str) -> re.Pattern[str]:
    """A pattern of paths without their suffix: ``{label}``, ``{speaker}`` or ``{subject}`` and ``{text}`` are parts
    without ``/``, ``*`` is any. Raises DataError for other names and for a pattern without a label."""
    parts, names = re.split(r"(\{\w+\}|\*)", text), []
    for k, part in enumerate(parts):
        if part == "*":
            parts[k] = ".*"
        elif re.fullmatch(r"\{\w+\}", part):
            name = NAMES.get(part[1:-1], part[1:-1])
            if name not in ("label", "group", "text") or name in names:
                raise DataError(f"--pattern: {part} is no part, or there twice: {{label}}, {{speaker}}, {{text}}, *")
            names.append(name)
            parts[k] = f"(?P<{name}>[^/]+?)"
        else:
            parts[k] = re.escape(part)
    if "label" not in names:
        raise DataError("--pattern: no {label} in it, for example --pattern '{label}_{speaker}_*'")
    return re.compile("".join(parts))


def listing(folder: Path, pattern: str | None, valid: float, test: float, seed: int) -> Listing:
    """The files below ``folder`` with classes and splits. Raises DataError with what is missing.

    Splits that folders (``train/``, ``test/``) or the table ``metadata.csv`` (columns path and any of label, intent,
    speaker, subject, text, transcription, split) name are kept. Else whole speakers or subjects are drawn for test and
    validation where three or more are known, and else files of each class; by ``seed``, in these shares.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in (*SOUNDS, *SUFFIXES))
    sounds = [p for p in files if p.suffix.lower() in SOUNDS]
    if not files:
        raise DataError(f"{folder}: no recording ({', '.join(SOUNDS)}) and no image ({', '.join(SUFFIXES)}) in it")
    known = _metadata(folder)
    items = [_item(folder, file, pattern_of(pattern) if pattern else None, known) for file in sounds or files]
    named = [item for item in items if item.split]
    grouped = False
    if len(named) < len(items):
        if named:
            raise DataError(f"{folder}: {items[0].path} and others lie in no split, and {named[0].path} in one")
        grouped = _assign(items, valid, test, seed)
    elif {item.split for item in items} >= {"train"} and not any(item.split == "valid" for item in items):
        _assign([item for item in items if item.split == "train"], valid, 0.0, seed)
    return Listing(bool(sounds), items, grouped, _repeated(folder, items))


def _metadata(folder: Path) -> Mapping[str, Mapping[str, str]]:
    if not (folder / EXTRA).is_file():
        return {}
    known = {}
    for _, row in read_rows(folder / EXTRA, ["path"]):
        renamed = {**NAMES, "transcription": "text"}
        known[row["path"]] = {renamed.get(name, name): value for name, value in row.items()}
    return known


def _item(folder: Path, file: Path, pattern: re.Pattern[str] | None, known: Mapping[str, Mapping[str, str]]) -> Item:
    path = file.relative_to(folder).as_posix()
    row, stem, parts = known.get(path, {}), path.rpartition(".")[0], Path(path).parts[:-1]
    split = SPLIT_WORDS.get(parts[0].lower(), "") if parts else ""
    inner = stem.partition("/")[2] if split else stem
    parts = parts[1:] if split else parts
    match = pattern.fullmatch(inner) if pattern else None
    if pattern and not match:
        raise DataError(f"{path}: not of the form of --pattern")
    given = match.groupdict() if match else {}
    folders = [part for part in parts if not SAYS.fullmatch(part)]
    label = row.get("label") or given.get("label") or (folders[-1] if folders else "")
    if not label:
        hint = "--pattern '{label}_{speaker}_*' says which part of a name is the class"
        raise DataError(f"{path}: neither a folder nor a column label of {EXTRA} says its class; {hint}")
    said = SAYS.search(inner)
    beside = file.with_suffix(".txt")
    text = row.get("text") or given.get("text", "").replace("_", " ")
    if not text and beside.is_file():
        text = " ".join(read_text(beside).split())
    group = row.get("group") or given.get("group") or (said[1] if said else "")
    split = SPLIT_WORDS.get(row.get("split", "").lower(), split)
    return Item(path, label, text or label.replace("_", " "), group, split)


def _assign(items: Sequence[Item], valid: float, test: float, seed: int) -> bool:
    """Splits drawn by seed; True where whole groups were drawn."""
    g = generator(seed, "listing/split")
    groups = sorted({item.group for item in items})
    whole = all(item.group for item in items) and len(groups) >= 3
    cut: dict[str, list[Item]] = defaultdict(list)
    if whole:
        chosen = _cut(groups, valid, test, g)
        for item in items:
            item.split = chosen[item.group]
        return True
    for item in items:
        cut[item.label].append(item)
    for label in sorted(cut):
        chosen = _cut([item.path for item in cut[label]], valid, test, g)
        for item in cut[label]:
            item.split = chosen[item.path]
    return False


def _cut(names: Sequence[str], valid: float, test: float, g: torch.Generator) -> dict[str, str]:
    """A split for each name; at least one for test and valid where their share is above 0 and there are three."""
    n_test, n_valid = (max(1, round(share * len(names))) if share and len(names) > 2 else 0 for share in (test, valid))
    order = torch.randperm(len(names), generator=g).tolist()
    return {
        names[i]: "test" if k < n_test else "valid" if k < n_test + n_valid else "train" for k, i in enumerate(order)
    }


def _repeated(folder: Path, items: Sequence[Item]) -> list[str]:
    """Warnings of texts and of files that lie in two splits."""
    hashes = fingerprints.of([folder / item.path for item in items])
    texts = [item.text for item in items]
    said = []
    for what, keys in (
        ("file", hashes),
        ("text", texts if texts != [i.label.replace("_", " ") for i in items] else []),
    ):
        splits: dict[str, set[str]] = defaultdict(set)
        first: dict[str, str] = {}
        for key, item in zip(keys, items, strict=False):
            splits[key].add(item.split)
            first.setdefault(key, item.path)
        twice = [key for key, where in splits.items() if len(where) > 1]
        if twice:
            said.append(
                f"the same {what} lies in two splits, {len(twice)} times; the first: {first[twice[0]]} "
                f"({', '.join(split for split in SPLITS if split in splits[twice[0]])})"
            )
    return said
