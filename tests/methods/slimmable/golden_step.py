"""The golden training step: the smallest slimmable network, driven by the method itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from holdfast.datasets.core.multi_task import MultiTaskInfo, Task
from holdfast.methods.networks.slimmable_layers import SlimConv2d, SlimLinear
from holdfast.methods.networks.slimmable_widths import Configuration, Ratio, Rounding
from holdfast.methods.slimmable.ecmt import Ecmt, EcmtConfig
from torch import Tensor, nn

from ...golden_vectors import PRECISIONS, Vectors


class Step(nn.Module):
    """Two 3×3 convolutions with ReLU; of each task the global average, linear with ReLU, linear; channels int(C w)."""

    grid = (0.5, 1.0)

    def __init__(self, shapes: dict[str, list[int]], weights: Sequence[float]) -> None:
        super().__init__()
        conv1, conv2 = (SlimConv2d(s[1], s[0], s[2], padding=1) for s in (shapes["enc1_w"], shapes["enc2_w"]))
        self.encoder = nn.ModuleList([conv1, conv2])
        kinds = ("classification", "regression")
        decoders, tasks = {}, []
        for k, weight in enumerate(weights):
            (hidden, c), (outputs, _) = shapes[f"dec{k}_w"], shapes[f"out{k}_w"]
            decoders[f"t{k}"] = nn.ModuleList([SlimLinear(c, hidden), SlimLinear(hidden, outputs)])
            tasks.append(Task(f"t{k}", kinds[k], outputs, weight))  # type: ignore[arg-type]
        self.decoders = nn.ModuleDict(decoders)
        self.info = MultiTaskInfo(tasks=tuple(tasks), input_shape=(shapes["enc1_w"][1], 3, 3))
        self.tasks = self.info.names

    def pixels(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["image"]

    def features(self, x: Tensor, width: Ratio) -> list[Tensor]:
        assert isinstance(width, float)
        for conv in self.encoder:
            x = conv(x, out=Rounding(None).channels(conv.out_channels, width)).relu()  # type: ignore[arg-type]
        return [x]

    def decode(self, features: Sequence[Tensor], task: str, width: Ratio, decoder: float, size: object) -> Tensor:
        layers: Any = self.decoders[task]
        hidden, out = layers
        h = hidden(features[-1].mean((2, 3)), out=Rounding(None).channels(hidden.out_features, decoder)).relu()
        y: Tensor = out(h)
        return y

    def part(self, name: str) -> nn.Parameter:
        """The parameter that the file calls ``name``."""
        kind, k, suffix = name[:3], int(name[3]), name[-1]
        own: Any = self.encoder[k - 1] if kind == "enc" else self.decoders[f"t{k}"]
        layer = own if kind == "enc" else own[("dec", "out").index(kind)]
        parameter: nn.Parameter = layer.weight if suffix == "w" else layer.bias
        return parameter


def accumulated_step(g: Vectors) -> None:
    names = [m.group(2) for _, m in g.groups(r"train_step/params/(\w+)")]
    shapes = {name: list(g.tensor(f"train_step/params/{name}").shape) for name in names}
    g.get("train_step/note")
    lam, omega = g.get("train_step/lambda_cikd"), g.get("train_step/omega")
    passes = [name for name, _ in g.groups(r"train_step/passes/\d+")]
    configurations = [Configuration(g.get(f"{n}/encoder"), tuple(g.get(f"{n}/decoders"))) for n in passes]
    for dtype, rtol in PRECISIONS:
        model = Step(shapes, omega).to(dtype)
        with torch.no_grad():
            for name in names:
                model.part(name).copy_(g.tensor(f"train_step/params/{name}", dtype))
        method = Ecmt(EcmtConfig(lam=lam), model)
        batch = {
            "image": g.tensor("train_step/x", dtype),
            "target_t0": g.tensor("train_step/y_class"),
            "target_t1": g.tensor("train_step/y_reg", dtype),
        }
        assert configurations[0] == method.widest
        for name, update in zip(passes, method.passes(batch, configurations[1:]), strict=True):
            prefix = "loss" if name == passes[0] else "slim"
            g.agree(f"{name}/ce", update.logs[f"{prefix}/t0"] / omega[0], rtol)
            g.agree(f"{name}/l1", update.logs[f"{prefix}/t1"] / omega[1], rtol)
            g.agree(f"{name}/ci_kd", update.logs.get("ci_kd", torch.zeros(())), rtol)
            g.agree(f"{name}/total", update.loss, rtol)
            assert update.step == (name == passes[-1])
            update.loss.backward()
        for name in names:
            g.agree(f"train_step/grads/{name}", model.part(name).grad, rtol)
        for name in passes:
            g.get(f"{name}/encoder")
            g.get(f"{name}/decoders")
