"""Plans: read, refused with all that is wrong, at_strengths."""

from __future__ import annotations

from typing import Any

import pytest
from holdfast.datasets.spoken import speaker
from holdfast.datasets.spoken_world import commands, plan
from holdfast.datasets.spoken_world.plan import PlanError

WHOLE: dict[str, Any] = {
    "classes": {"scenarios": ["alarm", "music"]},
    "label": "scenario",
    "rows": {"train": 20, "valid": 2, "test": 4},
    "experiences": 2,
    "factors": {"accent": ["gb", "us"], "voice": {"train": ["m1", "f1"], "valid": ["m2"], "test": ["m2", "f2"]}},
    "noise_db": [15, 35],
    "bias": {"scenario~voice": 0.9},
    "drift": {"accent": ["gb", "german"], "rate": [150, [180, 200]]},
    "overlap": 0.25,
    "imbalance": {"pitch": 5},
}


@pytest.mark.parametrize("name", sorted(plan.stored()))
def test_the_plans_that_come_with_holdfast_are_whole(name: str) -> None:
    assert plan.read(name).rows["train"] > 0


def test_a_whole_plan_is_read_in_either_order_of_a_pair() -> None:
    read = plan.read(WHOLE)
    assert read.bias == {("voice", "scenario"): 0.9}
    assert read.drift == {"accent": ("gb", "german"), "rate": ((150.0, 150.0), (180.0, 200.0))}
    assert read.classes == ("alarm", "music")
    assert (read.own("voice", "scenario", "alarm"), read.own("voice", "scenario", "music")) == ("m1", "f1")
    assert read.factors["voice"]["test"] == ("m2", "f2")
    assert read.factors["noise"]["test"] == (15.0, 35.0)


def test_a_plan_extends_another() -> None:
    mine = plan.read({"extends": "coconut", "rows": {"train": 7}, "factors": {"rate": [150, 160]}})
    theirs = plan.read("coconut")
    assert (mine.rows["train"], mine.rows["test"]) == (7, theirs.rows["test"])
    assert mine.factors["rate"]["train"] == (150.0, 160.0)
    assert mine.factors["accent"] == theirs.factors["accent"]


WRONG = [
    ({"clases": {}}, "no field 'clases' - did you mean classes?"),
    ({"extends": "coconot"}, "no plan 'coconot' - did you mean coconut?"),
    ({"classes": {"scenarios": ["alarm", "musik"]}}, "no scenario 'musik' - did you mean music?"),
    ({"classes": {"scenarios": ["alarm"]}}, "two names or more"),
    ({"classes": ["alarm"]}, "classes: write"),
    ({"label": "word"}, "label: 'word' is neither"),
    ({"rows": {"train": 0}}, "rows.train: 0 is no whole number"),
    ({"rows": {"tset": 3}}, "rows: no split 'tset' - did you mean test?"),
    ({"experiences": 3}, "drift.accent: one value for each of the 3 experiences"),
    ({"factors": {"acent": ["gb"]}}, "no factor 'acent' - did you mean accent?"),
    ({"factors": {"accent": ["gb", "in"]}}, "no accent 'in'"),
    ({"factors": {"voice": ["m1", "m1"]}}, "factors.voice: a list of names, each once"),
    ({"factors": {"rate": [200, 100]}}, "is no range"),
    ({"factors": {"noise": [1, 2]}}, "the field is noise_db"),
    ({"factors": {"synthesiser": ["siri"]}}, "no synthesiser 'siri'"),
    ({"bias": {"voice": 1}}, "'voice' is no pair"),
    ({"bias": {"voice~colour": 1}}, "follows one of"),
    ({"bias": {"voice~intent": 1.5}}, "1.5 is no share"),
    ({"bias": {"room~intent": 0.5}, "factors": {"room": 0}}, "room has one value in training"),
    ({"bias": {"voice~intent": 0.5, "voice~accent": 0.5}}, "voice follows two factors"),
    ({"bias": {"accent~scenario": 0.5}}, "it has a bias and a drift"),
    ({"drift": {"accent": ["gb", "brazil"]}}, "drift.accent: no accent 'brazil'"),
    ({"drift": {"speed": [1, 2]}}, "drift: no factor 'speed'"),
    ({"drift_strength": -1}, "drift_strength: -1 is no share"),
    ({"imbalance": {"rate": 0.5}}, "imbalance.rate: 0.5 is no ratio"),
    ({"imbalance": {"words": 2}}, "'words' is neither the label"),
    ({"experiences": 4, "drift": {}}, "4 for 2 classes"),
    ({"target": {"accent": ["french"]}}, "target.accent: it has a bias or a drift"),
    ({"target": {"accents": ["french"]}}, "target.factors: no factor 'accents'"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan.read({**WHOLE, **change})
    assert message in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_all_faults_come_at_once() -> None:
    with pytest.raises(PlanError) as caught:
        plan.read({**WHOLE, "label": "x", "experiences": 0, "factors": {"accent": ["gb", "mars"]}})
    assert len(str(caught.value).splitlines()) == 3


def test_dials_move_what_the_plan_declares_and_nothing_else() -> None:
    read = plan.read({**WHOLE, "imbalance": {"pitch": 5}})
    turned = plan.at_strengths(read, bias=0.1, drift=0.5, noise=3, overlap=1, imbalance=2)
    assert turned.bias == {("voice", "scenario"): 0.1}
    assert (turned.drift_strength, turned.overlap, turned.imbalance) == (0.5, 1, {"pitch": 2})
    assert turned.factors["noise"]["test"] == (3, 3)
    assert turned.factors["rate"] == read.factors["rate"]
    assert plan.at_strengths(read) == read
    bare = plan.read({"classes": {"scenarios": 2}})
    for dial in ("bias", "drift", "overlap", "imbalance"):
        with pytest.raises(PlanError, match=dial):
            plan.at_strengths(bare, **{dial: 1.0})
    with pytest.raises(PlanError, match="it drifts in this plan"):
        plan.at_strengths(plan.read({**WHOLE, "drift": {"noise": [10, 20]}}), noise=3)


def test_a_config_refuses_a_wrong_plan_before_anything_is_drawn() -> None:
    with pytest.raises(ValueError, match="did you mean coconut"):
        commands.Config(plan="cocunut")
    with pytest.raises(ValueError, match=r"rows\.train: 'many' is no whole number"):
        commands.Config(plan={**WHOLE, "rows": {"train": "many"}})
    assert commands.Config(plan=WHOLE, n_train=3).made().rows == {"train": 3, "valid": 2, "test": 4}


def test_a_synthesiser_that_is_not_installed_or_lacks_an_accent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"synthesiser": ["espeak", "pico"], "accent": ["gb", "us"]}
    monkeypatch.setitem(speaker.SYNTHESISERS, "pico", "no_such_module")
    with pytest.raises(PlanError, match="the synthesiser 'pico' needs the package no-such-module"):
        plan.read({**WHOLE, "factors": both})
    monkeypatch.setitem(speaker.SYNTHESISERS, "pico", "json")  # there, as far as this goes
    assert plan.read({**WHOLE, "factors": both}).factors["synthesiser"]["train"] == ("espeak", "pico")
    with pytest.raises(PlanError, match=r"pico does not speak 'scotland'; all speak gb, us, german"):
        plan.read({**WHOLE, "factors": {**both, "accent": ["gb", "scotland"]}})
