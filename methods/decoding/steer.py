"""STEER (arXiv 2308.07645): a fine-tuned model, away from its base and from texts that are there already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import MethodConfig
from ..losses.contrast import steer_scores
from ..networks.branches import Branch
from ..networks.language import left_padded
from .amateurs import Tuned, TunedConfig
from .training import part_rows


class SteerConfig(TunedConfig):
    """As all decoders, with settings of the code that was found by its text."""

    sample: bool = Field(True, description="draw tokens; false: always the best")
    gamma: float = Field(
        0.2, ge=0, description="γ, away from the base model", json_schema_extra={"sweep": {"low": 0.0, "high": 1.0}}
    )
    eta: float = Field(
        0.2, ge=0, description="η, away from the pool", json_schema_extra={"sweep": {"low": 0.0, "high": 0.8}}
    )
    examples: int = Field(5, ge=1, description="m, texts of the pool in a negative prompt")
    top_k: int = Field(10, ge=0, description="tokens that are drawn among; 0: all")
    grow: bool = Field(False, description="texts that were written join the pool; the order of rows then counts")


class Steer(Tuned):
    """``(1 + γ) log p_f(prompt, y) - γ log p_b(prompt, y) - η log p_f(negative, y)``: f fine-tuned on the texts
    ``domain``, b the base, negative m random texts of the pool. At first the negative prompt stands alone.
    """

    PART = "domain"
    Config: ClassVar[type[MethodConfig]] = SteerConfig
    config: SteerConfig
    name = "steer"
    summary = "a fine-tuned model, away from its base and from the texts of a pool"

    def fit_rows(self, view: ExperienceView) -> None:
        super().fit_rows(view)
        batch = view.gather(part_rows(view, self.PART, self._model.info))
        self.fitted["pool"], self.fitted["pool_lengths"] = batch["tokens"].cpu(), batch["tokens_lengths"].cpu()

    def main(self, batch: Batch) -> Branch:
        return self.branch(batch, "prompt", model=self.copy.module)

    def branches(self, batch: Batch) -> list[Branch]:
        found = [self.branch(batch, "prompt")]
        if self.config.eta:
            tokens, mask = self.negative(batch["index"])
            found.append(Branch(self.copy.module, tokens, mask))  # type: ignore[arg-type]  # a copy of the model
        return found

    def negative(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Prompts [B, P], padded on the left, of m texts of the pool each, drawn by (seed, row id)."""
        info, pool, lengths = self._model.info, self.fitted["pool"], self.fitted["pool_lengths"]
        texts = []
        for row in rows.tolist():
            draws = generator(self.draw_seed, f"pool/{row}")
            order = torch.randperm(len(pool), generator=draws)[: self.config.examples].tolist()
            words = [t for k in order for t in pool[k, : int(lengths[k])].tolist() if t not in (info.bos, info.eos)]
            texts.append(torch.tensor([info.bos, *words], dtype=torch.int64))
        sizes = torch.tensor([len(text) for text in texts])
        padded = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
        tokens, mask = left_padded(padded, sizes)
        return tokens.to(rows.device), mask.to(rows.device)

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        c = self.config
        negative = others[1].logits if len(others) > 1 else None
        scores = steer_scores(main.logits, others[0].logits, negative, c.gamma, c.eta, beta)
        if not 0 < c.top_k < scores.shape[-1]:
            return scores
        least = scores.topk(c.top_k, dim=-1).values[:, -1:]
        return scores.masked_fill(scores < least, -math.inf)

    def generate(self, batch: Batch) -> dict[str, Tensor]:
        found = super().generate(batch)
        if self.config.grow:
            self.remember(found["tokens"].cpu())
        return found

    def remember(self, tokens: Tensor) -> None:
        """Texts [B, T] join the pool, one row each."""
        info, pool = self._model.info, self.fitted["pool"]
        lengths = ((tokens != info.pad) & (tokens != info.eos)).sum(1)
        width = max(pool.shape[1], tokens.shape[1])
        both = [torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in (pool, tokens)]
        self.fitted["pool"] = torch.cat(both)
        self.fitted["pool_lengths"] = torch.cat([self.fitted["pool_lengths"], lengths])


METHOD = Steer
