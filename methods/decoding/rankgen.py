"""RankGen (arXiv 2205.09726): partial continuations are sampled, and a trained dual encoder keeps the best."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.seeds import derive, generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import FrozenCopy, MethodConfig, UnfitError
from ..losses.infonce import infonce
from ..networks import protocols
from .decoder import Decoder, DecoderConfig
from .rank_beam import rank_beam
from .ranker import TextEncoder, overlap
from .training import Training, fit, part_rows


class Config(DecoderConfig):
    """As all decoders; N, B, L and the nucleus are those of the public code, the encoder's sizes are ours."""

    ranker: Literal["rankgen", "likelihood", "overlap"] = Field(
        "rankgen", description="a trained encoder, mean log-probability, or words shared with the prompt"
    )
    negatives: Literal["inbook", "generative", "both"] = Field(
        "both", description="of the encoder: other passages of the document, texts of a model, or both"
    )
    beams: int = Field(2, ge=1, description="B, texts that are kept after a round")
    samples: int = Field(10, ge=1, description="N, pieces sampled after each of them")
    piece: int = Field(10, ge=1, description="L, tokens of a piece; max_new_tokens or more: re-ranking of whole texts")
    top_p: float = Field(0.9, gt=0, le=1, description="mass of the nucleus that is sampled from")
    ranker_epochs: int = Field(20, ge=1, description="epochs of the encoder over the documents")
    ranker_documents: int = Field(4, ge=1, description="documents a step; each is a batch of its own in the loss")
    ranker_lr: float = Field(0.002, gt=0, description="its learning rate")
    ranker_width: int = Field(64, ge=4, multiple_of=4, description="d of the encoder")


class RankGen(Decoder):
    """Texts by :func:`.rank_beam.rank_beam`, ranked by p · s: the vectors of prompt and text so far. The encoder is
    trained with InfoNCE from prefix to continuation (:mod:`..losses.infonce`), the passages of one document against
    each other (in-book) and, where ``negatives`` asks for it, against continuations that a language model trained on
    the texts ``other`` writes. Continuations are cut at random, so that partial texts can be ranked.

    Options are scored by the ranker too: multiple choice among passages asks whether it knows the right one.
    """

    Config: ClassVar[type[MethodConfig]] = Config
    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens", "prompt", "answer")
    )
    config: Config
    name = "rankgen"
    summary = "sampled pieces of text, ranked by a dual encoder that was trained on documents"

    def __init__(self, config: Config, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.encoder: TextEncoder | None = None
        if config.ranker == "rankgen":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive(seed, "rankgen/encoder"))
                self.encoder = TextEncoder(self._model.vocabulary, config.ranker_width)
            self.encoder.requires_grad_(False)
        self.other = FrozenCopy(model)

    def fit_rows(self, view: ExperienceView) -> None:
        if self.encoder is None:
            super().fit_rows(view)
            return
        if "document" not in view.columns:
            raise UnfitError("rankgen trains on passages of documents (column 'document'): use ranker=likelihood here")
        c = self.config
        if c.negatives != "inbook":
            self.other.take()  # as it is before it is trained: it learns the other half of the documents
            rows = part_rows(view, "other", self._model.info)
            self.other.module.requires_grad_(True)
            fit(self.other.module, view, rows, self.lm_training(), self.seed, "lm/other")
            self.other.module.requires_grad_(False)
        super().fit_rows(view)
        rows = part_rows(view, "first", self._model.info)
        documents = view.labels("document")
        own = {int(d): rows[documents_of == d] for documents_of in [_at(documents, view, rows)] for d in documents_of}
        firsts = torch.stack([group[0] for group in own.values()])
        self.encoder.requires_grad_(True)
        training = Training(c.ranker_epochs, c.ranker_documents, c.ranker_lr)
        loss = _Loss(self, view, own, _at(documents, view, firsts).tolist(), firsts)
        fit(self.encoder, view, firsts, training, self.seed, f"rankgen/{c.negatives}/{c.lm_epochs}/{len(rows)}", loss)
        self.encoder.requires_grad_(False)

    # ------------------------------------------------------------------ ranking

    def vectors(self, tokens: Tensor, lengths: Tensor, tag: int) -> Tensor:
        """The encoder's vectors [n, d] of texts."""
        assert self.encoder is not None
        found: Tensor = self.encoder(tokens, lengths, tag)
        return found

    def score(self, batch: Batch, tokens: Tensor, lengths: Tensor, rows: Tensor, logprob: Tensor) -> Tensor:
        """How good texts [n, T] are as continuations of the prompts ``rows`` [n] of the batch, [n]."""
        kind, info = self.config.ranker, self._model.info
        if kind == "likelihood":
            return logprob
        if kind == "overlap":
            return overlap(batch["prompt"][rows], tokens, (info.pad, info.bos, info.eos))
        prefix = self.vectors(batch["prompt"], batch["prompt_lengths"], TextEncoder.PREFIX)
        return (prefix[rows] * self.vectors(tokens, lengths, TextEncoder.CONTINUATION)).sum(1)

    def generate(self, batch: Batch) -> dict[str, Tensor]:
        """As every decoder, and ``rank_score`` [B] of the chosen text (NaN where nothing was ranked)."""
        c, info = self.config, self._model.info
        found = rank_beam(
            self.main(batch),
            c.max_new_tokens,
            lambda *texts: self.score(batch, *texts),
            lambda number: self._draws(batch["index"], number),
            beams=c.beams,
            samples=c.samples,
            piece=min(c.piece, c.max_new_tokens),
            top_p=c.top_p,
            eos=info.eos,
            pad=info.pad,
        )
        return {
            "tokens": found.tokens,
            "forwards": found.forwards,
            "logprob": found.logprob,
            "rank_score": found.score,
        }

    def _draws(self, rows: Tensor, number: int) -> Tensor:
        """Numbers [B, N · B', L] of a round, by (seed, row id, round)."""
        c = self.config
        size = (c.samples * c.beams, min(c.piece, c.max_new_tokens))
        streams = [generator(self.draw_seed, f"rankgen/{row}/{number}") for row in rows.tolist()]
        return torch.stack([torch.rand(size, dtype=torch.float64, generator=stream) for stream in streams])

    def choices(self, batch: Batch) -> Tensor:
        """Scores [B, K] of the options by the ranker; of likelihood the mean log-probability of a token."""
        options, kind = batch["options"], batch["option_kind"]
        b, k, a = options.shape
        if self.config.ranker == "likelihood":
            made = (options != self._model.info.pad).sum(2).clamp(min=1)
            return super().choices(batch) / made
        rows = torch.arange(b, device=options.device).repeat_interleave(k)
        texts = options.reshape(b * k, a)
        lengths = (texts != self._model.info.pad).sum(1)
        found = self.score(batch, texts, lengths, rows, torch.zeros(b * k)).double()
        return found.view(b, k).masked_fill(kind < 0, -torch.inf)


def _at(values: Tensor, view: ExperienceView, rows: Tensor) -> Tensor:
    """Of a column of the experience's rows, in their order, those of the row ids ``rows``."""
    place = {int(row): k for k, row in enumerate(view.index.tolist())}
    return values[torch.tensor([place[int(row)] for row in rows.tolist()])]


class _Loss:
    """InfoNCE of whole documents; a batch names each by its first passage."""

    def __init__(
        self, method: RankGen, view: ExperienceView, own: dict[int, Tensor], names: list[int], firsts: Tensor
    ) -> None:
        self.method, self.view, self.own = method, view, own
        self.document = dict(zip(firsts.tolist(), names, strict=True))
        self.cuts = generator(method.seed, "rankgen/cuts")
        self.written: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, batch: Batch) -> Tensor:
        """Mean over the documents and their passages, []."""
        c = self.method.config
        losses = []
        for row in batch["index"].tolist():
            passages = self.view.gather(self.own[self.document[row]])
            prefix = self.method.vectors(passages["prompt"], passages["prompt_lengths"], TextEncoder.PREFIX)
            right = self._cut(passages["answer"], passages["answer_lengths"])
            wrong = None if c.negatives == "inbook" else self._cut(*self._generated(row, passages))
            if c.negatives == "generative":  # each against what was written alone: no other passage competes
                assert wrong is not None
                losses += [infonce(prefix[k : k + 1], right[k : k + 1], wrong) for k in range(len(prefix))]
            else:
                losses.append(infonce(prefix, right, wrong))
        return torch.stack(losses).mean()

    def _cut(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Vectors [n, d] of texts that end anywhere from their fifth token on."""
        most = int(lengths.max())
        shares = torch.rand(len(tokens), generator=self.cuts).to(lengths.device)
        least = lengths.clamp(max=5)
        cut = (least + (shares * (lengths - least + 1)).long()).minimum(lengths)
        return self.method.vectors(tokens[:, :most], cut, TextEncoder.CONTINUATION)

    def _generated(self, row: int, passages: Batch) -> tuple[Tensor, Tensor]:
        """What the other language model writes after each prefix, tokens [n, T] and lengths [n]; made once."""
        if row not in self.written:
            method, info = self.method, self.method.model.info
            main = method.branch(passages, "prompt", model=method.other.module)
            size = passages["answer"].shape[1]
            seeds = generator(method.seed, f"rankgen/written/{row}")
            numbers = torch.rand(len(passages["index"]), 1, size, dtype=torch.float64, generator=seeds)
            made = rank_beam(
                main,
                size,
                _unasked,
                lambda number: numbers,
                beams=1,
                samples=1,
                piece=size,
                top_p=method.config.top_p,
                eos=info.eos,
                pad=info.pad,
            )
            self.written[row] = (made.tokens, (made.tokens != info.pad).sum(1))
        return self.written[row]


def _unasked(*texts: Tensor) -> Tensor:
    raise AssertionError("one sample is not ranked")


METHOD = RankGen
