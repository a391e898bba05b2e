"""What CDvG is compared with: DisEnt, ReBias, SelecMix and, as an oracle, BiasCon (CDvG spec section 6). What a paper leaves open is a field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ..datasets.batches import Batch, ExperienceView, derive
from .base import Method, MethodConfig, OptimizerSpec, Stage, StepContext, UnfitError, Update, protocol
from .cdvg import Cdvg, CdvgConfig
from .lff import LffConfig, sample_weights
from .losses.biascon import biascon, hsic
from .losses.cdvg import views_ce
from .losses.lff import gce
from .networks.batchnorm import keep_statistics
from .views import Projection


class DisEntConfig(LffConfig):
    """Fields of DisEnt beside LfF's."""

    lambda_dis: float = Field(10.0, ge=0, description="λ_dis, weight of the biased head's loss", json_schema_extra={"sweep": {"low": 1.0, "high": 20.0, "log": True}})  # fmt: skip
    lambda_swap: float = Field(1.0, ge=0, description="λ_swap, weight of the swapped features' losses")
    lambda_swap_align: float = Field(10.0, ge=0, description="λ_swap_b, weight of the biased head's loss on swapped features")  # fmt: skip
    swap_after: int = Field(10_000, ge=0, description="steps before features are swapped")


class Branches(nn.Module):
    """What DisEnt adds to a model: the biased encoder and a head on the features of both for each branch."""

    steps_done: Tensor

    def __init__(self, model: Any, seed: int) -> None:
        super().__init__()
        self.biased = model.twin(seed, "biased")
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "disent/heads"))
            self.head_i = nn.Linear(2 * model.features_out, model.classes)
            self.head_b = nn.Linear(2 * model.features_out, model.classes)

    def forward(self, z_i: Tensor, z_b: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the heads on [z_i, sg z_b] and [sg z_i, z_b]; z_i, z_b [N, H]."""
        return self.head_i(torch.cat([z_i, z_b.detach()], 1)), self.head_b(torch.cat([z_i.detach(), z_b], 1))

    def predict(self, model: Any, x: Tensor) -> dict[str, Tensor]:
        """``label`` [N] of images x: what the intrinsic head answers."""
        return {"label": self(model.encode(x), self.biased.encode(x))[0].argmax(1)}

    def loss(
        self, z_i: Tensor, z_b: Tensor, labels: Tensor, weights: Tensor, config: DisEntConfig, order: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """``mean w CE_i + λ_dis mean gce_b``, and from ``swap_after`` steps on ``λ_swap (mean w CE_i + λ_swap_b mean gce_b)`` with z_b permuted (its
        head answers for the permuted label). z_i [V·B, H] of V views, z_b [B, H] and weights [B] count in every view. Spec section 6.
        """
        n = len(z_i) // len(labels)
        z_b, every = z_b.repeat(n, 1), labels.repeat(n)
        o_i, o_b = self(z_i, z_b)
        loss = views_ce(o_i, labels, weights) + config.lambda_dis * gce(o_b, every, q=config.q).mean()
        logs = {"loss/disentangle": loss}
        if int(self.steps_done) >= config.swap_after:
            moved = torch.randperm(len(labels), generator=order).to(z_i.device)
            moved = torch.cat([moved + len(labels) * k for k in range(n)])  # within a view
            mixed_i, mixed_b = self(z_i, z_b[moved])
            swap = (
                views_ce(mixed_i, labels, weights)
                + config.lambda_swap_align * gce(mixed_b, every[moved], q=config.q).mean()
            )
            loss = loss + config.lambda_swap * swap
            logs["loss/swap"] = swap
        self.steps_done.add_(1)
        return loss, logs


class DisEnt(Method):
    """Two encoders; heads on [z_i, sg z_b] (weighted) and [sg z_i, z_b] (amplified); later also with z_b permuted (Lee et al., NeurIPS 2021)."""

    Config: ClassVar[type[DisEntConfig]] = DisEntConfig
    config: DisEntConfig
    name: ClassVar[str] = "disent"
    summary: ClassVar[str] = "disentangled intrinsic and bias features, swapped as augmentation"

    def __init__(self, config: DisEntConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.branches = Branches(self._model, seed)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c, labels = self.config, batch["label"]
        x = self._model.views(self._model.pixels(batch), ctx.augment)
        z_i, z_b = self._model.encode(x), self.branches.biased.encode(x)  # [B, H] each
        ce_i, ce_b = (F.cross_entropy(o, labels, reduction="none") for o in self.branches(z_i, z_b))
        weights = sample_weights(ctx.view, batch, ce_b, ce_i, c.alpha, "disent")
        loss, logs = self.branches.loss(z_i, z_b, labels, weights, c, ctx.augment)
        return {"loss": loss, **logs}

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        return self.branches.predict(self._model, self._model.pixels(batch))


class CdvgDisEntConfig(CdvgConfig, DisEntConfig):
    """CDvG's fields and DisEnt's."""


class CdvgDisEnt(Cdvg):
    """DisEnt whose intrinsic branch sees translated views and whose biased branch sees the image (CDvG spec section 3, "plug-in use"); with L_con."""

    Config: ClassVar[type[CdvgDisEntConfig]] = CdvgDisEntConfig
    config: CdvgDisEntConfig
    name: ClassVar[str] = "cdvg_disent"
    summary: ClassVar[str] = "CDvG's views in the intrinsic branch of DisEnt"

    def __init__(self, config: CdvgDisEntConfig, model: nn.Module, seed: int = 0) -> None:
        if config.objective != "joint" or config.ce_on != "views":
            raise UnfitError(
                "cdvg_disent trains both branches at once on views: objective must be joint and ce_on views"
            )
        super().__init__(config, model, seed)
        self.branches = Branches(self._model, seed)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c, labels = self.config, batch["label"]
        x = self._model.pixels(batch)
        views = self.views(x, batch, ctx)
        z_i = self._model.encode(torch.cat(views))  # [V·B, H]
        original = self._model.views(x, ctx.augment)
        z_b = self.branches.biased.encode(original)  # [B, H]
        with torch.no_grad(), keep_statistics(self._model):  # how hard the image itself is for each branch
            ce_i, ce_b = (
                F.cross_entropy(o, labels, reduction="none") for o in self.branches(self._model.encode(original), z_b)
            )
        weights = sample_weights(ctx.view, batch, ce_b, ce_i, c.alpha, "disent")
        loss, logs = self.branches.loss(z_i, z_b, labels, weights, c, ctx.augment)
        if c.lambda_con > 0 and c.contrast != "none":
            contrast = self.contrast(self.project(z_i), labels, len(views))
            loss = loss + c.lambda_con * contrast
            logs["loss/contrast"] = contrast
        return {"loss": loss, **logs}

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        return self.branches.predict(self._model, self._model.pixels(batch))


class RebiasConfig(MethodConfig):
    """Fields of ReBias."""

    lambda_f: float = Field(
        1.0, ge=0, description="weight of HSIC in the main network's loss (minimised); HSIC itself is of the order of 0.002",
        json_schema_extra={"sweep": {"low": 1.0, "high": 1000.0, "log": True}},
    )  # fmt: skip
    lambda_g: float = Field(1.0, ge=0, description="weight of HSIC in the biased network's loss (maximised)")
    scale: float = Field(1.0, gt=0, description="width of the Gaussian kernels, in units of √d")
    width: int = Field(32, ge=2, le=1024, description="channels of the biased network")
    lr: float = Field(1e-3, gt=0, le=1, description="Adam, both networks")


class Rebias(Method):
    """f: CE + λ HSIC(f, sg g); g, whose convolutions are 1x1: CE - λ HSIC(sg f, g) (Bahng et al., ICML 2020)."""

    Config: ClassVar[type[RebiasConfig]] = RebiasConfig
    config: RebiasConfig
    name: ClassVar[str] = "rebias"
    summary: ClassVar[str] = "independence (HSIC) of a network that sees single pixels"

    def __init__(self, config: RebiasConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        w = config.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "rebias"))
            self.local = nn.Sequential(
                nn.Conv2d(3, w, 1), nn.ReLU(), nn.Conv2d(w, w, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
            )
            self.local_head = nn.Linear(w, self._model.classes)

    def stages(self, view: ExperienceView) -> list[Stage]:
        arguments = {"lr": self.config.lr}
        local = [*self.local.parameters(), *self.local_head.parameters()]
        return [
            Stage(
                optimizers={
                    "main": OptimizerSpec(list(self.model.parameters()), "Adam", arguments),
                    "local": OptimizerSpec(local, "Adam", arguments),
                }
            )
        ]

    def training_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        c, labels = self.config, batch["label"]
        x = self._model.views(self._model.pixels(batch), ctx.augment)
        h = self._model.encode(x)  # one forward: g's step leaves f as it is
        g = self.local(x)
        against = c.lambda_g * hsic(h.detach(), g, scale=c.scale)
        yield Update(F.cross_entropy(self.local_head(g), labels) - against, "local")
        with torch.no_grad():
            g = self.local(x)
        independence = hsic(h, g, scale=c.scale)
        loss = F.cross_entropy(self._model.classify(h), labels) + c.lambda_f * independence
        yield Update(loss, "main", logs={"loss/hsic": independence})


class SelecMixConfig(MethodConfig):
    """Fields of SelecMix."""

    q: float = Field(0.7, gt=0, le=1, description="q of the biased network's generalised cross-entropy")
    mix_alpha: float = Field(1.0, gt=0, le=10, description="α of Beta(α, α), the mixing share; the larger half goes to the contradicting image (our reading)")  # fmt: skip
    probability: float = Field(0.5, ge=0, le=1, description="share of batches that are mixed (our reading)")


class SelecMix(Method):
    """Mixup of contradicting pairs: same class and unlike in the biased network's features, or another class and alike (Hwang et al., NeurIPS 2022)."""

    Config: ClassVar[type[SelecMixConfig]] = SelecMixConfig
    config: SelecMixConfig
    name: ClassVar[str] = "selecmix"
    summary: ClassVar[str] = "mixup of pairs that contradict the bias"

    def __init__(self, config: SelecMixConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.biased = self._model.twin(seed, "biased")

    @staticmethod
    def partners(features: Tensor, labels: Tensor) -> Tensor:
        """For every row [B] a contradicting one, alike by cosine: at even places the least alike of its class, at odd ones (and where there is
        none) the most alike of another class. The places are random, for batches are shuffled.
        """
        u = F.normalize(features.float(), dim=1)
        s = u @ u.T
        itself = torch.eye(len(s), dtype=torch.bool, device=s.device)
        same = (labels[:, None] == labels) & ~itself
        unlike = s.masked_fill(~same, torch.inf).argmin(1)
        alike = s.masked_fill(labels[:, None] == labels, -torch.inf).argmax(1)
        return torch.where(
            torch.arange(len(s), device=s.device) % 2 == 0, torch.where(same.any(1), unlike, alike), alike
        )

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c, labels = self.config, batch["label"]
        x = self._model.views(self._model.pixels(batch), ctx.augment)
        z_b = self.biased.encode(x)
        loss_biased = gce(self.biased.classify(z_b), labels, q=c.q).mean()
        mixed = float(torch.rand((), generator=ctx.augment)) < c.probability
        if mixed and len(x) > 1 and bool((labels != labels[0]).any()):
            other = self.partners(z_b.detach(), labels)
            gamma = torch._sample_dirichlet(torch.full((len(x), 2), c.mix_alpha), ctx.augment).amax(1).to(x.device)
            share = gamma[:, None, None, None]
            o = self._model.classify(self._model.encode(share * x[other] + (1 - share) * x))
            ce = F.cross_entropy(o, labels[other], reduction="none")
            loss = (gamma * ce + (1 - gamma) * F.cross_entropy(o, labels, reduction="none")).mean()
        else:
            loss = F.cross_entropy(self._model.classify(self._model.encode(x)), labels)
        return {"loss": loss + loss_biased, "loss/mixed": loss, "loss/biased": loss_biased}


class BiasConConfig(MethodConfig):
    """Fields of BiasCon."""

    temperature: float = Field(0.1, gt=0, le=10, description="τ", json_schema_extra={"sweep": {"low": 0.05, "high": 0.5, "log": True}})  # fmt: skip
    lambda_con: float = Field(1.0, ge=0, description="weight of the contrastive loss")
    projection: int = Field(
        64, ge=1, le=8192, description="width of the projection's output", json_schema_extra=protocol()
    )


class BiasConOracle(Method):
    """CE + λ BiasCon: positives share the class and differ in bias. An oracle: the column ``bias`` must not be hidden from training."""

    Config: ClassVar[type[BiasConConfig]] = BiasConConfig
    config: BiasConConfig
    name: ClassVar[str] = "biascon_oracle"
    summary: ClassVar[str] = "bias-contrastive learning (oracle: needs bias labels)"

    def __init__(self, config: BiasConConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "projections"))
            self.project = Projection(self._model.features_out, config.projection)

    def before_experience(self, view: ExperienceView) -> None:
        if "bias" not in view.columns:
            raise UnfitError("biascon_oracle needs the column 'bias': run it alone, with data.hidden_from_training=[]")

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c, labels = self.config, batch["label"]
        h = self._model.encode(self._model.views(self._model.pixels(batch), ctx.augment))
        contrast = biascon(self.project(h), labels, batch["bias"], temperature=c.temperature)
        ce = F.cross_entropy(self._model.classify(h), labels)
        return {"loss": ce + c.lambda_con * contrast, "loss/ce": ce, "loss/contrast": contrast}
