"""The distillations' losses and weights."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses.distillation import text_kd, token_kd, weight_log_ratio, weight_sqrt_batch
from holdfast.methods.losses.transcription import transcription


def test_distillation_of_equal_models() -> None:
    logits = torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(0)).double()
    y = torch.tensor([[4, 5, 6, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    assert token_kd(logits, logits, y, form="kl").item() == pytest.approx(0, abs=1e-12)
    p = logits[y != 0].softmax(-1)
    assert token_kd(logits, logits, y).item() == pytest.approx(-(p * p.log()).sum(-1).mean().item(), rel=1e-12)
    nothing = transcription(logits.requires_grad_(), torch.zeros_like(y))
    nothing.backward()
    assert nothing.item() == 0


def test_weights() -> None:
    assert weight_sqrt_batch(8, 32) == 0.5
    assert weight_sqrt_batch(0, 32) == 0
    assert weight_sqrt_batch(0, 0) == 0
    assert weight_log_ratio(0, 0) == 0
    assert text_kd(torch.zeros(0, 3, 4), torch.zeros(0, 3, 4), torch.zeros(0, 3, dtype=torch.bool)).item() == 0
