"""Classification with groups: accuracy by class and bias, the translation report and its gate (CDvG spec section 7)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .. import groups
from . import Data, Evaluator, GateError, MissingColumnError, Picture, Prediction


class Groups(Evaluator):
    """Predictions hold ``label``, the class; the data holds ``label`` and ``bias``.

    After a stage ``translator`` the report is made: a reader of content and bias, fitted on data whose bias is independent of the class (the
    split ``unbiased``, else ``test``), reads held-out images (``valid``) translated to every mode.
    """

    main: ClassVar[str] = "accuracy"
    table: ClassVar[Sequence[str]] = ("accuracy/last", "conflict/last", "aligned/last", "worst_group/last", "gap/last", "cost/seconds_per_step")  # fmt: skip

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._reader: Any = None
        for split, part in data.splits.items():
            for column in ("label", "bias"):
                if column not in part.columns:
                    raise MissingColumnError(
                        f"the split '{split}' has no column '{column}': the problem 'groups' needs it"
                    )

    def _columns(self, split: str, index: Sequence[int]) -> tuple[Any, Any]:
        columns = self.data.splits[split].columns
        rows = np.asarray(index, dtype=np.int64)
        return columns["label"].numpy()[rows], columns["bias"].numpy()[rows]

    def score(self, predictions: Sequence[Prediction], index: Sequence[int], split: str) -> dict[str, float]:
        labels, bias = self._columns(split, index)
        usual = self.data.splits[split].columns.get("usual")
        predicted = np.array([int(p["label"]) for p in predictions], dtype=np.int64)
        return groups.group_metrics(
            labels, bias, predicted, None if usual is None else usual.numpy()[np.asarray(index, dtype=np.int64)]
        )

    def pictures(
        self, predictions: Sequence[Prediction], index: Sequence[int], split: str
    ) -> Iterator[tuple[str, Picture]]:
        """The group matrix."""
        from ..plots import group_heatmap

        labels, bias = self._columns(split, index)
        predicted = np.array([int(p["label"]) for p in predictions], dtype=np.int64)
        yield "groups.png", lambda path: group_heatmap(groups.group_matrix(labels, bias, predicted), path)

    def after_stage(self, stage: str, method: Any, experience: Any, folder: Path) -> dict[str, float]:
        """Translation report, a grid of translations, and the gate that the method's ``gate`` describes."""
        if stage != "translator" or not getattr(method, "modes", ()):
            return {}
        from ..plots import spared, translation_grid
        from ..translation import Reader, report

        if self._reader is None:
            part = self.data.splits["unbiased" if "unbiased" in self.data.splits else "test"].columns
            self._reader = Reader.fit(part["image"], part["label"], part["bias"])
        held_out = self.data.splits["valid"].columns
        rows = (
            np.flatnonzero(held_out["experience"].numpy() == experience.number)
            if "experience" in held_out
            else np.arange(len(held_out["label"]))
        )
        images, labels = held_out["image"][rows[:1000]], held_out["label"][rows[:1000]]
        usual = {}  # mode -> the bias usual for that class, where the data says so
        if "usual" in held_out:
            usual = dict(zip(labels.tolist(), held_out["usual"][rows[:1000]].tolist(), strict=True))
        known = np.isin(labels.numpy(), np.asarray(method.modes))
        images, labels = images[known], labels[known]
        found, shown = report(method.translate, self._reader, images, labels, method.modes, usual)
        with spared(folder / f"translations-{experience.number}.png") as path:
            translation_grid(shown, path)
        gate = method.gate
        problems = [
            f"{name.replace('_', ' ')} {found[name]:.2f} ({word} {limit:g})"
            for name, word, limit, bad in (
                ("content_moved", "above", gate["max_content_moved"], found["content_moved"] > gate["max_content_moved"]),
                ("content_kept", "below", gate["min_content_kept"], found["content_kept"] < gate["min_content_kept"]),
            )
            if bad
        ]  # fmt: skip
        found["gate_passed"] = float(not problems)
        if problems and gate["action"] != "ignore":
            text = f"the translator does not keep the content: {', '.join(problems)}; labels of translated views are wrong then"
            if gate["action"] == "stop":
                raise GateError(text)
            warnings.warn(text, stacklevel=2)
        return found


PROBLEM = Groups
