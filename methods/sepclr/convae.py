"""ConVAE: cVAE with a density ratio that cannot go below 0 (SepVAE's public code, its baseline)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from .autoencoder import ContrastiveAutoencoder, CVAEConfig


class ConVAEConfig(CVAEConfig):
    """The public code's weights on MNIST on CIFAR-10."""

    kl_common: float = Field(0.5, ge=0, description="weight of KL(c)")
    kl_salient: float = Field(0.5, ge=0, description="weight of KL(s), of targets")
    kappa: float = Field(
        1.0,
        ge=0,
        description="weight of the density ratio max(0, T(c, s))",
        json_schema_extra={"sweep": {"low": 0.1, "high": 10.0, "log": True}},
    )


class ConVAE(ContrastiveAutoencoder):
    """κ mean max(0, T(c, s)), T a classifier of pairs of one target against pairs whose s is its neighbour's."""

    Config: ClassVar[type[ConVAEConfig]] = ConVAEConfig
    config: ConVAEConfig
    name: ClassVar[str] = "convae"
    summary: ClassVar[str] = "cVAE with a classifier of joint against shuffled latents"
    ratio: ClassVar[Literal["mean", "relu"]] = "relu"


METHOD = ConVAE
