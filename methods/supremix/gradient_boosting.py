"""Gradient boosting on the rows as they are: a reference of scikit-learn."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..base import MethodConfig
from .reference import Reference


class BoostingConfig(MethodConfig):
    """scikit-learn's GradientBoostingRegressor; its own defaults."""

    trees: int = Field(
        100, ge=1, le=100_000, description="trees", json_schema_extra={"sweep": {"low": 50, "high": 1000, "log": True}}
    )
    depth: int = Field(
        3, ge=1, le=30, description="largest depth of a tree", json_schema_extra={"sweep": {"low": 2, "high": 6}}
    )
    learning_rate: float = Field(
        0.1,
        gt=0,
        le=1,
        description="weight of a tree",
        json_schema_extra={"sweep": {"low": 0.02, "high": 0.3, "log": True}},
    )
    subsample: float = Field(1.0, gt=0, le=1, description="share of the rows that a tree sees, drawn by the run's seed")


class GradientBoosting(Reference):
    """Trees that are fitted to the residuals one after the other (scikit-learn), kept as tensors [T, nodes]."""

    Config: ClassVar[type[MethodConfig]] = BoostingConfig
    config: BoostingConfig
    name: ClassVar[str] = "gradient_boosting"
    summary: ClassVar[str] = "gradient boosted trees on the inputs (scikit-learn; a reference)"

    def fit(self, x: Any, y: Any) -> None:
        from sklearn.ensemble import GradientBoostingRegressor

        c = self.config
        fitted = GradientBoostingRegressor(
            n_estimators=c.trees,
            max_depth=c.depth,
            learning_rate=c.learning_rate,
            subsample=c.subsample,
            random_state=self.seed,
        ).fit(x, y)
        trees = [tree.tree_ for tree in fitted.estimators_[:, 0]]
        most = max(tree.node_count for tree in trees)

        def padded(name: str, dtype: torch.dtype) -> Tensor:
            rows = torch.zeros(len(trees), most, dtype=dtype)
            for row, tree in zip(rows, trees, strict=True):
                row[: tree.node_count] = torch.as_tensor(getattr(tree, name).reshape(tree.node_count, -1)[:, 0])
            return rows

        self.fitted |= {
            "left": padded("children_left", torch.int64),
            "right": padded("children_right", torch.int64),
            "column": padded("feature", torch.int64).clamp(min=0),
            "threshold": padded("threshold", torch.float64),
            "leaf": padded("value", torch.float64) * c.learning_rate,
            "start": torch.tensor(float(fitted.init_.constant_[0, 0]), dtype=torch.float64),
        }

    def value(self, x: Tensor) -> Tensor:
        left, right, column, threshold, leaf = (
            self.part(n, x) for n in ("left", "right", "column", "threshold", "leaf")
        )
        x = x.float().double()  # the trees were grown on float32
        node = torch.zeros(len(left), len(x), dtype=torch.int64, device=x.device)  # [T, B]: all start at the root
        rows = torch.arange(len(x), device=x.device)
        for _ in range(self.config.depth):
            goes_left = x[rows, column.gather(1, node)] <= threshold.gather(1, node)
            below = torch.where(goes_left, left.gather(1, node), right.gather(1, node))
            node = torch.where(below < 0, node, below)  # a leaf has no child
        return self.part("start", x) + leaf.gather(1, node).sum(0)


METHOD = GradientBoosting
