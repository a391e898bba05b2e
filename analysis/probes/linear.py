"""Linear probes: what a linear model reads off frozen representations.

They are fitted on one thread without a random number: equal features give equal probes.
"""

from __future__ import annotations

import functools
import warnings
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ITERATIONS = 1000


@functools.cache
def _libraries() -> Any:
    """Those with threads that scikit-learn brings in: to look for them takes longer than a small probe."""
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Linear algebra runs on one thread inside."""
    limited: AbstractContextManager[Any] = _libraries().limit(limits=1)
    return limited


class LinearProbe:
    """Multinomial logistic regression (L2, C = 1, features as they are) of integer ``targets`` [n] on ``features`` [n,
    d], or ordinary least squares of floating ones.

    Raises ValueError for features that are not finite, for no rows, and for a single class.
    """

    def __init__(self, features: Array, targets: Array) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LinearRegression, LogisticRegression

        x, y = _checked(features), np.asarray(targets)
        self.classes = np.issubdtype(y.dtype, np.integer)
        if not len(y) or (self.classes and len(np.unique(y)) < 2):
            raise ValueError("a probe needs rows of two classes or more" if len(y) else "a probe needs rows")
        self.median = float(np.median(y))
        self._model: Any = LogisticRegression(C=1.0, max_iter=ITERATIONS) if self.classes else LinearRegression()
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the steps are part of the definition
            self._model.fit(x, y)

    def predict(self, features: Array) -> Array:
        """Classes or numbers [n] of ``features`` [n, d]."""
        with one_thread():
            return np.asarray(self._model.predict(_checked(features)))


def _checked(features: Array) -> Array:
    x = np.asarray(features, np.float64)
    if not np.isfinite(x).all():
        raise ValueError("the representations hold NaN or infinities")
    return x.reshape(len(x), -1)
