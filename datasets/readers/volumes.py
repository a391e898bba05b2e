"""Volumes in .npy and NIfTI files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..core.errors import DataError
from .arrays import load_array


def read_volume(path: Path) -> NDArray[np.float32]:
    """A volume [D, H, W]. Raises DataError where the file holds none."""
    array = load_array(path) if path.suffix == ".npy" else nifti(path)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or not array.size:
        raise DataError(f"{path}: {list(array.shape)} is no volume of three dimensions")
    return array.astype(np.float32)


def nifti(path: Path) -> NDArray[np.float64]:
    """The values of a NIfTI file (one file, also gzipped), scaled as its header says. Raises DataError for any other.

    It is unpacked whole before nibabel reads it, for the checksum at its end.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.imageglobals import LoggingOutputSuppressor
    from nibabel.spatialimages import HeaderDataError

    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: unreadable ({error})") from error
    kinds = (nibabel.Nifti1Image, nibabel.Nifti2Image)
    kind = next((k for k in kinds if k.header_class.may_contain_header(raw)), None)
    if kind is None:
        raise DataError(f"{path}: no NIfTI-1 file")
    with LoggingOutputSuppressor():  # it tells every odd header; where a volume lies in space is not read here
        try:
            image = kind.from_bytes(raw)
            if image.get_data_dtype().kind not in "iuf":
                raise DataError(f"{path}: data type {image.get_data_dtype()} is not read")
            values: NDArray[np.float64] = np.asarray(image.get_fdata(dtype=np.float64))
        except (ImageFileError, HeaderDataError, ValueError) as error:
            raise DataError(f"{path}: no NIfTI-1 file ({str(error).splitlines()[0]})") from error
        except OSError as error:
            raise DataError(f"{path}: cut short ({str(error).splitlines()[0]})") from error
    if not np.isfinite(values).all():
        raise DataError(f"{path}: holds NaN or infinities")
    return values


def resample(volume: NDArray[np.float32], size: int) -> Tensor:
    """[1, size, size, size] with mean 0 and deviation 1."""
    x = torch.from_numpy(np.ascontiguousarray(volume))[None, None]
    x = F.interpolate(x, (size, size, size), mode="trilinear", align_corners=False)[0]
    return (x - x.mean()) / x.std().clamp(min=1e-6)
