"""What is measured, by kind of problem. One evaluator a problem; every method of a suite goes through the same one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from . import speech


class Problem(Protocol):
    """Turns predictions and targets into named metrics; ``main`` is the one that the matrix holds (a mean over rows)."""

    main: ClassVar[str]

    def score(self, predictions: Sequence[Mapping[str, Any]], index: Sequence[int], split: str) -> dict[str, float]:
        """Metrics of the rows ``index`` of ``split``; ``predictions[k]`` belongs to row ``index[k]``."""


class SpeechUnderstanding:
    """Intent accuracy, WER of the extended transcript, SLU-F1 (COCONUT spec section 9)."""

    main: ClassVar[str] = "accuracy"

    def __init__(self, info: Mapping[str, Any]) -> None:
        self.tokenizer, self.targets, self.parse = info["tokenizer"], info["targets"], info["parse"]

    def score(self, predictions: Sequence[Mapping[str, Any]], index: Sequence[int], split: str) -> dict[str, float]:
        texts = [self.tokenizer.decode(p["tokens"].tolist()) for p in predictions]
        gold = [self.targets[split][i] for i in index]
        return speech.evaluate(texts, gold, self.parse)


PROBLEMS: dict[str, type[SpeechUnderstanding]] = {"speech": SpeechUnderstanding}


def problem(name: str, info: Mapping[str, Any]) -> Problem:
    """The evaluator of a problem. Raises KeyError for an unknown name."""
    return PROBLEMS[name](info)
