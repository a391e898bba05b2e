"""Multiple choice: how a rule scores the true and the false answers of a question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..metrics.generation import MultipleChoice as Sums
from ..metrics.generation import multiple_choice
from ..metrics.metric import Metric
from .evaluator import Data, Evaluator, Measurement, Outputs, Picture, Rows
from .texts import in_groups, language

NAMES = {
    "mc1": "questions whose best answer scores above every false one",
    "mc2": "probability of the true answers among all",
    "mc3": "true answers that score above every false one",
}


class MultipleChoice(Evaluator):
    """Predictions hold ``scores`` [B, K], the log-score of each option, -inf where a rule rules it out or it is absent;
    the column ``option_kind`` [N, K] says which are true (:class:`..metrics.generation.MultipleChoice`).
    """

    main: ClassVar[str] = "mc2"
    metrics: ClassVar[Sequence[Metric]] = (
        *(Metric(name, True, "share", title) for name, title in NAMES.items()),
        *(Metric(f"{name}/*", True, "share", title) for name, title in NAMES.items()),
    )
    table: ClassVar[Sequence[str]] = ("mc1/last", "mc2/last", "mc3/last", "mc2/*/last")

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.info = language(data, "multiple_choice", "option_kind")

    def measurement(self, split: str) -> ChoiceMeasurement:
        return ChoiceMeasurement(self.data.splits[split], self.info)

    def row_errors(self, outputs: Outputs, rows: Rows, split: str) -> NDArray[Any]:
        """1 - MC2 of each question."""
        kinds = self.data.splits[split].columns["option_kind"].numpy()[rows]
        pairs = zip(_scores(outputs, kinds.shape[1]), kinds, strict=True)
        return np.array([1 - multiple_choice(scores, kind)[1] for scores, kind in pairs], np.float64)


class ChoiceMeasurement(Measurement):
    """Sums over questions, in all and by group; ``part``: the table of the split."""

    def __init__(self, part: Any, info: Any) -> None:
        self.part, self.info = part, info
        self.sums: dict[str, Sums] = {}

    def update(self, outputs: Outputs, rows: Rows) -> None:
        kinds = self.part.columns["option_kind"].numpy()[rows]
        scores = _scores(outputs, kinds.shape[1])
        for name, there in (("", np.ones(len(rows), bool)), *in_groups(self.part, self.info, rows)):
            sums = self.sums.setdefault(name, Sums())
            for k in np.flatnonzero(there):
                sums.update(scores[k], kinds[k])

    def compute(self) -> dict[str, float]:
        return {
            f"{name}/{group}" if group else name: value
            for group, sums in sorted(self.sums.items())
            for name, value in sums.measures().items()
        }

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """MC1 to MC3 by group."""
        from ..plots import decoding as plots

        values = {group or "all": sums.measures() for group, sums in sorted(self.sums.items())}
        if values:

            def draw(path: Path) -> None:
                plots.by_group(values, "multiple choice: share, higher is better", path)

            yield "choices.png", draw


def _scores(outputs: Outputs, options: int) -> NDArray[Any]:
    scores = np.asarray(outputs["scores"], np.float64)
    if scores.ndim != 2 or scores.shape[1] != options:
        raise ValueError(f"scores must be [rows, {options}], one number an option, not {list(scores.shape)}")
    return scores


PROBLEM = MultipleChoice
