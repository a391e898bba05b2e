"""Cost of slimmable networks: multiply-adds (MACs) and active parameters of a call, by part.

MACs count convolutions and linear maps, one multiply-add as 1 (GFLOPs are twice the GMACs), for one row.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ...datasets.core.multi_task import MultiTaskInfo
from .slimmable_layers import SlimConv2d, SlimLinear, SlimNorm
from .slimmable_widths import Configuration, Ratio, Size

SMALL = 64  # side in pixels up to which a forward costs next to nothing


@dataclass(frozen=True)
class Cost:
    """``macs`` of one row and active ``parameters``."""

    macs: int = 0
    parameters: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.macs + other.macs, self.parameters + other.parameters)


@torch.no_grad()
def cost_of(module: nn.Module, forward: Callable[[], Any]) -> dict[str, Cost]:
    """Cost of ``forward()``, a call of ``module`` on one row, by name of the layer in ``module``.

    A layer that is called twice counts its MACs twice and its parameters once. Normalisations, which change no shape,
    are passed over.
    """
    found: dict[str, Cost] = {}

    def watch(name: str) -> Callable[..., None]:
        def after(layer: Any, arguments: tuple[Any, ...], named: dict[str, Any], y: Tensor) -> None:
            x: Tensor = arguments[0]
            if isinstance(layer, SlimNorm):
                macs, parameters = 0, 0 if layer.kind == "none" else 2 * x.shape[1]
            else:
                columns = layer.weight.shape[1] if isinstance(layer, SlimConv2d) and layer.groups > 1 else None
                channels = x.shape[1] if isinstance(layer, SlimConv2d) else x.shape[-1]
                out = y.shape[1] if isinstance(layer, SlimConv2d) else y.shape[-1]
                macs = layer.macs(channels, y)
                size = layer.weight[0, 0].numel()
                parameters = out * (channels if columns is None else columns) * size
                parameters += 0 if layer.bias is None else out
            found[name] = Cost(found[name].macs if name in found else 0) + Cost(macs, parameters)

        return after

    counted = (SlimConv2d, SlimLinear, SlimNorm)
    layers = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, counted)]
    hooks = [layer.register_forward_hook(watch(name), with_kwargs=True) for name, layer in layers]
    norms = [layer for _, layer in layers if isinstance(layer, SlimNorm)]
    try:
        for norm in norms:
            vars(norm)["forward"] = _unchanged
        forward()
    finally:
        for norm in norms:
            vars(norm).pop("forward", None)
        for hook in hooks:
            hook.remove()
    return found


def _unchanged(x: Tensor, key: str) -> Tensor:
    return x


def total(costs: dict[str, Cost], prefix: str = "") -> Cost:
    """Sum over the layers whose name begins with ``prefix``."""
    return sum((cost for name, cost in costs.items() if name.startswith(prefix)), start=Cost())


class Slimmable(Protocol):
    """What :class:`Costs` reads of a network."""

    tasks: tuple[str, ...]
    info: MultiTaskInfo

    def features(self, x: Tensor, width: Ratio) -> list[Tensor]: ...

    def decode(self, features: Sequence[Tensor], task: str, width: Ratio, decoder: float, size: Size) -> Tensor: ...


class Costs:
    """Costs of a network's configurations for one image of the data's size; each encoder width, and each pair of
    encoder and decoder width, is worked out once.
    """

    def __init__(self, net: Slimmable) -> None:
        assert isinstance(net, nn.Module)
        _, height, width = net.info.input_shape
        # shapes alone ("meta") cost no time to compute with, but torch takes seconds to load what does it
        device = "cpu" if height * width <= SMALL**2 else "meta"
        copied: Any = copy.deepcopy(net).to(device).eval()
        self._net, self._size = copied, (height, width)
        self._x = torch.zeros(1, *net.info.input_shape, device=device)
        self._encoders: dict[Ratio, tuple[Cost, list[Tensor]]] = {}
        self._decoders: dict[tuple[Ratio, str, float], Cost] = {}

    def encoder(self, width: Ratio) -> Cost:
        if width not in self._encoders:
            kept: list[Tensor] = []
            found = cost_of(self._net, lambda: kept.extend(self._net.features(self._x, width)))
            self._encoders[width] = total(found), kept
        return self._encoders[width][0]

    def decoder(self, width: Ratio, task: str, decoder: float) -> Cost:
        place = (width, task, decoder)
        if place not in self._decoders:
            self.encoder(width)
            features = self._encoders[width][1]
            found = cost_of(self._net, lambda: self._net.decode(features, task, width, decoder, self._size))
            self._decoders[place] = total(found)
        return self._decoders[place]

    def parts(self, configuration: Configuration) -> tuple[Cost, dict[str, Cost]]:
        """Of the encoder, and of each task's decoder."""
        width = configuration.encoder
        pairs = zip(self._net.tasks, configuration.decoders, strict=True)
        return self.encoder(width), {task: self.decoder(width, task, d) for task, d in pairs}

    def whole(self, configuration: Configuration) -> Cost:
        """Of encoder and decoders together."""
        encoder, decoders = self.parts(configuration)
        return sum(decoders.values(), start=encoder)
