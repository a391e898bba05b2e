"""Fréchet distance and MAUVE: numbers by hand, corners, and what a batch or a thread must not change."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from holdfast.analysis.metrics.text_distance import Moments, frechet, mauve
from scipy.linalg import sqrtm


def moments(rows: object) -> Moments:
    made = Moments()
    made.update(rows)  # type: ignore[arg-type]
    return made


def test_moments_of_batches_are_those_of_all_rows() -> None:
    rows = np.random.default_rng(0).normal(100, 1, (50, 3))  # a mean far from 0: sums of squares would lose digits
    parts = Moments()
    for start in (0, 0, 1, 20, 49):
        parts.update(rows[start : {0: 1, 1: 20, 20: 49, 49: 50}[start]] if start or not parts.count else rows[:0])
    assert parts.count == 50
    np.testing.assert_allclose(parts.mean, rows.mean(0), rtol=1e-14)
    np.testing.assert_allclose(parts.covariance, np.cov(rows.T), rtol=1e-11)
    with pytest.raises(ValueError, match=r"\[rows, 3\]"):
        parts.update(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="two rows"):
        _ = moments(rows[:1]).covariance


def test_frechet_by_hand() -> None:
    """Of one number: (0 - 3)² + 2 + 8 - 2 √16; of two independent ones the sum of both."""
    a, b = [[-1.0], [1.0]], [[1.0], [5.0]]
    assert frechet(moments(a), moments(b)) == pytest.approx(11)
    square = [[x, y] for x in (-1.0, 1.0) for y in (-1.0, 1.0)]  # variances 4/3
    wide = [[2 * x, y + 5] for x, y in square]  # 16/3 and 4/3
    assert frechet(moments(square), moments(wide)) == pytest.approx(25 + 4 / 3)
    turned = np.array(square) @ np.array([[0.6, -0.8], [0.8, 0.6]])
    assert frechet(moments(square), moments(turned)) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="two rows"):
        frechet(moments(a), moments(b[:1]))


def test_frechet_agrees_with_the_formula_and_keeps_to_corners() -> None:
    rng = np.random.default_rng(1)
    a, b = moments(rng.normal(size=(60, 5))), moments(rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5)) + 1)
    root = sqrtm(a.covariance @ b.covariance).real
    wanted = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet(a, b) == pytest.approx(wanted, rel=1e-9)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)
    few = rng.normal(size=(6, 64))  # fewer rows than numbers: most eigenvalues are 0
    assert frechet(moments(few), moments(few)) == pytest.approx(0, abs=1e-9)
    assert frechet(moments(few), moments(few + 1)) == pytest.approx(64, rel=1e-9)
    parts = moments(few[:2])
    parts.update(few[2:])
    other = moments(rng.normal(size=(6, 64)))
    assert frechet(parts, other) == pytest.approx(frechet(moments(few), other), rel=1e-9)


def points(left: int, right: int) -> np.ndarray:
    """Rows in two places that no k-means mistakes."""
    return np.array([[1.0, 0.0]] * left + [[0.0, 1.0]] * right, np.float32)


def area(p: float, q: float, scale: float) -> float:
    """The paper's area for two clusters of shares (p, 1 - p) and (q, 1 - q), on a fine grid of λ."""

    def divergence(a: float, r: float) -> float:
        return sum(x * math.log(x / y) for x, y in ((a, r), (1 - a, 1 - r)) if x > 0)

    curve = [(1.0, 0.0)]
    for share in np.linspace(1e-6, 1 - 1e-6, 4001):
        mixed = share * p + (1 - share) * q
        curve.append((math.exp(-scale * divergence(q, mixed)), math.exp(-scale * divergence(p, mixed))))
    x, y = np.array(sorted([*curve, (0.0, 1.0)], key=lambda pair: (pair[0], -pair[1]))).T
    return float(np.trapezoid(y, x))


def test_mauve_by_hand() -> None:
    """Of sets without a common cluster ∫ λ^c d(1 - λ)^c = c B(c + 1, c): 1/252 for c = 5, 1/2 for c = 1."""
    pytest.importorskip("mauve", reason="the extra mauve is not installed")
    apart = points(20, 0), points(0, 20)
    assert mauve(*apart) == pytest.approx(1 / 252, abs=2e-4)
    assert mauve(*apart, scale=1.0) == pytest.approx(1 / 2, abs=2e-3)
    assert area(1, 0, 5) == pytest.approx(1 / 252, abs=1e-5)
    assert mauve(points(10, 10), points(20, 20)) == pytest.approx(1)
    for texts, right, shares in (((10, 10), (15, 5), (0.75, 0.5)), ((20, 0), (12, 8), (0.6, 1.0))):
        for scale in (1.0, 5.0):
            found = mauve(points(*texts), points(*right), scale=scale, buckets=2)
            assert found == pytest.approx(area(*shares, scale), abs=3e-3)
    nearer = [mauve(points(20 - k, k), points(0, 20)) for k in (0, 5, 10, 15, 20)]
    assert nearer == sorted(nearer)
    assert nearer[-1] == 1


def test_mauve_in_its_corners(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mauve", reason="the extra mauve is not installed")
    assert mauve(np.ones((3, 2)), np.ones((5, 2))) == 1  # one point
    assert mauve(np.zeros((3, 2)), np.zeros((5, 2))) == 1
    assert 0 < mauve(points(1, 1), points(2, 0), buckets=50) <= 1  # more clusters than rows
    for texts, right in ((points(1, 0), points(2, 2)), (points(2, 2), np.zeros((4, 3))), (np.zeros(4), points(2, 2))):
        with pytest.raises(ValueError, match="two rows or more of one width"):
            mauve(texts, right)
    rows = np.random.default_rng(0).normal(size=(2, 80, 6))
    state = np.random.get_state()[1].copy()  # type: ignore[index]
    values = {mauve(rows[0], rows[1]) for _ in range(3)}
    assert len(values) == 1
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]
    assert 0 < values.pop() < 1
    assert capfd.readouterr() == ("", "")


def test_what_others_write_to_standard_error_is_kept(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = pytest.importorskip("mauve", reason="the extra mauve is not installed")

    def loud(**_: object) -> object:
        os.write(2, b"WARNING clustering 4 points to 2 centroids\nanother thread's line\n")
        raise RuntimeError("planted")

    monkeypatch.setattr(library, "compute_mauve", loud)
    with pytest.raises(RuntimeError, match="planted"):
        mauve(points(2, 2), points(2, 2))
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "another thread's line\nafter\n"
