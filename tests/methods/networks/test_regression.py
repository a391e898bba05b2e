"""Encoders of regression data: what two views of a batch see of each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import Modality, RegressionInfo
from holdfast.methods.networks import regression
from holdfast.methods.networks.regression import PairEncoder

IMAGES: dict[str, Any] = {"width": 4, "levels": 2, "features": 8, "projection": 4}


def gradients(encoder: torch.nn.Module, *views: tuple[torch.Tensor, ...], together: bool) -> list[torch.Tensor]:
    """Gradients of a loss over two views that go through the encoder in one forward, or each in its own."""
    encoder.zero_grad()
    if together:
        features = encoder(*(torch.cat(parts) for parts in zip(*views, strict=True)))
    else:
        features = torch.cat([encoder(*view) for view in views])
    z = torch.nn.functional.normalize(features, dim=1)
    ((z @ z.T) / 0.1).logsumexp(1).sum().backward()
    return [p.grad.clone() for p in encoder.parameters() if p.grad is not None]


def same(encoder: torch.nn.Module, *views: tuple[torch.Tensor, ...]) -> bool:
    encoder = encoder.double().train()
    pairs = zip(gradients(encoder, *views, together=True), gradients(encoder, *views, together=False), strict=True)
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-11) for a, b in pairs)


@pytest.mark.parametrize(
    ("modality", "encoder", "shape", "alike"),
    [
        ("table", "mlp", (5,), True),
        ("image", "conv", (1, 8, 8), True),
        ("series", "resnet", (2, 32), False),
    ],
)
def test_only_batch_norm_makes_a_difference_between_one_forward_and_two(
    modality: Modality, encoder: Any, shape: tuple[int, ...], alike: bool
) -> None:
    """Results of the MLP, the small convolutional net and the LSTM hold for both forms: docs/results."""
    torch.manual_seed(0)
    model = regression.build(
        regression.Config(encoder=encoder, **IMAGES), RegressionInfo(modality=modality, input_shape=shape), 0
    )
    one, other = torch.randn(2, 16, *shape, generator=generator(0, "views"), dtype=torch.float64)
    assert same(model.encoder, (one,), (other,)) == alike


def test_pairs_of_sentences_are_read_alike_in_one_forward_and_in_two() -> None:
    torch.manual_seed(0)
    draws = generator(0, "pairs")

    def view(longest: int) -> tuple[torch.Tensor, ...]:
        lengths = torch.randint(1, longest + 1, (2, 6), generator=draws)
        lengths[:, 0] = longest
        words = torch.randint(1, 20, (2, 6, longest), generator=draws)
        words *= torch.arange(longest) < lengths[:, :, None]
        return words[0], lengths[0], words[1], lengths[1]

    assert same(PairEncoder(20, 8, 8, 1), view(7), view(7))
