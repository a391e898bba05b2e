"""DisEnt, on images and on translated views."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import Source
from holdfast.methods.base import StepContext, UnfitError
from holdfast.methods.cdvg.cdvg_disent import CdvgDisEnt, CdvgDisEntConfig
from holdfast.methods.cdvg.disent import DisEnt, DisEntConfig
from torch import Tensor

from .miniature import make_model, run_method, view_of


def _disent_pair(source: Source, **fields: Any) -> tuple[DisEnt, CdvgDisEnt]:
    """DisEnt, and CDvG's form of it with the same weights and a translator that changes nothing."""
    common = {"lambda_dis": 2.0, "lambda_swap": 3.0, "lambda_swap_align": 0.5, **fields}
    plain = DisEnt(DisEntConfig(**common), make_model(source))
    views = CdvgDisEnt(CdvgDisEntConfig(width=8, critic_width=8, lambda_con=0, **common), make_model(source))
    views.translate = lambda x, mode: x  # type: ignore[method-assign]
    return plain, views


@pytest.mark.parametrize("n_views", [1, 2])
def test_the_branches_loss_by_plain_loops(source: Source, n_views: int) -> None:
    plain, _ = _disent_pair(source, swap_after=1, q=0.6)
    branches, labels = plain.branches.double(), torch.tensor([3, 1, 4])
    g = generator(0, "z")
    z_i, z_b, w = (
        torch.rand(3 * n_views, 16, generator=g).double(),
        torch.rand(3, 16, generator=g).double(),
        torch.rand(3, generator=g).double(),
    )
    first, _ = branches.loss(z_i, z_b, labels, w, plain.config, generator(0, "order"))
    second, _ = branches.loss(z_i, z_b, labels, w, plain.config, generator(0, "order"))

    def ce(head: torch.nn.Linear, i: int, b: int, y: int) -> Tensor:
        return -head(torch.cat([z_i[i], z_b[b]])).log_softmax(0)[y]

    def amplified(i: int, b: int, y: int) -> Tensor:
        value = ce(branches.head_b, i, b, y)
        return value * 0.6 * torch.exp(-value).detach() ** 0.6

    rows = range(3 * n_views)
    want = sum(
        w[i % 3] * ce(branches.head_i, i, i % 3, int(labels[i % 3])) + 2 * amplified(i, i % 3, int(labels[i % 3]))
        for i in rows
    ) / len(rows)
    torch.testing.assert_close(first, want)  # no swap yet
    order = torch.randperm(3, generator=generator(0, "order")).tolist()
    for i in rows:
        other = order[i % 3]
        swap = w[i % 3] * ce(branches.head_i, i, other, int(labels[i % 3])) + 0.5 * amplified(
            i, other, int(labels[other])
        )
        want = want + 3 * swap / len(rows)
    torch.testing.assert_close(second, want)


def test_disent_on_views_that_are_the_image_is_disent(source: Source) -> None:
    view = view_of(source)
    batch = next(view.batches())
    plain, views = _disent_pair(source, swap_after=100)
    losses = []
    for method in (plain, views):
        method.before_experience(view)
        view.sidecar = type(view.sidecar)()
        loss = method.training_step(batch, StepContext(view, "train", 0, 0, generator(0, "a")))["loss"]
        loss.backward()
        losses.append(loss.detach())
    torch.testing.assert_close(*losses)
    ours, theirs = (dict(m.named_parameters()) for m in (views, plain))
    for name, p in theirs.items():
        q = ours[name]
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None and q.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-6)


def test_disent_on_translated_views_trains_both_branches(source: Source) -> None:
    view = view_of(source)
    method = CdvgDisEnt(
        CdvgDisEntConfig(width=8, critic_width=8, translator_epochs=1, swap_after=2), make_model(source)
    )
    before = {n: p.detach().clone() for n, p in method.named_parameters()}
    run_method(method, view, 2)
    for name, p in method.named_parameters():
        unused = name.startswith(("model.head", "branches.biased.head"))
        assert torch.equal(p, before[name]) == unused, name
    assert method.predict(next(view.batches()))["label"].shape == (40,)
    with pytest.raises(UnfitError, match="joint"):
        CdvgDisEnt(CdvgDisEntConfig(objective="two_stage"), make_model(source))
