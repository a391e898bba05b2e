"""SpeechBrain's beam search over our decoder, with the score of a CTC head beside the decoder's."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from ...datasets.core.libraries import speechbrain
from ...datasets.core.transcript import EOS_ID, PAD_ID, SOS_ID
from .seq2seq import Cache, Seq2Seq

Memory = tuple[Cache, Cache | None]  # keys and values of the frames, and of the tokens so far


@functools.cache
def _searcher() -> Any:
    """The class, made when it is asked for: SpeechBrain's import takes seconds."""
    base: Any = speechbrain("decoders.seq2seq").S2SBeamSearcher

    class Searcher(base):
        """The decoder as SpeechBrain's search asks for it; ``permute_mem`` reorders what was kept."""

        def __init__(self, model: Seq2Seq, mask: Tensor, max_length: int, **options: Any) -> None:
            super().__init__(SOS_ID, EOS_ID, 0.0, 1.0, using_eos_threshold=False, **options)
            self.max_length, self.start = max_length, 0
            object.__setattr__(self, "model", model)  # not a part: its weights are the model's own
            self.mask = mask

        def set_n_out(self) -> int:
            return int(self.model.output.out_features)

        def change_max_decoding_length(self, _least: int, _most: int) -> tuple[int, int]:
            """Not by the batch's longest row, as SpeechBrain does: a batch changes no row's result."""
            return 0, self.max_length

        def reset_mem(self, batch_size: int, device: torch.device) -> None:
            self.start = 0

        def forward_step(self, tokens: Tensor, memory: Memory | None, frames: Tensor, _lengths: Tensor) -> Any:
            """Log-probabilities [B·K, V] after ``tokens`` [B·K]; padding and the start cannot follow."""
            if memory is None:
                keys, self.seen = self.model.memory(frames, self.mask)
                memory = keys, None
            logits, past = self.model.step(tokens[:, None], memory[0], self.seen, memory[1], self.start)
            self.start += 1
            scores = logits[:, -1].float().log_softmax(-1)
            scores[:, [PAD_ID, SOS_ID]] = self.minus_inf
            return scores, (memory[0], past), None

        def permute_mem(self, memory: Memory, index: Tensor) -> Memory:
            frames, past = memory
            return frames, [(k[index], v[index]) for k, v in past or []]

    return Searcher


@torch.no_grad()
def search(
    model: Seq2Seq,
    head: nn.Module | None,
    h: Tensor,
    mask: Tensor,
    *,
    beam: int,
    max_length: int,
    weight: float,
    normalise: bool,
) -> Tensor:
    """Best hypotheses [B, L] after SOS: tokens, EOS, then PAD, by ``(1 - w) log p_decoder + w log p_CTC`` of prefixes.

    Args:
        model: the decoder.
        head: frames [B, T, d] to logits [B, T, V] of CTC, PAD being the blank; asked where ``weight`` is above 0.
        h: [B, T, d] encoded frames; ``mask`` [B, T], True where valid.
        mask: see ``h``.
        beam: hypotheses kept.
        max_length: tokens decoded at most.
        weight: w in [0, 1).
        normalise: rank hypotheses by their score over their length.

    Source: Watanabe et al. 2017, section III; SpeechBrain's S2SBeamSearcher and CTCScorer.
    """
    scorer = None
    if weight:
        library: Any = speechbrain("decoders.scorer")
        full = library.CTCScorer(ctc_fc=head, blank_index=PAD_ID, eos_index=EOS_ID)
        scorer = library.ScorerBuilder(full_scorers=[full], weights={"ctc": weight})
    longest = max(1, int(mask.sum(1).max()))  # SpeechBrain takes the longest row for the batch's width
    h, mask = h[:, :longest], mask[:, :longest]
    wide = mask.repeat_interleave(beam, 0)
    options = {"beam_size": beam, "scorer": scorer, "length_normalization": normalise}
    searcher = _searcher()(model, wide, max_length, **options)
    lengths = mask.sum(1).clamp(min=1) / mask.shape[1]
    words, *_ = searcher(h, lengths)
    return _padded(words, max_length, h.device)


def _padded(rows: list[list[int]], max_length: int, device: torch.device) -> Tensor:
    """[B, L] of lists of ids with or without EOS at their end."""
    ended = [[*row, EOS_ID][:max_length] if EOS_ID not in row else row[: row.index(EOS_ID) + 1] for row in rows]
    width = max(map(len, ended), default=0)
    return torch.tensor([row + [PAD_ID] * (width - len(row)) for row in ended], device=device).reshape(-1, width)
