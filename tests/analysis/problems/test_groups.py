"""Groups: empty groups, the translation report of translators whose answer is known, the gate."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.probes.check import GateError
from holdfast.analysis.probes.translation import TranslationCheck
from holdfast.analysis.problems.groups import Groups
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.core.source import ClassInfo, ImageInfo, require
from holdfast.datasets.core.table import Table
from holdfast.methods.networks.translators import Recolour


@pytest.fixture(scope="module")
def check() -> TranslationCheck:
    return TranslationCheck(cdvg_cmnist.load(cdvg_cmnist.Config(), None))


def _method(translate: Any, action: str = "stop") -> Any:
    gate = {"action": action, "max_content_moved": 0.3, "min_content_kept": 0.6}
    return SimpleNamespace(translate=translate, modes=tuple(range(10)), gate=gate)


EXPERIENCE = SimpleNamespace(number=0)


def test_the_oracle_passes_the_gate(check: TranslationCheck, tmp_path: Path) -> None:
    found = check.after_stage(
        _method(Recolour(require(check.data.info, ImageInfo, "the test").colours)), EXPERIENCE, tmp_path
    )
    assert found["content_kept"] > 0.9
    assert found["bias_moved"] > 0.95
    assert found["content_moved"] < 0.05
    assert found["gate_passed"] == 1
    assert (tmp_path / "translations-0.png").stat().st_size > 0


def test_a_translator_that_moves_the_content_is_stopped(check: TranslationCheck, tmp_path: Path) -> None:
    """It hands out a training image of the target class, whatever it gets."""
    columns: Any = check.data.splits["train"].columns
    first = torch.stack([columns["image"][columns["label"] == c][0] for c in range(10)]).float() / 127.5 - 1
    wrong = _method(lambda x, mode: first[mode])
    with pytest.raises(GateError, match="content moved"):
        check.after_stage(wrong, EXPERIENCE, tmp_path)
    with pytest.warns(UserWarning, match="labels of translated views are wrong"):
        found = check.after_stage(_method(wrong.translate, "warn"), EXPERIENCE, tmp_path)
    assert found["content_moved"] > 0.8
    assert found["gate_passed"] == 0


def test_a_translator_that_does_nothing_moves_no_bias(check: TranslationCheck, tmp_path: Path) -> None:
    found = check.after_stage(_method(lambda x, mode: x), EXPERIENCE, tmp_path)
    assert found["bias_moved"] == pytest.approx(0.1, abs=0.02)
    assert found["content_kept"] == found["content_read"]


def test_a_translator_without_modes_has_no_report(check: TranslationCheck, tmp_path: Path) -> None:
    one = SimpleNamespace(translate=None, modes=(), gate=_method(None).gate)
    assert check.after_stage(one, EXPERIENCE, tmp_path) == {}


def test_absent_columns() -> None:
    source = cdvg_cmnist.load(cdvg_cmnist.Config(n_train=50, n_valid=10), None)
    bare = {k: t.without(frozenset({"label"})) for k, t in source.splits.items()}
    with pytest.raises(ValueError, match="no column 'label'"):
        Groups(SimpleNamespace(splits=bare, info=source.info))
    unknown = {k: t.without(frozenset({"bias"})) for k, t in source.splits.items()}
    measurement = Groups(SimpleNamespace(splits=unknown, info=source.info)).measurement("test")
    rows = np.arange(len(unknown["test"]))
    column: Any = unknown["test"].columns["label"]
    labels = column.numpy()
    measurement.update({"label": np.where(labels == labels[0], labels, -1)}, rows)
    share = float((labels == labels[0]).mean())
    classes = {"balanced_accuracy": pytest.approx(0.1), "worst_class": 0.0}
    assert measurement.compute() == {
        "accuracy": share,
        "group_mean": pytest.approx(0.1),
        "worst_group": 0.0,
        **classes,
    }


def test_accuracy_of_classes_of_training_proportions_and_calibration() -> None:
    """Six test rows of two classes and two biases; training has nine of (0, 0), three of (1, 1) and two of a group that
    the test rows have not.
    """
    train = Table({"label": torch.tensor([0] * 9 + [1] * 5), "bias": torch.tensor([0] * 9 + [1] * 3 + [2] * 2)})
    test = Table({"label": torch.tensor([0, 0, 0, 1, 1, 1]), "bias": torch.tensor([0, 0, 1, 0, 1, 1])})
    measurement = Groups(SimpleNamespace(splits={"train": train, "test": test}, info=ClassInfo(classes=2))).measurement(
        "test"
    )
    logits = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]]))
    for rows in (np.arange(4), np.arange(4, 6)):
        measurement.update({"label": logits[rows].argmax(1), "scores": logits[rows]}, rows)
    measures = measurement.compute()
    assert measures["balanced_accuracy"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert measures["worst_class"] == pytest.approx(1 / 3)
    assert measures["adjusted_accuracy"] == pytest.approx((9 * 0.5 + 3 * 0.5) / 12)
    by_bin = (1 - 0.9) + abs(0 - 2 * 0.6) + (1 - 0.7) + abs(1 - 2 * 0.8)  # |right - confidence|
    assert measures["ece"] == pytest.approx(by_bin / 6)
    assert set(measures) <= {metric.name for metric in Groups.metrics}
    no_scores = Groups(SimpleNamespace(splits={"test": test}, info=ClassInfo(classes=2))).measurement("test")
    no_scores.update({"label": np.zeros(6, np.int64)}, np.arange(6))
    assert not {"ece", "adjusted_accuracy"} & set(no_scores.compute())
