"""Metrics and their full names: direction of every aggregate, what is unknown, and the summary against plain loops."""

from __future__ import annotations

import math

import pytest
from holdfast.analysis.metrics import continual
from holdfast.analysis.metrics.metric import Metric, Metrics, UnknownMetricError

MAE = Metrics("mae", [Metric("mae", False), Metric("r2", True), Metric("n", None)], [Metric("cost/steps", False)])
ACCURACY = Metrics("accuracy", [Metric("accuracy", True), Metric("wer", False)], [Metric("loss", False)])


@pytest.mark.parametrize(
    ("known", "name", "higher"),
    [
        (MAE, "mae/average", False),
        (MAE, "mae/average_rows", False),
        (MAE, "mae/last", False),
        (MAE, "valid/mae/last", False),
        (MAE, "mae/bwt", True),
        (MAE, "mae/forgetting", False),
        (MAE, "mae/plasticity", False),
        (MAE, "mae/stability", True),
        (MAE, "mae/generalisability", False),
        (MAE, "mae/exp_12", False),
        (MAE, "mae/pooled", False),
        (MAE, "valid/mae", False),
        (MAE, "mae", False),
        (MAE, "r2/average", True),
        (MAE, "valid/r2/average", True),
        (MAE, "cost/steps", False),
        (MAE, "n/last", None),
        (ACCURACY, "accuracy/bwt", True),
        (ACCURACY, "accuracy/forgetting", False),
        (ACCURACY, "accuracy/last", True),
        (ACCURACY, "wer/last", False),
        (ACCURACY, "loss", False),
    ],
)
def test_every_full_name_leads_to_its_direction(known: Metrics, name: str, higher: bool | None) -> None:
    assert known[name].higher_is_better is higher
    assert known[name].name == name
    assert name in known


@pytest.mark.parametrize(
    "name",
    ["mse/last", "r2/bwt", "cost/steps/last", "valid/mae/bwt", "valid/cost/steps", "mae/", "mae/exp_x", "r2/exp_0", ""],
)
def test_what_nobody_declares_is_an_error_that_names_what_there_is(name: str) -> None:
    assert name not in MAE
    with pytest.raises(UnknownMetricError, match=r"there are: cost/steps, mae/average, .*valid/r2/last"):
        MAE[name]


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(UnknownMetricError, match="did you mean 'mae/last'"):
        MAE["mea/last"]


def test_judgements() -> None:
    mae, r2, n = (Metric(name, way) for name, way in (("mae", False), ("r2", True), ("n", None)))
    assert (mae.judge(0.03), mae.judge(-0.03), mae.judge(0.0)) == ("worse", "better", "equal")
    assert (r2.judge(0.03), r2.judge(-0.03)) == ("better", "worse")
    assert mae.better(1.0, than=2.0)
    assert not mae.better(1.0, than=1.0)
    assert not any(metric.better(a, b) for metric in (mae, r2) for a, b in ((math.nan, 1.0), (1.0, math.nan)))
    with pytest.raises(ValueError, match="neither way"):
        n.judge(1.0)


def test_the_sign_of_an_errors_bwt_and_forgetting_is_the_declared_one() -> None:
    """Experience 0 is remembered in one stream and forgotten in the other: the first is better by both measures."""
    for known, kept, lost in ((MAE, 1.0, 2.0), (ACCURACY, 0.9, 0.4)):
        name = known.main.name
        good, bad = (
            known.summary(
                {(0, 0): (kept, 10), (1, 0): (value, 10), (1, 1): (kept, 10)},
                [{name: kept}, {name: (value + kept) / 2}],
            )
            for value in (kept, lost)
        )
        for measure in ("bwt", "forgetting", "last", "average", "average_rows", "stability"):
            full = f"{name}/{measure}"
            assert known[full].better(good[full], than=bad[full]), full


def test_the_summary_holds_declared_names_alone_and_averages_over_those_that_have_a_value() -> None:
    cells = {(0, 0): (1.0, 3), (1, 0): (2.0, 3), (1, 1): (4.0, 1)}
    found = MAE.summary(cells, [{"mae": 1.0, "valid/mae": 5.0}, {"mae": 2.5, "r2": 0.5, "valid/mae": 7.0}])
    assert found == {f"mae/{k}": v for k, v in continual.summary(cells, False).items()} | {
        "r2/average": 0.5,
        "r2/last": 0.5,
        "valid/mae/average": 6.0,
        "valid/mae/last": 7.0,
    }
    assert all(name in MAE for name in found)


def test_declarations_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="declared twice: r2"):
        Metrics("r2", [Metric("r2", True), Metric("r2", False)])
    with pytest.raises(ValueError, match="'mae' is not among"):
        Metrics("mae", [Metric("r2", True)])
