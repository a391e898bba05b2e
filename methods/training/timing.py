"""What a run of the strategy will cost, for ``suites run --dry-run``."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .strategy import MethodStrategy


def planned_steps(strategy: MethodStrategy, experience: Any) -> int:
    """Batches of all epochs of all stages, without those of a memory."""
    view = strategy.ensure_view(experience)
    epochs = sum(strategy.epochs_of(stage, view) for stage in strategy.method.stages(view))
    return epochs * math.ceil(len(experience.rows) / strategy.settings.batch_size)


def seconds_a_step(strategy: MethodStrategy, experience: Any) -> float:
    """The fastest of three steps of the first stage that has any; they change the strategy's weights."""
    view = strategy.ensure_view(experience)
    strategy.method.to(strategy.device)
    strategy.method.before_experience(view)
    stage = next(stage for stage in strategy.method.stages(view) if strategy.epochs_of(stage, view))
    strategy.begin_stage(stage, view)
    strategy.method.train()
    times = []
    for batch in strategy.load(strategy.batches_of_epoch(0, 0)[:3]):
        start = time.perf_counter()
        strategy.run_step(strategy.step_of(stage), batch, strategy.context(stage, view), True)
        times.append(time.perf_counter() - start)
    return min(times)
