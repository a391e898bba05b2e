"""Random inputs that several losses are tested on."""

from __future__ import annotations

import random

import torch
from torch import Tensor
from torch.nn import functional as F


def random_case(r: random.Random) -> tuple[Tensor, Tensor, list[int], list[bool]]:
    n = r.choice([1, 1, 2, 3, 5, 9])
    classes = r.choice([1, 2, 4])
    y = [r.randrange(classes) for _ in range(n)]
    memory = [c % 2 == 0 if r.random() < 0.9 else r.random() < 0.5 for c in y]
    if r.random() < 0.15:
        memory = [r.random() < 0.5] * n
    g = torch.Generator().manual_seed(r.randrange(10**6))
    return torch.randn(n, 4, generator=g).double(), torch.randn(n, 4, generator=g).double(), y, memory


def batch(n: int = 10, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 5
    return torch.randn(n, 6, generator=g).double(), torch.randn(n, 6, generator=g).double(), y, y < 2


def case(number: int, views: int = 2, unit: bool = True, integers: bool = True) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(number)
    n = 2 + number % 6
    z = torch.randn(views * n, 5, dtype=torch.float64, generator=g)
    y = (
        torch.randint(0, 4, (n,), generator=g).double()
        if integers
        else torch.randn(n, dtype=torch.float64, generator=g)
    )
    return (F.normalize(z, dim=1) if unit else z), y
