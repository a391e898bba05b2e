"""The rules of contrast against plain loops, and what they are where branches coincide."""

from __future__ import annotations

import math

import pytest
import torch
from holdfast.methods.losses.contrast import (
    adacad_scores,
    cad_scores,
    cd_scores,
    contrast_logits,
    icd_scores,
    lol_scores,
    m3id_scores,
    plausible,
    ritual_scores,
    steer_scores,
    vdd_scores,
)
from holdfast.methods.losses.divergence import js_divergence
from torch import Tensor


def logits(number: int, rows: int = 3, vocabulary: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return 2 * torch.randn(rows, vocabulary, dtype=torch.float64, generator=generator)


def test_the_combination_is_the_weighted_sum_over_plausible_tokens() -> None:
    main, first, second = logits(0), logits(1), logits(2)
    row_weight = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    found = contrast_logits(main, [first, second], (2.0, -0.5, row_weight), 0.2)
    for b in range(3):
        for v in range(7):
            kept = float(main[b, v]) >= math.log(0.2) + float(main[b].max())
            value = 2 * main[b, v] - 0.5 * first[b, v] + row_weight[b] * second[b, v]
            assert float(found[b, v]) == pytest.approx(float(value) if kept else -math.inf, abs=1e-12)


@pytest.mark.parametrize("beta", [None, 0.0, 0.1, 1.0])
def test_the_mask_keeps_the_largest_and_what_min_p_keeps(beta: float | None) -> None:
    from transformers import MinPLogitsWarper

    main = logits(3, 20, 11)
    kept = plausible(main, beta)
    assert bool(kept.gather(1, main.argmax(1, keepdim=True)).all())
    warped = MinPLogitsWarper(beta)(torch.zeros(20, 1, dtype=torch.int64), main) if beta is not None else main
    assert torch.equal(kept, warped > -math.inf)


@pytest.mark.parametrize(
    ("rule", "inverse_temperature"),
    [
        (lambda z: cad_scores(z, z, 0.7), 1.0),
        (lambda z: vdd_scores(z, [z, z], 0.7, None), 1.0),
        (lambda z: m3id_scores(z, z, 30, None), 1.0),
        (lambda z: ritual_scores(z, z, 3.0, None), 4.0),
        (lambda z: icd_scores(z, z, None), 0.0),
        (lambda z: cd_scores(z, z, 1.0, None), 0.0),
        (lambda z: lol_scores(z, z, z, z, keep_beta=None), 0.0),
        (lambda z: steer_scores(z, z, z, 0.3, 0.4), 0.6),
    ],
)
def test_where_all_branches_coincide_a_rule_is_a_temperature(rule: object, inverse_temperature: float) -> None:
    z = logits(4)
    assert callable(rule)
    found = rule(z).softmax(-1)
    assert torch.allclose(found, (inverse_temperature * z).softmax(-1), atol=1e-12)


def test_adacad_is_plain_without_conflict_and_cad_with_a_threshold_above() -> None:
    context, free = logits(5), logits(6)
    same = adacad_scores(context, context, js_divergence(context, context))
    assert torch.equal(same, context)
    divergence = js_divergence(context, free)
    assert torch.equal(adacad_scores(context, free, divergence, 0.7), cad_scores(context, free, 0.7 + 0 * divergence))
    alone = adacad_scores(context[1:2], free[1:2], js_divergence(context[1:2], free[1:2]))
    assert torch.equal(adacad_scores(context, free, divergence)[1:2], alone)


def test_lol_without_its_additions_is_icd_to_the_bit_and_grows_with_omega_where_the_low_contrast_is_larger() -> None:
    final, amateur, low, amateur_low = (logits(n) for n in range(4))
    plain = lol_scores(final, amateur, low, amateur_low, omega=0, keep_beta=0.01)
    assert torch.equal(plain, icd_scores(final, amateur, 0.01))
    gap = low.log_softmax(1) - amateur_low.log_softmax(1)
    gain = lol_scores(final, amateur, low, amateur_low, 0.5, None) - lol_scores(
        final, amateur, low, amateur_low, 0, None
    )
    assert torch.allclose(gain, 0.5 * gap)
    truthful = lol_scores(final, amateur, low, amateur_low, 0, None, truthful=logits(9), kappa=0.5)
    wanted = icd_scores(final, amateur, None) + 0.5 * (logits(9).log_softmax(1) - final.log_softmax(1))
    assert torch.allclose(truthful, wanted)


def test_m3id_leaves_the_first_token_alone_and_has_a_step_a_row() -> None:
    main, free = logits(7), logits(8)
    steps = torch.tensor([0, 5, 40])
    found = m3id_scores(main, free, steps.double(), None)
    assert torch.equal(found[0], main[0])
    for row, step in enumerate(steps.tolist()):
        assert torch.allclose(found[row], m3id_scores(main, free, step, None)[row])


def test_tokens_that_are_banned_stay_out_and_a_branch_without_them_is_an_error() -> None:
    main, free = logits(9), logits(10)
    main[0, 2] = free[0, 2] = -math.inf
    found = cad_scores(main, free, 1.0)
    assert float(found[0, 2]) == -math.inf
    assert not bool(found.isnan().any())
    free[1, 1] = -math.inf
    with pytest.raises(ValueError, match="branch 1 is not finite"):
        cad_scores(main, free, 1.0)


def test_half_precision_is_combined_in_float32_and_wrong_input_is_named() -> None:
    main, free = logits(11).half(), logits(12).half()
    found = cad_scores(main, free, 1.0)
    assert found.dtype == torch.float32
    assert torch.equal(found, 2 * main.float() - free.float())
    with pytest.raises(ValueError, match="2 weights"):
        contrast_logits(main, [free], (1.0,))
    with pytest.raises(ValueError, match="one vocabulary"):
        contrast_logits(main, [free[:, :5]], (1.0, -1.0))
    with pytest.raises(ValueError, match=r"0\.\.1"):
        plausible(main, 1.5)
    with pytest.raises(ValueError, match="at least one pass"):
        vdd_scores(main, [])
    with pytest.raises(ValueError, match="kappa"):
        lol_scores(main, free, main, free, kappa=0.5)
