"""Coloured digits."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holdfast.datasets.cdvg import bffhq as cdvg_bffhq
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.cdvg import drift as cdvg_drift
from holdfast.datasets.cdvg import folder as cdvg_folder
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.readers.idx import read_idx
from holdfast.datasets.readers.mnist import FILES

from ..shared import data_root


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
    shared = data_root()
    if shared is None:
        pytest.skip("no shared data beside the checkout")
    source = cdvg_cmnist.load(cdvg_cmnist.Config(n_train=500, n_valid=200, n_test=1000, rho=0.95), shared)
    labels, bias = (np.asarray(source.splits["train"].columns[n]) for n in ("label", "bias"))
    assert abs((labels == bias).mean() - 0.95) < 0.01
    assert len(source.splits["test"]) == 1000
