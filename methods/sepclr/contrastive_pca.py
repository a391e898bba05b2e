"""Contrastive PCA: directions in which targets vary more than background (Abid et al., Nature Communications 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Fitted, MethodConfig, UnfitError
from ..networks.protocols import ContrastModel, Requires
from .two_spaces import BACKGROUND, TARGET, predictions


class ContrastivePCAConfig(MethodConfig):
    """How much the variance of background counts."""

    alpha: float = Field(
        1.0,
        ge=0,
        description="α, weight of background's covariance; 0: PCA of the targets",
        json_schema_extra={"sweep": {"low": 0.1, "high": 100.0, "log": True}},
    )
    standardise: bool = Field(False, description="inputs get deviation 1 over all rows first (tables of unlike units)")
    most_inputs: int = Field(
        4096, ge=1, le=65_536, description="numbers a row at most: the covariance has their square"
    )


class ContrastivePCA(Fitted[ContrastModel]):
    """Salient: the ds leading eigenvectors of C_target - α C_background. Common (ours): the dc leading directions of
    all rows in the orthogonal complement of those, so that the spaces cannot be swapped. Fitted at once; a later
    experience replaces it.
    """

    Config: ClassVar[type[ContrastivePCAConfig]] = ContrastivePCAConfig
    config: ContrastivePCAConfig
    name: ClassVar[str] = "contrastive_pca"
    summary: ClassVar[str] = "contrastive PCA: linear, in closed form"
    requires: ClassVar[Requires] = Requires(model=ContrastModel, columns=("target",))

    def fit_rows(self, view: ExperienceView) -> None:
        """Fit on all rows of the experience. Raises UnfitError for wide rows and for an experience without targets."""
        d = torch.Size(self._model.input_shape).numel()
        widest = max(self._model.d_common + self._model.d_salient, 1)
        if d > self.config.most_inputs:
            raise UnfitError(
                f"contrastive_pca: a row has {d} numbers and its covariance {d} x {d}: leave the method out, or raise "
                "methods.contrastive_pca.most_inputs"
            )
        if widest > d:
            raise UnfitError(
                f"contrastive_pca: rows of {d} numbers have no {widest} directions: lower model.options.common and "
                "model.options.salient"
            )
        moments = [_Moments(d), _Moments(d)]
        for batch in view.batches():
            x = _rows(self._model.inputs(batch))
            for group in (BACKGROUND, TARGET):
                moments[group].add(x[batch["target"] == group])
        if not moments[TARGET].n:
            raise UnfitError("contrastive_pca: there is no target row")
        self.fit(*moments)

    def fit(self, background: _Moments, target: _Moments) -> None:
        """From both groups' moments to the directions, columns of [D, ds] and [D, dc]."""
        both = background.joined(target)
        covariance, scale = both.covariance(), torch.ones_like(both.sum)
        if self.config.standardise:
            deviation = covariance.diagonal().sqrt()
            scale = torch.where(deviation > 0, deviation, 1.0)
        outer = scale[:, None] * scale
        mine, rest, all_rows = (m.covariance() / outer for m in (target, background, both))
        salient = _leading(mine - self.config.alpha * rest, self._model.d_salient)
        away = torch.eye(len(scale), dtype=torch.float64) - salient @ salient.T
        # rows of the complement alone: the salient directions have eigenvalue 0 there, and are moved last
        common = _leading(away @ all_rows @ away - salient @ salient.T, self._model.d_common)
        self.fitted = {"mean": both.sum / both.n, "scale": scale, "salient": salient, "common": common}

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        x = self._model.inputs(batch)
        common, salient = self._onto(x, "common"), self._onto(x, "salient")
        return predictions(common, salient, common, salient)

    def salient(self, x: Tensor) -> Tensor:
        """Coordinates [B, ds] of inputs x along the salient directions."""
        return self._onto(x, "salient")

    def _onto(self, x: Tensor, space: str) -> Tensor:
        rows = (_rows(x) - self.fitted["mean"]) / self.fitted["scale"]
        return (rows @ self.fitted[space]).float().to(x.device)


def _rows(x: Tensor) -> Tensor:
    return x.flatten(1).double().cpu()


class _Moments:
    """Number, sum [D] and sum of products [D, D] of rows, float64."""

    def __init__(self, d: int) -> None:
        self.n = 0
        self.sum = torch.zeros(d, dtype=torch.float64)
        self.products = torch.zeros(d, d, dtype=torch.float64)

    def add(self, x: Tensor) -> None:
        self.n += len(x)
        self.sum += x.sum(0)
        self.products.addmm_(x.T, x)

    def joined(self, other: _Moments) -> _Moments:
        both = _Moments(len(self.sum))
        both.n, both.sum, both.products = self.n + other.n, self.sum + other.sum, self.products + other.products
        return both

    def covariance(self) -> Tensor:
        """Of zero rows: zeros."""
        mean = self.sum / max(self.n, 1)
        return self.products / max(self.n, 1) - torch.outer(mean, mean)


def _leading(matrix: Tensor, count: int) -> Tensor:
    """Eigenvectors of the ``count`` largest eigenvalues, [D, count]; of each the largest entry is positive."""
    vectors = torch.linalg.eigh((matrix + matrix.T) / 2).eigenvectors[:, -count:].flip(1)
    at = vectors.abs().argmax(0, keepdim=True)
    return vectors * vectors.gather(0, at).sign()


METHOD = ContrastivePCA
