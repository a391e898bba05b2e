"""Classification: accuracy over rows and classes, and calibration where a model gives probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from ...datasets.core.errors import DataError
from ..metrics.classification import Array, Calibration, Confusion, log_probabilities, surprise
from ..metrics.metric import Metric
from .evaluator import Data, Evaluator, Measurement, MissingColumnError, Outputs, Picture, Rows


class Classification(Evaluator):
    """Predictions hold ``label`` [B], the class, and may hold ``scores`` [B, C], logits of all classes of the data, or
    ``probabilities`` [B, C]; the data holds the column ``label`` and names its C classes.

    Classes that training has not seen yet keep the scores that the model gives them. ``ece`` and ``nll`` are there
    where a method gives scores or probabilities.
    """

    main: ClassVar[str] = "accuracy"
    metrics: ClassVar[Sequence[Metric]] = (
        Metric("accuracy", True, "share", "accuracy over all rows"),
        Metric("balanced_accuracy", True, "share", "mean accuracy of the classes"),
        Metric("worst_class", True, "share", "accuracy of the worst class"),
        Metric("ece", False, "share", "expected calibration error"),
        Metric("nll", False, "nats", "mean negative log-likelihood"),
    )
    table: ClassVar[Sequence[str]] = (
        "accuracy/last",
        "accuracy/average",
        "accuracy/forgetting",
        "worst_class/last",
        "ece/last",
        "cost/seconds_per_step",
    )

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        if not data.class_names:
            raise DataError("the problem 'classification' needs classes, and the label of this data set has none")
        for split, part in data.splits.items():
            if "label" not in part.columns:
                raise MissingColumnError(
                    f"the split '{split}' has no column 'label': the problem 'classification' needs it"
                )

    def measurement(self, split: str) -> ClassificationMeasurement:
        return ClassificationMeasurement(self.data.splits[split].columns["label"].numpy(), self.data.class_names)

    def row_errors(self, outputs: Outputs, rows: Rows, split: str) -> Array:
        """-log of the true class's probability in nats, where there are probabilities; else 0 (right) or 1 (wrong)."""
        labels = self.data.splits[split].columns["label"].numpy()[rows]
        logs = log_probabilities(outputs, len(self.data.class_names))
        return surprise(labels, outputs, logs)


class ClassificationMeasurement(Measurement):
    """Counts by true and predicted class, and bins of the largest probability; ``labels`` [rows of the split]."""

    def __init__(self, labels: Array, class_names: Sequence[str]) -> None:
        self.labels, self.class_names = labels, class_names
        self.confusion, self.calibration = Confusion(len(class_names)), Calibration()

    def update(self, outputs: Outputs, rows: Rows) -> None:
        labels, predicted = self.labels[rows], np.asarray(outputs["label"])
        self.confusion.update(labels, predicted)
        logs = log_probabilities(outputs, len(self.class_names))
        if logs is not None:
            self.calibration.update(labels, predicted, logs)

    def compute(self) -> dict[str, float]:
        return self.confusion.measures() | self.calibration.measures()

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """The confusion matrix and, where there are probabilities, the reliability diagram."""
        from ..plots import classification as plots

        yield "confusion.png", lambda path: plots.confusion_matrix(self.confusion.matrix, self.class_names, path)
        measures = self.calibration.measures()
        if measures:
            bins = self.calibration
            yield (
                "reliability.png",
                lambda path: plots.reliability(bins.rows, bins.right, bins.confidence, measures["ece"], path),
            )


PROBLEM = Classification
