"""Measures of representations against scikit-learn and by hand; the golden entries are in tests/test_golden_peft.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from holdfast.analysis.metrics import representation as measures
from sklearn.metrics import davies_bouldin_score, silhouette_score

RNG = np.random.default_rng(3)
Y = np.array([2, 5, 5, 2, 9, 9, 9, 5, 2, 2, 9, 5])
Z = RNG.normal(size=(12, 4)) + Y[:, None] * np.array([0.2, -0.1, 0.3, 0])


def test_the_indices_are_those_of_scikit_learn() -> None:
    found = measures.separation(Z * RNG.uniform(0.1, 50, (12, 1)), Y)  # lengths do not matter
    u = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    assert found["silhouette_cosine"] == pytest.approx(silhouette_score(u, Y, metric="cosine"), abs=1e-12)
    assert found["davies_bouldin"] == pytest.approx(davies_bouldin_score(u, Y), abs=1e-12)


def test_distances_and_cosines_are_plain_sums() -> None:
    u = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    centres = {c: u[c == Y].mean(0) for c in (2, 5, 9)}
    within = np.mean([np.mean([np.linalg.norm(r - centres[c]) for r in u[c == Y]]) for c in centres])
    between = np.mean([np.linalg.norm(centres[a] - centres[b]) for a, b in ((2, 5), (2, 9), (5, 9))])
    pairs = [(Y[i] == Y[j], float(u[i] @ u[j])) for i in range(12) for j in range(i + 1, 12)]
    intra, inter = (np.mean([cosine for same, cosine in pairs if same == kind]) for kind in (True, False))
    found = measures.separation(Z, Y)
    wanted = {
        "within": within,
        "between": between,
        "separation": between / within,
        "cos_intra": intra,
        "cos_inter": inter,
        "gap": intra - inter,
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-12)
    assert tuple(found) == measures.NAMES


@pytest.mark.parametrize("y", [np.zeros(12), np.array([1] + [0] * 11), np.arange(12)])
def test_too_few_rows_are_nan_with_a_warning(y: np.ndarray) -> None:
    with pytest.warns(measures.RepresentationWarning, match="two classes with two rows"):
        found = measures.separation(Z, y)
    assert all(math.isnan(value) for value in found.values())
    with pytest.warns(measures.RepresentationWarning, match="5 rows each"):
        assert math.isnan(measures.probe(Z, y))


def test_rows_that_are_points_and_rows_of_zeros() -> None:
    z = np.array([[1.0, 0], [2, 0], [-1, 0], [-3, 0]])
    found = measures.separation(z, np.array([0, 0, 1, 1]))
    assert found["within"] == 0
    assert found["separation"] == math.inf
    assert found["davies_bouldin"] == 0
    assert found["gap"] == found["between"] == 2
    assert found["silhouette_cosine"] == 1
    none = measures.separation(np.zeros((4, 2)), np.array([0, 0, 1, 1]))
    assert none["silhouette_cosine"] == 0
    with pytest.raises(ValueError, match="4 rows and 3 classes"):
        measures.separation(z, np.zeros(3))


def test_shift_and_drift() -> None:
    assert measures.shift(Z, Z * 7, Y) == pytest.approx(0, abs=1e-12)
    turned = -Z
    assert measures.shift(Z, turned, Y) == pytest.approx(2 / measures.separation(Z, Y)["within"])
    assert measures.drift(Z, turned) == pytest.approx(2)
    assert math.isnan(measures.drift(Z[:0], Z[:0]))
    with pytest.warns(measures.RepresentationWarning, match="no altered row"):
        assert math.isnan(measures.shift(Z[:0], Z[:0], Y[:0]))
    with pytest.raises(ValueError, match="pairs"):
        measures.shift(Z, Z[:3], Y)


def test_a_probe_finds_what_lies_apart_and_chance_where_nothing_does() -> None:
    y = np.arange(200) % 2
    noise = np.random.default_rng(0).normal(size=(200, 3))
    assert measures.probe(noise + 9 * y[:, None] * np.array([1.0, -1, 0]), y) > 0.9
    assert 0.35 < measures.probe(noise, y) < 0.65


def test_coordinates_are_principal_components() -> None:
    points = measures.coordinates(Z)
    u = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(np.cov(u.T))[::-1][:2]
    assert points.var(0, ddof=1) == pytest.approx(values)
    assert measures.coordinates(np.ones((3, 1))).tolist() == [[0, 0]] * 3


def test_the_area_of_a_line_is_its_mean() -> None:
    assert measures.area(np.array([0, 0.1, 0.5]), np.array([1, 0.9, 0.5])) == pytest.approx(0.75)
    with pytest.raises(ValueError, match="ascending"):
        measures.area(np.array([0, 0]), np.array([1, 1]))
