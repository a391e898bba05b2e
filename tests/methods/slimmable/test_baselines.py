"""The baselines: networks of their own, fixed preferences, and networks that are told a preference."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.base import UnfitError
from holdfast.methods.slimmable.tasks import task_losses
from torch import Tensor

from .miniature import batch, built, source, trained


def test_single_tasks_share_nothing() -> None:
    method = built("single_task")
    losses = method.weighted(method.outputs(method.model.pixels(batch()), method.widest), batch())
    losses["depth"].backward()
    nets = dict(zip(method.model.tasks, [method.model, *method.others], strict=True))
    for task, net in nets.items():
        used = any(p.grad is not None and bool(p.grad.any()) for p in net.parameters())
        assert used == (task == "depth")


def test_a_static_network_scales_losses_by_its_preference() -> None:
    alike, mine = built("static_mtl"), built("static_mtl", preference=(2.0, 1.0, 0.0))
    x = alike.model.pixels(batch())
    one, two = (m.weighted(m.outputs(x, m.widest), batch()) for m in (alike, mine))
    assert [float((two[t] / one[t]).detach()) for t in one] == pytest.approx([2, 1, 0])
    for wrong, message in (((1.0,), "each of the 3 tasks"), ((1.0, -1.0, 0.0), "not negative"), ((0.0,) * 3, "all")):
        with pytest.raises(UnfitError, match=message):
            built("static_mtl", preference=wrong)


@pytest.mark.parametrize("name", ["phn", "cosmos"])
def test_a_preference_changes_the_answers_and_not_the_network(name: str) -> None:
    method = built(name)
    if name == "phn":
        with torch.no_grad():
            method.hyper[-1].weight.mul_(100)
    x, before = method.model.pixels(batch()), {k: v.clone() for k, v in method.model.named_parameters()}
    r = [torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])]
    first, second = (method.answer(x, each) for each in r)
    assert not torch.allclose(first["seg"], second["seg"])
    assert list(before) == [name for name, _ in method.model.named_parameters()]
    assert all(torch.equal(value, before[key]) for key, value in method.model.named_parameters())
    sum(y.square().mean() for y in first.values()).backward()
    added = method.hyper if name == "phn" else method.maps
    assert all(p.grad is not None and bool(p.grad.any()) for p in added.parameters())


@pytest.mark.parametrize("name", ["phn", "cosmos"])
def test_each_preference_has_statistics_of_its_own(name: str) -> None:
    method = trained(built(name))
    with torch.no_grad():
        found = method.predict(batch(4))
        again = method.predict(batch(4))
    assert {"task/seg", "task/seg@p0", "task/seg@p2", "macs"} <= found.keys()
    assert all(torch.equal(found[key], again[key]) for key in found)
    assert not torch.equal(found["task/seg@p0"], found["task/seg@p1"])


def test_cosmos_begins_as_the_network_itself() -> None:
    method = built("cosmos")
    with torch.no_grad():
        method.joined.weight[:, 3:] = 0
        x = method.model.pixels(batch())
        one, two = method.answer(x, method.alike()), method.outputs(x, method.widest)
    torch.testing.assert_close(one, two)


def test_phn_needs_normalisations() -> None:
    with pytest.raises(UnfitError, match="norm=us_bn"):
        built("phn", network={"norm": "none"})


def test_rows_without_a_label_add_nothing() -> None:
    method, rows = built("static_mtl"), batch()
    rows["target_seg"] = torch.full_like(rows["target_seg"], 255)
    outputs = method.outputs(method.model.pixels(rows), method.widest)
    losses: dict[str, Tensor] = task_losses(source().info.tasks, outputs, rows)
    assert float(losses["seg"].detach()) == 0
    losses["seg"].backward()
    assert all(p.grad is None or not p.grad.any() for p in method.parameters())
    assert float(losses["depth"].detach()) > 0
