"""Slimmable layers: ordinary layers with sliced weights, nested channels, statistics of every configuration."""

from __future__ import annotations

import copy

import pytest
import torch
from holdfast.methods.base import UnfitError
from holdfast.methods.networks.slimmable_blocks import At, ConvNorm, Style
from holdfast.methods.networks.slimmable_decoders import DeepLabDecoder
from holdfast.methods.networks.slimmable_layers import SlimConv2d, SlimLinear, SlimNorm
from holdfast.methods.networks.slimmable_statistics import calibrate, statistics_of
from holdfast.methods.networks.slimmable_widths import (
    Configuration,
    Rounding,
    by_stage,
    check_grid,
    check_in_grid,
    snap,
    written,
)
from torch import Tensor, nn
from torch.nn import functional as F


@pytest.mark.parametrize("groups", [1, 8])
def test_a_convolution_is_that_of_the_sliced_weight_and_nothing_else_gets_a_gradient(groups: int) -> None:
    conv, x = SlimConv2d(8, 8, 3, padding=1, groups=groups), torch.randn(2, 4, 5, 5)
    out = 4 if groups > 1 else 6
    y = conv(x, out=out)
    weight = conv.weight[:out, : 4 if groups == 1 else 1]
    expected = F.conv2d(x, weight, conv.bias[:out], padding=1, groups=1 if groups == 1 else 4)  # type: ignore[index]
    assert torch.equal(y, expected)
    y.square().sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad[:out, : weight.shape[1]].abs().min() > 0
    assert not conv.weight.grad[out:].any()
    assert not conv.weight.grad[:, weight.shape[1] :].any()
    whole = torch.randn(2, 8, 5, 5)
    assert torch.equal(conv(whole), nn.Conv2d.forward(conv, whole))
    assert torch.equal(conv.plain(4, out)(x), y)


def test_a_linear_map_is_that_of_the_sliced_weight() -> None:
    layer, x = SlimLinear(6, 5), torch.randn(3, 4)
    assert torch.equal(layer(x, out=2), F.linear(x, layer.weight[:2, :4], layer.bias[:2]))
    assert torch.equal(layer.plain(4, 2)(x), layer(x, out=2))


def test_widths_that_a_layer_does_not_have_are_refused() -> None:
    conv = SlimConv2d(4, 4, 1)
    with pytest.raises(ValueError, match="5 output channels are asked for; the layer has 4"):
        conv(torch.randn(1, 4, 2, 2), out=5)
    with pytest.raises(ValueError, match="the input has 6 channels; the layer takes at most 4"):
        conv(torch.randn(1, 6, 2, 2))
    with pytest.raises(ValueError, match="segments"):
        conv(torch.randn(1, 4, 2, 2), segments=[(0, 2), (3, 2)])


def test_a_concatenation_is_sliced_by_branch_and_not_at_its_beginning() -> None:
    conv = SlimConv2d(8, 3, 1, bias=False)
    parts = [torch.randn(1, 2, 3, 3) for _ in range(2)]
    y = conv(torch.cat(parts, 1), segments=[(0, 2), (4, 2)])
    wide = torch.zeros(1, 8, 3, 3)
    wide[:, 0:2], wide[:, 4:6] = parts
    torch.testing.assert_close(y, conv(wide))
    assert not torch.allclose(y, conv(torch.cat(parts, 1)))
    head = DeepLabDecoder(8, 8, 2, Style(Rounding(2)), rates=(1,))
    assert head.segments(At(0.5, "k")) == [(0, 4), (8, 4), (16, 4)]


def test_channels_are_nested_and_grow_with_the_ratio() -> None:
    for divisor in (None, 1, 4, 8):
        for most in (6, 16, 24, 100):
            # below half a divisor the published rounding jumps up and down between 1 and divisor + 1
            ratios = [w / 20 for w in range(1, 21) if most * w / 20 >= (divisor or 1) / 2]
            counts = [Rounding(divisor).channels(most, ratio) for ratio in ratios]
            assert counts == sorted(counts)
            assert counts[-1] == most
            assert counts[0] >= 1
    assert Rounding(8).channels(24 * 6, 0.35, 6) == 6 * Rounding(8).channels(24, 0.35)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: by_stage((0.5, 1.0), 3), "the encoder has 3 stages: give one width or 3, not 2"),
        (lambda: by_stage(0.0, 3), "above 0 and at most 1, not 0"),
        (lambda: by_stage(float("nan"), 3), "above 0 and at most 1, not nan"),
        (lambda: check_grid((0.5, 0.75)), "ends with 1"),
        (lambda: check_grid((0.5, 0.5, 1.0)), "each ratio once"),
        (
            lambda: check_in_grid((0.3,), (0.25, 1.0), "the width"),
            "the width 0.3 is not in the grid of widths: 0.25, 1",
        ),
    ],
)
def test_widths_that_are_none_are_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


def test_names_of_widths() -> None:
    assert written(0.25) == "0.25"
    assert written((0.5, 0.5)) == "0.5"
    assert written((0.5, 1.0)) == "0.5,1"
    assert str(Configuration(0.5, (1.0, 0.25))) == "encoder 0.5, decoders 1,0.25"
    assert Configuration((1.0, 1.0), (1.0,)).widest
    assert snap(0.625, (0.5, 0.75)) == 0.75


class Layer(nn.Module):
    def __init__(self, **given: object) -> None:
        super().__init__()
        self.part = ConvNorm(3, 8, 3, Style(Rounding(4), **given))  # type: ignore[arg-type]

    def forward(self, x: Tensor, ratio: float) -> Tensor:
        y: Tensor = self.part(x, At(ratio, written(ratio)))
        return y


def batches(count: int = 3) -> list[Tensor]:
    g = torch.Generator().manual_seed(1)
    return [torch.randn(4, 3, 5, 5, generator=g) for _ in range(count)]


def test_calibration_is_the_mean_of_batch_statistics_and_touches_nothing_else() -> None:
    layer, x = Layer().double(), [batch.double() for batch in batches()]
    before = copy.deepcopy(layer.state_dict())
    layer.train()
    assert calibrate(layer, lambda b: layer(b, 0.5), x) == {"0.5"}
    mean, variance = layer.part[1].statistics["0.5"]  # type: ignore[index]
    outputs = [layer.part[0](b, out=4) for b in x]
    torch.testing.assert_close(mean, torch.stack([y.mean((0, 2, 3)) for y in outputs]).mean(0))
    torch.testing.assert_close(variance, torch.stack([y.var((0, 2, 3)) for y in outputs]).mean(0))
    assert layer.training
    after = layer.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if isinstance(before[k], Tensor))
    kept = layer.part[1].statistics["0.5"]  # type: ignore[index]
    calibrate(layer, lambda b: layer(b, 1.0), x)
    assert layer.part[1].statistics["0.5"] is kept  # type: ignore[index]
    calibrate(layer, lambda b: layer(b, 0.5), x[::-1])  # the order does not matter
    torch.testing.assert_close(layer.part[1].statistics["0.5"][0], mean)  # type: ignore[index]


def test_an_evaluation_does_not_depend_on_the_rest_of_the_batch_and_asks_for_calibration() -> None:
    layer, x = Layer(), batches()
    calibrate(layer, lambda b: layer(b, 0.5), x)
    layer.eval()
    torch.testing.assert_close(layer(x[0], 0.5)[:1], layer(x[0][:1], 0.5))
    with pytest.raises(UnfitError, match="the statistics at the widths 1 are not calibrated"):
        layer(x[0], 1.0)
    with pytest.raises(ValueError, match="one batch or more"):
        calibrate(layer, lambda b: layer(b, 0.5), [])


def test_statistics_are_in_the_state() -> None:
    layer, other = Layer(), Layer()
    calibrate(layer, lambda b: layer(b, 0.5), batches())
    other.load_state_dict(layer.state_dict())
    x = batches()[0]
    assert torch.equal(other.eval()(x, 0.5), layer.eval()(x, 0.5))
    assert statistics_of(other).keys() == {"part.1"}


def test_private_statistics_of_one_width_do_not_move_those_of_another() -> None:
    layer = Layer(norm="switchable_bn", keys={"0.5": 0.5, "1": 1.0})
    state = copy.deepcopy(layer.part[1].private["1"].state_dict())  # type: ignore[union-attr, index]
    layer.train()(batches()[0], 0.5)
    after = layer.part[1].private["1"].state_dict()  # type: ignore[union-attr, index]
    assert all(torch.equal(after[key], state[key]) for key in state)
    with pytest.raises(ValueError, match=r"no statistics of its own for the widths 0\.75"):
        layer(batches()[0], 0.75)


def test_groups_keep_their_channels_at_every_width() -> None:
    norm, x = SlimNorm(8, "group_norm", group=4), torch.randn(2, 8, 3, 3)
    torch.testing.assert_close(norm(x, "")[:, :4], norm(x[:, :4], ""))
    with pytest.raises(ValueError, match="6 channels do not fill"):
        norm(x[:, :6], "")


def test_a_batch_without_variance_is_refused() -> None:
    norm = SlimNorm(4)
    with pytest.raises(UnfitError, match="has no variance"):
        norm(torch.randn(1, 4, 1, 1), "1")
