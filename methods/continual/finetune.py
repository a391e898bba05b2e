"""Fine-tuning: sequential training without memory, the lower bound of a continual comparison."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from typing_extensions import TypeVar

from ...datasets.core.table import Batch
from ..base import Method, StepContext
from ..networks.protocols import Learner, Requires

L = TypeVar("L", bound=Learner, default=Any)


class Finetune(Method[L]):
    """Sequential training without memory: the lower bound."""

    name: ClassVar[str] = "finetune"
    summary: ClassVar[str] = "sequential training, no memory (lower bound)"
    requires: ClassVar[Requires] = Requires(model=Learner)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        loss, logs = self._model.loss(self._model.augment(batch, ctx.augment))
        return {"loss": loss, **logs}


METHOD = Finetune
