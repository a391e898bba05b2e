"""Pairs of texts through an encoder of ``transformers``: tokenised once, pooled, as one sequence or as two.

A cross-encoder reads both texts at once; a pair read apart becomes |u - v| and u · v, as for the recurrent encoder
(:class:`holdfast.methods.networks.regression.PairEncoder`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...datasets.core.source import RegressionInfo, Source, Tokens
from ...datasets.core.table import Ragged, Table
from ..base import UnfitError
from . import hub

Pooling = Literal["mean", "cls"]
Form = Literal["joint", "apart"]


def compared(u: Tensor, v: Tensor) -> Tensor:
    """|u - v| and u · v, [B, 2 d]."""
    return torch.cat([(u - v).abs(), u * v], 1)


def tokenise(
    source: Source[RegressionInfo], name: str, revision: str | None, form: Form, longest: int
) -> Source[RegressionInfo]:
    """The source with the texts of ``info.pairs`` as the model's own tokens.

    joint: the ragged column ``pair`` holds both texts with the model's special tokens, ``pair_types`` which text a
    token is of, where the model asks for it; apart: ``first`` and ``second``. At most ``longest`` tokens a sequence,
    fewer where the model takes fewer. ``info.tokens`` says which numbers are special.

    Raises:
        FileNotFoundError: there is no such model.
        UnfitError: the data set has no texts, or the tokenizer has neither a mask nor an unknown token.
    """
    pairs = source.info.pairs
    if pairs is None:
        raise UnfitError("model.options.encoder: transformers takes pairs of texts, which this data set does not have")
    tokenizer = hub.tokenizer(name, revision)
    places = getattr(hub.config(name, revision), "max_position_embeddings", None)
    limit = min(longest, int(tokenizer.model_max_length), *([int(places)] if places else []))
    unknown = tokenizer.mask_token_id if tokenizer.mask_token_id is not None else tokenizer.unk_token_id
    if unknown is None:
        raise UnfitError(
            f"model.options.encoder_name: the tokenizer of '{name}' has neither a mask nor an unknown token"
        )

    def ids(first: Sequence[str], second: Sequence[str] | None = None) -> Mapping[str, list[list[int]]]:
        encoded: Mapping[str, list[list[int]]] = tokenizer(
            list(first), list(second) if second is not None else None, truncation=True, max_length=limit
        )
        return encoded

    def column(rows: list[list[int]], empty: int) -> Ragged:
        return Ragged.from_list([torch.tensor(row or [empty], dtype=torch.int64) for row in rows])

    splits: dict[str, Table] = {}
    types = False
    for split, table in source.splits.items():
        columns = {key: value for key, value in table.columns.items() if key not in ("first", "second")}
        first, second = zip(*pairs.texts[split], strict=True)
        if form == "joint":
            made = ids(first, second)
            columns["pair"] = column(made["input_ids"], unknown)
            types = "token_type_ids" in made
            if types:
                columns["pair_types"] = column(made["token_type_ids"], 0)
        else:
            columns["first"] = column(ids(first)["input_ids"], unknown)
            columns["second"] = column(ids(second)["input_ids"], unknown)
        splits[split] = Table(columns)
    tokens = Tokens(
        pad=int(tokenizer.pad_token_id or 0),
        kept=tuple(sorted(map(int, tokenizer.all_special_ids))),
        unknown=int(unknown),
        types=types,
        size=len(tokenizer),
    )
    return replace(source, splits=splits, info=replace(source.info, tokens=tokens))


class TextPairs(nn.Module):
    """An encoder of ``transformers`` over pairs: features [B, d_out], d_out its width (joint) or twice that (apart).

    Args:
        name: hub name or local folder.
        revision: of the hub's repository; None: its main branch.
        pooling: mean over the valid tokens of the last layer, or its first token.
        form: joint (one sequence) or apart (two, compared by :func:`compared`).
        tokens: what :func:`tokenise` says in ``info.tokens``.
        checkpointing: recompute activations in the backward pass.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: the tokenizer has more tokens than the model has embeddings.
    """

    def __init__(
        self,
        name: str,
        tokens: Tokens,
        *,
        revision: str | None = None,
        pooling: Pooling = "mean",
        form: Form = "joint",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        net = hub.model(name, revision)
        self.net: Any = net.get_encoder() if getattr(net.config, "is_encoder_decoder", False) else net
        known = int(self.net.get_input_embeddings().num_embeddings)
        if tokens.size > known:
            raise UnfitError(
                f"model.options.encoder_name: the tokenizer of '{name}' has {tokens.size} tokens, its "
                f"model {known} embeddings"
            )
        if checkpointing:
            self.net.activation_checkpointing_enable()
        self.pad, self.pooling, self.form = tokens.pad, pooling, form
        width = int(self.net.config.hidden_size)
        self.d_out = width if form == "joint" else 2 * width

    def one(self, tokens: Tensor, lengths: Tensor, types: Tensor | None = None) -> Tensor:
        """Sequences [B, L] pooled over their ``lengths`` valid tokens, [B, d]; what stands behind them changes
        nothing.
        """
        valid = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        further = {} if types is None else {"token_type_ids": types}
        h: Tensor = self.net(
            input_ids=tokens.masked_fill(~valid, self.pad), attention_mask=valid.long(), **further
        ).last_hidden_state
        if self.pooling == "cls":
            return h[:, 0]
        return h.masked_fill(~valid[..., None], 0).sum(1) / lengths[:, None].to(h.dtype)

    def forward(self, *inputs: Tensor) -> Tensor:
        """joint: tokens, lengths [, types]; apart: tokens and lengths of the first texts, then of the second."""
        if self.form == "joint":
            return self.one(*inputs)
        first, first_lengths, second, second_lengths = inputs
        return compared(self.one(first, first_lengths), self.one(second, second_lengths))
