"""Archives of biased images as DisEnt and LfF release them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.cdvg import ccifar10 as cdvg_ccifar10
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.cdvg.biases import PALETTE
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import Colours
from PIL import Image

from .. import trees
from ..damage import Hostile, unlink
from .columns import aligned, columns

SMALL = {"n_train": 40, "n_valid": 20}


SETS: list[tuple[Any, str, str, int]] = [
    (cdvg_cmnist, "cmnist", "ColoredMNIST", 28),
    (cdvg_ccifar10, "cifar10c", "CorruptedCIFAR10-Type0", 32),
]


each_set = pytest.mark.parametrize(("module", "tree", "prefix", "side"), SETS)


@each_set
@pytest.mark.parametrize("spelling", ["conflict", "conlict"])
def test_disents_tree(tmp_path: Path, module: Any, tree: str, prefix: str, side: int, spelling: str) -> None:
    trees.disent(tmp_path, tree, side, "2pct", spelling)
    for root in (tmp_path, tmp_path / tree):
        source = module.load(module.Config(), root)
        assert {k: len(t) for k, t in source.splits.items()} == {"train": 20, "valid": 10, "test": 10}
        assert source.info.size == side
        assert len(source.class_names) == 10
        found = columns(source)
        assert torch.equal(found["image"][:, 0, 5, 5], (20 * found["label"] + found["bias"]).to(torch.uint8))
        assert aligned(source, "train") == 0.5
    only = module.load(module.Config(aligned_only=True), tmp_path)
    assert len(only.splits["train"]) == 10
    assert aligned(only, "train") == 1
    few = module.load(module.Config(n_train=20, n_valid=7, n_test=4), tmp_path)
    assert {k: len(t) for k, t in few.splits.items()} == {"train": 20, "valid": 7, "test": 4}
    with pytest.raises(DataError, match="n_valid = 11, but there are 10 valid images"):
        module.load(module.Config(n_valid=11), tmp_path)


@each_set
def test_a_share_is_chosen_where_there_are_several(
    tmp_path: Path, module: Any, tree: str, prefix: str, side: int
) -> None:
    trees.disent(tmp_path, tree, side, "1pct")
    trees.disent(tmp_path, tree, side, "5pct")
    with pytest.raises(DataError, match=r"more than one share \(1pct, 5pct\).*data.options.share=1pct"):
        module.load(module.Config(), tmp_path)
    assert len(module.load(module.Config(share="5pct"), tmp_path).splits["train"]) == 20
    with pytest.raises(DataError, match=r"missing: .*0.5pct/align, .*0.5pct/conflict"):
        module.load(module.Config(share="0.5pct"), tmp_path)


@each_set
def test_lffs_arrays(tmp_path: Path, module: Any, tree: str, prefix: str, side: int) -> None:
    folder = f"{prefix}-Skewed0.02-Severity3"
    trees.lff(tmp_path, folder, side)
    for root in (tmp_path, tmp_path / folder):
        source = module.load(module.Config(severity=3, n_valid=10), root)
        assert {k: len(t) for k, t in source.splits.items()} == {"train": 30, "valid": 10, "test": 40}
        assert aligned(source, "train") == 0.8
        assert aligned(source, "test") == 0.5
        for split in source.splits:
            assert torch.equal(columns(source, split)["image"][:, 0, 0, 0].long(), columns(source, split)["label"])
    only = module.load(module.Config(severity=3, n_valid=10, aligned_only=True), tmp_path)
    assert len(only.splits["train"]) == 22
    assert aligned(only, "train") == 1


@each_set
def test_lffs_folders_are_distinguished(tmp_path: Path, module: Any, tree: str, prefix: str, side: int) -> None:
    for skew, severity in (("0.05", 4), ("0.005", 4), ("0.01", 1)):
        trees.lff(tmp_path, f"{prefix}-Skewed{skew}-Severity{severity}", side)
    with pytest.raises(DataError, match=r"0.5pct, 5pct.*data.options.share"):
        module.load(module.Config(severity=4, n_valid=10), tmp_path)
    assert len(module.load(module.Config(severity=4, n_valid=10, share="0.5pct"), tmp_path).splits["train"]) == 30
    assert len(module.load(module.Config(severity=1, n_valid=10), tmp_path).splits["train"]) == 30
    with pytest.raises(DataError, match=r"severity 3 .*there are: .*Severity1"):
        module.load(module.Config(severity=3, n_valid=10), tmp_path)
    with pytest.raises(DataError, match=r"Skewed0.02-Severity4 .*there are: "):
        module.load(module.Config(severity=4, share="2pct", n_valid=10), tmp_path)


def test_the_other_type_is_said(tmp_path: Path) -> None:
    trees.lff(tmp_path, "CorruptedCIFAR10-Type1-Skewed0.02-Severity4", 32)
    with pytest.raises(DataError, match=r"nothing to read.*CorruptedCIFAR10-Type0-Skewed.*Type1-Skewed0.02"):
        cdvg_ccifar10.load(cdvg_ccifar10.Config(n_valid=10), tmp_path)
    assert len(cdvg_ccifar10.load(cdvg_ccifar10.Config(n_valid=10, type=1), tmp_path).splits["train"]) == 30


ARRAYS: list[tuple[Callable[[Path], Any], str]] = [
    (lambda f: (f / "train" / "images.npy").unlink(), "train/images.npy: missing"),
    (lambda f: (f / "valid" / "attrs.npy").unlink(), "valid/attrs.npy: missing"),
    (lambda f: (f / "train" / "images.npy").write_bytes(b"\x93NUMPY"), "images.npy: no readable array"),
    (
        lambda f: (f / "train" / "images.npy").write_bytes((f / "train" / "images.npy").read_bytes()[:-5]),
        "no readable array",
    ),
    (
        lambda f: np.save(f / "train" / "attrs.npy", np.array([Hostile()] * 40), allow_pickle=True),
        "attrs.npy: no readable array",
    ),
    (
        lambda f: np.save(f / "train" / "images.npy", np.zeros((40, 30, 30, 3), np.uint8)),
        r"\[40, 30, 30, 3\] uint8, expected",
    ),
    (lambda f: np.save(f / "train" / "images.npy", np.zeros((40, 3072), np.uint8)), "expected"),
    (lambda f: np.save(f / "train" / "images.npy", np.zeros((40, 32, 32, 3))), "float64, expected"),
    (lambda f: np.save(f / "train" / "attrs.npy", np.zeros(40, np.uint8)), r"\[40\] uint8, expected \[N, 2\]"),
    (lambda f: np.save(f / "train" / "attrs.npy", np.zeros((40, 2))), "float64, expected"),
    (lambda f: np.save(f / "train" / "attrs.npy", np.zeros((39, 2), int)), "40 images, but 39 rows"),
    (
        lambda f: np.save(f / "train" / "attrs.npy", np.array([[0, 0]] * 38 + [[1, 10], [1, 1]])),
        r"row 38 holds \[1, 10\]",
    ),
    (lambda f: np.save(f / "train" / "attrs.npy", np.array([[0, 0]] * 39 + [[-1, 1]])), r"row 39 holds \[-1, 1\]"),
    (lambda f: np.save(f / "train" / "attrs.npy", np.zeros((40, 2), int)), "1 class"),
]


@pytest.mark.parametrize(("damage", "message"), ARRAYS)
def test_damaged_arrays_are_named(tmp_path: Path, damage: Any, message: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    name = "CorruptedCIFAR10-Type0-Skewed0.02-Severity4"
    damage(trees.lff(tmp_path, name, 32) / name)
    with pytest.raises(DataError, match=message):
        cdvg_ccifar10.load(cdvg_ccifar10.Config(n_valid=10), tmp_path)
    assert not (tmp_path / "opened").exists(), "the pickle ran a command"


def _image(paths: Path | Iterable[Path], shape: tuple[int, ...] = (32, 32, 3)) -> None:
    for path in [paths] if isinstance(paths, Path) else paths:
        Image.fromarray(np.zeros(shape, np.uint8)).save(path)


TREES: list[tuple[Callable[[Path], Any], str]] = [
    (lambda f: _image(f / "2pct" / "align" / "0" / "other.png"), "other.png: the name does not end in"),
    (
        lambda f: _image(f / "2pct" / "align" / "0" / "x_0_10.png"),
        r"x_0_10.png: class 0 and bias 10, both must lie in 0\.\.9",
    ),
    (lambda f: _image(f / "2pct" / "align" / "0" / "x_12_1.png"), "class 12"),
    (
        lambda f: _image(f / "2pct" / "align" / "0" / "x_0_1.png", (32, 30, 3)),
        "x_0_1.png: 30 x 32 pixels, others have 32 x 32",
    ),
    (lambda f: (f / "2pct" / "align" / "0" / "x_0_1.png").write_bytes(b"no image"), "x_0_1.png: no readable image"),
    (lambda f: unlink((f / "test").rglob("*.png")), "'test' holds no image"),
    (lambda f: unlink(f.rglob("*_9_*.png")), "9 classes of 32 px images, expected 10 of 32 px"),
    (lambda f: _image(f.rglob("*.png"), (28, 28, 3)), "10 classes of 28 px images, expected 10 of 32 px"),
]


@pytest.mark.parametrize(("damage", "message"), TREES)
def test_damaged_trees_are_named(tmp_path: Path, damage: Any, message: str) -> None:
    damage(trees.disent(tmp_path, "cifar10c", 32, "2pct") / "cifar10c")
    with pytest.raises(DataError, match=message):
        cdvg_ccifar10.load(cdvg_ccifar10.Config(), tmp_path)


def test_several_layouts_must_be_chosen_from(tmp_path: Path) -> None:
    trees.cifar(tmp_path)
    trees.disent(tmp_path, "cifar10c", 32)
    trees.lff(tmp_path, "CorruptedCIFAR10-Type0-Skewed0.02-Severity4", 32)
    with pytest.raises(DataError, match=r"clean and disent and lff lie there.*data.options.layout=clean"):
        cdvg_ccifar10.load(cdvg_ccifar10.Config(**SMALL), tmp_path)
    counts = {}
    for layout in ("clean", "disent", "lff"):
        config = cdvg_ccifar10.Config(layout=layout, n_valid=10)
        counts[layout] = len(cdvg_ccifar10.load(config, tmp_path).splits["train"])
    assert counts == {"clean": 50, "disent": 20, "lff": 30}


@each_set
def test_an_empty_root_says_what_may_lie_there(tmp_path: Path, module: Any, tree: str, prefix: str, side: int) -> None:
    with pytest.raises(DataError, match=f"nothing to read; .* DisEnt's {tree} or LfF's {prefix}-Skewed"):
        module.load(module.Config(), tmp_path)
    with pytest.raises(DataError, match=r"in the layout 'lff' \(found: none\)"):
        module.load(module.Config(layout="lff"), tmp_path)


def test_an_archive_of_digits_is_coloured_already(tmp_path: Path) -> None:
    trees.lff(tmp_path, "ColoredMNIST-Skewed0.02-Severity2", 28)
    source = cdvg_cmnist.load(cdvg_cmnist.Config(n_valid=10), tmp_path)
    assert source.info.colours == Colours("foreground", PALETTE)
    for options in ({"carrier": "background"}, {"size": 16}):
        with pytest.raises(DataError, match="coloured in the foreground at 28 px"):
            cdvg_cmnist.load(cdvg_cmnist.Config(n_valid=10, **options), tmp_path)
