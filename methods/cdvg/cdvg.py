"""CDvG: contrastive debiasing via generative bias-transformation (Jung et al., ICML 2023, arXiv 2112.01021).

A translator that is to move an image to another class takes the shortcut and moves the bias; views of one image under
different modes are then contrasted. The idea is the paper's, the translator StarGAN v1's; what the paper leaves open is
a field.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.seeds import derive
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import OptimizerSpec, Stage, StepContext, UnfitError, Update, protocol
from ..losses.wgan_gp import critic_loss, generator_loss, gradient_penalty
from ..networks.translators import (
    ColourMap,
    ContentClassifier,
    Critic,
    Hidden,
    PatchCritic,
    Preset,
    Shallow,
    StarGAN,
    crop,
    hide,
    pad,
    padded_size,
    scrambled,
)
from .views import Views, ViewsConfig


class CdvgConfig(ViewsConfig):
    """Stage 1: the translator, and its gate."""

    translator: Preset = Field(
        "auto",
        description=(
            "shallow: of the reach below; stargan: StarGAN v1, sees and redraws everything; colour_map: sees "
            "everything, changes colours smoothly; auto: shallow up to 16 px, StarGAN v1 above (for a local bias "
            "shallow is better there too: docs/results/cdvg.md)"
        ),
    )
    reach: Literal[1, 3, 5, 9] = Field(3, description="receptive field of the shallow translator in pixels")
    width: int = Field(
        32,
        ge=4,
        le=256,
        description="channels of the translator's first convolution (StarGAN: 64)",
        json_schema_extra=protocol(),
    )
    blocks: int = Field(
        6, ge=1, le=16, description="residual blocks of StarGAN's translator", json_schema_extra=protocol()
    )
    grid: int = Field(1, ge=1, le=16, description="of colour_map: colour maps along a side; 1: one for the image")
    critic_width: int = Field(
        32,
        ge=4,
        le=256,
        description="channels of the critic's first convolution (StarGAN: 64)",
        json_schema_extra=protocol(),
    )
    translator_epochs: int = Field(
        37,
        ge=1,
        le=100_000,
        description="epochs of stage 1",
        json_schema_extra=protocol(),
    )
    translator_batch: int = Field(
        32,
        ge=2,
        le=4096,
        description="rows a critic step; a batch is cut into as many steps",
        json_schema_extra=protocol(),
    )
    translator_lr: float = Field(5e-4, gt=0, le=1, description="Adam, both networks, falling to 0 in the second half")
    translator_betas: tuple[float, float] = Field((0.5, 0.999), description="Adam's moments")
    n_critic: int = Field(2, ge=1, le=100, description="critic steps a translator step", json_schema_extra=protocol())
    lambda_cls: float = Field(1.0, ge=0, description="l_cls")
    lambda_rec: float = Field(
        10.0, ge=0, description="l_rec", json_schema_extra={"sweep": {"low": 1.0, "high": 100.0, "log": True}}
    )
    lambda_gp: float = Field(10.0, ge=0, description="l_gp")
    lambda_identity: float = Field(
        0.0, ge=0, description="weight of mean |x - G(x, y)|, the image translated to its own class (ours)"
    )
    lambda_feature: float = Field(
        0.0, ge=0, description="weight of l_rec on the critic's last features, relative to their size (ours)"
    )
    lambda_content: float = Field(
        0.0,
        ge=0,
        description=(
            "weight of CE(R(translation), y); R learns the classes from images in random colours: it takes for "
            "granted that colour is no content (ours)"
        ),
    )
    critic_reach: Literal[1, 3, 5, 9] | None = Field(
        None, description="pixels that the critic sees at once; null: the whole image (ours)"
    )
    critic_hides: Hidden = Field(
        "none",
        description=(
            "what the critic sees, real and translated: shift: moved and mirrored; "
            "shuffle: patches in random order (ours)"
        ),
    )
    patch: int = Field(4, ge=1, le=64, description="of shuffle: side of a patch in pixels")
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description=(
            "decay of the moving average of the translator's weights that translates; 0: the weights themselves"
        ),
    )
    gate: Literal["warn", "stop", "ignore"] = Field("warn", description="what a failed translation report does")
    max_content_moved: float = Field(
        0.3, ge=0, le=1, description="gate: largest share of translations read as the target class"
    )
    min_content_kept: float = Field(
        0.6, ge=0, le=1, description="gate: smallest share of translations still read as their class"
    )


class Cdvg(Views):
    """Translator first, then a classifier on contrasted views of different bias modes."""

    Config: ClassVar[type[CdvgConfig]] = CdvgConfig
    config: CdvgConfig
    critic_steps: Tensor
    name: ClassVar[str] = "cdvg"
    summary: ClassVar[str] = "translator that moves the bias, then contrast between bias modes"
    checks: ClassVar[tuple[str, ...]] = ("translation",)
    costs: ClassVar[dict[str, str]] = {"critic_steps": "steps of the translator's critic"}

    def __init__(self, config: CdvgConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.size = padded_size(self._model.size)
        self.register_buffer("critic_steps", torch.zeros((), dtype=torch.int64))
        auto = "shallow" if self._model.size <= 16 else "stargan"
        preset = auto if config.translator == "auto" else config.translator
        classes = self._model.classes
        depth = max(1, self.size.bit_length() - 2)  # log2(S) - 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "translator"))
            self.translator: nn.Module
            if preset == "shallow":
                self.translator = Shallow(classes, config.width, config.reach)
            elif preset == "stargan":
                self.translator = StarGAN(classes, config.width, config.blocks, 1 if self.size <= 16 else 2)
            else:
                self.translator = ColourMap(classes, self.size, config.width, config.grid)
            self.critic = (
                Critic(classes, self.size, config.critic_width, depth)
                if config.critic_reach is None
                else PatchCritic(classes, config.critic_width, config.critic_reach)
            )
            self.content_classifier = ContentClassifier(classes, 16) if config.lambda_content else None
        self.average = copy.deepcopy(self.translator) if config.ema else None
        if config.critic_hides == "shuffle" and self.size % config.patch:
            raise UnfitError(
                f"images of {self.size} px cannot be cut into patches of {config.patch} px: set another patch"
            )
        for part in self._stage_one:
            part.requires_grad_(False)

    @property
    def _stage_one(self) -> list[nn.Module]:
        """What stage 1 trains, and the average of it."""
        parts = (self.translator, self.critic, self.content_classifier, self.average)
        return [part for part in parts if part is not None]

    @property
    def gate(self) -> dict[str, Any]:
        """What the problem's report holds the translator to."""
        c = self.config
        return {"action": c.gate, "max_content_moved": c.max_content_moved, "min_content_kept": c.min_content_kept}

    @torch.no_grad()
    def translate(self, x: Tensor, mode: Tensor) -> Tensor:
        translator = self.translator if self.average is None else self.average
        return crop(translator(pad(x, self.size), mode), x.shape[-1])

    def stages(self, view: ExperienceView) -> list[Stage]:
        c = self.config
        if len(self.modes_of(view)) < 2 or c.translate_views == "none":
            return super().stages(view)
        steps = c.translator_epochs * sum(
            -(-min(view.batch_size, len(view.index) - start) // c.translator_batch)
            for start in range(0, len(view.index), view.batch_size)
        )
        arguments = {"lr": c.translator_lr, "betas": c.translator_betas}
        optimizers = {
            "critic": OptimizerSpec(list(self.critic.parameters()), "Adam", arguments, _late_decay(steps)),
            "translator": OptimizerSpec(
                list(self.translator.parameters()), "Adam", arguments, _late_decay(steps // c.n_critic)
            ),
        }
        if self.content_classifier is not None:
            optimizers["content"] = OptimizerSpec(list(self.content_classifier.parameters()), "Adam", {"lr": 2e-3})
        first = Stage("translator", c.translator_epochs, optimizers, step=self.translator_step)
        return [first, *super().stages(view)]

    def after_stage(self, stage: Stage, view: ExperienceView) -> None:
        if stage.name == "translator":
            for part in self._stage_one:
                part.requires_grad_(False)
            self._cache = None

    def translator_step(self, batch: Batch, ctx: StepContext) -> Iterator[Update]:
        """One batch, cut into critic steps of ``translator_batch`` rows, then a translator step every ``n_critic``."""
        c = self.config
        x, y = pad(self._model.pixels(batch), self.size), batch["label"]
        for real, labels in zip(x.split(c.translator_batch), y.split(c.translator_batch), strict=True):
            modes = labels[torch.randperm(len(labels), generator=ctx.augment).to(labels.device)]  # y' may equal y
            alpha = torch.rand(len(real), 1, 1, 1, generator=ctx.augment).to(real.device)
            seen = hide(c.critic_hides, real.shape, c.patch, ctx.augment)
            self.critic.requires_grad_(True)
            self.translator.requires_grad_(False)
            fake = self.translator(real, modes)
            src_real, cls_real = self.critic(seen(real))
            adversarial, classes = critic_loss(src_real, self.critic(seen(fake))[0], cls_real, labels)
            penalty = gradient_penalty(lambda z: self.critic(z)[0], seen(real), seen(fake), alpha)
            loss = adversarial + c.lambda_cls * classes + c.lambda_gp * penalty
            yield Update(
                loss,
                "critic",
                logs={"critic/adversarial": adversarial, "critic/classes": classes, "critic/penalty": penalty},
            )
            self.critic_steps.add_(1)
            if self.content_classifier is not None:
                self.content_classifier.requires_grad_(True)
                content = F.cross_entropy(self.content_classifier(scrambled(real, ctx.augment)), labels)
                yield Update(content, "content", logs={"content/classes": content})
                self.content_classifier.requires_grad_(False)
            if int(self.critic_steps) % c.n_critic:
                continue
            self.critic.requires_grad_(False)
            self.translator.requires_grad_(True)
            fake = self.translator(real, modes)
            rebuilt_images = self.translator(fake, labels)
            src, cls = self.critic(seen(fake))
            adversarial, classes, rebuilt = generator_loss(src, cls, modes, real, rebuilt_images)
            loss = adversarial + c.lambda_cls * classes + c.lambda_rec * rebuilt
            logs = {"translator/adversarial": adversarial, "translator/classes": classes, "translator/rebuilt": rebuilt}
            for name, weight, term in self._extra(real, labels, fake, rebuilt_images, ctx):
                loss = loss + weight * term
                logs[f"translator/{name}"] = term
            yield Update(loss, "translator", logs=logs)
            self._follow()
        self.critic.requires_grad_(False)
        self.translator.requires_grad_(False)

    def _extra(
        self, real: Tensor, labels: Tensor, fake: Tensor, rebuilt: Tensor, ctx: StepContext
    ) -> Iterator[tuple[str, float, Tensor]]:
        """Name, weight and value of the translator's terms that StarGAN v1 does not have."""
        c = self.config
        if c.lambda_identity:
            yield "identity", c.lambda_identity, (real - self.translator(real, labels)).abs().mean()
        if c.lambda_feature:
            real_features = self.critic.main(real)
            size = real_features.abs().mean().clamp(min=1e-6)
            yield "feature", c.lambda_feature, (real_features - self.critic.main(rebuilt)).abs().mean() / size
        if self.content_classifier is not None:
            scores = self.content_classifier(scrambled(fake, ctx.augment))
            yield "content", c.lambda_content, F.cross_entropy(scores, labels)

    @torch.no_grad()
    def _follow(self) -> None:
        """The moving average of the translator's weights, ``θ' = d θ' + (1 - d) θ``.

        d begins as (1 + t) / (10 + t), so that the first weights are forgotten.
        """
        if self.average is None:
            return
        done = int(self.critic_steps) // self.config.n_critic
        decay = min(self.config.ema, (1 + done) / (10 + done))
        for mine, theirs in zip(self.average.parameters(), self.translator.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)

    def cost(self) -> dict[str, float]:
        return {"critic_steps": float(self.critic_steps)}


def _late_decay(steps: int) -> Callable[[int], float]:
    """1 in the first half of ``steps``, then linearly to 0."""

    def factor(step: int) -> float:
        return min(1.0, max(0.0, 2 * (1 - step / max(1, steps))))

    return factor


METHOD = Cdvg
