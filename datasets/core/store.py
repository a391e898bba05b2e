"""Where the columns of a run's data lie: in memory, or in files of the cache that are mapped (``data.store``).

Columns of one number a row, and the offsets of ragged ones, are in memory either way. The values are the same to the
bit, and so is the checksum.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from . import cache, fingerprints, limits, mapped
from .errors import DataError
from .source import DataInfo, Source
from .table import Column, Lazy, Ragged, Table

Store = Literal["memory", "mapped"]
FILE = "x.npy"
_chosen: ContextVar[Store] = ContextVar("store", default="memory")


@contextmanager
def using(store: Store) -> Iterator[None]:
    """Inside, columns that readers make of files lie there."""
    token = _chosen.set(store)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen() -> Store:
    """Where columns are to lie."""
    return _chosen.get()


# -- disk and memory that is left -----------------------------------------------------------------------------------


def memory_left() -> int | None:
    """Bytes of memory that a process can still get (of the machine, and of its control group); None: not known."""
    left: list[int] = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                left.append(int(line.split()[1]) * 1024)
    except OSError:
        return None
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # no group, or "max"
        left.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, min(left)) if left else None


def disk_left() -> int:
    """Bytes that the file system of the cache has left."""
    folder = cache.root()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_room(size: int, what: str) -> None:
    """Before ``size`` bytes of columns are made: raise DataError where the disk of the cache, or the memory that they
    are to lie in, has not so many.
    """
    require_disk(size, what)
    if chosen() == "memory":
        require_memory(size, what)


def require_memory(size: int, what: str) -> None:
    """Before ``size`` bytes are asked for: raise DataError where so many are not there."""
    left = memory_left()
    if left is not None and size > left:
        raise DataError(
            f"{what}: {limits.in_words(size)} of memory are needed and {limits.in_words(left)} are left: "
            "data.store=mapped keeps the columns on disk"
        )


def require_disk(size: int, what: str) -> None:
    """Before ``size`` bytes are written to the cache: raise DataError where its disk has not so many."""
    left = disk_left()
    if size > left:
        raise DataError(
            f"{what}: {limits.in_words(size)} of disk are needed and {limits.in_words(left)} are left at {cache.root()}"
            ": free some (suites data clean), or set HOLDFAST_CACHE to a folder on a larger disk"
        )


def sizes(source: Source[DataInfo]) -> dict[str, int]:
    """Bytes of all columns: in ``memory``, and in ``mapped`` files. What several splits share counts once."""
    seen: dict[int | str, tuple[bool, int]] = {}
    for table in source.splits.values():
        for column in table.columns.values():
            for part in _tensors(column):
                storage = part.untyped_storage()
                seen[mapped.content_of(part) or storage.data_ptr()] = (mapped.is_mapped(part), storage.nbytes())
    return {
        "memory": sum(size for on_disk, size in seen.values() if not on_disk),
        "mapped": sum(size for on_disk, size in seen.values() if on_disk),
    }


def _tensors(column: Column) -> list[Tensor]:
    if isinstance(column, Lazy):
        held = getattr(column.make, "values", None)
        return [held] if isinstance(held, Tensor) else []
    return [column.values, column.offsets] if isinstance(column, Ragged) else [column]


# -- columns in the cache --------------------------------------------------------------------------------------------


def entry(key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """The cache's folder of ``key``, as :func:`.cache.get_or_build`, for large files: what was found whole counts as
    whole while the files' inodes, sizes and times stay.
    """
    return cache.get_or_build(key, build, check=_whole)


def _whole(folder: Path) -> bool:
    manifest = cache.manifest_of(folder)
    if manifest is None or folder.name != cache.key_digest(manifest["key"]):
        return False
    paths = [folder / name for name in manifest["files"]]
    try:
        return all(path.is_file() for path in paths) and fingerprints.of(paths) == list(manifest["files"].values())
    except DataError:
        return False


def column(path: Path, what: str) -> Tensor:
    """The column that a file of the cache's entry holds, where columns are to lie. Raises DataError where it does not
    fit into memory and has to.
    """
    if chosen() == "mapped":
        return mapped.opened(path, f"{path.parent.name}/{path.name}")
    require_memory(path.stat().st_size, what)
    return mapped.read(path)


def kept(values: Tensor) -> Tensor:
    """The tensor as a mapped one, written once; as it is where it is mapped already, is one number a row, or has a type
    that no ``.npy`` file holds.
    """
    if values.dim() < 2 or mapped.is_mapped(values) or not mapped.storable(values.dtype) or not values.numel():
        return values
    return _written(values)


def _written(values: Tensor) -> Tensor:
    digest = hashlib.sha256()
    for part in mapped.parts(values):
        digest.update(part.data)
    shape = list(values.shape)
    key = {"kind": "column", "dtype": str(values.dtype), "shape": shape, "sha256": digest.hexdigest()}

    def build(folder: Path) -> None:
        require_disk(values.numel() * values.itemsize, f"a column {shape}")
        with mapped.Writer(folder / FILE, values.dtype, tuple(values.shape[1:])) as file:
            for part in mapped.parts(values):
                file.write(part)

    folder = entry(key, build)
    return mapped.opened(folder / FILE, f"{folder.name}/{FILE}")


def taken(column: Column, rows: Tensor) -> Column:
    """The column of ``rows``: the column itself where those are all rows in their order; of a mapped one a mapped one,
    written in a stream.
    """
    if len(rows) == len(column) and bool((rows[1:] > rows[:-1]).all()):
        return column
    if not isinstance(column, Tensor):
        return column.take(rows)
    content = mapped.content_of(column) if column.dim() > 1 else ""
    if not content:
        return column[rows]
    digest = hashlib.sha256(rows.contiguous().numpy().tobytes()).hexdigest()

    def build(folder: Path) -> None:
        size = max(1, column[:1].numel() * column.itemsize)
        require_disk(size * len(rows), f"{len(rows)} rows of a column")
        with mapped.Writer(folder / FILE, column.dtype, tuple(column.shape[1:])) as file:
            for part in rows.split(max(1, mapped.PART // size)):
                file.write(column[part])
                mapped.touched(column, len(part), len(part) * size)

    folder = entry({"kind": "rows of a column", "of": content, "rows": digest, "n": len(rows)}, build)
    return mapped.opened(folder / FILE, f"{folder.name}/{FILE}")


def mapped_source(source: Source[DataInfo]) -> Source[DataInfo]:
    """The source with its columns on disk: those in memory are written to the cache, once for the same values."""
    splits = {split: Table({n: _kept(c) for n, c in table.columns.items()}) for split, table in source.splits.items()}
    return replace(source, splits=splits)


def _kept(column: Column) -> Column:
    if isinstance(column, Lazy):
        return column
    if not isinstance(column, Ragged):
        return kept(column)
    values = column.values
    if mapped.is_mapped(values) or not mapped.storable(values.dtype) or not values.numel():
        return column
    return Ragged(_written(values), column.offsets)
