"""Corrupted CIFAR-10: the stand-in, both released layouts of CIFAR-10, the skewed archives, and what damaged ones say."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.cdvg import ccifar10 as cdvg_ccifar10
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.cdvg.biases import PALETTE, assign
from holdfast.datasets.cdvg.corruptions import TYPES, corrupt
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import Colours
from holdfast.datasets.readers import cifar
from PIL import Image

from . import shared, trees


def columns(source: Any, split: str = "train") -> Any:
    return source.splits[split].columns


def aligned(source: Any, split: str) -> float:
    found = columns(source, split)
    return float((found["label"] == found["bias"]).double().mean())


# -- the stand-in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0, 1])
def test_the_stand_in_is_biased_in_training_and_not_in_test(kind: Any) -> None:
    config = cdvg_ccifar10.Config(rho=0.95, type=kind, n_train=600)
    source = cdvg_ccifar10.load(config, None)
    assert {k: len(t) for k, t in source.splits.items()} == {"train": 600, "valid": 100, "test": 397, "unbiased": 600}
    assert source.info.size == 16
    assert abs(aligned(source, "train") - 0.95) < 0.02
    for split in ("test", "unbiased"):
        assert abs(aligned(source, split) - 0.1) < 0.02
    clean = cdvg_ccifar10.digits(config)
    for split in ("train", "test"):
        found = columns(source, split)
        images = found["image"].permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(found["label"].numpy(), clean[split][1])
        np.testing.assert_array_equal(
            found["bias"].numpy(), assign(clean[split][1], 0.95 if split == "train" else 0.1, 10)
        )
        same = (images == clean[split][0]).all((1, 2, 3))
        np.testing.assert_array_equal(
            same, (found["bias"].numpy() == 9) & (kind == 1)
        )  # "original" alone leaves an image as it is


def test_every_image_has_the_corruption_of_its_bias() -> None:
    """Noise aside: what has no randomness must be found again from the clean image, with LfF's severity one below the table's."""
    config = cdvg_ccifar10.Config(rho=0.5, n_train=200, severity=2)
    found, (clean, _) = columns(cdvg_ccifar10.load(config, None)), cdvg_ccifar10.digits(config)["train"]
    for b, name in enumerate(TYPES[0]):
        if name in ("brightness", "contrast", "jpeg", "pixelate", "saturate"):
            rows = np.flatnonzero(found["bias"].numpy() == b)
            want = corrupt(clean[rows], name, 3, [np.random.default_rng(0)] * len(rows))
            np.testing.assert_array_equal(found["image"][rows].permute(0, 2, 3, 1).numpy(), want)


def test_data_follows_seed_type_and_severity() -> None:
    def checksum(**options: Any) -> str:
        return cdvg_ccifar10.load(cdvg_ccifar10.Config(n_train=60, n_valid=20, n_test=40, **options), None).checksum

    sums = [checksum(), checksum(seed=1), checksum(type=1), checksum(severity=1), checksum(rho=0.5), checksum(size=8)]
    assert len(set(sums)) == len(sums)
    assert checksum() == sums[0]


def test_progress_ends_at_the_total() -> None:
    seen: list[tuple[int, int]] = []
    cdvg_ccifar10.load(
        cdvg_ccifar10.Config(n_train=60, n_test=40), None, lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (60 + 100 + 40 + 60, 260)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


# -- CIFAR-10 as it was released -----------------------------------------------------------------------------------

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


class Hostile:
    """A pickle of it would run a command on loading."""

    def __reduce__(self) -> Any:
        return os.system, ("touch opened",)


def _unlink(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink()


def _pickled(path: Path, document: Any) -> None:
    path.write_bytes(pickle.dumps(document, 2))


DATA = np.zeros((3, 3072), np.uint8)
DAMAGES: list[tuple[str, Callable[[Path], Any], str]] = [
    ("py", lambda f: (f / "test_batch").unlink(), "missing: test_batch"),
    ("py", lambda f: (f / "data_batch_2").unlink(), "missing: data_batch_2"),
    ("py", lambda f: _unlink(f.glob("data_batch_*")), "missing: data_batch_1"),
    ("py", lambda f: (f / "data_batch_3").write_bytes(b""), "data_batch_3: no readable batch"),
    ("py", lambda f: (f / "data_batch_3").write_bytes((f / "data_batch_3").read_bytes()[:-9]), "data_batch_3: no readable batch"),
    ("py", lambda f: _pickled(f / "data_batch_3", Hostile()), "system, which no batch of CIFAR-10 needs"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": Hostile(), b"labels": []}), "system, which no batch of CIFAR-10 needs"),
    ("py", lambda f: _pickled(f / "data_batch_3", [1]), "a batch is a dictionary, not list"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA}), "no field labels"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA[:, 1:], b"labels": [0, 1, 2]}), "data must be"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA.astype(float), b"labels": [0, 1, 2]}), "data must be"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": [1], b"labels": [0, 1, 2]}), "data must be .* not list"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA, b"labels": [0, 1]}), "3 images, but no list"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA, b"labels": [0, [1], 2]}), "3 images, but no list"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA, b"labels": ["a", "b", "c"]}), "3 images, but no list"),
    ("py", lambda f: _pickled(f / "data_batch_3", {b"data": DATA, b"labels": [0, 10, 1]}), "0..9, found 0 to 10"),
    ("bin", lambda f: (f / "data_batch_2.bin").write_bytes(b""), "0 bytes are no whole number"),
    ("bin", lambda f: (f / "data_batch_2.bin").write_bytes((f / "data_batch_2.bin").read_bytes()[:-1]), "cut short"),
    ("bin", lambda f: (f / "data_batch_2.bin").write_bytes(bytes([10]) * 3073), "0..9, found 10"),
    ("bin", lambda f: (f / "test_batch.bin").unlink(), "missing: test_batch.bin"),
]  # fmt: skip


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


# -- archives ------------------------------------------------------------------------------------------------------

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
def test_lffs_folders_are_told_apart(tmp_path: Path, module: Any, tree: str, prefix: str, side: int) -> None:
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
    (lambda f: (f / "train" / "images.npy").write_bytes((f / "train" / "images.npy").read_bytes()[:-5]), "no readable array"),
    (lambda f: np.save(f / "train" / "attrs.npy", np.array([Hostile()] * 40), allow_pickle=True), "attrs.npy: no readable array"),
    (lambda f: np.save(f / "train" / "images.npy", np.zeros((40, 30, 30, 3), np.uint8)), r"\[40, 30, 30, 3\] uint8, expected"),
    (lambda f: np.save(f / "train" / "images.npy", np.zeros((40, 3072), np.uint8)), "expected"),
    (lambda f: np.save(f / "train" / "images.npy", np.zeros((40, 32, 32, 3))), "float64, expected"),
    (lambda f: np.save(f / "train" / "attrs.npy", np.zeros(40, np.uint8)), r"\[40\] uint8, expected \[N, 2\]"),
    (lambda f: np.save(f / "train" / "attrs.npy", np.zeros((40, 2))), "float64, expected"),
    (lambda f: np.save(f / "train" / "attrs.npy", np.zeros((39, 2), int)), "40 images, but 39 rows"),
    (lambda f: np.save(f / "train" / "attrs.npy", np.array([[0, 0]] * 38 + [[1, 10], [1, 1]])), r"row 38 holds \[1, 10\]"),
    (lambda f: np.save(f / "train" / "attrs.npy", np.array([[0, 0]] * 39 + [[-1, 1]])), r"row 39 holds \[-1, 1\]"),
    (lambda f: np.save(f / "train" / "attrs.npy", np.zeros((40, 2), int)), "1 class"),
]  # fmt: skip


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
    (lambda f: _image(f / "2pct" / "align" / "0" / "x_0_10.png"), r"x_0_10.png: class 0 and bias 10, both must lie in 0\.\.9"),
    (lambda f: _image(f / "2pct" / "align" / "0" / "x_12_1.png"), "class 12"),
    (lambda f: _image(f / "2pct" / "align" / "0" / "x_0_1.png", (32, 30, 3)), "x_0_1.png: 30 x 32 pixels, others have 32 x 32"),
    (lambda f: (f / "2pct" / "align" / "0" / "x_0_1.png").write_bytes(b"no image"), "x_0_1.png: no readable image"),
    (lambda f: _unlink((f / "test").rglob("*.png")), "'test' holds no image"),
    (lambda f: _unlink(f.rglob("*_9_*.png")), "9 classes of 32 px images, expected 10 of 32 px"),
    (lambda f: _image(f.rglob("*.png"), (28, 28, 3)), "10 classes of 28 px images, expected 10 of 32 px"),
]  # fmt: skip


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


# -- real CIFAR-10 -------------------------------------------------------------------------------------------------


def test_real_cifar10(tmp_path: Path) -> None:
    data = shared.place()
    if data is None or not (data / "cifar10").is_dir():
        pytest.skip("no shared CIFAR-10 beside the checkout")
    shared.cifar10(data, tmp_path, rows=700)
    with pytest.warns(UserWarning, match="2 of CIFAR-10's 5 training batches"):
        source = cdvg_ccifar10.load(cdvg_ccifar10.Config(rho=0.95, n_valid=400), tmp_path)
    assert {k: len(t) for k, t in source.splits.items()} == {"train": 1000, "valid": 400, "test": 700, "unbiased": 1000}
    assert list(source.class_names)[columns(source)["label"][0]] == "frog", (
        "the first image of the official order is a frog"
    )
    assert abs(aligned(source, "train") - 0.95) < 0.01
    images = columns(source, "unbiased")["image"].float()
    assert 0.35 * 255 < float(images.mean()) < 0.65 * 255
    near = (images[..., 1:] - images[..., :-1]).abs().mean()
    far = (images[..., 16:] - images[..., :-16]).abs().mean()
    assert near < 0.5 * far, "neighbouring pixels are alike: rows, columns and planes are in their places"
