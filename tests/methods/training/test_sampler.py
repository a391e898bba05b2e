"""Batches by index and through a loader."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

import pytest
import torch
from holdfast.datasets.core.table import Ragged, Table
from holdfast.methods.training import sampler

from ...suites.process import lives

CPU = torch.device("cpu")


def table(n: int = 64) -> Table:
    g = torch.Generator().manual_seed(1)
    words = Ragged.from_list([torch.rand(k % 5 + 1, 3, generator=g) for k in range(n)])
    return Table({"x": torch.rand(n, 4, generator=g), "words": words, "label": torch.arange(n)})


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_the_same_batches_and_moves_no_generator(workers: int) -> None:
    rows = [(part, part % 2 == 0) for part in torch.randperm(64).split(8)]
    assert len(rows) >= sampler.LEAST * workers, "no worker would be started"
    plain = list(sampler.loaded(table(), rows, CPU, "memory"))
    before = torch.get_rng_state()
    loaded = list(sampler.loaded(table(), rows, CPU, "loader", workers))
    assert torch.equal(torch.get_rng_state(), before)
    assert len(loaded) == len(plain) == 8
    for one, two in zip(plain, loaded, strict=True):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_evaluation_sees_every_row_once_in_one_order(workers: int) -> None:
    rows = torch.randperm(64)[:40]
    plain = [b["index"].tolist() for b in sampler.evaluation_batches(table(), rows, 4, CPU)]
    loaded = [b["index"].tolist() for b in sampler.evaluation_batches(table(), rows, 4, CPU, "loader", workers)]
    assert loaded == plain
    assert sorted(row for part in plain for row in part) == sorted(rows.tolist())


def _killed_later(tell: Any) -> None:
    """Start two workers, say who they are, and wait."""
    rows = [(part, part % 2 == 0) for part in torch.arange(64).split(4)]
    batches = sampler.loaded(table(), rows, CPU, "loader", 2)
    next(batches)
    tell.send([child.pid for child in multiprocessing.active_children()])
    time.sleep(60)


def test_workers_end_with_the_process_that_is_killed() -> None:
    """They hold what it held: the lock of its run."""
    context = multiprocessing.get_context("fork")
    hear, tell = context.Pipe(duplex=False)
    process = context.Process(target=_killed_later, args=(tell,))
    process.start()
    assert hear.poll(30)
    workers = hear.recv()
    assert len(workers) == 2
    assert all(lives(worker) for worker in workers)
    process.kill()
    process.join()
    end = time.monotonic() + 3  # torch's own watchdog looks every five seconds
    while any(lives(worker) for worker in workers) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(lives(worker) for worker in workers)
