"""A user's images to be described, with the objects that each shows: what CHAIR measures.

A row (``.jsonl``, or ``.csv`` or ``.tsv``) has the fields ``image`` (a file in ``data.options.images``) and
``objects``: their names, a list (in a table: separated by ``;``). It may have ``caption``, a right description;
``text``, what is asked in place of ``data.options.prompt``; ``group`` and ``split``. ``data.options.synonyms`` names a
file with an object a line, its names separated by commas, as CHAIR's public list has them: a caption mentions an object
by any of its names or their plural. Without a data root: generated scenes.

Source of CHAIR: Rohrbach et al., Object hallucination in image captioning, EMNLP 2018.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ..core.errors import DataError
from ..core.language import LanguageInfo, NamedObjects
from ..core.paths import within
from ..core.source import Source
from ..readers.files import read_text
from ..readers.image_rows import Progress
from ..readers.labelled_texts import LONGEST, Record, text_of
from . import toy_scenes
from .pictured import PicturedConfig, Told, grouped, image_of, named_split, pictured_source, records, words
from .texts import Row


class Config(PicturedConfig):
    """The files, the images, and the names of objects."""

    files: tuple[str, ...] = Field(
        ("captions.jsonl",), min_length=1, description="files in the data root that list images with their objects"
    )
    synonyms: str | None = Field(
        None, description="file in the data root with an object a line, its names with commas; null: as rows name them"
    )
    prompt: str = Field(
        "Please describe this image in detail.", min_length=1, description="what is asked of each image"
    )


def _names(config: Config, root: Path) -> list[tuple[str, ...]]:
    """Names of each object by the file of synonyms. Raises DataError where it cannot be read or holds none."""
    if config.synonyms is None:
        return []
    try:
        path = within(root, config.synonyms, config.outside_paths)
    except ValueError as error:
        raise DataError(f"data.options.synonyms: {error}") from error
    lines = [[name.strip().lower() for name in line.split(",")] for line in read_text(path).splitlines()]
    found = [tuple(name for name in line if name) for line in lines if any(line)]
    if not found:
        raise DataError(f"{path}: no object; an object a line, its names separated by commas")
    return found


def _objects(record: Record, faults: list[str]) -> list[str]:
    """Names of the objects of a row, in small letters; what is wrong goes to ``faults``."""
    given = record[1].get("objects")
    listed = given.split(";") if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(isinstance(name, str) and len(name) <= 200 for name in listed):
        faults.append(f"{record[0]}: no list of names in the field 'objects'")
        return []
    return [" ".join(name.lower().split()) for name in listed if name.strip()]


def _row(config: Config, root: Path, record: Record, faults: list[str]) -> Told:
    fields = record[1]
    asked = text_of(record, "text", faults) if fields.get("text") else config.prompt
    caption = text_of(record, "caption", faults) if fields.get("caption") else ""
    row = Row(prompt=words(asked), answer=words(caption))
    return Told(record[0], image_of(root, config, record, faults), named_split(record, faults), row)


def load(config: Config, root: Path | None, progress: Progress | None = None) -> Source[LanguageInfo]:
    """Columns of texts, ``image`` and ``shown``. Raises DataError with what is wrong with files and images."""
    if root is None:
        numbers = {name: getattr(config, name) for name in ("n_train", "n_valid", "n_test", "seed")}
        return toy_scenes.load(toy_scenes.Config(questions="caption", **numbers), None)
    faults: list[str] = []
    found = records(root, config.files, config.outside_paths, faults)
    names = _names(config, root)
    told = [_row(config, root, record, faults) for _, record in found]
    listed = [_objects(record, faults) for _, record in found]
    if not names:
        names = [(name,) for name in sorted({name for objects in listed for name in objects})]
    number = {name: k for k, group in reversed(list(enumerate(names))) for name in group}
    faults += [
        f"{row.where}: the object {name[:40]!a} is not in {config.synonyms}"
        for row, objects in zip(told, listed, strict=True)
        for name in objects
        if name not in number
    ]
    if len(names) * len(told) > LONGEST * 1000 or (told and not names and not faults):
        faults.append("no row names an object" if not names else f"{len(names)} objects are too many")
    groups, numbers_of = grouped(
        [str(record[1].get("group") or "").strip()[:80] for _, record in found],
        {k: row.where for k, row in enumerate(told)},
        faults,
    )
    rows = []
    for row, objects, group in zip(told, listed, numbers_of, strict=True):
        shown = {number.get(name, -1) for name in objects}
        more = {"group": group, "shown": tuple(int(k in shown) for k in range(len(names)))}
        rows.append(Told(row.where, row.image, row.split, Row(**{**vars(row.row), **more})))
    what = str(root / config.files[0]) if len(config.files) == 1 else f"{root}: {', '.join(config.files)}"
    oracle = NamedObjects(tuple(names))
    return pictured_source(config, rows, faults, what, progress, groups=groups, oracle=oracle)
