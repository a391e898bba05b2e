"""Contrastive search (Su et al. 2022): of the k likeliest tokens the one that repeats the context least."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..losses.simctg import degeneration_scores
from ..networks.branches import Branch


@dataclass(frozen=True)
class Found:
    """New tokens [B, T] (the end token, then padding), passes a row [B], log-probability under the model [B]."""

    tokens: Tensor
    forwards: Tensor
    logprob: Tensor


@torch.no_grad()
def contrastive_search(main: Branch, length: int, k: int, alpha: float, *, eos: int, pad: int) -> Found:
    """``length`` tokens after each prompt of ``main``, a branch with ``keep_hidden``.

    At a step the k candidates of every row go through the model at once; the one with the largest
    (1 - α) p(v) - α max_j cos(h_v, h_j), j over prompt and new tokens, is kept with its cache. k = 1 or α = 0 is greedy
    search. All rows count, each by itself, and padding is no context.

    Raises:
        ValueError: a branch that does not keep its hidden states.
    """
    if main.context is None:
        raise ValueError("contrastive search compares hidden states: the branch must be made with keep_hidden=True")
    rows, device = len(main.logits), main.logits.device
    tokens = torch.full((rows, length), pad, dtype=torch.int64, device=device)
    alive = torch.ones(rows, dtype=torch.bool, device=device)
    passes, logprob = torch.ones(rows, device=device), torch.zeros(rows, dtype=torch.float64, device=device)
    first = torch.arange(rows, device=device)
    for step in range(length):
        log_p = main.logits.double().log_softmax(-1)
        best, candidates = log_p.topk(min(k, log_p.shape[1]), dim=-1)
        width = candidates.shape[1]
        assert main.context is not None
        assert main.context_mask is not None
        context, mask = main.context, main.context_mask
        tried = main.select(first.repeat_interleave(width))
        tried.advance(candidates.flatten(), alive.repeat_interleave(width))
        passes += alive * width
        hidden = tried.hidden.view(rows, width, -1)
        chosen = degeneration_scores(context, mask, hidden, best.exp(), alpha).argmax(1)
        token = candidates[first, chosen]
        tokens[:, step] = torch.where(alive, token, pad)
        logprob += best[first, chosen].masked_fill(~alive, 0.0)
        alive = alive & (token != eos)
        if not bool(alive.any()):
            break
        main = tried.select(first * width + chosen)
    return Found(tokens, passes, logprob)
