"""Calibration of the batch statistics of slimmable networks after training, by configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..base import UnfitError
from .slimmable_layers import SlimNorm


@contextmanager
def normalising_by_batch(module: nn.Module) -> Iterator[list[SlimNorm]]:
    """Within, the ``us_bn`` of ``module`` normalise by the batch, whatever its mode; all else (dropout, private
    statistics) is in evaluation mode. Gives those normalisations.
    """
    modes = {part: part.training for part in module.modules()}
    norms = [part for part in module.modules() if isinstance(part, SlimNorm) and part.kind == "us_bn"]
    try:
        module.eval()
        for norm in norms:
            norm.train()
        yield norms
    finally:
        for part, mode in modes.items():
            part.training = mode


@torch.no_grad()
def calibrate(module: nn.Module, forward: Callable[[Tensor], Any], batches: Sequence[Tensor]) -> set[str]:
    """Statistics of every ``us_bn`` of ``module`` that ``forward`` passes, by the key that it passes them with.

    The mean is the mean over batches of the batches' means, the variance that of their *unbiased* variances (torch's
    cumulative average, momentum None; Yu and Huang 2019). Only the keys that ``forward`` uses are replaced; no
    parameter, mode or other key changes. Gives the keys.

    Raises:
        ValueError: no batch; UnfitError: a batch with one value a channel.
    """
    if not len(batches):
        raise ValueError("calibration needs one batch or more of training images")
    sums: dict[SlimNorm, dict[str, list[Tensor]]] = {}

    def watch(norm: SlimNorm, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        x = arguments[0]
        key = named["key"] if "key" in named else arguments[1]
        if x.numel() == x.shape[1]:
            raise UnfitError("a batch with one value a channel has no variance: calibrate with larger batches")
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=1)
        sums.setdefault(norm, {}).setdefault(key, []).append(torch.stack([mean, variance]))

    with normalising_by_batch(module) as norms:
        hooks = [norm.register_forward_pre_hook(watch, with_kwargs=True) for norm in norms]
        try:
            for batch in batches:
                forward(batch)
        finally:
            for hook in hooks:
                hook.remove()
    for norm, found in sums.items():
        for key, each in found.items():
            norm.statistics[key] = torch.stack(each).mean(0)
    return {key for found in sums.values() for key in found}


def forget(module: nn.Module) -> None:
    """Drop all calibrated statistics of ``module``."""
    for part in module.modules():
        if isinstance(part, SlimNorm):
            part.statistics = {}


def statistics_of(module: nn.Module) -> dict[str, dict[str, Tensor]]:
    """All calibrated statistics of ``module``: by name of the normalisation and key, mean and variance [2, c]."""
    return {
        name: dict(part.statistics)
        for name, part in module.named_modules()
        if isinstance(part, SlimNorm) and part.statistics
    }


def set_statistics(module: nn.Module, statistics: Mapping[str, Mapping[str, Tensor]]) -> None:
    """The statistics that :func:`statistics_of` gave, and no others."""
    for name, part in module.named_modules():
        if isinstance(part, SlimNorm):
            part.statistics = dict(statistics.get(name, {}))
