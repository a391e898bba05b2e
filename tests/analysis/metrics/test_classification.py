"""Measures of classification against plain loops in float64, and against scikit-learn's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from holdfast.analysis.metrics.classification import BINS, Calibration, Confusion, log_probabilities
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, log_loss

C = 5


def _rows(n: int, seed: int = 0, classes: int = 4) -> tuple[Any, Any, Any]:
    """Labels of the first ``classes`` of C classes, scores of all, and the predictions."""
    g = np.random.default_rng(seed)
    labels = g.integers(0, classes, n)
    scores = g.normal(size=(n, C)) * 3
    scores[np.arange(n), labels] += 2
    return labels, scores, scores.argmax(1)


def _softmax(row: Any) -> list[float]:
    top = max(float(v) for v in row)
    weights = [math.exp(float(v) - top) for v in row]
    return [w / sum(weights) for w in weights]


def _measures(labels: Any, predicted: Any, outputs: dict[str, Any]) -> dict[str, float]:
    confusion, calibration = Confusion(C), Calibration()
    confusion.update(labels, predicted)
    logs = log_probabilities(outputs, C)
    if logs is not None:
        calibration.update(labels, predicted, logs)
    return confusion.measures() | calibration.measures()


def _loops(labels: Any, scores: Any, predicted: Any) -> dict[str, float]:
    """The measures, row by row and bin by bin."""
    n = len(labels)
    recalls = []
    for c in range(C):
        own = [i for i in range(n) if labels[i] == c]
        if own:
            recalls.append(sum(predicted[i] == c for i in own) / len(own))
    p = [_softmax(row) for row in scores]
    ece = 0.0
    for b in range(BINS):
        own = [i for i in range(n) if b / BINS < max(p[i]) <= (b + 1) / BINS]
        if own:
            accuracy = sum(predicted[i] == labels[i] for i in own) / len(own)
            ece += len(own) / n * abs(accuracy - sum(max(p[i]) for i in own) / len(own))
    return {
        "accuracy": sum(predicted[i] == labels[i] for i in range(n)) / n,
        "balanced_accuracy": sum(recalls) / len(recalls),
        "worst_class": min(recalls),
        "ece": ece,
        "nll": sum(-math.log(p[i][labels[i]]) for i in range(n)) / n,
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 2, 300])
def test_the_measures_are_those_of_plain_loops(n: int, seed: int) -> None:
    labels, scores, predicted = _rows(n, seed)
    expected = _loops(labels, scores, predicted)
    assert _measures(labels, predicted, {"scores": scores}) == pytest.approx(expected, abs=1e-12)
    probabilities = np.array([_softmax(row) for row in scores])
    assert _measures(labels, predicted, {"probabilities": probabilities}) == pytest.approx(expected, abs=1e-12)


def test_the_measures_are_those_of_scikit_learn() -> None:
    labels, scores, predicted = _rows(200)
    measured = _measures(labels, predicted, {"scores": scores})
    present = np.isin(predicted, labels)
    some = Confusion(C)
    some.update(labels[present], predicted[present])
    assert (some.matrix == confusion_matrix(labels[present], predicted[present], labels=range(C))).all()
    assert some.measures()["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(labels[present], predicted[present])
    )
    p = np.array([_softmax(row) for row in scores])
    assert measured["nll"] == pytest.approx(log_loss(labels, p, labels=range(C)))


def test_a_model_that_is_sure_and_always_right_or_wrong() -> None:
    labels = np.array([0, 1, 2, 0])
    sure = np.eye(C)
    right = _measures(labels, labels, {"probabilities": sure[labels]})
    assert (right["ece"], right["nll"], right["worst_class"]) == (0, 0, 1)
    wrong = _measures(labels, labels + 1, {"probabilities": sure[labels + 1]})
    assert (wrong["ece"], wrong["accuracy"]) == (1, 0)
    assert 700 < wrong["nll"] < 710, "a probability of 0 has no infinite loss"


def test_an_edge_of_a_bin_belongs_to_the_bin_below_it() -> None:
    calibration = Calibration(bins=4)
    top = np.array([0.25, 0.5, 0.5000001, 0.75, 1.0])
    rows = np.stack([top, (1 - top) / 3, (1 - top) / 3, (1 - top) / 3], 1)
    calibration.update(np.zeros(5, np.int64), np.zeros(5, np.int64), np.log(np.maximum(rows, 1e-300)))
    assert calibration.rows.tolist() == [1, 1, 2, 1]


def test_scores_far_apart_have_a_finite_exact_loss() -> None:
    scores = np.array([[1000.0, 0, 0, 0, 0], [0, 0, 0, 0, -500.0]])
    measured = _measures(np.array([0, 4]), np.array([0, 0]), {"scores": scores})
    assert measured["nll"] == pytest.approx((0 + 500 + math.log(4)) / 2)


def test_a_hidden_class_with_a_score_of_minus_infinity() -> None:
    scores = np.array([[2.0, 1.0, -np.inf, -np.inf, -np.inf]])
    logs = log_probabilities({"scores": scores}, C)
    assert logs is not None
    assert np.exp(logs[0]).tolist() == pytest.approx([*_softmax([2.0, 1.0]), 0, 0, 0])


def test_a_class_without_rows_has_no_part_in_the_means() -> None:
    confusion = Confusion(3)
    confusion.update(np.array([0, 0, 2]), np.array([0, 1, 2]))
    assert confusion.measures() == {"accuracy": 2 / 3, "balanced_accuracy": 0.75, "worst_class": 0.5}
    assert np.isnan(confusion.recall()[1])


def test_nothing_measured_has_no_number() -> None:
    assert Confusion(3).measures() == Calibration().measures() == {}
    assert log_probabilities({"label": np.zeros(2)}, C) is None


def test_what_is_no_class_is_refused() -> None:
    for labels, predicted, what in (([0], [C], "predictions"), ([0], [-1], "predictions"), ([C], [0], "labels")):
        with pytest.raises(ValueError, match=f"{what} must be class numbers 0 to {C - 1}"):
            Confusion(C).update(np.array(labels), np.array(predicted))
    with pytest.raises(ValueError, match=rf"scores must be \[rows, {C}\]"):
        log_probabilities({"scores": np.zeros((2, C - 1))}, C)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), size=st.integers(1, 60), seed=st.integers(0, 1000))
def test_batches_give_to_the_bit_what_all_rows_give(n: int, size: int, seed: int) -> None:
    labels, scores, predicted = _rows(n, seed)
    whole = _measures(labels, predicted, {"scores": scores})
    confusion, calibration = Confusion(C), Calibration()
    for start in range(0, n, size):
        part = slice(start, start + size)
        confusion.update(labels[part], predicted[part])
        logs = log_probabilities({"scores": scores[part]}, C)
        assert logs is not None
        calibration.update(labels[part], predicted[part], logs)
    assert confusion.measures() | calibration.measures() == whole
