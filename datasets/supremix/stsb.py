"""Sentence pairs and their similarity 0 to 5: STS-B-DIR in the released layout, or generated pairs.

Released layout: ``train_new.tsv``, ``dev_new.tsv``, ``test_new.tsv`` (also .gz) under the data root, ``STS-B`` or
``glue_data/STS-B`` there; tab separated with a header that ends in sentence1, sentence2, score.
Words are those of training; 0 pads, 1 is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from ..core.errors import DataError, refuse
from ..core.inputs import TextInputs
from ..core.source import RegressionInfo, ShotBins, Source, TextPairs
from ..core.table import Ragged
from ..readers.csv import SPLITS, target
from ..readers.files import read_text
from ..readers.words import numbered, words
from .regression import RegressionData, finish, kept

FILES = {"train": "train", "valid": "dev", "test": "test"}
SHOTS = ShotBins(
    width=0.1, last=49, medium=frozenset({2, 4, 6, 8, 27, 35, 37}), many=frozenset({0, *range(10, 49, 2), 49})
)
Pair = tuple[str, str, float]

# Five slots of a sentence; words of one inner tuple mean the same.
_SLOTS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("man", "guy"), ("woman", "lady"), ("child", "kid"), ("dog", "hound"), ("cook", "chef"), ("rider", "horseman")),
    (
        ("holds", "grips"),
        ("drops", "loses"),
        ("paints", "colours"),
        ("buys", "purchases"),
        ("throws", "tosses"),
        ("sees", "spots"),
    ),
    (
        ("ball", "sphere"),
        ("cup", "mug"),
        ("guitar", "instrument"),
        ("coat", "jacket"),
        ("stone", "rock"),
        ("picture", "image"),
    ),
    (
        ("in the forest", "in the woods"),
        ("at the shore", "at the beach"),
        ("on the road", "on the street"),
        ("at home", "in the house"),
    ),
    (("today", "this day"), ("at night", "after dark"), ("quickly", "fast"), ("again", "once more")),
)


class Config(RegressionData):
    """Length of sentences and size of the stand-in."""

    max_words: int = Field(40, ge=4, le=512, description="words of a sentence that are read (by our own encoder)")
    min_count: int = Field(1, ge=1, le=1000, description="a word is known if training has it so often")
    balanced: bool = Field(
        True, description="read the *_new.tsv files of the imbalanced split; false: GLUE's own files"
    )
    n_train: int = Field(1200, ge=20, le=100_000, description="stand-in: training pairs")
    n_test: int = Field(300, ge=10, le=100_000, description="stand-in: test pairs, as many for validation")


def load(
    config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None
) -> Source[RegressionInfo]:
    """Released layout under ``root``, or the stand-in. Raises DataError where files or values are missing."""
    pairs = stand_in(config) if root is None else released(config, root)
    counts = Counter(word for a, b, _ in pairs["train"] for text in (a, b) for word in words(text, config.max_words))
    known = {word: i for i, word in enumerate(sorted(w for w, n in counts.items() if n >= config.min_count), 2)}

    def column(texts: list[str]) -> Ragged:
        return Ragged.from_list([numbered(text, known, config.max_words) for text in texts])

    splits: dict[str, dict[str, torch.Tensor | Ragged]] = {}
    texts: dict[str, list[tuple[str, str]]] = {}
    for name in SPLITS:
        rows = pairs[name]
        if not rows:
            raise DataError(f"there is no row in the split '{name}'")
        label = torch.tensor([y for _, _, y in rows], dtype=torch.float64)
        splits[name] = {
            "first": column([a for a, _, _ in rows]),
            "second": column([b for _, b, _ in rows]),
            "label": label,
        }
        stay = kept(config, label).tolist() if name == "train" else range(len(rows))
        texts[name] = [rows[i][:2] for i in stay]
    info = RegressionInfo(
        modality="text",
        label_name="similarity",
        shots=SHOTS,
        pairs=TextPairs(known, texts),
        inputs=TextInputs(max_words=config.max_words),
    )
    return finish(config, splits, info, "stand-in" if root is None else "real")


def stand_in(config: Config) -> dict[str, list[Pair]]:
    """Pairs that share 0 to 5 slots; a slot in other words counts 0.8. No pair of texts is in two splits."""
    seen: set[tuple[str, str]] = set()
    pairs: dict[str, list[Pair]] = {}
    for k, split in enumerate(SPLITS):
        g = np.random.default_rng([config.seed, 21, k])
        rows: list[Pair] = []
        for _ in range(100 * (config.n_train + config.n_test)):
            if len(rows) == (config.n_train if split == "train" else config.n_test):
                break
            shared = set(g.permutation(5)[: int(g.integers(0, 6))].tolist())
            first, second, score = [], [], 0.0
            for s, slot in enumerate(_SLOTS):
                one = int(g.integers(len(slot)))
                other = one if s in shared else (one + 1 + int(g.integers(len(slot) - 1))) % len(slot)
                a, b = int(g.integers(2)), int(g.integers(2))
                first.append(slot[one][a])
                second.append(slot[other][b])
                score += (1.0 if a == b else 0.8) if s in shared else 0.0
            texts = ("the " + " ".join(first), "the " + " ".join(second))
            if texts not in seen:
                seen.add(texts)
                rows.append((*texts, round(score, 1)))
        pairs[split] = rows
    return pairs


def released(config: Config, root: Path) -> dict[str, list[Pair]]:
    """The rows of the three files."""
    suffix = "_new.tsv" if config.balanced else ".tsv"
    folders = [root, root / "STS-B", root / "glue_data" / "STS-B"]
    pairs: dict[str, list[Pair]] = {}
    faults: list[str] = []
    for split, stem in FILES.items():
        names = [f"{stem}{suffix}", f"{stem}{suffix}.gz"]
        path = next((p for f in folders for name in names if (p := f / name).is_file()), None)
        if path is None:
            raise DataError(f"{root}: no {names[0]} there or in glue_data/STS-B; --data-root names the folder of STS-B")
        lines = read_text(path).splitlines()
        header = lines[0].split("\t") if lines else []
        if header[-3:] != ["sentence1", "sentence2", "score"]:
            raise DataError(f"{path}: the header must end in sentence1, sentence2, score")
        rows: list[Pair] = []
        for n, line in enumerate(lines[1:], 2):
            fields = line.split("\t")
            where = f"{path.name} line {n}"
            if len(fields) < len(header):
                faults.append(f"{where}: {len(fields)} fields, not {len(header)}")
                continue
            at = len(header) - 3
            score = target(fields[at + 2], where, "score", faults)
            if not 0 <= score <= 5:
                faults.append(f"{where}: the score {score:g} is not in 0 to 5")
            rows.append((fields[at], fields[at + 1], score))
        pairs[split] = rows
    refuse(str(root), faults)
    return pairs
