"""Classification with groups: accuracy by class and bias."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...datasets.core.source import ClassInfo, require
from ..metrics import groups
from ..metrics.classification import log_probabilities, surprise
from ..metrics.metric import Metric
from .evaluator import Data, Evaluator, Measurement, MissingColumnError, Outputs, Picture, Rows

COLUMNS = ("label", "bias", "usual")
WITHOUT_BIAS = ("accuracy", "group_mean", "worst_group")


class Groups(Evaluator):
    """Predictions hold ``label``, the class; the data holds ``label`` and, where it is known, ``bias``.

    The bias that is usual for a class, so that its rows count as aligned, stands in the column ``usual`` where it
    drifts, else in the data's :class:`~holdfast.datasets.core.source.ClassInfo`.
    """

    main: ClassVar[str] = "accuracy"
    metrics: ClassVar[Sequence[Metric]] = (
        Metric("accuracy", True, "share", "accuracy over all rows"),
        Metric("group_mean", True, "share", "mean accuracy of the groups"),
        Metric("aligned", True, "share", "accuracy on rows with their class's usual bias"),
        Metric("conflict", True, "share", "accuracy on rows with another bias"),
        Metric("aligned_group_mean", True, "share", "mean accuracy of the aligned groups"),
        Metric("conflict_group_mean", True, "share", "mean accuracy of the conflicting groups"),
        Metric("worst_group", True, "share", "accuracy in the worst group"),
        Metric("gap", False, "share", "aligned minus conflicting accuracy"),
    )
    table: ClassVar[Sequence[str]] = (
        "accuracy/last",
        "conflict/last",
        "aligned/last",
        "worst_group/last",
        "gap/last",
        "cost/seconds_per_step",
    )

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.info = require(data.info, ClassInfo, "the problem 'groups'")
        for split, part in data.splits.items():
            if "label" not in part.columns:
                raise MissingColumnError(f"the split '{split}' has no column 'label': the problem 'groups' needs it")

    def measurement(self, split: str) -> GroupsMeasurement:
        columns = {name: column.numpy() for name, column in self.data.splits[split].columns.items() if name in COLUMNS}
        return GroupsMeasurement(columns, np.asarray(self.info.usual, np.int64))

    def row_errors(self, outputs: Outputs, rows: Rows, split: str) -> NDArray[Any]:
        """As of classification."""
        labels = self.data.splits[split].columns["label"].numpy()[rows]
        return surprise(labels, outputs, log_probabilities(outputs, self.info.classes))


class GroupsMeasurement(Measurement):
    """Counts of each group of ``columns`` (``label``, ``bias`` and, where the usual bias drifts, ``usual``, each [rows
    of the split]); ``usual`` [classes] where it does not. Without ``bias`` the classes are the groups, and no row is
    aligned or conflicting.
    """

    def __init__(self, columns: dict[str, groups.Array], usual: groups.Array) -> None:
        self.columns, self.usual, self.biased = columns, usual, "bias" in columns
        self.counts = groups.GroupCounts(drifts="usual" in columns)

    def update(self, outputs: Outputs, rows: Rows) -> None:
        labels = self.columns["label"][rows]
        bias = self.columns["bias"][rows] if self.biased else np.zeros_like(labels)
        usual = self.columns["usual"][rows] if "usual" in self.columns else self.usual[labels]
        self.counts.update(labels, bias, np.asarray(outputs["label"]), usual)

    def compute(self) -> dict[str, float]:
        measures = self.counts.measures()
        return measures if self.biased else {name: measures[name] for name in WITHOUT_BIAS if name in measures}

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """The group matrix."""
        from ..plots.groups import group_heatmap

        yield "groups.png", lambda path: group_heatmap(self.counts.matrix(), path)


PROBLEM = Groups
