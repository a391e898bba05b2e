"""SepCLR: common and salient patterns apart by contrasts (Louiset, Duchesnay, Grigis, Gori, ICLR 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import StepContext
from ..losses.density_ratio import density_ratio, discriminator_loss
from ..losses.information_bounds import gaussian_log_density, l1out, vclub, vub
from ..losses.mmd import mmd
from ..losses.sepclr import SepCLRTerms, align, kernel_mutual_information, pinned, sepclr
from .against_swap import LinearCodes, mixed_with_background
from .two_spaces import TwoSpaces, TwoSpacesConfig, held, perceptron

Independence = Literal["none", "jem", "kmi", "mmd", "vclub", "vub", "l1out", "tc"]
Codes = list[tuple[Tensor, Tensor]]
BOUNDS = {"vclub": vclub, "vub": vub, "l1out": l1out}


class SepCLRConfig(TwoSpacesConfig):
    """Weights and forms of the terms. Adam sees ratios alone: λ : 1 in the common encoder, β_0 / β_s and λ / β_s in the
    salient one.
    """

    temperature: float = Field(
        0.5,
        gt=0,
        le=100,
        description="τ of all terms",
        json_schema_extra={"sweep": {"low": 0.1, "high": 2.0, "log": True}},
    )
    beta_s: float = Field(
        1000.0,
        ge=0,
        description="β_s, weight of the salient term",
        json_schema_extra={"sweep": {"low": 1.0, "high": 1000.0, "log": True}},
    )
    beta_0: float = Field(
        1000.0,
        ge=0,
        description="β_0, weight of the null term: salient codes of background are 0",
        json_schema_extra={"sweep": {"low": 1.0, "high": 10_000.0, "log": True}},
    )
    lam: float = Field(
        10.0,
        ge=0,
        description="λ, weight of the independence term",
        json_schema_extra={"sweep": {"low": 0.1, "high": 100.0, "log": True}},
    )
    salient_unif: Literal["code", "paper"] = Field(
        "code", description="uniformity of salient codes: one logarithm over all pairs, or one an anchor (experimental)"
    )
    independence: Independence = Field(
        "jem",
        description="jem: joint entropy, the paper's; others penalise dependence of both codes: kernel mutual "
        "information, MMD of pairs and shuffled pairs, bounds by a Gaussian network, density ratio; none",
    )
    critic_hidden: int = Field(128, ge=1, le=8192, description="hidden width of the network of vclub, vub, l1out, tc")
    mix_background: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="against a swap of the spaces (ours): the salient encoder sees each view mixed with a background "
        "row of the batch, which has a weight drawn up to this",
    )
    common_rows: Literal["all", "background"] = Field(
        "all", description="rows of the common contrast; background (ours): it cannot learn what only targets have"
    )
    common_first: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the steps, from the first on, that train the common contrast alone (ours)",
    )
    pca_first: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the steps, from the first on, in which salient codes learn contrastive PCA's instead of "
        "their own contrast (ours)",
    )


class SepCLR(TwoSpaces):
    """L = L_common + β_s L_salient + β_0 L_null + λ L_independence on two views (docs/methods/sepclr.md)."""

    Config: ClassVar[type[SepCLRConfig]] = SepCLRConfig
    config: SepCLRConfig
    name: ClassVar[str] = "sepclr"
    summary: ClassVar[str] = "contrasts in a common and a salient space, kept apart by joint entropy"

    def __init__(self, config: SepCLRConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.critic: nn.Module | None = None
        self._linear: tuple[int, LinearCodes] | None = None  # (experience, codes); made anew when needed
        dc, ds = self._model.d_common, self._model.d_salient
        if config.independence in BOUNDS:
            self.critic = perceptron(dc, config.critic_hidden, 2 * ds, seed, "sepclr/critic")
        elif config.independence == "tc":
            self.critic = perceptron(dc + ds, config.critic_hidden, 1, seed, "sepclr/critic")

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c = self.config
        batch = self.grouped(batch, ctx.view, ctx.iteration)
        target = batch["target"]
        views = self.views(batch, ctx.augment)
        draws = generator(
            self.seed, f"mix/{ctx.iteration}"
        )  # its own: the views stay those of a run that mixes nothing
        codes = [self._codes(v, target, draws) for v in views]  # each view has its own batch statistics
        (c1, s1), (c2, s2) = codes
        terms = sepclr(
            *(c1, c2, s1, s2, target),
            beta_s=c.beta_s,
            beta_0=c.beta_0,
            lam=c.lam if c.independence == "jem" else 0.0,
            temperature=c.temperature,
            salient=c.salient_unif,
            common=c.common_rows,
        )
        done = ctx.step / max(ctx.total_steps, 1)
        if done < c.common_first + c.pca_first:
            loss = self._first(terms, codes, views, target, ctx.view if done >= c.common_first else None)
        else:
            loss = terms.total
        logs = {f"loss/{name}": value for name, value in terms._asdict().items() if name != "total"}
        if c.independence not in ("jem", "none"):
            penalty, fitted = self._independence(codes, target)
            loss = loss + c.lam * penalty + fitted
            logs |= {f"loss/{c.independence}": penalty}
            logs |= {"loss/critic": fitted} if self.critic is not None else {}
        return {"loss": loss, **logs, **self.counts(target)}

    def _codes(self, v: Tensor, target: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        model, most = self._model, self.config.mix_background
        mixed = mixed_with_background(v, target, most, draws) if most else v
        return model.common.project(model.common(v)), model.salient.project(model.salient(mixed))

    def _first(
        self, terms: SepCLRTerms, codes: Codes, views: Sequence[Tensor], target: Tensor, view: ExperienceView | None
    ) -> Tensor:
        """The loss of the first steps: the common contrast, and, given the view, salient codes that learn contrastive
        PCA's.
        """
        loss = terms.common_align + 2 * terms.common_unif
        if view is None:
            return loss
        c, mine, linear = self.config, target == 1, self._linear_codes(view)
        errors = [
            align(s[mine], linear(x[mine]), temperature=c.temperature) for (_, s), x in zip(codes, views, strict=True)
        ]
        return loss + c.beta_s * torch.stack(errors).mean() + c.beta_0 * terms.null

    def _linear_codes(self, view: ExperienceView) -> LinearCodes:
        if self._linear is None or self._linear[0] != view.experience:
            self._linear = view.experience, LinearCodes(self._model, view)
        return self._linear[1]

    def _independence(self, codes: list[tuple[Tensor, Tensor]], target: Tensor) -> tuple[Tensor, Tensor]:
        """The penalty, mean over views, and the loss of the network that it needs (fitted on detached codes)."""
        penalties, fits = [], []
        for c, s in codes:
            unit, pin = F.normalize(c.float(), dim=1), pinned(s.float(), target)
            penalties.append(self._penalty(unit, pin))
            fits.append(self._fit(unit.detach(), pin.detach()))
        return torch.stack(penalties).mean(), torch.stack(fits).mean()

    def _penalty(self, c: Tensor, s: Tensor) -> Tensor:
        kind = self.config.independence
        if kind == "kmi":
            return kernel_mutual_information(c, s, temperature=self.config.temperature)
        if kind == "mmd":
            return mmd(torch.cat([c, s], 1), torch.cat([c, s.roll(1, 0)], 1))
        assert self.critic is not None
        if kind == "tc":
            return density_ratio(held(self.critic, torch.cat([c, s], 1))[:, 0])
        mean, log_variance = held(self.critic, c).chunk(2, 1)
        return BOUNDS[kind](s, mean, log_variance.tanh())

    def _fit(self, c: Tensor, s: Tensor) -> Tensor:
        if self.critic is None:
            return c.new_zeros(())
        if self.config.independence == "tc":
            joint, shuffled = self.critic(torch.cat([c, s], 1)), self.critic(torch.cat([c, s.roll(1, 0)], 1))
            return discriminator_loss(joint[:, 0], shuffled[:, 0])
        mean, log_variance = self.critic(c).chunk(2, 1)
        return -gaussian_log_density(s, mean, log_variance.tanh()).mean()


METHOD = SepCLR
