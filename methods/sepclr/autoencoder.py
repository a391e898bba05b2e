"""Variational auto-encoders of contrastive analysis: the two towers as encoders, one decoder of both latents."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.seeds import derive
from ...datasets.core.table import Batch
from ..base import StepContext, protocol
from ..losses.density_ratio import density_ratio, discriminator_loss
from ..losses.gaussian_kl import gaussian_kl
from ..losses.sepclr import pinned
from ..networks.decoders import Decoder
from .two_spaces import TwoSpaces, TwoSpacesConfig, held, perceptron, predictions


class AutoencoderConfig(TwoSpacesConfig):
    """The decoder."""

    decoder_hidden: int = Field(
        256, ge=1, le=8192, description="hidden width of the decoder", json_schema_extra=protocol()
    )


class CVAEConfig(AutoencoderConfig):
    """Weights of the terms beside the reconstruction."""

    kl_common: float = Field(
        1.0,
        ge=0,
        description="weight of KL(c)",
        json_schema_extra={"sweep": {"low": 0.1, "high": 10.0, "log": True}},
    )
    kl_salient: float = Field(
        1.0,
        ge=0,
        description="weight of KL(s), of targets",
        json_schema_extra={"sweep": {"low": 0.1, "high": 10.0, "log": True}},
    )
    kappa: float = Field(
        0.0,
        ge=0,
        description="weight of the density ratio of c and s against shuffled pairs",
        json_schema_extra={"sweep": {"low": 0.1, "high": 10.0, "log": True}},
    )
    critic_hidden: int = Field(128, ge=1, le=8192, description="hidden width of the density ratio's classifier")


class Latent(NamedTuple):
    """q(z | x): mean and log variance [B, d], and a sample."""

    mean: Tensor
    log_variance: Tensor
    sample: Tensor


class TwoSpaceAutoencoder(TwoSpaces):
    """Latents of both towers: the mean is the representation, the log variance a layer beside it."""

    Config: ClassVar[type[AutoencoderConfig]] = AutoencoderConfig
    config: AutoencoderConfig

    def __init__(self, config: AutoencoderConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        m = self._model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "autoencoder"))
            self.common_variance = nn.Linear(m.features_out, m.d_common)
            self.salient_variance = nn.Linear(m.features_out, m.d_salient)
            self.decoder = Decoder(m.d_common + m.d_salient, m.input_shape, config.decoder_hidden)

    def latents(self, x: Tensor, generator: torch.Generator) -> tuple[Latent, Latent]:
        """c and s of the rows themselves (no views)."""
        towers = (self._model.common, self.common_variance), (self._model.salient, self.salient_variance)
        found = []
        for tower, layer in towers:
            features = tower.features(x)
            mean, log_variance = tower.head(features), layer(features).clamp(-10, 10)
            noise = torch.randn(mean.shape, generator=generator).to(mean.device)
            found.append(Latent(mean, log_variance, mean + (log_variance / 2).exp() * noise))
        return found[0], found[1]

    def reconstruction(self, x: Tensor, c: Tensor, s: Tensor) -> Tensor:
        """Squared error of the decoder, summed over a row, mean over rows."""
        square = (self.decoder(torch.cat([c, s], 1)).float() - x).square()
        return square.flatten(1).sum(1).mean()

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """Means; there is no projector, so they are the codes too."""
        common, salient = self._model.encode(self._model.inputs(batch))
        return predictions(common, salient, common, salient)


class ContrastiveAutoencoder(TwoSpaceAutoencoder):
    """``‖x - D(c, s)‖²`` on targets, ``‖x - D(c, 0)‖²`` on background, KL(c) of all, KL(s) of targets, and κ times a
    density ratio: the part that cVAE, ConVAE, MM-cVAE and SepVAE have in common.
    """

    Config: ClassVar[type[CVAEConfig]] = CVAEConfig
    config: CVAEConfig
    ratio: ClassVar[Literal["mean", "relu"]] = "mean"  # form of the density ratio

    def __init__(self, config: CVAEConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.critic: nn.Module | None = None
        if config.kappa > 0:
            width = self._model.d_common + self._model.d_salient
            self.critic = perceptron(width, config.critic_hidden, 1, seed, "autoencoder/critic")

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        batch = self.grouped(batch, ctx.view, ctx.iteration)
        x, target = self._model.inputs(batch), batch["target"]
        c, s = self.latents(x, ctx.augment)
        s = self.salient(s)
        terms = self.terms(x, c, s, target)
        logs = {f"loss/{name}": term for name, (_, term) in terms.items()}
        loss = torch.stack([weight * term for weight, term in terms.values()]).sum()
        return {"loss": loss, **logs, **self.counts(target)}

    def salient(self, s: Latent) -> Latent:
        """The salient posterior as the method has it."""
        return s

    def terms(self, x: Tensor, c: Latent, s: Latent, target: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Weight and value of each term by name."""
        mine = target == 1
        terms = {
            "reconstruction": (1.0, self.reconstruction(x, c.sample, pinned(s.sample, target))),
            "kl_common": (self.config.kl_common, gaussian_kl(c.mean, c.log_variance)),
            "kl_salient": (self.config.kl_salient, gaussian_kl(s.mean[mine], s.log_variance[mine])),
        }
        if self.critic is not None:
            pair, other = (torch.cat([c.sample[mine], part], 1) for part in (s.sample[mine], s.sample[mine].roll(1, 0)))
            terms["independence"] = (self.config.kappa, density_ratio(held(self.critic, pair)[:, 0], form=self.ratio))
            fitted = discriminator_loss(self.critic(pair.detach())[:, 0], self.critic(other.detach())[:, 0])
            terms["critic"] = (1.0, fitted)
        return terms
