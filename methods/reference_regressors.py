"""What a user would pick instead of a network: ridge regression and gradient boosting, as a reference in the tables of regression.

scikit-learn fits them once on all rows of the experience; what is kept of them are tensors, so that they are saved, resumed and evaluated like any
other method. They see the flattened inputs; of sentence pairs, how much the words of both overlap (:func:`overlap`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ..datasets.batches import Batch, ExperienceView
from .base import Method, MethodConfig, Stage, StepContext, UnfitError

WORDS = 2  # tokens below are padding and the unknown word


def _bags(tokens: Tensor, vocabulary: int) -> Tensor:
    """Counts [B, vocabulary] of the words in token numbers [B, L]; padding and unknown words count nothing."""
    counts = torch.zeros(len(tokens), vocabulary, dtype=torch.float64, device=tokens.device)
    known = (tokens >= WORDS) & (tokens < vocabulary)
    return counts.scatter_add_(1, torch.where(known, tokens, 0), known.double())


def overlap(first: Tensor, second: Tensor, idf: Tensor) -> Tensor:
    """Features [B, 5] of sentence pairs [B, L], [B, M]: cosine of the tf-idf vectors, cosine of the counts, shared words over all words (Jaccard),
    shared words over those of the shorter sentence, | difference of the lengths |. ``idf`` [V]. 0 where a sentence has no known word.
    """
    a, b = (_bags(t, len(idf)) for t in (first, second))
    shared, either = ((a > 0) & (b > 0)).sum(1), ((a > 0) | (b > 0)).sum(1)
    shorter = torch.minimum((a > 0).sum(1), (b > 0).sum(1))
    length = (a.sum(1) - b.sum(1)).abs()
    return torch.stack(
        [nn.functional.cosine_similarity(a * idf, b * idf), nn.functional.cosine_similarity(a, b), shared / either.clamp(min=1), shared / shorter.clamp(min=1), length], 1
    )  # fmt: skip


class Reference(Method):
    """Fits on the rows of an experience at once (earlier experiences are forgotten); there are no steps."""

    def __init__(self, config: MethodConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.fitted: dict[str, Tensor] = {}  # saved with the state; on the CPU until they are used

    @classmethod
    def total_epochs(cls, config: Any, epochs: int) -> int | None:
        return None

    def stages(self, view: ExperienceView) -> list[Stage]:
        return [Stage("fit", epochs=0, optimizers={})]

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        raise NotImplementedError(f"{self.name} has no steps: it is fitted at once")

    def features(self, batch: Batch) -> Tensor:
        """What is read of a batch, [B, D] float64."""
        if self._model.modality == "text":
            return overlap(batch["first"], batch["second"], self.part("idf", batch["first"]))
        x: Tensor = self._model.inputs(batch)["x"]
        return x.flatten(1).double()

    def before_stage(self, stage: Stage, view: ExperienceView) -> None:
        """Fit. Raises UnfitError for labels that are no finite numbers, and for texts that one encoder reads as one sequence."""
        label = view.labels().double()
        if not bool(label.isfinite().all()):
            raise UnfitError("the training labels hold NaN or infinities")
        if self._model.modality == "text":
            if "first" not in view.columns:
                raise UnfitError(f"{self.name} compares the words of two texts: set model.options.pair=apart")
            self.fitted["idf"] = self._inverse_frequencies(view)
        x = torch.cat([self.features(batch) for batch in view.batches()]).cpu()
        self.fit(x.numpy(), label.cpu().numpy())

    def _inverse_frequencies(self, view: ExperienceView) -> Tensor:
        """log((1 + n) / (1 + n_w)) + 1 over the 2 · rows sentences of the experience, [V] float64."""
        size = 1 + max(int(batch[name].max()) for batch in view.batches() for name in ("first", "second"))
        has = torch.zeros(size, dtype=torch.float64)
        for batch in view.batches():
            for name in ("first", "second"):
                has += (_bags(batch[name], size) > 0).sum(0).cpu()
        return ((1 + 2 * len(view.index)) / (1 + has)).log() + 1

    def fit(self, x: Any, y: Any) -> None:
        """Fit to features [n, D] and labels [n], numpy float64."""
        raise NotImplementedError(f"{type(self).__name__} must define fit")

    def value(self, x: Tensor) -> Tensor:
        """Predictions [B] of features [B, D], float64."""
        raise NotImplementedError(f"{type(self).__name__} must define value")

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        return {"value": self.value(self.features(batch))}

    def part(self, name: str, like: Tensor) -> Tensor:
        """A fitted tensor on the device of ``like``."""
        return self.fitted[name].to(like.device)

    def get_extra_state(self) -> dict[str, Tensor]:
        return self.fitted

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.fitted = dict(state)


class RidgeConfig(MethodConfig):
    """The grid of penalties."""

    lowest: float = Field(1e-3, gt=0, description="smallest penalty α that is tried, features having deviation 1")
    highest: float = Field(1e4, gt=0, description="largest penalty α that is tried")
    count: int = Field(15, ge=1, le=1000, description="penalties that are tried, equally spaced in log α")


class Ridge(Reference):
    """Linear regression with an L2 penalty, which leave-one-out errors on the training rows choose (scikit-learn's RidgeCV)."""

    Config: ClassVar[type[MethodConfig]] = RidgeConfig
    config: RidgeConfig
    name: ClassVar[str] = "ridge"
    summary: ClassVar[str] = "ridge regression on the inputs, penalty by leave-one-out (scikit-learn; a reference)"

    def fit(self, x: Any, y: Any) -> None:
        import numpy as np
        from sklearn.linear_model import RidgeCV
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(x)
        c = self.config
        ridge = RidgeCV(np.geomspace(c.lowest, c.highest, c.count)).fit(scaler.transform(x), y)
        weight = ridge.coef_ / scaler.scale_
        self.fitted["weight"] = torch.from_numpy(weight)
        self.fitted["bias"] = torch.tensor(float(ridge.intercept_ - scaler.mean_ @ weight), dtype=torch.float64)

    def value(self, x: Tensor) -> Tensor:
        return x @ self.part("weight", x) + self.part("bias", x)


class BoostingConfig(MethodConfig):
    """scikit-learn's GradientBoostingRegressor; its own defaults."""

    trees: int = Field(100, ge=1, le=100_000, description="trees", json_schema_extra={"sweep": {"low": 50, "high": 1000, "log": True}})  # fmt: skip
    depth: int = Field(3, ge=1, le=30, description="largest depth of a tree", json_schema_extra={"sweep": {"low": 2, "high": 6}})  # fmt: skip
    learning_rate: float = Field(0.1, gt=0, le=1, description="weight of a tree", json_schema_extra={"sweep": {"low": 0.02, "high": 0.3, "log": True}})  # fmt: skip
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
        found = GradientBoostingRegressor(
            n_estimators=c.trees, max_depth=c.depth, learning_rate=c.learning_rate, subsample=c.subsample, random_state=self.seed
        ).fit(x, y)  # fmt: skip
        trees = [tree.tree_ for tree in found.estimators_[:, 0]]
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
            "start": torch.tensor(float(found.init_.constant_[0, 0]), dtype=torch.float64),
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
