"""Beams of sampled pieces that a ranker chooses (RankGen): sample N continuations of L tokens, keep the best B."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..networks.branches import Branch

# Scores [n] of texts so far: tokens [n, T] (padded), lengths [n], the prompt's row of each [n], and the mean
# log-probability of their tokens [n].
Score = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Draws = Callable[[int], Tensor]  # number of the round -> numbers in 0..1, [rows, N * B, L]


@dataclass(frozen=True)
class Ranked:
    """New tokens [B, T] (the end token, then padding), passes a row [B], log-probability [B] and the ranker's score [B]
    of the chosen text; NaN where nothing was ranked.
    """

    tokens: Tensor
    forwards: Tensor
    logprob: Tensor
    score: Tensor


def nucleus(logits: Tensor, share: float) -> Tensor:
    """Probabilities [n, V] of the smallest set of likeliest tokens that hold at least ``share`` of the mass."""
    p = logits.double().softmax(-1)
    sorted_p, order = p.sort(dim=-1, descending=True, stable=True)
    kept = sorted_p.cumsum(-1) - sorted_p < share
    found = torch.zeros_like(p).scatter(-1, order, sorted_p * kept)
    return found / found.sum(-1, keepdim=True)


def drawn(p: Tensor, u: Tensor) -> Tensor:
    """Tokens [n] at the shares ``u`` [n] of the distributions ``p`` [n, V]; never one without mass."""
    total = p.cumsum(-1)
    at = torch.searchsorted(total, (u.to(total) * total[:, -1])[:, None], right=True)[:, 0]
    last = p.shape[-1] - 1 - (p.flip(-1) > 0).long().argmax(-1)
    return at.minimum(last)


@torch.no_grad()
def rank_beam(
    main: Branch,
    length: int,
    score: Score,
    draws: Draws,
    *,
    beams: int,
    samples: int,
    piece: int,
    top_p: float,
    eos: int,
    pad: int,
) -> Ranked:
    """``length`` tokens after each prompt of ``main`` (B rows).

    The first round samples ``samples`` pieces of ``piece`` tokens after each prompt, once, not for each of the equal
    empty beams; later rounds after each of the ``beams`` texts that were kept. A text that has ended competes once and
    unchanged; of equal texts one counts. The best are kept, the first of equal ones. With one beam and one sample the
    ranker is never asked.
    """
    rows, device = len(main.logits), main.logits.device
    first = torch.arange(rows, device=device)
    branch, width = main, 1
    tokens = torch.full((rows, length), pad, dtype=torch.int64, device=device)
    ended = torch.zeros(rows, dtype=torch.bool, device=device)
    logprob = torch.zeros(rows, dtype=torch.float64, device=device)
    passes = torch.ones(rows, device=device)
    best = torch.full((rows,), float("nan"), dtype=torch.float64, device=device)
    done, number = 0, 0
    while done < length and not bool(ended.all()):
        fan = width * samples
        pick = torch.arange(rows * width, device=device).repeat_interleave(samples)
        branch, tokens, ended, logprob = branch.select(pick), tokens[pick], ended[pick], logprob[pick]
        numbers = draws(number)[:, :fan].reshape(rows * fan, -1).to(device)
        stop = min(done + piece, length)
        for place in range(done, stop):
            p = nucleus(branch.logits, top_p)
            chosen = torch.where(ended, pad, drawn(p, numbers[:, place - done]))
            said = branch.logits.double().log_softmax(-1).gather(1, chosen[:, None])[:, 0]
            logprob = logprob + said.masked_fill(ended, 0.0)
            tokens[:, place] = chosen
            ended = ended | (chosen == eos)
            if place + 1 < length and not bool(ended.all()):
                branch.advance(chosen, ~ended)
                passes += (~ended).view(rows, fan).sum(1)
        done, number = stop, number + 1
        if fan > 1:
            made = (tokens != pad).sum(1)
            where = first.repeat_interleave(fan)
            values = score(tokens, made, where, logprob / made.clamp(min=1)).double().view(rows, fan)
            values = values.masked_fill(_repeated(tokens.view(rows, fan, -1)), -torch.inf)
            kept = values.sort(dim=1, descending=True, stable=True).indices[:, : min(beams, fan)]
            best = values.gather(1, kept[:, :1])[:, 0]
            width = kept.shape[1]
            pick = (kept + first[:, None] * fan).flatten()
            branch, tokens, ended, logprob = branch.select(pick), tokens[pick], ended[pick], logprob[pick]
    chosen_rows = first * width
    return Ranked(tokens[chosen_rows], passes, logprob[chosen_rows], best)


def _repeated(texts: Tensor) -> Tensor:
    """Which of the texts [B, n, T] are equal to one before them in their row, [B, n] bool; so are the copies of a text
    that has ended.
    """
    same = (texts[:, :, None, :] == texts[:, None, :, :]).all(-1)
    return same.tril(-1).any(2)
