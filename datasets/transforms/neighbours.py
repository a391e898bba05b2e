"""Words whose input embeddings are near each other in a pretrained model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core.errors import DataError
from ..readers.files import read_text

TOP, FLOOR = 5, 0.4  # neighbours of a word, and the least cosine
WORD = re.compile("[a-z]{3,}")
NAMES = ("word_embeddings.weight", "embed_tokens.weight", "tok_embeddings.weight", "shared.weight", "wte.weight")


class Neighbours:
    """A word's nearest others among the whole words of a to z (three letters or more) of a model's vocabulary: the
    ``top`` nearest by cosine, at least ``floor``, the nearest first. They are not always synonyms: inflected forms and
    opposites are near too. Each word is looked for when it is asked for, and remembered.

    Raises DataError where the folder has no safetensors with input embeddings, or no ``tokenizer.json`` with whole
    words.
    """

    def __init__(self, folder: Path, top: int = TOP, floor: float = FLOOR) -> None:
        known, table = words(folder), embeddings(folder)
        self.names = sorted(word for word, number in known.items() if number < len(table))
        if len(self.names) < 2:
            raise DataError(f"{folder}: the tokenizer has no whole words of letters")
        self.places = {name: k for k, name in enumerate(self.names)}
        rows = table[torch.tensor([known[name] for name in self.names])]
        self.rows = F.normalize(rows.float(), dim=1)
        self.top, self.floor = min(top, len(self.names) - 1), floor
        self._found: dict[str, tuple[str, ...]] = {}

    def __call__(self, word: str) -> tuple[str, ...]:
        """The neighbours; none of a word that the vocabulary does not have whole."""
        place = self.places.get(word)
        if place is None:
            return ()
        if word not in self._found:
            cosines = self.rows @ self.rows[place]
            cosines[place] = -2
            near, which = cosines.topk(self.top)
            pairs = zip(near.tolist(), which.tolist(), strict=True)
            self._found[word] = tuple(self.names[k] for cosine, k in pairs if cosine >= self.floor)
        return self._found[word]


def words(folder: Path) -> dict[str, int]:
    """Tokens that are whole words of a to z, by their number: of WordPiece those without ``##``, of others those behind
    a mark of a space.
    """
    path = folder / "tokenizer.json"
    try:
        model: dict[str, Any] = json.loads(read_text(path))["model"]
        vocabulary = model["vocab"]
        pairs = vocabulary.items() if isinstance(vocabulary, dict) else ((t, k) for k, (t, _) in enumerate(vocabulary))
        marks = ("",) if model.get("type") == "WordPiece" else ("\u0120", "\u2581")
        tokens = [(str(token), int(number)) for token, number in pairs]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no vocabulary can be read ({error})") from error
    found: dict[str, int] = {}
    for token, number in tokens:
        for mark in marks:
            word = token[len(mark) :].lower()
            if token.startswith(mark) and WORD.fullmatch(word):
                found.setdefault(word, number)
    return found


def embeddings(folder: Path) -> Tensor:
    """The input embeddings [V, H] in ``model.safetensors``. Raises DataError."""
    from safetensors import SafetensorError, safe_open

    path = folder / "model.safetensors"
    try:
        with safe_open(path, framework="pt") as file:
            name = next((key for known in NAMES for key in file.keys() if key.endswith(known)), None)  # noqa: SIM118
            if name is None:
                raise DataError(f"{path}: no input embeddings (a tensor that ends in {', '.join(NAMES)})")
            table: Tensor = file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: the weights cannot be read ({error})") from error
    return table
