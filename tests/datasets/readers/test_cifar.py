"""CIFAR-10's batches in both layouts; damaged and hostile ones."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holdfast.datasets.cdvg import ccifar10 as cdvg_ccifar10
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.readers import cifar

from .. import trees
from ..damage import Hostile, unlink

SMALL = {"n_train": 40, "n_valid": 20}


def test_both_layouts_hold_the_same(tmp_path: Path) -> None:
    trees.cifar(tmp_path / "a", "py")
    trees.cifar(tmp_path / "b", "bin")
    one, two = (cifar.read(cifar.find(tmp_path / k) or tmp_path) for k in "ab")
    for split, count in (("train", 60), ("test", 12)):
        for x, y in zip(one[split], two[split], strict=True):
            np.testing.assert_array_equal(x, y)
        images, labels = one[split]
        assert images.shape == (count, 32, 32, 3)
        start = 0 if split == "train" else 60
        np.testing.assert_array_equal(images[:, 0, 0, 0], np.arange(count) + start)
        np.testing.assert_array_equal(labels, (np.arange(count) + start) % 10)
    assert cdvg_ccifar10.load(cdvg_ccifar10.Config(**SMALL), tmp_path / "a").source == "real"


def test_planes_become_channels(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-bin").mkdir()
    red = np.concatenate([np.full(1024, v, np.uint8) for v in (200, 100, 50)])
    red[1] = 7  # first row, second column, red
    for name in ("data_batch_1", "test_batch"):
        (tmp_path / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(bytes([3]) + red.tobytes())
    with pytest.warns(UserWarning, match="1 of CIFAR-10's 5"):
        images, labels = cifar.read(tmp_path / "cifar-10-batches-bin")["train"]
    assert images[0, 0, 1].tolist() == [7, 100, 50]
    assert images[0, 1, 0].tolist() == [200, 100, 50]
    assert labels.tolist() == [3]


@pytest.mark.parametrize("inner", ["cifar10", "CIFAR10"])
def test_folders_in_which_batches_are_found(tmp_path: Path, inner: str) -> None:
    trees.cifar(tmp_path / inner)
    assert cifar.find(tmp_path) == tmp_path / inner / "cifar-10-batches-py"
    assert cifar.find(tmp_path / inner / "cifar-10-batches-py") == tmp_path / inner / "cifar-10-batches-py"


def _pickled(path: Path, document: Any) -> None:
    path.write_bytes(pickle.dumps(document, 2))


DATA = np.zeros((3, 3072), np.uint8)


DAMAGES: list[tuple[str, Callable[[Path], Any], str]] = [
    ("py", lambda f: (f / "test_batch").unlink(), "missing: test_batch"),
    ("py", lambda f: (f / "data_batch_2").unlink(), "missing: data_batch_2"),
    ("py", lambda f: unlink(f.glob("data_batch_*")), "missing: data_batch_1"),
    ("py", lambda f: (f / "data_batch_3").write_bytes(b""), "data_batch_3: no readable batch"),
    (
        "py",
        lambda f: (f / "data_batch_3").write_bytes((f / "data_batch_3").read_bytes()[:-9]),
        "data_batch_3: no readable batch",
    ),
    ("py", lambda f: _pickled(f / "data_batch_3", Hostile()), "system, which no batch of CIFAR needs"),
    (
        "py",
        lambda f: _pickled(f / "data_batch_3", {b"data": Hostile(), b"labels": []}),
        "system, which no batch of CIFAR needs",
    ),
    ("py", lambda f: _pickled(f / "data_batch_3", [1]), "a batch is a dictionary, not list"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA}), "no field labels"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA[:, 1:], b"labels": [0, 1, 2]}), "data must be"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA.astype(float), b"labels": [0, 1, 2]}), "data must be"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": [1], b"labels": [0, 1, 2]}), "data must be .* not list"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA, b"labels": [0, 1]}), "3 images, but no list"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA, b"labels": [0, [1], 2]}), "3 images, but no list"),
    (
        "py",
        lambda f: _pickled(f / "data_batch_3", {b"data": DATA, b"labels": ["a", "b", "c"]}),
        "3 images, but no list",
    ),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA, b"labels": [0, 10, 1]}), "0..9, found 0 to 10"),
    ("bin", lambda f: (f / "data_batch_2.bin").write_bytes(b""), "0 bytes are no whole number"),
    ("bin", lambda f: (f / "data_batch_2.bin").write_bytes((f / "data_batch_2.bin").read_bytes()[:-1]), "cut short"),
    ("bin", lambda f: (f / "data_batch_2.bin").write_bytes(bytes([10]) * 3073), "0..9, found 10"),
    ("bin", lambda f: (f / "test_batch.bin").unlink(), "missing: test_batch.bin"),
]


@pytest.mark.parametrize(("kind", "damage", "message"), DAMAGES)
def test_damaged_batches_are_named(tmp_path: Path, kind: str, damage: Any, message: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    root = trees.cifar(tmp_path / "root", kind)
    damage(root / f"cifar-10-batches-{kind}")
    with pytest.raises(DataError, match=message):
        cdvg_ccifar10.load(cdvg_ccifar10.Config(**SMALL), root)
    assert not (tmp_path / "opened").exists(), "the pickle ran a command"


def test_too_many_rows_are_asked_for(tmp_path: Path) -> None:
    trees.cifar(tmp_path)
    with pytest.raises(DataError, match=r"n_train \+ n_valid = 61, but there are 60"):
        cdvg_ccifar10.load(cdvg_ccifar10.Config(n_train=41, n_valid=20), tmp_path)
    with pytest.raises(DataError, match="n_valid = 5001, but there are 60"):
        cdvg_ccifar10.load(cdvg_ccifar10.Config(), tmp_path)
