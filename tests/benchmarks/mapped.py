"""A data set larger than memory, mapped: ``python tests/benchmarks/mapped.py [--real GIB] [--size GIB] [--at DIR]``.

Images of 3 x 224 x 224 bytes in one file of ``--size`` GiB (default: four times the machine's memory), of which the
first ``--real`` GiB (default 4) are written and the rest is a hole; a linear classifier of every eighth pixel, batch
64, so that gathering is most of a step. Each row is a process of its own: the real part in memory and mapped, then all
of the file, then that killed with kill -9 and resumed from its checkpoint. ``bits`` is the sha256 of the weights at the
end.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
import numpy as np  # noqa: E402
import torch  # noqa: E402
from holdfast.datasets.core import mapped  # noqa: E402
from holdfast.datasets.core.source import DataInfo, Source  # noqa: E402
from holdfast.datasets.core.streams import single  # noqa: E402
from holdfast.datasets.core.table import Batch, Table  # noqa: E402
from holdfast.methods.base import Method, MethodConfig, StepContext  # noqa: E402
from holdfast.methods.training.settings import TrainingSettings  # noqa: E402
from holdfast.methods.training.strategy import MethodStrategy  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from processes import measured, peak  # noqa: E402

SHAPE, BATCH, GIB = (3, 224, 224), 64, 2**30
ROW = 3 * 224 * 224


class Linear(Method):
    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(self.model(batch["image"][:, :, ::8, ::8].flatten(1) / 255.0), batch["label"])}


class EnoughError(Exception):
    """All steps are made."""


class Watch:
    """Stops after ``steps``; saves at half of them, and is killed at three quarters, where ``killed``."""

    def __init__(self, steps: int, state: Path, killed: bool) -> None:
        self.steps, self.state, self.killed = steps, state, killed
        self.begin()

    def begin(self) -> None:
        self.start, self.cpu = time.perf_counter(), time.process_time()
        self.times: list[tuple[float, float]] = []

    def after_iteration(self, strategy: MethodStrategy) -> None:
        now, cpu = time.perf_counter(), time.process_time()
        self.times.append((now - self.start, cpu - self.cpu))
        self.start, self.cpu = now, cpu
        if self.killed and strategy.iteration == self.steps // 2:
            torch.save(strategy.state_dict(), self.state)
        if self.killed and strategy.iteration == 3 * self.steps // 4:
            os.kill(os.getpid(), signal.SIGKILL)
        if strategy.iteration == self.steps:
            raise EnoughError

    def points(self, values: dict[str, float], step: int) -> None: ...

    def epoch_batches(self, strategy: MethodStrategy, n_batches: int) -> None: ...

    def after_epoch(self, strategy: MethodStrategy) -> None: ...

    def after_stage(self, strategy: MethodStrategy, stage: Any) -> None: ...

    def end_of_stages(self, strategy: MethodStrategy) -> None: ...


def write(path: Path, real: float, size: float) -> None:
    """The file: header, ``real`` GiB of bytes, and a hole up to ``size`` GiB."""
    rows, total = int(real * GIB) // ROW, int(size * GIB) // ROW
    g = np.random.default_rng(0)
    with mapped.Writer(path, torch.uint8, SHAPE) as file:
        for start in range(0, rows, 512):
            file.write(g.integers(0, 256, (min(512, rows - start), *SHAPE), np.uint8))
        file.rows = total
    with path.open("r+b") as raw:
        raw.truncate(raw.seek(0, 2) + (total - rows) * ROW)


def train(mode: str, path: Path, rows: int, steps: int) -> dict[str, Any]:
    """Train on the first ``rows`` rows; what was measured."""
    torch.set_num_threads(1)
    images = mapped.opened(path)[:rows]
    images = images.clone() if mode == "memory" else images
    table = Table({"image": images, "label": torch.arange(rows) % 10})
    scenario = single(Source({"train": table}, (), DataInfo(), "generated", "mapped"))
    torch.manual_seed(0)
    method = Linear(MethodConfig(), nn.Linear(ROW // 64, 10), 0)
    watch = Watch(steps, path.with_suffix(".pt"), mode == "killed")
    settings = TrainingSettings(batch_size=BATCH, optimizer_arguments={"lr": 1e-3})
    strategy = MethodStrategy(method=method, settings=settings, observer=watch)
    experience = scenario.streams["train"][0]
    if mode == "resumed":
        strategy.load_state_dict(torch.load(watch.state, weights_only=True), experience=experience)
    watch.begin()
    with suppress(EnoughError):
        strategy.train(experience, eval_streams=[])
    weights = b"".join(value.numpy().tobytes() for value in method.state_dict().values())
    wall, cpu = (sorted(times)[len(times) // 2] for times in zip(*watch.times[len(watch.times) // 4 :], strict=True))
    bits = hashlib.sha256(weights).hexdigest()[:12]
    return {"peak_mib": peak(), "steps_a_second": 1 / wall, "cpu_ms": 1000 * cpu, "bits": bits}


def main() -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=float, default=4.0)
    parser.add_argument("--size", type=float, default=round(4 * memory))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--at", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.at) as folder:
        path = Path(folder) / "x.npy"
        write(path, given.real, given.size)
        real, total = int(given.real * GIB) // ROW, int(given.size * GIB) // ROW
        held, size = path.stat().st_blocks * 512 / GIB, path.stat().st_size / GIB
        out = sys.stdout.write
        out(f"file of {size:.0f} GiB, {held:.1f} of them on the disk; memory of the machine {memory:.0f} GiB\n\n")
        out("| rows | columns | steps a second (median) | CPU ms a step | resident at most, MiB | bits |\n")
        out("|---|---|---|---|---|---|\n")
        for mode, rows in (
            ("memory", real),
            ("mapped", real),
            ("mapped", total),
            ("killed", total),
            ("resumed", total),
        ):
            code = -signal.SIGKILL if mode == "killed" else 0
            done = measured(train, mode, path, rows, given.steps, code=code)
            if mode != "killed":
                speed = f"{done['steps_a_second']:.1f} | {done['cpu_ms']:.1f}"
                out(f"| {rows:,} | {mode} | {speed} | {done['peak_mib']:.0f} | {done['bits']} |\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
