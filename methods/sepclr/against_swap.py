"""What may keep the two spaces from changing places where the common pattern is the easier one (ours, in no paper):
background mixed into what the salient encoder sees, and contrastive PCA as what salient codes learn first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...datasets.core.view import ExperienceView
from ..networks.protocols import ContrastModel
from .contrastive_pca import ContrastivePCA, ContrastivePCAConfig
from .two_spaces import BACKGROUND, TARGET


def mixed_with_background(x: Tensor, target: Tensor, most: float, draws: torch.Generator) -> Tensor:
    """``(1 - w_i) x_i + w_i b_i``: b_i a background row of the batch, w_i uniform on [0, most], from the generator
    (of the CPU). Two views of a target then differ in their common pattern and agree in their salient one alone. Rows
    stay as they are where the batch has no background.

    Args:
        x: [B, ...] views. target: [B], 1 for targets, 0 for background. most: in [0, 1).
    """
    rows = (target == BACKGROUND).nonzero()[:, 0]
    if not len(rows):
        return x
    pick = torch.randint(len(rows), (len(x),), generator=draws).to(x.device)
    weight = most * torch.rand(len(x), generator=draws).to(x)
    weight = weight.reshape(-1, *(1,) * (x.dim() - 1))
    return (1 - weight) * x + weight * x[rows[pick]]


class LinearCodes:
    """Salient codes [B, ds] of contrastive PCA fitted on the experience, scaled to a mean square of 1 a coordinate
    over its targets.
    """

    def __init__(self, model: ContrastModel, view: ExperienceView) -> None:
        self._scale = 1.0
        self._pca = ContrastivePCA(ContrastivePCAConfig(), model)  # type: ignore[arg-type]  # a module
        self._pca.fit_rows(view)
        squares, n = 0.0, 0
        for batch in view.batches():
            codes = self(model.inputs(batch)[batch["target"] == TARGET])
            squares, n = squares + float(codes.double().square().sum()), n + codes.numel()
        self._scale = (n / squares) ** 0.5 if squares else 1.0

    def __call__(self, x: Tensor) -> Tensor:
        return self._pca.salient(x) * self._scale
