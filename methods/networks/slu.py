"""The spoken-language-understanding model of the speech suites: acoustic encoder, sequence-to-sequence transformer, tokenizer.

The demo's counterpart of wav2vec 2.0 + decoder (COCONUT spec section 4): log-mel frames → small acoustic encoder (frozen or
fine-tuned) → transformer encoder → transformer decoder over the extended transcript.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.batches import Batch, Ragged, Source, Table, derive
from ...datasets.transcript import Tokenizer, parse, serialise
from ..losses.distillation import transcription
from .acoustic import AcousticEncoder, load_pretrained
from .seq2seq import Seq2Seq, Seq2SeqConfig


class Config(Seq2SeqConfig):
    """The seq2seq model's fields, and the encoder's and tokenizer's."""

    encoder: Literal["pretrained", "scratch"] = Field(
        "pretrained", description="our trained acoustic encoder, or the same from scratch"
    )
    frozen: bool = Field(True, description="keep the acoustic encoder as it is; its outputs are computed once")
    vocabulary: Literal["word", "bpe"] = Field(
        "word", description="tokens of the transcript; intents are atomic either way"
    )
    vocabulary_size: int = Field(1000, ge=64, le=32000, description="BPE tokens")
    max_length: int = Field(40, ge=4, le=512, description="tokens decoded at most")
    beam: int = Field(1, ge=1, le=64, description="beam width in evaluation; 1 = greedy")
    length_penalty: Literal["total", "per_step", "none"] = Field(
        "total", description="((5+L)/6)^0.6 on the total, a step, or none"
    )
    ce_include_pad: bool = Field(
        False, description="average the transcription loss over padding too, as the public code does"
    )
    time_mask: int = Field(
        10, ge=0, le=200, description="SpecAugment on the encoder's input: longest masked stretch, frames; 0 = off"
    )
    time_masks: int = Field(2, ge=0, le=20, description="stretches masked an utterance")


class Passthrough(nn.Module):
    """In the place of an encoder whose outputs were computed once."""

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return features, lengths


def _acoustic(config: Config, seed: int) -> AcousticEncoder:
    if config.encoder == "pretrained":
        return load_pretrained()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "acoustic"))
        return AcousticEncoder()


def prepare(config: Config, source: Source) -> Source:
    """Adds the column ``tokens`` [N, J] (SOS, intent, ..., EOS) and ``intent`` ids; with a frozen encoder ``features`` become its outputs.

    The tokenizer is built on the text of all splits and experiences: names of labels leak, no examples do (spec section 11, 10).
    """
    texts: Mapping[str, list[dict[str, Any]]] = source.info["texts"]
    targets = {
        split: [
            serialise(t["scenario"], t["action"], [(e["type"], e["filler"]) for e in t["entities"]], t["sentence"])
            for t in rows
        ]
        for split, rows in texts.items()
    }
    intents = list(source.info["intents"])
    tokenizer = Tokenizer.build(targets["train"], intents, kind=config.vocabulary, size=config.vocabulary_size)
    splits = {}
    for split, table in source.splits.items():
        tokens = Ragged.from_list([torch.tensor(tokenizer.encode(text), dtype=torch.int64) for text in targets[split]])
        columns: dict[str, Tensor | Ragged] = {**table.columns, "tokens": tokens}
        if config.frozen:
            columns["features"] = _encode(columns["features"], _acoustic(config, 0))
        splits[split] = Table(columns)
    return replace(
        source, splits=splits, info={**source.info, "tokenizer": tokenizer, "targets": targets, "parse": parse}
    )


@torch.no_grad()
def _encode(features: Tensor | Ragged, encoder: AcousticEncoder) -> Ragged:
    """Outputs of the encoder for every row, batched by length."""
    if not isinstance(features, Ragged):
        raise TypeError("features must be a ragged column")
    encoder.eval()
    order = torch.argsort(features.lengths)
    rows: list[Tensor] = [torch.empty(0)] * len(features)
    for part in order.split(64):
        x, lengths = features.gather(part)
        h, out = encoder(x.float(), lengths)
        for k, i in enumerate(part.tolist()):
            rows[i] = h[k, : int(out[k])].half()
    return Ragged.from_list(rows)


def build(config: Config, info: Mapping[str, Any], seed: int) -> SpokenLanguageModel:
    """The model, with weights drawn from torch's global generator (and the shipped ones of the encoder)."""
    encoder: nn.Module = Passthrough() if config.frozen else _acoustic(config, seed)
    return SpokenLanguageModel(config, encoder, info["tokenizer"])


class SpokenLanguageModel(nn.Module):
    """``loss``, ``predict``, ``features`` and the parts that COCONUT reads."""

    def __init__(self, config: Config, encoder: nn.Module, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = config
        self.seq2seq = Seq2Seq(encoder, config, vocabulary=len(tokenizer), d_acoustic=AcousticEncoder.d_out)
        self.d_audio = self.d_text = config.d_model

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile each transformer layer in place (the model has no forward of its own; lengths differ, so shapes are dynamic)."""
        for layer in (*self.seq2seq.encoder_layers, *self.seq2seq.decoder_layers):
            layer.compile(*args, **{"dynamic": True, **kwargs})

    def augment(self, batch: Batch, order: torch.Generator) -> Batch:
        """SpecAugment's time masking on the encoder's input; a new batch. Features [B, T, F]."""
        c = self.config
        if not c.time_mask or not c.time_masks:
            return batch
        x = batch["features"]
        b, t = x.shape[:2]
        width = torch.randint(0, c.time_mask + 1, (b, c.time_masks), generator=order).to(x.device)
        lengths = batch["features_lengths"]
        width = torch.minimum(width, lengths[:, None] // (2 * c.time_masks))
        start = (torch.rand(b, c.time_masks, generator=order).to(x.device) * (lengths[:, None] - width + 1)).long()
        steps = torch.arange(t, device=x.device)
        masked = ((steps >= start[..., None]) & (steps < (start + width)[..., None])).any(1)  # [B, T]
        return {**batch, "features": x.masked_fill(masked[..., None], 0)}

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """h_A [B, T, d], mask [B, T] (True = valid)."""
        return self.seq2seq.encode(batch["features"].float(), batch["features_lengths"])

    def embed(self, tokens: Tensor) -> Tensor:
        """Raw token embeddings, no positions, no scale."""
        return self.seq2seq.embed(tokens)

    def logits(self, h: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing on tokens [B, J] = SOS, intent, ..., EOS: logits [B, J-1, V] of ``tokens[:, 1:]``."""
        return self.seq2seq.decode(h, mask, tokens[:, :-1])

    def loss_from(self, h: Tensor, mask: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Transcription loss L_ASR with teacher forcing (spec section 3.1)."""
        tokens = batch["tokens"]
        logits = self.logits(h, mask, tokens)
        loss = transcription(logits, tokens[:, 1:], include_pad=self.config.ce_include_pad)
        return loss, {"loss/asr": loss}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return self.loss_from(*self.encode(batch), batch)

    def features(self, batch: Batch) -> Tensor:
        """Mean over valid frames of h_A, [B, d]."""
        from ..losses.distillation import masked_mean

        return masked_mean(*self.encode(batch))

    def decode(self, h: Tensor, mask: Tensor, beam: int | None = None) -> Tensor:
        """Best hypotheses [B, L] after SOS: tokens, EOS, then PAD; ``beam`` None: the recipe's."""
        c = self.config
        return self.seq2seq.generate(
            h, mask, beam=beam or c.beam, max_length=c.max_length, length_penalty=c.length_penalty
        )

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """``tokens`` [B, L]: decoded ids after SOS, EOS, then PAD."""
        return {"tokens": self.decode(*self.encode(batch))}
