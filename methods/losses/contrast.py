"""Decoding rules that add or subtract the logits of further passes: one combination, of which every rule is a row."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .numerics import at_least_float32


def plausible(main: Tensor, beta: float | None) -> Tensor:
    """Plausibility mask: True where ``main >= log β + max main``, [..., V] bool; β None or 0: where main is above -inf.

    The largest token is always kept. It is the same set as that of min-p sampling with p = β, since a shift of the
    logits changes neither side.

    Raises:
        ValueError: β outside 0..1.

    Source: contrastive decoding (Li et al. 2023), eq. 2.
    """
    if beta is not None and not 0 <= beta <= 1:
        raise ValueError(f"keep_beta must lie in 0..1, not {beta}")
    possible = main > -math.inf
    if not beta:
        return possible
    return possible & (main >= math.log(beta) + main.amax(-1, keepdim=True))


def contrast_logits(
    main: Tensor, branches: Sequence[Tensor], weights: Sequence[float | Tensor], keep_beta: float | None = None
) -> Tensor:
    """``w_0 main + Σ_k w_k branch_k``, and -inf where ``main < log β + max main``: scores [B, V].

    Logits and log-probabilities may be mixed as far as the softmax of the result counts (a shift of a branch does not
    change it); where scores are summed over tokens, give log-probabilities and normalise the result.

    Args:
        main: logits of the pass that decides what is plausible, [B, V]; -inf removes a token.
        branches: logits of the other passes, each [B, V].
        weights: w_0, w_1, ...; a number, or one a row [B] or [B, 1].
        keep_beta: β of :func:`plausible`; None: no mask.

    Raises:
        ValueError: numbers of weights and branches, or shapes, that do not fit; a branch that is not finite at a kept
            token, which would win or lose whatever the others say.

    Source: docs/methods/decoding.md, table of rules.
    """
    if len(weights) != len(branches) + 1:
        raise ValueError(
            f"{len(branches)} branches need {len(branches) + 1} weights (the first is main's), not {len(weights)}"
        )
    wrong = [tuple(branch.shape) for branch in branches if branch.shape != main.shape]
    if wrong:
        raise ValueError(f"branches must have the shape of main, {tuple(main.shape)} (one vocabulary), not {wrong[0]}")
    main = at_least_float32(main)
    kept = plausible(main, keep_beta)
    total = _times(weights[0], main)
    for number, branch in enumerate(branches, 1):
        branch = at_least_float32(branch)
        if not bool(torch.isfinite(branch).logical_or(~kept).all()):
            raise ValueError(f"branch {number} is not finite at a token that the main pass keeps")
        total = total + _times(weights[number], branch)
    return torch.where(kept, total, -math.inf)


def _times(weight: float | Tensor, logits: Tensor) -> Tensor:
    if not isinstance(weight, Tensor):
        return logits * weight
    return logits * (weight[..., None] if weight.dim() == logits.dim() - 1 else weight)


def cd_scores(expert: Tensor, amateur: Tensor, tau: float = 0.5, keep_beta: float | None = 0.1) -> Tensor:
    """``log p_expert - log softmax(amateur / τ)`` over plausible tokens, [B, V].

    Source: contrastive decoding (Li et al. 2023), eq. 3; τ and β of its public code.
    """
    pair = _log_softmax(expert), _log_softmax(at_least_float32(amateur) / tau)
    return contrast_logits(pair[0], [pair[1]], (1.0, -1.0), keep_beta)


def cad_scores(context: Tensor, free: Tensor, alpha: float | Tensor = 1.0, keep_beta: float | None = None) -> Tensor:
    """``(1 + α) z_context - α z_free``, [B, V]: CAD; with a noised picture as free VCD; with the neutral query as
    context and the leading one as free LQCD; with α the divergence of the step AdaCAD (:func:`adacad_scores`).

    Source: CAD (Shi et al. 2024), eq. 3; VCD (Leng et al. 2024), eq. 3; LQCD as a survey gives it (arXiv 2411.15287).
    """
    return contrast_logits(context, [free], (1 + alpha, -alpha), keep_beta)


def adacad_scores(context: Tensor, free: Tensor, divergence: Tensor, least: float = 0.0) -> Tensor:
    """CAD with α = max(J, ``least``), J [B] the Jensen-Shannon divergence of both rows in nats (``js_divergence``).

    Each row has its own J: no row changes with the others.

    Source: AdaCAD (arXiv 2409.07394), its rule as the public code has it, without the filter that float32 switches on.
    """
    return cad_scores(context, free, divergence.clamp(min=least))


def vdd_scores(main: Tensor, free: Sequence[Tensor], alpha: float = 1.0, keep_beta: float | None = 0.1) -> Tensor:
    """``(1 + α) z - α mean(z_free)`` over plausible tokens; ``free``: without picture, and with an unknown one.

    Source: VDD (arXiv 2403.05262), as its public code has it. Raises ValueError without a branch.
    """
    if not free:
        raise ValueError("vdd_scores needs at least one pass without the picture")
    return contrast_logits(main, free, (1 + alpha, *[-alpha / len(free)] * len(free)), keep_beta)


def m3id_scores(main: Tensor, free: Tensor, step: int | Tensor, keep_beta: float | None = 0.1) -> Tensor:
    """``z / γ_t + (1 - 1/γ_t) z_free``, γ_t = exp(-0.02 t); ``step`` t counts new tokens from 0 (a number, or [B]).

    The first token is uncontrasted, since γ_0 = 1.

    Source: M3ID (Favero et al. 2024), as RITUAL's public code has it.
    """
    gain = (0.02 * step).exp() if isinstance(step, Tensor) else math.exp(0.02 * step)
    return contrast_logits(main, [free], (gain, 1 - gain), keep_beta)


def ritual_scores(main: Tensor, view: Tensor, alpha: float = 3.0, keep_beta: float | None = 0.1) -> Tensor:
    """``z + α z_view`` over the tokens that are plausible without the view: [B, V]. Equal passes give (1 + α) z.

    Source: RITUAL (arXiv 2405.17821), as its public code has it.
    """
    return contrast_logits(main, [view], (1.0, alpha), keep_beta)


def icd_scores(base: Tensor, amateur: Tensor, keep_beta: float | None = 0.1) -> Tensor:
    """``log p_base - log p_amateur`` over plausible tokens; the amateur was trained on, or asked for, falsehoods. With
    an early layer of the same pass as amateur it is DoLa.

    Source: ICD (Zhang et al. 2024), DoLa (Chuang et al. 2024), eq. 4, as their public codes have them.
    """
    return contrast_logits(_log_softmax(base), [_log_softmax(amateur)], (1.0, -1.0), keep_beta)


def lol_scores(
    final: Tensor,
    amateur: Tensor,
    low: Tensor,
    amateur_low: Tensor,
    omega: float = 0.3,
    keep_beta: float | None = 0.1,
    truthful: Tensor | None = None,
    kappa: float = 0.0,
) -> Tensor:
    """``C_L + ω C_l + κ R`` over plausible tokens: contrasts of log-probabilities at the last and at a low layer,
    and R = log p(. | asked to be truthful) - log p. ω = κ = 0 is ICD to the bit.

    Source: our reconstruction of LOL (arXiv 2408.08769), whose formulas and code are not public:
    docs/methods/decoding.md.
    """
    main = _log_softmax(final)
    branches, weights = [_log_softmax(amateur)], [1.0 - kappa, -1.0]
    if omega:
        branches += [_log_softmax(low), _log_softmax(amateur_low)]
        weights += [omega, -omega]
    if kappa:
        if truthful is None:
            raise ValueError("kappa > 0 needs the pass that was asked to be truthful")
        branches.append(_log_softmax(truthful))
        weights.append(kappa)
    return contrast_logits(main, branches, weights, keep_beta)


def steer_scores(
    tuned: Tensor,
    base: Tensor,
    negative: Tensor | None,
    gamma: float = 0.2,
    eta: float = 0.2,
    keep_beta: float | None = None,
) -> Tensor:
    """``(1 + γ) log p_tuned - γ log p_base - η log p_tuned(. | negative prompt)``, [B, V]; without a negative prompt
    the last term is left out.

    Source: STEER (arXiv 2308.07645), as code found by its text has it.
    """
    branches, weights = [_log_softmax(base)], [1 + gamma, -gamma]
    if negative is not None:
        branches.append(_log_softmax(negative))
        weights.append(-eta)
    return contrast_logits(_log_softmax(tuned), branches, weights, keep_beta)


def _log_softmax(logits: Tensor) -> Tensor:
    return at_least_float32(logits).log_softmax(-1)
