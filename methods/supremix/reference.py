"""What a user would pick instead of a network: ridge regression and gradient boosting, a reference in the tables.

scikit-learn fits them once on all rows of the experience; what is kept of them are tensors, so that they are saved,
resumed and evaluated like any other method. They see the flattened inputs; of sentence pairs, how
much the words of both overlap (:func:`overlap`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Fitted, UnfitError
from ..networks import protocols

WORDS = 2  # tokens below are padding and the unknown word


def _bags(tokens: Tensor, vocabulary: int) -> Tensor:
    """Counts [B, vocabulary] of the words in token numbers [B, L]; padding and unknown words count nothing."""
    counts = torch.zeros(len(tokens), vocabulary, dtype=torch.float64, device=tokens.device)
    known = (tokens >= WORDS) & (tokens < vocabulary)
    return counts.scatter_add_(1, torch.where(known, tokens, 0), known.double())


def overlap(first: Tensor, second: Tensor, idf: Tensor) -> Tensor:
    """Features [B, 5] of sentence pairs [B, L], [B, M], 0 where a sentence has no known word. ``idf`` [V].

    They are: cosine of the tf-idf vectors, cosine of the counts, shared words over all words (Jaccard), shared words
    over those of the shorter sentence, | difference of the lengths |.
    """
    a, b = (_bags(t, len(idf)) for t in (first, second))
    shared, either = ((a > 0) & (b > 0)).sum(1), ((a > 0) | (b > 0)).sum(1)
    shorter = torch.minimum((a > 0).sum(1), (b > 0).sum(1))
    length = (a.sum(1) - b.sum(1)).abs()
    return torch.stack(
        [
            nn.functional.cosine_similarity(a * idf, b * idf),
            nn.functional.cosine_similarity(a, b),
            shared / either.clamp(min=1),
            shared / shorter.clamp(min=1),
            length,
        ],
        1,
    )


class Reference(Fitted[protocols.Regressor]):
    """Fits on the rows of an experience at once (earlier experiences are forgotten); there are no steps."""

    requires: ClassVar[protocols.Requires] = protocols.Requires(model=protocols.Regressor, columns=("label",))

    def features(self, batch: Batch) -> Tensor:
        """What is read of a batch, [B, D] float64."""
        if self._model.modality == "text":
            return overlap(batch["first"], batch["second"], self.part("idf", batch["first"]))
        x: Tensor = self._model.inputs(batch)["x"]
        return x.flatten(1).double()

    def fit_rows(self, view: ExperienceView) -> None:
        """Fit. Raises UnfitError for labels that are not finite, and for texts encoded as one sequence."""
        label = view.labels().double()
        if not bool(label.isfinite().all()):
            raise UnfitError("the training labels hold NaN or infinities")
        if self._model.modality == "text":
            if "first" not in view.columns:
                raise UnfitError(f"{self.name} compares the words of two texts: set model.options.pair=apart")
            self.fitted["idf"] = self._inverse_frequencies(view)
        x = torch.cat([self.features(batch) for batch in view.batches()]).cpu()
        self.fit(x.numpy(), label.cpu().numpy())

    def _inverse_frequencies(self, view: ExperienceView) -> Tensor:
        """log((1 + n) / (1 + n_w)) + 1 over the 2 · rows sentences of the experience, [V] float64."""
        size = 1 + max(int(batch[name].max()) for batch in view.batches() for name in ("first", "second"))
        has = torch.zeros(size, dtype=torch.float64)
        for batch in view.batches():
            for name in ("first", "second"):
                has += (_bags(batch[name], size) > 0).sum(0).cpu()
        return ((1 + 2 * len(view.index)) / (1 + has)).log() + 1

    def fit(self, x: Any, y: Any) -> None:
        """Fit to features [n, D] and labels [n], numpy float64."""
        raise NotImplementedError(f"{type(self).__name__} must define fit")

    def value(self, x: Tensor) -> Tensor:
        """Predictions [B] of features [B, D], float64."""
        raise NotImplementedError(f"{type(self).__name__} must define value")

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        return {"value": self.value(self.features(batch))}

    def part(self, name: str, like: Tensor) -> Tensor:
        """A fitted tensor on the device of ``like``."""
        return self.fitted[name].to(like.device)
