"""Extended transcripts and tokenizers round-trip."""

from __future__ import annotations

import random
from typing import Literal

import pytest
from holdfast.datasets.core.transcript import Tokenizer, clean_words, filler, merge, parse


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
        assert tokenizer.decode(tokenizer.encode(texts[0], 0.9, random.Random(0))) == texts[0]
    else:
        assert tokenizer.encode("zebra")[1] == 1


def test_bpe_dropout() -> None:
    """Without dropout the merges are the library's; with 1 letters; in between both occur, and a seed repeats them."""
    texts = ["play some jazz music please play it again some time in the morning"] * 3
    tokenizer = Tokenizer.build(texts, ["play_music"], kind="bpe", size=80)
    words = sorted(set(texts[0].split()))
    split = 0
    for word in words:
        whole = tokenizer.encode(word)[1:-1]
        assert [tokenizer.ids[p] for p in merge(word, tokenizer.ranks, 0.0, random.Random(0))] == whole
        letters = merge(word, tokenizer.ranks, 1.0, random.Random(0))
        assert [piece.removesuffix("</w>") for piece in letters] == list(word)
        drawn = [tuple(merge(word, tokenizer.ranks, 0.3, random.Random(k))) for k in range(20)]
        assert drawn == [tuple(merge(word, tokenizer.ranks, 0.3, random.Random(k))) for k in range(20)]
        assert all("".join(pieces) == f"{word}</w>" for pieces in drawn)
        split += len(set(drawn)) > 1
    assert split > len(words) // 2
    ids = tokenizer.encode("play_music _SEP play", 1.0, random.Random(0))
    assert [tokenizer.pieces[i] for i in ids[1:3]] == ["play_music", "_SEP"]  # atoms are never split


def test_fillers_keep_their_punctuation() -> None:
    assert filler("  Ten  O'Clock, U.S.D. ") == "ten o'clock, u.s.d."
    assert clean_words("Ten O\u2019Clock, U.S.D.") == "ten o'clock u s d"
