"""Further passes of a language model beside the one that is decoded, each with its own prompt and cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .language import Cache, Step
from .protocols import CausalModel


class Branch:
    """One pass over B prompts that is told each row's new token.

    ``logits`` [B, V] of the next token, ``hidden`` [B, d] of the last one, ``early`` logits [B, V] of ``layers``.
    A row that has ended is told nothing: its logits are then of no use, those of the other rows do not change.
    ``context`` keeps the hidden states of all tokens, [B, T, d], and their mask, where ``keep_hidden`` asks for it.

    Args:
        tokens: prompts [B, P], padded on the left.
        mask: [B, P] bool; every row needs a valid last token.
        prefix: embeddings [B, p, d] before the prompt.
        layers: numbers of hidden layers whose logits are wanted.

    Raises:
        ValueError: a prompt without a token.
    """

    def __init__(
        self,
        model: CausalModel,
        tokens: Tensor,
        mask: Tensor,
        *,
        prefix: Tensor | None = None,
        layers: tuple[int, ...] = (),
        keep_hidden: bool = False,
    ) -> None:
        if tokens.dim() != 2 or not tokens.shape[1] or not bool(mask[:, -1].all()):
            raise ValueError("every prompt needs at least one token, and padding stands on the left")
        self.model, self.layers, self.keep_hidden = model, layers, keep_hidden
        self.forwards = 0
        self._cache: Cache | None = None
        self.context: Tensor | None = None
        self.context_mask: Tensor | None = None
        self._take(tokens, mask, prefix)

    @torch.no_grad()
    def _take(self, tokens: Tensor, mask: Tensor, prefix: Tensor | None = None) -> None:
        read = getattr(self.model, "last_step", self.model.step)  # without the logits of the prompt
        step: Step = read(tokens, mask, self._cache, prefix, self.layers)
        self._cache = step.cache
        self.logits, self.hidden = step.logits[:, -1], step.hidden[:, -1]
        self.early = {layer: logits[:, -1] for layer, logits in step.early.items()}
        self.forwards += 1
        if self.keep_hidden:
            if self.context is None or self.context_mask is None:
                self.context, self.context_mask = step.hidden, mask
            else:
                self.context = torch.cat([self.context, step.hidden], 1)
                self.context_mask = torch.cat([self.context_mask, mask], 1)

    def advance(self, tokens: Tensor, alive: Tensor | None = None) -> None:
        """Read one token a row, [B]; rows that are not ``alive`` [B] have ended."""
        alive = torch.ones_like(tokens, dtype=torch.bool) if alive is None else alive
        self._take(tokens[:, None], alive[:, None])

    def select(self, rows: Tensor) -> Branch:
        """A branch of its own with the rows ``rows`` [n] of this one; a row may come several times."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._cache = None if self._cache is None else self._cache.select(rows)
        made.logits, made.hidden = self.logits[rows], self.hidden[rows]
        made.early = {layer: logits[rows] for layer, logits in self.early.items()}
        made.context = None if self.context is None else self.context[rows]
        made.context_mask = None if self.context_mask is None else self.context_mask[rows]
        return made


# Scores [B, V] from the logits of the main pass, the other branches, and the number of new tokens so far.
Rule = Callable[[Tensor, Sequence[Branch], int], Tensor]


class ContrastProcessor:
    """A rule as a logits processor of ``transformers``: ``generate(..., logits_processor=[ContrastProcessor(...)])``.

    ``generate`` runs the main pass; the branches read the tokens that it chose. The scores that come in have been
    through the library's own processors, those that go out meet its warpers (temperature, top-k, top-p). One object
    serves one call of ``generate``.

    Args:
        branches: with a row for each row of ``input_ids``.
        rule: see :data:`Rule`.
        ends: tokens that end a row.

    Raises:
        ValueError: rows that are no continuation of those of the call before, as beam search makes them, or more rows
            than the branches have: beams are not supported.
    """

    def __init__(self, branches: Sequence[Branch], rule: Rule, ends: Sequence[int] = ()) -> None:
        self.branches, self.rule = list(branches), rule
        self.ends = torch.tensor(list(ends), dtype=torch.int64)
        self.seen: Tensor | None = None
        self.alive = torch.ones(0, dtype=torch.bool)
        self.steps = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self.seen is None:
            self.alive = torch.ones(len(input_ids), dtype=torch.bool, device=input_ids.device)
        else:
            self._follow(input_ids)
        for branch in self.branches:
            if len(branch.logits) != len(input_ids):
                raise ValueError(
                    f"{len(input_ids)} rows are decoded and a branch has {len(branch.logits)}: beam search and "
                    "num_return_sequences are not supported, use num_beams=1 and repeat the prompts"
                )
        self.seen = input_ids
        found = self.rule(scores, self.branches, self.steps)
        self.steps += 1
        return found

    def _follow(self, input_ids: Tensor) -> None:
        """Tell the branches the tokens that were chosen since the last call."""
        assert self.seen is not None
        known = self.seen.shape[1]
        if input_ids.shape[0] != len(self.seen) or not torch.equal(input_ids[:, :known], self.seen):
            raise ValueError(
                "the rows are no continuation of those of the step before: beam search moves rows, and the branches' "
                "caches do not move with them; use num_beams=1, and a new processor for a new call"
            )
        for column in input_ids[:, known:].T:
            self.alive = self.alive & ~torch.isin(column, self.ends.to(column.device))
            for branch in self.branches:
                branch.advance(column, self.alive)
