"""Rows of csv files with a header, their labels and splits checked."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.errors import DataError, refuse
from ..core.paths import is_file_name

LARGEST = 2**30  # bytes of a text file
SPLITS = ("train", "valid", "test")


SPLIT_WORDS = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Rows of a csv file (or csv.gz) with a header, each with its place in words. DataError where the file or a column
    is missing.
    """
    rows = []
    with io.StringIO(read_text(path), newline="") as file:
        reader = csv.DictReader(file, restkey="_more")
        absent = [c for c in columns if c not in (reader.fieldnames or [])]
        if absent:
            raise DataError(f"{path}: no column {', '.join(absent)} (there are: {', '.join(reader.fieldnames or [])})")
        try:
            for row in reader:
                where = f"{path.name} line {reader.line_num}"
                if "_more" in row or any(value is None for value in row.values()):
                    raise DataError(f"{where}: wrong number of fields")
                rows.append((where, {name: value.strip() for name, value in row.items()}))
        except csv.Error as error:
            raise DataError(f"{path} line {reader.line_num + 1}: {error}") from error
    return rows


def read_text(path: Path) -> str:
    """A text file, unpacked where its name ends in .gz. Raises DataError where it cannot be read, is no regular file or
    has more than :data:`LARGEST` bytes, unpacked.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError("no regular file")
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise OSError(f"more than {LARGEST >> 20} MiB of text")
        return raw.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing") from error
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{path}: unreadable ({error})") from error


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
