"""Means of what a step logs, kept on the device until a journal point is due."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Means:
    """Sums and counts of named scalars."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, int]] = {}

    def add(self, name: str, value: Tensor) -> None:
        """One more scalar of a name; its graph is let go."""
        value = value.detach()
        held = self._sums.get(name)
        self._sums[name] = (value.clone(), 1) if held is None else (held[0] + value, held[1] + 1)

    def take(self) -> dict[str, float]:
        """The means so far, in float64 and one transfer from the device; then none are held."""
        if not self._sums:
            return {}
        means = torch.stack([total.double() / count for total, count in self._sums.values()]).tolist()
        values = dict(zip(self._sums, means, strict=True))
        self._sums = {}
        return values

    def state_dict(self) -> dict[str, tuple[Tensor, int]]:
        return dict(self._sums)

    def load_state_dict(self, state: Mapping[str, tuple[Tensor, int]], device: torch.device) -> None:
        self._sums = {name: (total.to(device), count) for name, (total, count) in state.items()}
