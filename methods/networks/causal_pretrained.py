"""Causal language models of ``transformers``, from a local folder or the hub, as the methods of decoding take them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from ...datasets.core.language import LanguageInfo
from ...datasets.core.source import DataInfo, Source, require
from ...datasets.core.table import Batch, Ragged, Table
from ..base import UnfitError
from . import hub
from .language import Step, next_token_loss
from .protocols import CausalModel

PROVIDES = (CausalModel,)
TEXTS = ("tokens", "prompt", "neutral", "answer")  # ragged columns of words


class Config(BaseModel):
    """Which model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pretrained: str = Field(min_length=1, description="a causal language model of transformers: folder or hub name")
    revision: str | None = Field(None, description="of the hub's repository; null: its main branch")


@dataclass(frozen=True)
class LibraryCache:
    """The library's cache, which its models write into, and which positions are valid, [B, T] bool."""

    past: Any
    mask: Tensor

    def select(self, rows: Tensor) -> LibraryCache:
        past = copy.copy(self.past)
        past.layers = [copy.copy(layer) for layer in past.layers]  # the tensors are replaced, not written into
        past.batch_select_indices(rows)
        return LibraryCache(past, self.mask[rows])


class PretrainedCausal(nn.Module):
    """A model of ``transformers`` with the steps of a :class:`~.protocols.CausalModel`.

    Logits of hidden layers are the output matrix times the state as it is, without the final norm, as DoLa's public
    code has them; the last layer's are the model's own.
    """

    def __init__(self, net: Any, info: LanguageInfo | None = None) -> None:
        super().__init__()
        self.net = net
        size = int(net.get_output_embeddings().weight.shape[0])
        self.info = info or LanguageInfo(vocabulary=tuple(map(str, range(size))), longest=size)
        self.vocabulary, self.layers = size, int(net.config.num_hidden_layers)

    def prefix(self, batch: Batch) -> Tensor | None:
        """None: such a model reads tokens alone."""
        return None

    def step(
        self,
        tokens: Tensor,
        mask: Tensor,
        cache: Any = None,
        prefix: Tensor | None = None,
        layers: tuple[int, ...] = (),
    ) -> Step:
        """See :class:`~.protocols.CausalModel`."""
        t, p = tokens.shape[1], 0
        inputs: dict[str, Any] = {"input_ids": tokens}
        if prefix is not None:
            p = prefix.shape[1]
            embedded = self.net.get_input_embeddings()(tokens)
            inputs = {"inputs_embeds": torch.cat([prefix.to(embedded.dtype), embedded], 1)}
            mask = torch.cat([mask.new_ones(len(mask), p), mask], 1)
        known = mask if cache is None else torch.cat([cache.mask, mask], 1)
        positions = (known.long().cumsum(1) - 1).clamp(min=0)[:, -(t + p) :]
        out = self.net(
            **inputs,
            attention_mask=known.long(),
            position_ids=positions,
            past_key_values=None if cache is None else cache.past,
            use_cache=True,
            output_hidden_states=True,
        )
        head = self.net.get_output_embeddings()
        early = {
            layer: (out.logits if layer == self.layers else head(out.hidden_states[layer]))[:, p:] for layer in layers
        }
        return Step(out.logits[:, p:], out.hidden_states[-1][:, p:], LibraryCache(out.past_key_values, known), early)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of the tokens of the column ``tokens`` after the first, [] (nats)."""
        tokens = batch["tokens"]
        mask = torch.arange(tokens.shape[1], device=tokens.device) < batch["tokens_lengths"][:, None]
        return next_token_loss(self.step(tokens, mask).logits, tokens, mask), {}


def prepare(config: Config, source: Source) -> Source:
    """The source with its texts as the model's own tokens; an answer is told from its prompt by a blank before it.

    Raises:
        UnfitError: pictures, or a tokenizer without an end token.
    """
    old = require(source.info, LanguageInfo, "the network 'causal_pretrained'")
    if old.image is not None:
        raise UnfitError("model.name: a pretrained causal model reads no pictures; use the network 'causal'")
    tokenizer = hub.tokenizer(config.pretrained, config.revision)
    if tokenizer.eos_token_id is None:
        raise UnfitError(f"model.options.pretrained: the tokenizer of '{config.pretrained}' has no end token")
    eos = int(tokenizer.eos_token_id)
    bos = eos if tokenizer.bos_token_id is None else int(tokenizer.bos_token_id)
    pad = eos if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)

    def coded(row: Sequence[int], blank: bool = True) -> list[int]:
        text = old.words(list(row))
        ids = tokenizer((" " if blank and text else "") + text, add_special_tokens=False)["input_ids"]
        return [*([bos] if old.bos in row else []), *map(int, ids), *([eos] if old.eos in row else [])]

    splits: dict[str, Table] = {}
    for split, table in source.splits.items():
        columns = dict(table.columns)
        for name in TEXTS:
            column = columns.get(name)
            if isinstance(column, Ragged):
                columns[name] = Ragged.from_list([torch.tensor(coded(row.tolist())) for row in _rows(column)])
        options = columns.get("options")
        if isinstance(options, Tensor):
            columns["options"] = _options(options, coded, pad)
        splits[split] = Table(columns)
    words = tuple(map(str, tokenizer.convert_ids_to_tokens(range(len(tokenizer)))))
    yes_no = None if old.yes_no is None else (coded([old.yes_no[0]])[0], coded([old.yes_no[1]])[0])
    longest = max(int(c.lengths.max()) for t in splits.values() for c in t.columns.values() if isinstance(c, Ragged))
    info = replace(old, vocabulary=words, longest=longest, pad=pad, bos=bos, eos=eos, yes_no=yes_no)
    return replace(source, splits=splits, info=info)


def _rows(column: Ragged) -> list[Tensor]:
    return list(column.values.split(column.lengths.tolist()))


def _options(options: Tensor, coded: Any, pad: int) -> Tensor:
    """Answers [N, K, A] in the model's tokens, [N, K, A']; an absent one is padding alone."""
    made = [[coded(option) if any(option) else [] for option in row] for row in options.tolist()]
    longest = max((len(option) for row in made for option in row), default=1)
    padded = [[option + [pad] * (longest - len(option)) for option in row] for row in made]
    return torch.tensor(padded, dtype=torch.int64)


def build(config: Config, info: DataInfo, seed: int) -> PretrainedCausal:
    """The model with its own weights. Raises FileNotFoundError where there is no such model."""
    net = hub.causal(config.pretrained, config.revision)
    return PretrainedCausal(net, require(info, LanguageInfo, "the network 'causal_pretrained'"))
