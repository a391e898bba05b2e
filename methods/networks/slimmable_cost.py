"""Cost of slimmable networks: multiply-adds (MACs) and active parameters of a call, by part.

MACs count convolutions and linear maps, one multiply-add as 1 (GFLOPs are twice the GMACs), for one row.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .slimmable_layers import SlimConv2d, SlimLinear, SlimNorm
from .slimmable_statistics import normalising_by_batch


@dataclass(frozen=True)
class Cost:
    """``macs`` of one row and active ``parameters``."""

    macs: int = 0
    parameters: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.macs + other.macs, self.parameters + other.parameters)


def without_data(module: nn.Module) -> nn.Module:
    """A copy on the device ``meta``: shapes alone, which cost no time to compute with."""
    return copy.deepcopy(module).to("meta")


@torch.no_grad()
def cost_of(module: nn.Module, forward: Callable[[], Any]) -> dict[str, Cost]:
    """Cost of ``forward()`` (a call of ``module`` on one row, or on two of which one is counted), by name of the layer
    in ``module``. A layer that is called twice counts its MACs twice and its parameters once.
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
    try:
        with normalising_by_batch(module):
            forward()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def total(costs: dict[str, Cost], prefix: str = "") -> Cost:
    """Sum over the layers whose name begins with ``prefix``."""
    return sum((cost for name, cost in costs.items() if name.startswith(prefix)), start=Cost())
