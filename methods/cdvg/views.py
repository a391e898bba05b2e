"""Stage 2 of CDvG on any translator: views of different bias modes, a classifier, a contrast."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core import limits
from ...datasets.core.seeds import derive
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Method, MethodConfig, Stage, StepContext, UnfitError, protocol
from ..losses.ntxent import ntxent
from ..losses.numerics import zero
from ..losses.supcon import supcon
from ..losses.views_ce import views_ce
from ..networks.protocols import Classifier, Requires


class ViewsConfig(MethodConfig):
    """Stage 2: views, classifier, contrast."""

    temperature: float = Field(
        0.1,
        gt=0,
        le=10,
        description="τ of the contrastive loss (our reading)",
        json_schema_extra={"sweep": {"low": 0.05, "high": 0.5, "log": True}},
    )
    lambda_con: float = Field(
        1.0,
        ge=0,
        le=1000,
        description="λ, weight of the contrastive loss (our reading)",
        json_schema_extra={"sweep": {"low": 0.1, "high": 10.0, "log": True}},
    )
    contrast: Literal["ntxent", "supcon", "none"] = Field(
        "ntxent", description="positives: the other view of the image; all views of its class; no contrast"
    )
    view_mode: Literal["pair", "original", "all"] = Field(
        "pair", description="two translated views; the image and one; one view a mode"
    )
    ce_on: Literal["views", "original", "both"] = Field("views", description="where cross-entropy acts")
    keep_own: bool = Field(
        False, description="a view of the image's own class is the image itself, not its translation"
    )
    objective: Literal["joint", "two_stage"] = Field(
        "joint", description="joint; two_stage: contrast alone, then a linear head on the frozen encoder"
    )
    translate_views: Literal["online", "cached", "none"] = Field(
        "online",
        description="translator in the loop; all translations made once, as bytes; no translator (augmentation alone)",
    )
    projection: int = Field(
        64, ge=1, le=8192, description="P, width of the projection's output", json_schema_extra=protocol()
    )


class Projection(nn.Sequential):
    """p: H -> H -> ReLU -> P."""

    def __init__(self, features: int, out: int) -> None:
        super().__init__(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, out))


class Views(Method[Classifier]):
    """Stage 2 on any translator: the base of CDvG, its oracle and its ablations. Predictions are made on original
    images.
    """

    Config: ClassVar[type[ViewsConfig]] = ViewsConfig
    config: ViewsConfig
    requires: ClassVar[Requires] = Requires(model=Classifier, columns=("image", "label"))

    def __init__(self, config: ViewsConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self._modes: tuple[int, ...] = ()
        self._cache: tuple[Tensor, Tensor] | None = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "projections"))
            self.project = Projection(self._model.features_out, config.projection)

    @staticmethod
    def modes_of(view: ExperienceView) -> tuple[int, ...]:
        """Classes with a row in this experience: a mode without an image would never be learned, and must not be
        drawn.
        """
        return tuple(sorted(set(view.labels().tolist())))

    @property
    def modes(self) -> tuple[int, ...]:
        """The classes whose bias the translator knows."""
        return self._modes

    @property
    def untranslatable(self) -> bool:
        """Views shall be translated, and one class leaves no other mode: cross-entropy alone, on two augmentations."""
        return len(self._modes) < 2 and self.config.translate_views != "none"

    def translate(self, x: Tensor, mode: Tensor) -> Tensor:
        """x [B, 3, S, S] in [-1, 1] under the bias of class ``mode`` [B]; same shape and range."""
        raise NotImplementedError(f"{type(self).__name__} must define translate")

    def get_extra_state(self) -> dict[str, Any]:
        return {"modes": list(self._modes)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self._modes = tuple(state["modes"])

    def before_experience(self, view: ExperienceView) -> None:
        self._modes = self.modes_of(view)
        self._cache = None
        if self.untranslatable:
            warnings.warn("one class has no other mode to be translated to: cross-entropy alone", stacklevel=2)
        if self.config.objective == "two_stage" and self.config.contrast == "none":
            raise UnfitError("objective two_stage trains the encoder by contrast alone: contrast must not be none")

    @classmethod
    def total_epochs(cls, config: Any, epochs: int) -> int | None:
        return epochs if config.objective == "joint" else 2 * epochs

    def stages(self, view: ExperienceView) -> list[Stage]:
        if self.config.objective == "joint" or self.untranslatable:
            return [Stage("classifier")]
        return [Stage("encoder", step=self.contrast_step), Stage("classifier", step=self.head_step)]

    # -- views -----------------------------------------------------------------------------------------------------

    def draw_modes(self, n: int, count: int, generator: torch.Generator) -> Tensor:
        """``count`` distinct modes for each of ``n`` images, uniform without replacement: [count, n]."""
        known = torch.tensor(self.modes)
        return known[torch.rand(n, len(known), generator=generator).argsort(1)[:, :count]].T

    def views(self, x: Tensor, batch: Batch, ctx: StepContext) -> list[Tensor]:
        """Steps 1 and 2: the views [V] x [B, 3, S, S], translated without gradients, augmented one by one."""
        c, labels = self.config, batch["label"]
        if c.translate_views == "none" or len(self.modes) < 2:
            return [self._model.views(x, ctx.augment) for _ in range(2)]
        if c.view_mode == "original":
            known = torch.tensor(self.modes)
            score = torch.rand(len(x), len(known), generator=ctx.augment)
            score[known[None, :] == labels.cpu()[:, None]] = -1  # a mode other than the image's class
            modes = known[score.argmax(1)][None]
        else:
            modes = self.draw_modes(len(x), 2 if c.view_mode == "pair" else len(self.modes), ctx.augment)
        made = [self._view(x, mode.to(x.device), batch, ctx) for mode in modes]
        made = [x, *made] if c.view_mode == "original" else made
        return [self._model.views(v, ctx.augment) for v in made]

    @torch.no_grad()
    def _view(self, x: Tensor, mode: Tensor, batch: Batch, ctx: StepContext) -> Tensor:
        if self.config.translate_views == "cached":
            rows, images = self._cached(ctx.view)
            positions = torch.searchsorted(rows, batch["index"].cpu())
            made = images[mode.cpu(), positions].to(x.device).float() / 127.5 - 1
        else:
            made = self.translate(x, mode)
        if self.config.keep_own:
            made = torch.where((mode == batch["label"])[:, None, None, None], x, made)
        return made

    def _cached(self, view: ExperienceView) -> tuple[Tensor, Tensor]:
        """This experience's rows, ascending [n], and all their translations as bytes [C, n, 3, S, S]; made again
        after a resume.
        """
        if self._cache is None:
            rows, done = view.index.sort().values, 0
            cache = torch.empty(0, dtype=torch.uint8)
            for batch in view.batches(rows):
                x = self._model.pixels(batch)
                if not done:
                    shape = torch.Size((max(self.modes) + 1, len(rows), *x.shape[1:]))
                    if shape.numel() > 4 * 2**30:
                        size = limits.in_words(shape.numel())
                        text = f"cached translations take {size}: translate_views online needs none"
                        warnings.warn(text, stacklevel=2)
                    cache = torch.zeros(shape, dtype=torch.uint8)
                for m in self.modes:
                    made = self.translate(x, torch.full((len(x),), m, device=x.device))
                    cache[m, done : done + len(x)] = ((made + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()
                done += len(x)
            self._cache = rows, cache
        return self._cache

    # -- steps -----------------------------------------------------------------------------------------------------

    def weights(self, x: Tensor, batch: Batch, ctx: StepContext) -> tuple[Tensor | None, Tensor | None]:
        """Weights w [B] of the cross-entropy, and a loss of what gives them; neither here."""
        return None, None

    def contrast(self, z: Tensor, labels: Tensor, n_views: int) -> Tensor:
        """L_con of projections [V·B, P]."""
        c = self.config
        if c.contrast == "none" or len(labels) < 2:
            return zero(z)
        if c.contrast == "ntxent" and n_views == 2:
            return ntxent(*z.chunk(2), temperature=c.temperature)
        image = torch.arange(len(labels), device=z.device)
        return supcon(z, (labels if c.contrast == "supcon" else image).repeat(n_views), temperature=c.temperature)

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        c, labels = self.config, batch["label"]
        x = self._model.pixels(batch)  # [B, 3, S, S]
        views = self.views(x, batch, ctx)  # (1), (2)
        n = len(views)
        weights, host_loss = self.weights(x, batch, ctx)
        original = [self._model.views(x, ctx.augment)] if c.ce_on != "views" else []
        h = self._model.encode(torch.cat([*views, *original]))  # (3) one forward: BatchNorm sees every view
        o = self._model.classify(h)  # [(V+1)·B, C]
        ce_rows = o[: n * len(x)] if c.ce_on == "views" else o[n * len(x) :] if c.ce_on == "original" else o
        loss = views_ce(ce_rows, labels, weights)  # (4)
        logs = {"loss/ce": loss}
        if c.lambda_con > 0 and c.contrast != "none" and not self.untranslatable:  # (5)
            contrast = self.contrast(self.project(h[: n * len(x)]), labels, n)
            loss = loss + c.lambda_con * contrast  # (6)
            logs["loss/contrast"] = contrast
        if host_loss is not None:
            loss = loss + host_loss
            logs["loss/host"] = host_loss
        return {"loss": loss, **logs}

    def contrast_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        """two_stage, first: f and p by L_con alone."""
        views = self.views(self._model.pixels(batch), batch, ctx)
        z = self.project(self._model.encode(torch.cat(views)))
        return {"loss": self.contrast(z, batch["label"], len(views))}

    def head_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        """two_stage, second: linear g on the frozen f, cross-entropy on views."""
        self._model.encoder.eval()
        with torch.no_grad():
            h = self._model.encode(torch.cat(self.views(self._model.pixels(batch), batch, ctx)))
        return {"loss": views_ce(self._model.classify(h), batch["label"])}
