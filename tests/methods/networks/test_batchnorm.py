"""Batch normalisation's running statistics take one forward a step of what is trained on; forwards that only weigh or
compare move nothing.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import ImageInfo, Source
from holdfast.datasets.core.table import Batch
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.base import StepContext
from holdfast.methods.cdvg.biascon_oracle import BiasConOracle
from holdfast.methods.cdvg.cdvg import Cdvg
from holdfast.methods.cdvg.cdvg_augment import Simclr
from holdfast.methods.cdvg.cdvg_disent import CdvgDisEnt
from holdfast.methods.cdvg.cdvg_lff import CdvgLff
from holdfast.methods.cdvg.cdvg_oracle import CdvgOracle
from holdfast.methods.cdvg.disent import DisEnt
from holdfast.methods.cdvg.lff import LfF
from holdfast.methods.cdvg.rebias import Rebias
from holdfast.methods.cdvg.selecmix import SelecMix
from holdfast.methods.continual.erm import ERM
from holdfast.methods.networks import images
from holdfast.methods.networks.batchnorm import keep_statistics
from torch import Tensor, nn

SMALL = {"width": 4, "critic_width": 4, "translator_epochs": 1}


METHODS: list[tuple[Any, dict[str, Any]]] = [
    (ERM, {}),
    (LfF, {}),
    (DisEnt, {"swap_after": 0}),
    (Rebias, {}),
    (SelecMix, {"probability": 1.0}),
    (SelecMix, {"probability": 0.0}),
    (BiasConOracle, {}),
    (Simclr, {}),
    (CdvgOracle, {}),
    (Cdvg, SMALL),
    (Cdvg, {"ce_on": "both", **SMALL}),
    (CdvgLff, SMALL),
    (CdvgDisEnt, {"swap_after": 0, **SMALL}),
]


@pytest.fixture(scope="module")
def source() -> Source:
    return cdvg_cmnist.load(cdvg_cmnist.Config(n_train=40, n_test=20, n_valid=20), None)


def made(kind: Any, fields: dict[str, Any], source: Source) -> tuple[Any, Batch, StepContext]:
    """The method on a network with batch normalisation and augmentation, one batch, and where the step stands."""
    torch.manual_seed(0)
    model = images.build(images.Config(encoder="resnet20", augment="crop_flip"), source.info, 0)
    method = kind(kind.Config(**fields), model, 0)
    table = source.splits["train"]
    classes = tuple(range(10))
    view = ExperienceView(0, 1, torch.arange(40), classes, classes, 10, 40, table, 16, 0, torch.device("cpu"))
    method.before_experience(view)
    return method.train(), next(view.batches()), StepContext(view, "train", 0, 0, generator(0, "augment"))


def step(method: Any, batch: Batch, ctx: StepContext) -> list[Tensor]:
    """One step's losses, each back-propagated; no optimizer moves (so that an oracle can repeat the forward)."""
    result = method.training_step(batch, ctx)
    if isinstance(result, dict):
        result["loss"].backward()
        return [result["loss"].detach()]
    losses = []
    for update in result:
        update.loss.backward()
        losses.append(update.loss.detach())
    return losses


def counters(method: nn.Module) -> set[int]:
    return {count(m) for m in method.modules() if isinstance(m, nn.BatchNorm2d)}


def count(norm: Any) -> int:
    return int(norm.num_batches_tracked)


@pytest.mark.parametrize(("kind", "fields"), METHODS)
def test_every_network_counts_one_batch_a_step(kind: Any, fields: dict[str, Any], source: Source) -> None:
    method, batch, ctx = made(kind, fields, source)
    for number in range(1, 4):
        step(method, batch, ctx)
        assert counters(method) == {number}


def stem(model: Any, seen: list[Tensor]) -> None:
    """Keep what the first normalisation of ``model`` gets."""
    model.encoder[1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))


@pytest.mark.parametrize(("kind", "fields"), METHODS)
def test_running_statistics_are_those_of_the_one_batch(kind: Any, fields: dict[str, Any], source: Source) -> None:
    """0.9 · (0, 1) + 0.1 · (mean, variance) of what the training forward was given: views where the method trains on
    views, images else.
    """
    method, batch, ctx = made(kind, fields, source)
    seen: list[Tensor] = []
    stem(method.model, seen)
    step(method, batch, ctx)
    rows = {Cdvg: 3 if fields.get("ce_on") == "both" else 2, CdvgLff: 2, CdvgDisEnt: 2, CdvgOracle: 2, Simclr: 2}.get(
        kind, 1
    )
    trained = [x for x in seen if len(x) == rows * len(batch["index"])]
    assert len(trained) == 1
    norm = method.model.encoder[1]
    torch.testing.assert_close(norm.running_mean, 0.1 * trained[0].mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    variance = trained[0].transpose(0, 1).flatten(1).var(1)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * variance, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("kind", "fields"), [(CdvgLff, SMALL), (CdvgDisEnt, {"swap_after": 0, **SMALL})])
def test_both_networks_judge_the_same_image(kind: Any, fields: dict[str, Any], source: Source) -> None:
    """The losses that weigh are both of the augmented original, as its network in training sees it."""
    method, batch, ctx = made(kind, fields, source)
    seen: list[Tensor] = []
    for model in (method.model, method.biased if kind is CdvgLff else method.branches.biased):
        model.encoder[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    step(method, batch, ctx)
    originals = [x for x in seen if len(x) == len(batch["index"])]
    assert len(originals) == 2
    assert torch.equal(*originals)


def test_rebias_measures_independence_on_the_forward_that_it_trains(source: Source) -> None:
    """One encoding of a batch serves both updates: HSIC of g's update is that of f's features before either step."""
    from holdfast.methods.losses.hsic import hsic
    from torch.nn import functional as F

    method, batch, ctx = made(Rebias, {"lambda_g": 5.0, "lambda_f": 7.0}, source)
    twin, _, other = made(Rebias, {"lambda_g": 5.0, "lambda_f": 7.0}, source)
    losses = step(method, batch, ctx)
    x = twin.model.views(twin.model.pixels(batch), other.augment)
    h, g = twin.model.encode(x), twin.local(x)
    labels = batch["label"]
    expected = [
        F.cross_entropy(twin.local_head(g), labels) - 5 * hsic(h, g),
        F.cross_entropy(twin.model.classify(h), labels) + 7 * hsic(h, g),
    ]
    torch.testing.assert_close(losses, [v.detach() for v in expected])


def test_keep_statistics() -> None:
    """By the batch in training, by the running statistics in evaluation; nothing moves, and afterwards everything is
    as before.
    """
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False))
    x = torch.randn(8, 3) + 5
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with keep_statistics(net):
        looked = net(x)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    torch.testing.assert_close(net(x), looked)
    assert count(net[0]) == 1
    assert not net[2].track_running_stats
    net.eval()
    with keep_statistics(net):
        torch.testing.assert_close(net[0](x), net[0](x))
    running = (x - net[0].running_mean) / (net[0].running_var + net[0].eps).sqrt()  # type: ignore[operator]
    with keep_statistics(net):
        torch.testing.assert_close(net[0](x), running)
    with pytest.raises(RuntimeError, match="inside"), keep_statistics(net.train()):
        raise RuntimeError("inside")
    net(x)
    assert int(net[0].num_batches_tracked) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("encoder", ["resnet20", "resnet18"])
def test_a_last_batch_of_one_image_trains(encoder: str) -> None:
    """At 32 px the last maps of resnet18 are 1 x 1: one image has no variance there, and torch refuses to normalise
    it.
    """
    net = images.build(images.Config(encoder=encoder), ImageInfo(classes=2, channels=3, size=32), 0)
    net.train()
    x = torch.randn(1, 3, 32, 32)
    loss = net.classify(net.encode(x)).square().sum()
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.encoder.parameters())
    assert counters(net) == {0}
    assert all(m.training for m in net.modules())
    net.encode(torch.cat([x, -x]))
    assert counters(net) == {1}
