"""The checksum of a data set: sha256 over its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor

from . import cache, mapped
from .table import Lazy

Part = tuple[str, Tensor | Lazy]
FILE = "sha256.txt"


def checksum(parts: Iterable[Part], head: str = "") -> str:
    """sha256 of ``head`` and, for each column, the text before it and its values (of a lazy one its ``content``).

    Where a column is mapped it is worked out once and kept in the cache: a start does not read the whole data.
    """
    columns = list(parts)
    known = [mapped.content_of(column) if isinstance(column, Tensor) else "" for _, column in columns]
    if not any(known):
        return _worked_out(columns, head)
    named = [
        [text, content or _worked_out([("", column)], "")]
        for (text, column), content in zip(columns, known, strict=True)
    ]
    key = {"kind": "checksum", "head": hashlib.sha256(head.encode()).hexdigest(), "columns": named}

    def build(folder: Path) -> None:
        (folder / FILE).write_text(_worked_out(columns, head))

    return (cache.get_or_build(key, build) / FILE).read_text()


def _worked_out(columns: Sequence[Part], head: str) -> str:
    digest = hashlib.sha256(head.encode())
    for text, column in columns:
        digest.update(text.encode())
        if isinstance(column, Lazy):
            digest.update(column.content.encode())
            if column.picked is not None:
                digest.update(column.picked.numpy().tobytes())
            continue
        for part in mapped.parts(column):
            digest.update(part.tobytes() if part.size == 0 else part.data)
    return digest.hexdigest()
