"""The order of methods in one task against their order in another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..config.errors import Fault

Values = Mapping[str, Mapping[Any, float]]  # method -> its values by seed
NEXT = "suites compare WORLD RECORDED --order --metric NAME"


def between(names: Sequence[str], tasks: Sequence[Values], higher: bool) -> list[dict[str, Any]]:
    """Rank correlations of every pair of tasks: ``first``, ``second``, ``orders`` (methods of each, best first), those
    that were left out, ``kendall`` and ``spearman``.

    Raises Fault where there are fewer than two tasks, or a pair has fewer than three methods in common.
    """
    from ...analysis import orders

    if len(tasks) < 2:
        what = "an order is compared with that of other data, and these runs are of one data set"
        raise Fault.usage(what, "--order", NEXT)
    found = []
    for (first, one), (second, two) in itertools.combinations(zip(names, tasks, strict=True), 2):
        try:
            result = orders.rank_correlation(one, two)
        except ValueError as error:
            raise Fault.usage(f"{first} and {second}: {error}", "--order", NEXT) from error
        found.append(
            {
                "first": first,
                "second": second,
                "orders": [_ordered(values, result.methods, higher) for values in (one, two)],
                "left_out": sorted(({*one} | {*two}) - {*result.methods}),
                **asdict(result),
            }
        )
    return found


def _ordered(values: Values, methods: Sequence[str], higher: bool) -> list[str]:
    means = {name: sum(values[name].values()) / len(values[name]) for name in methods}
    return sorted(methods, key=lambda name: means[name], reverse=higher)


def tables(document: Mapping[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """(title, header, rows) of the correlations, and of both orders of each pair."""
    found = document.get("orders")
    if not found:
        return
    rows = []
    for pair in found:
        cells = [
            f"{pair['first']} / {pair['second']}",
            str(len(pair["methods"])),
            " and ".join(map(str, pair["seeds"])),
        ]
        rows.append([*cells, _said(pair["kendall"]), _number(pair["kendall"]["p"]), _said(pair["spearman"])])
    title = f"{document['metric']}: do methods rank alike? Correlation of orders [95 % interval, bootstrap of seeds]"
    yield title, ["tasks", "methods", "seeds", "Kendall's τ", "p", "Spearman's ρ"], rows
    for pair in found:
        names = [f"{pair[name]}, best first" for name in ("first", "second")]
        yield (
            "both orders",
            ["rank", *names],
            [[str(k + 1), *both] for k, both in enumerate(zip(*pair["orders"], strict=True))],
        )


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"


def _said(one: Mapping[str, float]) -> str:
    return (
        f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
        if one["low"] == one["low"]
        else f"{one['value']:.2f}"
    )
