"""Dropout of all our networks: on a CPU from cheap bytes of a generator of the run, elsewhere torch's own.

``torch.nn.Dropout`` draws one double a value on one thread, which is nearly half of a small transformer's step. Here
the mask is made of the bytes of 64-bit draws: a value falls out where its byte is below d, so that the rate is d/256;
where that is not near enough to p, of 16-bit words, in 65,536ths. What stays is divided by the share that stays on
average, 1 - d/256, so that the mean is exact whatever the rounding.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NEAR = 0.02  # of p: how far a rate in 256ths may be from it


class Draws:
    """The generator of the run's masks. All that is made of a network by copying shares it."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def __deepcopy__(self, memo: Any) -> Draws:
        return self


def parts_of(p: float) -> tuple[int, int]:
    """(d, n): drop d of n, n = 256 where d/256 is within 2 % of p, else 65,536. ``0 < p < 1``; 0 < d < n."""
    for n in (256, 65_536):
        d = min(max(round(p * n), 1), n - 1)
        if abs(d / n - p) <= NEAR * min(p, 1 - p):
            break
    return d, n


def keep_mask(shape: torch.Size, p: float, generator: torch.Generator) -> tuple[Tensor, float]:
    """(mask of ``shape``, True = stays; share that stays on average), from the generator's next 64-bit draws."""
    values, least, share = _drawn(shape.numel(), p, generator)
    return (values >= least).view(shape), share


def _drawn(count: int, p: float, generator: torch.Generator) -> tuple[Tensor, int, float]:
    """Bytes or words [count], the least that stays, and the share that stays on average."""
    d, n = parts_of(p)
    kind, least = (torch.uint8, d) if n == 256 else (torch.int16, d - 2**15)  # torch compares no unsigned words
    words = torch.empty(math.ceil(count * kind.itemsize / 8), dtype=torch.int64)
    words.random_(-(2**63), None, generator=generator)  # all 64 bits
    return words.view(kind)[:count], least, 1 - d / n


def dropout(x: Tensor, p: float, draws: Draws | None) -> Tensor:
    """x with zeros at random, the rest scaled so that the mean stays; a gradient goes through what stays.

    Torch's own where there are no ``draws``, on other devices than a CPU, and in a compiled graph.
    """
    if not p:
        return x
    if draws is None or not _cheaper(x):
        return F.dropout(x, p)
    values, least, share = _drawn(x.numel(), p, draws.generator)
    factor = torch.empty(x.numel(), dtype=x.dtype)
    torch.ge(values, least, out=factor)  # 0 or 1 as numbers: a product with a mask takes four times as long
    return x * factor.mul_(1 / share).view(x.shape)


def _cheaper(x: Tensor) -> bool:
    """Whether our mask is made faster than torch's: on a CPU, and not in a compiled graph, which makes its own."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


class Dropout(nn.Module):
    """Drops values with probability p while it trains.

    ``draws`` is the run's (:func:`attach`); None: torch's global generator, as ``nn.Dropout``.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"a dropout rate lies in [0, 1), not {p}")
        self.p = p
        self.draws: Draws | None = None

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.draws) if self.training else x

    def own(self, x: Tensor) -> bool:
        """Whether x falls out by our own mask, not by torch's."""
        return self.draws is not None and _cheaper(x)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def attach(module: nn.Module, generator: torch.Generator) -> None:
    """From here on every :class:`Dropout` in ``module`` draws from ``generator``."""
    draws = Draws(generator)
    for part in module.modules():
        if isinstance(part, Dropout):
            part.draws = draws
