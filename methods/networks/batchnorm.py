"""Batch normalisation's running statistics, for forwards that only look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@contextmanager
def running_statistics(module: nn.Module) -> Iterator[None]:
    """Within, the batch normalisations of ``module`` that train normalise by their running statistics, which do not
    move.
    """
    norms = [m for m in module.modules() if isinstance(m, KINDS) and m.training]
    try:
        for norm in norms:
            norm.eval()
        yield
    finally:
        for norm in norms:
            norm.train()


@contextmanager
def keep_statistics(module: nn.Module) -> Iterator[None]:
    """Within, ``module`` normalises as its mode says (in training by the batch) and neither running statistics nor
    their counters move.
    """
    norms = [m for m in module.modules() if isinstance(m, KINDS) and m.training and m.track_running_stats]
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
