"""Which rows of a class a memory keeps, and how many: pure functions, and the module that holds them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ..base import MethodConfig, UnfitError, protocol


class MemoryConfig(MethodConfig):
    """How many training rows a method keeps, |M|: a share of them or a number, never both."""

    memory_share: float | None = Field(
        0.01,
        ge=0,
        le=1,
        description="|M| as a share of the training rows; null: memory_rows says it",
        json_schema_extra=protocol(),
    )
    memory_rows: int | None = Field(
        None, ge=0, description="|M| in rows; null: memory_share says it", json_schema_extra=protocol()
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> MemoryConfig:
        if (self.memory_share is None) == (self.memory_rows is None):
            raise ValueError("set memory_share or memory_rows, and the other to null")
        return self

    def rows(self, n_train: int) -> int:
        """|M| in rows of ``n_train`` training rows: a share is rounded to the nearest, halves up."""
        if self.memory_rows is not None:
            return self.memory_rows
        assert self.memory_share is not None
        return math.floor(self.memory_share * n_train + 0.5)


def quotas(rows: int, n_classes: int, seen: Sequence[int], fixed: bool = True) -> dict[int, int]:
    """Rows of each seen class: ``floor(rows / n_classes)`` (fixed from the start), else over the seen classes.

    Raises:
        UnfitError: where that is 0.
    """
    divisor = n_classes if fixed else len(seen)
    quota = rows // max(1, divisor)
    if quota < 1:
        raise UnfitError(
            f"a memory of {rows} rows gives none to each of {divisor} classes: "
            f"set memory_rows >= {divisor}, or a larger memory_share"
        )
    return dict.fromkeys(seen, quota)


def shares(quota: int, experiences: Sequence[int]) -> dict[int, int]:
    """A class's ``quota`` over the ``experiences`` that it occurred in: equal parts, surplus rows to the earliest."""
    part, surplus = divmod(quota, max(1, len(experiences)))
    return {e: part + (k < surplus) for k, e in enumerate(sorted(experiences))}


def random_selection(n: int, quota: int, generator: torch.Generator) -> Tensor:
    """``min(n, quota)`` of 0..n-1 without replacement, [m] int64."""
    return torch.randperm(n, generator=generator)[:quota]


def herding(features: Tensor, quota: int, max_steps: int = 1000) -> Tensor:
    """Herding to the class mean as the public code does it: [min(n, quota)] positions in the order chosen.

    ``f ← f / (|f| + 1e-8)``, ``μ`` their mean, ``w ← μ``; then up to ``max_steps`` times: j = argmax w·f, kept if new,
    and always ``w ← w + μ - f_j``. Herding of m rows is a prefix of herding of m' > m. Computed in float64. Where the
    steps run out, the rows nearest to ``w`` that are left fill up.

    Args:
        features: [n, d] of one class.
        quota: rows to keep at most.

    Source: Rebuffi et al. (iCaRL), CVPR 2017, algorithm 4.
    """
    f = features.double()
    f = f / (f.norm(dim=1, keepdim=True) + 1e-8)
    mean = f.mean(0) if len(f) else f.sum(0)
    w = mean.clone()
    chosen: dict[int, None] = {}
    size = min(quota, len(f))
    for _ in range(max_steps):
        if len(chosen) == size:
            break
        j = int((f @ w).argmax())
        chosen.setdefault(j)
        w = w + mean - f[j]
    for j in (f @ w).argsort(descending=True).tolist():
        if len(chosen) == size:
            break
        chosen.setdefault(j)
    return torch.tensor(list(chosen), dtype=torch.int64)


def closest_to_mean(features: Tensor, quota: int) -> Tensor:
    """The rows nearest to the class mean (Euclidean, features as they are), nearest first, [min(n, quota)]."""
    f = features.double()
    if not len(f):
        return torch.empty(0, dtype=torch.int64)
    return (f - f.mean(0)).norm(dim=1).argsort(stable=True)[:quota]


class Memory(nn.Module):
    """Row ids kept of each (experience, class); all of it in ``state_dict``."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[tuple[int, int], Tensor] = {}

    def all(self) -> Tensor:
        """Row ids of all classes, ascending by class and then by experience, [m] int64."""
        keys = sorted(self.rows, key=lambda key: (key[1], key[0]))
        return torch.cat([self.rows[key] for key in keys]) if keys else torch.empty(0, dtype=torch.int64)

    def experiences(self, c: int) -> list[int]:
        """The experiences of which rows of class ``c`` are kept, ascending."""
        return sorted(e for e, held in self.rows if held == c)

    def get_extra_state(self) -> dict[str, Tensor]:
        return {f"{e}/{c}": rows for (e, c), rows in self.rows.items()}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        keys = {name: name.partition("/") for name in state}
        self.rows = {(int(e), int(c)): state[name] for name, (e, _, c) in keys.items()}
