"""A language model that is a table, a constraint on its strings, and the exact posterior over all allowed strings.

Three worlds. ``sums``: three symbols, no 1 after a 1, the sum divisible by 3. ``arithmetic``: 60 symbols, of which
digits and four operators make sums of one-digit numbers that must have a given value. ``keys``: 60 symbols, of which
braces, keys and digits make an object with exactly the two keys that are asked for. A prefix is allowed only while it
can be completed. The language model of each is a Markov chain drawn by the seed, which favours what the grammar likes
but knows nothing of the constraint. Generated on the spot; the sizes are ours.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ..core.enumeration import Enumerated, enumerate_strings
from ..core.errors import DataError
from ..core.language import BOS, EOS, LanguageInfo
from ..core.seeds import derive
from ..core.source import Source
from .texts import Progress, Row, language_source

Array = NDArray[np.float64]
Ids = tuple[int, ...]
OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
KEYS = ("name", "age", "size", "colour", "weight", "price", "place", "owner")
ASKED = ("age", "size")
SYMBOLS = 60
SPECIALS = 3  # pad, begin, end


class Config(BaseModel):
    """Which world, how long its strings are, and how many rows there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    world: Literal["sums", "arithmetic", "keys"] = Field("sums", description="language model and constraint")
    max_tokens: int | None = Field(
        None, ge=1, le=9, description="symbols of a string at most; null: 5, of keys 9 (arithmetic: an odd number)"
    )
    target: int = Field(6, ge=-81, le=729, description="value that a sum of arithmetic must have")
    skew: float = Field(
        0.6, gt=0, le=10, description="of the drawn transition rows (Dirichlet): less is more uneven, more is even"
    )
    n_train: int = Field(2000, ge=10, le=1_000_000, description="training strings of the language model")
    n_valid: int = Field(50, ge=1, le=100_000, description="validation rows, a run of a sampler each")
    n_test: int = Field(200, ge=1, le=100_000, description="test rows, a run of a sampler each")
    seed: int = Field(0, ge=0, description="of the language model and its strings")


class Constrained:
    """The oracle: a language model as a table, which strings are allowed, and their exact posterior.

    Strings are tokens of the vocabulary without begin and end. ``table`` [V, V]: log-probability of the next token
    (column) after the last one (row; BOS at the start); pad and begin have none.
    """

    def __init__(self, config: Config, words: tuple[str, ...], table: Array) -> None:
        self.config, self.words, self.table = config, words, table
        self.max_tokens = config.max_tokens or {"sums": 5, "arithmetic": 5, "keys": 9}[config.world]
        self.prefix = functools.cache(self._prefix)
        self.complete = functools.cache(self._complete)

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("config", "words", "table")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(state["config"], state["words"], state["table"])  # type: ignore[misc]

    def next_tokens(self, ids: Ids) -> Array:
        """Log-probabilities [V] of the token after ``ids``."""
        row: Array = self.table[ids[-1] if ids else BOS]
        return row

    @functools.cached_property
    def exact(self) -> Enumerated:
        """All allowed strings with their posterior. Raises DataError where there are none."""
        return enumerate_strings(self.next_tokens, self, EOS, self.max_tokens)

    def posterior(self) -> dict[Ids, float]:
        """Probability of each allowed string, sum 1."""
        return dict(zip(self.exact.strings, self.exact.posterior.tolist(), strict=True))

    def log_evidence(self) -> float:
        """Logarithm of the language model's mass of all allowed strings."""
        return self.exact.log_z

    # Each world: what a complete string is, and whether a prefix leads to one.

    def _complete(self, ids: Ids) -> bool:
        words = [self.words[t] for t in ids]
        if len(ids) > self.max_tokens or min(ids, default=SPECIALS) < SPECIALS:
            return False
        if self.config.world == "sums":
            return _spaced(words) and sum(int(w) for w in words) % 3 == 0
        if self.config.world == "arithmetic":
            return _value(words) == self.config.target
        return _object(words) == 2

    def _prefix(self, ids: Ids) -> bool:
        words = [self.words[t] for t in ids]
        left = self.max_tokens - len(ids)
        if left < 0 or min(ids, default=SPECIALS) < SPECIALS:
            return False
        if self.config.world == "sums":
            return _spaced(words) and (self.complete(ids) or self._some_next(ids, ("0", "1", "2")))
        if self.config.world == "arithmetic":
            if not _alternates(words):
                return False
            digit = len(words) % 2 == 0
            return self.complete(ids) or (
                left > 0 and self._some_next(ids, "0123456789" if digit else tuple(OPERATORS))
            )
        return _object(words) > 0 and left >= 9 - len(ids)

    def _some_next(self, ids: Ids, words: Any) -> bool:
        return len(ids) < self.max_tokens and any(self.prefix((*ids, self.words.index(word))) for word in words)


def _spaced(words: list[str]) -> bool:
    return all(not (a == b == "1") for a, b in itertools.pairwise(words))


def _alternates(words: list[str]) -> bool:
    """Digits at even places, operators at odd ones."""
    return all(word in OPERATORS if k % 2 else word.isdigit() for k, word in enumerate(words))


def _value(words: list[str]) -> float | None:
    """Value of digits with operators between, from left to right; None for anything else, and for a division by 0."""
    if len(words) % 2 == 0 or not _alternates(words):
        return None
    value = float(words[0])
    for sign, digit in zip(words[1::2], words[2::2], strict=True):
        if sign == "/" and digit == "0":
            return None
        value = OPERATORS[sign](value, float(digit))
    return value


def _object(words: list[str]) -> int:
    """2 for an object with exactly the keys that are asked for, 1 for the beginning of one, else 0."""
    form = ("{", "key", ":", "digit", ",", "key", ":", "digit", "}")
    if len(words) > len(form):
        return 0
    keys = [word for word, kind in zip(words, form, strict=False) if kind == "key"]
    fits = all(
        word in ASKED if kind == "key" else word.isdigit() if kind == "digit" else word == kind
        for word, kind in zip(words, form, strict=False)
    )
    return 0 if not fits or len(set(keys)) < len(keys) else 1 + (len(words) == len(form))


def _symbols(world: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Symbols, and pairs of kinds that the language model favours, one after the other."""
    if world == "sums":
        return ["0", "1", "2"], []
    digits = [str(k) for k in range(10)]
    if world == "arithmetic":
        special = [*digits, *OPERATORS]
        likes = [("start", "digit"), ("digit", "sign"), ("sign", "digit"), ("digit", "end")]
    else:
        special = [*digits, "{", "}", ":", ",", *KEYS]
        likes = [("start", "{"), ("{", "key"), ("key", ":"), (":", "digit"), ("digit", ","), (",", "key")]
        likes += [("digit", "}"), ("}", "end")]
    return [*special, *(f"w{k}" for k in range(SYMBOLS - len(special)))], likes


def _kind(word: str) -> str:
    if word.isdigit():
        return "digit"
    return "sign" if word in OPERATORS else "key" if word in KEYS else word


def world(config: Config) -> tuple[list[str], Constrained]:
    """The symbols of a world and its oracle. Raises DataError for strings of a length that none can have."""
    most = config.max_tokens
    if (config.world == "keys" and most not in (None, 9)) or (config.world == "arithmetic" and most and most % 2 == 0):
        form = "an object has 9 symbols" if config.world == "keys" else "a sum has an odd number of symbols"
        raise DataError(f"toy_constraints: max_tokens {most} does not fit the world {config.world}: {form}")
    symbols, likes = _symbols(config.world)
    rng = np.random.default_rng(derive(config.seed, f"toy_constraints/{config.world}/table"))
    size = SPECIALS + len(symbols)
    mass = np.zeros((size, size))
    kinds = ["", "start", "end", *(_kind(word) for word in symbols)]
    for row in (BOS, *range(SPECIALS, size)):
        mass[row, EOS:] = rng.dirichlet(np.full(size - EOS, config.skew))
        liked = [v for v in range(EOS, size) if (kinds[row], kinds[v]) in likes]
        if liked:  # most of the mass, in drawn proportions
            mass[row] *= 0.2
            mass[row, liked] += 0.8 * rng.dirichlet(np.full(len(liked), config.skew))
    with np.errstate(divide="ignore"):
        return symbols, Constrained(config, ("<pad>", "<bos>", "<eos>", *symbols), np.log(mass))


def _written(oracle: Constrained, rng: np.random.Generator) -> tuple[str, ...]:
    """A string of the language model, ended by force."""
    ids: list[int] = []
    table = np.exp(oracle.table)
    while len(ids) < oracle.max_tokens:
        token = int(rng.choice(len(table), p=table[ids[-1] if ids else BOS]))
        if token == EOS:
            break
        ids.append(token)
    return tuple(oracle.words[t] for t in ids)


def load(config: Config, root: Path | None, progress: Progress = None) -> Source[LanguageInfo]:
    """Strings of the language model to train on, and rows without a prompt, one run of a sampler each; their answer is
    a string of the exact posterior. Raises DataError for a data root, and where no string is allowed.
    """
    if root is not None:
        raise DataError(f"toy_constraints is generated: it reads nothing from {root}; leave the data root out")
    symbols, oracle = world(config)
    exact = oracle.exact
    rows = {}
    for split, count in (("train", config.n_train), ("valid", config.n_valid), ("test", config.n_test)):
        rng = np.random.default_rng(derive(config.seed, f"toy_constraints/{config.world}/{split}"))
        if split == "train":
            rows[split] = [Row(prompt=(), answer=_written(oracle, rng)) for _ in range(count)]
        else:
            picked = rng.choice(len(exact.strings), count, p=exact.posterior)
            strings = [tuple(oracle.words[t] for t in exact.strings[k]) for k in picked]
            rows[split] = [Row(prompt=(), answer=string) for string in strings]
    return language_source(rows, symbols, name=f"toy_constraints/{config.model_dump_json()}", oracle=oracle)
