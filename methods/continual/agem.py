"""A-GEM: a step on new rows may not raise the loss of rows of the memory.

Source: Chaudhry et al., Efficient lifelong learning with A-GEM, ICLR 2019, arXiv 1812.00420. Our readings are on the
page docs/methods/continual.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.table import Batch
from ..base import StepContext, Update, protocol
from ..losses.gradient_projection import gradient_projection
from ..networks.protocols import Classifier, Requires
from .er import ER, RehearsalConfig


class AGEMConfig(RehearsalConfig):
    """The memory of experience replay; half of each batch is from it, and gives the reference gradient."""

    batching: Literal["concat", "balanced"] = Field(
        "balanced",
        description="balanced: half of each batch from M; concat: what falls into it",
        json_schema_extra=protocol(),
    )


def projected(losses: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> None:
    """Adds to ``.grad`` the gradient of ``losses["new"]``, projected on that of ``losses["memory"]``
    (:func:`..losses.gradient_projection.gradient_projection`) over all parameters together.
    """
    new, memory = (
        torch.autograd.grad(losses[name], parameters, retain_graph=name == "new", allow_unused=True)
        for name in ("new", "memory")
    )

    def flat(gradients: Sequence[Tensor | None]) -> Tensor:
        pairs = zip(gradients, parameters, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])

    gradient = gradient_projection(flat(new), flat(memory))
    for p, part in zip(parameters, gradient.split([p.numel() for p in parameters]), strict=True):
        own = part.view_as(p)
        p.grad = own.clone() if p.grad is None else p.grad + own


class AGEM(ER[Classifier]):
    """The gradient g of CE on the new rows becomes g - (g·r / r·r) r where g·r < 0, r the gradient of CE on the batch's
    rows of the memory. Rows of the memory are not trained on otherwise; a batch without rows of one kind takes a plain
    step on the other, which is a reading of ours and occurs with ``concat`` alone.
    """

    Config: ClassVar[type[AGEMConfig]] = AGEMConfig
    name: ClassVar[str] = "agem"
    summary: ClassVar[str] = "gradients that may not work against the memory (A-GEM)"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))

    def training_step(  # type: ignore[override]  # two losses, and what makes one gradient of them
        self, batch: Batch, ctx: StepContext
    ) -> Iterator[Update]:
        old, labels = batch["is_memory"], batch["label"]
        x = self._model.pixels(self._model.augment(batch, ctx.augment))
        scores = self._model.classify(self._model.encode(x)).float()
        if bool(old.any()) and not bool(old.all()):
            losses = {
                "new": F.cross_entropy(scores[~old], labels[~old]),
                "memory": F.cross_entropy(scores[old], labels[old]),
            }
            yield Update(losses=losses, aggregator=projected)
        else:
            yield Update(F.cross_entropy(scores, labels))


METHOD = AGEM
