"""Peak memory of an evaluation at 1, 4 and 16 times the rows: ``python tests/benchmarks/evaluation_memory.py``.

Rows are made when they are gathered (:class:`~holdfast.datasets.core.table.Lazy`), so that the data holds none:
``scores`` are ten classes of 20,000 to 320,000 rows, ``maps`` are scores [17, 288, 384] of 37 to 600 images (7.2 MiB
each: kept as arrays, those of 600 are 4.2 GiB), of which a confusion of the 17 classes is counted. With and without
Parquet shards of what is predicted; a process for each figure.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

warnings.filterwarnings("ignore")
import numpy as np  # noqa: E402
import torch  # noqa: E402
from holdfast.analysis.metrics.metric import Metric  # noqa: E402
from holdfast.analysis.problems.classification import Classification  # noqa: E402
from holdfast.analysis.problems.evaluator import Evaluator, Measurement, Outputs, Rows  # noqa: E402
from holdfast.datasets.core.source import DataInfo, Source  # noqa: E402
from holdfast.datasets.core.streams import single  # noqa: E402
from holdfast.datasets.core.table import Batch, Column, Lazy, Table  # noqa: E402
from holdfast.methods.base import Method, MethodConfig, StepContext  # noqa: E402
from holdfast.methods.training.settings import TrainingSettings  # noqa: E402
from holdfast.methods.training.strategy import MethodStrategy  # noqa: E402
from holdfast.suites.runtime.evaluation import Evaluation  # noqa: E402
from holdfast.suites.runtime.shards import Shards  # noqa: E402
from torch import Tensor, nn  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from processes import measured, peak  # noqa: E402

CLASSES, HEIGHT, WIDTH = 17, 288, 384
ROWS = {"scores": (20_000, 80_000, 320_000), "maps": (37, 150, 600)}
BATCH = {"scores": 128, "maps": 4}


def vectors(index: Tensor) -> Tensor:
    """A row of 16 numbers of its id."""
    return torch.sin(index[:, None] * torch.arange(1.0, 17.0))


def images(index: Tensor) -> Tensor:
    """Stripes whose phase is the row's id, [B, 3, H, W]."""
    across = torch.linspace(0, 40, WIDTH)[None] + torch.linspace(0, 9, HEIGHT)[:, None]
    return torch.sin(across[None] + index[:, None, None])[:, None].expand(-1, 3, -1, -1)


def classes(index: Tensor) -> Tensor:
    """The class of each pixel, [B, H, W]."""
    return ((images(index)[:, 0] + 1) / 2 * (CLASSES - 1)).round().to(torch.uint8)


def nearest() -> nn.Module:
    """A 1 x 1 convolution whose largest score is the class of the pixel: 2 x v - v² for its value v."""
    value = 2 * torch.arange(CLASSES) / (CLASSES - 1) - 1
    layer = nn.Conv2d(3, CLASSES, 1)
    layer.weight.data[:] = (2 * value / 3)[:, None, None, None]
    layer.bias.data[:] = -(value**2)  # type: ignore[union-attr]
    return layer


class Predicts(Method):
    """Scores of the one layer that the model is."""

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        scores = self.model(batch["x"])
        return {"label": scores.argmax(1), "scores": scores} if scores.dim() == 2 else {"map": scores}


class Dense(Evaluator):
    """Accuracy of pixels and mean intersection over union of predicted scores ``map`` [B, 17, H, W]."""

    main = "iou"
    metrics = (Metric("iou", True, "share", "mean IoU"), Metric("accuracy", True, "share", "pixel accuracy"))

    def measurement(self, split: str) -> Measurement:
        return Confusion(self.data.splits[split].columns["classes"])


class Confusion(Measurement):
    def __init__(self, truth: Lazy) -> None:
        self.truth, self.counts = truth, np.zeros((CLASSES, CLASSES), np.int64)

    def update(self, outputs: Outputs, rows: Rows) -> None:
        truth = self.truth.gather(torch.from_numpy(rows)).numpy().astype(np.int64)
        pairs = truth * CLASSES + outputs["map"].argmax(1)
        self.counts += np.bincount(pairs.ravel(), minlength=CLASSES**2).reshape(CLASSES, CLASSES)

    def compute(self) -> dict[str, float]:
        right = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - right
        return {"iou": float((right / np.maximum(union, 1)).mean()), "accuracy": float(right.sum() / self.counts.sum())}


def evaluate(kind: str, rows: int, folder: str) -> dict[str, float]:
    """Evaluate ``rows`` rows; what was measured. Shards go to ``folder`` where one is named."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if kind == "scores":
        columns: dict[str, Column] = {
            "x": Lazy(rows, (16,), torch.float32, vectors, "vectors"),
            "label": torch.arange(rows) % 10,
        }
        model: nn.Module = nn.Linear(16, 10)
    else:
        made = Lazy(rows, (HEIGHT, WIDTH), torch.uint8, classes, "classes")
        columns = {"x": Lazy(rows, (3, HEIGHT, WIDTH), torch.float32, images, "images"), "classes": made}
        model = nearest()
    table = Table(columns)
    source = Source({"train": table, "test": table}, list("0123456789"), DataInfo(), "generated", kind)
    problem: Evaluator = Classification(source) if kind == "scores" else Dense(source)
    settings = TrainingSettings(eval_batch_size=BATCH[kind])
    strategy = MethodStrategy(method=Predicts(MethodConfig(), model, 0), settings=settings)
    main = next(metric for metric in problem.metrics if metric.name == problem.main)
    evaluation = Evaluation(strategy, _scenario(source, kind), problem, main, lambda: None)
    if folder:
        evaluation.shards = Shards(Path(folder), 2**40, lambda text: None)
        evaluation.shards.begin(0, "benchmark")
    before, start = peak(), time.perf_counter()
    value = evaluation.pooled("test", [0])[problem.main]
    seconds = time.perf_counter() - start
    return {"grown": peak() - before, "peak": peak(), "seconds": seconds, "value": value}


def _scenario(source: Source, kind: str) -> Any:
    if kind == "scores":
        return single(source)
    rows = torch.arange(len(source.splits["test"]))  # no label: one stream, made by hand
    part = SimpleNamespace(table=source.splits["test"], rows=rows)
    return SimpleNamespace(streams={"train": [part], "test": [part]})


def main() -> None:
    out = sys.stdout.write
    out("| outputs | rows | shards | peak, MiB | grown in the evaluation, MiB | seconds | value |\n")
    out("|---|---|---|---|---|---|---|\n")
    for kind, counts in ROWS.items():
        for shards in ("no", "yes") if kind == "scores" else ("no",):
            for rows in counts:
                with tempfile.TemporaryDirectory() as folder:
                    done = measured(evaluate, kind, rows, folder if shards == "yes" else "")
                numbers = f"{done['peak']:.0f} | {done['grown']:.0f} | {done['seconds']:.1f} | {done['value']:.6f}"
                out(f"| {kind} | {rows:,} | {shards} | {numbers} |\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
