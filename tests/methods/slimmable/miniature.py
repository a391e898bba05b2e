"""The smallest scenes and network on which the slimmable methods train."""

from __future__ import annotations

import functools
from typing import Any

import torch
from holdfast.datasets.core.multi_task import MultiTaskInfo
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.streams import single
from holdfast.datasets.core.table import Batch
from holdfast.datasets.slimmable import scenes
from holdfast.methods.base import Method
from holdfast.methods.networks import slimmable
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from holdfast.suites.config import registry

SMALL = {"calibration_rows": 8, "calibration_batches": 2, "score_rows": 8, "preferences": 3}


@functools.cache
def source() -> Source[MultiTaskInfo]:
    return scenes.load(scenes.Config(n_train=32, n_valid=2, n_test=8, size=16), None)


def built(name: str, network: dict[str, Any] | None = None, seed: int = 0, **fields: Any) -> Any:
    """A method of the family with its network."""
    kind: type[Method] = registry.method(f"slimmable/{name}")
    options = {"channels": (8, 8), "strides": (1, 2), "decoder_channels": 8, "grid": (0.5, 1.0), **(network or {})}
    torch.manual_seed(seed)
    model = slimmable.build(slimmable.Config(**options), source().info, seed)
    small = {key: value for key, value in SMALL.items() if key in kind.Config.model_fields}
    return kind(kind.Config(**{**small, **fields}), model, seed)


def batch(rows: int = 8) -> Batch:
    return source().splits["train"].gather(torch.arange(rows))


def trained(method: Method, epochs: int = 1) -> Method:
    """The method after one epoch or more, in evaluation mode."""
    settings = TrainingSettings(
        epochs=epochs, batch_size=16, log_every=1, optimizer="Adam", optimizer_arguments={"lr": 1e-2}
    )
    strategy = MethodStrategy(method=method, settings=settings)
    for experience in single(source()).streams["train"]:
        strategy.train(experience, eval_streams=[])
    return method.eval()
