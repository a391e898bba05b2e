"""The order in which rows are seen."""

from __future__ import annotations

import math

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


def balanced_batches(labels: Tensor, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """Positions 0..n-1 in ceil(n / batch_size) batches with as many rows of each of the C classes in ``labels`` [n]:
    batch_size // C of each, and one more of classes that change from batch to batch. A class goes through its rows in
    a permutation, and begins another where they run out, so that no row comes twice before all others came.
    """
    classes = labels.unique()
    rows = {int(c): (labels == c).nonzero().flatten() for c in classes}
    queues = {c: torch.empty(0, dtype=torch.int64) for c in rows}
    batches = []
    for _ in range(math.ceil(len(labels) / batch_size)):
        part, surplus = divmod(batch_size, len(classes))
        more = {int(classes[i]) for i in torch.randperm(len(classes), generator=generator)[:surplus]}
        chosen = []
        for c, own in rows.items():
            quota = part + (c in more)
            while len(queues[c]) < quota:
                queues[c] = torch.cat([queues[c], own[torch.randperm(len(own), generator=generator)]])
            chosen.append(queues[c][:quota])
            queues[c] = queues[c][quota:]
        batch = torch.cat(chosen)
        batches.append(batch[torch.randperm(len(batch), generator=generator)])
    return batches
