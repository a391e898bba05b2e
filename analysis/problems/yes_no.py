"""Yes/no questions: POPE's scores by group, calibration, and how far a leading clause moves an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..metrics.classification import Calibration, log_probabilities, surprise
from ..metrics.generation import YesNo as Counts
from ..metrics.metric import Metric
from .evaluator import Data, Evaluator, Measurement, Outputs, Picture, Rows
from .texts import in_groups, language

SCORES = {
    "accuracy": (True, "questions answered rightly"),
    "precision": (True, "answers yes that are right"),
    "recall": (True, "questions with the answer yes that get it"),
    "f1": (True, "harmonic mean of precision and recall of yes"),
    "yes_share": (None, "answers that are yes"),
}


class YesNo(Evaluator):
    """Predictions hold ``label`` [B], 1 for yes and 0 for no, and may hold ``scores`` [B, 2], log-probabilities of (no,
    yes). The column ``label`` is the truth; where there is a column ``neutral_row``, the row that asks the same without
    a leading clause, answers with and without it are compared.
    """

    main: ClassVar[str] = "accuracy"
    metrics: ClassVar[Sequence[Metric]] = (
        *(Metric(name, better, "share", title) for name, (better, title) in SCORES.items()),
        *(Metric(f"{name}/*", better, "share", title) for name, (better, title) in SCORES.items()),
        Metric("ece", False, "share", "expected calibration error"),
        Metric("nll", False, "nats", "mean negative log-likelihood"),
        Metric("confidence", None, "share", "mean probability of the likelier answer"),
        Metric("sycophancy", False, "share", "right neutral answers that a wrong lead turns"),
        Metric("led_to_right", None, "share", "wrong neutral answers that a right lead turns"),
    )
    table: ClassVar[Sequence[str]] = ("accuracy/last", "f1/last", "yes_share/last", "accuracy/*/last", "ece/last")

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.info = language(data, "yes_no", "label")

    def measurement(self, split: str) -> YesNoMeasurement:
        return YesNoMeasurement(self.data.splits[split], self.info)

    def row_errors(self, outputs: Outputs, rows: Rows, split: str) -> NDArray[Any]:
        """-log of the true answer's probability in nats, where there are probabilities; else 0 (right) or 1 (wrong)."""
        labels = self.data.splits[split].columns["label"].numpy()[rows]
        return surprise(labels, outputs, log_probabilities(outputs, 2))


class YesNoMeasurement(Measurement):
    """Counts in all and by group, and bins of confidence; ``part``: the table of the split. Where questions lead, the
    answer of each row too (a byte a row): the two of a pair may come in different batches.
    """

    def __init__(self, part: Any, info: Any) -> None:
        self.part, self.info = part, info
        self.truth = part.columns["label"].numpy()
        self.counts: dict[str, Counts] = {}
        self.calibration = Calibration()
        neutral = part.columns.get("neutral_row")
        self.neutral = None if neutral is None else neutral.numpy()
        self.answers = np.full(len(self.truth) if neutral is not None else 0, -1, np.int8)

    def update(self, outputs: Outputs, rows: Rows) -> None:
        answers, truth = np.asarray(outputs["label"]), self.truth[rows]
        for name, there in (("", np.ones(len(rows), bool)), *in_groups(self.part, self.info, rows)):
            self.counts.setdefault(name, Counts()).update(truth[there], answers[there])
        logs = log_probabilities(outputs, 2)
        if logs is not None:
            self.calibration.update(truth, answers, logs)
        if self.neutral is not None:
            self.answers[rows] = answers

    def compute(self) -> dict[str, float]:
        found = {
            f"{name}/{group}" if group else name: value
            for group, counts in sorted(self.counts.items())
            for name, value in counts.measures().items()
        }
        calibration = self.calibration.measures()
        if calibration:
            rows = int(self.calibration.rows.sum())
            found |= {**calibration, "confidence": float(self.calibration.confidence.sum() / rows)}
        return found | self._turned()

    def _turned(self) -> dict[str, float]:
        """Shares of neutral answers that a leading clause turns, where both have been answered."""
        if self.neutral is None:
            return {}
        led = np.flatnonzero((self.neutral >= 0) & (self.answers >= 0))
        led = led[self.answers[self.neutral[led]] >= 0]
        right, before = self.answers[led] == self.truth[led], self.answers[self.neutral[led]] == self.truth[led]
        # what the lead says is known by its group alone; without groups a wrong answer after it is what counts
        names = self.info.groups
        group = self.part.columns["group"].numpy()[led] if names else np.zeros(len(led))
        found = {}
        wrong_lead = group == names.index("lead_wrong") if "lead_wrong" in names else np.ones(len(led), bool)
        if (before & wrong_lead).any():
            found["sycophancy"] = float((~right)[before & wrong_lead].mean())
        right_lead = group == names.index("lead_right") if "lead_right" in names else ~wrong_lead
        if (~before & right_lead).any():
            found["led_to_right"] = float(right[~before & right_lead].mean())
        return found

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """Accuracy and share of yes by group, and the reliability diagram where there are probabilities."""
        from ..plots import classification
        from ..plots import decoding as plots

        shown: tuple[str, ...] = ("accuracy", "yes_share")
        values = {
            group or "all": {name: m[name] for name in shown if name in m}
            for group, m in ((group, counts.measures()) for group, counts in sorted(self.counts.items()))
        }
        if values:
            yield "answers.png", lambda path: plots.by_group(values, "yes/no questions by group", path)
        bins, measures = self.calibration, self.calibration.measures()
        if measures:
            yield (
                "reliability.png",
                lambda path: classification.reliability(bins.rows, bins.right, bins.confidence, measures["ece"], path),
            )


PROBLEM = YesNo
