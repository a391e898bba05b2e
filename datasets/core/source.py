"""What a data set hands to a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .table import Table


@dataclass(frozen=True)
class Source:
    """What a data set hands to a run.

    ``splits`` holds the tables ``train``, ``valid`` and ``test``; ``class_names`` names the values of the column ``label``, by which
    class-incremental streams are split; ``info`` is what a model or a problem needs besides (vocabulary, texts);
    ``source`` is ``stand-in``, ``real`` or ``real-text-spoken``; ``checksum`` identifies the data. ``random_split``:
    the data set's seed draws train and test anew from one table, so that the rows of two seeds overlap.
    """

    splits: Mapping[str, Table]
    class_names: Sequence[str]
    info: Mapping[str, Any]
    source: str
    checksum: str
    random_split: bool = False
