"""Back translation by provider: files of paraphrases, two models in local folders, and the stand-in that is none."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
import torch
from holdfast.datasets.core import texts
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.texts import TextInfo
from holdfast.datasets.transforms import back_translation, paraphrases, pivot_lexicon, translation
from pydantic import ValidationError

INFO = TextInfo(classes=2)
SENTENCES = ["a great film", "it is a lot of fun", "no", ""]


def rows_of(sentences: list[str]) -> Table:
    n = len(sentences)
    numbers = {"label": torch.arange(n) % 2, "source_id": torch.arange(n), "altered": torch.zeros(n).long()}
    return Table({"first": texts.packed(sentences), **numbers})


def made(config: back_translation.Config) -> tuple[list[str], list[int]]:
    rows = back_translation.transform(config, rows_of(SENTENCES), INFO, 3)
    return texts.unpacked(rows.table.columns["first"]), rows.table.dense("altered").tolist()


def test_paraphrases_of_a_file_by_text_or_digest(tmp_path: Path) -> None:
    lines = [
        {"text": SENTENCES[0], "paraphrases": ["a great movie", " "]},
        {"sha256": paraphrases.digest(SENTENCES[1]).upper(), "paraphrases": ["much fun", "very amusing", "third"]},
        {"text": "another", "paraphrases": ["x"]},
    ]
    file = tmp_path / "made.jsonl.gz"
    file.write_bytes(gzip.compress("\n\n".join(map(json.dumps, lines)).encode()))
    config = back_translation.Config(provider="file", file=str(file), copies=2)
    found, kinds = made(config)
    assert found[:4] == SENTENCES
    assert found[4:8] == ["a great movie", "much fun", "no", ""]
    assert found[8:] == ["a great film", "very amusing", "no", ""], "where there is none the original stays"
    assert kinds == [0] * 4 + [texts.BACK_TRANSLATION] * 8
    assert len(back_translation.content(config)) == 64


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"text": "a"}', '{"paraphrases": []}', '{"text": "a", "paraphrases": [1]}']
)
def test_lines_of_another_form(tmp_path: Path, line: str) -> None:
    file = tmp_path / "made.jsonl"
    file.write_text('{"text": "a", "paraphrases": []}\n' + line + "\n")
    with pytest.raises(DataError, match=r"made\.jsonl line 2: not"):
        paraphrases.of(str(file), ["a"])
    with pytest.raises(DataError, match="absent"):
        back_translation.content(back_translation.Config(provider="file", file=str(tmp_path / "absent")))


def test_the_stand_in_says_what_it_is() -> None:
    with pytest.warns(UserWarning, match="no back translation"):
        found, kinds = made(back_translation.Config(copies=2))
    assert kinds == [0] * 4 + [texts.OTHER] * 8
    assert set(found[4::4]) <= {"a great film", "a excellent film", "a great movie", "a excellent movie"}
    assert pivot_lexicon.said_otherwise("no", random.Random(0)) == "no"
    many = {pivot_lexicon.said_otherwise("It's not bad, today", random.Random(k)) for k in range(40)}
    assert "today It is not poor," not in many, "words behind a comma stay where they are"
    assert any(text.startswith("It is") for text in many)
    assert any("poor" in text for text in many)


@pytest.fixture(scope="module")
def translators(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two tiny random models over the words of the sentences."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = sorted({word for text in SENTENCES for word in text.split()})
    known = {piece: k for k, piece in enumerate(["<pad>", "</s>", "<unk>", *words])}
    base = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.Whitespace()
    folders = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp(f"model{seed}")
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=base, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ).save_pretrained(folder)
        config = transformers.T5Config(
            vocab_size=len(known), d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
        folders.append(str(folder))
    return folders[0], folders[1]


@pytest.mark.parametrize("sampling", ["beam", "top_k"])
def test_two_models_there_and_back(translators: tuple[str, str], sampling: str, tmp_path: Path) -> None:
    file = tmp_path / "made.jsonl"
    config = back_translation.Config(
        provider="hf_seq2seq",
        forward=translators[0],
        backward=translators[1],
        sampling=sampling,
        copies=2,
        longest=8,
        write_to=str(file),
    )
    before = torch.get_rng_state()
    found, kinds = made(config)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(found) == 12
    assert kinds[4:] == [texts.BACK_TRANSLATION] * 8
    assert found == made(config)[0], "seeded"
    from_file, _ = made(back_translation.Config(provider="file", file=str(file), copies=2))
    assert from_file == found
    assert len(back_translation.content(config)) == 64


def test_folders_that_are_no_models(tmp_path: Path, translators: tuple[str, str]) -> None:
    with pytest.raises(DataError, match="no folder of a translation model"):
        translation.content(str(tmp_path / "nowhere"))
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(DataError, match="no weights as safetensors"):
        translation.content(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="no translation model can be loaded"):
        translation.round_trip(["a"], str(tmp_path), translators[1], translation.Decoding(1), 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": "file"},
        {"file": "x"},
        {"provider": "hf_seq2seq", "forward": "x"},
        {"forward": "x", "backward": "y"},
        {"provider": "hf_seq2seq", "forward": "x", "backward": "y", "copies": 5},
        {"write_to": "x"},
    ],
)
def test_settings_that_do_not_go_together(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        back_translation.Config(**wrong)
