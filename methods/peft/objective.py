"""What every tuner may add to cross-entropy: Mixup and a contrastive term; and which rows of a batch it trains on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.table import Batch
from ...datasets.core.texts import ALTERATIONS, ORIGINAL
from ...datasets.core.view import ExperienceView
from ..base import StepContext, protocol
from ..continual.er import RehearsalConfig
from ..losses.contrastive_total import contrastive_total
from ..losses.mixup import mixed_rows, mixed_targets, soft_cross_entropy
from ..losses.ntxent import ntxent
from ..losses.pair_margin import pair_margin
from ..losses.supcon import supcon
from ..losses.supremix import beta_draws
from ..networks.protocols import Mix, TextModel

Alteration = Literal["eda", "back_translation", "other"]
Encode = Callable[[Batch, Mix | None], Tensor]  # representations [B, A, H] of a batch


class ObjectiveConfig(RehearsalConfig):
    """Augmentation, Mixup, contrast, and what is replayed."""

    memory_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="|M| as a share of the training rows; null: memory_rows",
        json_schema_extra=protocol(),
    )
    memory_rows: int | None = Field(
        0, ge=0, description="|M| in rows, replayed as raw text; 0: no replay", json_schema_extra=protocol()
    )
    augmentation: tuple[Alteration, ...] = Field(
        (),
        description="alterations made by data.transforms that it trains on; an altered row of another kind is replaced "
        "by its original, so that the number of optimizer steps stays",
    )
    balanced: bool = Field(
        False,
        description="batches with as many rows of every class, where they have room for two of each",
        json_schema_extra=protocol(),
    )
    mixup: Literal["none", "sentence", "embedding", "hidden"] = Field("none", description="where two texts are mixed")
    mixup_alpha: float = Field(
        1.0,
        gt=0,
        description="λ is drawn from Beta(α, α)",
        json_schema_extra={"sweep": {"low": 0.1, "high": 2.0, "log": True}},
    )
    mixup_each: bool = Field(False, description="a λ for each row, else one for the batch")
    mixup_layer: int = Field(1, ge=1, description="of mixup: hidden: the layer whose output is mixed, from 1")
    mix_prob: float = Field(1.0, ge=0, le=1, description="share of batches that are mixed")
    keep_clean: bool = Field(True, description="the mean of the clean and of the mixed loss, else the mixed one alone")
    contrast: Literal["none", "supcon", "instance", "pair"] = Field(
        "none",
        description="contrastive term: rows of a class; a text and one of its alterations; pairs with a margin",
    )
    contrast_weight: float = Field(
        0.5, ge=0, description="λ_c", json_schema_extra={"sweep": {"low": 0.0, "high": 0.95}}
    )
    total: Literal["convex", "additive"] = Field("convex", description="(1 - λ_c) L + λ_c L_con, or L + λ_c L_con")
    temperature: float = Field(
        0.3,
        gt=0,
        le=10,
        description="τ of supcon and instance",
        json_schema_extra={"sweep": {"low": 0.05, "high": 1.0, "log": True}},
    )
    margin: float = Field(1.0, ge=0, description="of pair: how far apart unlike rows of unit length are pushed")
    projection: int | None = Field(
        None, ge=1, description="width of a linear projection before the contrast; null: z itself"
    )

    @model_validator(mode="after")
    def _weight(self) -> ObjectiveConfig:
        if self.contrast != "none" and self.total == "convex" and self.contrast_weight > 1:
            raise ValueError("contrast_weight: of a convex total at most 1")
        return self

    @property
    def contrasts(self) -> bool:
        """Whether there is a contrastive term: with a weight of 0 a run is that without one, to the bit."""
        return self.contrast != "none" and self.contrast_weight > 0


class Objective(nn.Module):
    """The loss of a batch. ``projector``: of the contrast, trained with the rest."""

    def __init__(self, config: ObjectiveConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.projector: nn.Module | None = None
        if config.contrasts and config.projection is not None:
            self.projector = nn.Linear(width, config.projection)
        if config.contrasts and config.total == "convex" and config.contrast_weight == 1:
            warnings.warn("contrast_weight=1 in a convex total: nothing trains the head", stacklevel=2)
        self._sources: dict[int, Sources] = {}  # of the newest experience; made anew after a resume

    def loss(self, model: TextModel, batch: Batch, ctx: StepContext, encode: Encode) -> dict[str, Tensor]:
        """``loss``, and its parts as logs; ``encode`` makes representations of a batch."""
        config, sources = self.config, self.sources(ctx.view)
        batch = sources.admitted(batch, ctx.view)
        mix = self._mix(len(batch["label"]), ctx, model)
        mixes_inside = mix is not None and config.mixup != "sentence"
        clean = None
        if config.contrasts or config.keep_clean or not mixes_inside:
            clean = encode(batch, None)
        task = self._task(model, batch, clean, mix, encode)
        if not config.contrasts:
            return {"loss": task}
        assert clean is not None
        contrast = self._contrast(batch, clean, ctx, encode)
        total = contrastive_total(task, contrast, config.contrast_weight, config.total)
        return {"loss": total, "loss/task": task, "loss/contrast": contrast}

    def _task(self, model: TextModel, batch: Batch, clean: Tensor | None, mix: Mix | None, encode: Encode) -> Tensor:
        """Cross-entropy, of mixed rows with soft targets."""
        label = batch["label"]
        if mix is None:
            assert clean is not None
            return F.cross_entropy(model.logits(clean, batch).float(), label)
        if self.config.mixup == "sentence":
            assert clean is not None
            mixed = mixed_rows(clean, mix.order, mix.share)
        else:
            mixed = encode(batch, mix)
        logits = model.logits(mixed, batch).float()
        targets = mixed_targets(label, mix.order, mix.share, logits.shape[1], logits.dtype)
        targets = targets.masked_fill(logits == -torch.inf, 0.0)  # a class of another task, which does not compete
        loss = soft_cross_entropy(logits, targets)
        if not self.config.keep_clean:
            return loss
        assert clean is not None
        return (loss + F.cross_entropy(model.logits(clean, batch).float(), label)) / 2

    def _mix(self, rows: int, ctx: StepContext, model: TextModel) -> Mix | None:
        """Whom each row is mixed with, and by how much."""
        config = self.config
        if config.mixup == "none":
            return None
        order = torch.randperm(rows, generator=ctx.augment)
        drawn = beta_draws((rows if config.mixup_each else 1,), config.mixup_alpha, config.mixup_alpha, ctx.augment)
        if config.mix_prob < 1 and float(torch.rand((), generator=ctx.augment)) >= config.mix_prob:
            return None
        device = model.head.weight.device
        share = drawn.to(model.head.weight.dtype).expand(rows).to(device)
        level: Any = "embedding" if config.mixup == "sentence" else config.mixup
        return Mix(level, order.to(device), share, config.mixup_layer)

    def _contrast(self, batch: Batch, clean: Tensor, ctx: StepContext, encode: Encode) -> Tensor:
        """The contrastive term of clean representations."""
        config, z = self.config, self._projected(clean)
        if config.contrast == "supcon":
            return supcon(z, batch["label"], temperature=config.temperature)
        if config.contrast == "pair":
            return pair_margin(z, batch["label"], margin=config.margin)
        partner = self.sources(ctx.view).partners(batch, ctx)
        return ntxent(z, self._projected(encode(partner, None)), temperature=config.temperature)

    def _projected(self, z: Tensor) -> Tensor:
        return z[:, 0] if self.projector is None else self.projector(z[:, 0])

    def sources(self, view: ExperienceView) -> Sources:
        """Which rows of an experience come from which text."""
        if view.experience not in self._sources:
            self._sources = {view.experience: Sources(view, self.config.augmentation)}
        return self._sources[view.experience]


class Sources:
    """Rows by the text that they come from, of all rows that a view admits."""

    def __init__(self, view: ExperienceView, used: tuple[Alteration, ...]) -> None:
        rows = torch.cat([view.index, view.memory])
        kinds = {ALTERATIONS.index(name) for name in used}
        source, altered = view.labels("source_id", rows), view.labels("altered", rows)
        originals = dict(zip(source[altered == ORIGINAL].tolist(), rows[altered == ORIGINAL].tolist(), strict=True))
        self.stand_in = torch.arange(view.n_rows)
        self.alterations: dict[int, list[int]] = {}
        for row, text, kind in zip(rows.tolist(), source.tolist(), altered.tolist(), strict=True):
            if kind != ORIGINAL and kind not in kinds:
                self.stand_in[row] = originals.get(text, row)
            elif kind != ORIGINAL:
                self.alterations.setdefault(text, []).append(row)

    def admitted(self, batch: Batch, view: ExperienceView) -> Batch:
        """The batch with every row of an alteration that is not used replaced by its original."""
        rows = batch["index"].cpu()
        instead = self.stand_in[rows]
        if torch.equal(rows, instead):
            return batch
        return {**view.gather(instead), "is_memory": batch["is_memory"]}

    def partners(self, batch: Batch, ctx: StepContext) -> Batch:
        """For every row another row of the same text, drawn from its alterations; of a text without one the row itself,
        which dropout makes another view of.
        """
        rows = batch["index"].cpu().tolist()
        chosen = []
        for row, text in zip(rows, batch["source_id"].tolist(), strict=True):
            others = [other for other in self.alterations.get(text, []) if other != row]
            at = int(torch.randint(max(1, len(others)), (), generator=ctx.augment))
            chosen.append(others[at] if others else row)
        return ctx.view.gather(torch.tensor(chosen, dtype=torch.int64))

    def kept(self, rows: Tensor) -> Tensor:
        """Those of ``rows`` that are trained on as they are."""
        return rows[self.stand_in[rows] == rows]
