"""Scalar regression: errors, shots, correlations and how far the embedding is ordered by the label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...datasets.core.source import RegressionInfo, require
from ..metrics import regression
from ..metrics.metric import Metric
from ..plots import regression as plots
from .evaluator import Data, Evaluator, Picture, Prediction

ERRORS = (
    Metric("mae", False, "label", "mean absolute error"),
    Metric("rmse", False, "label", "root of the mean squared error"),
    Metric("gm", False, "label", "geometric mean of the absolute errors"),
)
COUNT = Metric("n", None, "rows", "rows")
ORDER = (
    Metric("ordinality", True, "", "rank correlation of label distance and embedding distance"),
    Metric("local_linearity", True, "", "straightness of the embedding along the label"),
    Metric("neighbour_mae", False, "label", "mean absolute error of the nearest neighbours' mean label"),
)


class Regression(Evaluator):
    """Predictions hold ``value`` and may hold ``embedding`` [d], the encoder's features, and ``projection`` [p], the
    projector's output where it was trained with the encoder as it stands; the column ``label`` is the target.
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

    def score(self, predictions: Sequence[Prediction], index: Sequence[int], split: str) -> dict[str, float]:
        value, label = self._values(predictions, index, split)
        embedding, projection = (self._vectors(predictions, name) for name in ("embedding", "projection"))
        return regression.evaluate(value, label, embedding, self.shots, self.labels["train"], projection)

    def _values(
        self, predictions: Sequence[Prediction], index: Sequence[int], split: str
    ) -> tuple[regression.Array, regression.Array]:
        value = regression.column([p["value"] for p in predictions])
        return value, self.labels[split][np.asarray(index, dtype=np.int64)]

    @staticmethod
    def _vectors(predictions: Sequence[Prediction], name: str) -> regression.Array | None:
        return regression.column([p[name] for p in predictions]) if predictions and name in predictions[0] else None

    def pictures(
        self, predictions: Sequence[Prediction], index: Sequence[int], split: str
    ) -> Iterator[tuple[str, Picture]]:
        value, label = self._values(predictions, index, split)
        name = self.info.label_name
        yield "predictions.png", lambda path: plots.prediction_against_truth(value, label, name, path)
        yield "error.png", lambda path: plots.error_over_label(value, label, self.labels["train"], name, path)
        for key, of, files in (
            ("embedding", "encoder's features", ("embedding", "ordinality")),
            ("projection", "projector's output", ("projection", "projection_ordinality")),
        ):
            vectors = self._vectors(predictions, key)
            if vectors is not None and len(vectors) > 2:
                yield f"{files[0]}.png", partial(_embedding, vectors, label, name, of)
                yield f"{files[1]}.png", partial(_ordinality, vectors, label, name, of)


def _embedding(vectors: regression.Array, label: regression.Array, name: str, of: str, path: Path) -> None:
    plots.embedding_by_label(vectors, label, name, path, of)


def _ordinality(vectors: regression.Array, label: regression.Array, name: str, of: str, path: Path) -> None:
    plots.ordinality(*regression.pairs(vectors, label), name, path, of)


PROBLEM = Regression
