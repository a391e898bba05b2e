"""The training loop beside plain torch and Avalanche's own, in one run: ``make benchmarks``.

20,000 × 784 floats, MLP 784-64-10, batch 64, 5 experiences, one thread; best of three rounds each. AdamW is fused in
plain torch too, as the strategy makes it; Avalanche's rows have torch's default.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
import torch  # noqa: E402
from holdfast.datasets.core.source import DataInfo, Source  # noqa: E402
from holdfast.datasets.core.streams import class_incremental  # noqa: E402
from holdfast.datasets.core.table import Batch, Table  # noqa: E402
from holdfast.methods.base import Method, MethodConfig, StepContext  # noqa: E402
from holdfast.methods.training.settings import TrainingSettings  # noqa: E402
from holdfast.methods.training.strategy import MethodStrategy  # noqa: E402
from holdfast.suites.tracking.journal import Journal  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

N, D, CLASSES, BATCH, MEMORY = 20_000, 784, 10, 64, 500


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(D, 64), nn.ReLU(), nn.Linear(64, CLASSES))


class Plain(Method):
    rows = torch.empty(0, dtype=torch.int64)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(self.model(batch["x"]), batch["label"])}

    def memory(self) -> Tensor:
        return self.rows


class ToJournal:
    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.jsonl")

    def points(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.journal.append(name, value, step, "iteration")

    def after_iteration(self, strategy: MethodStrategy) -> None: ...

    def epoch_batches(self, strategy: MethodStrategy, n_batches: int) -> None: ...

    def after_epoch(self, strategy: MethodStrategy) -> None: ...

    def end_of_stages(self, strategy: MethodStrategy) -> None: ...

    def after_stage(self, strategy: MethodStrategy, stage: object) -> None: ...


class Loops:
    """The loops that are compared, over one stream; ``steps`` counts the iterations of the last ones."""

    def __init__(self) -> None:
        g = torch.Generator().manual_seed(0)
        self.x, self.y = torch.rand(N, D, generator=g), torch.arange(N) % CLASSES
        table = Table({"x": self.x, "label": self.y})
        splits = {"train": table, "valid": table, "test": table}
        source = Source(splits, [str(i) for i in range(CLASSES)], DataInfo(), "stand-in", "0")
        self.stream = list(class_incremental(source, 5).streams["train"])
        self.parts = [experience.rows for experience in self.stream]
        self.steps = 0

    def plain(self, replay: bool, fused: bool = True) -> None:
        model = mlp()
        for k, rows in enumerate(self.parts):
            if replay and k:
                rows = torch.cat(
                    [rows, torch.cat(self.parts[:k])[torch.randperm(sum(map(len, self.parts[:k])))[:MEMORY]]]
                )
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=fused)
            for part in rows[torch.randperm(len(rows))].split(BATCH):
                loss = F.cross_entropy(model(self.x[part]), self.y[part])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                self.steps += 1

    def ours(self, replay: bool) -> None:
        method = Plain(MethodConfig(), mlp())
        settings = TrainingSettings(batch_size=BATCH, log_every=20)
        with tempfile.TemporaryDirectory() as folder:
            strategy = MethodStrategy(method=method, settings=settings, observer=ToJournal(Path(folder)))
            for k, experience in enumerate(self.stream):
                if replay and k:
                    method.rows = torch.cat(self.parts[:k])[torch.randperm(sum(map(len, self.parts[:k])))[:MEMORY]]
                strategy.train(experience, eval_streams=[])
            self.steps += strategy.iteration

    def loader(self) -> None:
        model = mlp()
        for rows in self.parts:
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
            data = torch.utils.data.TensorDataset(self.x[rows], self.y[rows])
            for a, b in torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True):
                loss = F.cross_entropy(model(a), b)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                self.steps += 1

    def avalanche(self, replay: bool) -> None:
        from avalanche.benchmarks import benchmark_from_datasets
        from avalanche.benchmarks.utils import AvalancheDataset
        from avalanche.benchmarks.utils.data_attribute import DataAttribute
        from avalanche.training.plugins import EvaluationPlugin
        from avalanche.training.supervised import Naive, Replay

        sets = []
        for rows in self.parts:
            attributes: Any = [
                DataAttribute(self.y[rows].tolist(), "targets"),
                DataAttribute([0] * len(rows), "targets_task_labels", use_in_getitem=True),
            ]
            sets.append(
                AvalancheDataset(
                    [torch.utils.data.TensorDataset(self.x[rows], self.y[rows])], data_attributes=attributes
                )
            )
        model = mlp()
        common: Any = {
            "model": model,
            "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3),
            "criterion": nn.CrossEntropyLoss(),
            "train_mb_size": BATCH,
            "train_epochs": 1,
            "evaluator": EvaluationPlugin(),
        }
        strategy = Replay(mem_size=MEMORY, **common) if replay else Naive(**common)
        for experience in benchmark_from_datasets(train=sets).train_stream:
            strategy.train(experience, eval_streams=[])
            self.steps += int(strategy.clock.train_exp_iterations)


def main() -> None:
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    loops = Loops()
    rows: list[tuple[str, Callable[[], None], str]] = [
        ("plain torch", lambda: loops.plain(False), "plain torch"),
        ("plain torch, AdamW as a loop", lambda: loops.plain(False, fused=False), "plain torch"),
        ("DataLoader", loops.loader, "plain torch"),
        ("Holdfast strategy, journal on", lambda: loops.ours(False), "plain torch"),
        ("Avalanche Naive", lambda: loops.avalanche(False), "plain torch"),
        ("plain torch with replay", lambda: loops.plain(True), "plain torch with replay"),
        ("Holdfast strategy with replay", lambda: loops.ours(True), "plain torch with replay"),
        ("Avalanche Replay", lambda: loops.avalanche(True), "plain torch with replay"),
    ]
    best: dict[str, float] = {}
    for _ in range(3):
        for name, function, _ in rows:
            loops.steps = 0
            start = time.perf_counter()
            function()
            best[name] = min(best.get(name, 1e9), (time.perf_counter() - start) / max(1, loops.steps))
    out = sys.stdout.write
    out("| loop | ms an iteration | ratio to its plain loop |\n|---|---|---|\n")
    for name, _, peer in rows:
        out(f"| {name} | {best[name] * 1e3:.3f} | {best[name] / best[peer]:.2f} |\n")


if __name__ == "__main__":
    main()
