"""Translators, critics and what they do not see: bounded, of the reach they claim, equal to plain loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.cdvg.biases import bright_corner, striped_ground
from holdfast.datasets.cdvg.digits import grey_digits, paint
from holdfast.datasets.core.seeds import generator
from holdfast.methods.networks.translators import (
    ColourMap,
    Critic,
    Hidden,
    PatchCritic,
    Recolour,
    Shallow,
    StarGAN,
    crop,
    hide,
    pad,
    scrambled,
)
from torch import Tensor, nn

MADE: dict[str, Callable[[], nn.Module]] = {
    "shallow": lambda: Shallow(4, 8, 3),
    "stargan": lambda: StarGAN(4, 8, 1, 1),
    "colour_map": lambda: ColourMap(4, 16, 8, 2),
}


def moved(net: nn.Module, by: float = 0.2) -> nn.Module:
    """Away from the weights it begins with, where a colour map is the identity."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(by * torch.randn(p.shape, generator=generator(0, str(tuple(p.shape)))))
    return net


@pytest.mark.parametrize("name", MADE)
def test_translators_are_bounded_independent_of_the_batch_and_of_the_mode_of_work(name: str) -> None:
    net = moved(MADE[name]())
    x, mode = torch.rand(5, 3, 16, 16) * 2 - 1, torch.tensor([0, 1, 2, 3, 0])
    out = net.train()(x, mode)
    assert out.shape == x.shape
    assert float(out.detach().abs().max()) <= 1
    torch.testing.assert_close(net.eval()(x, mode), out)
    torch.testing.assert_close(net(x[1:2], mode[1:2]), out[1:2], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(net(x, (mode + 1) % 4), out, atol=1e-4)


def touched(net: Callable[[Tensor], Tensor]) -> tuple[int, int]:
    """First and last row or column that moves what stands at (10, 10) of the answer to a 21 px image."""
    x = torch.rand(1, 3, 21, 21, dtype=torch.float64, generator=generator(0, "x")).requires_grad_()
    net(x)[0, :, 10, 10].sum().backward()
    assert x.grad is not None
    places = x.grad[0].abs().sum(0).nonzero()
    return int(places.min()), int(places.max())


@pytest.mark.parametrize("reach", [1, 3, 5, 9])
def test_reach_of_the_shallow_translator_and_of_the_patch_critic(reach: int) -> None:
    half = reach // 2
    shallow, critic = Shallow(3, 8, reach).double(), PatchCritic(3, 8, reach).double()
    low, high = touched(lambda x: shallow(x, torch.tensor([1])))
    assert low >= 10 - half
    assert high <= 10 + half
    assert touched(lambda x: critic(x)[0]) == (10 - half, 10 + half)


def test_classes_of_a_patch_critic_are_the_mean_over_places() -> None:
    critic = moved(PatchCritic(3, 8, 1))
    x = torch.rand(2, 3, 6, 6)
    order = torch.randperm(36)
    mixed = x.flatten(2)[:, :, order].view_as(x)
    torch.testing.assert_close(critic(mixed)[1], critic(x)[1])  # of single pixels: their order says nothing
    assert critic(x)[0].shape == (2, 1, 6, 6)


def test_a_colour_map_begins_as_the_identity_and_cannot_redraw() -> None:
    net = ColourMap(4, 16, 8, 1)
    x = torch.rand(3, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(net(x, torch.tensor([0, 1, 2])), x)
    moved(net, 0.05)
    x[:, :, :4] = x[:, :, 8:12]  # equal pixels stay equal under one map
    out = net(x, torch.tensor([0, 1, 2]))
    assert not torch.allclose(out, x, atol=0.05)
    torch.testing.assert_close(out[:, :, :4], out[:, :, 8:12])
    a = torch.linspace(0, 1, 5)[:, None]  # an affine map keeps mixtures of colours, where nothing is clipped
    p, q = torch.rand(3) * 0.1, torch.rand(3) * 0.1
    small = ColourMap(4, 16, 8, 1)
    with torch.no_grad():
        assert small.maps.bias is not None
        small.maps.bias.add_(torch.linspace(-0.05, 0.05, 12))
    row = (a * p + (1 - a) * q).T[None, :, None, :].expand(1, 3, 16, 5)
    line = torch.cat([row, row, row, row[..., :1]], 3)  # 16 wide
    y = small(line, torch.tensor([1]))[0, :, 0, :5].T
    torch.testing.assert_close(y, a * y[-1] + (1 - a) * y[0], rtol=1e-4, atol=1e-5)


def test_shuffled_patches_by_plain_loops() -> None:
    x = torch.rand(3, 3, 8, 8)
    seen = hide("shuffle", x.shape, 4, generator(0, "a"))
    places = torch.rand(3, 4, generator=generator(0, "a")).argsort(1)
    want = torch.empty_like(x)
    for i in range(3):
        for place in range(4):
            source = int(places[i, place])
            r, c, r0, c0 = 4 * (place // 2), 4 * (place % 2), 4 * (source // 2), 4 * (source % 2)
            want[i, :, r : r + 4, c : c + 4] = x[i, :, r0 : r0 + 4, c0 : c0 + 4]
    assert torch.equal(seen(x), want)
    assert torch.equal(seen(x), want)  # the same for the real and the translated images of a step
    with pytest.raises(ValueError, match="patches of 3 px"):
        hide("shuffle", x.shape, 3, generator(0, "a"))


def test_shifts_by_plain_loops() -> None:
    x = torch.rand(6, 3, 16, 16)
    seen = hide("shift", x.shape, 1, generator(0, "a"))
    draws = generator(0, "a")
    down, right = (torch.randint(-2, 3, (6, 1), generator=draws) for _ in range(2))
    mirrored = torch.rand(6, 1, generator=draws) < 0.5
    made = seen(x)
    for i in range(6):
        for r in range(16):
            for c in range(16):
                row, column = r + int(down[i]), (15 - c if mirrored[i] else c) + int(right[i])
                inside = 0 <= row < 16 and 0 <= column < 16
                want = x[i, :, row, column] if inside else torch.full((3,), -1.0)
                assert torch.equal(made[i, :, r, c], want)


@pytest.mark.parametrize("kind", ["none", "shift", "shuffle"])
def test_what_hides_lets_gradients_through(kind: Hidden) -> None:
    x = torch.rand(2, 3, 8, 8).requires_grad_()
    hide(kind, x.shape, 2, generator(1, "a"))(x).sum().backward()
    assert x.grad is not None
    assert set(x.grad.unique().tolist()) <= {0.0, 1.0}
    assert float(x.grad.mean()) > 0.5
    if kind == "none":
        draws = generator(1, "a")
        hide("none", x.shape, 2, draws)
        assert torch.equal(torch.rand(1, generator=draws), torch.rand(1, generator=generator(1, "a")))  # draws nothing


def test_scrambled_colours_keep_black_and_the_range() -> None:
    x = torch.rand(8, 3, 5, 5) * 2 - 1
    x[:, :, 0] = -1
    made = scrambled(x, generator(0, "a"))
    assert torch.equal(made[:, :, 0], x[:, :, 0])
    assert float(made.min()) >= -1
    assert float(made.max()) <= 1 + 1e-6
    assert torch.equal(made, scrambled(x, generator(0, "a")))
    colours = scrambled(torch.ones(200, 3, 1, 1), generator(0, "b"))[:, :, 0, 0]
    assert float(colours.std(0).min()) > 0.2  # one colour becomes many


def test_padding_is_black_and_comes_off_again() -> None:
    x = torch.rand(2, 3, 28, 28)
    assert pad(x, 32).shape[-1] == 32
    assert float(pad(x, 32)[..., 0, :].max()) == -1
    assert torch.equal(crop(pad(x, 32), 28), x)
    with pytest.raises(ValueError, match="depth"):
        Critic(3, 4, 8, 3)


@pytest.mark.parametrize("carrier", ["foreground", "background", "patch"])
def test_recolouring_moves_the_colour_to_that_of_the_data(carrier: Any) -> None:
    """The oracle's image of mode b is what the data set paints for bias b, up to its colour noise."""
    config = cdvg_cmnist.Config(carrier=carrier, rho=1.0, severity=5, n_train=200, n_valid=50)
    source = cdvg_cmnist.load(config, None)
    grey, labels = grey_digits(config, None)["train"]
    want, bias = paint(grey, labels, 0.1, config, "other")
    image: Any = source.splits["train"].columns["image"]
    made = Recolour(source.info.colours)(image.float() / 127.5 - 1, torch.from_numpy(bias))
    difference = (made - (torch.from_numpy(want).permute(0, 3, 1, 2).float() / 127.5 - 1)).abs()
    assert float(difference.mean()) < 0.02
    with pytest.raises(ValueError, match="oracle recolourer"):
        Recolour(None)


def test_stripes_and_corner_say_the_bias_and_leave_the_digit() -> None:
    grey = np.zeros((10, 8, 8), np.uint8)
    grey[:, 3:5, 3:5] = 255
    bias = np.arange(10)
    striped, corner = striped_ground(grey, bias), bright_corner(grey, bias)
    for made in (striped, corner):
        assert made.shape == (10, 8, 8, 3)
        assert (made[:, 3:5, 3:5] == 255).all()
        assert len({row.tobytes() for row in made}) == 10
    assert corner[:, :2, :2, 0].tolist() == [[[round(25.5 * (b + 1))] * 2] * 2 for b in range(10)]
    assert (corner[:, 2:, 5:] == 0).all()
    assert striped.max(where=grey[..., None] == 0, initial=0) <= 90
    source = cdvg_cmnist.load(cdvg_cmnist.Config(carrier="stripes", n_train=200, n_valid=50), None)
    with pytest.raises(ValueError, match="does not say what carries"):
        Recolour(source.info.colours)
