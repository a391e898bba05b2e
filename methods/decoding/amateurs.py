"""Decoders beside which a weaker model runs: a smaller one, or a copy that was trained on falsehoods."""

from __future__ import annotations

import copy
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.seeds import derive
from ...datasets.core.view import ExperienceView
from ..base import FrozenCopy
from .decoder import Decoder, DecoderConfig
from .training import Training, fit, part_rows


class TunedConfig(DecoderConfig):
    """As all decoders, and how the copy is trained further."""

    tuned_epochs: int = Field(8, ge=1, description="epochs of the copy on its own texts")
    tuned_lr: float = Field(0.002, gt=0, description="learning rate of it")
    rank: int | None = Field(8, ge=1, description="rank of its low-rank adapters (LoRA); null: all weights move")


class Tuned(Decoder):
    """A decoder with a copy of the language model that was trained further on a part of the texts (``PART``)."""

    PART = ""
    config: TunedConfig

    def __init__(self, config: Any, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.copy = FrozenCopy(model)

    def fit_rows(self, view: ExperienceView) -> None:
        super().fit_rows(view)
        c = self.config
        self.copy.take()
        rows = part_rows(view, self.PART, self._model.info)
        training = Training(c.tuned_epochs, c.lm_batch_size, c.tuned_lr, c.lm_blind)
        tune(self.copy.module, view, rows, training, self.seed, f"lm/{self.PART}", c.rank)


def tune(
    model: nn.Module, view: ExperienceView, rows: Tensor, training: Training, seed: int, purpose: str, rank: int | None
) -> None:
    """Train a model further: all its weights, or low-rank adapters of its linear maps, which are then added to them.

    Raises:
        ModuleNotFoundError: adapters without the library peft.
    """
    if rank is None:
        model.requires_grad_(True)
        fit(model, view, rows, training, seed, purpose)
        model.requires_grad_(False)
        return
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("low-rank adapters need peft: pip install peft, or set rank=null") from error
    net: Any = getattr(model, "net", None)  # of the library: its output matrix is no linear map to adapt
    heads = set() if net is None else {id(net.get_output_embeddings())}
    names = [
        name
        for name, part in model.named_modules()
        if (isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D") and id(part) not in heads
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, f"{purpose}/adapters"))
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names)
        adapted = inject_adapter_in_model(config, copy.deepcopy(model))
    fit(adapted, view, rows, training, seed, f"{purpose}/rank {rank}")
    with torch.no_grad():
        for name in names:
            layer: Any = adapted.get_submodule(name)
            layer.merge()
            model.get_submodule(name).load_state_dict(layer.base_layer.state_dict())
