"""Measures of generated text against numbers counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from holdfast.analysis.metrics import generation as g

INF = float("inf")


def test_multiple_choice_by_hand() -> None:
    # best above both false answers, the other true one between them
    scores, kinds = np.log([0.4, 0.15, 0.1, 0.2, 0.9]), [2, 1, 0, 0, -1]
    assert g.multiple_choice(scores, kinds) == pytest.approx((1, 0.55 / 0.85, 0.5))
    assert g.multiple_choice(scores - 800, kinds) == pytest.approx((1, 0.55 / 0.85, 0.5))  # no underflow
    assert g.multiple_choice([0.0, 0.0], [2, 0]) == pytest.approx((0, 0.5, 0))  # a tie is not above
    assert g.multiple_choice([-INF, 0.0], [2, 0]) == (0, 0, 0)
    assert g.multiple_choice([-INF, -INF, -INF], [2, 1, 0]) == pytest.approx((0, 2 / 3, 0))
    sums = g.MultipleChoice()
    assert sums.measures() == {}
    sums.update(scores, kinds)
    sums.update([0.0, 0.0], [2, 0])
    assert sums.measures() == pytest.approx({"mc1": 0.5, "mc2": (0.55 / 0.85 + 0.5) / 2, "mc3": 0.25})


@pytest.mark.parametrize(
    ("scores", "kinds", "message"),
    [([0, 1], [1, 0], "one best"), ([0, 1], [2, 1], "false"), ([math.nan, 1], [2, 0], "not a number")],
)
def test_a_question_without_what_it_needs_is_refused(scores: list[float], kinds: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        g.multiple_choice(scores, kinds)


def test_yes_and_no_by_hand() -> None:
    counts = g.YesNo()
    assert counts.measures() == {}
    counts.update([1, 1, 1, 0, 0], [1, 1, 0, 1, 0])
    counts.update(np.array([True]), np.array([False]))
    expected = {"accuracy": 3 / 6, "yes_share": 0.5, "precision": 2 / 3, "recall": 2 / 4, "f1": 4 / 7}
    assert counts.measures() == pytest.approx(expected)
    always_no = g.YesNo()
    always_no.update([0, 1], [0, 0])
    assert always_no.measures() == {"accuracy": 0.5, "yes_share": 0.0, "recall": 0.0, "f1": 0.0}
    with pytest.raises(ValueError, match="one of each a question"):
        counts.update([1], [2])


def test_invented_objects_by_hand() -> None:
    chair = g.Chair()
    assert chair.measures() == {}
    chair.update(["star", "disc", "disc"], {"star", "square"})
    chair.update(["square"], {"square"})
    assert chair.measures() == pytest.approx({"chair_i": 2 / 4, "chair_s": 1 / 2, "object_recall": 2 / 3})


def test_repetition_by_hand_and_with_the_published_slip() -> None:
    text = [1, 2, 1, 2, 1]  # pairs 12 21 12 21, threes 121 212 121, fours 1212 2121
    counts = g.Repetition()
    counts.update(text)
    found = counts.measures()
    assert found == pytest.approx({"rep_2": 50.0, "rep_3": 100 / 3, "rep_4": 0.0, "diversity": 0.5 * 2 / 3})
    counts.update([3, 4])  # no threes: more pairs alone
    assert counts.measures()["rep_2"] == pytest.approx(100 * (1 - 3 / 5))
    short = g.Repetition(as_published=True)
    short.update(text)  # pairs 12 21 12, threes 121 212, fours 1212
    assert short.measures()["rep_2"] == 33.33
    assert short.measures()["rep_3"] == 0
    empty = g.Repetition()
    empty.update([1, 2])
    assert empty.measures() == {"rep_2": 0.0}


def test_words_repeated_and_shared() -> None:
    assert g.repeated_within([1, 2, 1, 3], 2) == 0.25
    assert g.repeated_within([1, 2, 3, 1], 2) == 0
    assert math.isnan(g.repeated_within([]))
    assert g.unigram_f1([1, 1, 2], [1, 3, 3]) == pytest.approx(2 / 6)
    assert g.unigram_f1([1], [2]) == 0


def test_isotropy_of_known_states() -> None:
    assert g.isotropy([np.eye(3)]) == pytest.approx(1)
    assert g.isotropy([np.ones((4, 3))]) == pytest.approx(0)
    assert math.isnan(g.isotropy([np.ones((1, 3))]))
    h = np.random.default_rng(0).normal(size=(5, 4))
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for i, a in enumerate(h) for b in h[:i]]
    assert g.isotropy([h]) == pytest.approx(1 - np.mean(cosines))
    assert g.isotropy([3 * h]) == pytest.approx(g.isotropy([h]))
    two = [np.eye(2), np.ones((3, 2))]  # 2 pairs of cosine 0, 6 of cosine 1
    assert g.isotropy(two) == pytest.approx(1 - 6 / 8)


def test_a_common_direction_is_what_lowers_isotropy() -> None:
    h = np.random.default_rng(0).normal(size=(200, 8)) + np.array([9.0, *[0] * 7])
    parts = g.isotropy_parts([h[:100], h[100:]])
    assert parts["isotropy"] < 0.2 < 0.9 < parts["centred"]
    assert parts["top_direction"] > 0.9


def test_posterior_error_by_hand() -> None:
    error = g.PosteriorError({"a": 0.5, "b": 0.25, "c": 0.25})
    assert error.measures() == {}
    error.add({"a": 3.0, "b": 1.0})
    error.add({"a": 1.0})
    error.add({})
    found = error.measures()  # q: a 7/8, b 1/8
    assert found["failed"] == pytest.approx(1 / 3)
    assert found["unseen"] == pytest.approx(0.25)
    assert found["total_variation"] == pytest.approx((3 / 8 + 1 / 8 + 1 / 4) / 2)
    assert found["kl"] == pytest.approx(7 / 8 * math.log(7 / 4) + 1 / 8 * math.log(1 / 2))
    assert found["kl_exact"] == pytest.approx(2 / 3 * math.log(2 / 3 / (7 / 8)) + 1 / 3 * math.log(1 / 3 / (1 / 8)))
    assert g.divergence({"a": 1.0}, {"b": 1.0}) == INF
    assert g.divergence({"a": 1.0, "b": 0.0}, {"a": 1.0}) == 0
