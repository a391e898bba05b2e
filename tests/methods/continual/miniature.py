"""Four classes of random images in two experiences, for the tests of the continual baselines."""

from __future__ import annotations

from typing import Any

import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import ImageInfo, Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Batch, Table
from holdfast.datasets.core.view import ExperienceView, Sidecar
from holdfast.methods.base import Method, StepContext
from holdfast.methods.networks import images
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from torch import Tensor

from ..training.families import Recorder

INFO = ImageInfo(classes=4, channels=3, size=8)
NOTHING = torch.empty(0, dtype=torch.int64)


def table() -> Table:
    """Two classes in rows 0..15, two others in 16..31."""
    pixels = torch.randint(0, 256, (32, 3, 8, 8), generator=generator(0, "continual"), dtype=torch.uint8)
    return Table({"image": pixels, "label": torch.arange(32) // 8})


def made(kind: type[Method], **fields: Any) -> Any:
    """A method on a small network with fixed weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = images.build(images.Config(encoder="mlp", width=6, features=4), INFO, 0)
    memory = {"memory_share": None, "memory_rows": 8} if "memory_rows" in kind.Config.model_fields else {}
    return kind(kind.Config(**{**memory, **fields}), model, 0)


def view(experience: int, memory: Tensor = NOTHING, sidecar: Sidecar | None = None) -> ExperienceView:
    rows = torch.arange(16) + 16 * experience
    classes, earlier = ((0, 1), ()) if experience == 0 else ((2, 3), (0, 1))
    parts = (experience, 2, rows, classes, earlier, 4, 32, table(), 8, 0, torch.device("cpu"))
    return ExperienceView(*parts, sidecar=sidecar or Sidecar(), memory=memory)


def context(seen: ExperienceView, iteration: int = 5) -> StepContext:
    return StepContext(seen, "train", 0, iteration, generator(0, "augment"))


def mixed(seen: ExperienceView, new: list[int], old: list[int]) -> Batch:
    """The rows ``new`` of the experience and ``old`` of the memory."""
    flags = torch.tensor([False] * len(new) + [True] * len(old))
    return {**seen.gather(torch.tensor(new + old)), "is_memory": flags}


def scores(method: Any, rows: Tensor) -> Tensor:
    """Logits of rows in evaluation mode."""
    model = method.model
    return model.classify(model.encode(model.pixels(table().gather(rows))))


def strategy(
    kind: type[Method], watch: Any = None, epochs: int = 2, lr: float = 0.01, **fields: Any
) -> tuple[MethodStrategy, list[Any]]:
    """A strategy of plain gradient steps with a new method, and its training stream."""
    settings = TrainingSettings(
        epochs=epochs, batch_size=8, log_every=1, optimizer="SGD", optimizer_arguments={"lr": lr}
    )
    source = Source({"train": table()}, [f"c{k}" for k in range(4)], INFO, "stand-in", "0")
    driver = MethodStrategy(method=made(kind, **fields), settings=settings, observer=watch or Recorder())
    return driver, list(class_incremental(source, 2, "alphabetical").streams["train"])
