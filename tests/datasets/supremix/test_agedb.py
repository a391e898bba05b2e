"""Faces with an age, and digits with an angle, in the layout of AgeDB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import RegressionInfo, Source
from holdfast.datasets.supremix import agedb as supremix_agedb
from holdfast.datasets.supremix.faces import rotate
from PIL import Image

from ..shared import data_root, rotated


def test_rotation_turns_the_picture() -> None:
    picture = torch.zeros(1, 1, 8, 8)
    picture[..., 3:5, 4:] = 1  # a bar to the right
    quarter = rotate(picture, torch.tensor([90.0])).float()[0, 0]
    still = rotate(picture, torch.tensor([0.0])).float()[0, 0]
    assert still[:, 9:].sum() > 5 * still[:, :7].sum()
    assert quarter[:7].sum() > 5 * quarter[9:].sum() or quarter[9:].sum() > 5 * quarter[:7].sum()
    assert abs(float(quarter[:, :7].sum() - quarter[:, 9:].sum())) < 0.2 * float(quarter.sum())


def faces(root: Path, lines: str) -> Source[RegressionInfo]:
    (root / "AgeDB").mkdir(exist_ok=True)
    for i in range(6):
        Image.fromarray(np.full((20, 10, 3), 40 * i, np.uint8)).save(root / "AgeDB" / f"{i}_x_{20 + i}_f.png")
    (root / "agedb.csv").write_text("age,path,split\n" + lines)
    return supremix_agedb.load(supremix_agedb.Config(size=8), root)


GOOD_FACES = "".join(
    f"{20 + i},AgeDB/{i}_x_{20 + i}_f.png,{'train' if i < 3 else 'val' if i < 4 else 'test'}\n" for i in range(6)
)


def test_faces_in_the_released_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    source = faces(tmp_path, GOOD_FACES)
    x, y = source.splits["train"].columns["x"], source.splits["train"].columns["label"]
    assert isinstance(x, torch.Tensor)
    assert x.shape == (3, 3, 8, 8)
    assert x[:, 0, 0, 0].tolist() == [0, 40, 80]
    assert isinstance(y, torch.Tensor)
    assert y.tolist() == [20, 21, 22]
    assert len(source.splits["test"]) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (GOOD_FACES.replace("21,", "old,", 1), "line 3: 'old' in the target column 'age' is no number"),
        (GOOD_FACES.replace(",val", ",maybe"), "line 5: split 'maybe' is none of"),
        (GOOD_FACES + "30,AgeDB/none.png,test\n", "line 8: no image AgeDB/none.png"),
        ("", "no row in the split 'train'"),
    ],
)
def test_bad_faces_are_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, message: str) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=message):
        faces(tmp_path, lines)


def test_an_image_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    (tmp_path / "AgeDB").mkdir()
    (tmp_path / "AgeDB" / "a.jpg").write_bytes(b"no image")
    (tmp_path / "agedb.csv").write_text("age,path,split\n3,AgeDB/a.jpg,train\n")
    with pytest.raises(DataError, match="no readable image"):
        supremix_agedb.load(supremix_agedb.Config(size=8), tmp_path)


real = data_root()


@pytest.mark.skipif(real is None, reason="no shared data beside the checkout")
def test_rotated_digits_in_the_released_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    assert real is not None
    rotated(real, tmp_path, train=122, held_out=61)
    for name in ("mnist", "digits"):
        source = supremix_agedb.load(supremix_agedb.Config(size=16), tmp_path / name)
        assert {split: len(rows) for split, rows in source.splits.items()} == {"train": 122, "valid": 61, "test": 61}
        x, label = source.splits["test"].columns["x"], source.splits["test"].columns["label"]
        assert isinstance(x, torch.Tensor)
        assert isinstance(label, torch.Tensor)
        assert label.unique().tolist() == list(range(61))
        assert bool((x.flatten(1).float().std(1) > 20).all())  # every image shows something
