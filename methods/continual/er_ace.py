"""ER-ACE: experience replay in which new rows compete among the classes of their own batch alone.

Source: Caccia et al., New insights on reducing abrupt representation change in online continual learning, ICLR 2022,
arXiv 2104.05025. Our readings are on the page docs/methods/continual.md.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ...datasets.core.table import Batch
from ..base import StepContext
from ..losses.masked_ce import masked_ce
from ..networks.protocols import Classifier, Requires
from .er import ER


class ERACE(ER[Classifier]):
    """L = CE over the classes of the new rows of the batch (new rows) + CE over all classes (replayed rows).

    Means are over rows; a term without rows is left out. Until there is a memory it is cross-entropy over all classes.
    """

    name: ClassVar[str] = "er_ace"
    summary: ClassVar[str] = "replay with asymmetric cross-entropy (ER-ACE)"
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        old, labels = batch["is_memory"], batch["label"]
        x = self._model.pixels(self._model.augment(batch, ctx.augment))
        scores = self._model.classify(self._model.encode(x)).float()
        if not len(ctx.view.memory):
            return {"loss": F.cross_entropy(scores, labels)}
        terms: dict[str, Tensor] = {}
        if not bool(old.all()):
            terms["new"] = masked_ce(scores[~old], labels[~old], labels[~old].unique())
        if bool(old.any()):
            terms["memory"] = F.cross_entropy(scores[old], labels[old])
        loss = torch.stack(list(terms.values())).sum()
        return {"loss": loss, **{f"loss/{name}": term for name, term in terms.items()}}


METHOD = ERACE
