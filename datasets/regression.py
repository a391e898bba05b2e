"""What all regression data sets share: checked labels, few-data fractions, skewed training sets, seeded splits, fields of their Config."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from .batches import DataError, Ragged, Source, Table, generator, refuse
from .paths import is_file_name

SPLITS = ("train", "valid", "test")
SPLIT_WORDS = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}


class RegressionData(BaseModel):
    """Fields of every regression data set."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the training rows that every stage uses, drawn by seed (few data); scales and words are those of all training rows",
    )
    imbalanced: bool = Field(
        False,
        description="skew the training labels: rows are kept with probability exp(-decay · rank of the label in [0, 1])",
    )
    decay: float = Field(
        5.0, gt=0, le=50, description="of imbalanced: 5 as in the rotated digits of the spec's section 12"
    )
    many_above: int | None = Field(
        None, ge=0, description="a bin is many-shot with more training rows; null: the data set's own"
    )
    few_below: int | None = Field(
        None, ge=0, description="a bin is few-shot with fewer training rows; null: the data set's own"
    )
    seed: int = Field(0, ge=0, description="of the stand-in, the splits and the fraction; not the run's seed")


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Rows of a csv file (or csv.gz) with a header, each with its place in words. DataError where the file or a column is missing."""
    rows = []
    with io.StringIO(read_text(path), newline="") as file:
        reader = csv.DictReader(file, restkey="_more")
        absent = [c for c in columns if c not in (reader.fieldnames or [])]
        if absent:
            raise DataError(f"{path}: no column {', '.join(absent)} (there are: {', '.join(reader.fieldnames or [])})")
        for row in reader:
            where = f"{path.name} line {reader.line_num}"
            if "_more" in row or any(value is None for value in row.values()):
                raise DataError(f"{where}: wrong number of fields")
            rows.append((where, {name: value.strip() for name, value in row.items()}))
    return rows


def read_text(path: Path) -> str:
    """A text file, unpacked where its name ends in .gz. Raises DataError where it cannot be read."""
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing") from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
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
    found = SPLIT_WORDS.get(text.lower())
    if found is None:
        faults.append(f"{where}: split '{text}' is none of train, valid (val, dev), test")
    return found or "train"


def seeded_split(n: int, seed: int, valid: float, test: float) -> dict[str, Tensor]:
    """Row numbers of train, valid and test: a permutation cut by shares; every split has a row where n allows it."""
    order = torch.randperm(n, generator=generator(seed, "split"))
    n_test, n_valid = max(1, round(test * n)), max(1, round(valid * n))
    return {"test": order[:n_test], "valid": order[n_test : n_test + n_valid], "train": order[n_test + n_valid :]}


def kept(config: RegressionData, label: Tensor) -> Tensor:
    """Training rows that ``imbalanced`` and ``fraction`` leave, ascending."""
    rows = torch.arange(len(label))
    if config.imbalanced:
        values = label.double()
        place = (values - values.min()) / (values.max() - values.min()).clamp(min=1e-12)
        draw = torch.rand(len(label), generator=generator(config.seed, "imbalance"), dtype=torch.float64)
        rows = rows[draw < torch.exp(-config.decay * place)]
    if config.fraction < 1:
        count = max(2, round(config.fraction * len(rows)))
        rows = rows[torch.randperm(len(rows), generator=generator(config.seed, "fraction"))[:count]].sort().values
    return rows


def take(column: Tensor | Ragged, rows: Tensor) -> Tensor | Ragged:
    """Rows of a column."""
    if not isinstance(column, Ragged):
        return column[rows]
    parts = [column.values[column.offsets[i] : column.offsets[i + 1]] for i in rows.tolist()]
    return Ragged.from_list(parts)


def finish(
    config: RegressionData, splits: Mapping[str, Mapping[str, Tensor | Ragged]], info: Mapping[str, Any], source: str, shots: Mapping[str, Any]
) -> Source:  # fmt: skip
    """The Source of checked splits: each is a mapping of columns with ``x`` and the float column ``label``.

    Raises DataError where a split is empty, fewer than two training rows are left, or the training labels are all the same.
    """
    tables = {}
    for name in SPLITS:
        columns = dict(splits[name])
        label = columns["label"]
        if not isinstance(label, Tensor):
            raise TypeError("labels are numbers")
        if not len(label):
            raise DataError(f"there is no row in the split '{name}'")
        if not bool(label.isfinite().all()):
            raise DataError(
                f"the split '{name}' has {int((~label.isfinite()).sum())} targets that are no finite number"
            )
        if name == "train":
            rows = kept(config, label)
            if len(rows) < 2:
                raise DataError(f"{len(rows)} training rows are left: a regression needs two or more")
            columns = {key: take(column, rows) for key, column in columns.items()}
            if float(label[rows].min()) == float(label[rows].max()):
                raise DataError(
                    f"all {len(rows)} training targets are {float(label[rows[0]]):g}: there is nothing to learn"
                )
        columns["label"] = columns["label"].float()  # type: ignore[union-attr]
        tables[name] = Table(columns)
    given = {key: getattr(config, key) for key in ("many_above", "few_below") if getattr(config, key) is not None}
    # texts are data that no column holds; a stand-in's follow from its columns
    texts = json.dumps([info["texts"], info["words"]]) if source == "real" and "texts" in info else ""
    return Source(tables, (), {**info, "shots": {**shots, **given}}, source, checksum(tables, texts))


def checksum(tables: Mapping[str, Table], texts: str = "") -> str:
    """sha256 of ``texts`` and all values of all columns."""
    digest = hashlib.sha256(texts.encode())
    for name, table in tables.items():
        for key, column in table.columns.items():
            for part in (column.values, column.offsets) if isinstance(column, Ragged) else (column,):
                digest.update(f"{name}/{key}/{part.dtype}/{tuple(part.shape)}".encode())
                digest.update(part.contiguous().numpy().data)
    return digest.hexdigest()


def standardise(train: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the columns of training inputs [N, d] (1 for a constant column)."""
    std = train.std(0)
    return train.mean(0), np.where(std < 1e-12, 1.0, std)


def width_of_bins(label: Tensor, n_bins: int = 50) -> dict[str, float]:
    """Bins of labels that are no integers: the training range in ``n_bins`` parts."""
    low, high = float(label.min()), float(label.max())
    return {"origin": low, "width": max((high - low) / n_bins, 1e-12)}


def labelled_files(
    root: Path, folder: str, suffixes: Sequence[str], label: str
) -> dict[str, list[tuple[str, Path, float]]]:
    """Rows (place, file, label) of each split by ``root/labels.csv`` (columns id, ``label``, split) and ``root/<folder>/<id><suffix>``.

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
        found = [path for suffix in suffixes if (path := root / folder / f"{name}{suffix}").is_file()]
        if not found:
            faults.append(f"{where}: no {folder}/{name} with {' or '.join(suffixes)}")
            continue
        rows[split].append((where, found[0], value))
    refuse(str(root / "labels.csv"), faults)
    return rows


def load_array(path: Path) -> NDArray[Any]:
    """A ``.npy`` array of finite numbers. Raises DataError where it is none (pickles are refused)."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: no readable .npy file ({str(error).splitlines()[0]})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise DataError(f"{path}: not an array of finite numbers")
    return array
