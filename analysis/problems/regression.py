"""Scalar regression: errors, shots, correlations and how far the embedding is ordered by the label (SupReMix spec section 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from .. import plots, regression
from . import Data, Evaluator, Picture, Prediction


class Regression(Evaluator):
    """Predictions hold ``value`` and may hold ``embedding`` [d]; the column ``label`` is the target.

    ``data.info["shots"]`` says how labels fall into many, medium and few (fields of :class:`~holdfast.analysis.regression.Shots`);
    ``data.info["label_name"]`` names the target in pictures.
    """

    main: ClassVar[str] = "mae"
    higher_is_better: ClassVar[bool] = False
    table: ClassVar[Sequence[str]] = (
        "mae/average", "mae/last", "mae/forgetting", "rmse/last", "r2/last", "spearman/last", "many/mae/last", "medium/mae/last", "few/mae/last",
        "ordinality/last", "cost/seconds_per_step",
    )  # fmt: skip

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.labels = {split: regression.column(table.columns["label"].numpy()) for split, table in data.splits.items()}
        given = data.info.get("shots")
        self.shots = regression.Shots.of(given) if given is not None else None

    def score(self, predictions: Sequence[Prediction], index: Sequence[int], split: str) -> dict[str, float]:
        value, label, embedding = self._arrays(predictions, index, split)
        return regression.evaluate(value, label, embedding, self.shots, self.labels["train"])

    def _arrays(
        self, predictions: Sequence[Prediction], index: Sequence[int], split: str
    ) -> tuple[regression.Array, regression.Array, regression.Array | None]:
        value = regression.column([p["value"] for p in predictions])
        embedding = None
        if predictions and "embedding" in predictions[0]:
            embedding = regression.column([p["embedding"] for p in predictions])
        return value, self.labels[split][np.asarray(index, dtype=np.int64)], embedding

    def pictures(
        self, predictions: Sequence[Prediction], index: Sequence[int], split: str
    ) -> Iterator[tuple[str, Picture]]:
        value, label, embedding = self._arrays(predictions, index, split)
        name = str(self.data.info.get("label_name", "label"))
        yield "predictions.png", lambda path: plots.prediction_against_truth(value, label, name, path)
        yield "error.png", lambda path: plots.error_over_label(value, label, self.labels["train"], name, path)
        if embedding is not None and len(embedding) > 2:
            z = embedding
            yield "embedding.png", lambda path: plots.embedding_by_label(z, label, name, path)
            yield "ordinality.png", lambda path: plots.ordinality(*regression.pairs(z, label), name, path)


PROBLEM = Regression
