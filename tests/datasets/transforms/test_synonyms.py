"""Synonyms: our lexicon, files, WordNet's database files and neighbours among embeddings."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.transforms import neighbours, synonyms
from safetensors.torch import save_file


def test_the_lexicon_is_clean_and_a_file_adds_to_it(tmp_path: Path) -> None:
    known = synonyms.thesaurus([synonyms.LEXICON])
    assert len(known) > 400
    assert known["film"] == ("movie", "picture")
    assert all(word not in others for word, others in known.items())
    own = tmp_path / "own.txt"
    own.write_text("00001740-r\tfilm|Motion-Picture|film's\nvorpal|sharp_edged\n")
    both = synonyms.provider("lexicon", str(own))
    assert both("film") == ("films", "motion picture", "movie", "picture")
    alone = synonyms.provider("file", str(own))
    assert alone("vorpal") == ("sharp edged",)
    assert alone("movie") == ()
    assert synonyms.content("lexicon", str(own)) != synonyms.content("lexicon")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("just words\n")
    (tmp_path / "broken.gz").write_bytes(gzip.compress(b"a|b\n" * 100)[:-20][::-1])
    (tmp_path / "bytes.txt").write_bytes(b"\xff|\xfe\n")
    for name in ("none.txt", "broken.gz", "bytes.txt", "absent.txt"):
        with pytest.raises(DataError, match=name):
            synonyms.provider("file", str(tmp_path / name))


def test_wordnet_is_read_where_it_lies_and_else_the_lexicon_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "data"))
    if synonyms.wordnet_folder() is None:
        with pytest.warns(UserWarning, match="no WordNet corpus"):
            assert synonyms.provider("wordnet")("film") == ("movie", "picture")
    folder = tmp_path / "data" / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for part in synonyms.WORDNET_FILES:
        (folder / part).write_text("  1 the licence\n")
    adjectives = "00001740 00 a 02 able(p) 0 capable 0 001 = 05200169 n 0000 | having means\n"
    (folder / "data.adj").write_text("  1 the licence\n" + adjectives)
    (folder / "data.noun").write_text("02084071 05 n 03 dog 0 domestic_dog 0 Canis-familiaris 0 000 | a canid\n")
    found = synonyms.provider("wordnet")
    assert found("able") == ("capable",)
    assert found("dog") == ("canis familiaris", "domestic dog")
    (folder / "data.adv").write_text("00001740 no synset\n")
    with pytest.raises(DataError, match=r"data\.adv line 1"):
        synonyms.provider("wordnet")


def model(folder: Path, vocabulary: dict[str, int], table: torch.Tensor) -> Path:
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "WordPiece", "vocab": vocabulary}}))
    save_file({"embeddings.word_embeddings.weight": table}, folder / "model.safetensors")
    return folder


def test_neighbours_are_whole_words_above_the_floor(tmp_path: Path) -> None:
    vocabulary = {"[PAD]": 0, "##ful": 1, "awful": 2, "dreadful": 3, "terrible": 4, "cat": 5, "ox": 6}
    table = torch.tensor([[1.0, 0], [1, 0], [1, 0], [1, 0.1], [1, 0.9], [0, 1.0], [1, 0]])
    folder = model(tmp_path / "bert", vocabulary, table)
    known = synonyms.provider("embedding", backbone=str(folder))
    assert known("awful") == ("dreadful", "terrible")
    assert known("cat") == ("terrible",)
    assert known("ful") == known("ox") == ()
    assert neighbours.Neighbours(folder, top=1)("awful") == ("dreadful",)
    assert len(synonyms.content("embedding", backbone=str(folder))) == 64


def test_backbones_without_embeddings(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder of a model"):
        synonyms.provider("embedding", backbone=str(tmp_path / "nowhere"))
    folder = model(tmp_path / "bert", {"cat": 0, "dog": 1}, torch.eye(2))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="vocabulary"):
        synonyms.provider("embedding", backbone=str(folder))
    (folder / "model.safetensors").write_bytes(b"\x00" * 16)
    with pytest.raises(DataError, match="weights"):
        neighbours.embeddings(folder)
