"""What Avalanche 0.6's plugins need to run and to be checkpointed: each a small change of one plugin, named with its
reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from avalanche.training.plugins import agem, bic, mir
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR
from torch.utils.data import DataLoader

from .avalanche_data import means_of


class Cycle:
    """A loader's batches without end; in a pickle the loader alone, so that a copy begins anew.

    MIR holds a generator in its place, which cannot be pickled.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader
        self._batches: Iterator[Any] | None = None

    def __next__(self) -> Any:
        batch = next(self._batches, None) if self._batches is not None else None
        if batch is None:
            self._batches = iter(self.loader)
            batch = next(self._batches)
        return batch

    def __getstate__(self) -> dict[str, Any]:
        return {"loader": self.loader, "_batches": None}


def before(strategy: Any) -> None:
    """What an experience begins with, whether the run goes on or was resumed.

    A-GEM keeps an iterator over its memory; it is made anew for each experience, from the buffers alone.
    """
    for plugin in strategy.plugins:
        if isinstance(plugin, agem.AGEMPlugin) and plugin.buffers:
            size = plugin.sample_size // len(plugin.buffers)
            plugin.buffer_dataloader = agem.GroupBalancedInfiniteDataLoader(
                plugin.buffers, batch_size=max(1, size), num_workers=0, pin_memory=False, persistent_workers=False
            )
            plugin.buffer_dliter = iter(plugin.buffer_dataloader)


def after(strategy: Any) -> None:
    """After an experience: what cannot be pickled is put away or replaced."""
    for plugin in strategy.plugins:
        if isinstance(plugin, agem.AGEMPlugin):
            plugin.buffer_dataloader, plugin.buffer_dliter = None, iter([])
        if isinstance(plugin, mir.MIRPlugin) and plugin.replay_loader is not None:
            frame = plugin.replay_loader.gi_frame  # a generator that has not begun: its argument is the loader
            plugin.replay_loader = Cycle(frame.f_locals["loader"])


@contextmanager
def patched() -> Iterator[None]:
    """Inside, BiC's scheduler is made without the argument ``verbose``, which torch has removed."""
    given: Callable[..., Any] = bic.MultiStepLR

    def without_verbose(*arguments: Any, verbose: bool = False, **named: Any) -> MultiStepLR:
        return MultiStepLR(*arguments, **named)

    bic.MultiStepLR = without_verbose
    try:
        yield
    finally:
        bic.MultiStepLR = given


def kept_of(strategy: Any, classes: int) -> dict[str, Tensor]:
    """What the strategy answers by beside the weights (:class:`~holdfast.methods.continual.avalanche.Avalanche`)."""
    means = means_of(getattr(strategy.model, "eval_classifier", None), classes)
    if means is not None:
        return {"means": means}
    for plugin in strategy.plugins:
        if isinstance(plugin, bic.BiCPlugin) and plugin.bias_layer is not None:
            with torch.no_grad():
                shift = plugin.bias_layer(torch.zeros(1, classes, device=strategy.device))[0]
                scale = plugin.bias_layer(torch.ones(1, classes, device=strategy.device))[0] - shift
            return {"scale": scale.cpu(), "shift": shift.cpu()}
    return {}


def model_of(strategy: Any) -> nn.Module | None:
    """The network of ours inside the strategy's model, where the strategy has put another in its place (GDumb)."""
    return getattr(strategy.model, "inner", None)
