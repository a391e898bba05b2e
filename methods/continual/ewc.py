"""Elastic weight consolidation: weights that mattered for earlier experiences are held where they were.

Source: Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks, PNAS 2017, arXiv 1612.00796. Our
readings are on the page docs/methods/continual.md.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import MethodConfig, StepContext
from ..networks.protocols import Classifier, Requires
from .anchors import Anchors
from .finetune import Finetune


class EWCConfig(MethodConfig):
    """How much the past counts, and on how many rows it is measured."""

    lambda_ewc: float = Field(
        100.0,
        ge=0,
        description="λ, weight of the penalty",
        json_schema_extra={"sweep": {"low": 1.0, "high": 10_000.0, "log": True}},
    )
    fisher_rows: int | None = Field(
        1000, ge=1, description="rows of an experience on which the Fisher information is measured; null: all"
    )


class EWC(Finetune[Classifier]):
    """L = CE(h(x), y) + λ/2 Σ_k Σ_i F_ki (θ_i - θ*_ki)², k over the experiences so far.

    F_k is the diagonal of the empirical Fisher information: the mean over rows of the squared gradient of the row's own
    log-likelihood, in eval mode, without augmentation, at θ*_k, the weights at the end of experience k. The sum over k
    is kept as one quadratic of the same gradient (ΣF, and the anchor ΣFθ*/ΣF), so that memory does not grow.
    """

    Config: ClassVar[type[EWCConfig]] = EWCConfig
    config: EWCConfig
    name: ClassVar[str] = "ewc"
    summary: ClassVar[str] = "elastic weight consolidation"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))

    def __init__(self, config: EWCConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.anchors = Anchors(model)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        step = super().training_step(batch, ctx)
        if not self.anchors.tables:
            return step
        task, penalty = step["loss"], self.config.lambda_ewc / 2 * self.anchors.penalty()
        return {**step, "loss": task + penalty, "loss/task": task, "loss/penalty": penalty}

    def after_experience(self, view: ExperienceView) -> None:
        """Join the Fisher information of this experience to what is held."""
        self.anchors.join(self.fisher(view))

    def fisher(self, view: ExperienceView) -> dict[str, Tensor]:
        """F [each parameter's shape] over rows of the experience drawn by (seed, experience)."""
        rows = view.index
        most = self.config.fisher_rows
        if most is not None and len(rows) > most:
            order = torch.randperm(len(rows), generator=generator(self.seed, f"ewc/fisher/{view.experience}"))
            rows = rows[order[:most].sort().values]
        self.eval()
        net = _Scores(self.model)
        held = {f"model.{name}": p.detach() for name, p in self.anchors.parameters_by_name().items()}

        def surprise(parameters: dict[str, Tensor], x: Tensor, label: Tensor) -> Tensor:
            scores: Tensor = functional_call(net, parameters, (x[None],))
            return F.cross_entropy(scores.float(), label[None])

        each = vmap(grad(surprise), in_dims=(None, 0, 0), chunk_size=64)
        total = self.anchors.zeros()
        for batch in view.batches(rows):
            gradients = each(held, self._model.pixels(batch), batch["label"])
            for name in total:
                total[name] += (gradients[f"model.{name}"] ** 2).sum(0)
        return {name: value / max(1, len(rows)) for name, value in total.items()}


class _Scores(nn.Module):
    """Logits [B, C] of pixels [B, ...] by call."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        model: Classifier = self.model  # type: ignore[assignment]  # required of the recipe
        return model.classify(model.encode(x))


METHOD = EWC
