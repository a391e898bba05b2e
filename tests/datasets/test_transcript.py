"""Extended transcripts and tokenizers round-trip."""

from __future__ import annotations

from typing import Literal

import pytest
from holdfast.datasets.transcript import Tokenizer, parse


@pytest.mark.parametrize(
    "text", ["", "_SEP", "a_b", "a_b _SEP x _FILL", "a _SEP b _FILL c _FILL d _SEP e", "_FILL _SEP _SEP"]
)
def test_any_text_can_be_parsed(text: str) -> None:
    parse(text)


def test_an_intent_without_action_and_empty_output() -> None:
    assert parse("lights _SEP words").action == "lights"
    assert parse("").intent == ""
    assert parse("iot_hue_lightoff _SEP w").action == "hue_lightoff"
    assert parse("a_b _SEP x _FILL y _FILL z _SEP w").entities == ()


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_tokenizer_round_trip_and_atoms(kind: Literal["word", "bpe"]) -> None:
    texts = [
        "alarm_set _SEP time _FILL ten o'clock _SEP wake me at ten o'clock",
        "play_music _SEP play some jazz music please",
    ]
    tokenizer = Tokenizer.build(texts, ["alarm_set", "play_music", "never_seen"], kind=kind, size=64)
    again = Tokenizer.from_json(tokenizer.to_json())
    for text in texts:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert again.encode(text) == ids
        assert ids[0] == 2
        assert ids[-1] == 3
        assert tokenizer.pieces[ids[1]] == text.split()[0]
    assert tokenizer.encode("never_seen")[1] != 1
    if kind == "bpe":
        assert tokenizer.decode(tokenizer.encode(texts[0], dropout=0.9)) == texts[0]
    else:
        assert tokenizer.encode("zebra")[1] == 1
