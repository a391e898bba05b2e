"""What is measured, by kind of problem: one evaluator a file of this folder; every method of a suite goes through the
same one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ..metrics.metric import Metric

if TYPE_CHECKING:
    from ...datasets.core.source import DataInfo

Outputs = Mapping[str, NDArray[Any]]  # what a method predicts of a batch: name -> [B, ...]
Rows = NDArray[Any]  # ids of the batch's rows in their split, [B]
Picture = Callable[[Path], None]


class Data(Protocol):
    """What an evaluator sees of the data: all columns of all splits, those hidden from training too."""

    @property
    def splits(self) -> Mapping[str, Any]:
        """Tables of ``train``, ``valid``, ``test`` and what else the data set gives."""
        ...

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the values of the column ``label``; none where the label is a number."""
        ...

    @property
    def info(self) -> DataInfo:
        """Facts about the rows; an evaluator narrows them with :func:`holdfast.datasets.core.source.require`."""
        ...


class Measurement:
    """What is measured of the rows of one split, batch by batch. It keeps counts, or what a measure cannot do without
    (the values that a rank correlation sorts), and no prediction as it came.
    """

    def update(self, outputs: Outputs, rows: Rows) -> None:
        """Take in a batch: ``outputs[name][k]`` belongs to row ``rows[k]`` of the split. Every row comes once."""
        raise NotImplementedError(f"{type(self).__name__} must define update")

    def compute(self) -> dict[str, float]:
        """Metrics of all rows taken in so far; one that is undefined on them is left out."""
        raise NotImplementedError(f"{type(self).__name__} must define compute")

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """Pictures of the rows taken in: a file's name and what draws it there.

        Each is drawn by itself: one that fails takes neither the run nor the others with it.
        """
        return iter(())


class NoOptions(BaseModel):
    """The options of a problem that has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Evaluator:
    """Turns predictions and targets into named metrics, tables and pictures.

    ``main`` is the metric that the matrix holds. Every name that a measurement may give is declared:
    direction, unit and title are read from there by everything that compares; a name that is not declared is an error.

    A problem with a ``Config`` of its own is made with it, ``kind(data, config)``, from the recipe's
    ``evaluate.options``; one without takes the data alone.
    """

    Config: ClassVar[type[BaseModel]] = NoOptions
    main: ClassVar[str]
    metrics: ClassVar[Sequence[Metric]] = ()  # of a measurement, by their bare names
    table: ClassVar[Sequence[str]] = ()  # metrics of the summary that the screen's table shows, in order
    fits_on: ClassVar[str | None] = None  # a split on whose outputs something is fitted that measures; None: nothing is

    def __init__(self, data: Data) -> None:
        self.data = data

    @classmethod
    def lacks(cls, config: Any) -> list[str]:
        """What is not installed of what its options ask for: ``FIELD: what, and how to install it`` each."""
        return []

    def measurement(self, split: str) -> Measurement:
        """A new measurement of rows of ``split``, of none so far."""
        raise NotImplementedError(f"{type(self).__name__} must define measurement")

    def fit(self, predictions: Iterable[tuple[Outputs, Rows]]) -> None:
        """Take in what the method predicts now of the rows of :attr:`fits_on` that training has seen so far, batch by
        batch. Measurements made from here on use what is fitted on them; nothing of it is kept over a resume.
        """

    def across(self, measured: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """Metrics of several splits together, by their bare names: ``measured`` holds those of ``test`` and of each of
        the recipe's sets, after an experience.
        """
        return {}

    def over_experiences(self, rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Metrics of how training went on, by their bare names: ``rows[t]`` holds what was measured of all test rows
        seen by the end of experience t, the last what was measured now.
        """
        return {}

    def course(self, rows: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, Picture]]:
        """Pictures of the same, as :meth:`Measurement.pictures` gives those of the last experience."""
        return iter(())

    def row_errors(self, outputs: Outputs, rows: Rows, split: str) -> NDArray[Any] | None:
        """How wrong what is predicted of each row of ``split`` is, [B] float64, more is worse: what the worst rows are
        found by. None: the problem knows no error of a single row.
        """
        return None

    def measure(self, outputs: Outputs, rows: Rows, split: str) -> Measurement:
        """A measurement of one batch of ``split``."""
        measurement = self.measurement(split)
        measurement.update(outputs, rows)
        return measurement


class MissingColumnError(ValueError):
    """The data has no column that the problem measures by."""


def evaluator(name: str) -> type[Evaluator]:
    """The class ``PROBLEM`` of ``analysis/problems/<name>.py``. Raises ModuleNotFoundError for an unknown name."""
    module = importlib.import_module(f"{__name__}.{name}")
    kind: type[Evaluator] = module.PROBLEM
    return kind
