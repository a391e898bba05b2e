"""The language model of a world whose next token depends on the last one alone: an exact table, never trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from ...datasets.core.language import LanguageInfo
from ...datasets.core.source import DataInfo, require
from ...datasets.core.table import Batch
from ..base import UnfitError
from .language import Step, next_token_loss
from .protocols import CausalModel

PROVIDES = (CausalModel,)
FLOOR = -1e4  # log-probability of what never happens: finite, so that differences are numbers


class Config(BaseModel):
    """The data's own table; there is nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Nothing:
    """The cache of a model without memory."""

    def select(self, rows: Tensor) -> Nothing:
        return self


class MarkovModel(nn.Module):
    """Logits are rows of ``table`` [V, V], log-probabilities of the next token (column) after the last one (row)."""

    table: Tensor

    def __init__(self, table: Tensor, info: LanguageInfo) -> None:
        super().__init__()
        self.info, self.vocabulary, self.layers = info, len(table), 1
        self.register_buffer("table", table.clamp(min=FLOOR))

    def prefix(self, batch: Batch) -> Tensor | None:
        """None: it sees no pictures."""
        return None

    def step(
        self,
        tokens: Tensor,
        mask: Tensor,
        cache: Any = None,
        prefix: Tensor | None = None,
        layers: tuple[int, ...] = (),
    ) -> Step:
        """See :class:`~.protocols.CausalModel`; hidden states are rows of the table as probabilities."""
        logits = self.table[tokens]
        return Step(logits, logits.exp(), Nothing(), dict.fromkeys(layers, logits))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy [] of the column ``tokens`` (nats); nothing moves by it."""
        tokens = batch["tokens"]
        mask = torch.arange(tokens.shape[1], device=tokens.device) < batch["tokens_lengths"][:, None]
        return next_token_loss(self.table[tokens], tokens, mask), {}


def build(config: Config, info: DataInfo, seed: int) -> MarkovModel:
    """The model of data whose oracle has a ``table``. Raises UnfitError for other data."""
    language = require(info, LanguageInfo, "the network 'markov'")
    table = getattr(language.oracle, "table", None)
    if table is None:
        raise UnfitError("model.name: 'markov' is the table of toy_constraints; for this data take 'causal'")
    return MarkovModel(torch.from_numpy(np.asarray(table, np.float32)), language)
