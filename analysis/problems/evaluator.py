"""What is measured, by kind of problem: one evaluator a file of this folder; every method of a suite goes through the
same one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..metrics.metric import Metric

if TYPE_CHECKING:
    from ...datasets.core.source import DataInfo

Prediction = Mapping[str, Any]


Picture = Callable[[Path], None]


class Data(Protocol):
    """What an evaluator sees of the data: all columns of all splits, those hidden from training too."""

    @property
    def splits(self) -> Mapping[str, Any]:
        """Tables of ``train``, ``valid``, ``test`` and what else the data set gives."""
        ...

    @property
    def info(self) -> DataInfo:
        """Facts about the rows; an evaluator narrows them with :func:`holdfast.datasets.core.source.require`."""
        ...


class Evaluator:
    """Turns predictions and targets into named metrics, tables and pictures.

    ``main`` is the metric that the matrix holds. Every name that ``score`` may give is declared:
    direction, unit and title are read from there by everything that compares; a name that is not declared is an error.
    """

    main: ClassVar[str]
    metrics: ClassVar[Sequence[Metric]] = ()  # of score, by their bare names
    table: ClassVar[Sequence[str]] = ()  # metrics of the summary that the screen's table shows, in order

    def __init__(self, data: Data) -> None:
        self.data = data

    def score(self, predictions: Sequence[Prediction], index: Sequence[int], split: str) -> dict[str, float]:
        """Metrics of the rows ``index`` of ``split``; ``predictions[k]`` belongs to row ``index[k]``."""
        raise NotImplementedError(f"{type(self).__name__} must define score")

    def pictures(
        self, predictions: Sequence[Prediction], index: Sequence[int], split: str
    ) -> Iterator[tuple[str, Picture]]:
        """Pictures of what the last evaluation on all seen experiences shows: a file's name and what draws it there.

        Each is drawn by itself: one that fails takes neither the run nor the others with it.
        """
        return iter(())


class MissingColumnError(ValueError):
    """The data has no column that the problem measures by."""


def evaluator(name: str) -> type[Evaluator]:
    """The class ``PROBLEM`` of ``analysis/problems/<name>.py``. Raises ModuleNotFoundError for an unknown name."""
    module = importlib.import_module(f"{__name__}.{name}")
    kind: type[Evaluator] = module.PROBLEM
    return kind
