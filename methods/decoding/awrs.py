"""AWRS alone: one string a row, that a constraint allows, with its importance weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..base import MethodConfig
from .particles import Posterior
from .smc import Smc, SmcConfig


class AwrsConfig(SmcConfig):
    """As ``smc``; there is one particle, so that nothing is drawn anew."""

    particles: int = Field(1, ge=1, le=1, description="one string a row")


class Awrs(Smc):
    """A string of each row with ``log_weight`` [B]: rows are importance samples of the exact posterior, weighted
    against each other. With ``sampler: improper`` it is locally constrained decoding, whose rows are draws.
    """

    Config: ClassVar[type[MethodConfig]] = AwrsConfig
    config: AwrsConfig
    name = "awrs"
    summary = "a string under a constraint with its weight, tokens by adaptive weighted rejection sampling"

    def weighted(self, runs: Sequence[Posterior], device: torch.device) -> dict[str, Tensor]:
        weights = [float(run.log_weights[0]) for run in runs]
        return {"log_weight": torch.tensor(weights, dtype=torch.float64, device=device)}


METHOD = Awrs
