"""Which rows a memory keeps, and how many."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.continual.memory import MemoryConfig, herding, quotas, random_selection, shares


def test_memory_selection_properties() -> None:
    f = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    for m in (1, 3, 10):
        assert herding(f, 30)[:m].tolist() == herding(f, m).tolist()
    assert sorted(herding(torch.ones(5, 3), 5).tolist()) == [0, 1, 2, 3, 4]
    g = [random_selection(9, 4, torch.Generator().manual_seed(3)).tolist() for _ in range(2)]
    assert g[0] == g[1]
    assert len(set(g[0])) == 4
    assert quotas(10, 3, [4, 5]) == {4: 3, 5: 3}
    assert quotas(10, 3, [4, 5], fixed=False) == {4: 5, 5: 5}
    with pytest.raises(ValueError, match="set memory_rows >= 18"):
        quotas(17, 18, [1])


def test_counts_from_shares_are_rounded() -> None:
    assert MemoryConfig(memory_share=0.29).rows(100) == 29  # 0.29 * 100 is 28.999...
    assert MemoryConfig(memory_share=0.01).rows(150) == 2
    assert MemoryConfig(memory_share=None, memory_rows=12).rows(100) == 12
    for both in ({"memory_rows": 3}, {"memory_share": None}):
        with pytest.raises(ValueError, match="set memory_share or memory_rows"):
            MemoryConfig(**both)
    assert shares(7, [4, 1, 2]) == {1: 3, 2: 2, 4: 2}
    assert shares(1, [0, 1]) == {0: 1, 1: 0}
