"""End-to-end regressors that mix labels (mixup, C-Mixup), rank features (RankSim) or meet imbalance (LDS, FDS, ConR, Balanced MSE).

Source: spec section 7 of SupReMix, which names each paper; formulas stand at the losses.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from ..datasets.batches import Batch, ExperienceView
from .base import MethodConfig, StepContext
from .losses.bmse import balanced_mse
from .losses.conr import conr
from .losses.label_density import Kernel, bin_statistics, bin_weights, calibrate, smooth_statistics
from .losses.ranksim import ranksim
from .losses.supremix import beta_draws
from .regression import Loss, RegressionConfig, Regressor, pointwise


class MixupConfig(RegressionConfig):
    """Inputs and labels are mixed with those of another row."""

    loss: Loss = Field("mse", description="loss of the regressor on standardised labels")
    alpha: float = Field(2.0, gt=0, le=100, description="λ ~ Beta(α, α), one draw a batch", json_schema_extra={"sweep": {"choices": [0.5, 1.0, 2.0]}})  # fmt: skip
    manifold: bool = Field(False, description="mix the encoder's output instead of its input (texts always do)")


class Mixup(Regressor):
    """x̃ = λ x_i + (1-λ) x_j, ỹ alike; j is a random row of the training set."""

    Config: ClassVar[type[MethodConfig]] = MixupConfig
    config: MixupConfig
    name: ClassVar[str] = "mixup"
    summary: ClassVar[str] = "end-to-end regression on mixtures of random rows and their labels"

    def partners(self, batch: Batch, rows: Tensor, ctx: StepContext) -> Tensor:
        """A training row id for each row of the batch, [B], from ``rows``."""
        return rows[torch.randint(len(rows), (len(batch["index"]),), generator=ctx.augment)]

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        rows = torch.cat([ctx.view.index, self.memory()])
        table = ctx.view.table
        chosen = table.gather(self.partners(batch, rows, ctx))
        other = {name: value.to(ctx.view.device) for name, value in chosen.items()}
        lam = float(beta_draws((1,), self.config.alpha, self.config.alpha, ctx.augment))
        own, theirs = self.input(batch, ctx), self.input(other, ctx)
        if self.config.manifold or "x" not in own:
            features = lam * self._model.encode(own) + (1 - lam) * self._model.encode(theirs)
        else:
            features = self._model.encode({**own, "x": lam * own["x"] + (1 - lam) * theirs["x"]})
        label = lam * self.standardised(batch["label"]) + (1 - lam) * self.standardised(other["label"])
        return {"loss": pointwise(self.read(features), label, self.config.loss).mean()}


class CMixupConfig(MixupConfig):
    """Partners near in label (C-Mixup)."""

    manifold: bool = Field(True, description="mix the encoder's output instead of its input (texts always do)")
    bandwidth: float = Field(
        1.75, gt=0, description="h: P(j|i) ∝ exp(-|y_i-y_j|²/(2h²)), in scaled labels", json_schema_extra={"sweep": {"low": 0.2, "high": 20.0, "log": True}}
    )  # fmt: skip


def label_rates(own: Tensor, every: Tensor, bandwidth: float) -> Tensor:
    """``P(j | i) ∝ exp(-(y_i - y_j)² / (2h²))``: rates of partners, [B, n] with rows of sum 1.

    ``own`` [B] and ``every`` [n] are labels, ``bandwidth`` is h. Source: C-Mixup, spec section 7.
    """
    return (-(own[:, None] - every[None]).square() / (2 * bandwidth**2)).softmax(1)


class CMixup(Mixup):
    """Mixup with partners drawn by label nearness over the whole training set, the row itself included."""

    Config: ClassVar[type[MethodConfig]] = CMixupConfig
    config: CMixupConfig
    name: ClassVar[str] = "cmixup"
    summary: ClassVar[str] = "mixup with partners near in label"

    def partners(self, batch: Batch, rows: Tensor, ctx: StepContext) -> Tensor:
        column = ctx.view.table.columns["label"]
        if not isinstance(column, Tensor):
            raise ValueError("labels are numbers")
        label = self.scaled(column[rows].to(self.scale.device))
        rate = label_rates(self.scaled(batch["label"]), label, self.config.bandwidth).cpu()
        return rows[torch.multinomial(rate, 1, generator=ctx.augment)[:, 0]]


class RankSimConfig(RegressionConfig):
    """RankSim beside the regression loss."""

    ranksim_weight: float = Field(100.0, ge=0, description="weight of the ranking loss", json_schema_extra={"sweep": {"low": 1.0, "high": 200.0, "log": True}})  # fmt: skip
    step: float = Field(2.0, gt=0, description="λ of the black-box gradient of ranks")


class RankSim(Regressor):
    """Regression + RankSim on the features of a batch."""

    Config: ClassVar[type[MethodConfig]] = RankSimConfig
    config: RankSimConfig
    name: ClassVar[str] = "ranksim"
    summary: ClassVar[str] = "end-to-end regression; feature similarities ranked as label distances"

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        features = self._model.encode(self.input(batch, ctx))
        plain = pointwise(self.read(features), self.standardised(batch["label"]), self.config.loss).mean()
        order = ranksim(features, batch["label"], generator=ctx.augment, step=self.config.step)
        return {"loss": plain + self.config.ranksim_weight * order, "ranksim": order}


class BinnedConfig(RegressionConfig):
    """Bins of scaled labels."""

    bins: int = Field(128, ge=2, le=100_000, description="number of bins; labels beyond fall into the first or last")
    bin_width: float = Field(1.0, gt=0, description="width of a bin in scaled labels; the first starts at 0")
    kernel: Kernel = Field("gaussian", description="shape of the kernel over bins")
    kernel_size: int = Field(5, ge=1, le=101, description="bins that the kernel covers, odd")
    kernel_sigma: float = Field(2.0, gt=0, le=10_000, description="its width in bins (not of the triangular one)")

    @model_validator(mode="after")
    def _kernel_fits(self) -> BinnedConfig:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, not {self.kernel_size}")
        if self.kernel_size // 2 >= self.bins:
            raise ValueError(
                f"a kernel of {self.kernel_size} bins needs more than {self.kernel_size // 2} bins, not {self.bins}"
            )
        return self


class Binned(Regressor):
    """Counts of training labels by bin over all experiences so far."""

    Config: ClassVar[type[MethodConfig]] = BinnedConfig
    config: BinnedConfig
    name: ClassVar[str] = ""
    counts: Tensor

    def __init__(self, config: BinnedConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.register_buffer("counts", torch.zeros(config.bins, dtype=torch.float64))

    def bin(self, label: Tensor) -> Tensor:
        """Bin of each label, [B] int64."""
        place = (self.scaled(label) / self.config.bin_width).floor().long()
        return place.clamp(0, self.config.bins - 1)

    def before_experience(self, view: ExperienceView) -> None:
        super().before_experience(view)
        place = self.bin(view.labels().to(self.scale.device))
        self.counts += place.bincount(minlength=self.config.bins)


class LDSConfig(BinnedConfig):
    """Weights by smoothed label density."""

    reweight: Literal["sqrt_inv", "inverse"] = Field(
        "sqrt_inv", description="what a bin's count becomes before smoothing"
    )
    smooth: bool = Field(True, description="label distribution smoothing; false: plain re-weighting")


class LDS(Binned):
    """The loss of each row times the inverse smoothed density of its label."""

    Config: ClassVar[type[MethodConfig]] = LDSConfig
    config: LDSConfig
    name: ClassVar[str] = "lds"
    summary: ClassVar[str] = "end-to-end regression weighted by inverse smoothed label density"

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c = self.config
        prediction = self.read(self._model.encode(self.input(batch, ctx)))
        each = pointwise(prediction, self.standardised(batch["label"]), c.loss)
        weight = bin_weights(
            self.counts, reweight=c.reweight, smooth=c.smooth, size=c.kernel_size, sigma=c.kernel_sigma, shape=c.kernel
        )
        return {"loss": (each * weight[self.bin(batch["label"])].float()).mean()}


class FDSConfig(BinnedConfig):
    """Calibration of features by smoothed statistics."""

    momentum: float = Field(0.9, ge=0, lt=1, description="share of the old statistics")
    start_smooth: int = Field(1, ge=0, description="first epoch whose features are calibrated")
    clip_low: float = Field(0.1, gt=0, description="smallest ratio of variances (texts: 0.5)")
    clip_high: float = Field(10.0, gt=0, description="largest ratio of variances (texts: 2)")


class FDS(Binned):
    """Features are moved from their bin's mean and variance to the smoothed ones; in training alone."""

    Config: ClassVar[type[MethodConfig]] = FDSConfig
    config: FDSConfig
    name: ClassVar[str] = "fds"
    summary: ClassVar[str] = "end-to-end regression with feature statistics smoothed over label bins"
    mean: Tensor
    variance: Tensor
    smooth_mean: Tensor
    smooth_variance: Tensor
    seen: Tensor
    epochs_done: Tensor

    def __init__(self, config: FDSConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        shape = (config.bins, self._model.d_features)
        for name, value in (("mean", 0.0), ("variance", 1.0), ("smooth_mean", 0.0), ("smooth_variance", 1.0)):
            self.register_buffer(name, torch.full(shape, value))
        self.register_buffer("seen", torch.zeros(config.bins, dtype=torch.bool))
        self.register_buffer("epochs_done", torch.tensor(0))

    def after_epoch(self, ctx: StepContext) -> None:
        """Statistics of each bin over the epoch's rows, then their smoothed form for the next epoch."""
        self.eval()
        rows = torch.cat([ctx.view.index, self.memory()])
        with torch.no_grad():
            parts = [
                (self._model.encode(self._model.inputs(b)).float(), self.bin(b["label"]))
                for b in ctx.view.batches(rows)
            ]
            f, place = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
            c = self.config
            moved = bin_statistics(f, place, self.mean, self.variance, self.seen, c.momentum)
            for buffer, value in zip((self.mean, self.variance, self.seen), moved, strict=True):
                buffer.copy_(value)
            self.smooth_mean.copy_(smooth_statistics(self.mean, c.kernel_size, c.kernel_sigma, c.kernel))
            self.smooth_variance.copy_(smooth_statistics(self.variance, c.kernel_size, c.kernel_sigma, c.kernel))
            self.epochs_done += 1
        self.train()

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        features = self._model.encode(self.input(batch, ctx))
        if int(self.epochs_done) >= max(1, self.config.start_smooth):
            b = self.bin(batch["label"])
            moved = calibrate(
                features.float(), self.mean[b], self.variance[b], self.smooth_mean[b], self.smooth_variance[b], self.config.clip_low, self.config.clip_high
            )  # fmt: skip
            features = torch.where(self.seen[b][:, None], moved, features.float())
        return {"loss": pointwise(self.read(features), self.standardised(batch["label"]), self.config.loss).mean()}


class ConRConfig(RegressionConfig):
    """ConR beside the regression loss."""

    window: float = Field(
        1.0,
        ge=0,
        description="w, in scaled labels",
        json_schema_extra={"sweep": {"low": 0.5, "high": 10.0, "log": True}},
    )
    conr_weight: float = Field(
        4.0, ge=0, description="β", json_schema_extra={"sweep": {"low": 0.1, "high": 10.0, "log": True}}
    )
    push: float = Field(0.01, ge=0, description="η, exponent of the label distance of a pushed pair")
    temperature: float = Field(0.2, gt=0, le=10, description="τ (the public code overwrites it with 0.07)")
    masks: Literal["exact", "official"] = Field(
        "exact", description="official: every row that is no positive adds 1 below, as in the public code"
    )


class ConR(Regressor):
    """Regression + ConR on projections of two views."""

    Config: ClassVar[type[MethodConfig]] = ConRConfig
    config: ConRConfig
    name: ClassVar[str] = "conr"
    summary: ClassVar[str] = "end-to-end regression; rows mistaken for each other pushed apart by label distance"
    projected: ClassVar[bool] = True

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c = self.config
        features = self.views(batch, ctx, 2)
        prediction, label = self.read(features), batch["label"].repeat(2)
        plain = pointwise(prediction, self.standardised(label), c.loss).mean()
        raw = prediction.detach().double() * self.spread + self.center
        contrast = conr(
            self._model.project(features),
            self.scaled(label),
            self.scaled(raw),
            window=c.window,
            temperature=c.temperature,
            push=c.push,
            masks=c.masks,
        )
        return {"loss": plain + c.conr_weight * contrast, "conr": contrast}


class BMSEConfig(RegressionConfig):
    """Balanced MSE."""

    sigma: float = Field(
        1.0, gt=0, le=100, description="first value of the learnt σ, in standard deviations of the label"
    )


class BMSE(Regressor):
    """Balanced MSE over the labels of a batch, σ learnt."""

    Config: ClassVar[type[MethodConfig]] = BMSEConfig
    config: BMSEConfig
    name: ClassVar[str] = "bmse"
    summary: ClassVar[str] = "end-to-end regression with the balanced squared error"

    def __init__(self, config: BMSEConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.noise = nn.Parameter(torch.tensor(float(torch.tensor(config.sigma).expm1().log())))  # σ = softplus(noise)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        unit = (self.spread * self.scale).float()  # a standard deviation in scaled labels
        prediction = self.read(self._model.encode(self.input(batch, ctx)))
        sigma = F.softplus(self.noise).clamp(min=1e-3)
        loss = balanced_mse(prediction * unit, self.standardised(batch["label"]) * unit, sigma)
        return {"loss": loss / unit.square(), "sigma": sigma}
