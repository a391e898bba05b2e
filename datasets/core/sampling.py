"""The order in which rows are seen."""

from __future__ import annotations

import torch
from torch import Tensor


def epoch_batches(
    n: int,
    batch_size: int,
    generator: torch.Generator,
    lengths: Tensor | None = None,
    drop_last: bool = False,
    pool: int = 16,
) -> list[Tensor]:
    """Positions 0..n-1 in batches: a permutation cut in order; with ``lengths`` [n] sorted by length within pools of
    ``pool`` batches first and the batches shuffled after, so that padding stays small. The loader path and the
    in-memory path both take their batches from here.
    """
    permutation = torch.randperm(n, generator=generator)
    if lengths is None:
        batches = list(permutation.split(batch_size))
    else:
        batches = []
        for part in permutation.split(batch_size * pool):
            part = part[torch.argsort(lengths[part], stable=True)]
            batches.extend(part.split(batch_size))
        batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
    if drop_last:
        batches = [batch for batch in batches if len(batch) == batch_size]
    return batches
