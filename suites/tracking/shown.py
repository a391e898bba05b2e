"""What of a run's journal MLflow shows, under which names, and the view of its runs that a link opens.

The journal holds every point. By default MLflow gets few of them, so that a page of charts can be read: the curve of
the main metric, that of its validation rows, the losses, and the final values of the screen's table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

MOST = 15  # metrics of a run, losses included
LOSSES = 4  # of them for losses: one a stage or optimizer
NAMES = 2  # version of the names in MLflow; a run keeps those that it began with
Row = tuple[str, float, int, int]  # name, value, time, step
VIEW = "holdfast"  # key of the view that we keep with an experiment


@dataclass(frozen=True)
class Shown:
    """Which points are sent.

    ``main``: the main metric's name. ``finals``: names of the summary, sent at step 0. ``curves``: whether there are
    several experiences, so that curves over them say more than their end. ``every``: all points, as they are.
    ``higher``: whether more of the main metric is better; None: no best value is sent. ``names``: of which version.

    MLflow's charts come in the order of the names before the last slash, those without a slash last. So the main metric
    has the first of all names: its curve is ``mae/after_experience``, and ``few/mae/last`` and ``loss/first`` are
    ``mae/last/few`` and ``train/loss/first`` there.
    """

    main: str
    finals: tuple[str, ...] = ()
    curves: bool = True
    every: bool = False
    higher: bool | None = None
    names: int = NAMES

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Shown:
        """From the identity of a run; an older one has none and shows everything."""
        if not document:
            return cls("", every=True)
        return cls(**{"names": 1, **document, "finals": tuple(document["finals"])})

    def point(self, point: Mapping[str, Any]) -> tuple[str, int] | None:
        """Name and step of a journal's point in MLflow; None where it stays in the journal."""
        name, step = str(point["name"]), int(point["step"])
        if self.every:
            return name, step
        if name in self.finals and point["axis"] == "experience":
            return self.final(name), 0
        if self.curves and name == f"{self.main}/pooled":
            return self.curve, step
        if (self.curves and name == f"valid/{self.main}") or name == f"valid/{self.main}/epoch":
            return name, step
        is_loss = point["axis"] == "iteration" and (name == "loss" or name.startswith("loss/"))
        return (f"train/{name}" if self.names > 1 else name, step) if is_loss else None

    @property
    def curve(self) -> str:
        """Name of the main metric after each experience, on all of them so far."""
        if self.every:
            return f"{self.main}/pooled"
        return f"{self.main}/after_experience" if self.names > 1 else self.main

    def final(self, name: str) -> str:
        """Name of a final value: that of a group of rows stands behind that of all (``few/mae/last``:
        ``mae/last/few``).
        """
        group, slash, rest = name.partition(f"/{self.main}/")
        grouped = slash and "/" not in group and self.names > 1 and not self.every
        return f"{self.main}/{rest}/{group}" if grouped else name

    def best(self, points: Iterable[Mapping[str, Any]]) -> list[Row]:
        """The best of the main metric's curve among the points of a whole journal, as a point of its own at step 0:
        after one of the experiences, or, of a single one, on the validation rows after an epoch.

        Time is that of the point it stands for, so that it is the same point whenever it is sent. Empty where there is
        no curve.
        """
        name = f"{self.main}/pooled" if self.curves else f"valid/{self.main}/epoch"
        curve = [p for p in points if p["name"] == name and math.isfinite(float(p["value"]))]
        if self.higher is None or not curve:
            return []
        chosen = max(curve, key=lambda p: p["value"] if self.higher else -p["value"])
        key = f"best/{self.main}" if self.curves else f"best/valid/{self.main}"
        return [(key, float(chosen["value"]), int(chosen["t"]), 0)]


def view_state(main: str, finals: Sequence[str], higher_is_better: bool | None) -> str:
    """The view of an experiment's runs as MLflow's pages keep it: grouped by method and profile (a mean of both would
    mislead), best first, with the columns of the screen's table.
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
            "groupBy": {
                "aggregateFunction": "average",
                "groupByKeys": [{"mode": "tag", "groupByData": name} for name in ("method", "profile")],
            },
            "groupsExpanded": {},
        }
    )


def link(server: str, experiment_id: str) -> str:
    """The address that opens the runs of an experiment in our view; without it MLflow opens its pages for traces."""
    query = urlencode({"workflowType": "machine_learning", "viewStateShareKey": VIEW})
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?{query}"
