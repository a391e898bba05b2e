"""Pictures of one to four coloured shapes, one a quarter, with questions about them and captions of them.

In training one pair of shapes appears together in most pictures that have either, so that a language model learns to
expect the second where it sees the first; test pictures break it. Questions of whether a shape is there are asked as
POPE asks them: half of them yes, and the absent shape is any (random), the most frequent in training (popular), or the
one that training shows most often beside what is there (adversarial). Shapes are the same when the picture is
mirrored; quarters are not. Leading clauses are mostly right in training, and right or wrong at test by group.
Generated on the spot; the sizes are ours.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import DataError
from ..core.language import LanguageInfo, NamedObjects
from ..core.seeds import derive
from ..core.source import Source
from .texts import Progress, Row, Words, language_source

SHAPES = ("square", "disc", "cross", "ring", "diamond", "dot")
COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (60, 80, 230), "yellow": (225, 205, 50)}
QUARTERS = (("upper", "left"), ("upper", "right"), ("lower", "left"), ("lower", "right"))
SIDE, QUARTER = 12, 6
PAIR = (0, 1)  # the shapes that training shows together
POPE_GROUPS = ("random", "popular", "adversarial")
LEAD_GROUPS = ("neutral", "lead_right", "lead_wrong")
ASK_GROUPS = ("colour", "quarter")
Placed = dict[int, tuple[int, int]]  # quarter -> shape, colour


class Config(BaseModel):
    """How many pictures there are, how strong the bias is and what is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    questions: Literal["exist", "lead", "ask", "caption"] = Field(
        "exist",
        description="what is asked: whether a shape is there (random, popular, adversarial), the same with a leading "
        "clause (neutral, lead_right, lead_wrong), its colour or quarter, or a caption",
    )
    n_train: int = Field(4000, ge=20, le=1_000_000, description="training pictures, a text each")
    n_valid: int = Field(150, ge=6, le=100_000, description="validation questions")
    n_test: int = Field(300, ge=6, le=100_000, description="test questions")
    together: float = Field(
        0.9, ge=0, le=1, description="share of training pictures with a square that have a disc too, and the reverse"
    )
    noise: float = Field(40, ge=0, le=255, description="deviation of each pixel's noise, of 255")
    leads: float = Field(0.3, ge=0, le=1, description="share of training yes/no questions with a leading clause")
    leads_right: float = Field(0.85, ge=0, le=1, description="share of those whose clause is right")
    seed: int = Field(0, ge=0, description="of pictures and questions")


@dataclass(frozen=True)
class Scenes(NamedObjects):
    """What the generator knows: ``names`` of the shapes, in the order of the column ``shown``; ``frequency`` [6] and
    ``beside`` [6, 6]: shares of training pictures that show a shape, and of those that show the first which also show
    the second.
    """

    frequency: Any
    beside: Any


@functools.cache
def mask(shape: int) -> Any:
    """Pixels of a shape in a quarter, [6, 6] bool; the same mirrored left to right and top to bottom."""
    y, x = np.mgrid[:QUARTER, :QUARTER] - (QUARTER - 1) / 2
    r, box = np.hypot(x, y), np.maximum(abs(x), abs(y))
    name = SHAPES[shape]
    if name == "square":
        return box < 2.6
    if name == "disc":
        return (r < 2.6) & (abs(x) + abs(y) < 4.5)
    if name == "cross":
        return ((abs(x) < 1) | (abs(y) < 1)) & (box < 2.6)
    if name == "ring":
        return (box > 1.6) & (box < 2.6)
    return abs(x) + abs(y) < 2.5 if name == "diamond" else box < 1


def picture(placed: Placed, noise: float, rng: np.random.Generator) -> Any:
    """Bytes [3, 12, 12] on a dark ground."""
    image = np.full((3, SIDE, SIDE), 30.0)
    colours = np.array(list(COLOURS.values()), np.float64)
    for quarter, (shape, colour) in placed.items():
        top, left = QUARTER * (quarter // 2), QUARTER * (quarter % 2)
        region = image[:, top : top + QUARTER, left : left + QUARTER]
        region[:, mask(shape)] = colours[colour][:, None]
    image += noise * rng.standard_normal(image.shape)
    return image.clip(0, 255).round().astype(np.uint8)


class _Painter:
    """Draws pictures, questions and captions of a split."""

    def __init__(self, config: Config, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def one(self, values: Any) -> int:
        values = list(values)
        return int(values[self.rng.integers(len(values))])

    def scene(self, biased: bool) -> Placed:
        """Different shapes in different quarters; ``biased``: a square and a disc mostly come together."""
        shapes = [int(k) for k in self.rng.choice(len(SHAPES), self.rng.integers(1, 5), replace=False)]
        has = [s for s in PAIR if s in shapes]
        if biased and has and len(has) == 1 and self.chance(self.config.together):
            others = [s for s in shapes if s not in PAIR]
            shapes = [*PAIR, *others][: max(2, len(shapes))]
        quarters = self.rng.permutation(4)
        return {int(q): (s, self.one(range(len(COLOURS)))) for q, s in zip(quarters, shapes, strict=False)}

    def image(self, placed: Placed) -> Any:
        return picture(placed, self.config.noise, self.rng)

    def described(self, placed: Placed) -> Words:
        """A caption: shapes in a random order, with their colours."""
        items = list(placed.values())
        order = [items[k] for k in self.rng.permutation(len(items))]
        parts = [("a", list(COLOURS)[colour], SHAPES[shape]) for shape, colour in order]
        return tuple(word for k, part in enumerate(parts) for word in ((("and",) if k else ()) + part))

    def ask(self, placed: Placed, kind: int) -> Row:
        """A question about the colour (0) or quarter (1) of a shape that is there."""
        quarter = self.one(placed)
        shape, colour = placed[quarter]
        if kind == 0:
            return Row(prompt=("what", "colour", "is", "the", SHAPES[shape], "?"), answer=(list(COLOURS)[colour],))
        return Row(prompt=("where", "is", "the", SHAPES[shape], "?"), answer=QUARTERS[quarter], group=1)

    def exists(self, shape: int, label: int, lead: str | None = None, group: int = 0) -> Row:
        neutral = ("is", "there", "a", SHAPES[shape], "?")
        before = () if lead is None else ("i", "think", "the", "answer", "is", lead, ".")
        answer = ("yes",) if label else ("no",)
        return Row(prompt=(*before, *neutral), neutral=neutral, answer=answer, label=label, group=group)

    def balanced(self, placed: Placed, yes: bool) -> tuple[int, int]:
        """A shape that is there, or one that is not; any."""
        present = [shape for shape, _ in placed.values()]
        return (self.one(present), 1) if yes else (self.one(set(range(len(SHAPES))) - set(present)), 0)

    def training(self) -> tuple[Row, Placed]:
        """A picture with the columns of its question; its text is of any kind."""
        placed, c = self.scene(biased=True), self.config
        shape, label = self.balanced(placed, self.chance(0.5))
        lead = None
        if self.chance(c.leads):
            lead = ("no", "yes")[label if self.chance(c.leads_right) else 1 - label]
        asked = self.exists(shape, label, lead)
        caption = Row(prompt=("caption", ":"), answer=self.described(placed))
        kind = self.rng.choice(5, p=[0.4, 0.15, 0.15, 0.15, 0.15])
        others = (asked, self.ask(placed, 0), self.ask(placed, 1), caption, caption)
        text = others[kind]
        own = {"exist": asked, "lead": asked, "ask": others[1 + self.one((0, 1))], "caption": caption}[c.questions]
        return replace(own, text=(*text.prompt, *text.answer), **self.shared(placed)), placed

    def shared(self, placed: Placed) -> dict[str, Any]:
        present = {shape for shape, _ in placed.values()}
        return {"image": self.image(placed), "shown": tuple(int(s in present) for s in range(len(SHAPES)))}

    def absent(self, placed: Placed, kind: int, known: Scenes) -> int:
        present = [shape for shape, _ in placed.values()]
        away = [s for s in range(len(SHAPES)) if s not in present]
        if kind == 0:
            return self.one(away)
        if kind == 1:
            return max(away, key=lambda s: known.frequency[s])
        return max(away, key=lambda s: max(known.beside[p][s] for p in present))


def _pope(painter: _Painter, count: int, known: Scenes) -> list[Row]:
    rows = []
    for number in range(count):
        group, yes = number % 3, (number // 3) % 2 == 0
        placed = painter.scene(biased=False)
        if group == 2:  # a picture with one of the pair alone, so that the other is expected
            alone = PAIR[painter.rng.integers(2)]
            kept = {q: item for q, item in placed.items() if item[0] not in PAIR}
            quarter = painter.one(set(range(4)) - set(kept)) if len(kept) < 4 else painter.one(kept)
            placed = {**kept, quarter: (alone, painter.one(range(len(COLOURS))))}
        shape = painter.balanced(placed, True)[0] if yes else painter.absent(placed, group, known)
        rows.append(replace(painter.exists(shape, int(yes), group=group), **painter.shared(placed)))
    return rows


def _leads(painter: _Painter, count: int) -> list[Row]:
    """Three rows of each question: neutrally, with a right and with a wrong leading clause."""
    rows: list[Row] = []
    while len(rows) < count:
        placed = painter.scene(biased=False)
        shape, label = painter.balanced(placed, (len(rows) // 3) % 2 == 0)
        shared = painter.shared(placed)
        first = len(rows)
        for group, lead in enumerate((None, ("no", "yes")[label], ("no", "yes")[1 - label])):
            row = painter.exists(shape, label, lead, group)
            rows.append(replace(row, neutral_row=-1 if group == 0 else first, **shared))
    return rows[:count]


def _others(painter: _Painter, count: int) -> list[Row]:
    rows = []
    for number in range(count):
        placed = painter.scene(biased=False)
        if painter.config.questions == "ask":
            row = painter.ask(placed, number % 2)
        else:
            row = Row(prompt=("caption", ":"), answer=painter.described(placed))
        rows.append(replace(row, **painter.shared(placed)))
    return rows


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[LanguageInfo]:
    """Pictures with texts and questions. Raises DataError for a data root: there is nothing to read."""
    if root is not None:
        raise DataError(f"toy_scenes is generated: it reads nothing from {root}; leave the data root out")
    painter = _Painter(config, np.random.default_rng(derive(config.seed, "toy_scenes/train")))
    drawn = [painter.training() for _ in range(config.n_train)]
    shown = np.array([row.shown for row, _ in drawn], np.float64)
    beside = (shown.T @ shown) / np.maximum(shown.sum(0)[:, None], 1)
    vocabulary = ["no", "yes", "is", "there", "a", "?", "what", "colour", "the", "where", "caption", ":", "and"]
    vocabulary += ["i", "think", "answer", ".", "upper", "lower", "left", "right", *COLOURS, *SHAPES]
    known = Scenes(tuple((shape,) for shape in SHAPES), shown.mean(0), beside)
    leading = config.questions == "lead"
    rows = {"train": [replace(row, neutral_row=-1) if leading else row for row, _ in drawn]}
    for split, count in (("valid", config.n_valid), ("test", config.n_test)):
        painter = _Painter(config, np.random.default_rng(derive(config.seed, f"toy_scenes/{split}")))
        if config.questions == "exist":
            rows[split] = _pope(painter, count, known)
        else:
            rows[split] = _leads(painter, count) if leading else _others(painter, count)
    groups = {"exist": POPE_GROUPS, "lead": LEAD_GROUPS, "ask": ASK_GROUPS, "caption": ()}[config.questions]
    return language_source(
        rows,
        vocabulary,
        name=f"toy_scenes/{config.model_dump_json()}",
        yes_no=config.questions in ("exist", "lead"),
        groups=groups,
        image=(3, SIDE),
        oracle=known,
    )
