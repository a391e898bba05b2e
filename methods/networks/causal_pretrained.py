"""Causal language models of ``transformers``, from a local folder or the hub, as the methods of decoding take them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from ...datasets.core.language import LanguageInfo
from ...datasets.core.source import DataInfo, Source, require
from ...datasets.core.table import Batch
from ..base import FrozenReference, UnfitError
from . import hub
from .language import Step, next_token_loss
from .protocols import CausalModel
from .retokenised import ends_of, retokenised

PROVIDES = (CausalModel,)


class Config(BaseModel):
    """Which model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pretrained: str = Field(min_length=1, description="a causal language model of transformers: folder or hub name")
    revision: str | None = Field(None, description="of the hub's repository; null: its main branch")
    frozen: bool = Field(
        False,
        description="its weights are never trained, and checkpoints name them by their sha256 and do not hold them",
    )


@dataclass(frozen=True)
class LibraryCache:
    """The library's cache, which its models write into, and which positions are valid, [B, T] bool. ``shift``: by which
    the next token's position differs from the number of valid ones before it.
    """

    past: Any
    mask: Tensor
    shift: int = 0

    def select(self, rows: Tensor) -> LibraryCache:
        past = copy.copy(self.past)
        past.layers = [copy.copy(layer) for layer in past.layers]  # the tensors are replaced, not written into
        past.batch_select_indices(rows)
        return LibraryCache(past, self.mask[rows], self.shift)


class PretrainedCausal(nn.Module):
    """A model of ``transformers`` with the steps of a :class:`~.protocols.CausalModel`.

    Logits of hidden layers are the output matrix times the state as it is, without the final norm, as DoLa's public
    code has them; the last layer's are the model's own. ``config``: with ``frozen`` a state holds the model by its
    name, revision and sha256; None: by value.
    """

    def __init__(self, net: Any, info: LanguageInfo | None = None, config: Config | None = None) -> None:
        super().__init__()
        if config is not None and config.frozen:
            self.reference = FrozenReference(net, config.pretrained, config.revision)
            object.__setattr__(self, "net", net)  # no sub-module: its weights are no part of the state
        else:
            self.net = net
        size = int(net.get_output_embeddings().weight.shape[0])
        self.info = info or LanguageInfo(vocabulary=tuple(map(str, range(size))), longest=size)
        self.vocabulary, self.layers = size, int(net.config.get_text_config().num_hidden_layers)
        self._cuts = "logits_to_keep" in inspect.signature(net.forward).parameters

    def prefix(self, batch: Batch) -> Tensor | None:
        """None: such a model reads tokens alone."""
        return None

    def positions(self, counted: Tensor, prefix: int, shift: int) -> tuple[Tensor, int]:
        """Positions as the model takes them, of tokens with ``counted`` [B, T] valid ones before them, of which the
        first ``prefix`` are embeddings; and the shift of those that follow.
        """
        return counted, shift

    def step(
        self,
        tokens: Tensor,
        mask: Tensor,
        cache: Any = None,
        prefix: Tensor | None = None,
        layers: tuple[int, ...] = (),
    ) -> Step:
        """See :class:`~.protocols.CausalModel`."""
        return self._step(tokens, mask, cache, prefix, layers, last=False)

    def last_step(
        self,
        tokens: Tensor,
        mask: Tensor,
        cache: Any = None,
        prefix: Tensor | None = None,
        layers: tuple[int, ...] = (),
    ) -> Step:
        """As :meth:`step`; logits, early ones too, of the last token alone, [B, 1, V]."""
        return self._step(tokens, mask, cache, prefix, layers, last=True)

    def _step(
        self, tokens: Tensor, mask: Tensor, cache: Any, prefix: Tensor | None, layers: tuple[int, ...], *, last: bool
    ) -> Step:
        t, p = tokens.shape[1], 0
        inputs: dict[str, Any] = {"input_ids": tokens}
        if prefix is not None:
            p = prefix.shape[1]
            embedded = self.net.get_input_embeddings()(tokens)
            inputs = {"inputs_embeds": torch.cat([prefix.to(embedded.dtype), embedded], 1)}
            mask = torch.cat([mask.new_ones(len(mask), p), mask], 1)
        known = mask if cache is None else torch.cat([cache.mask, mask], 1)
        counted = (known.long().cumsum(1) - 1).clamp(min=0)[:, -(t + p) :]
        positions, shift = self.positions(counted, p, 0 if cache is None else cache.shift)
        out = self.net(
            **inputs,
            attention_mask=known.long(),
            position_ids=positions,
            past_key_values=None if cache is None else cache.past,
            use_cache=True,
            output_hidden_states=True,
            **({"logits_to_keep": 1} if last and self._cuts else {}),
        )
        head, at = self.net.get_output_embeddings(), slice(-1 if last else p, None)
        logits = out.logits[:, at]
        early = {layer: logits if layer == self.layers else head(out.hidden_states[layer][:, at]) for layer in layers}
        *below, hidden = (state[:, p:] for state in out.hidden_states)
        return Step(logits, hidden, LibraryCache(out.past_key_values, known, shift), early, tuple(below))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of the tokens of the column ``tokens`` after the first, [] (nats)."""
        tokens = batch["tokens"]
        mask = torch.arange(tokens.shape[1], device=tokens.device) < batch["tokens_lengths"][:, None]
        step = self.step(tokens, mask, prefix=self.prefix(batch))
        return next_token_loss(step.logits, tokens, mask), {}


def prepare(config: Config, source: Source) -> Source:
    """The source with its texts as the model's own tokens; an answer is told from its prompt by a blank before it. Of
    the world's oracle a constraint is kept, which then meets the model's tokens; what else one knows is of its own.

    Raises:
        UnfitError: pictures, or a tokenizer without an end token.
    """
    old = require(source.info, LanguageInfo, "the network 'causal_pretrained'")
    if old.image is not None:
        raise UnfitError(
            "model.name: a pretrained causal model reads no pictures; take 'image_text_pretrained', or 'causal'"
        )
    tokenizer = hub.tokenizer(config.pretrained, config.revision, hub.PRETRAINED)
    ends = ends_of(tokenizer, config.pretrained)
    _, bos, eos = ends

    def code(column: str, row: Sequence[int], prompt: Sequence[int]) -> list[int]:
        text = old.words(list(row))
        ids = tokenizer((" " if text else "") + text, add_special_tokens=False)["input_ids"]
        return [*([bos] if old.bos in row else []), *map(int, ids), *([eos] if old.eos in row else [])]

    yes_no = None if old.yes_no is None else tuple(code("answer", [word], [])[0] for word in old.yes_no)
    return retokenised(source, old, tokenizer, code, ends, yes_no)


def build(config: Config, info: DataInfo, seed: int) -> PretrainedCausal:
    """The model with its own weights. Raises FileNotFoundError where there is no such model."""
    net = hub.causal(config.pretrained, config.revision)
    return PretrainedCausal(net, require(info, LanguageInfo, "the network 'causal_pretrained'"), config)
