"""Digits on gratings in the smallest size, and what trains on them."""

from __future__ import annotations

import functools
from typing import Any

import torch
from holdfast.datasets.core import streams
from holdfast.datasets.core.contrast import ContrastInfo
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.table import Batch
from holdfast.datasets.core.view import ExperienceView, Sidecar
from holdfast.datasets.sepclr import cifar_mnist
from holdfast.methods.base import Method
from holdfast.methods.networks import two_encoders
from holdfast.methods.training import sampler
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from holdfast.suites.config import registry

from ..training.families import Recorder

HIDDEN = frozenset({"digit", "grating"})
Config = two_encoders.Config


@functools.cache
def source(experiences: int = 1, n_train: int = 40) -> Source[ContrastInfo]:
    return cifar_mnist.load(cifar_mnist.Config(n_train=n_train, n_valid=2, n_test=20, experiences=experiences), None)


def method(name: str, config: Config | None = None, data: Source[ContrastInfo] | None = None, **fields: Any) -> Any:
    """A method on a small model whose weights come from one seed."""
    kind = registry.method(f"sepclr/{name}")
    torch.manual_seed(0)
    small = config or Config(hidden=16, common=4, salient=3, projector=8)
    model = two_encoders.build(small, (data or source()).info, 0)
    return kind(kind.Config(**fields), model, 0)


def train(
    made: Method,
    epochs: int = 1,
    batch_size: int = 16,
    experiences: int = 1,
    hidden: frozenset[str] = HIDDEN,
    n_train: int = 40,
) -> Recorder:
    """Train on the stream; what was logged at each step."""
    watch = Recorder()
    settings = TrainingSettings(
        batch_size=batch_size, epochs=epochs, log_every=1, optimizer="Adam", optimizer_arguments={"lr": 1e-3}
    )
    strategy = MethodStrategy(method=made, settings=settings, observer=watch)
    data = source(experiences, n_train)
    scenario = streams.single(data, hidden) if experiences == 1 else streams.given(data, experiences, hidden)
    for experience in scenario.streams["train"]:
        strategy.train(experience, eval_streams=[])
    made.eval()
    return watch


def view_of(made: Method) -> ExperienceView:
    """All training rows of the set that :func:`train` trains on."""
    (experience,) = streams.single(source(), HIDDEN).streams["train"]
    none, cpu = torch.empty(0, dtype=torch.int64), torch.device("cpu")
    return sampler.view_of(experience, memory=none, batch_size=16, seed=made.seed, device=cpu, sidecar=Sidecar())


def rows_of_test() -> Batch:
    table = source().splits["test"]
    return table.gather(torch.arange(len(table)))
