"""The regression methods in a plain torch loop: they learn, and do what their settings say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import DataInfo, Modality, RegressionInfo, Source
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.view import ExperienceView
from holdfast.datasets.supremix import agedb as supremix_agedb
from holdfast.datasets.supremix import tabular as supremix_tabular
from holdfast.methods.base import Method, StepContext
from holdfast.methods.networks import regression as networks
from holdfast.methods.supremix.adacon import AdaCon
from holdfast.methods.supremix.bmse import BMSE
from holdfast.methods.supremix.cmixup import CMixup
from holdfast.methods.supremix.conr import ConR
from holdfast.methods.supremix.fds import FDS
from holdfast.methods.supremix.lds import LDS
from holdfast.methods.supremix.mix_neg import MixNeg
from holdfast.methods.supremix.mix_pos import MixPos
from holdfast.methods.supremix.mixup import Mixup
from holdfast.methods.supremix.mse import MSE
from holdfast.methods.supremix.ranksim import RankSim
from holdfast.methods.supremix.regressor import Regressor
from holdfast.methods.supremix.rnc import RnC
from holdfast.methods.supremix.simclr import SimCLR
from holdfast.methods.supremix.supcon import SupCon
from holdfast.methods.supremix.supremix import SupReMix, SupReMixConfig
from holdfast.methods.supremix.two_stage import TwoStage
from holdfast.methods.supremix.yaware import YAware
from pydantic import ValidationError

from .miniature import view_of

KINDS: list[type[Regressor]] = [
    Regressor,
    MSE,
    SimCLR,
    SupCon,
    RnC,
    YAware,
    AdaCon,
    MixNeg,
    MixPos,
    SupReMix,
    Mixup,
    CMixup,
    RankSim,
    LDS,
    FDS,
    ConR,
    BMSE,
]


@pytest.fixture(scope="module")
def source() -> Source:
    return supremix_tabular.load(supremix_tabular.Config(n_train=200, n_test=60, noise=0.0), None)


def made(kind: type[Regressor], source: Source, seed: int = 0, **fields: Any) -> Any:
    torch.manual_seed(seed)
    model = networks.build(networks.Config(hidden=32, projection=16), source.info, seed)
    config: Any = kind.Config(**{"label_scale": "percent", **fields})
    return kind(config, model, seed)


def train(method: Any, view: ExperienceView, epochs: int = 8) -> Iterator[float]:
    """Every stage in a plain loop; the mean loss of each epoch."""
    augment = generator(0, "augment")
    torch.manual_seed(1)
    method.before_experience(view)
    for stage in method.stages(view):
        method.before_stage(stage, view)
        if stage.optimizers is None:
            optimizer: Any = torch.optim.Adam(method.parameters(), lr=3e-3)
        else:
            spec = stage.optimizers["main"]
            optimizer = getattr(torch.optim, spec.name)(spec.parameters, **spec.arguments)
        for epoch in range(epochs if stage.epochs is None else stage.epochs):
            ctx = StepContext(view, stage.name, epoch, 0, augment)
            method.before_epoch(ctx)
            method.train()
            losses = []
            for batch in view.batches(train=True):
                optimizer.zero_grad()
                loss = (stage.step or method.training_step)(batch, ctx)["loss"]
                loss.backward()
                optimizer.step()
                losses.append(float(loss.detach()))
            method.after_epoch(ctx)
            yield sum(losses) / len(losses)
        method.after_stage(stage, view)
    method.after_experience(view)


def mae(method: Method, source: Source, split: str = "test") -> float:
    table = source.splits[split]
    method.eval()
    with torch.no_grad():
        value = method.predict(table.gather(torch.arange(len(table))))["value"]
    label = table.columns["label"]
    assert isinstance(label, torch.Tensor)
    return float((value - label).abs().mean())


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_every_method_beats_the_median(kind: type[Regressor], source: Source) -> None:
    milder: dict[str, dict[str, Any]] = {
        "ranksim": {"ranksim_weight": 0.1},
        "conr": {"conr_weight": 0.2},
    }  # defaults are for thousands of steps
    method = made(kind, source, **milder.get(kind.name, {}))
    losses = list(train(method, view_of(source)))
    assert all(torch.isfinite(torch.tensor(losses)))
    label = source.splits["test"].columns["label"]
    assert isinstance(label, torch.Tensor)
    constant = float((label - label.median()).abs().mean())
    assert mae(method, source) < (0.95 if kind is SimCLR else 0.75) * constant


def test_a_probe_leaves_the_encoder_as_it_is_and_finetuning_does_not(source: Source) -> None:
    for second in ("probe", "finetune"):
        method = made(SupReMix, source, second=second, second_epochs=1, epochs=1)
        steps = train(method, view_of(source))
        next(steps)
        before = {k: v.clone() for k, v in method.model.state_dict().items()}
        list(steps)
        same = all(torch.equal(v, before[k]) for k, v in method.model.encoder.state_dict(prefix="encoder.").items())
        assert same == (second == "probe")


class Alone(torch.nn.Module):
    """A model whose features are the inputs."""

    d_features = 3

    def __init__(self, encoder: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = encoder or torch.nn.Identity()

    def inputs(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return batch

    def encode(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return batch["x"]

    def project(self, features: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(features, dim=1)


class Normed(Alone):
    """A model with batch norm that keeps its features; a view is the batch with noise."""

    def __init__(self) -> None:
        super().__init__(torch.nn.BatchNorm1d(3))
        self.features: list[torch.Tensor] = []

    def view(self, batch: dict[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {**batch, "x": batch["x"] + torch.randn(batch["x"].shape, generator=generator)}

    def encode(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        self.features.append(self.encoder(batch["x"]))
        return self.features[-1]


@pytest.mark.parametrize("kind", [SupReMix, SupCon, RnC, YAware, AdaCon, ConR], ids=lambda k: k.name)
def test_batch_norm_sees_all_views_of_a_batch_at_once(kind: Any) -> None:
    """z = normalise(projector(encoder(cat(view1, view2))))."""
    table = Table({"x": torch.randn(16, 3, generator=generator(0, "x")), "label": torch.arange(16.0) % 4})
    method = kind(kind.Config(), Normed(), 0)
    view = view_of(Source({"train": table}, (), DataInfo(), "made", ""))
    method.before_experience(view)
    method.train()
    ctx, batch = StepContext(view, "pretrain", 0, 0, generator(0, "augment")), next(view.batches())
    assert torch.isfinite(method.training_step(batch, ctx)["loss"])
    assert [len(f) for f in method.model.features] == [32]
    draws = generator(0, "augment")
    views = torch.cat([method.model.view(batch, draws)["x"] for _ in range(2)])
    assert torch.equal(method.model.features[0], torch.nn.BatchNorm1d(3)(views))


def test_the_order_of_what_is_as_it_was_trained_is_measured(source: Source) -> None:
    """Fine-tuning moves the encoder and leaves the projector: its output is then no embedding of the method."""
    rows = source.splits["test"].gather(torch.arange(20))
    for kind, fields, projected in (
        (SupReMix, {}, True),
        (SupReMix, {"second": "finetune"}, False),
        (SupReMix, {"epochs": 0}, False),  # the projector was never trained here
        (SupCon, {}, True),
        (SupCon, {"second": "finetune"}, False),
        (RnC, {}, False),  # has none
        (ConR, {}, True),
        (Regressor, {}, False),
    ):
        method = made(kind, source, **fields).eval()
        with torch.no_grad():
            found = method.predict(rows)
            features = method.model.encode(method.model.inputs(rows))
            assert torch.equal(found["embedding"], features)
            assert ("projection" in found) == projected
            if projected:
                assert torch.equal(found["projection"], method.model.project(features))


@pytest.mark.parametrize("second", ["probe", "finetune"])
def test_no_epochs_of_pre_training_go_straight_to_the_second_stage(source: Source, second: str) -> None:
    method = made(SupReMix, source, epochs=0, second=second, second_epochs=2)
    before = {k: v.clone() for k, v in method.model.state_dict().items()}
    assert len(list(train(method, view_of(source)))) == 2
    now = method.model.state_dict()
    changed = {k.split(".")[0] for k, v in now.items() if not torch.equal(v, before[k])}
    assert changed == (set() if second == "probe" else {"encoder"})
    for kind in KINDS:
        if not issubclass(kind, TwoStage):
            with pytest.raises(ValidationError):
                kind.Config.model_validate({"epochs": 0})


def test_a_feature_that_no_training_row_has_moves_a_prediction_by_no_more_than_itself() -> None:
    x = torch.randn(200, 3, generator=generator(0, "x"))
    x[:, 2] = 0.5
    table = Table({"x": x, "label": x[:, 0] * 4 + 20})
    method = SupReMix(SupReMixConfig(epochs=0, second_epochs=3), Alone(), 0)
    list(train(method, view_of(Source({"train": table}, (), DataInfo(), "made", ""))))
    method.eval()
    new = x[:1].repeat(2, 1)
    new[1, 2] += 0.1
    with torch.no_grad():
        one, other = method.predict({"x": new})["value"].tolist()
        weight = float(method.head.weight[0, 2])
    assert weight != 0
    assert other - one == pytest.approx(0.1 * weight * float(method.spread), rel=1e-4)
    assert method.feature_std[:2].tolist() == pytest.approx(x[:, :2].std(0, unbiased=False).tolist(), rel=1e-5)


def test_a_feature_that_one_training_row_has_is_scaled_by_a_tenth_of_the_mean_deviation() -> None:
    x = torch.randn(200, 3, generator=generator(0, "x"))
    x[:, 2] = 0
    x[7, 2] = 0.1
    table = Table({"x": x, "label": x[:, 0] * 4 + 20})
    method = SupReMix(SupReMixConfig(epochs=0, second_epochs=1), Alone(), 0)
    list(train(method, view_of(Source({"train": table}, (), DataInfo(), "made", ""))))
    std = x.std(0, unbiased=False)
    assert std[2] < 0.01
    assert method.feature_std.tolist() == pytest.approx([*std[:2].tolist(), 0.1 * float(std.mean())], rel=1e-5)


def test_label_scale_makes_the_range_a_hundred(source: Source) -> None:
    method = made(Regressor, source)
    view = view_of(source)
    method.before_experience(view)
    scaled = method.scaled(view.labels())
    assert float(scaled.min()) == pytest.approx(0, abs=1e-9)
    assert float(scaled.max()) == pytest.approx(100)
    plain = method.standardised(view.labels())
    assert float(plain.mean()) == pytest.approx(0, abs=1e-5)
    assert float(plain.std(unbiased=False)) == pytest.approx(1, abs=1e-5)


def test_units_of_the_label_do_not_matter_to_a_percent_scale(source: Source) -> None:
    def run(factor: float) -> float:
        table = source.splits["train"]
        label = table.columns["label"]
        assert isinstance(label, torch.Tensor)
        columns = {**table.columns, "label": label * factor}
        method = made(SupReMix, source, epochs=2, second_epochs=2)
        list(train(method, view_of(source, table=type(table)(columns))))
        return float(method.center) / factor + sum(
            float(p.detach().double().abs().sum()) for p in method.head.parameters()
        )

    assert run(1.0) == pytest.approx(run(4.0), rel=1e-6)


def test_memory_holds_an_equal_share_of_every_experience(source: Source) -> None:
    method = made(Regressor, source, memory_share=None, memory_rows=20)
    for number in (0, 1):
        rows = torch.arange(100) + 100 * number
        view = view_of(source, experience=number, n_experiences=2, index=rows)
        list(train(method, view, epochs=1))
        kept = method.memory()
        assert len(kept) == 10 * (number + 1)
        assert len(set(kept.tolist())) == len(kept)
    assert int((kept < 100).sum()) == 10
    again = made(Regressor, source, memory_share=None, memory_rows=20)
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.memory(), kept)


def test_partners_of_cmixup_are_near_in_label(source: Source) -> None:
    view = view_of(source)
    ctx = StepContext(view, "train", 0, 0, generator(0, "augment"))
    away = {}
    for kind in (Mixup, CMixup):
        method = made(kind, source)
        method.before_experience(view)
        batch = next(view.batches(train=True))
        label = method.scaled(batch["label"])
        chosen = torch.cat([method.partners(batch, view.index, ctx) for _ in range(20)])
        away[kind.name] = float((method.scaled(view.labels()[chosen]) - label.repeat(20)).abs().mean())
    assert away["cmixup"] < 2.0 < 10 < away["mixup"]


def test_labels_without_spread_and_with_nan_are_refused(source: Source) -> None:
    table = source.splits["train"]
    for value, message in (
        (torch.full((200,), 3.0), "are 3: there is nothing"),
        (torch.full((200,), float("nan")), "NaN"),
    ):
        view = view_of(source, table=type(table)({**table.columns, "label": value}))
        with pytest.raises(ValueError, match=message):
            made(Regressor, source).before_experience(view)


def test_pools_take_a_smaller_last_batch(source: Source) -> None:
    method = made(SupReMix, source, pool=4, epochs=1, second_epochs=1)
    assert all(value > 0 for value in train(method, view_of(source)))  # 200 rows in batches of 32: the last has 8


def test_views_come_from_the_generator_alone() -> None:
    source = supremix_agedb.load(supremix_agedb.Config(n_train=61), None)
    batch = source.splits["train"].gather(torch.arange(8))
    for options in ({"views": "noise", "shift": 2}, {"views": "crop"}):
        model = networks.build(networks.Config(**options), source.info, 0)
        first = model.view(batch, generator(0, "a"))["x"]
        torch.manual_seed(9)
        assert torch.equal(first, model.view(batch, generator(0, "a"))["x"])
        assert not torch.equal(first, model.view(batch, generator(0, "b"))["x"])
        assert first.shape == batch["x"].shape
        assert bool(first.isfinite().all())


@pytest.mark.parametrize(("modality", "shape"), [("series", (3, 40)), ("volume", (1, 8, 8, 8)), ("image", (3, 20, 20))])
def test_encoders_of_all_dimensions(modality: Modality, shape: tuple[int, ...]) -> None:
    info = RegressionInfo(modality=modality, input_shape=shape)
    model = networks.build(networks.Config(encoder="resnet", width=4), info, 0)
    batch = {"x": torch.randn(5, *shape)}
    z = model.project(model.encode(model.view(batch, generator(0, "a"))))
    assert torch.allclose(z.norm(dim=1), torch.ones(5), atol=1e-5)
    with pytest.raises(ValueError, match="takes no"):
        networks.build(networks.Config(encoder="bilstm"), info, 0)
