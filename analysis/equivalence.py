"""Whether two methods are as good as equal: a region of practical equivalence, and two one-sided tests."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .statistics import LEVEL, Difference, standard_error


@dataclass(frozen=True)
class Posterior:
    """Probabilities that the true mean difference lies below, in and above ``±width``, and which of them is sure."""

    below: float
    inside: float
    above: float
    verdict: str


def rope(difference: Difference, width: float, higher_is_better: bool) -> Posterior:
    """The Bayesian correlated t-test: with a flat prior the mean difference is Student's t with n - 1 degrees of
    freedom around the mean seen, with the standard error of :func:`statistics.estimate` (where random splits share
    rows, ρ / (1 - ρ) with ρ = n_test / (n_test + n_train) is its n_test / n_train).

    ``verdict``: ``equal``, ``better`` or ``worse`` where that has a probability of 0.95 or more, else ``inconclusive``
    (also below two seeds).

    Source: Corani and Benavoli (Machine Learning 100, 2015); Benavoli et al. (JMLR 18, 2017). Raises ValueError for a
    width that is not above 0.
    """
    from scipy.stats import t

    if not width > 0:
        raise ValueError(f"the region of equivalence has a width above 0, not {width}")
    if difference.n < 2:
        return Posterior(math.nan, math.nan, math.nan, "inconclusive")
    error = standard_error(difference)
    if error == 0:
        below, above = float(difference.mean < -width), float(difference.mean > width)
    else:
        below = float(t.cdf((-width - difference.mean) / error, difference.n - 1))
        above = float(t.sf((width - difference.mean) / error, difference.n - 1))
    inside = 1 - below - above
    better, worse = (above, below) if higher_is_better else (below, above)
    named = {"equal": inside, "better": better, "worse": worse}
    sure = [name for name, probability in named.items() if probability >= LEVEL]
    return Posterior(below, inside, above, sure[0] if sure else "inconclusive")


def beyond(difference: Difference, margin: float) -> float:
    """p of the two-sided paired t test that the mean difference is ``margin``; NaN below two seeds."""
    from scipy.stats import t

    if difference.n < 2:
        return math.nan
    error, apart = standard_error(difference), difference.mean - margin
    if error == 0:
        return 1.0 if apart == 0 else 0.0
    return float(2 * t.sf(abs(apart / error), difference.n - 1))


def within(difference: Difference, margin: float) -> float:
    """p of two one-sided t tests that the mean difference lies outside ±``margin``: the larger of the two; NaN below
    two seeds.

    Source: Schuirmann (Journal of Pharmacokinetics and Biopharmaceutics 15, 1987).
    """
    from scipy.stats import t

    if difference.n < 2:
        return math.nan
    error, inside = standard_error(difference), margin - abs(difference.mean)
    if error == 0:
        return 0.0 if inside > 0 else 1.0
    return float(t.sf(inside / error, difference.n - 1))
