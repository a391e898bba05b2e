"""The memory of experience replay where classes return, and counts from shares."""

from __future__ import annotations

import pytest
import torch
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.continual.er import ER
from torch import nn


def view(
    experience: int, rows: torch.Tensor, table: Table, classes: tuple[int, ...], earlier: tuple[int, ...]
) -> ExperienceView:
    return ExperienceView(experience, 3, rows, classes, earlier, 2, len(table), table, 8, 0, torch.device("cpu"))


def test_classes_that_return_share_their_quota() -> None:
    """Three domains of the same two classes left [0, 0, 60] rows: the last experience pushed the others out."""
    table = Table({"label": torch.arange(300) % 2})
    method = ER(ER.Config(memory_share=None, memory_rows=60), nn.Linear(1, 1), 0)
    kept: list[set[int]] = []
    for e in range(3):
        here = view(e, torch.arange(100 * e, 100 * e + 100), table, (0, 1), (0, 1) if e else ())
        assert here.past_share == e / (e + 1)
        method.before_experience(here)
        method.after_experience(here)
        memory = method.memory()
        counts = [int(((memory >= 100 * k) & (memory < 100 * k + 100)).sum()) for k in range(3)]
        assert counts == [[60, 0, 0], [30, 30, 0], [20, 20, 20]][e]
        kept.append(set(memory.tolist()))
    assert len(kept[2] & kept[1]) == 40  # older groups shrink to their first rows, nothing is drawn anew
    again = ER(ER.Config(memory_share=None, memory_rows=60), nn.Linear(1, 1), 0)
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.memory(), method.memory())


@pytest.mark.parametrize("fixed", [True, False])
def test_classes_that_do_not_return_keep_a_quota_each(fixed: bool) -> None:
    table = Table({"label": torch.arange(100) // 50})
    method = ER(ER.Config(memory_share=None, memory_rows=11, fixed_memory=fixed), nn.Linear(1, 1), 0)
    for e in range(2):
        here = view(e, torch.arange(50 * e, 50 * e + 50), table, (e,), tuple(range(e)))
        assert here.past_share == [0, 0.5][e]
        method.after_experience(here)
        first = 5 if fixed else 11  # of two classes from the start, or of the one seen so far
        assert [len(method.store.rows[k, k]) for k in range(e + 1)] == [[first], [5, 5]][e]
