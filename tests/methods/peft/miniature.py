"""A few short texts on the tiny encoder, one or several tasks, and what trains a method on them."""

from __future__ import annotations

from typing import Any

import torch
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.streams import given, single
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.texts import TextInfo, packed
from holdfast.methods.base import Method, UnfitError
from holdfast.methods.networks import text_encoder
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from holdfast.suites.config import registry

from ..training.families import Recorder

NAMES = ("full", "head", "prefix", "prefix_mlp", "lora", "dora", "vera", "osf", "prompt", "ptuning")
SMALL: dict[str, dict[str, Any]] = {
    "prefix": {"length": 2},
    "prefix_mlp": {"length": 2, "inner": 4},
    "prompt": {"length": 2},
    "ptuning": {"length": 2, "inner": 4},
    "vera": {"rank": 4},
    "lora": {"rank": 2},
    "dora": {"rank": 2},
}
GOOD, BAD = ("good nice great", "very good film"), ("bad awful poor", "not a good story")


def table(rows: int, altered: bool, tasks: int, first_source: int = 0) -> Table:
    """Texts of two classes a task; every row once more as its alteration (EDA), where asked for."""
    texts, label, source, kind, task = [], [], [], [], []
    for row in range(rows):
        for alteration in range(2 if altered else 1):
            t, c = row % tasks, (row // tasks) % 2
            texts.append(f"{(GOOD, BAD)[c][row % 2]} {'and now ' * alteration}team {t} {row}")
            label.append(2 * t + c)
            source.append(first_source + row)
            kind.append(alteration)
            task.append(t)
    columns = {"label": label, "source_id": source, "altered": kind}
    if tasks > 1:
        columns |= {"task": task, "experience": task}
    dense = {name: torch.tensor(values) for name, values in columns.items()}
    return Table({"first": packed(texts), **dense})


def source(rows: int = 12, altered: bool = True, tasks: int = 1) -> Source:
    own = tuple((2 * t, 2 * t + 1) for t in range(tasks)) if tasks > 1 else ()
    names = tuple(f"task{t}" for t in range(tasks)) if tasks > 1 else ()
    info = TextInfo(classes=2 * tasks, tasks=names, task_classes=own)
    splits = {
        "train": table(rows, altered, tasks),
        "valid": table(4 * tasks, False, tasks, 1000),
        "test": table(6 * tasks, False, tasks, 2000),
    }
    return Source(splits, [f"c{i}" for i in range(2 * tasks)], info, "stand-in", "0")


CONFIG = {"backbone": "tiny", "max_length": 24}


def prepared(data: Source | None = None, **options: Any) -> Source:
    return text_encoder.prepare(text_encoder.Config(**{**CONFIG, **options}), data or source())


def built(name: str, data: Source, seed: int = 0, model: dict[str, Any] | None = None, **fields: Any) -> Method:
    """A method with its model, in evaluation mode."""
    kind = registry.method(f"peft/{name}")
    torch.manual_seed(seed)
    net = text_encoder.build(text_encoder.Config(**{**CONFIG, **(model or {})}), data.info, seed)
    return kind(kind.Config(**{**SMALL.get(name, {}), **fields}), net, seed).eval()


def trained(method: Method, data: Source, epochs: int = 2, seed: int = 0, batch_size: int = 8) -> Recorder:
    """Its journal, after training on all experiences of the data."""
    tasks = len(data.info.tasks)  # type: ignore[attr-defined]
    scenario = given(data, tasks) if tasks else single(data)
    recorder = Recorder()
    settings = TrainingSettings(epochs=epochs, batch_size=batch_size, log_every=1)
    strategy = MethodStrategy(method=method, settings=settings, seed=seed, observer=recorder)
    for experience in scenario.streams["train"]:
        strategy.train(experience, eval_streams=[])
    method.eval()
    return recorder


def outputs(method: Method, data: Source, split: str = "test") -> dict[str, torch.Tensor]:
    rows = torch.arange(len(data.splits[split]))
    with torch.no_grad():
        return method.predict(data.splits[split].gather(rows))


__all__ = ["NAMES", "UnfitError", "built", "outputs", "prepared", "source", "trained"]
