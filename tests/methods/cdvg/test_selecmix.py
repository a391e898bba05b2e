"""SelecMix: partners contradict."""

from __future__ import annotations

import torch
from holdfast.methods.cdvg.selecmix import SelecMix


def test_partners_contradict() -> None:
    features = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [1.0, 0.05]])
    labels = torch.tensor([0, 0, 0, 1])
    assert SelecMix.partners(features, labels).tolist() == [2, 3, 0, 0]
