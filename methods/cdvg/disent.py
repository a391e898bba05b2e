"""DisEnt: two branches whose features are swapped. What the paper leaves open is a field."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.seeds import derive
from ...datasets.core.table import Batch
from ..base import Method, StepContext
from ..losses.gce import gce
from ..losses.views_ce import views_ce
from ..networks.protocols import Classifier, Requires
from .lff import LffConfig, sample_weights


class DisEntConfig(LffConfig):
    """Fields of DisEnt beside LfF's."""

    lambda_dis: float = Field(
        10.0,
        ge=0,
        description="λ_dis, weight of the biased head's loss",
        json_schema_extra={"sweep": {"low": 1.0, "high": 20.0, "log": True}},
    )
    lambda_swap: float = Field(1.0, ge=0, description="λ_swap, weight of the swapped features' losses")
    lambda_swap_align: float = Field(
        10.0, ge=0, description="λ_swap_b, weight of the biased head's loss on swapped features"
    )
    swap_after: int = Field(10_000, ge=0, description="steps before features are swapped")


class Branches(nn.Module):
    """What DisEnt adds to a model: the biased encoder and a head on the features of both for each branch."""

    steps_done: Tensor

    def __init__(self, model: Classifier, seed: int) -> None:
        super().__init__()
        self.biased = model.twin(seed, "biased")
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "disent/heads"))
            self.head_i = nn.Linear(2 * model.features_out, model.classes)
            self.head_b = nn.Linear(2 * model.features_out, model.classes)

    def forward(self, z_i: Tensor, z_b: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the heads on [z_i, sg z_b] and [sg z_i, z_b]; z_i, z_b [N, H]."""
        return self.head_i(torch.cat([z_i, z_b.detach()], 1)), self.head_b(torch.cat([z_i.detach(), z_b], 1))

    def predict(self, model: Classifier, x: Tensor) -> dict[str, Tensor]:
        """``label`` [N] of images x and ``scores`` [N, C], logits: what the intrinsic head answers."""
        scores = self(model.encode(x), self.biased.encode(x))[0]
        return {"label": scores.argmax(1), "scores": scores}

    def loss(
        self,
        z_i: Tensor,
        z_b: Tensor,
        labels: Tensor,
        weights: Tensor,
        config: DisEntConfig,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """``mean w CE_i + λ_dis mean gce_b``, and from ``swap_after`` steps on the swapped features' loss too.

        That is ``λ_swap (mean w CE_i + λ_swap_b mean gce_b)`` with z_b permuted (its head answers for the permuted
        label). z_i [V·B, H] of V views; z_b [B, H] and weights [B] count in every view.
        """
        n = len(z_i) // len(labels)
        z_b, every = z_b.repeat(n, 1), labels.repeat(n)
        o_i, o_b = self(z_i, z_b)
        loss = views_ce(o_i, labels, weights) + config.lambda_dis * gce(o_b, every, q=config.q).mean()
        logs = {"loss/disentangle": loss}
        if int(self.steps_done) >= config.swap_after:
            moved = torch.randperm(len(labels), generator=generator).to(z_i.device)
            moved = torch.cat([moved + len(labels) * k for k in range(n)])  # within a view
            mixed_i, mixed_b = self(z_i, z_b[moved])
            swap = (
                views_ce(mixed_i, labels, weights)
                + config.lambda_swap_align * gce(mixed_b, every[moved], q=config.q).mean()
            )
            loss = loss + config.lambda_swap * swap
            logs["loss/swap"] = swap
        self.steps_done.add_(1)
        return loss, logs


class DisEnt(Method[Classifier]):
    """Two encoders; heads on [z_i, sg z_b] (weighted) and [sg z_i, z_b] (amplified); later also with z_b permuted.

    Source: Lee et al., NeurIPS 2021.
    """

    Config: ClassVar[type[DisEntConfig]] = DisEntConfig
    config: DisEntConfig
    name: ClassVar[str] = "disent"
    summary: ClassVar[str] = "disentangled intrinsic and bias features, swapped as augmentation"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))

    def __init__(self, config: DisEntConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.branches = Branches(self._model, seed)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c, labels = self.config, batch["label"]
        x = self._model.views(self._model.pixels(batch), ctx.augment)
        z_i, z_b = self._model.encode(x), self.branches.biased.encode(x)  # [B, H] each
        ce_i, ce_b = (F.cross_entropy(o, labels, reduction="none") for o in self.branches(z_i, z_b))
        weights = sample_weights(ctx.view, batch, ce_b, ce_i, c.alpha, "disent")
        loss, logs = self.branches.loss(z_i, z_b, labels, weights, c, ctx.augment)
        return {"loss": loss, **logs}

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        return self.branches.predict(self._model, self._model.pixels(batch))


METHOD = DisEnt
