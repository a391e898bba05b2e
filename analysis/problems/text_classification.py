"""Classified texts: accuracy and macro-F1, how far representations of classes lie apart by layer, how far alterations
move them, and accuracy over the strength of alterations."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np

from ..metrics import representation
from ..metrics.classification import Array, macro_f1
from ..metrics.metric import Metric
from .classification import Classification, ClassificationMeasurement
from .evaluator import Data, Outputs, Picture, Rows

SOURCES = 1000  # originals whose representations are kept of a split, with their alterations
TITLES = {
    "within": (False, "mean distance of unit representations to their class's mean"),
    "between": (True, "mean distance of the classes' means"),
    "separation": (True, "distance of classes' means over the distance within classes"),
    "cos_intra": (True, "mean cosine within classes"),
    "cos_inter": (False, "mean cosine between classes"),
    "gap": (True, "mean cosine within classes minus that between them"),
    "silhouette_cosine": (True, "mean silhouette by cosine"),
    "davies_bouldin": (False, "index of Davies and Bouldin"),
}
BY_LAYER = ("separation", "silhouette_cosine")


def _declared() -> Iterator[Metric]:
    for name, (higher, title) in TITLES.items():
        yield Metric(f"representation/{name}", higher, "", title)
        yield Metric(f"copies/{name}", higher, "", f"of altered rows beside their originals: {title}")
    for name in BY_LAYER:
        higher, title = TITLES[name]
        yield Metric(f"layer/*/{name}", higher, "", f"after a layer: {title}")
        yield Metric(f"layer/*/copies_{name}", higher, "", f"after a layer, of altered rows: {title}")
    yield Metric(
        "layer/*/shift", False, "", "after a layer: distance of alterations from originals over that in classes"
    )


class TextClassification(Classification):
    """Predictions hold ``label`` [B] and may hold ``scores`` or ``probabilities`` [B, C], as for ``classification``;
    ``feature`` [B, H], the sentence representation, and ``layers`` [B, L + 1, H], that after each layer.

    Of at most :data:`SOURCES` originals, the same in a split and in every alteration of it, representations are kept.
    ``representation/...`` is measured on originals, or, where a split has none, on all rows; ``copies/...`` on altered
    rows beside originals. A shift pairs an alteration with its original in the split, else among the test rows that
    were measured before. What is not defined on the rows is left out.
    """

    metrics: ClassVar[Sequence[Metric]] = (
        *Classification.metrics,
        Metric("macro_f1", True, "share", "mean F1 of the classes"),
        Metric("accuracy_f1", True, "share", "mean of accuracy and macro-F1, as SuperGLUE scores CB"),
        *_declared(),
        Metric("representation/probe", True, "share", "accuracy of a logistic regression in five folds"),
        Metric("representation/shift", False, "", "distance of alterations from originals over that within classes"),
        Metric("unaltered", False, "share", "altered rows whose texts are those of their original"),
        Metric("robustness", True, "share", "mean accuracy over the strengths of alterations, by trapezoids"),
    )
    table: ClassVar[Sequence[str]] = (
        "accuracy/last",
        "accuracy/average",
        "accuracy/forgetting",
        "macro_f1/last",
        "robustness/last",
        "representation/separation/last",
        "cost/seconds_per_step",
    )

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.splits = {split: _Split.of(table) for split, table in data.splits.items()}
        self.test: dict[int, tuple[Array, Array | None]] = {}  # source -> feature and layers, of the newest evaluation
        self.curve: dict[float, float] = {}  # strength -> accuracy, of the newest evaluation
        self.by_layer: dict[str, dict[int, float]] = {}  # rows -> layer -> separation, of the newest evaluation
        self.shifts: dict[str, dict[int, float]] = {}  # the same of the shift

    def measurement(self, split: str) -> TextMeasurement:
        return TextMeasurement(self, split)

    def across(self, measured: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """``robustness``: the area under the accuracy over the strength of alterations, over its range, of the sets
        whose rows have one column ``strength``; unaltered test rows have the strength 0 where no set has.
        """
        found = {self.splits[name].strength: each["accuracy"] for name, each in measured.items() if "accuracy" in each}
        curve = {strength: value for strength, value in found.items() if strength is not None}
        if curve and "accuracy" in measured.get("test", {}):
            curve.setdefault(0.0, measured["test"]["accuracy"])
        self.curve = dict(sorted(curve.items()))
        if len(self.curve) < 2:
            return {}
        return {"robustness": representation.area(np.array(list(self.curve)), np.array(list(self.curve.values())))}


@dataclass
class _Split:
    """What is known of a split's rows: ``source`` [N], ``altered`` [N], which are ``kept`` [N], and the ``strength`` of
    their alteration where all have one.
    """

    source: Array
    altered: Array
    kept: Array
    strength: float | None
    unaltered: float | None

    @classmethod
    def of(cls, table: object) -> _Split:
        columns: Mapping[str, object] = getattr(table, "columns")  # noqa: B009
        n = len(columns["label"])  # type: ignore[arg-type]
        source = np.asarray(columns.get("source_id", np.arange(n)))
        altered = np.asarray(columns.get("altered", np.zeros(n))) > 0
        sources = np.unique(source)
        chosen = sources if len(sources) <= SOURCES else np.random.default_rng(0).permutation(sources)[:SOURCES]
        strengths = np.unique(np.asarray(columns["strength"])) if "strength" in columns else np.zeros(0)
        strength = float(strengths[0]) if len(strengths) == 1 else None
        return cls(source, altered, np.isin(source, chosen), strength, _unaltered(columns, source, altered))


def _unaltered(columns: Mapping[str, object], source: Array, altered: Array) -> float | None:
    """The share of altered rows whose texts are those of their original; None where there are no such pairs."""
    from ...datasets.core import texts
    from ...datasets.core.table import Ragged

    fields = [
        name for name, column in columns.items() if isinstance(column, Ragged) and column.values.element_size() == 1
    ]
    if not altered.any() or altered.all() or not fields:
        return None
    rows = list(zip(*(texts.unpacked(columns[name]) for name in fields), strict=True))  # type: ignore[arg-type]
    first = {int(source[k]): rows[k] for k in np.flatnonzero(~altered)}
    same = [rows[k] == first[int(source[k])] for k in np.flatnonzero(altered) if int(source[k]) in first]
    return float(np.mean(same)) if same else None


@dataclass
class _Kept:
    """Representations of the rows taken in: ``feature`` parts [b, H], ``layers`` parts [b, L + 1, H]."""

    rows: list[Array] = field(default_factory=list)
    feature: list[Array] = field(default_factory=list)
    layers: list[Array] = field(default_factory=list)


class TextMeasurement(ClassificationMeasurement):
    """Counts as of ``classification``, and the representations of the rows that are kept."""

    def __init__(self, problem: TextClassification, split: str) -> None:
        super().__init__(problem.data.splits[split].columns["label"].numpy(), problem.data.class_names)
        self.problem, self.split, self.facts, self.taken = problem, split, problem.splits[split], _Kept()

    def update(self, outputs: Outputs, rows: Rows) -> None:
        super().update(outputs, rows)
        if "feature" not in outputs:
            return
        mine = self.facts.kept[rows]
        feature = np.asarray(outputs["feature"])[mine]
        layers = np.asarray(outputs["layers"])[mine] if "layers" in outputs else None
        self.taken.rows.append(np.asarray(rows)[mine])
        self.taken.feature.append(feature)
        if layers is not None:
            self.taken.layers.append(layers)
        if self.split == "test":
            for k, source in enumerate(self.facts.source[rows][mine].tolist()):
                self.problem.test[source] = (feature[k], layers[k] if layers is not None else None)

    def compute(self) -> dict[str, float]:
        measures = super().compute()
        if "accuracy" in measures:
            measures["macro_f1"] = macro_f1(self.confusion.matrix)
            measures["accuracy_f1"] = (measures["accuracy"] + measures["macro_f1"]) / 2
        if self.facts.unaltered is not None:
            measures["unaltered"] = self.facts.unaltered
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", representation.RepresentationWarning)  # what is undefined is left out
            measures |= self._representations()
        return {name: value for name, value in measures.items() if math.isfinite(value)}

    @property
    def rows(self) -> Array:
        """The rows whose representations are kept, [k]."""
        return np.concatenate(self.taken.rows) if self.taken.rows else np.zeros(0, np.int64)

    def _representations(self) -> dict[str, float]:
        rows = self.rows
        if not len(rows):
            return {}
        altered, labels = self.facts.altered[rows], self.labels[rows]
        plain = ~altered if not altered.all() else np.ones(len(rows), bool)
        copies = altered & ~plain
        feature = np.concatenate(self.taken.feature)
        found = {f"representation/{k}": v for k, v in representation.separation(feature[plain], labels[plain]).items()}
        found["representation/probe"] = representation.probe(feature[plain], labels[plain])
        if copies.any():
            of_copies = representation.separation(feature[copies], labels[copies])
            found |= {f"copies/{name}": value for name, value in of_copies.items()}
        pairs = self._pairs(rows, altered)
        if pairs:
            found["representation/shift"] = self._shift(pairs, labels, feature, None)
        if not self.taken.layers:
            return found
        layers = np.concatenate(self.taken.layers)
        for k in range(layers.shape[1]):
            for prefix, chosen in (("", plain), ("copies_", copies)):
                if chosen.any():
                    one = representation.separation(layers[chosen, k], labels[chosen])
                    found |= {f"layer/{k}/{prefix}{name}": one[name] for name in BY_LAYER}
                    words = f"{self.split}, copies" if prefix else self.split
                    self.problem.by_layer.setdefault(words, {})[k] = one["separation"]
            if pairs:
                found[f"layer/{k}/shift"] = self._shift(pairs, labels, layers[:, k], k)
                self.problem.shifts.setdefault(self.split, {})[k] = found[f"layer/{k}/shift"]
        return found

    def _pairs(self, rows: Array, altered: Array) -> list[tuple[int, int]]:
        """Positions of altered rows, each with that of its original, or -1 - source where that is a test row."""
        here = {int(self.facts.source[row]): k for k, row in enumerate(rows) if not altered[k]}
        found = []
        for k in np.flatnonzero(altered).tolist():
            source = int(self.facts.source[rows[k]])
            if source in here:
                found.append((k, here[source]))
            elif source in self.problem.test:
                found.append((k, -1 - source))
        return found

    def _shift(self, pairs: Sequence[tuple[int, int]], labels: Array, values: Array, layer: int | None) -> float:
        originals = []
        for _, place in pairs:
            if place >= 0:
                originals.append(values[place])
            else:
                feature, layers = self.problem.test[-1 - place]
                one = feature if layer is None else layers[layer] if layers is not None else None
                if one is None:
                    return float("nan")
                originals.append(one)
        at = [k for k, _ in pairs]
        return representation.shift(np.stack(originals), values[at], labels[at])

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """Those of ``classification``; representations in the plane, separation by layer of every set that was
        measured, how far alterations move representations by layer, and accuracy over their strength.
        """
        from ..plots import representation as plots
        from ..plots.contrast import spaces

        yield from super().pictures()
        rows = self.rows
        if len(rows):
            feature = representation.unit(np.concatenate(self.taken.feature))
            coloured = [("class", self.class_names, self.labels[rows])]
            yield "representations.png", partial(spaces, {"sentence": feature}, coloured)
            yield "coordinates.csv", partial(plots.write_coordinates, rows, self.labels[rows], feature)
        if self.problem.by_layer:
            yield "layers.png", partial(plots.separation_by_layer, self.problem.by_layer)
        if self.problem.shifts:
            yield "shift.png", partial(plots.shift_by_layer, self.problem.shifts)
        if len(self.problem.curve) > 1:
            yield "robustness.png", partial(plots.accuracy_over_strength, self.problem.curve)


PROBLEM = TextClassification
