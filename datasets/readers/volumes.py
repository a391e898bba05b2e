"""Volumes in .npy and NIfTI files."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..core import limits
from ..core.errors import DataError
from .arrays import load_array

HEADER = 540  # bytes of the longer of the two headers
SLACK = 2**20  # bytes that may stand behind the last value


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

    It is unpacked whole before nibabel reads it, for the checksum at its end; no further than its header says.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.imageglobals import LoggingOutputSuppressor
    from nibabel.spatialimages import HeaderDataError

    kinds = (nibabel.Nifti1Image, nibabel.Nifti2Image)
    with LoggingOutputSuppressor():  # it tells every odd header; where a volume lies in space is not read here
        try:
            raw, kind = _unpacked(path, kinds)
            image = kind.from_bytes(raw)
            if image.get_data_dtype().kind not in "iuf":
                raise DataError(f"{path}: data type {image.get_data_dtype()} is not read")
            values: NDArray[np.float64] = np.asarray(image.get_fdata(dtype=np.float64))
        except (ImageFileError, HeaderDataError, ValueError) as error:
            raise DataError(f"{path}: no NIfTI-1 file ({str(error).splitlines()[0]})") from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path}: unreadable ({error})") from error
        except OSError as error:
            raise DataError(f"{path}: cut short ({str(error).splitlines()[0]})") from error
    if not np.isfinite(values).all():
        raise DataError(f"{path}: holds NaN or infinities")
    return values


def _unpacked(path: Path, kinds: tuple[Any, ...]) -> tuple[bytes, Any]:
    """The bytes of a NIfTI file and which of nibabel's ``kinds`` it is. Raises DataError where its header promises more
    than memory may take, and where it goes on behind its last value.
    """
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: unreadable (no regular file)")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        head = file.read(HEADER)
        kind = next((k for k in kinds if k.header_class.may_contain_header(head)), None)
        if kind is None:
            raise DataError(f"{path}: no NIfTI-1 file")
        header = kind.header_class.from_fileobj(io.BytesIO(head))
        count = math.prod(max(0, int(n)) for n in header.get_data_shape())
        values = count * header.get_data_dtype().itemsize
        limits.require(2 * values + 12 * count, f"{path}: a volume of {count} values")
        most = max(0, int(header.get_data_offset())) + values + SLACK
        limits.require(most, f"{path}: values from byte {header.get_data_offset()} on")
        raw = head + file.read(max(0, most - len(head)))
        if file.read(1):
            raise DataError(f"{path}: more than {limits.in_words(SLACK)} behind the last of its {count} values")
    return raw, kind


def resample(volume: NDArray[np.float32], size: int) -> Tensor:
    """[1, size, size, size] with mean 0 and deviation 1."""
    x = torch.from_numpy(np.ascontiguousarray(volume))[None, None]
    x = F.interpolate(x, (size, size, size), mode="trilinear", align_corners=False)[0]
    return (x - x.mean()) / x.std().clamp(min=1e-6)
