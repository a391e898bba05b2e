"""What holds of every loss of regression: float32 inside, a zero with a graph for one row."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses.adacon import adacon
from holdfast.methods.losses.conr import conr
from holdfast.methods.losses.rnc import rnc
from holdfast.methods.losses.yaware import yaware
from torch import Tensor
from torch.nn import functional as F


@pytest.mark.parametrize("name", ["rnc", "yaware", "adacon", "conr"])
def test_half_precision_is_computed_in_float32_and_one_row_is_zero(name: str) -> None:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        match name:
            case "rnc":
                return rnc(z, y)
            case "yaware":
                return yaware(z, y)
            case "adacon":
                return adacon(z, y, y)
        return conr(z, y, y)

    z = F.normalize(torch.randn(6, 4), dim=1)
    y = torch.tensor([0.0, 0, 1, 1, 2, 5])
    half = loss(z.half(), y)
    assert half.dtype == torch.float32
    assert float(half) == pytest.approx(float(loss(z.half().float(), y)), rel=1e-5)
    one = z[:1].clone().requires_grad_()
    zero = loss(one, y[:1])
    zero.backward()
    assert float(zero.detach()) == 0
    with pytest.raises(ValueError, match=r"\["):
        loss(z, y[:4])
