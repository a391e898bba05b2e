"""What a contrast of two distributions says of a given text: the score of an answer in multiple choice."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .numerics import at_least_float32


def choice_score(
    main: Tensor,
    amateur: Tensor,
    ids: Tensor,
    *,
    keep_beta: float | None = 0.1,
    renormalise: bool = True,
    fill: float = -1000.0,
    mask: Tensor | None = None,
) -> Tensor:
    """``Σ_t s_t(ids_t)``, s = log softmax(main) - log softmax(amateur), over the tokens of a text; [...].

    A token below β of main's largest probability counts ``fill``: one implausible token decides the comparison with
    other answers, which is what the public codes of DoLa and ICD do (-1000). ``renormalise``: s is made a
    log-distribution before that. Summed in float64, without division by the length.

    Args:
        main, amateur: logits [..., T, V] that predict ids.
        ids: [..., T] int64.
        keep_beta: β in 0..1; None or 0: no mask.
        mask: [..., T] bool, the tokens that count; None: all.

    Raises:
        ValueError: shapes that do not fit, β outside 0..1.

    Source: DoLa (Chuang et al. 2024) and ICD (Zhang et al. 2024), TruthfulQA scoring of their public codes.
    """
    if main.shape != amateur.shape or ids.shape != main.shape[:-1]:
        raise ValueError(
            f"needs main and amateur [..., T, V] and ids [..., T], not {tuple(main.shape)}, {tuple(amateur.shape)} and "
            f"{tuple(ids.shape)}"
        )
    if keep_beta is not None and not 0 <= keep_beta <= 1:
        raise ValueError(f"keep_beta must lie in 0..1, not {keep_beta}")
    log_main = at_least_float32(main).log_softmax(-1)
    score = log_main - at_least_float32(amateur).log_softmax(-1)
    if renormalise:
        score = score.log_softmax(-1)
    if keep_beta:
        score = torch.where(log_main < log_main.amax(-1, keepdim=True) + math.log(keep_beta), fill, score)
    chosen = score.gather(-1, ids[..., None])[..., 0].double()
    return (chosen if mask is None else chosen.masked_fill(~mask, 0.0)).sum(-1)
