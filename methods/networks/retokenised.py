"""Data whose tokens are words of its own, with those of a model of ``transformers`` in their place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...datasets.core.language import LanguageInfo
from ...datasets.core.source import Source
from ...datasets.core.table import Ragged, Table
from ..base import UnfitError

TEXTS = ("tokens", "prompt", "neutral", "answer")  # ragged columns of words
# The model's tokens of a row of a column (of TEXTS, or "options") and of the row's prompt, in the data's own tokens.
Code = Callable[[str, list[int], list[int]], list[int]]


def ends_of(tokenizer: Any, name: str) -> tuple[int, int, int]:
    """Its tokens that pad, begin and end; the end's where it has no other. Raises UnfitError without an end token."""
    if tokenizer.eos_token_id is None:
        raise UnfitError(f"model.options.pretrained: the tokenizer of '{name}' has no end token")
    eos = int(tokenizer.eos_token_id)
    pad, bos = (eos if t is None else int(t) for t in (tokenizer.pad_token_id, tokenizer.bos_token_id))
    return pad, bos, eos


def retokenised(
    source: Source, old: LanguageInfo, tokenizer: Any, code: Code, ends: tuple[int, int, int], yes_no: Any
) -> Source:
    """The source with its texts as ``code`` gives them. ``ends``: of :func:`ends_of`; ``yes_no``: the tokens of no and
    yes, None where nothing asks for them.
    """
    splits: dict[str, Table] = {}
    for split, table in source.splits.items():
        columns = dict(table.columns)
        asked = columns.get("prompt")
        prompts = _rows(asked) if isinstance(asked, Ragged) else [[]] * len(table)
        for name in TEXTS:
            column = columns.get(name)
            if isinstance(column, Ragged):
                made = [code(name, row, prompt) for row, prompt in zip(_rows(column), prompts, strict=True)]
                columns[name] = Ragged.from_list([torch.tensor(row, dtype=torch.int64) for row in made])
        options = columns.get("options")
        if isinstance(options, Tensor):
            columns["options"] = _options(options, prompts, code, ends[0])
        splits[split] = Table(columns)
    longest = max(int(c.lengths.max()) for t in splits.values() for c in t.columns.values() if isinstance(c, Ragged))
    info = replace(info_of(old, tokenizer, ends), longest=longest, yes_no=yes_no)
    return replace(source, splits=splits, info=info)


def info_of(old: LanguageInfo, tokenizer: Any, ends: tuple[int, int, int]) -> LanguageInfo:
    """``old`` with the tokenizer's vocabulary; a text of its tokens is what the tokenizer decodes."""
    words = tuple(map(str, tokenizer.convert_ids_to_tokens(range(len(tokenizer)))))
    read = functools.partial(tokenizer.decode, skip_special_tokens=True)
    pad, bos, eos = ends
    return replace(old, vocabulary=words, pad=pad, bos=bos, eos=eos, read=read)


def _rows(column: Ragged) -> list[list[int]]:
    return [row.tolist() for row in column.values.split(column.lengths.tolist())]


def _options(options: Tensor, prompts: list[list[int]], code: Code, pad: int) -> Tensor:
    """Answers [N, K, A] in the model's tokens, [N, K, A']; an absent one is padding alone."""
    made = [
        [code("options", option, prompt) if any(option) else [] for option in row]
        for row, prompt in zip(options.tolist(), prompts, strict=True)
    ]
    longest = max((len(option) for row in made for option in row), default=1)
    padded = [[option + [pad] * (longest - len(option)) for option in row] for row in made]
    return torch.tensor(padded, dtype=torch.int64)
