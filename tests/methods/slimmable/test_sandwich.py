"""The sandwich rule: accumulated gradients, which configurations are drawn, what is predicted afterwards."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from holdfast.datasets.core.preferences import simplex
from holdfast.methods.base import Method, UnfitError, Update
from holdfast.methods.losses import ci_kd
from holdfast.methods.networks.slimmable_widths import Configuration
from torch import Tensor

from .miniature import batch, built, source, trained

MIXED = Configuration(0.5, (1.0, 0.5, 0.5))


def gradients(method: Method, updates: Iterator[Update]) -> dict[str, Tensor]:
    """Of all parameters after every Update of a step."""
    method.zero_grad(set_to_none=True)
    for update in updates:
        if update.aggregator is None:
            update.loss.backward()
        else:
            update.aggregator(update.losses, [p for p in method.parameters() if p.requires_grad])
    return {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}


@functools.cache
def whole() -> Any:
    return trained(built("ecmt", budget=0.9))


def test_gradients_are_those_of_the_summed_loss_with_the_teacher_detached() -> None:
    method = built("ecmt", lam=2.0, network={"norm": "group_norm"})
    found = gradients(method, method.passes(batch(), [MIXED]))
    x = method.model.pixels(batch())
    wide, slim = method.model.features(x, 1.0), method.model.features(x, 0.5)
    total = sum(method.weighted(method.outputs(x, method.widest), batch()).values())
    total = total + sum(method.weighted(method.outputs(x, MIXED), batch()).values())
    total = total + 2.0 * ci_kd(slim[-1], wide[-1].detach())
    method.zero_grad(set_to_none=True)
    total.backward()
    for name, parameter in method.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_without_weight_it_is_plain_slimming_to_the_bit() -> None:
    each = []
    entries: tuple[tuple[str, dict[str, Any]], ...] = (
        ("ecmt", {"lam": 0.0}),
        ("slim_plain", {}),
        ("ecmt", {"lam": 1.0}),
    )
    for name, fields in entries:
        method = built(name, **fields)
        each.append(gradients(method, method.passes(batch(), method.drawn(0))))
    none, plain, some = each
    assert all(torch.equal(none[name], plain[name]) for name in plain)
    assert any(not torch.equal(some[name], plain[name]) for name in plain)


def test_an_encoder_at_full_width_is_not_distilled() -> None:
    method = built("ecmt", lam=5.0)
    _, update = method.passes(batch(), [Configuration(1.0, (0.5, 0.5, 0.5))])
    assert "ci_kd" not in update.logs


def test_which_configurations_are_drawn() -> None:
    method = built("slim_plain", passes=2)
    narrowest = Configuration(0.5, (0.5, 0.5, 0.5))
    assert [method.drawn(k) for k in range(3)] == [[narrowest]] * 3
    four, again = built("slim_plain", passes=4), built("slim_plain", passes=4)
    assert [four.drawn(k) for k in range(8)] == [again.drawn(k) for k in range(8)]
    drawn = [c for k in range(40) for c in four.drawn(k)[1:]]
    assert {c.encoder for c in drawn} == {0.5, 1.0}
    assert len({c.decoders for c in drawn}) == 8  # independent: all mixtures are seen
    common = [c for k in range(8) for c in built("width_only").drawn(k)]
    assert all(set(c.decoders) == {c.encoder} for c in common)
    ranged = [c for k in range(8) for c in built("slim_plain", continuous=True).drawn(k)[1:]]
    assert all(0.5 <= w <= 1 for c in ranged for w in (c.encoder, *c.decoders))
    assert len({c.encoder for c in ranged}) > 10


def test_only_the_last_update_of_a_step_moves_the_optimizer() -> None:
    method = built("slim_plain", passes=4)
    assert [u.step for u in method.passes(batch(), method.drawn(0))] == [False, False, False, True]


@torch.no_grad()
def test_predictions_of_every_width_and_preference() -> None:
    method, rows = whole(), batch(4)
    found = method.predict(rows)
    pairs = [f"@e{e:g}d{d:g}" for e in (0.5, 1.0) for d in (0.5, 1.0)]
    ends = ["", *pairs, *(f"@p{k}" for k in range(len(simplex(3))))]
    tasks = [f"task/{task.name}{end}" for task in source().info.tasks for end in ends]
    costs = [f"{cost}{end}" for cost in ("macs", "parameters") for end in ends]
    assert found.keys() == {*tasks, *costs}
    assert torch.equal(found["task/seg"], found["task/seg@e1d1"])
    one = method.predict(batch(1))
    for name, value in one.items():
        torch.testing.assert_close(value, found[name][:1], rtol=1e-4, atol=1e-5)
    full = float(found["macs"][0])
    assert all(float(found[f"macs@p{k}"][0]) <= 0.9 * full for k in range(20))
    assert float(found["macs@e0.5d0.5"][0]) < full


def test_scores_and_statistics_are_in_the_state() -> None:
    method, other = whole(), built("ecmt", budget=0.9, seed=3)
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    with torch.no_grad():
        a, b = method.predict(batch(4)), other.eval().predict(batch(4))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_budget_below_the_narrowest_is_refused_before_training() -> None:
    with pytest.raises(UnfitError, match=r"methods\.slim_plain\.budget=0\.1: no configuration costs .* the smallest"):
        trained(built("slim_plain", budget=0.1))


def test_private_statistics_have_no_continuous_widths() -> None:
    with pytest.raises(UnfitError, match="continuous=false"):
        built("slim_plain", network={"norm": "switchable_bn"}, continuous=True)


@pytest.mark.parametrize("form", ["slice_l1", "slice_cos", "attention", "similarity", "projection"])
def test_every_form_reaches_the_slim_encoder(form: str) -> None:
    method = built("ecmt", form=form, stages="all")
    plain = built("slim_plain")
    name = "model.encoder.layers.0.0.weight"
    one, two = (gradients(m, m.passes(batch(), [MIXED]))[name] for m in (method, plain))
    assert not torch.equal(one, two)
    if form == "projection":
        assert all(p.grad is not None for p in method.projections)


def test_distillation_brings_the_slim_features_near_the_wide_ones() -> None:
    """Relative squared distance of the slim feature to the first channels of the wide one, on other images."""
    distances = {}
    x = source().splits["test"]
    for lam in (0.0, 10.0):
        method: Any = trained(built("ecmt", lam=lam, evaluate="common"), epochs=6)
        with torch.no_grad():
            image = method.model.pixels(x.gather(torch.arange(len(x))))
            slim, wide = (method.model.features(image, w)[-1] for w in (0.5, 1.0))
        part = wide[:, : slim.shape[1]]
        distances[lam] = float((slim - part).square().mean() / part.square().mean())
    assert distances[10.0] < 0.9 * distances[0.0], distances  # a dozen steps; trained longer the gap grows
