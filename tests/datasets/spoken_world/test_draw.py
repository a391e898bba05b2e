"""What is drawn has what the plan declares, and a dial moves nothing else."""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
from holdfast.datasets.spoken_world import associations, draw, plan
from holdfast.datasets.spoken_world.draw import Row
from holdfast.datasets.spoken_world.plan import Plan
from sklearn.metrics import mutual_info_score

BASE: dict[str, Any] = {
    "classes": {"scenarios": ["alarm", "music", "weather", "lists"]},
    "label": "scenario",
    "rows": {"train": 150, "valid": 10, "test": 100},
    "experiences": 2,
    "factors": {"accent": ["gb", "us"], "voice": ["m1", "m2", "f1", "f2"]},
}


def drawn(**changes: Any) -> tuple[Plan, list[Row]]:
    made = plan.read({**BASE, **changes})
    return made, draw.draw(made, 3)


def of(rows: list[Row], split: str) -> list[Row]:
    return [row for row in rows if row.utterance.split == split]


def cramers_v(rows: list[Row], factor: str) -> float:
    labels = sorted({row.label for row in rows})
    values = sorted({row.values[factor] for row in rows})
    counts = np.zeros((len(labels), len(values)))
    for row in rows:
        counts[labels.index(row.label), values.index(row.values[factor])] += 1
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    chi2 = ((counts - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi2 / counts.sum() / (min(counts.shape) - 1)))


@pytest.mark.parametrize("bias", [0.0, 0.5, 0.95, 1.0])
def test_a_bias_is_cramers_v_of_training_rows_and_absent_from_the_test(bias: float) -> None:
    made, rows = drawn(bias={"voice~scenario": bias})
    assert cramers_v(of(rows, "train"), "voice") == pytest.approx(bias, abs=0.09)
    assert cramers_v(of(rows, "test"), "voice") < 0.15
    (one,) = (d for d in associations.declared(made, rows, 3) if "voice" in d.what)
    assert one.expected == pytest.approx(bias + (1 - bias) / 4)
    assert one.holds


def test_a_dial_moves_only_the_rows_and_factors_that_it_must() -> None:
    rows = [drawn(bias={"voice~scenario": b})[1] for b in (0.2, 0.6)]
    moved = 0
    for low, high in zip(*rows, strict=True):
        assert low.utterance.words == high.utterance.words
        others = {name: (low.values[name], high.values[name]) for name in low.values if name != "voice"}
        assert all(a == b for a, b in others.values())
        assert low.planted <= high.planted  # what 0.2 plants is planted at 0.6
        moved += low.values["voice"] != high.values["voice"]
    assert 0.2 < moved / len(of(rows[0], "train")) < 0.4  # 0.4 more are planted, a quarter had that voice


def test_a_row_does_not_depend_on_other_counts() -> None:
    small, large = drawn()[1], drawn(rows={"train": 300, "valid": 10, "test": 20})[1]
    by_id = {row.utterance.id: row for row in large}
    assert all(by_id[row.utterance.id] == row for row in of(small, "train"))


def test_a_drift_gives_each_experience_its_value_in_training_alone() -> None:
    made, rows = drawn(drift={"accent": ["gb", "german"], "noise": [[30, 35], 5]}, drift_strength=0.8)
    for k, accent in enumerate(("gb", "german")):
        mine = [row for row in of(rows, "train") if row.experience == k]
        share = Counter(row.values["accent"] for row in mine)[accent] / len(mine)
        assert share == pytest.approx(0.9 if k == 0 else 0.8, abs=0.07)  # gb is also one of two values of the rest
    assert {row.values["accent"] for row in of(rows, "test")} == {"gb", "us"}
    assert all(one.holds for one in associations.declared(made, rows, 3))
    late = [row.values["noise"] for row in of(rows, "train") if row.experience == 1]
    assert late.count(5.0) / len(late) == pytest.approx(0.8, abs=0.07)


def test_overlap_and_imbalance() -> None:
    made, rows = drawn(overlap=0.5, imbalance={"scenario": 10, "rate": 20})
    train, home = of(rows, "train"), draw.homes(made, 3)
    assert sorted(Counter(home).values()) == [2, 2]
    at_home = sum(row.experience == home[row.label] for row in train) / len(train)
    assert at_home == pytest.approx(0.75, abs=0.08)
    assert list(Counter(row.label for row in train).values()) == [150, 70, 32, 15]
    assert Counter(row.label for row in of(rows, "test")) == dict.fromkeys(range(4), 100)
    slow = sum(row.values["rate"] < 165 for row in train) / len(train)
    assert slow == pytest.approx(1 / (1 + 20**-0.5), abs=0.09)
    assert all(one.holds for one in associations.declared(made, rows, 3))


def test_a_set_that_lacks_its_bias_is_found() -> None:
    made, _ = drawn(bias={"voice~scenario": 0.9})
    _, other = drawn(bias={"voice~scenario": 0.5})
    found = associations.declared(made, other, 3)
    assert [one.holds for one in found] == [False, True]
    (fault,) = associations.faults(found)
    assert "voice follows scenario (0.9)" in fault
    assert "another data.options.seed" in fault


def test_target_rows_have_their_own_values() -> None:
    _, rows = drawn(experiences=1, target={"accent": ["german", "french"], "noise_db": [0, 10]})
    assert {row.values["accent"] for row in rows if row.is_target} == {"german", "french"}
    assert {row.values["accent"] for row in rows if not row.is_target} == {"gb", "us"}
    assert max(row.values["noise"] for row in rows if row.is_target) <= 10
    assert sum(row.is_target for row in rows) == len(rows) / 2


def test_unbiased_rows_are_new_sentences_of_training_with_nothing_planted() -> None:
    made = plan.read({**BASE, "bias": {"voice~scenario": 1}})
    rows = draw.draw(made, 3, unbiased=50)
    assert rows[: len(draw.draw(made, 3))] == draw.draw(made, 3)
    extra = of(rows, "unbiased")
    assert len(extra) == 200
    assert not any(row.planted for row in extra)
    assert cramers_v(extra, "voice") < 0.25


def test_mutual_information_against_scikit_learn_and_under_independence() -> None:
    r = Random(0)
    first = [r.choice("abc") for _ in range(2000)]
    second = [x if r.random() < 0.5 else r.choice("abc") for x in first]
    bits, p = associations.mutual_information(first, second)
    plain = mutual_info_score(first, second) / math.log(2)
    assert bits == pytest.approx(plain - 4 / (2 * 2000 * math.log(2)))
    assert p < 1e-10
    alone = [associations.mutual_information(first, [r.choice("xy") for _ in first])[1] for _ in range(200)]
    assert 0.01 < sum(p < 0.05 for p in alone) / 200 < 0.11
    assert associations.mutual_information(["a"] * 5, list("abcde")) == (0.0, 1.0)


def test_what_data_check_says() -> None:
    made, rows = drawn(bias={"voice~scenario": 0.9}, drift={"accent": ["gb", "us"]})
    document = associations.described(made, rows, 3)
    assert document["faults"] == []
    assert document["train"]["rows"] == 600
    assert sum(sum(line.values()) for line in document["tables"]["scenario by voice"].values()) == 600
    bits = {(row["first"], row["second"]): row["bits"] for row in document["mutual_information"]}
    assert bits["scenario", "voice"] > 1.3
    assert bits["experience", "accent"] == pytest.approx(1, abs=0.01)
    assert bits["voice", "rate"] < 0.02
