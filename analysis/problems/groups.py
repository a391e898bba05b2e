"""Classification with groups: accuracy by class and bias."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...datasets.core.source import ClassInfo, require
from ..metrics import groups
from ..metrics.classification import Calibration, log_probabilities, surprise
from ..metrics.metric import Metric
from .evaluator import Data, Evaluator, Measurement, MissingColumnError, Outputs, Picture, Rows

COLUMNS = ("label", "bias", "usual")
WITHOUT_BIAS = ("accuracy", "group_mean", "worst_group", "balanced_accuracy", "worst_class")


class Groups(Evaluator):
    """Predictions hold ``label`` [B], the class, and may hold ``scores`` (logits) or ``probabilities`` [B, C], of which
    ``ece`` is measured; the data holds ``label`` and, where it is known, ``bias``.

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
        Metric("balanced_accuracy", True, "share", "mean accuracy of the classes"),
        Metric("worst_class", True, "share", "accuracy of the worst class"),
        Metric("adjusted_accuracy", True, "share", "accuracies of the groups in training's proportions"),
        Metric("ece", False, "share", "expected calibration error"),
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
        return GroupsMeasurement(columns, np.asarray(self.info.usual, np.int64), self.training)

    @cached_property
    def training(self) -> groups.Array | None:
        """Training rows of each group, [C, B]; None where their bias is not known."""
        train = self.data.splits["train"].columns if "train" in self.data.splits else {}
        if "bias" not in train:
            return None
        label, bias = (train[name].numpy() for name in ("label", "bias"))
        counts = np.zeros((int(label.max()) + 1, int(bias.max()) + 1), np.int64)
        np.add.at(counts, (label, bias), 1)
        return counts

    def row_errors(self, outputs: Outputs, rows: Rows, split: str) -> NDArray[Any]:
        """As of classification."""
        labels = self.data.splits[split].columns["label"].numpy()[rows]
        return surprise(labels, outputs, log_probabilities(outputs, self.info.classes))


class GroupsMeasurement(Measurement):
    """Counts of each group of ``columns`` (``label``, ``bias`` and, where the usual bias drifts, ``usual``, each [rows
    of the split]); ``usual`` [classes] where it does not. Without ``bias`` the classes are the groups, and no row is
    aligned or conflicting. ``training``: rows of each group in training, [C, B], where they are known.
    """

    def __init__(
        self, columns: dict[str, groups.Array], usual: groups.Array, training: groups.Array | None = None
    ) -> None:
        self.columns, self.usual, self.biased, self.training = columns, usual, "bias" in columns, training
        self.counts = groups.GroupCounts(drifts="usual" in columns)
        self.calibration = Calibration()

    def update(self, outputs: Outputs, rows: Rows) -> None:
        labels = self.columns["label"][rows]
        bias = self.columns["bias"][rows] if self.biased else np.zeros_like(labels)
        usual = self.columns["usual"][rows] if "usual" in self.columns else self.usual[labels]
        predicted = np.asarray(outputs["label"])
        self.counts.update(labels, bias, predicted, usual)
        logs = log_probabilities(outputs, len(self.usual))
        if logs is not None:
            self.calibration.update(labels, predicted, logs)

    def compute(self) -> dict[str, float]:
        measures = self.counts.measures()
        if not self.biased:
            measures = {name: measures[name] for name in WITHOUT_BIAS if name in measures}
        elif self.training is not None and not math.isnan(adjusted := self.counts.adjusted(self.training)):
            measures["adjusted_accuracy"] = adjusted
        return measures | {name: value for name, value in self.calibration.measures().items() if name == "ece"}

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """The group matrix."""
        from ..plots.groups import group_heatmap

        yield "groups.png", lambda path: group_heatmap(self.counts.matrix(), path)


PROBLEM = Groups
