"""The batches of an epoch and of an evaluation, and what a method may see of an experience."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ...datasets.core.sampling import balanced_batches, epoch_batches
from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch, Table
from ...datasets.core.view import ExperienceView, Sidecar

LEAST = 4  # batches for each worker of a loader: starting one takes as long as gathering a few
Rows = list[tuple[Tensor, Tensor]]  # of each batch: row ids [B], is_memory [B]


def view_of(
    experience: Any, *, memory: Tensor, batch_size: int, seed: int, device: torch.device, sidecar: Sidecar
) -> ExperienceView:
    """The view of an Avalanche experience, worked out from its stream.

    Raises ValueError where the memory holds rows that no earlier experience had.
    """
    number = experience.current_experience
    try:
        stream = list(experience.origin_stream)
    except Exception:  # an experience that stands alone: what came before is not known
        stream = [experience]
    if len(stream) > number and len(memory):
        past = torch.cat([memory[:0], *(e.rows for e in stream[:number])])
        unseen = memory[~torch.isin(memory, past)]
        if len(unseen):
            raise ValueError(f"the memory holds row {int(unseen[0])}, which no experience before {number} had")
    return ExperienceView(
        experience=number,
        n_experiences=len(stream),
        index=experience.rows,
        classes=experience.classes,
        classes_earlier=tuple(dict.fromkeys(c for e in stream[:number] for c in e.classes)),
        n_classes=len({c for e in stream for c in e.classes}),
        n_train=sum(len(e.rows) for e in stream),
        table=experience.table,
        batch_size=batch_size,
        seed=seed,
        device=device,
        sidecar=sidecar,
        memory=memory,
    )


def rows_of_epoch(
    view: ExperienceView, memory: Tensor, *, batching: str, batch_size: int, seed: int, stage: int, epoch: int
) -> Rows:
    """(row ids [B], is_memory [B]) of every batch: a function of (seed, experience, stage, epoch) and the memory [m].

    ``concat`` shuffles the rows of the experience and the memory together. ``balanced`` fills half of each batch with
    rows drawn from the memory with replacement; the other half goes through the experience once. ``classes`` fills each
    batch with as many rows of every class, of experience and memory together, in as many batches as ``concat``; where
    a batch has no room for two of each it is ``concat``.
    """
    memory = view.admit(memory)
    g = generator(seed, f"sampler/{view.experience}/{stage}/{epoch}")
    if batching == "balanced" and len(memory):
        half = batch_size // 2
        batches = []
        for part in epoch_batches(len(view.index), batch_size - half, g, view.sort_lengths(view.index)):
            drawn = memory[torch.randint(len(memory), (min(half, len(part)),), generator=g)]
            is_memory = torch.arange(len(part) + len(drawn)) >= len(part)
            batches.append((torch.cat([view.index[part], drawn]), is_memory))
        return batches
    rows = torch.cat([view.index, memory])
    if batching == "classes":
        labels = view.labels("label", rows)
        if 2 * len(labels.unique()) <= batch_size:
            return _in_batches(rows, balanced_batches(labels, batch_size, g), len(view.index))
    return _in_batches(rows, epoch_batches(len(rows), batch_size, g, view.sort_lengths(rows)), len(view.index))


def _in_batches(rows: Tensor, positions: list[Tensor], n_current: int) -> Rows:
    """Row ids and is_memory of the batches of ``positions`` in ``rows``, of which the first ``n_current`` are the
    experience's. All at once: two tensor calls for each batch would be a tenth of a small model's step.
    """
    sizes = [len(part) for part in positions]
    order = torch.cat(positions) if positions else rows[:0]
    return list(zip(rows[order].split(sizes), (order >= n_current).split(sizes), strict=True))


def loaded(
    table: Table, rows: Rows, device: torch.device, path: Literal["memory", "loader"], workers: int = 0
) -> Iterator[Batch]:
    """The batches of ``rows`` on the device, by index from memory or through a DataLoader with so many ``workers`` at
    most (pinned where the device is a GPU): the same bits.
    """
    batches: Any = _Gather(table, rows)
    if path == "loader":  # its own generator: a loader draws a seed from the global one otherwise
        pinned = device.type == "cuda"
        workers = min(workers, len(rows) // LEAST)
        own = torch.Generator()
        # forked, whatever the process's own way is: the table is shared, not sent
        fork = "fork" if workers else None
        batches = DataLoader(
            batches,
            batch_size=None,
            generator=own,
            num_workers=workers,
            pin_memory=pinned,
            multiprocessing_context=fork,
            worker_init_fn=_EndsWith(os.getpid()) if workers else None,
        )
    for batch in batches:
        if device.type == "cpu":
            yield batch
        else:
            yield {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def evaluation_batches(
    table: Table,
    rows: Tensor,
    batch_size: int,
    device: torch.device,
    path: Literal["memory", "loader"] = "memory",
    workers: int = 0,
    skip: int = 0,
) -> Iterator[Batch]:
    """Batches of ``rows`` on the device, shortest first so that padding stays small; every row once. The first ``skip``
    batches are left out.
    """
    lengths = table.sort_lengths()
    if lengths is not None:
        rows = rows[torch.argsort(lengths[rows], stable=True)]
    parts = [(part, torch.zeros(len(part), dtype=torch.bool)) for part in rows.split(batch_size)]
    return loaded(table, parts[skip:], device, path, workers)


class _EndsWith:
    """A worker ends at once when its ``parent`` is killed: it has inherited the lock of the run, which would seem live
    until it notices by itself.
    """

    def __init__(self, parent: int) -> None:
        self.parent = parent

    def __call__(self, number: int) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != self.parent:
            os._exit(1)


class _Gather(Dataset[Batch]):
    """The batches of an epoch, made when asked for: one piece of code for the in-memory path and the DataLoader."""

    def __init__(self, table: Table, rows: Rows) -> None:
        self.table, self.rows = table, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Batch:
        rows, is_memory = self.rows[number]
        batch = self.table.gather(rows)
        batch["is_memory"] = is_memory
        return batch

    def __iter__(self) -> Iterator[Batch]:
        return (self[number] for number in range(len(self.rows)))
