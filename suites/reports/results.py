"""Runs of one or several invocations with their numbers, as a frame and as they lie on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.errors import Fault

if TYPE_CHECKING:
    import pandas

    from ..config.recipe import Recipe


@dataclass(frozen=True)
class Results:
    """Runs as they lie on the disk. ``document`` is what ``suites run --json`` prints; of several invocations
    ``runs`` alone counts."""

    runs: tuple[Mapping[str, Any], ...]
    document: Mapping[str, Any] | None = None
    recipe: Recipe | None = None

    @cached_property
    def frame(self) -> pandas.DataFrame:
        """A row a run: ``suite``, ``profile``, ``method``, ``seed``, ``status``, ``folder``, ``mlflow_run_id``, and
        a column a metric."""
        import pandas

        rows = [{**run, **run["metrics"]} for run in self.runs]
        return pandas.DataFrame([{name: value for name, value in row.items() if name != "metrics"} for row in rows])

    @property
    def folders(self) -> list[Path]:
        """The runs' folders, in the frame's order."""
        return [Path(run["folder"]) for run in self.runs]

    @property
    def mlflow_run_ids(self) -> list[str | None]:
        """The runs' ids in MLflow, in the frame's order; None where the store has not answered."""
        return [run["mlflow_run_id"] for run in self.runs]

    @property
    def path(self) -> Path:
        """The folder of the invocation. Raises Fault where the runs are of several."""
        if self.document is None:
            raise Fault.usage("these runs are of several invocations", "path", "use folders")
        return Path(self.document["out"])

    def __len__(self) -> int:
        return len(self.runs)

    def _repr_html_(self) -> str:
        return str(self.frame.to_html())


def results_of(documents: Sequence[Mapping[str, Any]], recipe: Recipe | None) -> Results:
    """Results from the documents of invocations (:meth:`~holdfast.suites.runtime.plan.Invocation.document`)."""
    runs = [{"suite": d["suite"], "profile": d["profile"], **run} for d in documents for run in d["runs"]]
    return Results(tuple(runs), documents[0] if len(documents) == 1 else None, recipe)
