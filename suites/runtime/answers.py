"""Outputs of a method for one row, as a document for people: class and probabilities, value and interval, or what was
said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..config import measures
from ..config.errors import Fault
from .console import Console
from .facts import Facts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .loading import TrainedRun

Document = dict[str, Any]
Outputs = Mapping[str, "NDArray[Any]"]  # of one row
Answer = Callable[[Outputs], Document]


@dataclass(frozen=True)
class How:
    """``top``: classes that are named, the likeliest first. ``level``: share of rows that an interval is to hold."""

    top: int = 5
    level: float = 0.9

    def __post_init__(self) -> None:
        if self.top < 1:
            raise Fault.usage(f"{self.top} classes are none", "--top", "--top 1, or more")
        if not 0 < self.level < 1:
            raise Fault.usage(f"{self.level} is no level of an interval", "--level", "--level 0.9")


def answer_of(run: TrainedRun, how: How, console: Console) -> Answer:
    """What makes documents of the run's outputs, by its problem; of a problem of another package all outputs."""
    facts = run.facts
    if run.recipe.problem == "speech":
        from . import speech

        return speech.answer_of(run)
    if facts.class_names:
        return _Classes(facts.class_names, how)
    if run.recipe.problem == "regression":
        return _Value(run, how, console)
    return lambda outputs: {name: value.tolist() for name, value in outputs.items()}


def truth(label: float, facts: Facts) -> str | float:
    """The label of a row: its class's name, or the value."""
    return facts.class_names[int(label)] if facts.class_names else float(label)


@dataclass(frozen=True)
class _Classes:
    """``class``; where the method gives scores or probabilities ``probability`` and the ``top`` classes.

    Probabilities are the softmax of the scores: nobody has calibrated them.
    """

    names: tuple[str, ...]
    how: How

    def __call__(self, outputs: Outputs) -> Document:
        import numpy as np

        from ...analysis.metrics.classification import log_probabilities

        number = int(outputs["label"])
        document: Document = {"class": self.names[number]}
        batch = {name: value[None] for name, value in outputs.items() if name in ("scores", "probabilities")}
        logs = log_probabilities(batch, len(self.names))
        if logs is None:
            return document
        shares = np.exp(logs[0])
        others = np.argsort(-shares, kind="stable").tolist()
        order = [number, *(k for k in others if k != number)][: self.how.top]
        top = [{"class": self.names[k], "probability": float(shares[k])} for k in order]
        return {**document, "probability": float(shares[number]), "top": top}


class _Value:
    """``value`` in the unit of ``label``, and ``interval``: ``low``, ``high``, ``level``, where one is honest."""

    def __init__(self, run: TrainedRun, how: How, console: Console) -> None:
        info: Any = run.facts.info
        self.label, self.level = str(getattr(info, "label_name", "label")), how.level
        self.radius = _radius(run, how.level, console)

    def __call__(self, outputs: Outputs) -> Document:
        value = float(outputs["value"].reshape(()))
        document: Document = {"label": self.label, "value": value, "interval": None}
        if self.radius is not None:
            low, high = value - self.radius, value + self.radius
            document["interval"] = {"low": low, "high": high, "level": self.level}
        return document


def _radius(run: TrainedRun, level: float, console: Console) -> float | None:
    """Half the width of the intervals, from the run's validation rows; None, with a note why, where there is none."""
    import numpy as np

    from ...analysis.intervals import conformal_radius

    try:
        run.check_data()
        table = run.data.splits.get("valid")
    except Fault as fault:
        console.note(f"no intervals: they need the run's validation rows ({fault.what})")
        return None
    if table is None or not len(table):
        console.note("no intervals: the run has no validation rows")
        return None
    label: Any = table.columns["label"]
    rows: Any = run.predict(range(len(table)), "valid")
    values = np.ravel([row["value"] for row in rows])
    radius = conformal_radius(values - label.double().numpy().ravel(), level)
    if radius is None:
        console.note(f"no intervals: {len(table)} validation rows are too few for the level {level}")
        return None
    chose = "; they chose the weights too, so that it may be a little narrow" if _chosen_on_valid(run) else ""
    console.note(
        f"intervals: split conformal at level {level} from the errors on {len(table)} validation rows; they hold for "
        f"rows like those{chose}"
    )
    return radius


def _chosen_on_valid(run: TrainedRun) -> bool:
    return run.recipe.train.selection in measures.ON_VALID
