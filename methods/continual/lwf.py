"""Learning without forgetting: the model of the experience before says what new rows looked like to it.

Source: Li and Hoiem, Learning without forgetting, ECCV 2016, arXiv 1606.09282. Our readings are on the page
docs/methods/continual.md.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import FrozenCopy, Method, MethodConfig, StepContext
from ..losses.distillation import kd_logits
from ..networks.protocols import Classifier, Requires


class LwFConfig(MethodConfig):
    """How much the past counts."""

    lambda_lwf: float = Field(
        1.0,
        ge=0,
        description="λ, weight of the distillation",
        json_schema_extra={"sweep": {"low": 0.1, "high": 10.0, "log": True}},
    )
    temperature: float = Field(2.0, gt=0, description="τ of the distillation")


class LwF(Method[Classifier]):
    """L = CE(h(x), y) + λ τ² KL(softmax(z/τ) || softmax(h(x)/τ)), z the logits of the teacher: the model as it was at
    the end of the experience before. The divergence is over the classes of earlier experiences and the mean over rows;
    no row is kept.
    """

    Config: ClassVar[type[LwFConfig]] = LwFConfig
    config: LwFConfig
    passes: Tensor
    name: ClassVar[str] = "lwf"
    summary: ClassVar[str] = "learning without forgetting: distillation on the new rows"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))
    costs: ClassVar[dict[str, str]] = {"teacher_passes": "rows that the teacher saw"}

    def __init__(self, config: LwFConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.teacher = FrozenCopy(model)
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        x = self._model.pixels(self._model.augment(batch, ctx.augment))
        scores = self._model.classify(self._model.encode(x)).float()
        task = F.cross_entropy(scores, batch["label"])
        if not self.teacher.taken:
            return {"loss": task}
        teacher: Classifier = self.teacher.module  # type: ignore[assignment]  # a copy of the model
        with torch.no_grad():
            answers = teacher.classify(teacher.encode(x)).float()
        self.passes.add_(len(x))
        old = torch.tensor(sorted(ctx.view.classes_earlier), device=scores.device)
        distance = kd_logits(scores[:, old], answers[:, old], temperature=self.config.temperature, reduction="batch")
        return {"loss": task + self.config.lambda_lwf * distance, "loss/task": task, "loss/distillation": distance}

    def after_experience(self, view: ExperienceView) -> None:
        self.teacher.take()

    def cost(self) -> dict[str, float]:
        return {"teacher_passes": float(self.passes)}


METHOD = LwF
