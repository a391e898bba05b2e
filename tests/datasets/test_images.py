"""Image sets: assignment, released layouts written on the spot, real MNIST where it lies beside here; faults."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.cdvg import bffhq as cdvg_bffhq
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.cdvg import drift as cdvg_drift
from holdfast.datasets.cdvg import folder as cdvg_folder
from holdfast.datasets.cdvg.biases import BACKGROUNDS, assign, colour_background
from holdfast.datasets.cdvg.digits import FILES
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.readers.idx import read_idx
from holdfast.datasets.readers.images import read_image
from PIL import Image

from .shared import place


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.5, 0.95, 0.995, 1.0])
def test_assignment_holds_its_share(rho: float) -> None:
    labels = np.random.default_rng(0).integers(0, 10, 3000)
    bias = assign(labels, rho, 10)
    for c in range(10):
        mine = bias[labels == c]
        assert abs(np.mean(mine == c) - rho) <= 1 / len(mine) + 1e-12  # two milestones, each rounded
        others = np.bincount(mine, minlength=10)[np.arange(10) != c]
        assert others.max() - others.min() <= 1
    if rho == 1:
        np.testing.assert_array_equal(bias, labels)
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError, match="rho"):
            assign(labels, bad, 10)
    with pytest.raises(ValueError, match="labels"):
        assign(labels, 0.5, 9)


def test_background_is_coloured_and_the_digit_white() -> None:
    grey = np.zeros((10, 4, 4), np.uint8)
    grey[:, 1] = 200
    images = colour_background(grey, np.arange(10))
    assert (images[:, 1] == 255).all()
    for b in range(10):
        assert (images[b, 0] == BACKGROUNDS[b]).all()


def test_the_stand_in_is_biased_in_training_and_not_in_test() -> None:
    source = cdvg_cmnist.load(cdvg_cmnist.Config(rho=1.0), None)
    assert {k: len(t) for k, t in source.splits.items()} == {"train": 1300, "valid": 100, "test": 397, "unbiased": 1300}
    both: dict[str, Any] = {k: t.columns for k, t in source.splits.items()}
    shares = {k: float((columns["label"] == columns["bias"]).double().mean()) for k, columns in both.items()}
    assert shares["train"] == shares["valid"] == 1
    assert abs(shares["test"] - 0.1) < 0.02
    again = cdvg_cmnist.load(cdvg_cmnist.Config(rho=1.0), None)
    assert again.checksum == source.checksum
    assert cdvg_cmnist.load(cdvg_cmnist.Config(rho=0.95), None).checksum != source.checksum


def _idx(path: Path, array: Any) -> None:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()) if path.suffix == ".gz" else head + array.tobytes())


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("inner", ["", "MNIST/raw"])
def test_idx_files_are_read_compressed_or_not(tmp_path: Path, end: str, inner: str) -> None:
    r = np.random.default_rng(0)
    folder = tmp_path / inner
    folder.mkdir(parents=True, exist_ok=True)
    for images, labels in FILES.values():
        _idx(folder / (images + end), r.integers(0, 256, (60, 28, 28), dtype=np.uint8))
        _idx(folder / (labels + end), r.integers(0, 10, 60, dtype=np.uint8))
    for size, side in ((None, 28), (16, 16), (8, 8)):
        config = cdvg_cmnist.Config(n_train=40, n_valid=20, size=size)
        source = cdvg_cmnist.load(config, tmp_path)
        assert source.source == "real"
        assert source.info.size == side
    with pytest.raises(DataError, match="there are 60 training images"):
        cdvg_cmnist.load(cdvg_cmnist.Config(n_train=50, n_valid=20), tmp_path)
    (folder / (FILES["test"][1] + end)).write_bytes(b"\x00\x00\x08\x01\x00")
    with pytest.raises(DataError, match="idx"):
        cdvg_cmnist.load(cdvg_cmnist.Config(n_train=40, n_valid=20), tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    for module in (cdvg_cmnist, cdvg_drift, cdvg_folder, cdvg_bffhq):
        with pytest.raises(DataError, match=str(tmp_path)):
            module.load(module.Config(), tmp_path)
    with pytest.raises(DataError, match="missing"):
        read_idx(tmp_path / "x")


def test_real_mnist() -> None:
    shared = place()
    if shared is None:
        pytest.skip("no shared data beside the checkout")
    source = cdvg_cmnist.load(cdvg_cmnist.Config(n_train=500, n_valid=200, n_test=1000, rho=0.95), shared)
    labels, bias = (np.asarray(source.splits["train"].columns[n]) for n in ("label", "bias"))
    assert abs((labels == bias).mean() - 0.95) < 0.01
    assert len(source.splits["test"]) == 1000


def test_drift_contradicts_the_experience_before() -> None:
    source = cdvg_drift.load(cdvg_drift.Config(n_train=200, experiences=3, shift=2), None)
    columns: Any = source.splits["train"].columns
    for k in range(3):
        rows = columns["experience"] == k
        assert torch.equal(columns["bias"][rows], (columns["label"][rows] + 2 * k) % 10)
    assert torch.equal(columns["bias"], columns["usual"])
    test: Any = source.splits["test"].columns
    assert float((test["bias"] == test["usual"]).double().mean()) < 0.2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    r = np.random.default_rng(0)
    rows = []
    for number in range(24):
        shape = (20, 30, 3) if number % 2 else (17, 17)  # colour and grey, no power of two
        Image.fromarray(r.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / f"{number}.png")
        rows.append([f"{number}.png", "ab"[number % 2], "xy"[number // 12], ("train", "valid", "test")[number % 3]])
    _index(tmp_path, rows)
    return tmp_path


def _index(folder: Path, rows: list[list[str]], names: tuple[str, ...] = ("path", "label", "bias", "split")) -> None:
    with (folder / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


def test_a_folder_of_images(folder: Path) -> None:
    source = cdvg_folder.load(cdvg_folder.Config(size=12), folder)
    image: Any = source.splits["train"].columns["image"]
    assert image.shape == (8, 3, 12, 12)
    assert list(source.class_names) == ["a", "b"]
    grey = image[source.splits["train"].columns["label"] == 0]
    assert torch.equal(grey[:, 0], grey[:, 2])


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        ([["0.png", "a", "x", "train"]], ("path", "label", "gender", "split"), "no column bias"),
        ([["99.png", "a", "x", "train"]], ("path", "label", "bias", "split"), "line 2: no file 99.png"),
        ([["0.png", "a", "", "train"]], ("path", "label", "bias", "split"), "line 2: needs a label"),
        ([["0.png", "a", "x", "tran"]], ("path", "label", "bias", "split"), "line 2: needs a label"),
        ([["0.png", "a", "x", "train"]], ("path", "label", "bias", "split"), "'valid' holds no image"),
        ([[f"{n}.png", "a", "x", s] for n, s in enumerate(("train", "valid", "test"))], ("path", "label", "bias", "split"), "1 class"),
        ([["0.png", "a", "x", "train"], ["1.png", "b", "x", "valid"], ["2.png", "a", "x", "test"]], ("path", "label", "bias", "split"), "classes b"),
        ([[n, "a", "x", s] for n, s in (("index.csv", "train"), ("1.png", "valid"), ("2.png", "test"))], ("path", "label", "bias", "split"), "no readable image"),
    ],
)  # fmt: skip
def test_faults_of_a_folder_are_named(folder: Path, rows: Any, names: Any, message: str) -> None:
    _index(folder, rows, names)
    with pytest.raises(DataError, match=message):
        cdvg_folder.load(cdvg_folder.Config(), folder)


def test_pixels_that_are_not_numbers(folder: Path) -> None:
    Image.fromarray(np.full((9, 9), np.nan, np.float32)).save(folder / "nan.tiff")
    with pytest.raises(DataError, match="not numbers"):
        read_image(folder / "nan.tiff", 8)


@pytest.mark.parametrize("spelling", ["conflict", "conlict"])
def test_the_layout_of_bffhq(tmp_path: Path, spelling: str) -> None:
    def put(where: str, y: int, b: int) -> None:
        path = tmp_path / "bffhq" / where / f"face_{y}_{b}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((10, 10, 3), 100 * y + b, np.uint8)).save(path)

    for y in (0, 1):
        put(f"0.5pct/align/{y}", y, y)
        put(f"0.5pct/{spelling}/{y}", y, 1 - y)
        for split in ("valid", "test"):
            put(split, y, 1 - y)
    source = cdvg_bffhq.load(cdvg_bffhq.Config(size=8), tmp_path)
    columns: Any = source.splits["train"].columns
    assert sorted(zip(columns["label"].tolist(), columns["bias"].tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]
    assert (columns["image"][:, 0, 0, 0] == 100 * columns["label"] + columns["bias"]).all()
    aligned = cdvg_bffhq.load(cdvg_bffhq.Config(size=8, aligned_only=True), tmp_path)
    assert len(aligned.splits["train"]) == 2
