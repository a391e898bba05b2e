"""A user's folder of images."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.cdvg import folder as cdvg_folder
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.readers.images import read_image
from PIL import Image


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
        ([["0.png", "a", "x", "train"]], ("path", "class", "bias", "split"), "no column label"),
        ([["99.png", "a", "x", "train"]], ("path", "label", "bias", "split"), "line 2: no file 99.png"),
        ([["0.png", "a", "", "train"]], ("path", "label", "bias", "split"), "line 2: needs a label"),
        ([["0.png", "a", "x", "tran"]], ("path", "label", "bias", "split"), "line 2: needs a label"),
        ([["0.png", "a", "x", "train"]], ("path", "label", "bias", "split"), "'valid' holds no image"),
        (
            [[f"{n}.png", "a", "x", s] for n, s in enumerate(("train", "valid", "test"))],
            ("path", "label", "bias", "split"),
            "1 class",
        ),
        (
            [["0.png", "a", "x", "train"], ["1.png", "b", "x", "valid"], ["2.png", "a", "x", "test"]],
            ("path", "label", "bias", "split"),
            "classes b",
        ),
        (
            [[n, "a", "x", s] for n, s in (("index.csv", "train"), ("1.png", "valid"), ("2.png", "test"))],
            ("path", "label", "bias", "split"),
            "no readable image",
        ),
    ],
)
def test_faults_of_a_folder_are_named(folder: Path, rows: Any, names: Any, message: str) -> None:
    _index(folder, rows, names)
    with pytest.raises(DataError, match=message):
        cdvg_folder.load(cdvg_folder.Config(), folder)


def test_pixels_that_are_not_numbers(folder: Path) -> None:
    Image.fromarray(np.full((9, 9), np.nan, np.float32)).save(folder / "nan.tiff")
    with pytest.raises(DataError, match="not numbers"):
        read_image(folder / "nan.tiff", 8)
