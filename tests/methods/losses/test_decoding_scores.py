"""Divergence, calibration, scores of answers, noise, InfoNCE and SimCTG: plain loops, corners and wrong input."""

from __future__ import annotations

import math

import pytest
import torch
from holdfast.methods.losses.affine_calibration import affine_calibration
from holdfast.methods.losses.choice_score import choice_score
from holdfast.methods.losses.diffusion_noise import diffusion_scales
from holdfast.methods.losses.divergence import js_divergence
from holdfast.methods.losses.infonce import infonce
from holdfast.methods.losses.simctg import degeneration_scores, simctg_contrastive
from torch import Tensor
from torch.nn import functional as F


def numbers(number: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(number))


def test_the_divergence_is_symmetric_bounded_and_blind_to_shifts_and_order() -> None:
    p, q = 5 * numbers(0, 6, 9), 5 * numbers(1, 6, 9)
    found = js_divergence(p, q)
    assert torch.allclose(found, js_divergence(q, p))
    assert bool((found <= math.log(2)).all())
    assert torch.allclose(found, js_divergence(p + 3, q - 2))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(found, js_divergence(p[:, order], q[:, order]))
    assert torch.equal(js_divergence(p, p), torch.zeros(6, dtype=torch.float64))
    apart = torch.tensor([[0.0, -math.inf]]), torch.tensor([[-math.inf, 0.0]])
    assert float(js_divergence(*apart)) == pytest.approx(math.log(2))
    assert float(js_divergence(*apart, base=2)) == pytest.approx(1)
    a, b = p.softmax(1), q.softmax(1)
    m = (a + b) / 2
    reverse = ((m * (m / a).log()).sum(1) + (m * (m / b).log()).sum(1)) / 2 / 9
    assert torch.allclose(js_divergence(p, q, "reversed"), reverse)
    with pytest.raises(ValueError, match="one vocabulary"):
        js_divergence(p, q[:, :4])


def test_calibration_by_what_is_said_without_the_input() -> None:
    p = numbers(3, 5, 4).softmax(1)
    assert torch.allclose(affine_calibration(p, p), torch.full_like(p, 0.25))
    flat = torch.full((4,), 0.25, dtype=torch.float64)
    assert torch.equal(affine_calibration(p, flat).argsort(1), p.argsort(1))
    free = numbers(4, 5, 4).softmax(1)
    q = affine_calibration(p, free)
    assert torch.allclose(q, affine_calibration(p, 0.5 * free))
    assert torch.allclose(q, (p.log() - free.log()).softmax(1)), "the bridge to a contrast with weights 1, -1"
    assert torch.allclose(affine_calibration(p, torch.zeros(4, dtype=torch.float64)), p)  # the floor
    assert torch.equal(affine_calibration(p, free, "identity"), p - free)
    with pytest.raises(ValueError, match="p_free"):
        affine_calibration(p, free[:2])


@pytest.mark.parametrize("renormalise", [True, False])
def test_an_answer_s_score_is_the_sum_of_its_tokens(renormalise: bool) -> None:
    main, amateur = numbers(5, 2, 3, 6), numbers(6, 2, 3, 6)
    ids = torch.tensor([[0, 3, 5], [1, 1, 2]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    found = choice_score(main, amateur, ids, keep_beta=0.3, renormalise=renormalise, mask=mask)
    for row in range(2):
        total = 0.0
        for t in range(3):
            if not mask[row, t]:
                continue
            p, q = main[row, t].softmax(0), amateur[row, t].softmax(0)
            s = p.log() - q.log()
            s = s.log_softmax(0) if renormalise else s
            total += float(s[ids[row, t]]) if p[ids[row, t]] >= 0.3 * p.max() else -1000.0
        assert float(found[row]) == pytest.approx(total)
    with pytest.raises(ValueError, match="ids"):
        choice_score(main, amateur, ids[:, :2])
    with pytest.raises(ValueError, match="keep_beta"):
        choice_score(main, amateur, ids, keep_beta=2)


def test_noise_grows_with_the_step() -> None:
    signal, noise = diffusion_scales(torch.arange(0, 1000, 50))
    assert torch.allclose(signal**2 + noise**2, torch.ones(20, dtype=torch.float64))
    assert bool((noise.diff() > 0).all())
    assert float(noise[0]) < 0.02
    with pytest.raises(ValueError, match="999"):
        diffusion_scales(torch.tensor([1000]))


def test_infonce_against_a_loop_its_gradient_and_its_corners() -> None:
    q, k, g = numbers(7, 4, 3).requires_grad_(), numbers(8, 4, 3), numbers(9, 2, 3)
    total = infonce(q, k, g, reduction="sum")
    everything = torch.cat([k, g])
    wanted = sum(-torch.log(torch.exp(q[i] @ k[i]) / torch.exp(q[i] @ everything.T).sum()) for i in range(4))
    assert torch.allclose(total, torch.as_tensor(wanted))
    total.backward()
    share = (q.detach() @ everything.T).softmax(1)
    assert torch.allclose(q.grad if q.grad is not None else q, share @ everything - k)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(infonce(q[order], k[order], g), infonce(q, k, g))
    equal = infonce(torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(4, 3))
    assert float(equal) == pytest.approx(math.log(8))
    assert float(infonce(q[:1].detach(), k[:1])) == 0
    unit = infonce(F.normalize(q, dim=1), F.normalize(k, dim=1), temperature=0.1)
    assert torch.allclose(infonce(q, k, temperature=0.1, similarity="cosine"), unit)
    empty = torch.zeros(0, 3, requires_grad=True)
    zero = infonce(empty, torch.zeros(0, 3))
    zero.backward()
    assert float(zero.detach()) == 0
    for wrong in (lambda: infonce(q, k[:2]), lambda: infonce(q, k, g[:, :2]), lambda: infonce(q, k, temperature=0)):
        with pytest.raises(ValueError, match=r"not"):
            wrong()


def test_simctg_against_a_loop_and_rows_without_a_pair() -> None:
    hidden = numbers(10, 3, 4, 5)
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1]]).bool()
    total, pairs = 0.0, 0
    for b in range(3):
        for i in range(4):
            for j in range(4):
                if i != j and mask[b, i] and mask[b, j]:
                    cosine = F.cosine_similarity(hidden[b, i], hidden[b, j], dim=0)
                    total, pairs = total + max(0.0, 0.8 - 1 + float(cosine)), pairs + 1
    assert float(simctg_contrastive(hidden, mask, 0.8)) == pytest.approx(total / pairs)
    garbage = hidden.masked_fill(~mask[..., None], 7.0)
    assert torch.allclose(simctg_contrastive(garbage, mask), simctg_contrastive(hidden, mask)), "padding counts"
    orthogonal = torch.eye(4, 5, dtype=torch.float64)[None]
    assert float(simctg_contrastive(orthogonal, mask[:1], 1.0)) == 0
    assert float(simctg_contrastive(orthogonal, mask[:1], 1.1)) > 0
    one = hidden[2:].clone().requires_grad_()
    zero = simctg_contrastive(one, mask[2:])
    zero.backward()
    assert float(zero.detach()) == 0
    assert one.grad is not None
    with pytest.raises(ValueError, match="margin"):
        simctg_contrastive(hidden, mask, -1)
    with pytest.raises(ValueError, match="mask"):
        simctg_contrastive(hidden, mask[:, :2])


def test_the_score_of_contrastive_search() -> None:
    context, candidates = numbers(11, 2, 6, 4), numbers(12, 2, 3, 4)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]).bool()
    p = numbers(13, 2, 3).softmax(1)
    found = degeneration_scores(context, mask, candidates, p, 0.6)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(found, degeneration_scores(3 * context[:, order], mask[:, order], 5 * candidates, p, 0.6))
    assert torch.equal(degeneration_scores(context, mask, candidates, p, 0.0), p)
    assert bool(((found >= -0.6) & (found <= 1)).all())
    same = torch.cat([context[:, 3:4], candidates[:, 1:]], 1)
    assert torch.allclose(degeneration_scores(context, mask, same, p, 0.6)[:, 0], 0.4 * p[:, 0] - 0.6)
    alone = degeneration_scores(context[:1, 2:], mask[:1, 2:], candidates[:1], p[:1], 0.6)
    assert torch.allclose(found[:1], alone)
    empty = degeneration_scores(context, torch.zeros_like(mask), candidates, p, 0.6)
    assert torch.allclose(empty, 0.4 * p)
    with pytest.raises(ValueError, match="alpha"):
        degeneration_scores(context, mask, candidates, p, 1.2)
    with pytest.raises(ValueError, match="candidates"):
        degeneration_scores(context, mask, candidates, p[:, :2])
