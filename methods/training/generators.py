"""The generators of a run that are part of its state: of augmentation, of dropout, and torch's own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...datasets.core.seeds import generator


class Generators:
    """``augment`` and ``dropout`` come from (seed, purpose); torch's global ones are there for what draws from them."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self.augment, self.dropout = generator(seed, "augment"), generator(seed, "dropout")

    def state_dict(self) -> dict[str, Tensor]:
        state = {
            "augment": self.augment.get_state(),
            "dropout": self.dropout.get_state(),
            "torch": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Of a larger state too; one that was made before dropout had its own generator leaves that as it is."""
        self.augment.set_state(state["augment"])
        if "dropout" in state:
            self.dropout.set_state(state["dropout"])
        torch.set_rng_state(state["torch"])
        if "cuda" in state and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self.device)
