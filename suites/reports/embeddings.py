"""What ``suites embed`` writes: rows of a CSV, or arrays."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

from ..runtime.embed import CODES, WHERE, Document


def flat(document: Mapping[str, Any]) -> Document:
    """A document as a row of a CSV, with a column for each number: ``common_0``, ``common_1`` and so on."""
    row: Document = {}
    for name, value in document.items():
        row |= {f"{name}_{k}": v for k, v in enumerate(value)} if isinstance(value, list) else {name: value}
    return row


def npz(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """An npz: ``common`` [N, dc], ``salient`` [N, ds] and so on as float32, and where each row is from (``path`` of
    its file and ``line``, or ``split`` and ``row``). Rows that could not be read are left out.
    """
    import numpy as np

    rows = [document for document in documents if "error" not in document]
    names = [name for name in (*WHERE, *CODES) if any(name in row for row in rows)]
    arrays: dict[str, Any] = {}
    for name in names:
        values = [row.get(name, -1) for row in rows]
        arrays["path" if name == "file" else name] = np.asarray(values, np.float32 if name in CODES else None)
    text = io.BytesIO()
    np.savez_compressed(text, **arrays)
    return text.getvalue()
