"""Experience replay with distillation from the model of the experience before: audio, text, token, sequence, logit.

Each distillation is written once, here; COCONUT inherits them, and a recipe combines them by switching fields on.
Sources: Cappellazzo et al., Interspeech 2023 (audio-, token- and sequence-KD on SLURP) and the comparison in the
COCONUT paper.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.table import Batch
from ...datasets.core.transcript import PAD_ID, SOS_ID
from ...datasets.core.view import ExperienceView
from ..base import FrozenCopy, StepContext
from ..continual.er import ER, RehearsalConfig
from ..losses.distillation import audio_kd, kd_logits, mix, text_kd, token_kd, weight_log_ratio, weight_sqrt_batch
from ..losses.transcription import transcription
from ..networks.protocols import Requires, SequenceModel


class DistillationConfig(RehearsalConfig):
    """Which distillations are added to replay, and how they are weighted."""

    audio_kd: bool = Field(False, description="A-KD: squared error of the encoder's outputs h_A")
    text_kd: bool = Field(False, description="T-KD: squared error of the token embeddings h_T")
    token_kd: bool = Field(False, description="tok-KD: the teacher's token distributions on ground-truth prefixes")
    seq_kd: bool = Field(False, description="S-KD: the teacher's best hypotheses of the memory as targets")
    logit_kd: bool = Field(
        False, description="KL of softened logits, as on the classifiers of the authors' earlier code"
    )
    kd_weight: Literal["class_ratio", "sqrt_batch", "log_ratio"] | float = Field(
        "class_ratio",
        description=(
            "weight of each: L_p/(L_p+L_n), sqrt(|I_r|/B), log(1+C_old/C), or a number; "
            "the middle two take 1 - weight from L_ASR where one distillation is on"
        ),
        json_schema_extra={"sweep": {"choices": ["class_ratio", "sqrt_batch", 0.1, 0.5, 1.0]}},
    )
    kd_rows: Literal["rehearsal", "all"] = Field("rehearsal", description="rows distilled")
    kd_temperature: float = Field(2.0, gt=0, le=100, description="τ of logit_kd")
    kd_reduction: Literal["elements", "batch"] = Field(
        "elements", description="of logit_kd: over all elements (the public code) or rows"
    )
    token_form: Literal["ce", "kl"] = Field("ce", description="tok-KD as cross-entropy or as KL")
    skd_beam: int = Field(5, ge=1, le=64, description="beam width of the stored hypotheses")
    skd_refresh: bool = Field(True, description="renew the hypotheses of older rows after every experience")

    @property
    def distillations(self) -> tuple[str, ...]:
        """Names of those that are on."""
        return tuple(n for n in ("audio_kd", "text_kd", "token_kd", "seq_kd", "logit_kd") if getattr(self, n))


class Hypotheses(nn.Module):
    """Stored pseudo-transcripts: row id → SOS, tokens, EOS; all of it in ``state_dict``."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: dict[int, Tensor] = {}

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Padded tokens [R, J] of the rows that have one, and which of ``index`` those are, [R]."""
        positions = [i for i, row in enumerate(index.tolist()) if row in self.tokens]
        if not positions:
            return torch.empty(0, 0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
        rows = [self.tokens[int(index[i])] for i in positions]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD_ID), torch.tensor(positions)

    def get_extra_state(self) -> dict[str, Tensor]:
        return {str(row): tokens for row, tokens in self.tokens.items()}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.tokens = {int(row): tokens for row, tokens in state.items()}


class Distillation(ER[SequenceModel]):
    """L_ASR on D_n ∪ M plus the distillations that are switched on; with none it is experience replay to the bit."""

    Config: ClassVar[type[DistillationConfig]] = DistillationConfig
    config: DistillationConfig
    name: ClassVar[str] = "distillation"
    summary: ClassVar[str] = "replay + distillations from the previous model (audio, text, token, sequence, logit)"
    requires: ClassVar[Requires] = Requires(model=SequenceModel, columns=("features", "tokens", "label"))
    costs: ClassVar[dict[str, str]] = {
        **ER.costs,
        "teacher_passes": "batches through the teacher",
        "teacher_bytes": "bytes of the teacher's weights",
    }

    def __init__(self, config: DistillationConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.teacher = FrozenCopy(nn.ModuleList([model, *self.heads()]))
        self.hypotheses = Hypotheses()
        self.teacher_passes: Tensor
        self.register_buffer("teacher_passes", torch.zeros((), dtype=torch.int64))

    def heads(self) -> list[nn.Module]:
        """Modules that the teacher is a copy of beside the model."""
        return []

    @property
    def needs_teacher(self) -> bool:
        return bool(set(self.config.distillations) - {"seq_kd"})

    def before_experience(self, view: ExperienceView) -> None:
        super().before_experience(view)
        if view.experience > 0 and self.needs_teacher:
            self.teacher.take()  # θ_{n-1}, frozen

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        batch = self._model.augment(batch, ctx.augment)  # student and teacher see the same audio
        h, mask = self._model.encode(batch)  # [B, T, d_A], [B, T] True = valid
        loss, logs = self._model.loss_from(h, mask, batch)  # L_ASR
        return self.distil(loss, logs, h, mask, batch, ctx)

    def distil(
        self, loss: Tensor, logs: dict[str, Tensor], h: Tensor, mask: Tensor, batch: Batch, ctx: StepContext
    ) -> dict[str, Tensor]:
        """Add what is switched on to L_ASR; the step's result."""
        c = self.config
        rows = self._rows(batch)  # I_r
        if not c.distillations or ctx.view.experience == 0 or len(rows) == 0:
            return {"loss": loss, **logs}
        terms = self._terms(rows, h, mask, batch)
        weight, keep = self._weight(len(rows), len(h), ctx.view)
        for name, kd in terms.items():
            loss = mix(loss, kd, weight, keep_current=keep)
            logs[f"loss/{name}"] = kd
        return {"loss": loss, **logs}

    def _rows(self, batch: Batch) -> Tensor:
        is_memory = batch["is_memory"]
        return (
            torch.arange(len(is_memory), device=is_memory.device)
            if self.config.kd_rows == "all"
            else is_memory.nonzero().flatten()
        )

    def _weight(self, n_rows: int, n_batch: int, view: ExperienceView) -> tuple[float, bool]:
        """The weight of each distillation, and whether L_ASR keeps its own."""
        c = self.config
        if c.kd_weight == "sqrt_batch":
            return weight_sqrt_batch(n_rows, n_batch), len(c.distillations) > 1
        if c.kd_weight == "log_ratio":
            return weight_log_ratio(*view.past_counts), len(c.distillations) > 1
        if c.kd_weight == "class_ratio":
            return view.past_share, True
        return float(c.kd_weight), True

    def _terms(self, rows: Tensor, h: Tensor, mask: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The distillations by name, each a mean over ``rows``."""
        c, model = self.config, self._model
        part = {name: value[rows] for name, value in batch.items()}
        tokens = part["tokens"]  # [R, J]
        terms: dict[str, Tensor] = {}
        if self.needs_teacher:
            with torch.no_grad():
                teacher: Any = cast(nn.ModuleList, self.teacher.module)[0]
                old_h, _ = teacher.encode(part)  # [R, T, d_A]
                old_logits = teacher.logits(old_h, mask[rows], tokens) if c.token_kd or c.logit_kd else None
            self.teacher_passes.add_(1)
            if c.audio_kd:
                terms["audio_kd"] = audio_kd(h[rows], old_h, mask[rows])
            if c.text_kd:
                terms["text_kd"] = text_kd(model.embed(tokens), teacher.embed(tokens), tokens != PAD_ID)
            if old_logits is not None:
                logits, targets = model.logits(h[rows], mask[rows], tokens), tokens[:, 1:]  # [R, J-1, V]
                if c.token_kd:
                    terms["token_kd"] = token_kd(logits, old_logits, targets, form=c.token_form)
                if c.logit_kd:
                    valid = targets != PAD_ID
                    terms["logit_kd"] = kd_logits(
                        logits[valid], old_logits[valid], temperature=c.kd_temperature, reduction=c.kd_reduction
                    )
        if c.seq_kd:
            pseudo, positions = self.hypotheses.batch(part["index"])  # [R', J'], [R']
            if len(positions):
                pseudo, at = pseudo.to(h.device), rows[positions.to(rows.device)]
                terms["seq_kd"] = transcription(model.logits(h[at], mask[at], pseudo), pseudo[:, 1:])
        return terms

    def after_experience(self, view: ExperienceView) -> None:
        super().after_experience(view)
        if self.config.seq_kd:
            self._decode_memory(view)

    @torch.no_grad()
    def _decode_memory(self, view: ExperienceView) -> None:
        """ỹ: the best beam hypothesis of the model just trained, for the rows of the memory."""
        self.eval()
        held = self.memory()
        to_decode = (
            held
            if self.config.skd_refresh
            else torch.tensor([r for r in held.tolist() if r not in self.hypotheses.tokens], dtype=torch.int64)
        )
        fresh = (
            {}
            if self.config.skd_refresh
            else {r: t for r, t in self.hypotheses.tokens.items() if r in set(held.tolist())}
        )
        for batch in view.batches(to_decode) if len(to_decode) else ():
            decoded = self._model.decode(*self._model.encode(batch), beam=self.config.skd_beam).cpu()  # [B, L]
            for row, tokens in zip(batch["index"].tolist(), decoded, strict=True):
                fresh[row] = torch.cat([torch.tensor([SOS_ID]), tokens[tokens != PAD_ID]])
        self.hypotheses.tokens = fresh

    def cost(self) -> dict[str, float]:
        taken = self.teacher.taken
        held = sum(p.numel() * p.element_size() for p in self.teacher.module.parameters()) if taken else 0
        return super().cost() | {"teacher_passes": float(self.teacher_passes.item()), "teacher_bytes": float(held)}


METHOD = Distillation
