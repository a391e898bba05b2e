"""The spoken-language-understanding model of the speech suites: acoustic encoder, sequence-to-sequence transformer,
tokenizer.

The demo's counterpart of wav2vec 2.0 + decoder: log-mel frames → small acoustic encoder (frozen or
fine-tuned) → transformer encoder → transformer decoder over the extended transcript.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
import torchaudio
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.seeds import derive
from ...datasets.core.source import DataInfo, Source, SpeechInfo, Transcripts, require
from ...datasets.core.table import Batch, Column, Ragged, Table
from ...datasets.core.transcript import EOS_ID, PAD_ID, Tokenizer, clean_words, serialise
from ..base import UnfitError
from ..losses.ctc import ctc
from ..losses.transcription import transcription
from . import ctc_search
from .acoustic import AcousticEncoder, load_pretrained
from .protocols import SequenceModel
from .seq2seq import Seq2Seq, Seq2SeqConfig
from .speech import LogMel, Pretrained
from .speech_augmentation import FRAME, Noise, SpecAugment, add_noise, spec_augment, speed_perturb

Acoustic = AcousticEncoder | LogMel | Pretrained  # ``d_out`` is the width of its outputs
PROVIDES = (SequenceModel,)


class Config(Seq2SeqConfig):
    """The seq2seq model's fields, and the encoder's and tokenizer's."""

    encoder: Literal["pretrained", "scratch", "transformers"] = Field(
        "pretrained",
        description=(
            "our trained acoustic encoder, the same from scratch, or a speech model of transformers "
            "(needs data.options.features: waveform)"
        ),
    )
    encoder_name: str = Field(
        "facebook/wav2vec2-base-960h",
        description="of encoder: transformers; a hub name or a local folder (FSC: ntu-spml/distilhubert)",
    )
    encoder_mask: bool = Field(True, description="of encoder: transformers; attend to valid frames alone")
    freeze_extractor: bool = Field(True, description="of encoder: transformers; keep its convolutions as they are")
    checkpointing: bool = Field(False, description="of encoder: transformers; gradient checkpointing")
    frozen: bool = Field(True, description="keep the acoustic encoder as it is; its outputs are computed once")
    vocabulary: Literal["word", "bpe"] = Field(
        "word", description="tokens of the transcript; intents are atomic either way"
    )
    vocabulary_size: int = Field(1000, ge=64, le=32000, description="BPE tokens")
    bpe_dropout: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="of vocabulary: bpe, in training: probability that a merge is left out (public code: 0.1)",
    )
    max_length: int = Field(40, ge=4, le=512, description="tokens decoded at most")
    beam: int = Field(1, ge=1, le=64, description="beam width in evaluation; 1 = greedy")
    length_penalty: Literal["total", "per_step", "none"] = Field(
        "total", description="((5+L)/6)^0.6 on the total, a step, or none"
    )
    ctc_weight: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="w: the loss is (1 - w) L_ASR + w L_CTC, with a head on the frames",
    )
    beam_ctc: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="SpeechBrain's beam search instead of ours, with this weight of the CTC head's score (0: without)",
    )
    ce_include_pad: bool = Field(
        False, description="average the transcription loss over padding too, as the public code does"
    )
    time_mask: int = Field(
        10, ge=0, le=200, description="SpecAugment on the encoder's input: longest masked stretch, frames; 0 = off"
    )
    time_masks: int = Field(2, ge=0, le=20, description="stretches masked an utterance")
    spec_augment: SpecAugment | None = Field(
        None, description="SpeechBrain's SpecAugment on the encoder's input, in the place of time_mask; null: none"
    )
    speed_perturb: tuple[Annotated[int, Field(ge=50, le=200)], ...] = Field(
        (), max_length=20, description="waveforms in training: speeds in per cent, one drawn a row ([90, 100, 110])"
    )
    noise: Noise | None = Field(None, description="waveforms in training: noise; null: none")
    room_seconds: float = Field(
        0.0, ge=0, le=2, description="waveforms in training: longest reverberation time of a room drawn for each row"
    )


class Passthrough(nn.Module):
    """In the place of an encoder whose outputs were computed once."""

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return features, lengths


def _acoustic(config: Config, seed: int, features: str = "log_mel") -> Acoustic:
    """The acoustic encoder for rows of this kind. Raises ValueError where the two do not fit."""
    if config.encoder == "transformers":
        if features != "waveform":
            raise UnfitError("model.options.encoder: transformers needs data.options.features: waveform")
        return Pretrained(
            config.encoder_name,
            mask=config.encoder_mask,
            freeze_extractor=config.freeze_extractor,
            checkpointing=config.checkpointing,
        )
    if config.encoder == "pretrained":
        encoder = load_pretrained()
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "acoustic"))
            encoder = AcousticEncoder()
    return LogMel(encoder) if features == "waveform" else encoder


def prepare(config: Config, source: Source) -> Source[SpeechInfo]:
    """Adds the column ``tokens`` [N, J] (SOS, intent, ..., EOS) and ``intent`` ids; with a frozen encoder ``features``
    become its outputs.

    The tokenizer is built on the text of all splits and experiences: names of labels leak, no examples do.
    """
    spoken = source.reading(SpeechInfo, "the network 'slu'")
    facts = spoken.info
    targets = {
        split: [
            serialise(a.scenario, a.action, [(kind, clean_words(said)) for kind, said in a.entities], a.sentence)
            for a in rows
        ]
        for split, rows in facts.annotations.items()
    }
    intents = list(facts.intents)
    tokenizer = Tokenizer.build(targets["train"], intents, kind=config.vocabulary, size=config.vocabulary_size)
    encoder = _acoustic(config, 0, facts.features)
    splits = {}
    for split, table in source.splits.items():
        tokens = Ragged.from_list([torch.tensor(tokenizer.encode(text), dtype=torch.int64) for text in targets[split]])
        columns: dict[str, Column] = {**table.columns, "tokens": tokens}
        if config.frozen:
            columns["features"] = _encode(columns["features"], encoder)
        splits[split] = Table(columns)
    transcripts = Transcripts(tokenizer, targets, encoder.d_out)
    return replace(spoken, splits=splits, info=replace(facts, transcripts=transcripts))


def _samples(x: Tensor) -> Tensor:
    """Rows as numbers: int16 samples become float32 in [-1, 1]."""
    return x.float() / 32767 if x.dtype == torch.int16 else x.float()


@torch.no_grad()
def _encode(features: Column, encoder: nn.Module) -> Ragged:
    """Outputs of the encoder for every row, batched by length."""
    if not isinstance(features, Ragged):
        raise TypeError("features must be a ragged column")
    encoder.eval()
    by_length = torch.argsort(features.lengths)
    rows: list[Tensor] = [torch.empty(0)] * len(features)
    for part in by_length.split(64):
        x, lengths = features.gather(part)
        h, out = encoder(_samples(x), lengths)
        for k, i in enumerate(part.tolist()):
            rows[i] = h[k, : int(out[k])].half()
    return Ragged.from_list(rows)


def to_document(info: DataInfo) -> dict[str, Any]:
    """What a trained model needs of the data to work without it, as JSON: written beside the weights."""
    facts = require(info, SpeechInfo, "the network 'slu'")
    return {
        "tokenizer": facts.prepared.tokenizer.to_json(),
        "features": facts.features,
        "d_acoustic": facts.prepared.d_acoustic,
    }


def from_document(document: Mapping[str, Any]) -> SpeechInfo:
    """What :func:`to_document` wrote, without annotations and targets."""
    transcripts = Transcripts(Tokenizer.from_json(document["tokenizer"]), {}, int(document["d_acoustic"]))
    return SpeechInfo(features=document.get("features", "log_mel"), transcripts=transcripts)


def batch_of(config: Config, info: SpeechInfo, rows: list[Tensor]) -> Batch:
    """A batch of features (log-mel [T, 40] or samples [n], as the model was trained on), through the frozen encoder
    where there is one.
    """
    features = Ragged.from_list(rows)
    if config.frozen:
        features = _encode(features, _acoustic(config, 0, info.features))
    x, lengths = features.gather(torch.arange(len(rows)))
    return {
        "features": x,
        "features_lengths": lengths,
        "index": torch.arange(len(rows)),
        "is_memory": torch.zeros(len(rows), dtype=torch.bool),
    }


def build(config: Config, info: DataInfo, seed: int) -> SpokenLanguageModel:
    """The model, with weights drawn from torch's global generator (and the shipped ones of the encoder).

    Raises DataError for data of another kind, or that :func:`prepare` has not seen; UnfitError for options that do not
    fit.
    """
    facts = require(info, SpeechInfo, "the network 'slu'")
    text = facts.prepared
    _check(config, facts.features)
    encoder = Passthrough() if config.frozen else _acoustic(config, seed, facts.features)
    return SpokenLanguageModel(config, encoder, text.tokenizer, text.d_acoustic, facts.features)


def _check(config: Config, features: str) -> None:
    """Raises UnfitError for fields that would do nothing, or that ask for a part that is not there."""
    of_waveforms = {"speed_perturb": config.speed_perturb, "noise": config.noise, "room_seconds": config.room_seconds}
    asked = [f"model.options.{name}" for name, value in of_waveforms.items() if value]
    if asked and (features != "waveform" or config.frozen):
        raise UnfitError(
            f"{' and '.join(asked)} change waveforms in training: set data.options.features=waveform and "
            "model.options.frozen=false"
        )
    if config.beam_ctc and not config.ctc_weight:
        raise UnfitError("model.options.beam_ctc asks for a CTC head: set model.options.ctc_weight=0.3")


def mask_time(x: Tensor, lengths: Tensor, longest: int, count: int, generator: torch.Generator) -> Tensor:
    """``count`` stretches of up to ``longest`` steps of each row [B, T, ...] set to zero; of short rows at most half
    (SpecAugment).
    """
    b, t = x.shape[:2]
    width = torch.randint(0, longest + 1, (b, count), generator=generator).to(x.device)
    width = torch.minimum(width, lengths[:, None] // (2 * count))
    start = (torch.rand(b, count, generator=generator).to(x.device) * (lengths[:, None] - width + 1)).long()
    steps = torch.arange(t, device=x.device)
    masked = ((steps >= start[..., None]) & (steps < (start + width)[..., None])).any(1)  # [B, T]
    return x.masked_fill(masked.reshape(b, t, *[1] * (x.dim() - 2)), 0)


def add_room(x: Tensor, seconds: float, generator: torch.Generator) -> Tensor:
    """Waveforms [B, U] through a room of a reverberation time drawn a row from (0, ``seconds``]: the direct sound and a
    decaying tail.
    """
    n = max(1, int(seconds * 16_000))
    times = (torch.rand(len(x), 1, generator=generator) * (n - 1) + 1).to(x.device)
    tail = torch.randn(len(x), n, generator=generator).to(x.device) * torch.exp(
        -6.9 * torch.arange(n, device=x.device) / times
    )
    tail = 0.3 * tail / tail.norm(dim=1, keepdim=True).clamp(min=1e-6)
    response = torch.cat([torch.ones(len(x), 1, device=x.device), tail], 1)
    return torchaudio.functional.fftconvolve(x, response)[:, : x.shape[1]]


class SpokenLanguageModel(nn.Module):
    """``loss``, ``predict``, ``features`` and the parts that COCONUT reads."""

    def __init__(
        self, config: Config, encoder: nn.Module, tokenizer: Tokenizer, d_acoustic: int, features: str
    ) -> None:
        super().__init__()
        self.config = config
        self.seq2seq = Seq2Seq(encoder, config, vocabulary=len(tokenizer), d_acoustic=d_acoustic)
        self.tokenizer = tokenizer
        self.d_audio = self.d_text = config.d_model
        intents = [tokenizer.ids[name] for name in tokenizer.intents]
        self.intent_tokens: Tensor
        self.register_buffer("intent_tokens", torch.tensor(intents, dtype=torch.int64), persistent=False)
        self.waveform = features == "waveform" and not config.frozen
        self.ctc_head = nn.Linear(config.d_model, len(tokenizer)) if config.ctc_weight else None

    @property
    def encoder(self) -> nn.ModuleList:
        """Everything between the input and h_A."""
        s = self.seq2seq
        return nn.ModuleList([s.encoder, s.adapter, *s.encoder_layers, s.encoder_norm])

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile each transformer layer in place (the model has no forward of its own; lengths differ, so shapes are
        dynamic).
        """
        for layer in (*self.seq2seq.encoder_layers, *self.seq2seq.decoder_layers):
            layer.compile(*args, **{"dynamic": True, **kwargs})

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Speed, room and noise of waveforms, then SpecAugment on the encoder's input; BPE dropout on the targets; a
        new batch.
        """
        c = self.config
        x, lengths = batch["features"], batch["features_lengths"]
        if self.waveform:
            x = _samples(x)
            if c.speed_perturb:
                x, lengths = speed_perturb(x, lengths, c.speed_perturb, generator)
            x = add_room(x, c.room_seconds, generator) if c.room_seconds else x
            x = add_noise(x, lengths, c.noise, generator) if c.noise else x
        if c.spec_augment:
            x = spec_augment(x, lengths, c.spec_augment, generator)
        elif c.time_mask and c.time_masks:
            x = mask_time(x, lengths, c.time_mask * (FRAME if self.waveform else 1), c.time_masks, generator)
        return {**batch, "features": x, "features_lengths": lengths, **self._split_again(batch, generator)}

    def _split_again(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The targets with BPE dropout: ``tokens`` [B, J'] and their lengths; empty where there is none."""
        if self.config.vocabulary != "bpe" or not self.config.bpe_dropout:
            return {}
        draw = random.Random(int(torch.randint(2**62, (), generator=generator)))
        rows = [
            torch.tensor(self.tokenizer.encode(self.tokenizer.decode(row), self.config.bpe_dropout, draw))
            for row in batch["tokens"].tolist()
        ]
        tokens = Ragged.from_list(rows)
        padded, lengths = tokens.gather(torch.arange(len(rows)))
        device = batch["tokens"].device
        return {"tokens": padded.to(device), "tokens_lengths": lengths.to(device)}

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """h_A [B, T, d], mask [B, T] (True = valid)."""
        return self.seq2seq.encode(_samples(batch["features"]), batch["features_lengths"])

    def embed(self, tokens: Tensor) -> Tensor:
        """Raw token embeddings, no positions, no scale."""
        return self.seq2seq.embed(tokens)

    def logits(self, h: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing on tokens [B, J] = SOS, intent, ..., EOS: logits [B, J-1, V] of ``tokens[:, 1:]``."""
        return self.seq2seq.decode(h, mask, tokens[:, :-1])

    def loss_from(self, h: Tensor, mask: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Transcription loss with teacher forcing: L_ASR, or (1 - w) L_ASR + w L_CTC."""
        tokens, w = batch["tokens"], self.config.ctc_weight
        logits = self.logits(h, mask, tokens)
        asr = transcription(logits, tokens[:, 1:], include_pad=self.config.ce_include_pad)
        if self.ctc_head is None:
            return asr, {"loss/asr": asr}
        said = tokens[:, 1:].masked_fill(tokens[:, 1:] == EOS_ID, PAD_ID)  # without SOS and EOS, PAD being the blank
        aligned, unaligned = ctc(self.ctc_head(h), mask.sum(1), said, (said != PAD_ID).sum(1), blank=PAD_ID)
        return (1 - w) * asr + w * aligned, {"loss/asr": asr, "loss/ctc": aligned, "ctc/unaligned": unaligned}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return self.loss_from(*self.encode(batch), batch)

    def features(self, batch: Batch) -> Tensor:
        """Mean over valid frames of h_A, [B, d]."""
        from ..losses.numerics import masked_mean

        return masked_mean(*self.encode(batch))

    def decode(self, h: Tensor, mask: Tensor, beam: int | None = None) -> Tensor:
        """Best hypotheses [B, L] after SOS: tokens, EOS, then PAD; ``beam`` None: the recipe's."""
        c, width = self.config, beam or self.config.beam
        if c.beam_ctc is None:
            return self.seq2seq.generate(h, mask, beam=width, max_length=c.max_length, length_penalty=c.length_penalty)
        normalise = c.length_penalty != "none"
        options: dict[str, Any] = {"beam": width, "max_length": c.max_length, "normalise": normalise}
        return ctc_search.search(self.seq2seq, self.ctc_head, h, mask, weight=c.beam_ctc, **options)

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """``tokens`` [B, L]: decoded ids after SOS, EOS, then PAD."""
        return {"tokens": self.decode(*self.encode(batch))}
