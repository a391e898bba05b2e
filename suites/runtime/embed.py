"""Both representations that a run of contrastive analysis has of files, or of rows of its own data."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.errors import Fault

if TYPE_CHECKING:
    from .loading import TrainedRun

Document = dict[str, Any]
CODES = ("common", "salient", "common_code", "salient_code")
WHERE = ("file", "line", "split", "row", "error")


def documents(
    run: TrainedRun, files: Sequence[str | Path], split: str | None, rows: Sequence[int] | None
) -> Iterator[Document]:
    """One document a row, of :data:`WHERE` and :data:`CODES` what there is. Raises Fault at once for a run without two
    representations, and as :meth:`.loading.TrainedRun.documents`.
    """
    if run.recipe.problem != "contrastive_analysis":
        what = f"a run of the problem '{run.recipe.problem}' has no common and salient representation"
        raise Fault.usage(what, str(run.folder), "name a run of a suite whose problem is contrastive_analysis")
    made = run.documents(files, split=split, rows=rows)
    return ({name: document[name] for name in (*WHERE, *CODES) if name in document} for document in made)


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
