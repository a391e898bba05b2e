"""Files of one's own as rows like those of training (:mod:`holdfast.datasets.core.inputs`), one by one."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.errors import DataError
from ..core.inputs import (
    ImageInputs,
    Inputs,
    SentenceInputs,
    SeriesInputs,
    TableColumn,
    TableInputs,
    TaskInputs,
    TextInputs,
    VolumeInputs,
)
from ..core.table import Ragged, Table
from ..core.texts import packed
from .arrays import load_array
from .csv import number
from .files import read_text
from .images import SUFFIXES as IMAGES
from .images import fitted
from .sentences import SUFFIXES as SENTENCES
from .sentences import TASK_SUFFIXES, of_tasks, sentences
from .tables import MISSING, read_table
from .volumes import read_volume, resample
from .words import numbered

TABLES = (".csv", ".tsv", ".txt", ".dat", ".gz")
SUFFIXES: Mapping[str, tuple[str, ...]] = {  # kind of inputs -> names that its files end in
    "image": IMAGES,
    "table": TABLES,
    "series": (".npy", *TABLES),
    "volume": (".npy", ".nii.gz", ".nii"),
    "text": TABLES,
    "sentence": SENTENCES,
    "tasks": TASK_SUFFIXES,
}


@dataclass(frozen=True)
class Row:
    """One row to predict: the ``file``, its ``line`` there (None: the whole file), its ``columns`` without the
    dimension of the batch, and the pair of ``texts`` where there is one; or an ``error``, and nothing else.
    """

    file: Path
    line: int | None = None
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    texts: tuple[str, str] | None = None
    error: str = ""


def listed(paths: Iterable[Path], suffixes: Sequence[str]) -> list[Path]:
    """The files that ``paths`` name: files as they are, folders as the files below them with one of the ``suffixes``,
    sorted. Raises DataError for a folder without one.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = [file for file in sorted(path.rglob("*")) if file.is_file() and _ends(file, suffixes)]
        if not inside:
            raise DataError(f"{path}: the folder holds no file that ends in {', '.join(suffixes)}")
        files += inside
    return files


def _ends(file: Path, suffixes: Sequence[str]) -> bool:
    return file.name.lower().endswith(tuple(suffixes))


def read(inputs: Inputs, words: Mapping[str, int], files: Iterable[Path]) -> Iterator[Row]:
    """The rows of ``files``, in order; what cannot be read is a row with an ``error``. ``words``: numbers of the known
    words, of texts alone.
    """
    for file in files:
        try:
            if not file.is_file():
                raise DataError(f"{file}: no such file")
            if not _ends(file, SUFFIXES[inputs.kind]):
                raise DataError(
                    f"{file}: the run takes files that end in {', '.join(SUFFIXES[inputs.kind])} ({inputs.kind} data)"
                )
            if isinstance(inputs, ImageInputs):
                yield Row(file, columns=_image(inputs, file))
            elif isinstance(inputs, VolumeInputs):
                yield Row(file, columns=_volume(inputs, file))
            elif isinstance(inputs, SeriesInputs):
                yield from _series(inputs, file)
            elif isinstance(inputs, TableInputs):
                yield from _table(inputs, file)
            elif isinstance(inputs, SentenceInputs):
                yield from _sentences(inputs, file)
            elif isinstance(inputs, TaskInputs):
                yield from _of_tasks(inputs, file)
            else:
                yield from _texts(inputs, words, file)
        except DataError as error:
            yield Row(file, error=str(error))


def stacked(rows: Sequence[Row]) -> Table:
    """Rows without an error as a table: columns of equal shapes stacked, word numbers ragged."""
    columns: dict[str, Tensor | Ragged] = {}
    for name, first in rows[0].columns.items():
        values = [row.columns[name] for row in rows]
        text = rows[0].texts is not None or (first.dtype == torch.uint8 and first.dim() == 1)
        columns[name] = Ragged.from_list(values) if text else torch.stack(values)
    return Table(columns)


def _image(inputs: ImageInputs, file: Path) -> dict[str, Tensor]:
    pixels = torch.from_numpy(np.ascontiguousarray(fitted(file, inputs).transpose(2, 0, 1)))
    if inputs.channels == 1:  # Pillow's own grey, as an image that is grey already keeps its values
        red, green, blue = pixels.to(torch.int64)
        pixels = ((red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16)[None].to(torch.uint8)
    return {inputs.column: pixels}


def _volume(inputs: VolumeInputs, file: Path) -> dict[str, Tensor]:
    volume = read_volume(file)
    if inputs.standardise:
        return {"x": resample(volume, inputs.size)}
    if volume.shape != (inputs.size,) * 3:
        raise DataError(f"{file}: {list(volume.shape)}, and the run was trained on cubes of side {inputs.size}")
    return {"x": torch.from_numpy(volume)[None]}


def _scaled(inputs: SeriesInputs, x: Tensor) -> dict[str, Tensor]:
    """A window [C, length] as training had it."""
    dtype = getattr(torch, inputs.dtype)
    mean, std = (torch.tensor(values, dtype=dtype)[:, None] for values in (inputs.mean, inputs.std))
    return {"x": ((x.to(dtype) - mean) / std).float()}


def _series(inputs: SeriesInputs, file: Path) -> Iterator[Row]:
    if _ends(file, (".npy",)):
        array, channels = load_array(file), len(inputs.mean)
        if inputs.relative or array.ndim != 2 or array.shape[0] != channels or array.shape[1] < inputs.length:
            what = f"{file}: {list(array.shape)}, not [{channels} channels, {inputs.length} samples or more]"
            raise DataError(f"{file}: the run takes CSV series" if inputs.relative else what)
        begin = (array.shape[1] - inputs.length) // 2
        yield Row(file, columns=_scaled(inputs, torch.from_numpy(array[:, begin : begin + inputs.length])))
        return
    if not inputs.channels:
        raise DataError(f"{file}: the run takes recordings [channels, samples] in .npy files")
    names, rows = read_table(file, least=1)
    at = _columns(file, names, inputs.channels)
    if len(rows) < inputs.length:
        raise DataError(f"{file}: {len(rows)} rows, and a window of the run has {inputs.length}")
    values = [[_finite(row[k], where, names[k]) for k in at] for where, row in rows]
    series = torch.tensor(values, dtype=torch.float64).T  # [C, T]
    first = (len(rows) - inputs.length) % inputs.stride  # the last window ends with the file
    for start in range(first, len(rows) - inputs.length + 1, inputs.stride):
        x = series[:, start : start + inputs.length]
        x = x - x[:, -1:] if inputs.relative else x
        yield Row(file, _line(rows[start + inputs.length - 1][0]), _scaled(inputs, x))


def _line(where: str) -> int:
    return int(where.rpartition(" ")[2])


def _finite(text: str, where: str, name: str) -> float:
    value = number(text)
    if value is None or not np.isfinite(value):
        raise DataError(f"{where}: '{text[:40]}' in column '{name}' is no finite number")
    return value


def _columns(file: Path, names: Sequence[str], needed: Sequence[str]) -> list[int]:
    """Where the columns ``needed`` stand. Raises DataError with those that are not there."""
    absent = [name for name in needed if name not in names]
    if absent:
        raise DataError(f"{file}: no column {', '.join(absent)} (there are: {', '.join(names[:30])})")
    return [names.index(name) for name in needed]


def _table(inputs: TableInputs, file: Path) -> Iterator[Row]:
    header = inputs.header
    if header is None:  # the training file's columns have names, or they are numbered
        header = None if any(not column.name.isdecimal() for column in inputs.columns) else False
    names, rows = read_table(file, inputs.delimiter, header, least=1)
    at = _columns(file, names, [column.name for column in inputs.columns])
    mean, std = np.array(inputs.mean), np.array(inputs.std)
    for where, row in rows:
        try:
            values = [v for k, column in zip(at, inputs.columns, strict=True) for v in _cell(column, row[k], where)]
        except DataError as error:
            yield Row(file, _line(where), error=str(error))
            continue
        yield Row(file, _line(where), {"x": torch.from_numpy((np.array(values) - mean) / std).float()})


def _cell(column: TableColumn, text: str, where: str) -> list[float]:
    """Inputs of one cell: its number, or an indicator for each category."""
    empty = text.lower() in MISSING
    if empty and not (column.missing if column.words is not None else column.fill is not None):
        raise DataError(f"{where}: no value in column '{column.name}', and the run was trained with missing=error")
    if column.words is not None:
        return [float(text == word) for word in column.words]
    return [column.fill if empty and column.fill is not None else _finite(text, where, column.name)]


def _texts(inputs: TextInputs, words: Mapping[str, int], file: Path) -> Iterator[Row]:
    names, rows = _pairs(file)
    first, second = _columns(file, names, (inputs.first, inputs.second))
    for line, row in rows:
        if len(row) <= max(first, second):
            yield Row(file, line, error=f"{file.name} line {line}: {len(row)} fields, not {len(names)}")
            continue
        texts = (row[first], row[second])
        pair = (numbered(text, words, inputs.max_words) for text in texts)
        numbers = dict(zip(("first", "second"), pair, strict=True))
        yield Row(file, line, numbers, texts)


def _sentences(inputs: SentenceInputs, file: Path) -> Iterator[Row]:
    for line, made, error in sentences(inputs, file):
        yield Row(file, line, error=error) if error else Row(file, line, _classified(inputs.columns, made))


def _of_tasks(inputs: TaskInputs, file: Path) -> Iterator[Row]:
    for line, task, made, error in of_tasks(inputs, file):
        if error:
            yield Row(file, line, error=error)
            continue
        texts = dict(zip(inputs.each[task].columns, made, strict=True))
        columns = _classified(inputs.columns, [texts.get(name, "") for name in inputs.columns])
        yield Row(file, line, columns | {"task": torch.tensor(task)})


def _classified(names: Sequence[str], made: Sequence[str]) -> dict[str, Tensor]:
    """Texts as columns, with what no file says of a row, so that a table of them is one of classified texts."""
    numbers = {"source_id": torch.tensor(-1), "altered": torch.tensor(0)}
    return {name: packed([text]).values for name, text in zip(names, made, strict=True)} | numbers


def _pairs(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and (line, fields) of a CSV, or of a tab separated file, whose fields have no quotes."""
    lines = read_text(file).splitlines()
    if not lines:
        raise DataError(f"{file}: empty")
    if "\t" in lines[0]:
        return lines[0].split("\t"), [(n, line.split("\t")) for n, line in enumerate(lines[1:], 2) if line.strip()]
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader)]
    return header, [(reader.line_num, row) for row in reader if row]
