"""SimCTG (Su et al. 2022): a language model whose hidden states are kept apart, decoded greedily or by contrastive
search.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import MethodConfig, UnfitError
from ..losses.simctg import simctg_contrastive
from ..networks.language import next_token_loss
from .decoder import Decoder, DecoderConfig
from .search import contrastive_search
from .training import fit, part_rows


class SimCtgConfig(DecoderConfig):
    """As all decoders, the margin of the training loss, and the search."""

    margin: float | None = Field(
        0.5,
        ge=0,
        le=2,
        description="ρ of the contrastive loss; null: the plain language model",
        json_schema_extra={"sweep": {"low": 0.0, "high": 1.0}},
    )
    search: Literal["greedy", "contrastive"] = Field("greedy", description="how tokens are chosen")
    k: int = Field(4, ge=1, description="contrastive: candidates a step")
    alpha: float = Field(
        0.6,
        ge=0,
        le=1,
        description="contrastive: α, weight of the penalty",
        json_schema_extra={"sweep": {"low": 0.0, "high": 1.0}},
    )
    isotropy: bool = Field(True, description="also give the cosines of the texts' hidden states, layer by layer")


class SimCtg(Decoder):
    """L = L_mle + L_cl (eq. 3). The model is trained once for all decoders of the same margin."""

    Config: ClassVar[type[MethodConfig]] = SimCtgConfig
    config: SimCtgConfig
    name = "simctg"
    summary = "a language model trained to keep its hidden states apart"

    def fit_rows(self, view: ExperienceView) -> None:
        c = self.config
        if c.search == "contrastive" and (c.sample or c.keep_beta):
            raise UnfitError("contrastive search takes the best candidate: set sample=false and keep_beta=null")
        if c.margin is None:
            return super().fit_rows(view)
        self.fitted["draw_seed"] = torch.tensor(self.seed)
        rows = part_rows(view, "first", self._model.info)
        fit(self.model, view, rows, self.lm_training(), self.seed, f"lm/simctg {c.margin!r}", self.loss)

    def loss(self, batch: Batch) -> Tensor:
        """L_mle + L_cl of a batch of texts, [] ."""
        tokens = batch["tokens"]
        mask = torch.arange(tokens.shape[1], device=tokens.device) < batch["tokens_lengths"][:, None]
        step = self._model.step(tokens, mask, prefix=self._model.prefix(batch))
        margin = self.config.margin
        contrast = simctg_contrastive(step.hidden, mask, margin) if margin is not None else 0.0
        return next_token_loss(step.logits, tokens, mask) + contrast

    def generate(self, batch: Batch) -> dict[str, Tensor]:
        info, c = self._model.info, self.config
        if c.search == "greedy":
            return super().generate(batch)
        main = self.branch(batch, "prompt", keep_hidden=True)
        made = contrastive_search(main, c.max_new_tokens, c.k, c.alpha, eos=info.eos, pad=info.pad)
        return {"tokens": made.tokens, "forwards": made.forwards, "logprob": made.logprob}


METHOD = SimCtg
