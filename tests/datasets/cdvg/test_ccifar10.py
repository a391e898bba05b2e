"""Corrupted CIFAR-10: the stand-in, and what follows from seed, type and severity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holdfast.datasets.cdvg import ccifar10 as cdvg_ccifar10
from holdfast.datasets.cdvg.biases import assign
from holdfast.datasets.transforms.corruptions import TYPES, corrupt

from .. import shared
from .columns import aligned, columns


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
    """What has no randomness is found again from the clean image, with LfF's severity one below the table's."""
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


def test_real_cifar10(tmp_path: Path) -> None:
    data = shared.data_root()
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
