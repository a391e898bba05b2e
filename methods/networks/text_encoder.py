"""A pretrained encoder of texts with a linear head: a model of ``transformers`` by hub name or folder, or one
of those of :mod:`.backbones`. What of it is trained says the method, by a tuner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.source import Source, Tokens, require
from ...datasets.core.table import Batch, Ragged, Table
from ...datasets.core.texts import TextInfo, unpacked
from ..base import FrozenReference, UnfitError
from ..losses.mixup import mixed_mask, mixed_rows
from . import backbones
from .architectures import layers_of
from .dropout import Dropout
from .protocols import Mix, TextModel
from .tuners import Head, Hidden, Inputs, Tuner

PROVIDES = (TextModel,)
Pooling = Literal["auto", "mean", "cls", "pooler"]
FIELDS = ("model.options.backbone", "model.options.max_length")


class Config(BaseModel):
    """Which encoder, and how a text becomes one vector."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = Field("minilm", description="minilm (in the extra `text`), tiny (random), a folder, or a hub name")
    revision: str | None = Field(None, description="of the hub's repository; null: its main branch")
    pooling: Pooling = Field(
        "auto",
        description="mean over tokens, the first token (cls), or that through the encoder's own pooler; auto: mean of "
        "minilm and of encoders without a pooler, else pooler",
    )
    max_length: int = Field(128, ge=4, le=100_000, description="tokens of a text or pair, special ones included")
    dropout: float = Field(0.1, ge=0, lt=1, description="of the sentence representation before the head")
    task_known: bool = Field(
        True, description="with tasks in sequence: whether a row's task is known, so that its classes alone compete"
    )
    layers: bool = Field(False, description="predict the representation after every layer too, as `layers`")


def prepare(config: Config, source: Source) -> Source:
    """The source with the columns ``tokens`` and ``types`` (of a choice task also ``tokens_1``, ``types_1``), ids of
    the backbone's own tokenizer, cut to ``max_length``; ``info.tokens`` says what pads.

    Raises:
        DataError: the data set gives no texts.
        FileNotFoundError, ModuleNotFoundError, UnfitError: as :func:`.backbones.load`.
    """
    info = require(source.info, TextInfo, "text_encoder")
    tokenizer = backbones.tokenizer_of(config.backbone, config.revision)
    places = backbones.places_of(config.backbone, config.revision)
    limit = min(config.max_length, int(tokenizer.model_max_length), *([places] if places else []))
    splits, types = {}, False
    for split, table in source.splits.items():
        columns = dict(table.columns)
        texts = [unpacked(columns[name]) for name in info.fields]
        pairs = [(texts[0], other) for other in texts[1:]] or [(texts[0], [""] * len(table))]
        for number, (first, second) in enumerate(pairs[: info.choices or 1]):
            suffix = f"_{number}" if number else ""
            ids, sides = _encoded(tokenizer, first, second, limit)
            columns[f"tokens{suffix}"] = ids
            if sides is not None:
                columns[f"types{suffix}"], types = sides, True
        splits[split] = Table(columns)
    tokens = Tokens(
        pad=int(tokenizer.pad_token_id or 0),
        kept=tuple(sorted(map(int, tokenizer.all_special_ids))),
        unknown=_unknown(tokenizer),
        types=types,
        size=len(tokenizer),
    )
    return replace(source, splits=splits, info=replace(info, tokens=tokens))


def _unknown(tokenizer: Any) -> int:
    found = next((i for i in (tokenizer.unk_token_id, tokenizer.mask_token_id) if i is not None), 0)
    return int(found)


def _encoded(tokenizer: Any, first: Sequence[str], second: Sequence[str], limit: int) -> tuple[Ragged, Ragged | None]:
    """Ids and token types of pairs; of a single text where the second is empty."""
    rows: list[tuple[list[int], list[int] | None]] = [([], None)] * len(first)
    for paired in (False, True):
        where = [i for i, text in enumerate(second) if bool(text) == paired]
        if not where:
            continue
        other = [second[i] for i in where] if paired else None
        made = tokenizer([first[i] for i in where], other, truncation=True, max_length=limit)
        sides = made.get("token_type_ids") or [None] * len(where)
        for i, ids, kinds in zip(where, made["input_ids"], sides, strict=True):
            rows[i] = (ids or [_unknown(tokenizer)], kinds)
    ids = Ragged.from_list([torch.tensor(row, dtype=torch.int64) for row, _ in rows])
    if any(kinds is None for _, kinds in rows):
        return ids, None
    return ids, Ragged.from_list([torch.tensor(kinds or [0], dtype=torch.int64) for _, kinds in rows])


def build(config: Config, info: Any, seed: int) -> TextClassifier:
    """The encoder frozen, with a new head; a method tunes it. Raises as :func:`.backbones.load`, and UnfitError for a
    tokenizer with more tokens than the encoder has embeddings.
    """
    facts = require(info, TextInfo, "text_encoder")
    if facts.tokens is None:
        raise UnfitError("text_encoder: the texts have no tokens yet: its prepare() comes before its build()")
    net, _ = backbones.load(config.backbone, config.revision)
    net.config._name_or_path = config.backbone  # what a saved adapter says of it: no path of this machine
    known = int(net.get_input_embeddings().num_embeddings)
    if facts.tokens.size > known:
        raise UnfitError(
            f"{FIELDS[0]}: the tokenizer of '{config.backbone}' has {facts.tokens.size} tokens, its model {known}"
        )
    return TextClassifier(net, facts, config, backbones.places_of(config.backbone, config.revision))


class Encoder(FrozenReference):
    """A pretrained encoder that is kept by reference, in the mode that training is in: its dropout stays on."""

    def __init__(self, module: nn.Module, name: str, revision: str | None = None) -> None:
        super().__init__(module, name, revision)
        _ = self.sha256  # of the weights as they were loaded, before a tuner puts anything in

    def train(self, mode: bool = True) -> Encoder:
        self.module.train(mode)
        return super().train(mode)


class TextClassifier(nn.Module):
    """Texts to sentence representations z to logits. Without :meth:`tune` only the head is trained.

    The state holds tuner and head; the encoder by name and sha256, or by value where the tuner changes it.
    """

    def __init__(self, net: Any, info: TextInfo, config: Config, places: int | None = None) -> None:
        super().__init__()
        self.encoder = Encoder(net, config.backbone, config.revision)
        self.info, self.config, self.places = info, config, places
        self.tuner: Tuner = Head(net)
        self.d_out = int(net.config.hidden_size)
        pooler = getattr(net, "pooler", None) is not None
        automatic: Pooling = "pooler" if pooler and config.backbone != "minilm" else "mean"
        self.pooling = automatic if config.pooling == "auto" else config.pooling
        if self.pooling == "pooler" and not pooler:
            raise UnfitError("model.options.pooling: this encoder has no pooler: mean or cls")
        if config.task_known and info.tasks:
            allowed = torch.zeros(len(info.tasks), info.classes, dtype=torch.bool)
            for task, classes in enumerate(info.task_classes):
                allowed[task, list(classes)] = True
            self.register_buffer("allowed", allowed, persistent=False)
        self.dropout = Dropout(config.dropout)
        self.head = nn.Linear(self.d_out, 1 if info.choices else info.classes)
        self.dropouts = nn.ModuleList(_ours(net))  # so that they are among the modules of the run
        self.whole: nn.Module | None = None

    @property
    def net(self) -> Any:
        """The encoder as the library knows it."""
        return self.encoder.module

    def tune(self, make: Callable[[Any], Tuner]) -> None:
        """Raises UnfitError where the longest text and what the tuner puts before it do not fit the positions."""
        self.tuner = make(self.net)
        if self.places is not None and self.tuner.moved + self.config.max_length > self.places:
            raise UnfitError(
                f"{FIELDS[1]}: {self.config.max_length} tokens and {self.tuner.moved} of the {self.tuner.kind} do not "
                f"fit into the {self.places} positions of '{self.config.backbone}': at most "
                f"{self.places - self.tuner.moved}"
            )
        self.dropouts = nn.ModuleList(_ours(self.net))
        self.whole = self.net if self.tuner.whole else None

    # -- from a batch to logits ------------------------------------------------------------------------------------

    def inputs(self, batch: Batch, alternative: int = 0) -> Inputs:
        """Word embeddings, mask and types of the sequences of one alternative; what stands behind a text is padding."""
        suffix = f"_{alternative}" if alternative else ""
        tokens, lengths = batch[f"tokens{suffix}"], batch[f"tokens{suffix}_lengths"]
        valid = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        assert self.info.tokens is not None
        embedded = self.net.get_input_embeddings()(tokens.masked_fill(~valid, self.info.tokens.pad))
        return Inputs(embedded, valid.long(), batch.get(f"types{suffix}"))

    def pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """z [B, H] of hidden states [B, S, H]."""
        if self.pooling == "mean":
            weight = mask.to(hidden.dtype)[..., None]
            return (hidden * weight).sum(1) / weight.sum(1)
        if self.pooling == "cls":
            return hidden[:, 0]
        pooler = self.net.pooler
        linear = isinstance(pooler, nn.Linear)  # ALBERT's, which takes the first token
        made: Tensor = self.net.pooler_activation(pooler(hidden[:, 0])) if linear else pooler(hidden)
        return made

    def encode(self, batch: Batch, mix: Mix | None = None) -> Tensor:
        """z [B, A, H]. Mixed in the hidden states, a text is mixed where both of its two have tokens."""
        made = []
        for alternative in range(self.info.choices or 1):
            x = self.inputs(batch, alternative)
            if mix is not None and mix.level == "embedding":
                x = Inputs(mixed_rows(x.embedded, mix.order, mix.share), mixed_mask(x.mask, mix.order), x.types)
            with _mixed_within(self.net, x.mask, mix if mix is not None and mix.level == "hidden" else None):
                made.append(self.pooled(self.tuner(self.net, x).last, x.mask))
        return torch.stack(made, 1)

    def logits(self, z: Tensor, batch: Batch) -> Tensor:
        """[B, C] of z [B, A, H]; dropout before the head where it trains."""
        scores: Tensor = self.head(self.dropout(z))
        scores = scores[..., 0] if self.info.choices else scores[:, 0]
        allowed = getattr(self, "allowed", None)
        if allowed is not None and "task" in batch:
            scores = scores.masked_fill(~allowed[batch["task"]], -torch.inf)
        return scores

    # -- what methods that know nothing of tuners ask ----------------------------------------------------------------

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Texts are altered before training, if at all (``data.transforms``)."""
        return batch

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy."""
        return F.cross_entropy(self.logits(self.encode(batch), batch).float(), batch["label"]), {}

    def features(self, batch: Batch) -> Tensor:
        """z [B, H]; of a choice task that of the predicted alternative."""
        z = self.encode(batch)
        return z[torch.arange(len(z)), self.logits(z, batch).argmax(1)] if self.info.choices else z[:, 0]

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """``label`` [B], ``scores`` [B, C], ``feature`` [B, H], and with the option ``layers`` z after each layer."""
        deep: Hidden | None = None
        if self.config.layers and not self.info.choices:
            x = self.inputs(batch)
            deep = self.tuner(self.net, x, every_layer=True)
            z = self.pooled(deep.last, x.mask)[:, None]
        else:
            z = self.encode(batch)
        scores = self.logits(z, batch).float()
        label = scores.argmax(1)
        feature = z[torch.arange(len(z)), label] if self.info.choices else z[:, 0]
        made = {"label": label, "scores": scores, "feature": feature.float()}
        if deep is not None:
            made["layers"] = torch.stack([self.pooled(layer, x.mask) for layer in deep.layers], 1).float()
        return made


def _ours(net: nn.Module) -> list[nn.Module]:
    """The dropouts of an encoder, which become ours (:mod:`.dropout`) where they are torch's."""
    for part in list(net.modules()):
        for name, child in list(part.named_children()):
            if type(child) is nn.Dropout:
                part._modules[name] = Dropout(child.p).train(child.training)
    return [part for part in net.modules() if isinstance(part, Dropout)]


@contextmanager
def _mixed_within(net: Any, mask: Tensor, mix: Mix | None) -> Iterator[None]:
    """Within it the output of a layer is mixed, at positions where both texts have a token."""
    if mix is None:
        yield
        return
    layers = layers_of(net, "mixup: hidden")
    if not 1 <= mix.layer <= len(layers):
        raise UnfitError(f"mixup_layer: this encoder has the layers 1 to {len(layers)}, not {mix.layer}")
    both = (mask.bool() & mask[mix.order].bool())[..., None]

    def mixed(module: nn.Module, args: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        made = torch.where(both, mixed_rows(hidden, mix.order, mix.share), hidden)
        return (made, *output[1:]) if isinstance(output, tuple) else made

    handle = layers[mix.layer - 1].register_forward_hook(mixed)
    try:
        yield
    finally:
        handle.remove()
