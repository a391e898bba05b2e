"""Options against a swap of the spaces: what is mixed in, which rows the common contrast has, what comes first."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.methods.losses.sepclr import align, sepclr, uniformity
from holdfast.methods.sepclr.against_swap import LinearCodes, mixed_with_background
from torch.nn import functional as F

from .miniature import method, rows_of_test, train, view_of


def test_a_row_is_mixed_with_a_background_row_of_its_batch() -> None:
    g = torch.Generator().manual_seed(0)
    x, target = torch.rand(40, 2, 3, generator=g), torch.tensor([1, 1, 0, 1] * 10)
    mixed = mixed_with_background(x, target, 0.6, g)
    rest = x[target == 0]
    for row, out in zip(x, mixed, strict=True):
        best = None
        for other in rest:  # the weight that explains the row best, and how well
            step = other - row
            weight = float(((out - row) * step).sum() / step.square().sum().clamp(min=1e-12))
            error = float((row + weight * step - out).abs().max())
            best = min(best or (error, weight), (error, weight))
        assert best is not None
        assert best[0] < 1e-5
        assert -1e-6 <= best[1] <= 0.6
    assert (mixed - x).abs().max() > 0.05


def test_without_background_rows_stay() -> None:
    x = torch.rand(5, 4)
    assert torch.equal(mixed_with_background(x, torch.ones(5), 0.9, torch.Generator()), x)


def test_mixing_reaches_the_salient_encoder_alone() -> None:
    """Without independence the common encoder is that of a run that mixes nothing, to the bit."""
    plain, mixing = method("sepclr", lam=0.0), method("sepclr", lam=0.0, mix_background=0.8)
    for made in (plain, mixing):
        train(made, epochs=2)
    same = plain.model.common.state_dict()
    assert all(torch.equal(value, same[name]) for name, value in mixing.model.common.state_dict().items())
    assert not torch.equal(plain.model.salient.head.weight, mixing.model.salient.head.weight)


def test_the_common_contrast_of_background_alone() -> None:
    g = torch.Generator().manual_seed(1)
    c1, c2, s1, s2 = (torch.randn(10, d, generator=g, dtype=torch.float64) for d in (4, 4, 3, 3))
    target = torch.tensor([0, 1] * 5)
    terms = sepclr(c1, c2, s1, s2, target, common="background")
    u1, u2 = (F.normalize(c, dim=1)[target == 0] for c in (c1, c2))
    assert terms.common_align.item() == pytest.approx(align(u1, u2).item(), rel=1e-12)
    assert terms.common_unif.item() == pytest.approx((uniformity(u1) + uniformity(u2)).item() / 2, rel=1e-12)
    whole = sepclr(c1, c2, s1, s2, target)
    assert terms.salient_unif == whole.salient_unif
    assert terms.joint_entropy == whole.joint_entropy


def test_the_common_contrast_first_leaves_the_salient_encoder_as_it_was() -> None:
    made, whole = method("sepclr", common_first=0.99), method("sepclr")
    before = {name: p.clone() for name, p in made.model.named_parameters()}
    train(made, epochs=1)  # 4 of 4 steps
    train(whole, epochs=1)
    now = dict(made.model.named_parameters())
    assert all(torch.equal(value, now[name]) for name, value in before.items() if name.startswith("salient"))
    assert not torch.equal(before["common.head.weight"], now["common.head.weight"])
    assert not torch.equal(before["salient.head.weight"], whole.model.salient.head.weight)


@torch.no_grad()
def _far(made: Any) -> float:
    """Squared distance of the targets' salient codes from contrastive PCA's, over the square of these."""
    linear, batch = LinearCodes(made.model, view_of(made)), rows_of_test()
    mine = batch["target"] == 1
    codes, wanted = made.predict(batch)["salient_code"][mine], linear(made.model.inputs(batch))[mine]
    return float((codes - wanted).square().sum() / wanted.square().sum())


def test_salient_codes_learn_those_of_contrastive_pca_first() -> None:
    """Far closer to them after as many steps than those of the method's own contrast."""
    distance = []
    for share in (0.99, 0.0):
        made = method("sepclr", pca_first=share)
        train(made, epochs=20)
        distance.append(_far(made))
    assert distance[0] < 0.5 * distance[1]


def test_linear_codes_have_a_mean_square_of_one_over_targets() -> None:
    made = method("sepclr")
    view = view_of(made)
    linear = LinearCodes(made.model, view)
    squares = torch.cat([linear(made.model.inputs(b)[b["target"] == 1]).square() for b in view.batches()])
    assert squares.mean().item() == pytest.approx(1, rel=1e-5)
