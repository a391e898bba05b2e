"""Small data for decoders: random texts in four parts, questions with a neutral form, options and pictures."""

from __future__ import annotations

import torch
from holdfast.datasets.core.language import BOS, EOS, LanguageInfo
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.table import Batch, Ragged, Table
from torch import Tensor

WORDS = 12
PARTS = ("text", "false", "domain", "other")


class Short:
    """A constraint: at most two tokens, the second one above the first."""

    def prefix(self, ids: tuple[int, ...]) -> bool:
        return len(ids) < 2 or (len(ids) == 2 and ids[0] < ids[1])

    def complete(self, ids: tuple[int, ...]) -> bool:
        return self.prefix(ids)


def language_source(rows: int = 24, seed: int = 0, pictures: bool = True, yes_no: bool = False) -> Source[LanguageInfo]:
    """``rows`` rows a split, of two experiences; half of them are of the first part."""
    return Source(
        {split: _table(rows, seed, split, pictures, yes_no) for split in ("train", "valid", "test")},
        ["no", "yes"] if yes_no else [],
        LanguageInfo(
            vocabulary=("<pad>", "<s>", "</s>", *(f"w{n}" for n in range(WORDS))),
            longest=10,
            parts=PARTS,
            image=(3, 4) if pictures else None,
            yes_no=(3, 4) if yes_no else None,
            oracle=Short(),
        ),
        "stand-in",
        "0",
    )


def _table(rows: int, seed: int, split: str, pictures: bool, yes_no: bool) -> Table:
    g = generator(seed, f"language/{split}")

    def words(low: int, high: int) -> Tensor:
        count = int(torch.randint(low, high, (), generator=g))
        return torch.randint(3, 3 + WORDS, (count,), generator=g)

    begin, end = torch.tensor([BOS]), torch.tensor([EOS])
    neutral = [torch.cat([begin, words(1, 3)]) for _ in range(rows)]
    prompt = [torch.cat([begin, words(1, 4), text[1:]]) for text in neutral]
    answer = [torch.cat([words(1, 3), end]) for _ in range(rows)]
    options = torch.zeros(rows, 3, 3, dtype=torch.int64)
    for row in range(rows):
        for k, text in enumerate((answer[row], torch.cat([words(1, 3), end]))):
            options[row, k, : len(text)] = text
    columns: dict[str, Tensor | Ragged] = {
        "tokens": Ragged.from_list([torch.cat([p, a]) for p, a in zip(prompt, answer, strict=True)]),
        "prompt": Ragged.from_list(prompt),
        "neutral": Ragged.from_list(neutral),
        "answer": Ragged.from_list(answer),
        "options": options,
        "option_kind": torch.tensor([[2, 0, -1]]).repeat(rows, 1),
        "part": torch.where(torch.arange(rows) % 8 < 4, 0, torch.arange(rows) % 4),
        "document": torch.arange(rows) // 4,
        "experience": torch.arange(rows) * 2 // rows,
    }
    if yes_no:
        columns["label"] = torch.arange(rows) % 2
    if pictures:
        columns["image"] = torch.randint(0, 256, (rows, 3, 4, 4), dtype=torch.uint8, generator=g)
    return Table(columns)


def batch_of(source: Source[LanguageInfo], rows: list[int], split: str = "test") -> Batch:
    table = source.splits[split]
    return {**table.gather(torch.tensor(rows)), "is_memory": torch.zeros(len(rows), dtype=torch.bool)}
