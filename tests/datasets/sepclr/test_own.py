"""A user's folders and tables: what is an attribute of which space, splits, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.grouped import split_by_group
from holdfast.datasets.core.inputs import TableInputs
from holdfast.datasets.core.source import Source
from holdfast.datasets.readers import given
from holdfast.datasets.sepclr import folder, tabular

from . import files

TABULAR: dict[str, Any] = {"common": ("site",), "salient": ("kind",), "group_column": "patient"}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return files.folders(tmp_path / "data")


def _spaces(source: Source[Any]) -> dict[str, tuple[str, Any]]:
    return {a.name: (a.space, a.classes) for a in source.info.attributes}


def _rewrite(path: Path, change: Any) -> None:
    with path.open(newline="") as file:
        rows = [change(dict(row)) for row in csv.DictReader(file)]
    files.table(path, [row for row in rows if row])


def test_a_column_without_background_values_is_salient_and_many_numbers_are_a_number(root: Path) -> None:
    source = folder.load(folder.Config(), root)
    assert _spaces(source) == {
        "shape": ("common", ("a", "b")),
        "dose": ("salient", ("high", "low")),
        "weight": ("common", None),
    }
    assert source.info.input_shape == (3, 16, 16)
    assert not source.random_split
    assert {s: len(t) for s, t in source.splits.items()} == {"train": 12, "valid": 4, "test": 8}
    moved = folder.load(folder.Config(common=("dose",), salient=("shape",)), root)
    assert {k: v[0] for k, v in _spaces(moved).items()} == {"shape": "salient", "dose": "common", "weight": "common"}


def test_without_a_table_the_split_is_drawn_and_nothing_but_the_set_is_known(tmp_path: Path) -> None:
    source = folder.load(folder.Config(size=8), files.folders(tmp_path / "data", attributes=False))
    assert not source.info.attributes
    assert source.random_split
    assert sum(map(len, source.splits.values())) == 24
    assert all(set(t.columns["target"].tolist()) == {0, 1} for t in source.splits.values())


def test_images_of_two_sizes_need_a_size(root: Path) -> None:
    files.image(root / "target" / "1.png", 7, 16, 12)
    with pytest.raises(DataError, match=r"1.png: 16 x 12 pixels.*data.options.size=64"):
        folder.load(folder.Config(), root)
    assert folder.load(folder.Config(size=8), root).info.input_shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda row: None if row["file"].endswith("/3.png") else row, {}, "no row for target/3.png"),
        (lambda row: {**row, "file": "target/1.png"}, {}, "is there twice"),
        (lambda row: {**row, "file": "../" + row["file"]}, {}, "is no image"),
        (lambda row: {**row, "split": "some"}, {}, "is none of train, valid"),
        (lambda row: {k: v for k, v in row.items() if k != "file"}, {}, "no column file"),
        (lambda row: {**row, "target": "1"}, {}, "is no attribute"),
        (lambda row: {**row, "weight": row["weight"].replace("50.5", "inf")}, {}, "not finite"),
        (lambda row: row, {"common": ("other",)}, "no column other"),
        (lambda row: row, {"common": ("dose",), "salient": ("dose",)}, "dose in both"),
        (lambda row: row, {"table": "../t.csv"}, "is no file's name"),
        (lambda row: row, {"table": "t.csv"}, "t.csv: missing"),
    ],
)
def test_a_table_at_fault_is_refused(change: Any, options: Any, said: str, root: Path) -> None:
    _rewrite(root / "attributes.csv", change)
    with pytest.raises(DataError, match=said):
        folder.load(folder.Config(**options), root)


def test_empty_and_missing_folders_and_links_out_are_refused(root: Path, tmp_path: Path) -> None:
    (root / "attributes.csv").unlink()
    for path in (root / "target").iterdir():
        path.unlink()
    files.image(tmp_path / "out.png", 3, 16, 16)
    (root / "target" / "out.png").symlink_to(tmp_path / "out.png")
    with pytest.raises(DataError, match="target: no image"):
        folder.load(folder.Config(), root)
    (root / "target").rename(root / "other")
    with pytest.raises(DataError, match="no folder target/"):
        folder.load(folder.Config(), root)


def test_groups_stay_whole_in_every_stratum() -> None:
    groups = [f"g{n // 2}" for n in range(40)]
    strata = ["a" if n < 30 else "b" for n in range(40)]
    parts = split_by_group(groups, strata, 0.2, 0.2, 0)
    assert sorted(row for rows in parts.values() for row in rows) == list(range(40))
    names = [{groups[row] for row in rows} for rows in parts.values()]
    assert sum(map(len, names)) == len(set(groups))
    assert [len(own) for own in names] == [12, 4, 4]
    assert all({strata[row] for row in rows} == {"a", "b"} for rows in parts.values())
    assert parts != split_by_group(groups, strata, 0.2, 0.2, 1)


def test_tables_are_standardised_by_training_rows_and_new_rows_are_read_alike(tmp_path: Path) -> None:
    root = files.tables(tmp_path / "data")
    source = tabular.load(tabular.Config(**TABULAR), root)
    assert _spaces(source) == {"site": ("common", ("A", "B")), "kind": ("salient", ("u", "v"))}
    x = source.splits["train"].columns["x"]
    assert isinstance(x, torch.Tensor)
    assert x.shape[1] == 4
    assert x.mean(0).numpy() == pytest.approx(0, abs=1e-6)
    assert x.std(0, correction=0).numpy() == pytest.approx(1, abs=1e-5)
    inputs = source.info.inputs
    assert isinstance(inputs, TableInputs)
    rows = list(given.read(inputs, {}, [root / "target.csv"]))
    whole = np.concatenate([t.columns["x"].numpy() for t in source.splits.values()])  # type: ignore[union-attr]
    assert len(rows) == 40
    assert all((np.abs(whole - row.columns["x"].numpy()).max(1) < 1e-6).any() for row in rows)


def test_clusters_stand_in_for_tables() -> None:
    source = tabular.load(tabular.Config(n_train=50, n_valid=5, n_test=20), None)
    table = source.splits["train"].columns
    assert source.info.modality == "table"
    assert ((table["subtype"] >= 0) == (table["target"] == 1)).all()  # type: ignore[operator, union-attr]


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda row: {**row, "x1": "word"}, {}, "'word' in column 'x1' is no finite number"),
        (lambda row: {**row, "x2": ""}, {}, "'' in column 'x2'"),
        (lambda row: {k: v for k, v in row.items() if k != "x0"}, {}, "one alone has x0"),
        (lambda row: row, {"drop": ("other",)}, "data.options.drop: no column 'other'"),
        (lambda row: row, {"target": "../target.csv"}, "is no file's name"),
        (lambda row: row, {"target": "none.csv"}, "none.csv: missing"),
        (lambda row: row, {"split_column": "site"}, "is none of train"),
        (lambda row: row, {"drop": ("x0", "x1", "x2", "x3")}, "no column of inputs"),
    ],
)
def test_tables_at_fault_are_refused(change: Any, options: Any, said: str, tmp_path: Path) -> None:
    root = files.tables(tmp_path)
    _rewrite(root / "target.csv", change)
    with pytest.raises(DataError, match=said):
        tabular.load(tabular.Config(**{**TABULAR, **options}), root)


def test_a_set_of_one_row_is_refused(tmp_path: Path) -> None:
    root = files.tables(tmp_path)
    (root / "target.csv").write_text("".join((root / "target.csv").read_text().splitlines(True)[:2]))
    with pytest.raises(DataError, match=r"'train' has 1 target row; it needs 2[^\n]*\n[^\n]*'test' has 0 target"):
        tabular.load(tabular.Config(**TABULAR), root)
