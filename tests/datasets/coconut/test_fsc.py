"""Fluent Speech Commands in its released layout, intact."""

from __future__ import annotations

from pathlib import Path

from holdfast.datasets.coconut import fsc as coconut_fsc

FSC = coconut_fsc.Config()


def test_fsc_intact(made: dict[str, Path]) -> None:
    source = coconut_fsc.load(FSC, made["fsc"])
    assert source.class_names == ["activate_lights_kitchen", "bring_juice", "changelanguage", "deactivate_music"]
    assert source.info.annotations["train"][0].sentence == "please activate the lights 0"
    assert [len(t) for t in source.splits.values()] == [16, 4, 8]
    assert coconut_fsc.check(FSC, made["fsc"])["test"]["speakers"] == 2


def test_fsc_stand_in_has_its_shape() -> None:
    names = {coconut_fsc.intent_name(*intent) for intent in coconut_fsc.INTENTS}
    assert len(names) == len(coconut_fsc.INTENTS) == 31
    rows = coconut_fsc.stand_in(FSC)
    said = {split: {r.words for r in rows if r.split == split} for split in ("train", "valid", "test")}
    for intent in coconut_fsc.INTENTS:
        assert len(coconut_fsc.phrasings(*intent)) >= 24
    assert not said["train"] & said["test"]
    assert not said["train"] & said["valid"]
