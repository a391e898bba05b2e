"""Two towers, their views and a decoder: shapes, what comes from the generator alone, what does not fit."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from holdfast.datasets.core.contrast import ContrastInfo
from holdfast.methods.base import UnfitError
from holdfast.methods.networks import augmentation, two_encoders
from holdfast.methods.networks.decoders import Decoder
from torch import Tensor

Config = two_encoders.Config


def built(shape: tuple[int, ...], **options: Any) -> two_encoders.TwoEncoders:
    info = ContrastInfo(modality="image" if len(shape) == 3 else "table", input_shape=shape)
    return two_encoders.build(Config(common=5, salient=3, **options), info, 0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("shape", "options", "features"),
    [
        ((7,), {}, 256),
        ((1, 8, 8), {"hidden": 12, "layers": 1}, 12),
        ((3, 32, 32), {"encoder": "conv", "width": 4, "hidden": 16}, 16),
        ((1, 64, 64), {"encoder": "dsprites", "projector": 0}, 128),
        ((3, 16, 16), {"encoder": "resnet18"}, 512),
        ((1, 32, 32), {"encoder": "resnet18", "stem": "standard"}, 512),
    ],
)
def test_shapes_of_every_encoder(shape: tuple[int, ...], options: dict[str, Any], features: int) -> None:
    model = built(shape, **options)
    x = torch.rand(2, *shape)
    common, salient = model.encode(x)
    assert (common.shape, salient.shape, model.features_out) == ((2, 5), (2, 3), features)
    assert model.common.project(common).shape == (2, 5)
    assert model.common.features(x[:1]).shape == (1, features)  # one row in training
    if options.get("projector") == 0:
        assert torch.equal(model.common.project(common), common)


def test_the_towers_share_no_weight_and_the_stem_is_the_papers() -> None:
    model = built((3, 32, 32))
    mine, theirs = ({id(p) for p in tower.parameters()} for tower in (model.common, model.salient))
    assert not mine & theirs
    body, other = cast(Any, model.common.body), cast(Any, model.salient.body)
    assert not torch.equal(body.conv1.weight, other.conv1.weight)
    first = body.conv1
    assert (first.kernel_size, first.stride, first.bias) == ((3, 3), (1, 1), None)


def test_inputs_are_floats_from_0_to_1_or_the_rows() -> None:
    image = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    assert built((1, 8, 8)).inputs({"image": image}).flatten(1).mean(1).tolist() == [0, 1]
    x = torch.randn(2, 7)
    assert torch.equal(built((7,)).inputs({"x": x}), x)


@pytest.mark.parametrize(("shape", "kind"), [((7,), "noise"), ((1, 8, 8), "noise"), ((3, 16, 16), "photograph")])
def test_views_come_from_the_generator_alone(shape: tuple[int, ...], kind: str) -> None:
    model, x = built(shape), torch.rand(4, *shape)
    first = model.view(x, generator())
    torch.manual_seed(9)
    assert torch.equal(first, model.view(x, generator()))
    assert not torch.equal(first, model.view(x, generator(1)))
    draw = augmentation.noisy if kind == "noise" else augmentation.photograph
    assert torch.equal(first, draw(x, Config(), generator()))
    assert torch.equal(built(shape, views="none").view(x, generator()), x)


def test_a_noise_view_is_scaled_noisy_and_has_holes() -> None:
    x = torch.ones(500, 64)
    plain = augmentation.noisy(x, Config(noise=0, drop=0, brightness=0.15), generator())
    assert plain.min() >= 0.85
    assert plain.max() <= 1.15
    assert torch.equal(plain, plain[:, :1].expand(-1, 64))
    holes = augmentation.noisy(x, Config(noise=0, drop=0.1, brightness=0), generator())
    assert float((holes == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    noise = augmentation.noisy(x, Config(noise=0.08, drop=0, brightness=0), generator()) - 1
    assert float(noise.std()) == pytest.approx(0.08, rel=0.05)


STILL: dict[str, Any] = {"noise": 0, "crop_scale": 1.0, "flip": 0, "jitter_share": 0, "grey": 0}


def photograph(x: Tensor, **options: Any) -> Tensor:
    return augmentation.photograph(x, Config(**{**STILL, **options}), generator())


def test_a_flip_mirrors_the_same_crop() -> None:
    x = torch.rand(6, 3, 12, 12)
    for option, axis in (("flip", 3), ("flip_vertical", 2)):
        assert torch.allclose(photograph(x, crop_scale=0.3, **{option: 1.0}), photograph(x, crop_scale=0.3).flip(axis))


def test_a_rotation_keeps_a_ring_and_moves_a_bar() -> None:
    at = torch.linspace(-1, 1, 33)
    ring = (-8 * (at[:, None].square() + at.square())).exp().expand(4, 1, 33, 33)
    bar = (-20 * at.square()).exp().expand(4, 1, 33, 33)
    for x, still in ((ring, True), (bar, False)):
        moved = (photograph(x, rotation=90) - photograph(x)).abs().amax()
        assert (float(moved) < 0.2) == still


def test_crop_grey_and_hue() -> None:
    x = torch.rand(6, 3, 12, 12)
    assert photograph(x, crop=8).shape == (6, 3, 8, 8)
    grey = photograph(x, grey=1)
    assert torch.allclose(grey[:, 0], grey[:, 1])
    still, turned = photograph(x), photograph(x, jitter_share=1, jitter=0, hue=0.2)
    weight = torch.tensor(augmentation.LUMINANCE).view(1, 3, 1, 1)
    inside = ((turned > 0) & (turned < 1)).all(1)
    assert not torch.allclose(turned, still, atol=1e-3)
    assert torch.allclose((turned * weight).sum(1)[inside], (still * weight).sum(1)[inside], atol=5e-3)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((7,), {"encoder": "resnet18"}, "encoder=mlp"),
        ((7,), {"views": "photograph"}, "views=noise"),
        ((1, 8, 8), {"encoder": "conv"}, "16 px or more"),
        ((3, 32, 32), {"encoder": "conv", "crop": 24}, "crops of 24"),
        ((1, 32, 32), {"pretrained": True}, "pretrained"),
    ],
)
def test_what_does_not_fit_is_named(shape: tuple[int, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnfitError, match=message):
        built(shape, **options)


@pytest.mark.parametrize("shape", [(7,), (1, 8, 8), (3, 32, 32), (1, 20, 20)])
def test_a_decoder_makes_rows_of_any_shape(shape: tuple[int, ...]) -> None:
    out = Decoder(4, shape, hidden=8, width=2)(torch.randn(2, 4))
    assert out.shape == (2, *shape)
    if len(shape) == 3:
        assert 0 <= float(out.detach().min()) <= float(out.detach().max()) <= 1
