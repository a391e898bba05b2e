"""Volumes."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.readers import volumes as readers
from holdfast.datasets.supremix import volumes as supremix_volumes

from .files import labels


def nifti(values: np.ndarray, order: str = "<", slope: float = 2.0, intercept: float = 1.0) -> bytes:
    header = bytearray(352)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, 3, *values.shape, 1, 1, 1, 1)
    struct.pack_into(f"{order}h", header, 70, 4)
    struct.pack_into(f"{order}3f", header, 108, 352.0, slope, intercept)
    header[344:348] = b"n+1\0"
    return bytes(header) + values.astype(f"{order}i2").tobytes(order="F")


def test_nifti_files_of_the_second_version_and_of_fractions(tmp_path: Path) -> None:
    import nibabel

    values = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        path = tmp_path / "v.nii"
        kind(values, np.eye(4)).to_filename(path)
        assert np.array_equal(readers.nifti(path), values)
    values[0, 0, 0] = np.nan
    nibabel.Nifti1Image(values, np.eye(4)).to_filename(path)
    with pytest.raises(DataError, match="holds NaN"):
        readers.nifti(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_files_are_read_with_their_scale(tmp_path: Path, order: str) -> None:
    values = np.arange(24).reshape(2, 3, 4)
    path = tmp_path / "v.nii.gz"
    path.write_bytes(gzip.compress(nifti(values, order)))
    assert np.array_equal(readers.nifti(path), values * 2 + 1)
    for raw, message in ((b"short", "no NIfTI-1"), (nifti(values)[:-4], "cut short")):
        path.write_bytes(gzip.compress(raw))
        with pytest.raises(DataError, match=message):
            readers.nifti(path)
    whole = gzip.compress(nifti(np.arange(4096).reshape(16, 16, 16) * 37 % 1009))

    def changed(place: int, form: str, value: object) -> bytes:
        raw = bytearray(nifti(values))
        struct.pack_into(form, raw, place, value)
        return gzip.compress(bytes(raw))

    for raw, message in (
        (b"not zipped", "unreadable"),
        (b"", "no NIfTI-1"),
        (whole[: len(whole) // 2], "unreadable"),
        (whole[:-4], "unreadable"),
        (whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:], "unreadable"),  # the checksum is another
        (changed(70, "<h", 128), "data type .* is not read"),  # three bytes a voxel
        (changed(70, "<h", 999), "no NIfTI-1"),
        (changed(344, "4s", b"xx1\0"), "no NIfTI-1"),
        (changed(42, "<h", -2), "no NIfTI-1|cut short"),
    ):
        path.write_bytes(raw)
        with pytest.raises(DataError, match=message):
            readers.nifti(path)


def test_volumes_with_labels(tmp_path: Path) -> None:
    (tmp_path / "volumes").mkdir()
    g = np.random.default_rng(0)
    for i in range(4):
        np.save(tmp_path / "volumes" / f"v{i}.npy", g.normal(size=(6, 7, 8)))
    (tmp_path / "volumes" / "v4.nii").write_bytes(nifti(g.integers(0, 90, (5, 5, 5))))
    labels(tmp_path, "v0,20,train\nv1,30,train\nv2,40,train\nv3,50,val\nv4,60,test\n")
    source = supremix_volumes.load(supremix_volumes.Config(size=4), tmp_path)
    x = source.splits["train"].columns["x"]
    assert isinstance(x, torch.Tensor)
    assert x.shape == (3, 1, 4, 4, 4)
    assert torch.allclose(x.mean((1, 2, 3, 4)), torch.zeros(3), atol=1e-5)
    np.save(tmp_path / "volumes" / "v1.npy", np.zeros((3, 3)))
    with pytest.raises(DataError, match=r"\[3, 3\] is no volume"):
        supremix_volumes.load(supremix_volumes.Config(size=4), tmp_path)


def test_blobs_grow_with_their_label() -> None:
    part = supremix_volumes.blobs(410, 12, np.random.default_rng(0))
    mass = part["x"].sum((1, 2, 3, 4))
    assert float(torch.corrcoef(torch.stack([mass.double(), part["label"]]))[0, 1]) > 0.9
