"""Our streams and networks as Avalanche's strategies want them: task-aware data sets over tensors, made once, and a
network that is called with pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from avalanche.benchmarks import CLScenario, EagerCLStream
from avalanche.benchmarks.scenarios.dataset_scenario import DatasetExperience
from avalanche.benchmarks.utils.classification_dataset import _make_taskaware_classification_dataset
from avalanche.models.base_model import BaseModel
from torch import Tensor, nn
from torch.utils.data import Dataset

from ...datasets.core.streams import RowExperience
from ...datasets.core.table import Batch, Table


class Rows(Dataset[tuple[Tensor, int]]):
    """(pixels [3, S, S], class) of rows of a table; ``pixels`` makes them of a batch with the column ``image``.

    Strategies keep what they are given in buffers of their own, some of floats: bytes would be taken for pixels there.
    """

    def __init__(self, table: Table, rows: Tensor, pixels: Callable[[Batch], Tensor]) -> None:
        self.pixels = pixels
        images, labels = table.columns["image"], table.columns["label"]
        assert isinstance(images, Tensor)
        assert isinstance(labels, Tensor)
        self.images, self.rows = images, rows.tolist()
        self.targets: list[int] = labels[rows].tolist()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.pixels({"image": self.images[self.rows[position]]}), self.targets[position]


class TaskExperience(DatasetExperience[Any]):
    """An experience with all that some strategy asks for: task labels (0), classes by time, the benchmark."""

    def __init__(self, rows: Rows, number: int, groups: list[list[int]]) -> None:
        data = _make_taskaware_classification_dataset(rows, task_labels=0, targets=rows.targets)
        super().__init__(dataset=data, current_experience=number)
        self.task_labels, self.task_label = [0], 0
        self.classes_in_this_experience = groups[number]
        self.previous_classes = sorted({c for group in groups[:number] for c in group})
        self.classes_seen_so_far = sorted({*self.previous_classes, *groups[number]})
        self.future_classes = sorted({c for group in groups[number + 1 :] for c in group})
        self.benchmark: Any = None

    @property
    def dataset(self) -> Any:
        return self._dataset

    @dataset.setter
    def dataset(self, value: Any) -> None:  # BiC keeps some rows back
        self._dataset = value


def benchmark_of(experience: RowExperience, pixels: Callable[[Batch], Tensor]) -> CLScenario[Any]:
    """Avalanche's benchmark over the whole training stream that ``experience`` is of.

    It says ``n_classes_per_exp`` and ``classes_order`` as one of ``nc_benchmark`` does (iCaRL reads them).
    """
    stream: list[Any] = list(experience.origin_stream)
    groups = [sorted(one.classes) for one in stream]
    rows = [Rows(one.table, one.rows, pixels) for one in stream]
    made = [TaskExperience(part, k, groups) for k, part in enumerate(rows)]
    benchmark: Any = CLScenario([EagerCLStream("train", made)])
    benchmark.rows = rows
    benchmark.n_classes_per_exp = [len(group) for group in groups]
    benchmark.classes_order = [c for group in groups for c in group]
    for one in made:
        one.benchmark = benchmark
    return benchmark


class Net(nn.Module, BaseModel):
    """A network of ours by call: pixels [B, 3, S, S] -> logits [B, C]."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        inner: Any = self.inner
        logits: Tensor = inner.classify(inner.encode(x))
        return logits

    def get_features(self, x: Tensor) -> Tensor:
        """Features [B, H], by the name that LFL asks for."""
        inner: Any = self.inner
        features: Tensor = inner.encode(x)
        return features


class Features(nn.Module):
    """The encoder of a network of ours by call: pixels [B, 3, S, S] -> features [B, H]."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        inner: Any = self.inner
        features: Tensor = inner.encode(x)
        return features


class Head(nn.Module):
    """Its head by call: features [B, H] -> logits [B, C]."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, h: Tensor) -> Tensor:
        inner: Any = self.inner
        logits: Tensor = inner.classify(h)
        return logits


def parts(inner: nn.Module) -> dict[str, nn.Module]:
    """What strategies call a network, by the name of their argument."""
    return {"model": Net(inner), "feature_extractor": Features(inner), "classifier": Head(inner)}


def means_of(classifier: Any, classes: int) -> Tensor | None:
    """Class means [C, H] of a nearest-mean classifier, of unit length; zeros for a class that has none."""
    means: Tensor | None = getattr(classifier, "class_means", None)
    if means is None:
        return None
    whole = torch.zeros(classes, means.shape[1])
    whole[: len(means)] = means.detach().cpu()
    return whole
