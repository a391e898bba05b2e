"""Arrays on disk that are columns: ``.npy`` files, written in a stream and mapped into memory to be read.

A mapped tensor is an ordinary one; nothing must write to it. The pages that reading brings in are given back once
:data:`LIMIT` bytes were touched, so that a process's resident memory does not grow with the file; they stay in the
kernel's page cache while there is room. ``torch.from_file`` gives no handle for that, and the kernel refuses it a file
larger than memory, for which it would reserve as much: the file is mapped by :mod:`mmap`, privately and without
reserving, and the tensor made over it.
"""

from __future__ import annotations

import ast
import math
import mmap
import struct
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import DataError

LIMIT = 512 * 2**20  # bytes that gathering may touch before pages are given back
PART = 64 * 2**20  # bytes of a part of a scan
AHEAD = 16 * 1024  # bytes of a row from which on it is asked for as a whole before it is read
_ROW = 2**20  # what touching a row may bring in: the kernel maps what it holds around a fault, up to 2 MiB at once
_FLAGS = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0x4000)  # else a file larger than memory is refused
_HEADER = 256  # bytes before the values; numpy's own are shorter
_MAGIC = b"\x93NUMPY\x01\x00"
_TYPES = (
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.float32, torch.float64, torch.bool),
)
_DTYPES = {torch.empty(0, dtype=kind).numpy().dtype.str: kind for kind in _TYPES}
_CODES = {kind: code for code, kind in _DTYPES.items()}


class MappedFile(mmap.mmap):
    """A mapped file. ``content`` names what it holds, where that is known; ``offset``: where its values begin."""

    content: str = ""
    offset: int = 0


_OPEN: weakref.WeakValueDictionary[int, MappedFile] = (
    weakref.WeakValueDictionary()
)  # where a storage begins -> its file
_touched = 0


def storable(dtype: torch.dtype) -> bool:
    """Whether a ``.npy`` file can hold values of this type."""
    return dtype in _CODES


class Writer:
    """A ``.npy`` file written row by row; whole after :meth:`close`, which leaving a ``with`` without error calls.

    Nothing but the rows of one call is held.
    """

    def __init__(self, path: Path, dtype: torch.dtype, shape: tuple[int, ...] = ()) -> None:
        self.dtype, self.shape, self.rows = dtype, shape, 0
        self._code = np.dtype(_CODES[dtype])
        self._file = path.open("wb")
        self._file.write(b"\0" * _HEADER)

    def write(self, rows: Tensor | NDArray[Any]) -> None:
        """Add rows [n, *shape]. Raises ValueError for another type or shape."""
        array = rows.contiguous().numpy() if isinstance(rows, Tensor) else np.ascontiguousarray(rows)
        if array.dtype != self._code or tuple(array.shape[1:]) != self.shape:
            raise ValueError(f"{list(array.shape[1:])} {array.dtype}, not {list(self.shape)} {self._code}")
        self._file.write(array.data.cast("B") if array.size else b"")
        self.rows += len(array)

    def close(self) -> None:
        """Write the header, now that the number of rows is known."""
        head = {"descr": self._code.str, "fortran_order": False, "shape": (self.rows, *self.shape)}
        text = repr(head).encode("latin1").ljust(_HEADER - len(_MAGIC) - 3) + b"\n"
        self._file.seek(0)
        self._file.write(_MAGIC + struct.pack("<H", len(text)) + text)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close() if kind is None else self._file.close()


def opened(path: Path, content: str = "") -> Tensor:
    """The array of a ``.npy`` file as a mapped tensor; ``content`` names what it holds (a digest).

    Raises DataError where the file is not such an array or shorter than it says.
    """
    dtype, shape, offset = _head(path)
    count = math.prod(shape)
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < offset + count * dtype.itemsize:
            raise DataError(f"{path}: {size} bytes, shorter than its header says: suites data clean")
        mapping = MappedFile(file.fileno(), 0, flags=_FLAGS, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    mapping.content, mapping.offset = content, offset
    mapping.madvise(mmap.MADV_RANDOM)  # else a row brings in megabytes around it from a file that is not in memory
    tensor = torch.frombuffer(mapping, dtype=dtype, count=count, offset=offset).view(shape)
    _OPEN[tensor.untyped_storage().data_ptr()] = mapping
    return tensor


def read(path: Path) -> Tensor:
    """The array of a ``.npy`` file in memory, read in parts. Raises DataError as :func:`opened`."""
    source = opened(path)
    out = torch.empty(source.shape, dtype=source.dtype)
    start = 0
    for part in parts(source):
        out[start : start + len(part)] = torch.from_numpy(part)
        start += len(part)
    return out


def _head(path: Path) -> tuple[torch.dtype, tuple[int, ...], int]:
    """Type, shape, and where the values begin."""
    try:
        with path.open("rb") as file:
            if file.read(8) != _MAGIC:
                raise ValueError("no .npy file of version 1")
            length = struct.unpack("<H", file.read(2))[0]
            head = ast.literal_eval(file.read(length).decode("latin1"))
        if head["fortran_order"]:
            raise ValueError("columns before rows")
        return _DTYPES[head["descr"]], tuple(int(n) for n in head["shape"]), 10 + length
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, struct.error) as error:
        raise DataError(f"{path}: no array that can be mapped ({error}): suites data clean") from error


def is_mapped(tensor: Tensor) -> bool:
    """Whether the tensor, or what it is a part of, is a file."""
    return bool(_OPEN) and tensor.device.type == "cpu" and tensor.untyped_storage().data_ptr() in _OPEN


def content_of(tensor: Tensor) -> str:
    """What was said of a mapped tensor's content; empty for a part of one, and for one in memory."""
    if not is_mapped(tensor) or tensor.numel() * tensor.itemsize != tensor.untyped_storage().nbytes():
        return ""
    return _OPEN[tensor.untyped_storage().data_ptr()].content


def ahead(tensor: Tensor, starts: Tensor, lengths: Tensor | int = 1) -> None:
    """Before they are read: ask the kernel for the rows ``starts`` [B] of a column [N, ...], ``lengths`` [B] rows each,
    and for nothing else. No value depends on it.
    """
    if not is_mapped(tensor):
        return
    storage, size = tensor.untyped_storage().data_ptr(), tensor[:1].numel() * tensor.itemsize
    mapping = _OPEN[storage]
    first = mapping.offset + tensor.data_ptr() - storage
    counts = lengths.tolist() if isinstance(lengths, Tensor) else [lengths] * len(starts)
    for start, count in zip(starts.tolist(), counts, strict=True):
        if count * size >= AHEAD:
            begin = first + start * size
            page = begin - begin % mmap.PAGESIZE
            mapping.madvise(mmap.MADV_WILLNEED, page, begin + count * size - page)


def touched(tensor: Tensor, rows: int, size: int) -> None:
    """Say that ``rows`` rows, ``size`` bytes, of a column were read: pages go back once that is much."""
    global _touched
    if is_mapped(tensor):
        _touched += max(size, rows * _ROW)
        if _touched > LIMIT:
            release()


def release() -> None:
    """Give the pages of all mapped files back; they are read again where they are needed."""
    global _touched
    _touched = 0
    for mapping in list(_OPEN.values()):
        mapping.madvise(mmap.MADV_DONTNEED)


def parts(tensor: Tensor) -> Iterator[NDArray[Any]]:
    """The rows of a column [N, ...] in order, contiguous, in parts of about :data:`PART` bytes."""
    size = max(1, tensor[:1].numel() * tensor.itemsize)
    step = max(1, PART // size)
    for start in range(0, len(tensor), step):
        part = tensor[start : start + step]
        ahead(tensor, torch.tensor([start]), len(part))
        yield part.contiguous().numpy()
        touched(tensor, 1, part.numel() * tensor.itemsize)
