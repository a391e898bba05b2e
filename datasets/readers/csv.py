"""Rows of csv files with a header, their labels and splits checked."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError, refuse
from ..core.paths import is_file_name
from .files import read_text

SPLITS = ("train", "valid", "test")
MORE = "_more"  # the key of the fields that a row has beside those of the header
SPLIT_WORDS = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}


def fields_of(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line and fields of each row of a csv file (or csv.gz) with a header; a field that is not there is None, and those
    that are too many lie in :data:`MORE`. Raises DataError where the file cannot be read, is no csv, or lacks one of
    the ``columns``.
    """
    with io.StringIO(read_text(path), newline="") as file:
        reader = csv.DictReader(file, restkey=MORE)
        try:
            there = reader.fieldnames or []
            absent = [c for c in columns if c not in there]
            if absent:
                raise DataError(f"{path}: no column {', '.join(absent)} (there are: {', '.join(there) or 'none'})")
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise DataError(f"{path} line {reader.line_num + 1}: {error}") from error


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Rows of a csv file (or csv.gz) with a header, each with its place in words. DataError where the file or a column
    is missing, and where a row has too few or too many fields.
    """
    rows = []
    for line, row in fields_of(path, columns):
        where = f"{path.name} line {line}"
        if wrong_length(row):
            raise DataError(f"{where}: wrong number of fields")
        rows.append((where, {name: value.strip() for name, value in row.items()}))
    return rows


def wrong_length(row: Mapping[str, Any]) -> bool:
    """Whether a row of :func:`fields_of` has more or fewer fields than the header."""
    return MORE in row or any(value is None for value in row.values())


def number(text: str) -> float | None:
    """``text`` as a number (NaN and infinities included); None where it is none."""
    try:
        return float(text)
    except ValueError:
        return None


def target(text: str, where: str, name: str, faults: list[str]) -> float:
    """A finite label; else a line in ``faults``."""
    value = number(text)
    if value is None:
        faults.append(f"{where}: '{text[:40]}' in the target column '{name}' is no number")
    elif not np.isfinite(value):
        faults.append(f"{where}: the target '{name}' is {text}")
    return value if value is not None else 0.0


def split_of(text: str, where: str, faults: list[str]) -> str:
    """train, valid or test; else a line in ``faults``."""
    split = SPLIT_WORDS.get(text.lower())
    if split is None:
        faults.append(f"{where}: split '{text}' is none of train, valid (val, dev), test")
    return split or "train"


def labelled_files(
    root: Path, folder: str, suffixes: Sequence[str], label: str
) -> dict[str, list[tuple[str, Path, float]]]:
    """Rows (place, file, label) of each split by ``root/labels.csv`` (columns id, ``label``, split) and
    ``root/<folder>/<id><suffix>``.

    Raises DataError where the csv, a column or a file is missing, or a value is wrong.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no folder; --data-root names the folder that holds labels.csv and {folder}/")
    rows: dict[str, list[tuple[str, Path, float]]] = {split: [] for split in SPLITS}
    faults: list[str] = []
    for where, row in read_rows(root / "labels.csv", ("id", label, "split")):
        value, split = target(row[label], where, label, faults), split_of(row["split"], where, faults)
        name = row["id"]
        if not is_file_name(name):
            faults.append(f"{where}: {name[:40]!a} is no name of a file in {folder}/")
            continue
        files = [path for suffix in suffixes if (path := root / folder / f"{name}{suffix}").is_file()]
        if not files:
            faults.append(f"{where}: no {folder}/{name} with {' or '.join(suffixes)}")
            continue
        rows[split].append((where, files[0], value))
    refuse(str(root / "labels.csv"), faults)
    return rows
