"""What all decoders share: the language model, the loop over new tokens, scores of given answers, yes or no."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Fitted, MethodConfig, UnfitError, protocol
from ..losses.contrast import plausible
from ..networks import protocols
from ..networks.branches import Branch
from ..networks.language import rows_of
from .training import Training, fit, part_rows

MASKED = -1000.0  # what an implausible token of a given answer counts, as in the public codes of DoLa and ICD


class DecoderConfig(MethodConfig):
    """The language model's training, which all decoders of a suite share, and how tokens are taken from the scores."""

    lm_epochs: int = Field(
        12, ge=0, json_schema_extra=protocol(), description="epochs of the language model; 0: as it was given"
    )
    lm_batch_size: int = Field(64, ge=1, json_schema_extra=protocol(), description="rows a step of it")
    lm_lr: float = Field(0.003, gt=0, json_schema_extra=protocol(), description="its learning rate (AdamW)")
    lm_blind: float = Field(
        0.1, ge=0, le=1, json_schema_extra=protocol(), description="share of its batches without their pictures"
    )
    max_new_tokens: int = Field(8, ge=1, json_schema_extra=protocol(), description="tokens at most after a prompt")
    sample: bool = Field(False, description="draw tokens; false: always the best")
    temperature: float = Field(1.0, gt=0, description="of the draws, after the rule")
    keep_beta: float | None = Field(
        None, ge=0, le=1, description="β: tokens below this share of the main pass's best are removed; null: none"
    )
    isotropy: bool = Field(False, description="also give the cosines of the texts' hidden states, layer by layer")


class Decoder(Fitted[protocols.CausalModel]):
    """A main pass over the prompt, other passes beside it (:meth:`branches`), and a rule that makes scores of their
    logits (:meth:`combine`). Greedy search where nothing is overridden.

    A language model is fitted to the first part of the texts, once for all decoders (:mod:`.training`).
    """

    Config: ClassVar[type[MethodConfig]] = DecoderConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(model=protocols.CausalModel, columns=("tokens",))
    config: DecoderConfig

    def lm_training(self) -> Training:
        """How the language model is trained."""
        c = self.config
        return Training(c.lm_epochs, c.lm_batch_size, c.lm_lr, c.lm_blind)

    def fit_rows(self, view: ExperienceView) -> None:
        self.fitted["draw_seed"] = torch.tensor(self.seed)  # in the state: a loaded decoder draws as it did
        fit(self.model, view, part_rows(view, "first", self._model.info), self.lm_training(), self.seed, "lm")

    @property
    def draw_seed(self) -> int:
        """Seed of all draws of the predictions."""
        return int(self.fitted["draw_seed"]) if "draw_seed" in self.fitted else self.seed

    # ------------------------------------------------------------------ what a rule defines

    def main(self, batch: Batch) -> Branch:
        """The pass that decides what is plausible: the column ``prompt``, with the picture where there is one."""
        return self.branch(batch, "prompt")

    def branches(self, batch: Batch) -> list[Branch]:
        """The other passes, each over the batch's rows."""
        return []

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        """Scores [B, V] of the next token; ``step`` counts new tokens from 0, ``beta`` is that of the mask."""
        return main.logits.masked_fill(~plausible(main.logits, beta), -math.inf)

    # ------------------------------------------------------------------ passes

    def branch(self, batch: Batch, column: str, prefix: Tensor | None = None, model: Any = None, **more: Any) -> Branch:
        """A pass over a column of prompts; ``prefix``: embeddings before them, by default those of its pictures.
        ``model``: another than the language model.
        """
        net = self._model if model is None else model
        tokens, mask = rows_of(batch, column)
        if prefix is None:
            prefix = net.prefix(batch)
        return Branch(net, tokens, mask, prefix=prefix, **more)

    def _passes(self, batch: Batch) -> tuple[Branch, list[Branch]]:
        return self.main(batch), self.branches(batch)

    # ------------------------------------------------------------------ predictions

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """Tokens after the prompt; scores of the options; scores of no and yes: what the batch asks for
        (docs/methods/decoding.md, predictions).
        """
        if self._model.info.yes_no is not None and "label" in batch:
            return self.yes_or_no(batch)
        found = self.generate(batch)
        if self.config.isotropy:
            found |= self.cosines(batch)
        if "options" in batch:
            found["scores"] = self.choices(batch)
        return found

    def cosines(self, batch: Batch) -> dict[str, Tensor]:
        """Of the hidden states of the texts ``tokens``, from the embeddings to the last layer (after its norm):
        ``cosine_sums`` [B, L + 1], Σ_{i≠j} cos(h_i, h_j), and ``cosine_pairs`` [B, L + 1], their number; of a model
        that gives no others the last layer alone. Isotropy is 1 - Σ sums / Σ pairs over all texts.

        Source: Su and Collier 2022 (arXiv 2210.14140), section 3, there of the last layer.
        """
        tokens, mask = rows_of(batch, "tokens")
        step = self._model.step(tokens, mask, prefix=self._model.prefix(batch))
        count = mask.sum(1)
        sums = []
        for hidden in (*step.states, step.hidden):
            h = F.normalize(hidden.double(), dim=-1)
            sums.append((h * mask[..., None]).sum(1).square().sum(1) - count)
        pairs = count * (count - 1)
        return {"cosine_sums": torch.stack(sums, 1), "cosine_pairs": torch.stack([pairs] * len(sums), 1)}

    def generate(self, batch: Batch) -> dict[str, Tensor]:
        """New tokens [B, T], how many passes a row cost [B], log-probability under the main pass [B]."""
        main, others = self._passes(batch)
        info, device = self._model.info, main.logits.device
        rows, length = len(main.logits), self.config.max_new_tokens
        draws = self.draws(batch["index"]) if self.config.sample else None
        tokens = torch.full((rows, length), info.pad, dtype=torch.int64, device=device)
        alive = torch.ones(rows, dtype=torch.bool, device=device)
        passes, logprob = torch.zeros(rows, device=device), torch.zeros(rows, dtype=torch.float64, device=device)
        for step in range(length):
            passes += alive * (1 + len(others))
            scores = self.combine(main, others, step, self.config.keep_beta)
            chosen = self.choose(scores, None if draws is None else draws[:, step])
            said = main.logits.double().log_softmax(-1).gather(1, chosen[:, None])[:, 0]
            logprob += said.masked_fill(~alive, 0.0)
            tokens[:, step] = torch.where(alive, chosen, info.pad)
            alive = alive & (chosen != info.eos)
            if step + 1 == length or not bool(alive.any()):
                break
            for branch in (main, *others):
                branch.advance(tokens[:, step], alive)
        return {"tokens": tokens, "forwards": passes, "logprob": logprob}

    def choose(self, scores: Tensor, draw: Tensor | None) -> Tensor:
        """The best token of each row, [B]; with ``draw`` [B] in 0..1 the token at that share of the distribution."""
        if draw is None:
            return scores.argmax(-1)
        share = (scores.double() / self.config.temperature).softmax(-1).cumsum(-1)
        at = torch.searchsorted(share, draw[:, None].to(share) * share[:, -1:], right=True)[:, 0]
        best = scores.shape[-1] - 1 - (scores.flip(-1) > -math.inf).long().argmax(-1)  # rounding ends at a kept token
        return at.minimum(best)

    def draws(self, rows: Tensor, purpose: str = "decode") -> Tensor:
        """Numbers in 0..1 of rows by id, [B, max_new_tokens] float64, that depend on nothing but seed, row and step."""
        numbers = [
            torch.rand(
                self.config.max_new_tokens, dtype=torch.float64, generator=generator(self.draw_seed, f"{purpose}/{row}")
            )
            for row in rows.tolist()
        ]
        return torch.stack(numbers).to(rows.device)

    def choices(self, batch: Batch) -> Tensor:
        """Scores [B, K] of the options: sums of the rule's log-scores over their tokens, to their first end token.

        The scores of a step are normalised over the vocabulary, then a token outside the plausibility mask counts
        -1000: one such token decides. -inf where there is no option.
        """
        options, kind = batch["options"], batch["option_kind"]
        b, k, a = options.shape
        rows = torch.arange(b, device=options.device).repeat_interleave(k)
        main, others = self._passes(batch)
        main, others = main.select(rows), [branch.select(rows) for branch in others]
        ids, eos = options.flatten(0, 1), self._model.info.eos
        alive = (kind >= 0).flatten()
        total = torch.zeros(b * k, dtype=torch.float64, device=options.device)
        for step in range(a):
            token = ids[:, step]
            scores = self.combine(main, others, step, None).double().log_softmax(-1).gather(1, token[:, None])[:, 0]
            kept = plausible(main.logits, self.config.keep_beta).gather(1, token[:, None])[:, 0]
            total += torch.where(kept, scores, MASKED).masked_fill(~alive, 0.0)
            alive = alive & (token != eos)
            if step + 1 < a and bool(alive.any()):
                for branch in (main, *others):
                    branch.advance(token, alive)
        return total.view(b, k).masked_fill(kind < 0, -math.inf)

    def yes_or_no(self, batch: Batch) -> dict[str, Tensor]:
        """Log-probabilities [B, 2] of no and yes at the first token, and the decision [B]."""
        main, others = self._passes(batch)
        scores = self.two_words(self.combine(main, others, 0, self.config.keep_beta), main.logits)
        return {"scores": scores, "label": self.decide(scores, batch)}

    def two_words(self, scores: Tensor, main: Tensor) -> Tensor:
        """Of scores [B, V] the log-probabilities [B, 2] of no and yes, renormalised; a row in which the mask removed
        both has those of the main pass.
        """
        no_yes = self._model.info.yes_no
        if no_yes is None:
            raise UnfitError("the data names no tokens for yes and no")
        picked, plain = scores[:, list(no_yes)].double(), main[:, list(no_yes)].double()
        none = (picked == -math.inf).all(1, keepdim=True)
        return torch.where(none, plain, picked).log_softmax(-1)

    def decide(self, scores: Tensor, batch: Batch) -> Tensor:
        """The larger of two scores, or a draw at the decoder's temperature, [B]."""
        return self.choose(scores, self.draws(batch["index"])[:, 0] if self.config.sample else None)
