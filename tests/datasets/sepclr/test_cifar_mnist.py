"""Digits on photographs and on gratings: pairs, counts, columns, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core.contrast import Attribute, ContrastInfo, contrast_source
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import require
from holdfast.datasets.core.table import Table
from holdfast.datasets.readers import cifar, mnist
from holdfast.datasets.sepclr import cifar_mnist
from holdfast.datasets.sepclr.cifar_mnist import Config

from .. import trees

SMALL = {"n_train": 60, "n_valid": 20, "n_test": 30}


def _column(table: Table, name: str) -> Any:
    column = table.columns[name]
    assert isinstance(column, torch.Tensor)
    return column.numpy()


def test_gratings_are_in_both_sets_and_digits_in_the_target_alone() -> None:
    source = cifar_mnist.load(Config(**SMALL), None)
    info = require(source.info, ContrastInfo, "this test")
    assert (source.source, info.column, info.input_shape) == ("stand-in", "image", (1, 8, 8))
    assert [(a.name, a.space, a.target_only) for a in info.attributes] == [
        ("grating", "common", False),
        ("digit", "salient", True),
    ]
    for split, count in (("train", 60), ("valid", 20), ("test", 30)):
        table = source.splits[split]
        target, digit, image = (_column(table, name) for name in ("target", "digit", "image"))
        assert target.tolist() == [0] * count + [1] * count
        assert ((digit == -1) == (target == 0)).all()
        assert len(set(_column(table, "grating").tolist())) == 6
        assert image[target == 0].max() <= 64 < image[target == 1].max()  # a quarter of the light is the grating's


def test_weight_0_draws_no_digit() -> None:
    image = _column(cifar_mnist.load(Config(strength=0, **SMALL), None).splits["train"], "image").astype(float)
    half = len(image) // 2
    assert abs(image[:half].mean() - image[half:].mean()) < 0.05 * image.mean()


def test_the_seed_draws_and_the_checksum_follows() -> None:
    first, again, second = (cifar_mnist.load(Config(seed=seed, **SMALL), None) for seed in (0, 0, 1))
    assert first.checksum == again.checksum != second.checksum


def test_experiences_are_pairs_of_both_sets() -> None:
    table = cifar_mnist.load(Config(experiences=5, **SMALL), None).splits["train"]
    experience, target, digit = (_column(table, name) for name in ("experience", "target", "digit"))
    for k in range(5):
        assert set(digit[(experience == k) & (target == 1)]) <= {2 * k, 2 * k + 1}
        assert (target[experience == k] == 0).sum() == 12


def test_row_i_is_half_an_image_and_half_the_digit_of_the_same_number(tmp_path: Path) -> None:
    trees.idx(trees.cifar(tmp_path), train=50, test=10)
    source = cifar_mnist.load(Config(n_valid=5, test_size=8), tmp_path)
    (images, objects), (digits, numbers) = (
        cifar.read(tmp_path / "cifar-10-batches-py")["train"],
        mnist.read(tmp_path)["train"],
    )
    table = source.splits["train"]
    assert len(table) == 40
    assert _column(table, "target").tolist() == [0] * 20 + [1] * 20
    padded = np.pad(digits[26], 2).astype(int)
    assert (_column(table, "image")[3] == (images[3].transpose(2, 0, 1).astype(int) + 1) // 2).all()
    assert (_column(table, "image")[21] == (images[26].transpose(2, 0, 1).astype(int) + padded + 1) // 2).all()
    assert _column(table, "digit")[21] == numbers[26]
    assert _column(table, "object")[[3, 21]].tolist() == objects[[3, 26]].tolist()
    assert _column(source.splits["valid"], "object").tolist() == objects[[*range(20, 25), *range(45, 50)]].tolist()
    assert len(source.splits["test"]) == 8
    assert len(cifar_mnist.load(Config(n_valid=5, test_size="full"), tmp_path).splits["test"]) == 10


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no CIFAR-10's batches"):
        cifar_mnist.load(Config(), trees.idx(tmp_path))
    with pytest.raises(DataError, match=r"n_train \+ n_valid = 1002"):
        cifar_mnist.load(Config(), trees.cifar(tmp_path))


def _tables(target: list[int], **columns: Any) -> dict[str, Table]:
    table = Table({"x": torch.zeros(len(target), 2), "target": torch.tensor(target), **columns})
    return {"train": table, "valid": table, "test": table}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ([0, 0, 0], "'train' has 0 target rows"),
        ([1, 1], "'train' has 0 background rows"),
        ([0, 1, 1], "'train' has 1 background row; it needs 2"),
    ],
)
def test_a_group_without_rows_is_refused(target: list[int], said: str) -> None:
    with pytest.raises(DataError, match=said):
        contrast_source(_tables(target), [], "real")


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        (Attribute("a/b", "a", "common", ("u", "v")), "cannot be called"),
        (Attribute("target", "a", "common", ("u", "v")), "is no attribute"),
        (Attribute("other", "other", "common"), "no column 'other'"),
        (Attribute("a", "a", "common", ("u",)), "no numbers of its 1 classes"),
        (Attribute("b", "b", "salient"), "infinite"),
    ],
)
def test_attributes_are_held_to_their_declaration(attribute: Attribute, said: str) -> None:
    columns = {"a": torch.tensor([0, 1, -1, 0]), "b": torch.tensor([0.0, torch.inf, torch.nan, 1.0])}
    with pytest.raises(DataError, match=said):
        contrast_source(_tables([0, 0, 1, 1], **columns), [attribute], "real")
