"""Colours of methods, the same in pictures and in MLflow.

The first eight are those of Okabe and Ito (2008) without yellow, which is too pale for a line on white; the others are
the muted scheme of Tol (2021). Both can be told apart with the usual kinds of colour blindness.
"""

from __future__ import annotations

from collections.abc import Sequence

COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000"),
    *("#332288", "#882255", "#117733", "#999933", "#AA4499", "#44AA99", "#661100", "#DDCC77"),
)
MARKERS = "osD^vP"
LINES = ("-", "--", ":", "-.")


def colour(number: int) -> str:
    """The colour of a suite's method ``number``."""
    return COLOURS[number % len(COLOURS)]


def shapes(colours: Sequence[str]) -> list[tuple[str, str]]:
    """(marker, line style) of each series: those of one colour get shapes of their own."""
    seen: dict[str, int] = {}
    given = []
    for one in colours:
        number = seen[one] = seen.get(one, -1) + 1
        given.append((MARKERS[number % len(MARKERS)], LINES[number % len(LINES)]))
    return given
