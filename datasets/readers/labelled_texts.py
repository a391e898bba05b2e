"""Rows of text files with their fields by name: label TAB sentence, tables with a header, JSON lines; each also .gz."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import DataError
from .files import read_text

SUFFIXES = (".txt", ".tsv", ".csv", ".jsonl")
LONGEST = 1_000_000  # characters of a field
Record = tuple[str, dict[str, object]]  # where the row stands, and its fields


def find(folders: Sequence[Path], stems: Sequence[str]) -> Path | None:
    """The first file ``FOLDER/STEM.SUFFIX`` (or with .gz behind) that is there; None: none is."""
    for folder in folders:
        for stem in stems:
            for suffix in SUFFIXES:
                for name in (f"{stem}{suffix}", f"{stem}{suffix}.gz"):
                    if (folder / name).is_file():
                        return folder / name
    return None


def read(path: Path, faults: list[str]) -> list[Record]:
    """The rows of a file; what is no row becomes a line of ``faults``.

    ``.txt``, and ``.tsv`` whose first line is no header (it has no field ``label``, ``sentence`` or ``text``): the
    fields ``label`` and ``text``. Other ``.tsv`` and ``.csv``: the names of the header; ``.tsv`` has no quotes.
    ``.jsonl``, ``.json``: an object a line. Raises DataError where the file cannot be read or is empty.
    """
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".json")):
        return _json_lines(path, text, faults)
    if name.endswith(".csv"):
        return _csv(path, text, faults)
    lines = text.splitlines()
    header = lines[0].split("\t")
    if name.endswith(".tsv") and {"label", "sentence", "text"} & set(header):
        return _tab_separated(path, header, lines, faults)
    return _label_and_text(path, lines, faults)


def _label_and_text(path: Path, lines: Sequence[str], faults: list[str]) -> list[Record]:
    records: list[Record] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        label, tab, text = line.partition("\t")
        where = f"{path.name} line {number}"
        if not tab:
            faults.append(f"{where}: no tab between label and text")
        else:
            records.append((where, {"label": label.strip(), "text": text}))
    return records


def _tab_separated(path: Path, header: Sequence[str], lines: Sequence[str], faults: list[str]) -> list[Record]:
    records: list[Record] = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        fields = line.split("\t")
        where = f"{path.name} line {number}"
        if len(fields) != len(header):
            faults.append(f"{where}: {len(fields)} fields, not {len(header)}")
        else:
            records.append((where, dict(zip(header, fields, strict=True))))
    return records


def _csv(path: Path, text: str, faults: list[str]) -> list[Record]:
    records: list[Record] = []
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), restkey="_more", strict=True)
        for row in reader:
            where = f"{path.name} line {reader.line_num}"
            if "_more" in row or any(value is None for value in row.values()):
                faults.append(f"{where}: wrong number of fields")
            else:
                records.append((where, dict(row)))
    except csv.Error as error:
        raise DataError(f"{path} line {reader.line_num}: no csv ({error})") from error
    return records


def _json_lines(path: Path, text: str, faults: list[str]) -> list[Record]:
    records: list[Record] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path.name} line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            faults.append(f"{where}: no JSON ({error})")
            continue
        if isinstance(row, dict):
            records.append((where, row))
        else:
            faults.append(f"{where}: {type(row).__name__}, not an object with fields")
    return records


def text_of(record: Record, name: str, faults: list[str]) -> str:
    """The text in the field ``name``, stripped; "" and a line of ``faults`` where it is missing, empty, no text or
    longer than a million characters.
    """
    where, fields = record
    value = fields.get(name)
    if value is None:
        faults.append(f"{where}: no field '{name}' (there are: {', '.join(map(str, list(fields)[:10]))})")
    elif not isinstance(value, str):
        faults.append(f"{where}: '{name}' is {type(value).__name__}, not text")
    elif not value.strip():
        faults.append(f"{where}: the text '{name}' is empty")
    elif len(value) > LONGEST:
        faults.append(f"{where}: the text '{name}' has {len(value)} characters, more than {LONGEST}")
    else:
        return value.strip()
    return ""


def label_of(record: Record, name: str, faults: list[str]) -> str:
    """The label in the field ``name`` as text (true and false of JSON in small letters); "" and a line of ``faults``
    where there is none.
    """
    where, fields = record
    value = fields.get(name)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, str) and value.strip()):
        return str(value).strip()
    faults.append(f"{where}: no label in the field '{name}'" + ("" if value is None else f" ({value!r:.40})"))
    return ""
