"""Words of a sentence, and their numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor


def words(text: str, most: int) -> list[str]:
    """Lower-case words and numbers."""
    return re.findall(r"[^\W_]+", text.lower())[:most]


def numbered(text: str, known: Mapping[str, int], most: int) -> Tensor:
    """Numbers of the words, [1 or more] int64: 1 for one that is not ``known``, and for a text without words."""
    return torch.tensor([known.get(word, 1) for word in words(text, most)] or [1])
