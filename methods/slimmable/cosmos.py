"""COSMOS: the preference is an input of the network (Ruchte and Grabocka, ICDM 2021)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.seeds import derive
from ..losses import cosmos
from ..networks.slimmable_cost import Cost
from .multi_task import size_of
from .preferring import Preferring, PreferringConfig


class CosmosConfig(PreferringConfig):
    """Draws of preferences, and how strongly losses must point along them."""

    concentration: float = Field(
        1.2,
        gt=0,
        le=100,
        description="training: a preference a step from Dirichlet(concentration, ...)",
        json_schema_extra={"sweep": {"low": 0.1, "high": 5.0, "log": True}},
    )
    lam: float = Field(
        1.0,
        ge=0,
        description="λ: weight of the cosine between losses and preference",
        json_schema_extra={"sweep": {"low": 0.01, "high": 10.0, "log": True}},
    )


class Cosmos(Preferring):
    """Σ_i r_i L_i - λ cos(L, r), r ~ Dirichlet(α). Two transposed convolutions make maps of r, which are concatenated
    to the image; a 3×3 convolution leads back to the encoder's channels (it begins as the image itself).
    """

    Config: ClassVar[type[CosmosConfig]] = CosmosConfig
    config: CosmosConfig
    name: ClassVar[str] = "cosmos"
    summary: ClassVar[str] = "one network with the preference as input, losses along the preference"

    def __init__(self, config: CosmosConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        n, (channels, height, width) = len(self.tasks), self._model.info.input_shape
        side = max(1, min(height, width) // 4)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "cosmos"))
            self.maps = nn.Sequential(nn.ConvTranspose2d(n, n, side), nn.ReLU(), nn.ConvTranspose2d(n, n, 4, 4))
            self.joined = nn.Conv2d(channels + n, channels, 3, padding=1)
        with torch.no_grad():
            self.joined.weight[:, :channels] = 0
            self.joined.weight[:, :channels, 1, 1] = torch.eye(channels)
            self.joined.bias.zero_()  # type: ignore[union-attr]

    def _input(self, x: Tensor, preference: Tensor) -> Tensor:
        maps = self.maps(preference[None, :, None, None])
        maps = F.interpolate(maps, size=size_of(x), mode="nearest").expand(len(x), -1, -1, -1)
        y: Tensor = self.joined(torch.cat([x, maps], 1))
        return y

    def answer(self, x: Tensor, preference: Tensor) -> dict[str, Tensor]:
        return self.outputs(self._input(x, preference), self.widest)

    def criterion(self, losses: Tensor, preference: Tensor) -> Tensor:
        return cosmos(losses, preference, self.config.lam)

    @torch.no_grad()
    def calibrate_under(self, batches: list[Tensor], preference: Tensor) -> None:
        self._model.calibrate([self._input(x, preference.to(x.device)) for x in batches], [self.widest])

    def price(self) -> Cost:
        """With the convolution that joins image and maps; the maps are made once a preference."""
        _, height, width = self._model.info.input_shape
        weights = sum(parameter.numel() for parameter in (*self.maps.parameters(), *self.joined.parameters()))
        return super().price() + Cost(self.joined.weight.numel() * height * width, weights)


METHOD = Cosmos
