"""Both representations that a run of contrastive analysis has of files, or of rows of its own data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
