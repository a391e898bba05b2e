"""The board of a study: trials by state, their values, the best so far, why trials failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.board import Board, values_text


@dataclass
class TrialBoard(Board):
    """A :class:`~holdfast.suites.runtime.board.Board` of trials by their numbers."""

    noun: str = "trial"

    def start(self, number: int, params: Mapping[str, Any], folder: Path | None = None) -> None:
        """A trial begins with these values; its run reports in ``folder``."""
        self.begin(number, f"trial {number} ({values_text(params)})", folder=folder)

    def report(self, number: int, step: int, value: float) -> None:
        """The objective so far of a trial that runs on."""
        self.now[number].note = f"{value:.4f} after experience {step + 1}"
