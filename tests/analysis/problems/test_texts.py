"""The problems of decoding: numbers by hand, batches as one, groups, oracles, pictures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.plots import decoding as plots
from holdfast.analysis.problems.constrained import Constrained
from holdfast.analysis.problems.evaluator import Evaluator, MissingColumnError
from holdfast.analysis.problems.generation import Generation
from holdfast.analysis.problems.multiple_choice import MultipleChoice
from holdfast.analysis.problems.open_generation import OpenGeneration
from holdfast.analysis.problems.yes_no import YesNo
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.language import EOS, LanguageInfo
from holdfast.datasets.core.source import ClassInfo
from holdfast.datasets.core.table import Ragged, Table
from holdfast.datasets.decoding import toy_constraints, toy_scenes, toy_stories

INF = float("inf")


def data(columns: dict[str, Any], **facts: Any) -> Any:
    info = LanguageInfo(vocabulary=tuple("pbeabcdfgh"), longest=9, **facts)
    return SimpleNamespace(splits={"test": Table(columns)}, info=info, class_names=())


def ragged(rows: list[list[int]]) -> Ragged:
    return Ragged.from_list([torch.tensor(row) for row in rows])


def measured(problem: Evaluator, outputs: dict[str, Any], rows: list[int]) -> dict[str, float]:
    """Of all rows at once; the same, to the bit, as of batches of two in any order."""
    whole = problem.measure({k: np.asarray(v) for k, v in outputs.items()}, np.array(rows), "test").compute()
    parts = problem.measurement("test")
    for start in range(0, len(rows), 2):
        part = slice(start, start + 2)
        parts.update({k: np.asarray(v)[part] for k, v in outputs.items()}, np.array(rows)[part])
    assert parts.compute() == pytest.approx(whole, rel=1e-12, nan_ok=True)
    return whole


def test_right_answers_by_group_and_over_the_share_of_conflicts(tmp_path: Path) -> None:
    answers = ragged([[3, EOS], [3, 4, EOS], [5, EOS], [3, EOS]])
    columns = {"prompt": ragged([[1]] * 4), "answer": answers, "group": torch.tensor([0, 0, 1, 1])}
    problem = Generation(data(columns, groups=("conflict", "agreement")))
    tokens = [[3, EOS, 0], [3, EOS, 0], [5, EOS, 0], [3, 3, 3]]
    outputs = {"tokens": tokens, "forwards": [4, 4, 4, 6], "logprob": [-1.0, -2, -3, -3]}
    found = measured(problem, outputs, [0, 1, 2, 3])
    assert found["exact_match"] == 0.5
    assert found["exact_match/conflict"] == 0.5
    assert found["exact_match/agreement"] == 0.5 == found["mixture"]
    assert found["length"] == 6 / 4
    assert found["ended"] == 0.75
    assert found["forwards"] == 18 / 9
    assert found["logprob"] == -1
    assert found["unigram_f1"] == pytest.approx((1 + 2 / 3 + 1 + 1 / 2) / 4)
    assert found["rep_2"] == 50
    assert "diversity" not in found
    assert found["copies"] == 0.25
    assert found["rep_words"] == pytest.approx((2 / 3) / 4)
    errors = problem.row_errors({"tokens": np.array(tokens)}, np.arange(4), "test")
    np.testing.assert_allclose(errors, [0, 1 / 3, 0, 1 / 2])
    measurement = problem.measure({k: np.asarray(v) for k, v in outputs.items()}, np.arange(4), "test")
    for name, draw in measurement.pictures():
        draw(tmp_path / name)
    assert {p.name for p in tmp_path.glob("*.png")} == {"groups.png", "conflicts.png"}
    assert problem.measurement("test").compute() == {}


def test_isotropy_of_batches_and_layers(tmp_path: Path) -> None:
    columns = {"prompt": ragged([[1]] * 2), "answer": ragged([[EOS]] * 2)}
    problem = Generation(data(columns))
    tokens = [[EOS], [EOS]]
    found = measured(problem, {"tokens": tokens, "cosine_sums": [1.0, 3.0], "cosine_pairs": [2, 6]}, [0, 1])
    assert found["isotropy"] == 0.5
    assert "isotropy/0" not in found
    layers = {"tokens": tokens, "cosine_sums": [[2.0, 1], [6.0, 3]], "cosine_pairs": [[2, 2], [6, 6]]}
    found = measured(problem, layers, [0, 1])
    assert found["isotropy/0"] == 0
    assert found["isotropy/1"] == 0.5 == found["isotropy"]
    measurement = problem.measure({k: np.asarray(v) for k, v in layers.items()}, np.arange(2), "test")
    for name, draw in measurement.pictures():
        draw(tmp_path / name)
    assert (tmp_path / "isotropy.png").stat().st_size > 2000
    short = {"tokens": tokens, "cosine_sums": [[0.0, 0], [0, 0]], "cosine_pairs": [[0, 0], [0, 0]]}
    assert "isotropy" not in measured(problem, short, [0, 1])


def test_what_the_worlds_know_of_a_text() -> None:
    scenes = toy_scenes.load(toy_scenes.Config(questions="caption", n_train=20, n_valid=6, n_test=6), None)
    problem = Generation(scenes)
    answers = scenes.splits["test"].gather(torch.arange(6))["answer"].numpy()
    found = measured(problem, {"tokens": answers}, list(range(6)))
    assert found["exact_match"] == 1 == found["object_recall"]
    assert found["chair_i"] == 0 == found["chair_s"]
    everything = np.array([[*scenes.info.tokens(" ".join(toy_scenes.SHAPES)), EOS]] * 6)
    found = measured(problem, {"tokens": everything}, list(range(6)))
    marks: Any = scenes.splits["test"].columns["shown"]
    shown = marks.float().mean()
    assert found["chair_i"] == pytest.approx(1 - float(shown))
    assert found["object_recall"] == 1

    stories = toy_stories.load(toy_stories.Config(n_train=20, n_domain=0, n_valid=6, n_test=6), None)
    problem = Generation(stories)
    batch = stories.splits["test"].gather(torch.arange(6))
    found = measured(problem, {"tokens": batch["answer"].numpy()}, list(range(6)))
    assert found["well_formed"] == 1
    assert -1.2 < found["coherence"] < -0.4
    swapped = np.roll(batch["answer"].numpy(), 1, axis=0)  # other passages: fluent, with wrong names
    wrong = measured(problem, {"tokens": swapped}, list(range(6)))
    assert wrong["well_formed"] < 0.5
    assert wrong["chair_i"] > 0.5


def test_scores_of_options_by_group(tmp_path: Path) -> None:
    columns = {
        "options": torch.zeros(3, 3, 1, dtype=torch.int64),
        "option_kind": torch.tensor([[2, 0, -1], [0, 1, 2], [2, 0, 0]]),
        "group": torch.tensor([0, 1, 1]),
    }
    problem = MultipleChoice(data(columns, groups=("plain", "misconception")))
    scores = np.log([[0.6, 0.2, 0.9], [0.3, 0.2, 0.5], [0.2, 0.6, 0.2]])
    scores[0, 2] = -INF
    found = measured(problem, {"scores": scores}, [0, 1, 2])
    assert found["mc1"] == pytest.approx(2 / 3)
    assert found["mc2"] == pytest.approx((0.75 + 0.7 + 0.2) / 3)
    assert found["mc3"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert found["mc1/plain"] == 1
    assert found["mc2/misconception"] == pytest.approx(0.45)
    np.testing.assert_allclose(problem.row_errors({"scores": scores}, np.arange(3), "test"), [0.25, 0.3, 0.8])
    with pytest.raises(ValueError, match=r"\[rows, 3\]"):
        problem.measure({"scores": np.zeros((1, 2))}, np.array([0]), "test")
    for name, draw in problem.measure({"scores": scores}, np.arange(3), "test").pictures():
        draw(tmp_path / name)
    assert (tmp_path / "choices.png").exists()


def test_yes_no_by_group_and_what_a_lead_turns(tmp_path: Path) -> None:
    columns = {
        "label": torch.tensor([1, 1, 1, 0, 0, 0]),
        "group": torch.tensor([0, 1, 2, 0, 1, 2]),
        "neutral_row": torch.tensor([-1, 0, 0, -1, 3, 3]),
    }
    problem = YesNo(data(columns, groups=("neutral", "lead_right", "lead_wrong")))
    label = np.array([1, 1, 0, 1, 0, 1])
    p = np.array([0.8, 0.9, 0.4, 0.7, 0.2, 0.9])
    outputs = {"label": label, "scores": np.log(np.stack([1 - p, p], 1))}
    found = measured(problem, outputs, [0, 1, 2, 3, 4, 5])
    assert found["accuracy"] == 0.5
    assert found["yes_share"] == pytest.approx(4 / 6)
    assert found["accuracy/lead_right"] == 1
    assert found["accuracy/lead_wrong"] == 0
    assert found["sycophancy"] == 1
    assert found["led_to_right"] == 1
    assert found["confidence"] == pytest.approx((0.8 + 0.9 + 0.6 + 0.7 + 0.8 + 0.9) / 6)
    assert found["nll"] == pytest.approx(-np.log([0.8, 0.9, 0.4, 0.3, 0.8, 0.1]).mean())
    # the two of a pair in different batches, the neutral one last
    order = np.array([5, 4, 3, 2, 1, 0])
    assert measured(problem, {k: v[order] for k, v in outputs.items()}, order.tolist()) == pytest.approx(found)
    for name, draw in problem.measure(outputs, np.arange(6), "test").pictures():
        draw(tmp_path / name)
    assert {p.name for p in tmp_path.glob("*.png")} == {"answers.png", "reliability.png"}


@pytest.fixture(scope="module")
def sums() -> Any:
    return toy_constraints.load(toy_constraints.Config(n_train=10, n_valid=2, n_test=4), None)


def padded(strings: list[tuple[int, ...]], length: int = 6) -> np.ndarray:
    return np.array([[*s, EOS, *[0] * (length - len(s) - 1)] for s in strings])


def test_weighted_strings_against_the_exact_posterior(sums: Any, tmp_path: Path) -> None:
    problem, oracle = Constrained(sums), sums.info.oracle
    posterior = oracle.posterior()
    strings = list(posterior)
    with np.errstate(divide="ignore"):
        weights = np.log(np.array(list(posterior.values())))
    particles = np.stack([padded(strings)] * 2)
    outputs: dict[str, Any] = {
        "tokens": padded([strings[0], (4, 4, 4)]),
        "particles": particles,
        "particle_log_weights": np.stack([weights, weights - 3]),
        "log_evidence": np.full(2, oracle.log_evidence()) + np.log([0.5, 1.5]),
        "constraint_calls": [10, 20],
        "sampled_tokens": [5, 5],
    }
    found = measured(problem, outputs, [0, 1])
    assert found["total_variation"] == pytest.approx(0, abs=1e-9)
    assert found["kl"] == pytest.approx(0, abs=1e-9)
    assert found["evidence_ratio"] == pytest.approx(1)
    assert found["allowed"] == 0.5
    assert found["failed"] == 0
    assert found["constraint_calls"] == 15
    assert found["calls_per_token"] == 3
    np.testing.assert_array_equal(problem.row_errors(outputs, np.arange(2), "test"), [0, 1])
    for name, draw in problem.measure(outputs, np.arange(2), "test").pictures():
        draw(tmp_path / name)
    assert (tmp_path / "posterior.png").exists()


def test_rows_with_weights_of_their_own_and_rows_that_are_draws(sums: Any) -> None:
    problem, posterior = Constrained(sums), sums.info.oracle.posterior()
    a, b = sorted(posterior, key=lambda s: -posterior[s])[:2]
    own = {"tokens": padded([a, b, b]), "log_weight": np.log([3.0, 1.0, 1e-300]) - [0, 0, INF]}
    found = measured(problem, own, [0, 1, 2])
    expected = (abs(0.75 - posterior[a]) + abs(0.25 - posterior[b]) + 1 - posterior[a] - posterior[b]) / 2
    assert found["total_variation"] == pytest.approx(expected)
    assert found["failed"] == pytest.approx(1 / 3)
    draws = measured(problem, {"tokens": padded([a, a, a, b])}, [0, 1, 2, 3])
    assert draws["total_variation"] == pytest.approx(expected)
    assert draws["allowed"] == 1
    forbidden = measured(problem, {"tokens": padded([(4, 4)])}, [0])
    assert forbidden["kl"] == INF
    assert forbidden["total_variation"] == pytest.approx(1)


def test_data_that_does_not_fit_is_named(sums: Any) -> None:
    images = SimpleNamespace(splits={}, info=ClassInfo(classes=2), class_names=())
    with pytest.raises(DataError, match="'generation' reads data with a LanguageInfo"):
        Generation(images)
    with pytest.raises(DataError, match="'open_generation' reads data with a LanguageInfo"):
        OpenGeneration(images)
    with pytest.raises(MissingColumnError, match=r"no column 'option_kind'.*data\.options\.questions"):
        MultipleChoice(sums)
    with pytest.raises(MissingColumnError, match="no column 'label'"):
        YesNo(sums)
    with pytest.raises(DataError, match="exact posterior"):
        Constrained(data({"prompt": ragged([[1]])}))


def test_pictures_of_several_runs(tmp_path: Path) -> None:
    plots.share_of_conflicts({"cad": (0.9, 0.8), "greedy": (0.95, 0.4)}, tmp_path / "a.png", (10, 12))
    plots.over_settings([0.5, 1], [0, 0.1], [[0.5, 0.6], [0.7, np.nan]], "accuracy", True, tmp_path / "b.png")
    pairs = {"awrs": [(5, 0.2), (50, 0.02)], "single": [(5, 0.4), (50, 0.0)]}
    plots.posterior_error(pairs, tmp_path / "c.png", {"masking alone": 0.87})
    assert all((tmp_path / f"{k}.png").stat().st_size > 2000 for k in "abc")
    with pytest.raises(ValueError, match=r"\[2, 1\]"):
        plots.over_settings([1.0], [0, 0.1], [[1]], "accuracy", True, tmp_path / "d.png")
