"""Classification with groups: accuracy by class and bias."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from ...datasets.core.source import ClassInfo, require
from ..metrics import groups
from ..metrics.metric import Metric
from .evaluator import Data, Evaluator, MissingColumnError, Picture, Prediction


class Groups(Evaluator):
    """Predictions hold ``label``, the class; the data holds ``label`` and ``bias``.

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
            for column in ("label", "bias"):
                if column not in part.columns:
                    raise MissingColumnError(
                        f"the split '{split}' has no column '{column}': the problem 'groups' needs it"
                    )

    def _columns(self, split: str, index: Sequence[int]) -> tuple[Any, Any]:
        columns = self.data.splits[split].columns
        rows = np.asarray(index, dtype=np.int64)
        return columns["label"].numpy()[rows], columns["bias"].numpy()[rows]

    def score(self, predictions: Sequence[Prediction], index: Sequence[int], split: str) -> dict[str, float]:
        labels, bias = self._columns(split, index)
        predicted = np.array([int(p["label"]) for p in predictions], dtype=np.int64)
        usual, drifts = self._usual_of_rows(split, index, labels), "usual" in self.data.splits[split].columns
        return groups.group_metrics(labels, bias, predicted, usual, drifts)

    def _usual_of_rows(self, split: str, index: Sequence[int], labels: Any) -> Any:
        """The usual bias of each row's class, [N]."""
        columns = self.data.splits[split].columns
        if "usual" in columns:
            return columns["usual"].numpy()[np.asarray(index, dtype=np.int64)]
        return np.asarray(self.info.usual, np.int64)[labels]

    def pictures(
        self, predictions: Sequence[Prediction], index: Sequence[int], split: str
    ) -> Iterator[tuple[str, Picture]]:
        """The group matrix."""
        from ..plots.groups import group_heatmap

        labels, bias = self._columns(split, index)
        predicted = np.array([int(p["label"]) for p in predictions], dtype=np.int64)
        yield "groups.png", lambda path: group_heatmap(groups.group_matrix(labels, bias, predicted), path)


PROBLEM = Groups
