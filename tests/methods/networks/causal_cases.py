"""Small causal models for tests: a decoder of ours, and a table that knows the next token by the last one alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from holdfast.datasets.core.language import LanguageInfo
from holdfast.datasets.core.table import Batch
from holdfast.methods.networks import causal
from holdfast.methods.networks.language import Step
from torch import Tensor, nn


def info_of(words: int = 9, image: tuple[int, int] | None = None) -> LanguageInfo:
    vocabulary = ("<pad>", "<s>", "</s>", *(f"w{n}" for n in range(words)))
    return LanguageInfo(vocabulary=vocabulary, longest=16, image=image)


def decoder(seed: int = 0, image: tuple[int, int] | None = None, **options: object) -> causal.CausalDecoder:
    """In float64, so that equal sums in another order are equal to many digits."""
    torch.manual_seed(seed)
    config = causal.Config(**{"width": 16, "layers": 2, "heads": 2, "feedforward": 16, "patch": 2} | options)
    net = causal.build(config, info_of(image=image), seed).double().eval()
    with torch.no_grad():  # larger weights: logits that differ clearly
        net.embedding.weight.mul_(4)
    return net


@dataclass(frozen=True)
class Nothing:
    """The cache of a model without memory."""

    def select(self, rows: Tensor) -> Nothing:
        return self


class TableModel(nn.Module):
    """Logits of the next token by the last one, [V, V]; hidden states are rows of ``states``."""

    def __init__(self, table: Tensor, states: Tensor | None = None) -> None:
        super().__init__()
        self.table, self.vocabulary, self.layers, self.info = table, len(table), 1, info_of(len(table) - 3)
        self.states = torch.eye(len(table), dtype=table.dtype) if states is None else states
        self.calls: list[tuple[Tensor, Tensor]] = []

    def prefix(self, batch: Batch) -> Tensor | None:
        return None

    def step(
        self,
        tokens: Tensor,
        mask: Tensor,
        cache: object = None,
        prefix: Tensor | None = None,
        layers: tuple[int, ...] = (),
    ) -> Step:
        self.calls.append((tokens.clone(), mask.clone()))
        logits = self.table[tokens]
        return Step(logits, self.states[tokens], Nothing(), dict.fromkeys(layers, logits))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError
