"""Dropout of our own: its rate, its mean, its gradient, its generator, and attention with it beside torch's."""

from __future__ import annotations

import copy

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.methods.networks.acoustic import AcousticEncoder
from holdfast.methods.networks.dropout import Draws, Dropout, attach, dropout, keep_mask, parts_of
from holdfast.methods.networks.seq2seq import Attention
from torch import nn
from torch.nn import functional as F


@pytest.mark.parametrize(
    ("p", "parts"),
    [(0.1, (26, 256)), (0.5, (128, 256)), (0.25, (64, 256)), (0.01, (655, 65_536)), (1e-6, (1, 65_536))],
)
def test_rates_in_256ths_where_they_are_near_enough(p: float, parts: tuple[int, int]) -> None:
    assert parts_of(p) == parts


@pytest.mark.parametrize("p", [0.1, 0.01, 0.5, 0.9, 0.999])
def test_as_many_values_stay_as_the_rate_says_at_every_place_of_a_word(p: float) -> None:
    mask, share = keep_mask(torch.Size([8, 50_001]), p, generator(0, "rate"))
    assert share == pytest.approx(1 - p, abs=0.02 * min(p, 1 - p))
    n = mask.numel()
    assert abs(mask.double().mean() - share) < 4 * (share * (1 - share) / n) ** 0.5
    by_place = mask.flatten()[: n // 8 * 8].view(-1, 8).double().mean(0)  # of the eight bytes (or four words twice)
    assert (by_place - share).abs().max() < 4.5 * (share * (1 - share) / (n // 8)) ** 0.5
    assert (mask[0] == mask[1]).double().mean() < 1


@pytest.mark.parametrize("p", [0.1, 0.01])
def test_the_mean_stays_exactly_and_so_does_what_is_kept(p: float) -> None:
    draws = Draws(generator(1, "mean"))
    x = torch.full((400, 1000), 3.0, requires_grad=True)
    y = dropout(x, p, draws)
    d, n = parts_of(p)
    kept = y != 0
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 3.0 / (1 - d / n)))
    assert float(y.mean().detach()) == pytest.approx(3.0, rel=0.003)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, kept / (1 - d / n))


def test_gradients_of_gradients() -> None:
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)

    def again(value: torch.Tensor) -> torch.Tensor:
        return dropout(value.square(), 0.4, Draws(generator(2, "twice")))

    assert torch.autograd.gradcheck(again, (x,))
    assert torch.autograd.gradgradcheck(again, (x,))


def test_draws_are_of_the_run_and_leave_torchs_generator_alone() -> None:
    layer, x = Dropout(0.3), torch.ones(50, 20)
    own = generator(3, "dropout")
    attach(nn.Sequential(layer), own)
    before, begin = torch.get_rng_state(), own.get_state()
    first = layer(x)
    second = layer(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, second)
    own.set_state(begin)
    assert torch.equal(copy.deepcopy(layer)(x), first), "a copy draws from the same generator"
    assert torch.equal(layer(x), second)
    assert torch.equal(layer.eval()(x), x)
    assert not layer.state_dict(), "the generator is in the run's state, not in the model's"


def test_without_a_run_it_is_torchs() -> None:
    layer, x = Dropout(0.3), torch.ones(50, 20)
    torch.manual_seed(0)
    own = layer(x)
    torch.manual_seed(0)
    assert torch.equal(own, F.dropout(x, 0.3))
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        Dropout(1.0)
    attach(layer, generator(0, "dropout"))
    assert layer(x.to("meta")).device.type == "meta", "torch's own on every other device"


@pytest.mark.parametrize("kind", ["plain", "mask", "causal"])
def test_attention_with_a_mask_of_nothing_is_scaled_dot_product_attention(kind: str) -> None:
    """A rate of 1/65,536 drops nothing of these few weights, so that both ways give the same."""
    torch.manual_seed(0)
    attention = Attention(16, 4, 1e-6).double().train()
    attach(attention, generator(0, "dropout"))
    x = torch.randn(3, 7, 16, dtype=torch.float64)
    mask = torch.rand(3, 1, 1, 7) > 0.3 if kind == "mask" else None
    if mask is not None:
        mask[..., 0] = True
    k, v = attention.keys(x)
    ours = attention(x, k, v, mask, kind == "causal")
    theirs = attention.eval()(x, k, v, mask, kind == "causal")
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert not torch.equal(ours, theirs), "the scale of 65,536/65,535 tells the ways apart"


def test_attention_drops_weights_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 2, 0.5).train()
    attach(attention, generator(0, "dropout"))
    x = torch.randn(1, 6, 8)
    k, v = attention.keys(x)
    many = torch.stack([attention(x, k, v).detach() for _ in range(4000)])
    spread = many.std(0) / 4000**0.5
    assert ((many.mean(0) - attention.eval()(x, k, v).detach()).abs() < 5 * spread + 1e-6).all()


def test_our_networks_have_no_other_dropout() -> None:
    parts = list(AcousticEncoder().modules())
    assert any(isinstance(part, Dropout) for part in parts)
    assert not any(isinstance(part, nn.Dropout) for part in parts)
