"""What language models and decoders hand to each other: a step's results, and token rows padded on the left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ...datasets.core.table import Batch


class Cache(Protocol):
    """Keys and values of what a model has read. A cache that was given to a step is used up: its successor is in the
    step's result.
    """

    def select(self, rows: Tensor) -> Cache:
        """A copy with the rows ``rows`` [n] of this one; a row may come several times."""
        ...


@dataclass(frozen=True)
class Step:
    """What a model says of T further tokens of B rows.

    ``logits`` [B, T, V] of the token after each, ``hidden`` [B, T, d] the last hidden states (after the final norm),
    ``cache`` for the next step, ``early`` logits [B, T, V] of hidden layers by number, ``states`` [B, T, d] of the
    layers below the last: the embeddings, layer 1, ..., L - 1; empty of a model that does not give them.
    """

    logits: Tensor
    hidden: Tensor
    cache: Cache
    early: dict[int, Tensor] = field(default_factory=dict)
    states: tuple[Tensor, ...] = ()


def left_padded(tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [B, L] that are padded on the right as rows padded on the left, and their mask [B, L], True where valid."""
    longest = tokens.shape[1]
    at = torch.arange(longest, device=tokens.device) - (longest - lengths)[:, None]
    return tokens.gather(1, at.clamp(min=0)).masked_fill(at < 0, 0), at >= 0


def rows_of(batch: Batch, name: str) -> tuple[Tensor, Tensor]:
    """A ragged column of token rows, padded on the left, and its mask."""
    return left_padded(batch[name], batch[f"{name}_lengths"])


def next_token_loss(logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy [] of ``tokens`` [B, T] from the second on, under ``logits`` [B, T, V] of what follows each;
    tokens without ``mask`` do not count. At least one must count.
    """
    wanted = tokens[:, 1:].masked_fill(~mask[:, 1:], -100)
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), wanted.flatten())
