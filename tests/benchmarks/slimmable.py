"""Slimmable networks: multiply-adds beside the published ones, what a sub-network costs as a module of its own, and a
training step beside a plain loop with the same forwards; on one thread.

``python tests/benchmarks/slimmable.py [macs] [latency] [step]``; none named: all three.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from holdfast.datasets.core.multi_task import MultiTaskInfo, Task
from holdfast.datasets.core.streams import single
from holdfast.datasets.slimmable import scenes
from holdfast.methods.losses import ci_kd
from holdfast.methods.networks import slimmable
from holdfast.methods.networks.slimmable_blocks import Style
from holdfast.methods.networks.slimmable_cost import Costs, cost_of, total
from holdfast.methods.networks.slimmable_encoders import ResNet, SlimEncoder
from holdfast.methods.networks.slimmable_mobilenet import MobileNetV1, MobileNetV2
from holdfast.methods.networks.slimmable_widths import Configuration, Rounding
from holdfast.methods.slimmable.ecmt import Ecmt, EcmtConfig
from holdfast.methods.slimmable.tasks import task_losses
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from holdfast.suites.runtime import slim
from holdfast.suites.tracking.journal import Journal
from torch import Tensor

PUBLISHED = {  # of the papers of slimmable networks, in 10⁶ multiply-adds at 224 pixels, by width
    "S-ResNet-50": {1.0: "4100", 0.75: "2300", 0.5: "1100", 0.25: "278"},
    "S-MobileNetV1": {1.0: "569", 0.75: "325", 0.5: "150", 0.25: "41"},
    "S-MobileNetV2": {1.0: "301", 0.75: "209", 0.5: "97", 0.35: "59"},
}
WIDTHS = (1.0, 0.75, 0.5, 0.25)
NETS: dict[str, tuple[int, dict[str, Any]]] = {  # side in pixels, options
    "small, 32 px": (32, {}),
    "resnet18, 224 px": (224, {"encoder": "resnet18", "divisor": 8, "decoder_channels": 64}),
}
TASKS = (Task("seg", "segmentation", 4), Task("depth", "depth", 1, 4.0), Task("saliency", "saliency", 1, 2.0))
STEPS, ROUNDS, BATCH = 47, 5, 32
write = sys.stdout.write


class Clock:
    """An observer with a journal that times the steps of an epoch."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.jsonl")
        self.seconds, self._start = 0.0, 0.0

    def points(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.journal.append(name, value, step, "iteration")

    def epoch_batches(self, strategy: MethodStrategy, n_batches: int) -> None:
        self._start = time.perf_counter()

    def after_iteration(self, strategy: MethodStrategy) -> None: ...

    def after_epoch(self, strategy: MethodStrategy) -> None:
        self.seconds += time.perf_counter() - self._start

    def after_stage(self, strategy: MethodStrategy, stage: object) -> None: ...

    def end_of_stages(self, strategy: MethodStrategy) -> None: ...


def macs() -> None:
    """Average pooling counts C·H·W and the classifier of 1000 classes is there, as the papers count."""
    write("| network | width | published, 10⁶ | ours |\n|---|---|---|---|\n")
    for name, each in PUBLISHED.items():
        style = Style(Rounding(8 if "Mobile" in name else None))
        with torch.device("meta"):
            net: SlimEncoder
            if "ResNet" in name:
                net = ResNet(3, (3, 4, 6, 3), style, bottleneck=True)
            else:
                net = MobileNetV1(3, style) if "V1" in name else MobileNetV2(3, style, tail=True)
        for width, published in each.items():
            kept: list[Tensor] = []
            x = torch.empty(1, 3, 224, 224, device="meta")
            found = total(cost_of(net, partial(_keep, net, x, width, kept))).macs
            last = kept[-1][0]
            write(f"| {name} | {width:g} | {published} | {found + last.numel() + 1000 * len(last):,} |\n")


def _keep(net: SlimEncoder, x: Tensor, width: float, kept: list[Tensor]) -> None:
    kept.extend(net(x, width))


@torch.no_grad()
def latency() -> None:
    """Medians, the forms in turn: one image; the exported module by torch and, where it is installed, onnxruntime."""
    write("| network | width | 10⁶ MACs | slim forward, ms | exported, ms | ratio | onnxruntime, ms |\n")
    write("|---|---|---|---|---|---|---|\n")
    for name, (side, options) in NETS.items():
        info = MultiTaskInfo(tasks=TASKS, input_shape=(3, side, side))
        torch.manual_seed(0)
        net = slimmable.build(slimmable.Config(**options), info, 0)
        chosen = [Configuration(w, (w,) * len(TASKS)) for w in WIDTHS]
        net.calibrate([torch.randn(4, 3, side, side) for _ in range(2)], chosen)
        net.eval()
        for configuration in chosen:
            forms = dict(_forms(net, configuration, side))
            ms = {form: 1e3 * statistics.median(values) for form, values in _timed(forms, side).items()}
            cost = Costs(net).whole(configuration).macs
            onnx = f"{ms['onnx']:.2f}" if "onnx" in ms else "-"
            row = (f"{configuration.encoder:g}", f"{cost / 1e6:.1f}", f"{ms['slim']:.2f}", f"{ms['exported']:.2f}")
            write(f"| {name} | {' | '.join(row)} | {ms['exported'] / ms['slim']:.2f} | {onnx} |\n")
            sys.stdout.flush()


def _forms(
    net: slimmable.SlimmableNet, configuration: Configuration, side: int
) -> Iterator[tuple[str, Callable[[], Any]]]:
    image = torch.rand(1, 3, side, side)
    exported = net.export(configuration)
    yield "slim", lambda: net.outputs((image - net.mean) / net.std, configuration)
    yield "exported", lambda: exported(image)
    if find_spec("onnxruntime") is None or find_spec("onnxscript") is None:
        return
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.onnx"
        slim.write(exported, (3, side, side), file)
        session = onnxruntime.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])
    given = {"image": image.numpy()}
    yield "onnx", lambda: session.run(None, given)


def _timed(forms: dict[str, Callable[[], Any]], side: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {form: [] for form in forms}
    for number in range(60 if side > 64 else 400):
        for form, call in forms.items():
            start = time.perf_counter()
            call()
            if number >= 5:
                seconds[form].append(time.perf_counter() - start)
    return seconds


def step() -> None:
    """The small network on 1504 scenes, batch 32, ECMT with four configurations a step. Both loops make the same steps:
    their weights are compared at the end.
    """
    source = scenes.load(scenes.Config(n_train=STEPS * BATCH, n_valid=2, n_test=8), None)
    table, (experience,) = source.splits["train"], single(source).streams["train"]

    def made() -> tuple[Ecmt, MethodStrategy]:
        torch.manual_seed(0)
        net = slimmable.build(slimmable.Config(), source.info, 0)
        method = Ecmt(EcmtConfig(evaluate="full"), net)
        adam: dict[str, Any] = {"optimizer": "Adam", "optimizer_arguments": {"lr": 1e-3}}
        return method, MethodStrategy(method=method, settings=TrainingSettings(batch_size=BATCH, epochs=1, **adam))

    def plain(method: Ecmt, strategy: MethodStrategy) -> float:
        strategy.ensure_view(experience)
        batches = [rows for rows, _ in strategy.batches_of_epoch(0, 0)]
        net: Any = method.model
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
        net.train()
        start = time.perf_counter()
        for number, rows in enumerate(batches):
            batch = table.gather(rows)
            x = net.pixels(batch)
            optimizer.zero_grad()
            teacher = torch.empty(0)
            for configuration in (method.widest, *method.drawn(number)):
                features = net.features(x, configuration.encoder)
                pairs = zip(net.tasks, configuration.decoders, strict=True)
                outputs = {
                    task: net.decode(features, task, configuration.encoder, d, x.shape[-2:]) for task, d in pairs
                }
                losses = task_losses(TASKS, outputs, batch)
                loss = sum(task.weight * losses[task.name] for task in TASKS)
                if configuration.widest:
                    teacher = features[-1].detach()
                elif configuration.encoder != 1.0:
                    loss = loss + ci_kd(features[-1], teacher)
                loss.backward()  # type: ignore[union-attr]
            optimizer.step()
        return time.perf_counter() - start

    def ours(method: Ecmt, strategy: MethodStrategy) -> float:
        with tempfile.TemporaryDirectory() as folder:
            clock = strategy.observer = Clock(Path(folder))
            vars(method)["after_epoch"] = lambda ctx: None  # the loop alone, without calibration
            strategy.train(experience, eval_streams=[])
        return clock.seconds

    best: dict[str, float] = {}
    weights: dict[str, list[Tensor]] = {}
    for _ in range(ROUNDS):
        for name, loop in (("plain torch", plain), ("Holdfast strategy", ours)):
            method, strategy = made()
            best[name] = min(best.get(name, 1e9), loop(method, strategy) / STEPS)
            weights[name] = [p.detach() for p in method.model.parameters()]
    same = all(torch.equal(a, b) for a, b in zip(*weights.values(), strict=True))
    write("| loop | ms a step of four configurations | ratio |\n|---|---|---|\n")
    for name, seconds in best.items():
        write(f"| {name} | {1e3 * seconds:.1f} | {seconds / best['plain torch']:.2f} |\n")
    write(f"\nWeights after {STEPS} steps {'are equal to the bit' if same else 'differ'}.\n")


def main() -> None:
    torch.set_num_threads(1)
    parts = {"macs": macs, "latency": latency, "step": step}
    for name in sys.argv[1:] or parts:
        parts[name]()
        write("\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
