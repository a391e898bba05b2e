"""Sets in their released layouts: which rows are taken, whole patients in a split, and what is refused."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.table import Table
from holdfast.datasets.sepclr import celeba, chexpert, dsprites, odir
from PIL import Image

from .. import trees
from ..damage import Hostile
from . import files

SMALL: dict[str, Any] = {"size": 8, "valid": 0.2, "test": 0.2}
CASES: dict[Any, Any] = {celeba: files.celeba, chexpert: files.chexpert, odir: files.odir}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))


def _column(table: Table, name: str) -> Any:
    column = table.columns[name]
    assert isinstance(column, torch.Tensor)
    return column.numpy()


def _every(source: Source[Any], name: str) -> Any:
    return np.concatenate([_column(table, name) for table in source.splits.values()])


def _attribute(source: Source[Any], name: str) -> Any:
    return next(a for a in source.info.attributes if a.name == name)


@pytest.mark.parametrize("form", ["txt", "csv"])
def test_faces_are_taken_in_file_order_until_each_kind_is_full(tmp_path: Path, form: str) -> None:
    root = files.celeba(tmp_path / "data", form=form)
    source = celeba.load(celeba.Config(n_background=9, n_target=4, **SMALL), root)
    accessory, sex, target = (_every(source, name) for name in ("accessory", "sex", "target"))
    assert len(target) == 2 * 9 + 4 * 4
    for s in (0, 1):
        assert [((accessory == a) & (sex == s)).sum() for a in (-1, 0, 1)] == [9, 4, 4]
    assert ((accessory >= 0) == (target == 1)).all()
    with Image.open(root / "img_align_celeba" / "000001.jpg") as opened:
        middle = opened.crop((1, 21, 177, 197)).resize((8, 8), Image.Resampling.BILINEAR)
    images = _every(source, "image").transpose(0, 2, 3, 1)
    assert (images == np.asarray(middle)).all((1, 2, 3)).sum() == 1


def test_radiographs_have_no_finding_or_one_and_patients_stay_together(tmp_path: Path) -> None:
    root = files.chexpert(tmp_path / "data")
    source = chexpert.load(chexpert.Config(**SMALL), root)
    finding, age = _every(source, "finding"), _every(source, "age")
    assert np.bincount(finding + 1).tolist() == [8, 8, 6, 6]  # one patient's sex is unknown, one's fracture uncertain
    ages = [set(_column(table, "age")) for table in source.splits.values()]  # an age is a patient
    assert all(ages)
    assert sum(map(len, ages)) == len(set.union(*ages))
    assert len(age) == 2 * len(set(age))
    assert chexpert.load(chexpert.Config(**SMALL), root / "CheXpert-v1.0-small").checksum == source.checksum


def test_eyes_have_one_diagnosis_and_patients_stay_together(tmp_path: Path) -> None:
    root = files.odir(tmp_path / "data")
    source = odir.load(odir.Config(n_normal=7, **SMALL), root)
    assert np.bincount(_every(source, "diagnosis") + 1).tolist() == [7, 8, 8, 8, 8, 8]
    assert sorted(set(_every(source, "side"))) == [0, 1]
    known = [{a for a in _column(table, "age") if a == a} for table in source.splits.values()]
    assert sum(map(len, known)) == len(set.union(*known))
    assert np.isnan(_every(source, "age")).sum() == 2  # an age of 1 is unknown
    (root / "data.csv").rename(root / "full_df.csv")
    assert odir.load(odir.Config(n_normal=7, **SMALL), root).checksum == source.checksum


def test_a_sheet_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.xlsx").write_bytes(b"no sheet")
    with pytest.raises(DataError, match=r"data.xlsx: (reading it needs openpyxl|no readable sheet)"):
        odir.load(odir.Config(), tmp_path)


@pytest.mark.parametrize("module", CASES)
def test_without_a_root_there_are_digits_on_gratings(module: Any) -> None:
    source = module.load(module.Config(n_train=20, n_valid=5, n_test=6), None)
    assert source.source == "stand-in"
    assert [len(table) for table in source.splits.values()] == [40, 10, 12]


@pytest.mark.parametrize("module", CASES)
def test_a_missing_and_a_damaged_image_are_named(module: Any, tmp_path: Path) -> None:
    root = CASES[module](tmp_path / "data")
    path = sorted(p for p in root.rglob("*.jpg"))[0]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=f"{re.escape(path.name)}: no readable image"):
        module.load(module.Config(**SMALL), root)
    path.unlink()
    with pytest.raises(DataError, match="no image"):
        module.load(module.Config(**SMALL), root)
    with pytest.raises(DataError, match="--data-root names"):
        module.load(module.Config(**SMALL), tmp_path / "nowhere")


def _rewrite(path: Path, change: Any) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    files.table(path, [change(dict(row)) for row in rows])


def _without(name: str) -> Any:
    return lambda row: {k: v for k, v in row.items() if k != name}


@pytest.mark.parametrize(
    ("module", "name", "column"),
    [
        (chexpert, "CheXpert-v1.0-small/train.csv", "Edema"),
        (odir, "data.csv", "Patient Sex"),
        (celeba, "list_attr_celeba.csv", "Wearing_Hat"),
    ],
)
def test_a_missing_column_is_named(module: Any, name: str, column: str, tmp_path: Path) -> None:
    root = files.celeba(tmp_path / "data", form="csv") if module is celeba else CASES[module](tmp_path / "data")
    _rewrite(root / name, _without(column))
    with pytest.raises(DataError, match=f"no column {column}"):
        module.load(module.Config(**SMALL), root)


def test_paths_that_lead_out_of_the_root_are_refused(tmp_path: Path) -> None:
    root = files.chexpert(tmp_path / "a")
    out = "x/../../patient1.jpg"
    _rewrite(root / "CheXpert-v1.0-small" / "train.csv", lambda row: {**row, "Path": out})
    with pytest.raises(DataError, match="leads out of"):
        chexpert.load(chexpert.Config(**SMALL), root)
    root = files.odir(tmp_path / "b")
    _rewrite(root / "data.csv", lambda row: {**row, "Left-Fundus": "../data.csv"})
    with pytest.raises(DataError, match=r"no image '\.\./data.csv'"):
        odir.load(odir.Config(**SMALL), root)


def test_rows_of_one_set_alone_are_refused(tmp_path: Path) -> None:
    root = files.odir(tmp_path / "data")
    _rewrite(root / "data.csv", lambda row: {**row, **dict.fromkeys("NDGCAM", "0"), "N": "1"})
    with pytest.raises(DataError, match="'train' has 0 target rows"):
        odir.load(odir.Config(**SMALL), root)


SPRITES = {"n_train": 60, "n_valid": 5, "n_test": 10}


def test_sprites_lie_over_digits(tmp_path: Path) -> None:
    source = dsprites.load(dsprites.Config(**SPRITES), trees.idx(files.dsprites(tmp_path)))
    with np.load(tmp_path / dsprites.FILE) as stored:
        latents = stored["latents_values"]
    wrapped = (latents[:, 3] + np.pi) % (2 * np.pi) - np.pi
    seen = []
    for table in source.splits.values():
        image, target = _column(table, "image")[:, 0], _column(table, "target")
        own = image[target == 1]
        assert (own[:, 40:44, 40:44] == 255).all()
        rows = np.array([sum(int(v) << bit for bit, v in enumerate(one[0, :10] == 255)) for one in own])
        seen += rows.tolist()
        assert (np.abs(wrapped[rows]) < np.pi / 4).all()
        assert _column(table, "orientation")[target == 1] == pytest.approx(wrapped[rows])
        assert (_column(table, "shape")[target == 1] == latents[rows, 1] - 1).all()
        assert (_column(table, "shape")[target == 0] == -1).all()
        assert np.isnan(_column(table, "scale")[target == 0]).all()
    assert len(seen) == len(set(seen)) == 75


def test_drawn_sprites_move_grow_and_turn() -> None:
    latents = np.array([[k, s, 0.4, x, 0.5] for k in range(3) for s in (0.5, 1.0) for x in (0.0, 1.0)])
    made = dsprites.drawn(latents, 32).reshape(3, 2, 2, 32, 32)
    area = made.sum((3, 4))
    assert (area[:, 1] > 3 * area[:, 0]).all()
    centre = (made.sum(3) * np.arange(32)).sum(3) / area
    assert (centre[:, :, 0] < 9).all()
    assert (centre[:, :, 1] > 22).all()
    source = dsprites.load(dsprites.Config(size=32, **SPRITES), None)
    assert source.info.input_shape == (1, 32, 32)
    assert _attribute(source, "shape").space == "salient"
    assert _attribute(source, "ink").space == "common"


def _npz(path: Path, **arrays: Any) -> None:
    good = {"imgs": np.zeros((400, 64, 64), np.uint8), "latents_values": np.tile([1.0, 1, 1, 0, 0, 0], (400, 1))}
    np.savez_compressed(path, **{k: v for k, v in (good | arrays).items() if v is not None})


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"imgs": None}, "no readable dSprites file"),
        ({"imgs": np.zeros((400, 8, 8), np.uint8)}, r"imgs must be \[400, 64, 64\]"),
        ({"imgs": np.full((400, 64, 64), 7, np.uint8)}, "must hold 0 and 1"),
        ({"latents_values": np.zeros((400, 3))}, r"must be \[N, 6\]"),
        ({"latents_values": np.tile([1.0, 9, 1, 0, 0, 0], (400, 1))}, "other shapes"),
        ({"latents_values": np.tile([1.0, 1, 1, 2, 0, 0], (400, 1))}, "0 lie within 45 degrees"),
        ({"latents_values": np.array([[Hostile()] * 6] * 400, dtype=object)}, r"must be \[N, 6\]|objects"),
    ],
)
def test_damaged_and_hostile_sprites_are_refused(arrays: Any, said: str, tmp_path: Path) -> None:
    trees.idx(tmp_path)
    _npz(tmp_path / dsprites.FILE, **arrays)
    with pytest.raises(DataError, match=said):
        dsprites.load(dsprites.Config(**SPRITES), tmp_path)
    (tmp_path / dsprites.FILE).write_bytes(b"PK no archive")
    with pytest.raises(DataError, match="no readable dSprites file"):
        dsprites.load(dsprites.Config(**SPRITES), tmp_path)
