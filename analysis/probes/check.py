"""Checks between the stages of a method that need columns hidden from training. A method names those that it wants
(``Method.checks``): modules of this folder with a class ``CHECK``.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..metrics.metric import Metric

if TYPE_CHECKING:
    from ..problems.evaluator import Data


class GateError(RuntimeError):
    """A check between stages says stop."""


class Check:
    """Looks at a method after its stage ``stage``; everything that it may find is declared in ``metrics``."""

    stage: ClassVar[str]
    metrics: ClassVar[Sequence[Metric]]  # by their bare names; a run writes them as STAGE/NAME

    def __init__(self, data: Data) -> None:
        self.data = data

    @classmethod
    def declared(cls) -> list[Metric]:
        """The metrics under the names that a run writes."""
        return [Metric(f"{cls.stage}/{m.name}", m.higher_is_better, m.unit, m.title) for m in cls.metrics]

    def after_stage(self, method: Any, experience: Any, folder: Path) -> dict[str, float]:
        """Metrics by their bare names; none where nothing can be said.

        ``experience`` is the training experience with all columns: ``table``, ``rows``, ``number``. Pictures go into
        ``folder``. Raises GateError where what comes next would be pointless.
        """
        raise NotImplementedError(f"{type(self).__name__} must define after_stage")


def check(name: str) -> type[Check]:
    """The class ``CHECK`` of ``analysis/probes/<name>.py``. Raises ModuleNotFoundError for an unknown name."""
    kind: type[Check] = importlib.import_module(f".{name}", __package__).CHECK
    return kind
