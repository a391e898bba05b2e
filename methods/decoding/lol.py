"""LOL (arXiv 2408.08769), a reconstruction: contrasts at the last and at a low layer, and a wish for truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.table import Batch
from ..base import MethodConfig, UnfitError
from ..losses.contrast import lol_scores
from ..losses.divergence import js_divergence
from ..networks.branches import Branch
from .amateurs import Tuned, TunedConfig


class LolConfig(TunedConfig):
    """As ICD, and the additions; their values are ours, no formula of the paper is public."""

    keep_beta: float | None = Field(0.1, ge=0, le=1, description="β of the mask by the model itself; null: none")
    omega: float = Field(
        0.3, ge=0, description="ω, weight of the low layer", json_schema_extra={"sweep": {"low": 0.0, "high": 1.0}}
    )
    kappa: float = Field(0.0, ge=0, description="κ, weight of the prompt that asks for truth")
    instruction: str = Field("", description="words before the prompt that ask for truth, of the data's vocabulary")
    layer: int | None = Field(None, ge=0, description="l, number of the low layer; null: half of the model's")
    low_layer: Literal["fixed", "dola"] = Field("fixed", description="fixed: l; dola: the one farthest from the last")


class Lol(Tuned):
    """``C_L + ω C_l + κ R`` over plausible tokens: C contrasts model and amateur at a layer, R prompt with and without
    the instruction. ω = κ = 0 is ICD. A reconstruction: not the authors' numbers.
    """

    PART = "false"
    Config: ClassVar[type[MethodConfig]] = LolConfig
    config: LolConfig
    name = "lol"
    summary = "lower layers matter (reconstruction): ICD at the last and at a low layer"

    def layers(self) -> tuple[int, ...]:
        """The low layers that are looked at. Raises UnfitError for one that the model has not."""
        top, c = self._model.layers, self.config
        if c.low_layer == "dola":
            return tuple(range(top))
        layer = top // 2 if c.layer is None else c.layer
        if layer > top:
            raise UnfitError(f"layer of lol must lie in 0..{top} of this model, not {layer}")
        return (layer,)

    def main(self, batch: Batch) -> Branch:
        return self.branch(batch, "prompt", layers=self.layers())

    def branches(self, batch: Batch) -> list[Branch]:
        found = [self.branch(batch, "prompt", model=self.copy.module, layers=self.layers())]
        if self.config.kappa:
            found.append(self.branch(self._asked(batch), "prompt"))
        return found

    def _asked(self, batch: Batch) -> Batch:
        """The prompts with the instruction after their first token."""
        try:
            words = self._model.info.tokens(self.config.instruction)
        except KeyError as error:
            raise UnfitError(f"instruction of lol: the data has no word {error}") from error
        if not words:
            raise UnfitError("kappa of lol is above 0: say the instruction that asks for truth")
        prompt = batch["prompt"]
        asked = torch.tensor(words, device=prompt.device).expand(len(prompt), -1)
        more = torch.cat([prompt[:, :1], asked, prompt[:, 1:]], 1)
        return {**batch, "prompt": more, "prompt_lengths": batch["prompt_lengths"] + len(words)}

    def combine(self, main: Branch, others: Sequence[Branch], step: int, beta: float | None) -> Tensor:
        amateur, layers = others[0], sorted(main.early)
        if len(layers) == 1:  # nothing to pick
            low, amateur_low = main.early[layers[0]], amateur.early[layers[0]]
        else:
            far = torch.stack([js_divergence(main.logits, main.early[layer]) for layer in layers]).argmax(0)
            rows = torch.arange(len(far), device=far.device)
            low, amateur_low = (torch.stack([b.early[layer] for layer in layers])[far, rows] for b in (main, amateur))
        return lol_scores(
            main.logits,
            amateur.logits,
            low,
            amateur_low,
            self.config.omega,
            beta,
            truthful=others[1].logits if len(others) > 1 else None,
            kappa=self.config.kappa,
        )


METHOD = Lol
