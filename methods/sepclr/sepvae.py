"""SepVAE: ConVAE with a prior on the salient latents of background and a classifier of membership (Louiset et al.)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.seeds import derive
from ..losses.numerics import zero
from .autoencoder import ContrastiveAutoencoder, CVAEConfig, Latent

SALIENT_VARIANCE = 0.1


class SepVAEConfig(CVAEConfig):
    """The public code's weights on MNIST on CIFAR-10."""

    kl_common: float = Field(0.5, ge=0, description="weight of KL(c)")
    kl_salient: float = Field(0.5, ge=0, description="weight of KL(s) of targets and of the prior on background")
    kappa: float = Field(
        2.0,
        ge=0,
        description="weight of the density ratio max(0, T(c, s))",
        json_schema_extra={"sweep": {"low": 0.1, "high": 10.0, "log": True}},
    )
    alpha: float = Field(
        100.0,
        ge=0,
        description="α, inverse variance of the prior on the salient latents of background",
        json_schema_extra={"sweep": {"low": 1.0, "high": 1000.0, "log": True}},
    )
    gamma: float = Field(1e-10, ge=0, description="γ, weight of the classifier of the membership by s")


class SepVAE(ContrastiveAutoencoder):
    """ConVAE + β_s α/2 ‖μ_s‖² on background + γ BCE(g from s); the salient posterior has variance 0.1."""

    Config: ClassVar[type[SepVAEConfig]] = SepVAEConfig
    config: SepVAEConfig
    name: ClassVar[str] = "sepvae"
    summary: ClassVar[str] = "ConVAE with a narrow salient prior on background and a classifier of the membership"
    ratio: ClassVar[Literal["mean", "relu"]] = "relu"

    def __init__(self, config: SepVAEConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "sepvae"))
            self.membership = nn.Linear(self._model.d_salient, 1)

    def salient(self, s: Latent) -> Latent:
        """The sample keeps its noise, scaled to the fixed variance."""
        noise = (s.sample - s.mean) * (-s.log_variance / 2).exp()
        fixed = torch.full_like(s.log_variance, math.log(SALIENT_VARIANCE))
        return Latent(s.mean, fixed, s.mean + math.sqrt(SALIENT_VARIANCE) * noise.detach())

    def terms(self, x: Tensor, c: Latent, s: Latent, target: Tensor) -> dict[str, tuple[float, Tensor]]:
        rest = s.mean[target != 1]
        prior = rest.square().sum(1).mean() / 2 if len(rest) else zero(s.mean)
        known = F.binary_cross_entropy_with_logits(self.membership(s.sample)[:, 0].float(), target.float())
        return {
            **super().terms(x, c, s, target),
            "background_prior": (self.config.kl_salient * self.config.alpha, prior),
            "membership": (self.config.gamma, known),
        }


METHOD = SepVAE
