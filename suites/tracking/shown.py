"""What of a run's journal MLflow shows, under which names, and the view of its runs that a link opens.

The journal holds every point. By default MLflow gets few of them, so that a page of charts can be read: the curve of
the main metric, that of its validation rows, the losses, and the final values of the screen's table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

MOST = 15  # metrics of a run, losses included
LOSSES = 4  # of them for losses: one a stage or optimizer
VIEW = "holdfast"  # key of the view that we keep with an experiment


@dataclass(frozen=True)
class Shown:
    """Which points are sent.

    ``main``: the main metric's name. ``finals``: names of the summary, sent at step 0. ``curves``: whether there are
    several experiences, so that curves over them say more than their end. ``every``: all points, as they are.
    """

    main: str
    finals: tuple[str, ...] = ()
    curves: bool = True
    every: bool = False

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Shown:
        """From the identity of a run; an older one has none and shows everything."""
        if not document:
            return cls("", every=True)
        return cls(**{**document, "finals": tuple(document["finals"])})

    def point(self, point: Mapping[str, Any]) -> tuple[str, int] | None:
        """Name and step of a journal's point in MLflow; None where it stays in the journal.

        A curve of the main metric bears its bare name and thus stands above the groups (``mae/pooled`` is ``mae``).
        """
        name, step = str(point["name"]), int(point["step"])
        if self.every:
            return name, step
        if name in self.finals and point["axis"] == "experience":
            return name, 0
        if self.curves and name == f"{self.main}/pooled":
            return self.main, step
        if (self.curves and name == f"valid/{self.main}") or name == f"valid/{self.main}/epoch":
            return name, step
        is_loss = point["axis"] == "iteration" and (name == "loss" or name.startswith("loss/"))
        return (name, step) if is_loss else None


def view_state(main: str, finals: Sequence[str], higher_is_better: bool | None) -> str:
    """The view of an experiment's runs as MLflow's pages keep it: grouped by method, best first, with the columns of
    the screen's table.
    """
    metric = f"metrics.`{main}`"
    columns = [f"metrics.`{name}`" for name in finals]
    return json.dumps(
        {
            "searchFilter": "tags.method != ''",  # without the runs that hold a summary
            "orderByKey": metric,
            "orderByAsc": higher_is_better is False,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": [*columns, "attributes.`Duration`", "params.`profile`"],
            "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "method"}]},
            "groupsExpanded": {},
        }
    )


def link(server: str, experiment_id: str) -> str:
    """The address that opens the runs of an experiment in our view; without it MLflow opens its pages for traces."""
    query = urlencode({"workflowType": "machine_learning", "viewStateShareKey": VIEW})
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?{query}"
