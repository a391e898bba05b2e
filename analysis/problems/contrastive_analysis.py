"""Contrastive analysis: which attributes can be read off the common and off the salient representation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import ClassVar

import numpy as np

from ...datasets.core.contrast import GROUPS, MEMBERSHIP, Attribute, ContrastInfo, require_columns
from ...datasets.core.source import require
from ..metrics.contrast import Array, Cell, classified, kernel_mutual_information, separation
from ..metrics.metric import Metric
from ..probes.linear import LinearProbe
from .evaluator import Data, Evaluator, Measurement, Outputs, Picture, Rows

SPACES = ("common", "salient")
KEPT = (*SPACES, "common_code", "salient_code")  # of what a method predicts
KERNEL_ROWS = 500  # target rows of the mutual information: its bias depends on how many there are
_SCORES = (
    ("accuracy", True, "share", "accuracy"),
    ("balanced_accuracy", True, "share", "balanced accuracy"),
    ("mae", False, "", "mean absolute error"),
)


def _cells() -> Iterator[Metric]:
    for space in SPACES:
        other = SPACES[1 - SPACES.index(space)]
        for name, higher, unit, words in _SCORES:
            yield Metric(
                f"{space}/*/{name}", higher, unit, f"{words} of {space} attributes, read off the {space} space"
            )
            title = f"{words} of {other} attributes, read off the {space} space"
            yield Metric(f"leak/{space}/*/{name}", not higher, unit, title)


class ContrastiveAnalysis(Evaluator):
    """Predictions hold ``common`` [B, dc] and ``salient`` [B, ds], the representations, and may hold ``common_code``
    and ``salient_code``, the outputs of their projectors (a method without projectors: the representations).

    Linear probes of every attribute are fitted on the target rows that training has seen, and scored on target rows of
    the split; ``target``, which set a row is of, on all rows. A probe of an attribute on its own space is
    ``SPACE/ATTRIBUTE/SCORE``, on the other ``leak/SPACE/ATTRIBUTE/SCORE``. A probe that cannot be fitted or scored (no
    row with a value, a single class, representations that are not finite) is left out; with representations that are
    not finite ``separation`` is NaN.
    """

    main: ClassVar[str] = "separation"
    metrics: ClassVar[Sequence[Metric]] = (
        Metric("separation", False, "", "sum of the distances of all probes from their ideals"),
        Metric("kernel_mi", False, "nats", "kernel mutual information of the codes of target rows"),
        *_cells(),
        *(Metric(f"salient_norm/{group}", None, "", f"mean norm of {group} rows' salient codes") for group in GROUPS),
        Metric("salient_norm/ratio", False, "", "mean norm of salient codes, background over target"),
    )
    table: ClassVar[Sequence[str]] = (
        "separation/last",
        "separation/average",
        "kernel_mi/last",
        "salient/target/balanced_accuracy/last",
        "leak/common/target/balanced_accuracy/last",
        "salient_norm/ratio/last",
        "cost/seconds_per_step",
    )
    fits_on: ClassVar[str | None] = "train"

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        info = require(data.info, ContrastInfo, "the problem 'contrastive_analysis'")
        self.attributes = (*info.attributes, Attribute(MEMBERSHIP, MEMBERSHIP, "salient", GROUPS))
        columns = [attribute.column for attribute in self.attributes]
        self.columns = {
            split: require_columns(table, columns, f"the split '{split}'") for split, table in data.splits.items()
        }
        self.probes: Probes | None = None

    def fit(self, predictions: Iterable[tuple[Outputs, Rows]]) -> None:
        taken = _Taken(SPACES)
        for outputs, rows in predictions:
            taken.update(outputs, rows)
        self.probes = Probes(taken, self.columns["train"])

    def measurement(self, split: str) -> ContrastMeasurement:
        return ContrastMeasurement(self.attributes, self.columns[split], self.probes)


class _Taken:
    """Outputs ``names`` of the rows taken in, and the rows."""

    def __init__(self, names: Sequence[str]) -> None:
        self.parts: dict[str, list[Array]] = {name: [] for name in names}
        self.row_parts: list[Array] = []

    def update(self, outputs: Outputs, rows: Rows) -> None:
        self.row_parts.append(np.asarray(rows))
        for name, parts in self.parts.items():
            value = outputs.get(name, outputs[name.removesuffix("_code")])
            parts.append(np.asarray(value).reshape(len(rows), -1))

    @property
    def rows(self) -> Array:
        return np.concatenate(self.row_parts) if self.row_parts else np.zeros(0, np.int64)

    def __getitem__(self, name: str) -> Array:
        return np.concatenate(self.parts[name]) if self.row_parts else np.zeros((0, 0))


def _known(attribute: Attribute, columns: dict[str, Array], rows: Array) -> Array:
    """Which of ``rows`` a probe of the attribute takes: those with a value, of the target unless it is membership."""
    values = columns[attribute.column][rows]
    known = ~np.isnan(values) if attribute.classes is None else values >= 0
    return np.asarray(known if attribute.name == MEMBERSHIP else known & (columns[MEMBERSHIP][rows] == 1))


class Probes:
    """Probes of the representations of training rows, each fitted when it is first asked for."""

    def __init__(self, taken: _Taken, columns: dict[str, Array]) -> None:
        self.taken, self.columns = taken, columns
        self._fitted: dict[tuple[str, str], LinearProbe | None] = {}

    def of(self, space: str, attribute: Attribute) -> LinearProbe | None:
        """The probe of an attribute on a space; None where it cannot be fitted."""
        key = (space, attribute.name)
        if key not in self._fitted:
            rows = self.taken.rows
            kept = _known(attribute, self.columns, rows)
            try:
                probe = LinearProbe(self.taken[space][kept], self.columns[attribute.column][rows[kept]])
            except ValueError:
                probe = None
            self._fitted[key] = probe
        return self._fitted[key]


class ContrastMeasurement(Measurement):
    """Keeps the representations and codes of each row: probes and kernels need them all.

    ``columns``: membership and attributes by column, [rows of the split]; ``probes`` None: nothing was fitted, and
    there are no cells.
    """

    def __init__(self, attributes: Sequence[Attribute], columns: dict[str, Array], probes: Probes | None) -> None:
        self.attributes, self.columns, self.probes = attributes, columns, probes
        self.taken = _Taken(KEPT)

    def update(self, outputs: Outputs, rows: Rows) -> None:
        self.taken.update(outputs, rows)

    def compute(self) -> dict[str, float]:
        cells, measures = self._cells()
        whole = separation(cells) if self._finite() else float("nan")  # fewer cells would make a smaller sum
        return {"separation": whole, **measures, **self._leakage(), **self._norms()}

    def _finite(self) -> bool:
        parts = [self.taken, *([self.probes.taken] if self.probes is not None else [])]
        return all(np.isfinite(taken[space]).all() for taken in parts for space in SPACES)

    def _cells(self) -> tuple[list[Cell], dict[str, float]]:
        """The cells of the probe table, and their metrics."""
        cells: list[Cell] = []
        measures: dict[str, float] = {}
        rows = self.taken.rows
        for space in SPACES if self.probes is not None and len(rows) else ():
            features = self.taken[space]
            for attribute in self.attributes:
                kept = _known(attribute, self.columns, rows)
                truth = self.columns[attribute.column][rows[kept]]
                probe = self.probes.of(space, attribute) if self.probes is not None else None
                if probe is None or not len(truth) or not np.isfinite(features[kept]).all():
                    continue
                wanted = attribute.space == space
                prefix = f"{space}/{attribute.name}" if wanted else f"leak/{space}/{attribute.name}"
                predicted = probe.predict(features[kept])
                if attribute.classes is None:
                    error, plain = (float(np.abs(truth - p).mean()) for p in (predicted, probe.median))
                    measures[f"{prefix}/mae"] = error
                    share = error / plain if plain > 0 else 1.0
                    cells.append(Cell(attribute.name, space, wanted, share, 0.0 if wanted else 1.0, error))
                    continue
                accuracy, balanced, chance = classified(truth, predicted)
                measures |= {f"{prefix}/accuracy": accuracy, f"{prefix}/balanced_accuracy": balanced}
                if chance < 1:  # of one class nothing can be got wrong
                    cells.append(Cell(attribute.name, space, wanted, balanced, 1.0 if wanted else chance, balanced))
        return cells, measures

    def _leakage(self) -> dict[str, float]:
        """Kernel mutual information of the codes of at most :data:`KERNEL_ROWS` target rows, evenly; common codes at
        unit length."""
        target = np.flatnonzero(self.columns[MEMBERSHIP][self.taken.rows] == 1)
        if len(target) > KERNEL_ROWS:
            target = target[np.linspace(0, len(target) - 1, KERNEL_ROWS).astype(int)]
        common, salient = (self.taken[name][target].astype(np.float64) for name in KEPT[2:])
        if len(target) < 2 or not (np.isfinite(common).all() and np.isfinite(salient).all()):
            return {}
        common = common / np.maximum(np.linalg.norm(common, axis=1, keepdims=True), 1e-12)
        return {"kernel_mi": kernel_mutual_information(common, salient)}

    def _norms(self) -> dict[str, float]:
        means = {f"salient_norm/{name}": float(n.mean()) for name, n in self.norms().items() if len(n)}
        background, target = (means.get(f"salient_norm/{group}") for group in GROUPS)
        if background is not None and target:
            means["salient_norm/ratio"] = background / target
        return means

    def norms(self) -> dict[str, Array]:
        """Norms of the salient codes of each group's rows."""
        member = self.columns[MEMBERSHIP][self.taken.rows]
        norms = np.linalg.norm(self.taken["salient_code"], axis=1)
        return {group: norms[member == number] for number, group in enumerate(GROUPS)}

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """The probe table, the spaces in two dimensions by a common and by a salient attribute, and the norms."""
        from ..plots import contrast as plots

        cells, _ = self._cells()
        if cells:
            yield "probes.png", partial(plots.probe_table, cells)
        yield "salient_norms.png", partial(plots.norms, self.norms())
        rows = self.taken.rows
        shown = [next((a for a in self.attributes if a.space == space), None) for space in SPACES]
        coloured = [(a.name, a.classes, self.columns[a.column][rows]) for a in shown if a is not None]
        spaces = {space: self.taken[space] for space in SPACES}
        yield "spaces.png", partial(plots.spaces, spaces, coloured)
        if plots.umap_installed():
            yield "spaces_umap.png", partial(plots.spaces, spaces, coloured, by="umap")


PROBLEM = ContrastiveAnalysis
