"""COCONUT: replay with two supervised contrastive losses (Cappellazzo et al., Findings of ACL 2024, arXiv 2310.02699).

What is not sourced from the paper's text is a field of :class:`CoconutConfig`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.seeds import derive
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import StepContext, protocol
from ..losses.multimodal import multimodal
from ..losses.nspt import nspt
from ..losses.numerics import masked_mean
from ..networks.protocols import Requires, SequenceModel
from .distillation import Distillation, DistillationConfig


class CoconutConfig(DistillationConfig):
    """Fields of COCONUT beside its memory and the distillations that can be combined with it."""

    temperature: float = Field(
        0.1,
        gt=0,
        le=10,
        description="τ of both contrastive losses",
        json_schema_extra={"sweep": {"choices": [0.05, 0.07, 0.1, 0.2, 0.5]}},
    )
    lambda_mm: float = Field(
        0.1,
        ge=0,
        description="λ_MM, weight of the audio-text loss",
        json_schema_extra={"sweep": {"low": 0.01, "high": 1.0, "log": True}},
    )
    lambda_nspt: float | Literal["auto"] = Field(
        "auto",
        description="λ_NSPT; auto: L_p / (L_p + L_n), past over all seen classes (experiences where classes repeat)",
    )
    negatives: Literal["student", "teacher"] = Field("student", description="who gives the denominator: NS.. or NT..")
    positives: Literal["student", "teacher"] = Field("teacher", description="who gives the positives: ..PT or ..PS")
    denominator: Literal["all", "others", "new", "negatives"] = Field("all", description="rows of the NSPT denominator")
    include_self_positive: bool = Field(True, description="the teacher's view of the anchor is a positive")
    nspt_anchors: Literal["rehearsal", "all"] = Field("rehearsal", description="anchors of NSPT")
    mm_anchors: Literal["new", "all"] = Field("new", description="anchors of MM")
    normalize: bool = Field(True, description="L2-normalise projections before the dot product")
    reduction: Literal["mean", "sum", "batch"] = Field(
        "mean",
        description=(
            "of NSPT: over its anchors, or their sum divided by the batch size, "
            "which weighs an anchor like a row of L_ASR"
        ),
        json_schema_extra={"sweep": {"choices": ["mean", "batch"]}},
    )
    projection: int = Field(512, ge=1, le=8192, description="d_S, width of g_A and g_T", json_schema_extra=protocol())
    text_pool: Literal["intent", "mean"] = Field(
        "intent", description="text vector: the intent token's embedding, or the mean of all"
    )
    mask_pooling: bool = Field(True, description="mean over valid frames alone; false: over padded frames too")


class Coconut(Distillation):
    """Experience replay + λ_MM · MM + λ_NSPT · NSPT. With both λ = 0 it is experience replay to the bit."""

    Config: ClassVar[type[CoconutConfig]] = CoconutConfig
    config: CoconutConfig
    name: ClassVar[str] = "coconut"
    summary: ClassVar[str] = "replay + audio-text and student-teacher supervised contrastive losses"
    requires: ClassVar[Requires] = Requires(model=SequenceModel, columns=("features", "tokens", "intent", "label"))

    def heads(self) -> list[nn.Module]:
        d_audio, d_text = self._model.d_audio, self._model.d_text
        with torch.random.fork_rng(devices=[]):  # the projections must not move the generator of dropout
            torch.manual_seed(derive(self.seed, "projections"))
            self.project_audio = nn.Linear(d_audio, self.config.projection)  # g_A
            self.project_text = nn.Linear(d_text, self.config.projection)  # g_T
        return [self.project_audio]

    @property
    def needs_teacher(self) -> bool:  # step 1: θ_{n-1} with g_A, frozen
        return super().needs_teacher or self.config.lambda_nspt == "auto" or float(self.config.lambda_nspt) > 0

    def weight_nspt(self, view: ExperienceView) -> float:
        """λ_NSPT: 0 in the first experience, else L_p / (L_p + L_n) (experiences where classes repeat) or a number."""
        if self.config.lambda_nspt != "auto":
            return float(self.config.lambda_nspt)
        return view.past_share

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        batch = self._model.augment(batch, ctx.augment)  # (a) student and teacher see the same audio
        h, mask = self._model.encode(batch)  # (b) [B, T, d_A], [B, T] True = valid
        return self.objective(h, mask, batch, ctx)

    def objective(self, h: Tensor, mask: Tensor, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        """The step's result from encoded frames h [B, T, d_A]: L_ASR, both contrasts and what is distilled."""
        c = self.config
        loss, logs = self._model.loss_from(h, mask, batch)  # (c) L_ASR

        weight = self.weight_nspt(ctx.view)
        is_memory = batch["is_memory"]  # [B]
        if c.lambda_mm > 0 or weight > 0:
            audio = self.project_audio(self._pool(h, mask))  # a [B, d_S]
            intent = batch["intent"]  # [B]
        if c.lambda_mm > 0:  # (d)
            text = self.project_text(self._text(batch))  # t [B, d_S]
            mm = multimodal(
                audio, text, intent, is_memory, temperature=c.temperature, anchors=c.mm_anchors, normalize=c.normalize
            )
            loss = loss + c.lambda_mm * mm
            logs["loss/mm"] = mm
        if weight > 0 and self.teacher.taken and (c.nspt_anchors == "all" or bool(is_memory.any())):  # (e)
            old = self._teacher_audio(batch, is_memory)  # a^{n-1} [B, d_S]
            contrast = nspt(
                audio,
                old,
                intent,
                is_memory,
                temperature=c.temperature,
                negatives=c.negatives,
                positives=c.positives,
                denominator=c.denominator,
                include_self_positive=c.include_self_positive,
                normalize=c.normalize,
                anchors=c.nspt_anchors,
                reduction=c.reduction,
            )
            loss = loss + weight * contrast
            logs["loss/nspt"] = contrast
        return self.distil(loss, logs, h, mask, batch, ctx)  # (f)

    def _pool(self, h: Tensor, mask: Tensor) -> Tensor:
        return masked_mean(h, mask) if self.config.mask_pooling else h.mean(1)

    def _text(self, batch: Batch) -> Tensor:
        """Text vectors [B, d_T]: raw embeddings, no positions, no scale."""
        tokens = batch["tokens"]  # [B, J] = SOS, intent, ...
        if self.config.text_pool == "intent":
            return self._model.embed(tokens[:, 1])
        valid = torch.arange(tokens.shape[1], device=tokens.device) < batch["tokens_lengths"][:, None]
        return masked_mean(self._model.embed(tokens), valid)

    @torch.no_grad()
    def _teacher_audio(self, batch: Batch, is_memory: Tensor) -> Tensor:
        """a^{n-1} [B, d_S]; only the rows that the loss reads are computed, the rest are zero."""
        every = self.config.negatives == "teacher" or self.config.nspt_anchors == "all"
        rows = torch.arange(len(is_memory), device=is_memory.device) if every else is_memory.nonzero().flatten()
        model: Any
        projection: Any
        model, projection = cast(nn.ModuleList, self.teacher.module)
        part = {name: value[rows] for name, value in batch.items()}
        h, mask = model.encode(part)
        old = projection(self._pool(h, mask))
        self.teacher_passes.add_(1)
        return old.new_zeros(len(is_memory), old.shape[1]).index_copy(0, rows, old)

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """Decoded ``tokens`` [B, L], and ``retrieved`` [B]: the class whose text vector is nearest to the audio."""
        h, mask = self._model.encode(batch)
        audio = F.normalize(self.project_audio(self._pool(h, mask)), dim=1)  # a [B, d_S]
        text = F.normalize(self.project_text(self._model.embed(self._model.intent_tokens)), dim=1)  # t [C, d_S]
        return {"tokens": self._model.decode(h, mask), "retrieved": (audio @ text.T).argmax(1)}


METHOD = Coconut
