"""Fine-tuning, experience replay and the offline upper bound, on any model that gives a loss and predictions.

A model of these methods offers ``augment(batch, generator) -> batch``, ``loss(batch) -> (loss, logs)``, ``predict(batch)`` and, for herding, ``features(batch) -> [B, d]``.
Source: the baselines of the COCONUT paper and its Interspeech 2023 predecessor (spec sections 3.5 and 6).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..datasets.batches import Batch, ExperienceView, generator
from .base import Method, MethodConfig, StepContext
from .memory import closest_to_mean, herding, quotas, random_selection


class Finetune(Method):
    """Sequential training without memory: the lower bound."""

    name: ClassVar[str] = "finetune"
    summary: ClassVar[str] = "sequential training, no memory (lower bound)"

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        loss, logs = self._model.loss(self._model.augment(batch, ctx.augment))
        return {"loss": loss, **logs}


class Joint(Finetune):
    """All classes in one experience: the offline upper bound."""

    name: ClassVar[str] = "joint"
    summary: ClassVar[str] = "one experience with all data (offline upper bound)"
    uses_union: ClassVar[bool] = True


class RehearsalConfig(MethodConfig):
    """Memory of experience replay (spec section 6)."""

    memory_size: float = Field(
        0.01, gt=0, description="|M|: rows kept, as a share of the training set if below 1, else their number (paper: 1 %)",
    )  # fmt: skip
    selection: Literal["random", "herding", "closest"] = Field("random", description="which rows of a class are kept")
    fixed_memory: bool = Field(
        True, description="quota per class = |M| / all classes from the start; else / seen classes"
    )
    batching: Literal["concat", "balanced"] = Field(
        "concat", description="concat: D_n and M shuffled together; balanced: half of each batch from M"
    )


class Memory(nn.Module):
    """Row ids kept of each class; all of it in ``state_dict``."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, Tensor] = {}

    def all(self) -> Tensor:
        """Row ids of all classes, ascending by class, [m] int64."""
        return torch.cat([self.rows[c] for c in sorted(self.rows)]) if self.rows else torch.empty(0, dtype=torch.int64)

    def get_extra_state(self) -> dict[str, Tensor]:
        return {str(c): rows for c, rows in self.rows.items()}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.rows = {int(c): rows for c, rows in state.items()}


class ER(Finetune):
    """Experience replay: L on D_n ∪ M, all rows alike (spec sections 3.1 and 6)."""

    Config: ClassVar[type[RehearsalConfig]] = RehearsalConfig
    config: RehearsalConfig
    name: ClassVar[str] = "er"
    summary: ClassVar[str] = "experience replay"
    costs: ClassVar[dict[str, str]] = {"memory_rows": "rows held in memory"}

    def __init__(self, config: RehearsalConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.store = Memory()
        self.batching = config.batching

    def memory(self) -> Tensor:
        return self.store.all()

    def memory_rows(self, view: ExperienceView) -> int:
        """|M| in rows. Raises ValueError where it gives no row to a class."""
        size = self.config.memory_size
        return int(size * view.n_train) if size < 1 else int(size)

    def before_experience(self, view: ExperienceView) -> None:
        quotas(
            self.memory_rows(view), view.n_classes, list(view.classes_seen), self.config.fixed_memory
        )  # too small: say so now

    def after_experience(self, view: ExperienceView) -> None:
        """Choose the rows to keep of this experience's classes; older classes shrink to their first rows."""
        allowed = quotas(self.memory_rows(view), view.n_classes, list(view.classes_seen), self.config.fixed_memory)
        labels = view.labels()
        for c in view.classes:
            rows = view.index[labels == c]
            if self.config.selection == "random":
                order = generator(self.seed, f"memory/{view.experience}/{c}")
                chosen = torch.as_tensor(random_selection(len(rows), allowed[c], order))
            else:
                choose = herding if self.config.selection == "herding" else closest_to_mean
                chosen = torch.as_tensor(choose(self._features(rows, view), allowed[c]))
            self.store.rows[c] = rows[chosen]
        for c in self.store.rows:
            self.store.rows[c] = self.store.rows[c][: allowed[c]]

    @torch.no_grad()
    def _features(self, rows: Tensor, view: ExperienceView) -> Tensor:
        """Features [n, d] in eval mode, no augmentation."""
        self.eval()
        return torch.cat([self._model.features(batch).cpu() for batch in view.batches(rows)])

    def cost(self) -> dict[str, float]:
        return {"memory_rows": float(len(self.memory()))}
