"""Classification with groups: accuracy by class and bias, the translation report and its gate (CDvG spec section 7)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..metrics import groups
from ..metrics.metric import Metric
from .evaluator import Data, Evaluator, GateError, MissingColumnError, Picture, Prediction


class Groups(Evaluator):
    """Predictions hold ``label``, the class; the data holds ``label`` and ``bias``.

    The bias that is usual for a class, so that its rows count as aligned, stands in the data's ``info["usual"]``
    [classes] or, where it drifts, in the column ``usual``; without either, biases are numbered like the classes.
    After a stage ``translator`` the report is made: an auxiliary classifier (:mod:`..translation`; no test row is
    used) reads held-out images (``valid``) translated to every mode.
    """

    main: ClassVar[str] = "accuracy"
    metrics: ClassVar[Sequence[Metric]] = (
        Metric("accuracy", True, "share", "accuracy over all rows"),
        Metric("group_mean", True, "share", "mean accuracy of the groups"),
        Metric("aligned", True, "share", "accuracy on rows with their class's usual bias"),
        Metric("conflict", True, "share", "accuracy on rows with another bias"),
        Metric("aligned_group_mean", True, "share", "mean accuracy of the aligned groups"),
        Metric("conflict_group_mean", True, "share", "mean accuracy of the conflicting groups"),
        Metric("worst_group", True, "share", "accuracy in the worst group"),
        Metric("gap", False, "share", "aligned minus conflicting accuracy"),
    )
    checks: ClassVar[Sequence[Metric]] = (
        Metric("translator/content_kept", True, "share", "translated images still read as their class"),
        Metric("translator/bias_moved", True, "share", "translated images whose bias is read as the mode's"),
        Metric("translator/content_moved", False, "share", "translated images read as the mode's class"),
        Metric("translator/content_read", True, "share", "untranslated images read as their class: a ceiling"),
        Metric("translator/gate_passed", True, "", "1 where the translator passed its gate"),
    )
    table: ClassVar[Sequence[str]] = ("accuracy/last", "conflict/last", "aligned/last", "worst_group/last", "gap/last", "cost/seconds_per_step")  # fmt: skip

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._classifier: Any = None
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
        predicted = np.array([int(p["label"]) for p in predictions], dtype=np.int64)
        usual, drifts = self._usual_of_rows(split, index, labels), "usual" in self.data.splits[split].columns
        return groups.group_metrics(labels, bias, predicted, usual, drifts)

    def _usual_of_rows(self, split: str, index: Sequence[int], labels: Any) -> Any:
        """The usual bias of each row's class, [N]; None: the class's own number."""
        columns = self.data.splits[split].columns
        if "usual" in columns:
            return columns["usual"].numpy()[np.asarray(index, dtype=np.int64)]
        return np.asarray(self.data.info["usual"], np.int64)[labels] if "usual" in self.data.info else None

    def _usual_of_modes(self, modes: Sequence[int], experience: Any) -> dict[int, int]:
        """The usual bias of every mode; where it drifts, that of the training rows of this experience."""
        table = getattr(experience, "table", None)
        if table is not None and "usual" in table.columns:
            rows = experience.rows
            return dict(zip(table.columns["label"][rows].tolist(), table.columns["usual"][rows].tolist(), strict=True))
        return {m: int(self.data.info["usual"][m]) if "usual" in self.data.info else m for m in modes}

    def pictures(
        self, predictions: Sequence[Prediction], index: Sequence[int], split: str
    ) -> Iterator[tuple[str, Picture]]:
        """The group matrix."""
        from ..plots.groups import group_heatmap

        labels, bias = self._columns(split, index)
        predicted = np.array([int(p["label"]) for p in predictions], dtype=np.int64)
        yield "groups.png", lambda path: group_heatmap(groups.group_matrix(labels, bias, predicted), path)

    def after_stage(self, stage: str, method: Any, experience: Any, folder: Path) -> dict[str, float]:
        """Translation report, a grid of translations, and the gate that the method's ``gate`` describes.

        Where no auxiliary classifier can be had, or there is no held-out image, there is no report: the gate says
        that it cannot judge (warn), or stops (stop), as it does where the translator failed.
        """
        if stage != "translator" or not getattr(method, "modes", ()):
            return {}
        import torch

        from ..plots.figure import spared
        from ..plots.groups import translation_grid
        from ..probes.translation import UnjudgedError, auxiliary_classifier, grid, report

        gate, modes = method.gate, method.modes
        images, labels = self._held_out(modes, experience)
        device = next(iter(method.parameters())).device if isinstance(method, torch.nn.Module) else torch.device("cpu")
        if len(images):
            picture = grid(method.translate, images, modes, device)
            with spared(folder / f"translations-{experience.number}.png") as path:
                translation_grid(picture, path)
        try:
            if self._classifier is None:
                self._classifier = auxiliary_classifier(self.data.splits, gate["min_content_kept"])
            usual = self._usual_of_modes(modes, experience)
            found = report(method.translate, self._classifier, images, labels, modes, usual, device)
        except UnjudgedError as error:
            _say(
                gate["action"],
                f"the gate cannot judge the translator: {error}; give images whose bias does not depend on the class "
                "as a split 'unbiased', or look at the pictures and set gate=ignore",
            )
            return {}
        problems = [
            f"{name.replace('_', ' ')} {found[name]:.2f} ({word} {limit:g})"
            for name, word, limit, bad in (
                ("content_moved", "above", gate["max_content_moved"], found["content_moved"] > gate["max_content_moved"]),
                ("content_kept", "below", gate["min_content_kept"], found["content_kept"] < gate["min_content_kept"]),
            )
            if bad
        ]  # fmt: skip
        found["gate_passed"] = float(not problems)
        if problems:
            _say(
                gate["action"],
                f"the translator does not keep the content: {', '.join(problems)}; "
                "labels of translated views are wrong then",
            )
        return found

    def _held_out(self, modes: Sequence[int], experience: Any, most: int = 1000) -> tuple[Any, Any]:
        """Images and labels of at most ``most`` validation rows of this experience and the classes ``modes``; more
        are drawn from, for files may lie in the order of their classes.
        """
        columns = self.data.splits["valid"].columns
        wanted = np.isin(columns["label"].numpy(), np.asarray(modes))
        if "experience" in columns:
            wanted &= columns["experience"].numpy() == experience.number
        rows = np.flatnonzero(wanted)
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
        return columns["image"][rows], columns["label"][rows]


def _say(action: str, text: str) -> None:
    """What a gate does with ``text``: GateError (stop), a warning (warn), nothing (ignore)."""
    if action == "stop":
        raise GateError(text)
    if action == "warn":
        warnings.warn(text, stacklevel=3)


PROBLEM = Groups
