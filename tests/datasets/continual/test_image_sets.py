"""Plain image sets: sizes, splits, seeds, stand-ins that say so, files under a data root, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.continual import cifar10, digits, mnist
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import ImageInfo, Source
from holdfast.datasets.readers import cifar
from holdfast.datasets.readers.mnist import FILES
from sklearn.datasets import load_digits

from .. import trees

MODULES: list[Any] = [digits, mnist, cifar10]


def _columns(source: Source[Any]) -> dict[str, dict[str, Any]]:
    return {split: dict(table.columns) for split, table in source.splits.items()}


@pytest.mark.parametrize("module", MODULES)
def test_without_a_root_the_images_are_those_of_scikit_learn(module: Any) -> None:
    source = module.load(module.Config(), None)
    assert source.source == ("real" if module is digits else "stand-in")
    assert source.random_split
    assert source.class_names == [str(c) for c in range(10)]
    assert isinstance(source.info, ImageInfo)
    assert (source.info.classes, source.info.channels) == (10, 3)
    columns = _columns(source)
    assert {split: len(part["label"]) for split, part in columns.items()} == {"train": 1300, "valid": 100, "test": 397}
    for part in columns.values():
        assert part["image"].dtype == torch.uint8
        assert part["image"].shape[1:] == (3, source.info.size, source.info.size)
    labels = torch.cat([part["label"] for part in columns.values()])
    assert torch.bincount(labels).tolist() == np.bincount(load_digits().target).tolist()


def test_every_digit_is_in_one_split() -> None:
    """The rows of all splits, sorted, are scikit-learn's."""
    source = digits.load(digits.Config(), None)
    rows = [
        (*image[0].flatten().tolist(), label)
        for part in _columns(source).values()
        for image, label in zip(part["image"], part["label"].tolist(), strict=True)
    ]
    plain = load_digits()
    levels = np.round(plain.images * (255 / 16)).astype(int).reshape(len(plain.target), -1)
    assert sorted(rows) == sorted((*row.tolist(), int(y)) for row, y in zip(levels, plain.target, strict=True))


@pytest.mark.parametrize("module", MODULES)
def test_the_seed_draws_the_split_and_the_checksum_follows(module: Any) -> None:
    first, again, second = (module.load(module.Config(seed=seed), None) for seed in (0, 0, 1))
    assert first.checksum == again.checksum != second.checksum
    assert not torch.equal(_columns(first)["test"]["label"], _columns(second)["test"]["label"])
    limited = module.load(module.Config(n_train=50, n_valid=20, n_test=30), None)
    assert [len(table) for table in limited.splits.values()] == [50, 20, 30]
    with pytest.raises(DataError, match=r"n_train \+ n_valid = 1480, but there are 1400"):
        module.load(module.Config(n_train=1380), None)


@pytest.mark.parametrize(("module", "sizes"), [(digits, (8, 16, 28, 32)), (mnist, (8, 16, 28)), (cifar10, (8, 16, 32))])
def test_the_side_is_the_one_asked_for(module: Any, sizes: tuple[int, ...]) -> None:
    for size in sizes:
        source = module.load(module.Config(size=size, n_train=20, n_test=10), None)
        assert source.info.size == size
        assert source.splits["train"].columns["image"].shape == (20, 3, size, size)


def test_colour_of_the_stand_in_of_cifar10_says_nothing_of_the_class() -> None:
    columns = _columns(cifar10.load(cifar10.Config(), None))["train"]
    image, label = columns["image"].double(), columns["label"]
    assert (image[:, 0] - image[:, 1]).abs().mean() > 10, "the images are coloured"
    corner = image[:, :, 0, 0]  # ground, whatever the digit
    means = torch.stack([corner[label == c].mean(0) for c in range(10)])
    assert (means - corner.mean(0)).abs().max() < 15, "10 grey levels are three standard errors of a class's mean"


def test_a_folder_given_to_the_digits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"leave --data-root out, or take data\.name=mnist"):
        digits.load(digits.Config(), tmp_path)


@pytest.mark.parametrize("module", [mnist, cifar10])
def test_a_folder_without_the_files_is_named(module: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}: no .*--data-root names the folder"):
        module.load(module.Config(), tmp_path)


def _idx(path: Path, array: Any) -> None:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    path.write_bytes(head + array.tobytes())


@pytest.fixture
def idx(tmp_path: Path) -> dict[str, Any]:
    """MNIST's files with 60 images each; the first pixel of an image is its number."""
    numbers = np.arange(60, dtype=np.uint8)
    grey = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
    grey[:, 0, 0] = numbers
    for images, labels in FILES.values():
        _idx(tmp_path / images, grey)
        _idx(tmp_path / labels, numbers % 10)
    return {"root": tmp_path, "grey": grey}


def test_mnist_reads_every_image_once_with_its_label(idx: dict[str, Any]) -> None:
    source = mnist.load(mnist.Config(n_valid=20), idx["root"])
    assert (source.source, source.random_split, source.info.size) == ("real", False, 28)
    columns = _columns(source)
    numbers = {split: part["image"][:, 0, 0, 0] for split, part in columns.items()}
    assert sorted([*numbers["train"].tolist(), *numbers["valid"].tolist()]) == list(range(60))
    assert len(numbers["valid"]) == 20
    for split, part in columns.items():
        assert torch.equal(part["label"], numbers[split].long() % 10)
        grey = torch.from_numpy(idx["grey"][numbers[split].long()])
        assert all(torch.equal(part["image"][:, channel], grey) for channel in range(3))


def test_another_seed_keeps_other_images_for_validation(idx: dict[str, Any]) -> None:
    first, second = (_columns(mnist.load(mnist.Config(n_valid=20, seed=s), idx["root"])) for s in (0, 1))
    numbers = [sorted(part["valid"]["image"][:, 0, 0, 0].tolist()) for part in (first, second)]
    assert numbers[0] != numbers[1]
    tests = [sorted(part["test"]["image"][:, 0, 0, 0].tolist()) for part in (first, second)]
    assert tests[0] == tests[1] == list(range(60)), "the released test set is one for all seeds"


def test_a_damaged_file_of_mnist_is_named(idx: dict[str, Any]) -> None:
    (idx["root"] / FILES["train"][1]).write_bytes(b"\x00\x00\x08\x01\x00")
    with pytest.raises(DataError, match=FILES["train"][1]):
        mnist.load(mnist.Config(n_valid=20), idx["root"])


@pytest.mark.parametrize("kind", ["py", "bin"])
def test_cifar10_in_both_layouts(kind: str, tmp_path: Path) -> None:
    trees.cifar(tmp_path, kind)
    source = cifar10.load(cifar10.Config(n_valid=20), tmp_path)
    assert (source.source, source.random_split, source.info.size) == ("real", False, 32)
    assert source.class_names == list(cifar.CLASSES)
    folder = cifar.find(tmp_path)
    assert folder is not None
    read = cifar.read(folder)
    columns = _columns(source)
    rows = {
        split: sorted(
            (*image.flatten().tolist(), label)
            for image, label in zip(part["image"].permute(0, 2, 3, 1), part["label"].tolist(), strict=True)
        )
        for split, part in columns.items()
    }
    for split, kept in (("train", rows["train"] + rows["valid"]), ("test", rows["test"])):
        images, labels = read[split]
        assert sorted(kept) == sorted((*x.flatten().tolist(), int(y)) for x, y in zip(images, labels, strict=True))


@pytest.mark.parametrize("module", MODULES)
def test_check_counts_the_classes_of_each_split(module: Any) -> None:
    document = module.check(module.Config(n_train=100, n_test=50), None)
    assert document["train"]["rows"] == 100 == sum(document["train"]["by_class"].values())
    labels = _columns(module.load(module.Config(n_train=100, n_test=50), None))["train"]["label"]
    assert list(document["train"]["by_class"].values()) == torch.bincount(labels, minlength=10).tolist()
    assert document["size"] == module.load(module.Config(), None).info.size
