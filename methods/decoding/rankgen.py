"""RankGen (arXiv 2205.09726): an encoder of prefixes and continuations ranks what a language model samples."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.seeds import derive, generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import MethodConfig
from ..losses.contrast import plausible
from ..losses.infonce import infonce
from ..networks import protocols
from ..networks.branches import Branch
from ..networks.language import left_padded, rows_of
from ..networks.rank_encoder import CONTINUATION, PREFIX, RankEncoder
from .decoder import Decoder, DecoderConfig
from .rank_beam import Beam, rank_beam
from .training import Training, fit, part_rows


class RankGenConfig(DecoderConfig):
    """As all decoders, the ranker's training, and the search."""

    sample: bool = Field(True, description="draw tokens; false: always the best")
    top_p: float = Field(0.9, gt=0, le=1, description="nucleus of the samples; 1: all")
    ranker: Literal["trained", "likelihood", "overlap"] = Field(
        "trained", description="trained: RankGen; likelihood of the model; words shared with the prefix (controls)"
    )
    negatives: Literal["inbook", "generative", "both"] = Field(
        "both", description="other continuations of the same document, of a model, or both"
    )
    beams: int = Field(2, ge=1, description="B, texts kept a round")
    samples: int = Field(10, ge=1, description="N, samples of each a round")
    piece: int = Field(8, ge=1, description="L, tokens of a sample; as many as max_new_tokens with B = 1: re-ranking")
    rank_epochs: int = Field(6, ge=1, description="epochs of the ranker over the documents")
    rank_lr: float = Field(0.001, gt=0, description="its learning rate (AdamW)")
    rank_width: int = Field(64, ge=8, multiple_of=4, description="d, width of the encoder")
    rank_layers: int = Field(2, ge=1, description="its layers")


class RankGen(Decoder):
    """Search over sampled pieces by p·s of prefix and text so far. The ranker is trained on the first part with
    batches of one document; generated negatives come from a model of the part ``other``.
    """

    Config: ClassVar[type[MethodConfig]] = RankGenConfig
    requires: ClassVar[protocols.Requires] = protocols.Requires(
        model=protocols.CausalModel, columns=("tokens", "prompt", "answer", "document")
    )
    config: RankGenConfig
    name = "rankgen"
    summary = "continuations sampled piece by piece and ranked by a dual encoder"

    def __init__(self, config: Any, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        info, c = self._model.info, self.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "rankgen/init"))
            self.encoder = RankEncoder(len(info.vocabulary), c.rank_width, c.rank_layers, 4, info.longest)

    def fit_rows(self, view: ExperienceView) -> None:
        other = copy.deepcopy(self.model)  # as it was before it was trained on the first half
        super().fit_rows(view)
        if self.config.ranker != "trained":
            return
        info, c = self._model.info, self.config
        if c.negatives != "inbook":
            fit(other, view, part_rows(view, "other", info), self.lm_training(), self.seed, "lm/other")
        ranker = _Ranker(self, other)
        rows = part_rows(view, "first", info)
        training = Training(c.rank_epochs, 8 * 6, c.rank_lr)
        fit(
            ranker,
            view,
            rows,
            training,
            self.seed,
            f"rankgen/{c.negatives}",
            ranker.batch_loss,
            view.labels("document", rows),
        )

    def vectors(self, tokens: Tensor, mask: Tensor, kind: int) -> Tensor:
        found: Tensor = self.encoder(tokens, mask, kind)
        return found

    def sampled(self, scores: Tensor, draw: Tensor) -> Tensor:
        """Tokens [n] drawn from the nucleus of scores [n, V]."""
        p = (scores.double() / self.config.temperature).softmax(-1)
        ordered, at = p.sort(-1, descending=True)
        outside = ordered.cumsum(-1) - ordered >= self.config.top_p
        kept = scores.masked_fill(torch.zeros_like(outside).scatter(-1, at, outside), -torch.inf)
        kept = kept.masked_fill(~plausible(scores, self.config.keep_beta), -torch.inf)
        return self.choose(kept, draw if self.config.sample else None)

    def continued(self, main: Branch, rows: Tensor, beam: Beam, score: Any) -> tuple[Tensor, Tensor, Tensor]:
        numbers = [
            torch.rand(
                beam.length,
                beam.beams * beam.samples,
                dtype=torch.float64,
                generator=generator(self.draw_seed, f"rank/{row}"),
            )
            for row in rows.tolist()
        ]
        return rank_beam(main, beam, torch.stack(numbers).to(rows.device), self.sampled, score)

    def beam(self, beams: int, samples: int, piece: int) -> Beam:
        info = self._model.info
        return Beam(beams, samples, piece, self.config.max_new_tokens, info.eos, info.pad)

    def generate(self, batch: Batch) -> dict[str, Tensor]:
        c, (prompt, mask) = self.config, rows_of(batch, "prompt")
        vectors = self.vectors(prompt, mask, PREFIX)

        def score(texts: Tensor, row: Tensor, logprob: Tensor) -> Tensor:
            if c.ranker == "likelihood":
                return logprob
            if c.ranker == "overlap":
                return self.overlap(prompt[row], mask[row], texts)
            return (vectors[row] * self.vectors(*self.texts(texts), CONTINUATION)).sum(1)

        beam = self.beam(c.beams, c.samples, c.piece)
        tokens, passes, logprob = self.continued(self.main(batch), batch["index"], beam, score)
        return {"tokens": tokens, "forwards": passes, "logprob": logprob}

    def choices(self, batch: Batch) -> Tensor:
        """Scores [B, K] of the options by the ranker; of likelihood as of every decoder. -inf where there is none."""
        if self.config.ranker == "likelihood":
            return super().choices(batch)
        options, (prompt, mask) = batch["options"], rows_of(batch, "prompt")
        b, k, _ = options.shape
        row = torch.arange(b, device=options.device).repeat_interleave(k)
        found = torch.full((b, k), -torch.inf, dtype=torch.float64, device=options.device)
        there = batch["option_kind"] >= 0
        row, texts = row[there.flatten()], options[there]
        if self.config.ranker == "overlap":
            found[there] = self.overlap(prompt[row], mask[row], texts).double()
        else:
            vectors = self.vectors(prompt, mask, PREFIX)[row]
            found[there] = (vectors * self.vectors(*self.texts(texts), CONTINUATION)).sum(1).double()
        return found

    def texts(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Texts [n, T] that end and are then padded, as rows padded on the left, without their end token."""
        info = self._model.info
        ended = (tokens == info.eos).cumsum(1) > 0
        return left_padded(tokens, (~ended & (tokens != info.pad)).sum(1))

    def overlap(self, prompt: Tensor, mask: Tensor, texts: Tensor) -> Tensor:
        """Share of a text's words that are in its prefix, [n]."""
        words, valid = self.texts(texts)
        there = ((words[:, :, None] == prompt[:, None]) & mask[:, None]).any(-1)
        return (there & valid).sum(1) / valid.sum(1).clamp(min=1)


class _Ranker(nn.Module):
    """What is trained of RankGen: the encoder. The model of the other half is not a part of it."""

    def __init__(self, method: RankGen, other: nn.Module) -> None:
        super().__init__()
        self.encoder = method.encoder
        self._others: list[Any] = [method, other]  # in a list: no sub-modules
        self._made: dict[int, Tensor] = {}

    def batch_loss(self, batch: Batch) -> Tensor:
        """Mean over the batch's documents of the loss of their passages, [] ."""
        method: RankGen = self._others[0]
        prompt, mask = rows_of(batch, "prompt")
        answer, said = self.cut(batch["answer"], batch["index"])
        p, c = self.encoder(prompt, mask, PREFIX), self.encoder(answer, said, CONTINUATION)
        g = None
        if method.config.negatives != "inbook":
            g = self.encoder(*self.cut(self.generated(batch), batch["index"]), CONTINUATION)
        losses = []
        for document in batch["document"].unique().tolist():
            rows = (batch["document"] == document).nonzero()[:, 0]
            if method.config.negatives == "generative":
                assert g is not None
                losses += [infonce(p[k : k + 1], c[k : k + 1], g[rows], reduction="sum") for k in rows.tolist()]
            else:
                losses.append(infonce(p[rows], c[rows], None if g is None else g[rows], reduction="sum"))
        return torch.stack(losses).sum() / len(p)

    def cut(self, tokens: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Continuations cut at a random length, so that texts can be ranked before they end; 4 tokens at least."""
        method: RankGen = self._others[0]
        padded, mask = method.texts(tokens)
        lengths = mask.sum(1)
        share = torch.stack(
            [torch.rand((), generator=generator(method.seed, f"rankgen/cut/{row}")) for row in rows.tolist()]
        )
        wanted = (4 + (lengths - 4).clamp(min=0) * share.to(lengths.device)).round().long().minimum(lengths)
        return left_padded(tokens, wanted) if len(padded) else (padded, mask)

    @torch.no_grad()
    def generated(self, batch: Batch) -> Tensor:
        """What the model of the other half writes after the batch's prompts, [B, T]; made once a row."""
        method, other = self._others
        rows = batch["index"].tolist()
        new = [k for k, row in enumerate(rows) if row not in self._made]
        if new:
            tokens, mask = rows_of(batch, "prompt")
            main = Branch(other, tokens[new], mask[new])
            numbers = batch["index"][new]
            texts, _, _ = method.continued(main, numbers, method.beam(1, 1, method.config.max_new_tokens), None)
            self._made |= {rows[k]: text for k, text in zip(new, texts, strict=True)}
        return torch.stack([self._made[row] for row in rows])


METHOD = RankGen
