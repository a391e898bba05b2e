"""SelecMix: mixtures of contradicting pairs."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.table import Batch
from ..base import Method, MethodConfig, StepContext
from ..losses.gce import gce
from ..networks.protocols import Classifier, Requires


class SelecMixConfig(MethodConfig):
    """Fields of SelecMix."""

    q: float = Field(0.7, gt=0, le=1, description="q of the biased network's generalised cross-entropy")
    mix_alpha: float = Field(
        1.0,
        gt=0,
        le=10,
        description="α of Beta(α, α), the mixing share; the larger half goes to the contradicting image (our reading)",
    )
    probability: float = Field(0.5, ge=0, le=1, description="share of batches that are mixed (our reading)")


class SelecMix(Method[Classifier]):
    """Mixup of contradicting pairs: same class and unlike in the biased network's features, or another class and alike.

    Source: Hwang et al., NeurIPS 2022.
    """

    Config: ClassVar[type[SelecMixConfig]] = SelecMixConfig
    config: SelecMixConfig
    name: ClassVar[str] = "selecmix"
    summary: ClassVar[str] = "mixup of pairs that contradict the bias"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))

    def __init__(self, config: SelecMixConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.biased = self._model.twin(seed, "biased")

    @staticmethod
    def partners(features: Tensor, labels: Tensor) -> Tensor:
        """For every row a contradicting one, [B], by cosine similarity.

        At even positions the least alike of its class, at odd ones (and where there is none) the most alike of another
        class. The positions are random, for batches are shuffled.
        """
        u = F.normalize(features.float(), dim=1)
        s = u @ u.T
        itself = torch.eye(len(s), dtype=torch.bool, device=s.device)
        same = (labels[:, None] == labels) & ~itself
        unlike = s.masked_fill(~same, torch.inf).argmin(1)
        alike = s.masked_fill(labels[:, None] == labels, -torch.inf).argmax(1)
        return torch.where(
            torch.arange(len(s), device=s.device) % 2 == 0, torch.where(same.any(1), unlike, alike), alike
        )

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c, labels = self.config, batch["label"]
        x = self._model.views(self._model.pixels(batch), ctx.augment)
        z_b = self.biased.encode(x)
        loss_biased = gce(self.biased.classify(z_b), labels, q=c.q).mean()
        mixed = float(torch.rand((), generator=ctx.augment)) < c.probability
        if mixed and len(x) > 1 and bool((labels != labels[0]).any()):
            other = self.partners(z_b.detach(), labels)
            gamma = torch._sample_dirichlet(torch.full((len(x), 2), c.mix_alpha), ctx.augment).amax(1).to(x.device)
            share = gamma[:, None, None, None]
            o = self._model.classify(self._model.encode(share * x[other] + (1 - share) * x))
            ce = F.cross_entropy(o, labels[other], reduction="none")
            loss = (gamma * ce + (1 - gamma) * F.cross_entropy(o, labels, reduction="none")).mean()
        else:
            loss = F.cross_entropy(self._model.classify(self._model.encode(x)), labels)
        return {"loss": loss + loss_biased, "loss/mixed": loss, "loss/biased": loss_biased}


METHOD = SelecMix
