"""What the problems of decoding measure where every measure is defined: the names are the declared ones, so that none
is written undeclared and none is declared in vain.
"""

from __future__ import annotations

import importlib.util
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.problems.constrained import Constrained
from holdfast.analysis.problems.evaluator import Evaluator
from holdfast.analysis.problems.generation import Generation
from holdfast.analysis.problems.multiple_choice import MultipleChoice
from holdfast.analysis.problems.open_generation import OpenGeneration
from holdfast.analysis.problems.text_features import DistanceConfig
from holdfast.analysis.problems.yes_no import YesNo
from holdfast.datasets.core.language import EOS, LanguageInfo
from holdfast.datasets.core.table import Ragged, Table
from holdfast.datasets.decoding import toy_constraints


class _World:
    """Knows all that a world may know."""

    domain = (5,)

    def mentioned(self, text: str) -> list[int]:
        return ["cd".index(word) for word in text.split() if word in "cd"]

    def log_probability(self, prompt: Any, continuation: Any) -> float:
        return -1.0 * len(continuation)


def _data(columns: dict[str, Any], *groups: str) -> Any:
    info = LanguageInfo(vocabulary=tuple("pbecdfgh"), longest=9, groups=groups, oracle=_World())
    return SimpleNamespace(splits={"test": Table(columns)}, info=info, class_names=("no", "yes"))


def _ragged(*rows: list[int]) -> Ragged:
    return Ragged.from_list([torch.tensor(row) for row in rows])


def _written(kind: type[Generation]) -> tuple[Evaluator, dict[str, Any]]:
    answers = [[3, 4, 5, 6, 7, EOS], [4, 3, 5, 7, 6, EOS]]
    columns = {
        "prompt": _ragged([1, 3], [1, 4]),
        "answer": _ragged(*answers),
        "group": torch.tensor([0, 1]),
        "shown": torch.tensor([[1, 0], [1, 1]]),
    }
    outputs = {
        "tokens": answers,
        "forwards": [6, 6],
        "logprob": [-6.0, -6.0],
        "cosine_sums": [[1.0, 2.0]] * 2,
        "cosine_pairs": [[6, 6]] * 2,
    }
    distance: Any = "frechet" if importlib.util.find_spec("mauve") is None else "mauve"
    config = DistanceConfig(text_distance=distance, text_features="words")
    return kind(_data(columns, "agreement", "conflict"), config), outputs


def _chosen() -> tuple[Evaluator, dict[str, Any]]:
    columns = {
        "options": torch.zeros(2, 2, 1, dtype=torch.int64),
        "option_kind": torch.tensor([[2, 0], [0, 2]]),
        "group": torch.tensor([0, 1]),
    }
    return MultipleChoice(_data(columns, "plain", "misconception")), {"scores": [[0.0, -1.0], [0.0, -1.0]]}


def _answered() -> tuple[Evaluator, dict[str, Any]]:
    columns = {
        "label": torch.tensor([1, 0, 1, 0, 1, 0]),
        "group": torch.tensor([0, 0, 1, 1, 2, 2]),
        "neutral_row": torch.tensor([-1, -1, 0, 1, 0, 1]),
    }
    outputs = {"label": [1, 1, 1, 0, 0, 1], "scores": np.log([[0.4, 0.6]] * 6)}
    return YesNo(_data(columns, "neutral", "lead_right", "lead_wrong")), outputs


def _allowed() -> tuple[Evaluator, dict[str, Any]]:
    world = toy_constraints.load(toy_constraints.Config(n_train=10, n_valid=2, n_test=2), None)
    some = next(iter(world.info.oracle.posterior()))
    rows = np.array([[*some, EOS]] * 2)
    outputs = {
        "tokens": rows,
        "log_weight": [0.0, -1.0],
        "log_evidence": [0.0, 0.0],
        "constraint_calls": [4.0, 6.0],
        "sampled_tokens": [2.0, 2.0],
    }
    return Constrained(world), outputs


CASES = {
    "generation": lambda: _written(Generation),
    "open_generation": lambda: _written(OpenGeneration),
    "multiple_choice": _chosen,
    "yes_no": _answered,
    "constrained": _allowed,
}


@pytest.mark.parametrize("name", CASES)
def test_whatever_a_problem_of_decoding_measures_is_declared(name: str) -> None:
    problem, outputs = CASES[name]()
    rows = np.arange(len(next(iter(outputs.values()))))
    found = problem.measure({key: np.asarray(value) for key, value in outputs.items()}, rows, "test").compute()
    patterns = {metric.name: re.escape(metric.name).replace(r"\*", "[^/]+") for metric in problem.metrics}
    assert {each.removesuffix("/last") for each in problem.table} <= set(patterns)
    if importlib.util.find_spec("mauve") is None:
        patterns.pop("mauve", None)
    assert all(any(re.fullmatch(pattern, name) for pattern in patterns.values()) for name in found)
    in_vain = [name for name, pattern in patterns.items() if not any(re.fullmatch(pattern, each) for each in found)]
    assert in_vain == []
    assert all(np.isfinite(value) for value in found.values())
    assert problem.main in found
