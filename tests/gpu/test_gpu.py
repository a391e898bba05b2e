"""On a real GPU: it agrees with the CPU, a run that is stopped goes on as it was, a step costs what a bare loop costs,
and two workers share one GPU. Skipped where there is none; what can be seen without one is in
``tests/methods/test_devices.py``.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.datasets.core.source import DataInfo, Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Batch, Table
from holdfast.methods.base import Method, MethodConfig, StepContext
from holdfast.methods.networks.dropout import Dropout
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from torch import Tensor, nn
from torch.nn import functional as F

from ..methods.test_every_method import METHODS, Watch, built, finish
from ..suites.process import CommandLine

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
CUDA = torch.device("cuda")


def moved(name: str, device: torch.device, watch: Watch) -> tuple[MethodStrategy, list[Any]]:
    """The strategy of the tests of every method, on a device; nothing falls out, since devices draw otherwise."""
    strategy, experiences = built(name, watch, hide=False)
    for part in strategy.method.modules():
        if isinstance(part, Dropout):
            part.p = 0.0
    on = MethodStrategy(
        method=strategy.method, settings=strategy.settings, seed=strategy.seed, device=device, observer=watch
    )
    return on, experiences


@pytest.mark.parametrize("name", METHODS)
def test_cpu_and_gpu_agree(name: str) -> None:
    lines = {}
    for device in (torch.device("cpu"), CUDA):
        watch = Watch()
        strategy, experiences = moved(name, device, watch)
        finish(strategy, experiences[:1])
        lines[device.type] = watch.lines
        assert all(p.device.type == device.type for p in strategy.method.parameters())
    for (step, cpu), (at, gpu) in zip(lines["cpu"], lines["cuda"], strict=True):
        assert step == at
        assert gpu == pytest.approx(cpu, rel=2e-2, abs=2e-3), f"step {step}"


@pytest.mark.parametrize("name", ["continual/er", "cdvg/lff", "coconut/coconut", "supremix/supremix", "sepclr/sepclr"])
def test_a_run_that_is_stopped_on_a_gpu_goes_on_as_it_was(name: str) -> None:
    whole, first, second = Watch(), Watch(), Watch()
    strategy, experiences = moved(name, CUDA, whole)
    finish(strategy, experiences)
    first.stop_at = strategy.iteration // 2
    stopped, _ = moved(name, CUDA, first)
    with pytest.raises(KeyboardInterrupt):
        finish(stopped, experiences)
    torch.cuda.manual_seed(99)
    first.saved.seek(0)
    state = torch.load(first.saved, weights_only=True, map_location="cpu")
    assert "cuda" in state
    resumed, experiences = moved(name, CUDA, second)
    at = state["at"]["experience"]
    resumed.load_state_dict(state, experience=experiences[at])
    finish(resumed, experiences[at:])
    for (step, one), (other, two) in zip(whole.lines, first.lines + second.lines, strict=True):
        assert step == other
        assert two == pytest.approx(one, rel=1e-2, abs=1e-3), f"step {step}"


class Plain(Method):
    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(self.model(batch["x"]), batch["label"])}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def seconds_of(work: Callable[[], None]) -> float:
    """The best of three, after one that warms up."""
    best = float("inf")
    for _ in range(4):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def test_a_step_takes_as_long_as_in_a_bare_loop() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(40_000, 784, generator=g), torch.arange(40_000) % 10
    table = Table({"x": x, "label": y})
    splits = {"train": table, "valid": table, "test": table}
    source = Source(splits, [str(c) for c in range(10)], DataInfo(), "stand-in", "0")
    experience = class_incremental(source, 1).streams["train"][0]

    def bare() -> None:
        model = network().to(CUDA)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        for part in torch.randperm(len(x), generator=g).split(256):
            loss = F.cross_entropy(model(x[part].to(CUDA, non_blocking=True)), y[part].to(CUDA, non_blocking=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def ours() -> None:
        strategy = MethodStrategy(
            method=Plain(MethodConfig(), network()), settings=TrainingSettings(batch_size=256), device=CUDA
        )
        strategy.train(experience, eval_streams=[])

    assert seconds_of(ours) <= 1.3 * seconds_of(bare)


def test_two_workers_share_one_gpu(tmp_path: Path, empty_store: Path, cli: CommandLine) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    options = ["--profile", "smoke", "--method", "l1", "--trials", "4", "--workers", "2", "--device", "cuda", "--json"]
    document = cli.apart("sweep", "supremix_tabular", *options, "--study", "gpu", out=tmp_path).document
    assert [trial["state"] for trial in document["trials"]] == ["complete"] * 4
    for trial in document["trials"]:
        environment = json.loads((Path(trial["folder"]) / "l1-s0" / "environment.json").read_text())
        assert environment["device"] == torch.cuda.get_device_name()


@pytest.fixture(scope="session")
def cli() -> CommandLine:
    return CommandLine()
