"""MM-cVAE: cVAE with moments matched (Weinberger, Beebe-Wang and Lee, 2022)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ..losses.mmd import mmd
from .autoencoder import ContrastiveAutoencoder, CVAEConfig, Latent


class MMConfig(CVAEConfig):
    """Weights of both discrepancies."""

    match_common: float = Field(
        1000.0,
        ge=0,
        description="weight of MMD between the common latents of background and of targets",
        json_schema_extra={"sweep": {"low": 1.0, "high": 10_000.0, "log": True}},
    )
    match_null: float = Field(
        100.0,
        ge=0,
        description="weight of MMD between the salient latents of background and 0",
        json_schema_extra={"sweep": {"low": 1.0, "high": 10_000.0, "log": True}},
    )


class MMcVAE(ContrastiveAutoencoder):
    """cVAE + l1 MMD(c_X, c_Y) + l2 MMD(s_X, 0)."""

    Config: ClassVar[type[MMConfig]] = MMConfig
    config: MMConfig
    name: ClassVar[str] = "mm_cvae"
    summary: ClassVar[str] = "cVAE with common latents of both sets matched by MMD"

    def terms(self, x: Tensor, c: Latent, s: Latent, target: Tensor) -> dict[str, tuple[float, Tensor]]:
        mine, rest = target == 1, target != 1
        null = s.sample.new_zeros(1, s.sample.shape[1])
        return {
            **super().terms(x, c, s, target),
            "match_common": (self.config.match_common, mmd(c.sample[rest], c.sample[mine])),
            "match_null": (self.config.match_null, mmd(s.sample[rest], null)),
        }


METHOD = MMcVAE
