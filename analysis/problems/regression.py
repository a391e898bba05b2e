"""Scalar regression: errors, shots, correlations and how far the embedding is ordered by the label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...datasets.core.source import RegressionInfo, require
from ..metrics import regression
from ..metrics.metric import Metric
from ..plots import regression as plots
from .evaluator import Data, Evaluator, Measurement, Outputs, Picture, Rows

ERRORS = (
    Metric("mae", False, "label", "mean absolute error"),
    Metric("rmse", False, "label", "root of the mean squared error"),
    Metric("gm", False, "label", "geometric mean of the absolute errors"),
)
KEPT = ("value", "embedding", "projection")  # of what a method predicts
COUNT = Metric("n", None, "rows", "rows")
ORDER = (
    Metric("ordinality", True, "", "rank correlation of label distance and embedding distance"),
    Metric("local_linearity", True, "", "straightness of the embedding along the label"),
    Metric("neighbour_mae", False, "label", "mean absolute error of the nearest neighbours' mean label"),
)


class Regression(Evaluator):
    """Predictions hold ``value`` [B] and may hold ``embedding`` [B, d], the encoder's features, and ``projection`` [B,
    p], the projector's output where it was trained with the encoder as it stands; the column ``label`` is the target.
    ``ordinality`` is that of the features, ``projection/ordinality`` that of the projections.

    Of the data's :class:`~holdfast.datasets.core.source.RegressionInfo`, ``shots`` says how labels fall into many,
    medium and few, and ``label_name`` names the target in pictures.
    """

    main: ClassVar[str] = "mae"
    metrics: ClassVar[Sequence[Metric]] = (
        *ERRORS,
        Metric("mse", False, "label²", "mean squared error"),
        Metric("r2", True, "", "share of the variance explained"),
        Metric("pearson", True, "", "Pearson's correlation"),
        Metric("spearman", True, "", "Spearman's correlation"),
        *(
            Metric(f"{shot}/{m.name}", m.higher_is_better, m.unit, f"{m.title}, {shot}-shot labels")
            for shot in regression.SHOTS
            for m in (*ERRORS, COUNT)
        ),
        *ORDER,
        *(
            Metric(f"projection/{m.name}", m.higher_is_better, m.unit, f"{m.title}, of the projector's output")
            for m in ORDER
        ),
    )
    table: ClassVar[Sequence[str]] = (
        "mae/average",
        "mae/last",
        "mae/forgetting",
        "rmse/last",
        "r2/last",
        "spearman/last",
        "many/mae/last",
        "medium/mae/last",
        "few/mae/last",
        "ordinality/last",
        "projection/ordinality/last",
        "cost/seconds_per_step",
    )

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.labels = {split: regression.column(table.columns["label"].numpy()) for split, table in data.splits.items()}
        self.info = require(data.info, RegressionInfo, "the problem 'regression'")
        self.shots = regression.Shots.of(self.info.shots) if self.info.shots is not None else None

    def measurement(self, split: str) -> RegressionMeasurement:
        return RegressionMeasurement(self.labels, split, self.shots, self.info.label_name)

    def row_errors(self, outputs: Outputs, rows: Rows, split: str) -> NDArray[Any]:
        """The absolute error, in the label's unit."""
        return np.abs(regression.column(outputs["value"]) - self.labels[split][rows])


class RegressionMeasurement(Measurement):
    """Keeps the value of each row and, in the type they came in, its vectors: ranks and neighbours need them all."""

    def __init__(
        self, labels: Mapping[str, regression.Array], split: str, shots: regression.Shots | None, label_name: str
    ) -> None:
        self.labels, self.split, self.shots, self.label_name = labels, split, shots, label_name
        self.rows: list[Rows] = []
        self.outputs: dict[str, list[NDArray[Any]]] = {name: [] for name in KEPT}

    def update(self, outputs: Outputs, rows: Rows) -> None:
        self.rows.append(rows)
        for name, parts in self.outputs.items():
            if name in outputs:
                parts.append(outputs[name])

    def compute(self) -> dict[str, float]:
        value, label = self._values()
        train = self.labels["train"]
        return regression.evaluate(
            value, label, self._column("embedding"), self.shots, train, self._column("projection")
        )

    def _values(self) -> tuple[regression.Array, regression.Array]:
        value = self._column("value")
        rows = np.concatenate(self.rows) if self.rows else np.zeros(0, np.int64)
        return regression.column([]) if value is None else value, self.labels[self.split][rows]

    def _column(self, name: str) -> regression.Array | None:
        parts = self.outputs[name]
        return regression.column(np.concatenate(parts)) if parts else None

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        value, label = self._values()
        name, train = self.label_name, self.labels["train"]
        yield "predictions.png", lambda path: plots.prediction_against_truth(value, label, name, path)
        yield "error.png", lambda path: plots.error_over_label(value, label, train, name, path)
        for key, of, files in (
            ("embedding", "encoder's features", ("embedding", "ordinality")),
            ("projection", "projector's output", ("projection", "projection_ordinality")),
        ):
            vectors = self._column(key)
            if vectors is not None and len(vectors) > 2:
                yield f"{files[0]}.png", partial(_embedding, vectors, label, name, of)
                yield f"{files[1]}.png", partial(_ordinality, vectors, label, name, of)


def _embedding(vectors: regression.Array, label: regression.Array, name: str, of: str, path: Path) -> None:
    plots.embedding_by_label(vectors, label, name, path, of)


def _ordinality(vectors: regression.Array, label: regression.Array, name: str, of: str, path: Path) -> None:
    plots.ordinality(*regression.pairs(vectors, label), name, path, of)


PROBLEM = Regression
