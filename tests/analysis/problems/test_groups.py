"""Groups: empty groups, the translation report of translators whose answer is known, the gate."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from holdfast.analysis.problems.evaluator import GateError
from holdfast.analysis.problems.groups import Groups
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.methods.networks.translators import Recolour


@pytest.fixture(scope="module")
def problem() -> Groups:
    return Groups(cdvg_cmnist.load(cdvg_cmnist.Config(), None))


def _method(translate: Any, action: str = "stop") -> Any:
    gate = {"action": action, "max_content_moved": 0.3, "min_content_kept": 0.6}
    return SimpleNamespace(translate=translate, modes=tuple(range(10)), gate=gate)


EXPERIENCE = SimpleNamespace(number=0)


def test_the_oracle_passes_the_gate(problem: Groups, tmp_path: Path) -> None:
    found = problem.after_stage("translator", _method(Recolour(problem.data.info)), EXPERIENCE, tmp_path)
    assert found["content_kept"] > 0.9
    assert found["bias_moved"] > 0.95
    assert found["content_moved"] < 0.05
    assert found["gate_passed"] == 1
    assert (tmp_path / "translations-0.png").stat().st_size > 0


def test_a_translator_that_moves_the_content_is_stopped(problem: Groups, tmp_path: Path) -> None:
    """It hands out a training image of the target class, whatever it gets."""
    columns: Any = problem.data.splits["train"].columns
    first = torch.stack([columns["image"][columns["label"] == c][0] for c in range(10)]).float() / 127.5 - 1
    wrong = _method(lambda x, mode: first[mode])
    with pytest.raises(GateError, match="content moved"):
        problem.after_stage("translator", wrong, EXPERIENCE, tmp_path)
    with pytest.warns(UserWarning, match="labels of translated views are wrong"):
        found = problem.after_stage("translator", _method(wrong.translate, "warn"), EXPERIENCE, tmp_path)
    assert found["content_moved"] > 0.8
    assert found["gate_passed"] == 0


def test_a_translator_that_does_nothing_moves_no_bias(problem: Groups, tmp_path: Path) -> None:
    found = problem.after_stage("translator", _method(lambda x, mode: x), EXPERIENCE, tmp_path)
    assert found["bias_moved"] == pytest.approx(0.1, abs=0.02)
    assert found["content_kept"] == found["content_read"]


def test_other_stages_and_absent_columns(problem: Groups, tmp_path: Path) -> None:
    assert problem.after_stage("classifier", _method(None), EXPERIENCE, tmp_path) == {}
    source = cdvg_cmnist.load(cdvg_cmnist.Config(n_train=50, n_valid=10), None)
    bare = {k: t.without(frozenset({"bias"})) for k, t in source.splits.items()}
    with pytest.raises(ValueError, match="no column 'bias'"):
        Groups(SimpleNamespace(splits=bare, info={}))
