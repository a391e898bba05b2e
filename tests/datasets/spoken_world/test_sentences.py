"""The world's sentences as texts: written, misheard by the model of errors, or heard by a recogniser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.datasets.core import texts
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.texts import TextInfo
from holdfast.datasets.spoken import recognition
from holdfast.datasets.spoken_world import rows, sentences
from pydantic import ValidationError

from ..spoken.tiny_recogniser import tiny_recogniser

SMALL: dict[str, Any] = {"n_train": 4, "n_valid": 1, "n_test": 6}


def said(source: Any, split: str) -> list[str]:
    return texts.unpacked(source.splits[split].columns["first"])


def test_written_sentences_are_those_of_the_plan_and_no_test_sentence_is_trained_on() -> None:
    source = sentences.load(sentences.Config(), None)
    assert isinstance(source.info, TextInfo)
    assert (source.info.classes, len(source.class_names), source.source) == (12, 12, "stand-in")
    assert [len(source.splits[s]) for s in ("train", "valid", "test")] == [96, 72, 480]
    assert torch.bincount(source.splits["train"].dense("label")).tolist() == [8] * 12
    everything = torch.cat([table.dense("source_id") for table in source.splits.values()])
    assert sorted(everything.tolist()) == list(range(648))
    assert not set(said(source, "train")) & set(said(source, "test"))
    again = sentences.load(sentences.Config(noise=0), None)
    assert again.checksum == source.checksum  # how it sounds is nothing to what is written


def test_recognised_sentences_have_about_the_declared_errors_and_the_same_labels() -> None:
    written = sentences.load(sentences.Config(**SMALL), None)
    heard = sentences.load(sentences.Config(**SMALL, text="recognised"), None)
    worse = sentences.load(sentences.Config(**SMALL, text="recognised", word_error_rate=0.6), None)
    assert len({source.checksum for source in (written, heard, worse)}) == 3
    for split in ("train", "test"):
        assert torch.equal(written.splits[split].dense("label"), heard.splits[split].dense("label"))
    rates = [recognition.measured(said(written, "test"), said(s, "test")).rate for s in (written, heard, worse)]
    assert rates[0] == 0
    assert 0.1 < rates[1] < 0.3 < rates[2] < 0.7
    again = sentences.load(sentences.Config(**SMALL, text="recognised", word_error_rate=0.2), None)
    assert again.checksum == heard.checksum


def test_the_check_measures_the_rate_and_shows_examples() -> None:
    document = sentences.check(sentences.Config(text="recognised", word_error_rate=0.1), None)
    assert document["faults"] == []
    (train,) = [one for one in document["declared"] if "train sentences" in one["what"]]
    assert train["expected"] == 0.1
    assert train["holds"]
    splits = {one["split"]: one for one in document["recognised"]["splits"]}
    assert abs(splits["test"]["word_error_rate"] - 0.1) < 0.03
    assert splits["test"]["words"] == sum(
        len(text.split()) for text in said(sentences.load(sentences.Config(), None), "test")
    )
    assert all(pair["written"] != pair["recognised"] for pair in document["recognised"]["examples"])
    assert "recognised" not in sentences.check(sentences.Config(), None)


def test_a_rate_that_the_set_does_not_have_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "SUBSTITUTED", 0.1)
    monkeypatch.setattr(recognition.ErrorModel, "confusions", lambda *_: ((), ()))
    document = sentences.check(sentences.Config(text="recognised", word_error_rate=0.5), None)
    assert any("errors a word of the train sentences" in fault for fault in document["faults"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"word_error_rate": 0.1}, "set text: recognised"),
        ({"recogniser": "x"}, "set text: recognised"),
        ({"text": "recognised", "recogniser": "x", "word_error_rate": 0.1}, "exclude each other"),
        ({"text": "recognised", "word_error_rate": 1.5}, "less than or equal to 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        sentences.Config(**fields)


def test_a_recogniser_that_is_not_there_is_named_before_anything_is_spoken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "spoken", lambda *_: pytest.fail("spoken"))
    with pytest.raises(DataError, match="no folder of a recogniser"):
        sentences.load(sentences.Config(**SMALL, text="recognised", recogniser=str(tmp_path / "absent")), None)


@pytest.mark.slow  # transformers take seconds to import
def test_a_recogniser_hears_the_spoken_sentences(tmp_path: Path) -> None:
    folder = tiny_recogniser(tmp_path / "model")
    two = {"extends": "peft", "classes": {"intents": ["alarm_set", "alarm_query"]}}
    options = {"n_train": 2, "n_valid": 1, "n_test": 1, "plan": two, "text": "recognised", "recogniser": str(folder)}
    document = sentences.check(sentences.Config(**options), None)
    assert document["faults"] == []
    assert not any("errors a word" in one["what"] for one in document["declared"])  # it declares none
    assert {one["split"]: one["words"] > 0 for one in document["recognised"]["splits"]} == dict.fromkeys(
        ("train", "valid", "test"), True
    )
    noisy = sentences.load(sentences.Config(**options, noise=0), None)
    assert said(noisy, "train") != said(sentences.load(sentences.Config(**options), None), "train")
