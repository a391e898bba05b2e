"""Rows of texts and questions, and the tables and sources that are made of them (docs/methods/decoding.md, columns)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.language import BOS, EOS, LanguageInfo
from ..core.source import Source
from ..core.table import Lazy, Ragged, Table

Words = tuple[str, ...]
Progress = Callable[[str], None] | None
BEST, TRUE, FALSE, ABSENT = 2, 1, 0, -1  # kinds of an option
NO_YES = ("no", "yes")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row in words, without begin and end.

    ``text``: what a language model is trained on; None: the prompt with its answer. ``options``: answers with their
    kind. ``shown``: by object of the data set, whether it may be mentioned. ``neutral_row``: the row that asks the same
    neutrally, -1 none.
    """

    prompt: Words
    answer: Words
    neutral: Words | None = None
    text: Words | None = None
    part: int = 0
    group: int = 0
    label: int | None = None
    options: tuple[tuple[Words, int], ...] = ()
    image: Any = None
    document: int | None = None
    neutral_row: int | None = None
    shown: tuple[int, ...] | None = None


def ragged(rows: Sequence[Sequence[int]]) -> Ragged:
    """A ragged column of token numbers."""
    return Ragged.from_list([torch.tensor(row, dtype=torch.int64) for row in rows])


def table(rows: Sequence[Row], info: LanguageInfo) -> Table:
    """The columns that rows have; each has a column or none has it. Raises KeyError for a word without a token."""
    number = {word: token for token, word in enumerate(info.vocabulary)}

    def tokens(words: Words) -> list[int]:
        return [number[word] for word in words]

    prompts, answers = [[BOS, *tokens(r.prompt)] for r in rows], [[*tokens(r.answer), EOS] for r in rows]
    whole = [
        p + a if r.text is None else [BOS, *tokens(r.text), EOS] for r, p, a in zip(rows, prompts, answers, strict=True)
    ]
    first = rows[0]
    columns: dict[str, Tensor | Ragged] = {
        "tokens": ragged(whole),
        "part": _numbers([r.part for r in rows]),
        "prompt": ragged(prompts),
        "neutral": ragged(
            [p if r.neutral is None else [BOS, *tokens(r.neutral)] for r, p in zip(rows, prompts, strict=True)]
        ),
        "answer": ragged(answers),
    }
    if info.groups:
        columns["group"] = _numbers([r.group for r in rows])
    for name in ("label", "document", "neutral_row", "shown"):
        if getattr(first, name) is not None:
            columns[name] = _numbers([getattr(r, name) for r in rows])
    if first.image is not None:
        columns["image"] = torch.from_numpy(np.stack([r.image for r in rows]))
    if first.options:
        encoded = [[[*tokens(words), EOS] for words, _ in r.options] for r in rows]
        count, length = max(map(len, encoded)), max(len(o) for row in encoded for o in row)
        options = torch.zeros(len(rows), count, length, dtype=torch.int64)
        kinds = torch.full((len(rows), count), ABSENT)
        for i, row in enumerate(encoded):
            for k, option in enumerate(row):
                options[i, k, : len(option)] = torch.tensor(option)
                kinds[i, k] = rows[i].options[k][1]
        columns |= {"options": options, "option_kind": kinds}
    return Table(columns)


def _numbers(values: Sequence[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def language_source(
    rows: Mapping[str, Sequence[Row]],
    words: Sequence[str],
    *,
    name: str,
    yes_no: bool = False,
    pictures: Mapping[str, Lazy] | None = None,
    source: str = "stand-in",
    **facts: Any,
) -> Source[LanguageInfo]:
    """The source of splits of rows over the vocabulary ``words`` (pad, begin and end are put before them).
    ``pictures``: the column ``image`` of each split, of rows that hold none. ``facts`` are fields of LanguageInfo.
    """
    vocabulary = ("<pad>", "<bos>", "<eos>", *words)
    info = LanguageInfo(vocabulary=vocabulary, longest=0, **facts)
    if yes_no:
        no, yes = info.tokens(" ".join(NO_YES))
        info = replace(info, yes_no=(no, yes))
    splits = {split: table(part, info) for split, part in rows.items()}
    if pictures is not None:
        splits = {split: Table({**part.columns, "image": pictures[split]}) for split, part in splits.items()}
    longest = 0
    for part in splits.values():
        for column in ("tokens", "prompt"):
            longest = max(longest, int(part.columns[column].lengths.max()))  # type: ignore[union-attr]
        reply = int(part.columns["answer"].lengths.max())  # type: ignore[union-attr]
        if "options" in part.columns:
            reply = max(reply, part.columns["options"].shape[2])  # type: ignore[union-attr]
        longest = max(longest, int(part.columns["prompt"].lengths.max()) + reply)  # type: ignore[union-attr]
    info = replace(info, longest=longest)
    digest = hashlib.sha256(name.encode())
    for split, part in splits.items():
        digest.update(split.encode())
        for column, values in sorted(part.columns.items()):
            if isinstance(values, Lazy):
                picked = b"" if values.picked is None else values.picked.numpy().tobytes()
                digest.update(column.encode() + values.content.encode() + picked)
                continue
            raw = values.values if isinstance(values, Ragged) else values
            digest.update(column.encode() + raw.contiguous().numpy().tobytes())
    names = NO_YES if yes_no else ()
    return Source(splits, names, info, source, digest.hexdigest())
