"""LfF on translated views."""

from __future__ import annotations

import torch
from holdfast.datasets.core.source import Source
from holdfast.methods.cdvg.lff import LfF, LffConfig

from .miniature import make_model, run_method, view_of, weights_of


def test_lff_trains_both_networks(source: Source) -> None:
    view = view_of(source)
    method = LfF(LffConfig(), make_model(source))
    before = weights_of(method)
    run_method(method, view, 2)
    changed = [not torch.equal(a, b) for a, b in zip(before, weights_of(method), strict=True)]
    assert all(changed)
    assert not torch.equal(*(next(n.parameters()) for n in (method.biased, method.model)))
    assert bool(view.sidecar["lff/seen"].all())
