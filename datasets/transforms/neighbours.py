"""Words whose input embeddings are near each other in a pretrained model."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core.errors import DataError

TOP, FLOOR = 5, 0.4  # neighbours of a word, and the least cosine
WORD = re.compile("[a-z]{3,}")
BLOCK = 2048  # words whose cosines are taken at once
NAMES = ("word_embeddings.weight", "embed_tokens.weight", "tok_embeddings.weight", "shared.weight", "wte.weight")


@lru_cache(maxsize=2)
def neighbours(folder: Path, top: int = TOP, floor: float = FLOOR) -> dict[str, tuple[str, ...]]:
    """Whole words of a to z (three letters or more) -> the ``top`` nearest others by cosine, at least ``floor``, the
    nearest first. They are not always synonyms: inflected forms and opposites are near too.

    Raises DataError where the folder has no safetensors with input embeddings, or no ``tokenizer.json`` with whole
    words.
    """
    known = words(folder)
    table = embeddings(folder)
    names = sorted(word for word, number in known.items() if number < len(table))
    if len(names) < 2:
        raise DataError(f"{folder}: the tokenizer has no whole words of letters")
    rows = F.normalize(table[torch.tensor([known[name] for name in names])].float(), dim=1)
    found: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(names), BLOCK):
        cosines = rows[start : start + BLOCK] @ rows.T
        own = torch.arange(len(cosines))
        cosines[own, own + start] = -2
        values, numbers = cosines.topk(min(top, len(names) - 1), dim=1)
        for row, (near, which) in enumerate(zip(values.tolist(), numbers.tolist(), strict=True)):
            others = tuple(names[k] for cosine, k in zip(near, which, strict=True) if cosine >= floor)
            if others:
                found[names[start + row]] = others
    return found


def words(folder: Path) -> dict[str, int]:
    """Tokens that are whole words of a to z, by their number: of WordPiece those without ``##``, of others those behind
    a mark of a space.
    """
    path = folder / "tokenizer.json"
    try:
        model: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["model"]
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
