"""LfF: a network that is amplified to learn the bias weights the images of the other (Nam et al., NeurIPS 2020).

CDvG with these weights lies in :mod:`.cdvg_lff`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Method, MethodConfig, StepContext
from ..losses.gce import gce
from ..losses.relative_difficulty import moving_average, relative_difficulty
from ..losses.views_ce import views_ce
from ..networks.protocols import Classifier, Requires


class LffConfig(MethodConfig):
    """Fields of the biased network."""

    q: float = Field(
        0.7,
        gt=0,
        le=1,
        description="q of the generalised cross-entropy",
        json_schema_extra={"sweep": {"low": 0.3, "high": 0.9}},
    )
    alpha: float = Field(0.7, ge=0, lt=1, description="α of the moving averages of each image's losses")


def sample_weights(
    view: ExperienceView, batch: Batch, biased: Tensor, debiased: Tensor, alpha: float, prefix: str = "lff"
) -> Tensor:
    """w [B] from the cross-entropies [B] of both networks on the batch's original images.

    The averages of every row live in the view's sidecar (in the checkpoint); each is divided by its class's largest
    over all rows visited so far (those not visited yet have none).
    """
    side, n = view.sidecar, view.n_rows
    names = [f"{prefix}/biased", f"{prefix}/debiased"]
    if names[0] not in side:
        for name in names:
            side[name] = torch.zeros(n)
        side[f"{prefix}/seen"] = torch.zeros(n, dtype=torch.bool)
        side[f"{prefix}/label"] = torch.zeros(n, dtype=torch.int64)
    rows, labels = torch.stack([batch["index"], batch["label"]]).cpu()  # one wait for the device, as of the losses
    losses = torch.stack([biased, debiased]).detach().float().cpu()
    every = side[f"{prefix}/label"]
    every[rows] = labels
    scaled = []
    for name, value in zip(names, losses, strict=True):
        held = side[name]
        held[rows] = moving_average(held[rows], value, side[f"{prefix}/seen"][rows], alpha=alpha)
        largest = torch.zeros(int(every.max()) + 1).scatter_reduce(0, every, held, "amax")
        scaled.append(held[rows] / (largest[labels] + 1e-8))
    side[f"{prefix}/seen"][rows] = True
    return relative_difficulty(*scaled).to(batch["label"].device)


class LfF(Method[Classifier]):
    """L = mean gce(f_b(x), y) + mean w · CE(f_d(x), y); predictions are f_d's."""

    Config: ClassVar[type[LffConfig]] = LffConfig
    config: LffConfig
    name: ClassVar[str] = "lff"
    summary: ClassVar[str] = "learning from failure: what a biased network finds hard weighs more"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))

    def __init__(self, config: LffConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.biased = self._model.twin(seed, "biased")

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c, labels = self.config, batch["label"]
        x = self._model.views(self._model.pixels(batch), ctx.augment)
        biased = self.biased.classify(self.biased.encode(x))  # [B, C]
        debiased = self._model.classify(self._model.encode(x))  # [B, C]
        weights = sample_weights(
            ctx.view,
            batch,
            F.cross_entropy(biased, labels, reduction="none"),
            F.cross_entropy(debiased, labels, reduction="none"),
            c.alpha,
        )
        loss_biased = gce(biased, labels, q=c.q).mean()
        loss = views_ce(debiased, labels, weights)
        return {
            "loss": loss + loss_biased,
            "loss/biased": loss_biased,
            "loss/debiased": loss,
            "lff/weight": weights.mean(),
        }


METHOD = LfF
