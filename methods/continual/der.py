"""Dark experience replay: the memory keeps what the model answered when a row entered it, and replay holds it to that.

DER and, with ``beta`` above 0, DER++. Source: Buzzega et al., NeurIPS 2020, arXiv 2004.07211: the objectives of DER and
of DER++. Our
readings are on the page docs/methods/continual.md.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView, Sidecar
from ..base import StepContext
from ..networks.protocols import Classifier, Requires
from .er import ER, RehearsalConfig

ROWS, LOGITS = "der/rows", "der/logits"  # in the sidecar: row ids [m], ascending, and z [m, C] of them


class DERConfig(RehearsalConfig):
    """The memory of experience replay, and the weights of the two terms on its rows."""

    alpha: float = Field(
        0.3,
        ge=0,
        le=100,
        description="α, weight of the squared distance to the stored logits",
        json_schema_extra={"sweep": {"low": 0.1, "high": 3.0, "log": True}},
    )
    beta: float = Field(0.0, ge=0, le=100, description="β, weight of the labels of a second replayed batch; 0: DER")


def stored_logits(sidecar: Sidecar, rows: Tensor) -> Tensor:
    """z [B, C] as stored with the row ids ``rows`` [B]. Raises KeyError for a row that is not stored."""
    known = sidecar[ROWS]
    place = torch.searchsorted(known, rows).clamp(max=len(known) - 1)
    if not torch.equal(known[place], rows):
        raise KeyError("there are no stored logits of some row of the memory")
    return sidecar[LOGITS][place]


class DER(ER[Classifier]):
    """L = CE(h(x), y) + α MSE(h(x'), z') + β CE(h(x''), y''): x' and x'' are replayed rows, z' what the model answered
    to x' (logits) at the end of the experience that x' is from.

    x are the new rows of the batch, x' its rows of the memory, x'' as many again, drawn for the step. Means are over
    rows (MSE: and classes). A term without rows is left out.
    """

    Config: ClassVar[type[DERConfig]] = DERConfig
    config: DERConfig
    name: ClassVar[str] = "der"
    summary: ClassVar[str] = "replay that holds to stored logits (dark experience replay)"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        old = batch["is_memory"]
        scores = self._scores(self._model.augment(batch, ctx.augment))
        terms: dict[str, tuple[float, Tensor]] = {}
        if not bool(old.all()):
            terms["new"] = 1.0, F.cross_entropy(scores[~old], batch["label"][~old])
        if bool(old.any()):
            stored = stored_logits(ctx.view.sidecar, batch["index"][old].cpu()).to(scores.device)
            terms["logits"] = self.config.alpha, F.mse_loss(scores[old], stored)
            if self.config.beta:
                again = self._drawn(int(old.sum()), ctx)
                answers = self._scores(self._model.augment(again, ctx.augment))
                terms["labels"] = self.config.beta, F.cross_entropy(answers, again["label"])
        loss = torch.stack([weight * term for weight, term in terms.values()]).sum()
        return {"loss": loss, **{f"loss/{name}": term for name, (_, term) in terms.items()}}

    def _scores(self, batch: Batch) -> Tensor:
        """h(x): logits [B, C], float32."""
        return self._model.classify(self._model.encode(self._model.pixels(batch))).float()

    def _drawn(self, count: int, ctx: StepContext) -> Batch:
        """``count`` rows of the memory with replacement: a function of (seed, step of the run) alone."""
        memory = ctx.view.memory
        draws = generator(self.seed, f"der/second/{ctx.iteration}")
        return ctx.view.gather(memory[torch.randint(len(memory), (count,), generator=draws)])

    def after_experience(self, view: ExperienceView) -> None:
        """Choose the memory as experience replay does; store the logits of its new rows, keep those of the others."""
        super().after_experience(view)
        rows = self.memory().sort().values
        new = rows[torch.isin(rows, view.index)]
        held = rows[~torch.isin(rows, view.index)]
        answers = self._answers(new, view)
        logits = torch.cat([stored_logits(view.sidecar, held), answers]) if len(held) else answers
        order = torch.cat([held, new]).argsort()
        view.sidecar[ROWS], view.sidecar[LOGITS] = rows, logits[order]

    @torch.no_grad()
    def _answers(self, rows: Tensor, view: ExperienceView) -> Tensor:
        """h(x) [m, C] in eval mode, without augmentation, on the CPU."""
        self.eval()
        parts = [self._scores(batch).cpu() for batch in view.batches(rows)]
        return torch.cat(parts) if parts else torch.empty(0, self._model.classes)


METHOD = DER
