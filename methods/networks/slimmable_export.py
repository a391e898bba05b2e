"""A configuration of a slimmable network as an ordinary module of torch's own layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from .slimmable_layers import SlimConv2d, SlimLinear, SlimNorm

LAYERS = (SlimConv2d, SlimLinear, SlimNorm)


class _Tracer(fx.Tracer):
    """Follows everything down to slimmable layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LAYERS) or super().is_leaf_module(m, module_qualified_name)


class _Plainer(fx.Interpreter):
    """Runs a graph once and notes the ordinary layer that stands for each call of a slimmable one."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.layers: dict[fx.Node, nn.Module] = {}

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "call_module":
            layer = self.fetch_attr(str(n.target))
            if isinstance(layer, LAYERS):
                arguments, named = self.fetch_args_kwargs_from_env(n)
                x: Tensor = arguments[0]
                count = x.shape[-1] if isinstance(layer, SlimLinear) else x.shape[1]
                plain: nn.Module = layer.plain(count, *arguments[1:], **named).to(x.device, x.dtype)
                self.layers[n] = plain.eval()
        return super().run_node(n)


@torch.no_grad()
def export(module: nn.Module, example: Tensor) -> fx.GraphModule:
    """``module``, whose only argument is a tensor as ``example``, with an ordinary layer of the sliced weights in the
    place of each slimmable one; in evaluation mode, without links to the weights of ``module``.

    The answer's outputs are those of ``module`` in evaluation; it can be saved, compiled, given to ``torch.export``.
    Raises UnfitError where a normalisation is not calibrated at the widths that ``module`` uses.
    """
    module = module.eval()
    traced = fx.GraphModule(module, _Tracer().trace(module))
    runner = _Plainer(traced)
    runner.run(example)
    graph, root = traced.graph, nn.Module()
    for number, (node, plain) in enumerate(runner.layers.items()):
        name = str(node.target).replace(".", "_")
        name = name if not hasattr(root, name) else f"{name}_{number}"
        root.add_module(name, plain)
        node.target = name
        node.args, node.kwargs = node.args[:1], {}
    for node in graph.nodes:
        if node.op == "get_attr":
            setattr(root, str(node.target).replace(".", "_"), runner.fetch_attr(str(node.target)).detach().clone())
            node.target = str(node.target).replace(".", "_")
    exported = fx.GraphModule(root, graph).eval()
    exported.graph.lint()
    return exported
