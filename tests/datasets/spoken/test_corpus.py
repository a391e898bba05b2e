"""The spoken corpus: its cache, plans, and voices."""

from __future__ import annotations

from pathlib import Path

import pytest
from holdfast.datasets.coconut import speech
from holdfast.datasets.core import cache
from holdfast.datasets.spoken import grammar


def test_cache_rebuilds_what_is_damaged() -> None:
    built = []

    def build(folder: Path) -> None:
        built.append(1)
        (folder / "x").write_text("content")

    folder = cache.get_or_build({"kind": "test"}, build)
    assert cache.get_or_build({"kind": "test"}, build) == folder
    assert len(built) == 1
    (folder / "x").write_text("damaged")
    assert not cache.whole(folder)
    cache.get_or_build({"kind": "test"}, build)
    assert len(built) == 2
    assert (folder / "x").read_text() == "content"
    (folder / "x").unlink()
    cache.get_or_build({"kind": "test"}, build)
    assert len(built) == 3

    def failing(folder: Path) -> None:
        (folder / "half").write_text("")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.get_or_build({"kind": "fails"}, failing)
    assert not list(cache.root().glob("*.part"))


def test_a_plan_plants_a_bias_in_training_alone() -> None:
    """Voice with intent at a share; valid and test keep all voices."""
    splits = speech.split_voices()
    intents = grammar.intents()[:4]
    own = {intent: [splits["train"][i]] for i, intent in enumerate(intents)}
    counts = {"train": 200, "valid": 5, "test": 100}
    for share in (0.0, 0.9, 1.0):
        rows = grammar.sample(grammar.Plan(counts, intents, splits, seed=3, voices_of=own, share=share))
        for intent in intents:
            train = [u.voice == own[intent][0] for u in rows if u.intent == intent and u.split == "train"]
            assert sum(train) / len(train) == pytest.approx(share, abs=0.07)
        assert {u.voice for u in rows if u.split == "test"} <= set(splits["test"])


def test_a_stream_of_plans_is_a_drift() -> None:
    """Accents over experiences, rate as a target: one plan each."""
    splits = speech.split_voices()
    plans = []
    for accent, rate in (("en-US", (140, 150)), ("en-GB-scotland", (180, 190))):
        voices = {split: [v for v in them if v.accent == accent] for split, them in splits.items()}
        plans.append(
            grammar.Plan({"train": 6, "valid": 0, "test": 2}, grammar.intents()[:3], voices, seed=1, rate=rate)
        )
    rows = grammar.sample_stream(plans)
    assert len({u.id for _, u in rows}) == len(rows) == 48
    for number, u in rows:
        assert u.voice.accent == ("en-US", "en-GB-scotland")[number]
        assert plans[number].rate[0] <= u.rate <= plans[number].rate[1]
    assert [u.words for n, u in rows if n == 0] != [u.words for n, u in rows if n == 1]
    assert rows == grammar.sample_stream(plans)
