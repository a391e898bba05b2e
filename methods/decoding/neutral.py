"""Simply answer the neutral query: the prompt without context and without a leading clause (control)."""

from __future__ import annotations

from typing import ClassVar

from ...datasets.core.table import Batch
from ..networks import protocols
from ..networks.branches import Branch
from .decoder import Decoder


class Neutral(Decoder):
    """Greedy search on the column ``neutral``. What a contrast with the leading query must beat."""

    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens", "neutral")
    )
    name = "neutral"
    summary = "answers the question without its context or leading clause (control)"

    def main(self, batch: Batch) -> Branch:
        return self.branch(batch, "neutral")


METHOD = Neutral
