"""Predictions of an evaluation as Parquet files in the run's folder (``predictions/``), a row group a batch.

A file is written whole or not at all. Each says which evaluation it belongs to: one that was killed goes on behind the
batches that are there, and comes to the same numbers, since it takes in the same batches in the same order.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.killpoints import reach

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDER = "predictions"
NAME = re.compile(r"(?P<after>\d{4,})-(?P<split>[a-z0-9_]+)-(?P<number>\d{4,})-(?P<part>\d{6})\.parquet")
SIZE = 4 * 2**20  # bytes of predictions, or seconds since the last, after which a file is written
SECONDS = 20.0
_KEY = b"holdfast"

Outputs = Mapping[str, "NDArray[Any]"]
Pair = tuple[Outputs, "NDArray[np.int64]"]


class Shards:
    """What is kept of the newest evaluation, at most ``limit`` bytes; ``warn`` is told when that is reached."""

    def __init__(self, run: Path, limit: int, warn: Callable[[str], None]) -> None:
        self.folder, self.limit, self.warn = run / FOLDER, limit, warn
        self.after, self.evaluation, self.size, self.full = 0, "", 0, False

    def begin(self, after: int, evaluation: str) -> None:
        """Keep what is predicted after experience ``after``; files of the same ``evaluation`` stay, all others go."""
        self.folder.mkdir(exist_ok=True)
        self.after, self.evaluation, self.size, self.full = after, evaluation, 0, False
        for path in sorted(self.folder.iterdir()):
            if path.name.endswith(".part") or (NAME.fullmatch(path.name) and _said(path).get("of") != evaluation):
                path.unlink()
            else:
                self.size += path.stat().st_size

    def kept(self, split: str, number: int) -> Iterator[Pair]:
        """The batches of an evaluation experience that are there, in their order."""
        for path in sorted(self.folder.glob(f"{self._stem(split, number)}-*.parquet")):
            yield from _batches(path)

    def keep(self, split: str, number: int, pairs: Iterator[Pair]) -> Iterator[Pair]:
        """The pairs as they come; they are written too, behind those that are there."""
        part = len(list(self.folder.glob(f"{self._stem(split, number)}-*.parquet")))
        held: list[Pair] = []
        size, since = 0, time.monotonic()
        for pair in pairs:
            yield pair
            if self.full:
                continue
            held.append(pair)
            size += sum(value.nbytes for value in pair[0].values())
            if size > SIZE or time.monotonic() - since > SECONDS:
                self._write(split, number, part, held)
                part, held, size, since = part + 1, [], 0, time.monotonic()
        if held and not self.full:
            self._write(split, number, part, held)

    def _stem(self, split: str, number: int) -> str:
        return f"{self.after:04d}-{split}-{number:04d}"

    def _write(self, split: str, number: int, part: int, pairs: list[Pair]) -> None:
        import pyarrow.parquet as parquet

        tables = [_table(*pair) for pair in pairs]
        shapes = [{name: list(value.shape[1:]) for name, value in outputs.items()} for outputs, _ in pairs]
        what = {"of": self.evaluation, "after": self.after, "split": split, "experience": number, "shapes": shapes}
        schema = tables[0].schema.with_metadata({_KEY: json.dumps(what).encode()})
        path = self.folder / f"{self._stem(split, number)}-{part:06d}.parquet"
        temporary = self.folder / f".{path.name}.part"
        options: dict[str, Any] = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
        with parquet.ParquetWriter(temporary, schema, **options) as file:
            for table in tables:
                file.write_table(table)
        size = temporary.stat().st_size
        if self.size + size > self.limit:
            temporary.unlink()
            self.full = True
            mib = self.limit // 2**20
            self.warn(f"predictions beyond {mib} MiB (evaluate.predictions_mib) are not kept")
            return
        os.replace(temporary, path)
        self.size += size
        reach("shard")


def stored(run: Path, split: str) -> Iterator[Pair]:
    """What a run's folder keeps of the predictions of ``split``, batch by batch, of the newest evaluation."""
    names = [match for path in (run / FOLDER).glob("*.parquet") if (match := NAME.fullmatch(path.name))]
    mine = sorted(match.string for match in names if match["split"] == split)
    newest = max((int(match["after"]) for match in names), default=0)
    for name in mine:
        if name.startswith(f"{newest:04d}-"):
            yield from _batches(run / FOLDER / name)


def count(run: Path, split: str) -> int:
    """Rows of :func:`stored`."""
    return sum(len(rows) for _, rows in stored(run, split))


def _table(outputs: Outputs, rows: NDArray[np.int64]) -> Any:
    """A batch as a table: numbers as columns, all else as lists of each row's values."""
    import numpy as np
    import pyarrow as pa

    columns = {"row": pa.array(np.ascontiguousarray(rows))}
    for name, value in outputs.items():
        flat = pa.array(np.ascontiguousarray(value).reshape(-1))
        width = value.size // max(1, len(value))
        offsets = pa.array(np.arange(len(value) + 1, dtype=np.int64) * width)
        columns[name] = flat if value.ndim == 1 else pa.LargeListArray.from_arrays(offsets, flat)
    return pa.table(columns)


def _batches(path: Path) -> Iterator[Pair]:
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        shapes = json.loads(file.schema_arrow.metadata[_KEY])["shapes"]
        for k, of in enumerate(shapes):
            table = file.read_row_group(k)
            rows = table.column("row").combine_chunks().to_numpy(zero_copy_only=False)
            yield {name: _array(table.column(name), (len(rows), *shape)) for name, shape in of.items()}, rows


def _array(column: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    import pyarrow as pa

    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks)
    values: NDArray[Any] = (whole if len(shape) == 1 else whole.flatten()).to_numpy(zero_copy_only=False)
    return values.reshape(shape)


def _said(path: Path) -> dict[str, Any]:
    """What a file says of itself; nothing where it is none of ours."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        said: dict[str, Any] = json.loads(parquet.read_schema(path).metadata[_KEY])
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return {}
    return said
