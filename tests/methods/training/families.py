"""Six families of methods in miniature, and what the tests of the strategy run them with."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import torch
from holdfast.datasets.core.source import DataInfo, Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Batch, Ragged, Table
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.base import FrozenCopy, Method, MethodConfig, OptimizerSpec, Stage, StepContext, Update
from holdfast.methods.training.seeding import seed_everything
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from torch import Tensor, nn
from torch.nn import functional as F


class MemoryTeacher(Method):
    """Memory + teacher (COCONUT's shape)."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model)
        self.teacher = FrozenCopy(model)
        self.register_buffer("kept", torch.full((4,), -1))

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        logits = self.model(F.dropout(batch["x"], 0.1))
        loss = F.cross_entropy(logits, batch["label"])
        if self.teacher.taken and batch["is_memory"].any():
            with torch.no_grad():
                old = self.teacher.module(batch["x"])
            distil = F.mse_loss(logits[batch["is_memory"]], old[batch["is_memory"]])
            return {"loss": loss + distil, "loss/distil": distil, "output": logits}
        return {"loss": loss, "output": logits}

    def after_experience(self, view: ExperienceView) -> None:
        self.teacher.take()
        kept: Any = self.kept
        kept[2 * view.experience : 2 * view.experience + 2] = view.index[:2]

    def memory(self) -> Tensor:
        kept: Any = self.kept
        return kept[kept >= 0]

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        return {"label": self.model(batch["x"]).argmax(1)}


class TwoOptimizers(Method):
    """A critic and a generator with n_critic = 2, then a classifier on the frozen generator (CDvG's shape)."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model)
        self.generator, self.critic = nn.Linear(6, 6), nn.Linear(6, 1, bias=False)

    def stages(self, view: ExperienceView) -> list[Stage]:
        adam = {"lr": 1e-2}
        return [
            Stage(
                "translator",
                1,
                {
                    "critic": OptimizerSpec(list(self.critic.parameters()), "Adam", adam),
                    "generator": OptimizerSpec(list(self.generator.parameters()), "Adam", adam),
                },
            ),
            Stage("classifier", 1, {"main": OptimizerSpec(list(self.model.parameters()), "SGD", adam)}, self.classify),
        ]

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        noise = torch.randn(batch["x"].shape, generator=ctx.augment)
        fake = self.generator(batch["x"] + noise)
        yield Update(self.critic(fake.detach()).mean() - self.critic(batch["x"]).mean(), "critic")
        if (ctx.iteration + 1) % 2 == 0:
            yield Update(-self.critic(self.generator(batch["x"])).mean(), "generator")

    def classify(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        with torch.no_grad():
            x = self.generator(batch["x"])
        return {"loss": F.cross_entropy(self.model(x), batch["label"])}


class PretrainProbe(Method):
    """Pre-train, then a probe on frozen features, with a float target (SupReMix's shape)."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model)
        self.probe = nn.Linear(4, 1)

    def stages(self, view: ExperienceView) -> list[Stage]:
        return [
            Stage("pretrain", 2, {"main": OptimizerSpec(list(self.model.parameters()), "AdamW", {})}),
            Stage("probe", 1, {"main": OptimizerSpec(list(self.probe.parameters()), "Adam", {})}, self.fit_probe),
        ]

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        z = F.normalize(self.model(batch["x"]), dim=1)
        target = -(batch["age"][:, None] - batch["age"][None]).abs()
        return {"loss": F.mse_loss(z @ z.T, target)}

    def fit_probe(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        with torch.no_grad():
            z = self.model(batch["x"])
        return {"loss": F.l1_loss(self.probe(z)[:, 0], batch["age"])}


class Slimmable(Method):
    """Several backwards and one optimizer step, then a stage without any update (a slimmable net's shape)."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model)
        self.norm = nn.BatchNorm1d(6)

    def stages(self, view: ExperienceView) -> list[Stage]:
        return [Stage(), Stage("calibrate", 1, {}, self.calibrate, gradients=False)]

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        full = self.model(self.norm(batch["x"]))
        yield Update(F.cross_entropy(full, batch["label"]), step=False)
        for width, last in ((3, False), (5, True)):
            x = batch["x"].clone()
            x[:, width:] = 0
            slim = self.model(self.norm(x))
            yield Update(F.mse_loss(slim, full.detach()), step=last, logs={f"loss/width{width}": slim.mean()})

    def calibrate(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        self.norm(batch["x"])
        yield from ()


class TwoGroups(Method):
    """A batch of two groups, background and target (SepCLR's shape)."""

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        target = (batch["label"] % 2 == 1)[:, None]
        z = self.model(batch["x"] + 0.1 * torch.randn(batch["x"].shape, generator=ctx.augment))
        pinned = torch.where(target, z, torch.zeros_like(z))
        return {
            "loss": torch.logsumexp(-torch.cdist(pinned, pinned).flatten(), 0) + (z.masked_fill(target, 0) ** 2).mean()
        }


class FewTrainable(Method):
    """A frozen backbone with few trainable parameters, on ragged rows (PEFT's shape)."""

    def __init__(self, config: MethodConfig, model: nn.Module) -> None:
        super().__init__(config, model.requires_grad_(False))
        self.prompt = nn.Parameter(torch.zeros(6))

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        valid = torch.arange(batch["words"].shape[1]) < batch["words_lengths"][:, None]
        pooled = (batch["words"] * valid[..., None]).sum(1) / batch["words_lengths"][:, None]
        return {"loss": F.cross_entropy(self.model(pooled + self.prompt), batch["label"])}


def make_source(n: int = 60) -> Source:
    g = torch.Generator().manual_seed(3)
    label = torch.arange(n) % 4
    words = [torch.randn(int(k), 6, generator=g) for k in torch.randint(1, 7, (n,), generator=g)]
    x = torch.randn(n, 6, generator=g) + label[:, None]
    table = Table(
        {"x": x, "label": label, "age": torch.rand(n, generator=g), "words": Ragged.from_list(words), "bias": label % 3}
    )
    return Source({"train": table, "valid": table, "test": table}, ["a", "b", "c", "d"], DataInfo(), "stand-in", "0")


class Recorder:
    """Keeps the points; saves the state after iteration ``stop_at`` and stops there, as if killed."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.lines: list[tuple[int, dict[str, float]]] = []
        self.stop_at, self.saved = stop_at, io.BytesIO()

    def points(self, values: dict[str, float], step: int) -> None:
        self.lines.append((step, values))

    def after_iteration(self, strategy: MethodStrategy) -> None:
        if strategy.iteration == self.stop_at:
            torch.save(strategy.state_dict(), self.saved)
            raise KeyboardInterrupt

    def epoch_batches(self, strategy: MethodStrategy, n_batches: int) -> None: ...

    def after_epoch(self, strategy: MethodStrategy) -> None: ...

    def end_of_stages(self, strategy: MethodStrategy) -> None: ...

    def after_stage(self, strategy: MethodStrategy, stage: Any) -> None: ...


def make_method(family: type[Method]) -> Method:
    return family(MethodConfig(), nn.Linear(6, 4))


def build(family: type[Method], recorder: Recorder, **settings: Any) -> tuple[MethodStrategy, list[Any]]:
    seed_everything(0)
    torch.manual_seed(0)
    source = make_source()
    method = make_method(family)
    given = {"epochs": 2, "batch_size": 8, "log_every": 3, "warmup_steps": 3, **settings}
    strategy = MethodStrategy(method=method, settings=TrainingSettings(**given), observer=recorder)
    experiences = list(class_incremental(source, 2, hidden=frozenset({"bias"})).streams["train"])
    return strategy, experiences


def finish(strategy: MethodStrategy, experiences: list[Any]) -> None:
    for experience in experiences:
        strategy.train(experience, eval_streams=[])


def total_iterations(family: type[Method]) -> int:
    strategy, experiences = build(family, Recorder())
    finish(strategy, experiences)
    return strategy.iteration


def assert_same(a: Any, b: Any) -> None:
    if isinstance(a, Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    else:
        assert a == b


class Classifier(nn.Module):
    """What ER asks of a model."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 4)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss = F.cross_entropy(self.encoder(batch["x"]), batch["label"])
        return loss, {"loss/ce": loss}
