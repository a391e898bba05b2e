"""Beam search over sampled pieces of text, ranked by a scorer of the whole text so far (RankGen's decoding)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..networks.branches import Branch

# Scores [n] of texts [n, T] (padded with ``pad`` after their end), the rows [n] of the prompts they continue, and their
# log-probabilities [n] under the model.
Scorer = Callable[[Tensor, Tensor, Tensor], Tensor]
Chooser = Callable[[Tensor, Tensor], Tensor]  # tokens [n] of scores [n, V] and draws [n]


@dataclass(frozen=True)
class Beam:
    """B beams, N samples of each a round, L tokens a sample, at most ``length`` tokens."""

    beams: int
    samples: int
    piece: int
    length: int
    eos: int
    pad: int


@torch.no_grad()
def rank_beam(main: Branch, beam: Beam, draws: Tensor, choose: Chooser, score: Scorer) -> tuple[Tensor, Tensor, Tensor]:
    """The best text [R, length] of each of R prompts, the passes it cost [R] and its log-probability [R].

    The first round samples B·N pieces, later ones N of each live beam; the B best texts so far are kept, finished ones
    as they are. Of equal texts one competes. With B = N = 1 nothing is ranked. Draws [R, length, B·N] in 0..1.
    """
    rows, width, device = len(main.logits), beam.beams * beam.samples, main.logits.device
    first = torch.arange(rows, device=device)
    row = first.repeat_interleave(width)
    branch = main.select(row)
    tokens = torch.full((rows * width, beam.length), beam.pad, dtype=torch.int64, device=device)
    alive = torch.ones(rows * width, dtype=torch.bool, device=device)
    logprob = torch.zeros(rows * width, dtype=torch.float64, device=device)
    passes = torch.zeros(rows, device=device)
    for start in range(0, beam.length, beam.piece):
        for step in range(start, min(start + beam.piece, beam.length)):
            passes += alive.view(rows, width).sum(1)
            chosen = choose(branch.logits, draws[:, step].flatten().contiguous())
            said = branch.logits.double().log_softmax(-1).gather(1, chosen[:, None])[:, 0]
            logprob += said.masked_fill(~alive, 0.0)
            tokens[:, step] = torch.where(alive, chosen, beam.pad)
            alive = alive & (chosen != beam.eos)
            if step + 1 < beam.length and bool(alive.any()):
                branch.advance(tokens[:, step], alive)
        if width == 1:
            kept = first[:, None]
        else:
            scores = score(tokens, row, logprob).double().view(rows, width)
            scores = scores.masked_fill(_repeated(tokens.view(rows, width, -1)), -math.inf)
            order = scores.argsort(dim=1, descending=True, stable=True)[:, : beam.beams]
            kept = first[:, None] * width + order
        if start + beam.piece >= beam.length or not bool(alive[kept].any()):
            break
        again = kept.repeat_interleave(beam.samples, 1).flatten()
        branch, tokens, alive, logprob = branch.select(again), tokens[again], alive[again], logprob[again]
    best = kept[:, 0]
    return tokens[best], passes, logprob[best]


def _repeated(texts: Tensor) -> Tensor:
    """Which of the texts [R, n, T] of a row are equal to one before, [R, n] bool."""
    equal = (texts[:, :, None] == texts[:, None]).all(-1)
    return equal.tril(-1).any(-1)
