"""Experience replay on any model that gives a loss and predictions.

A model offers ``augment(batch, generator) -> batch``, ``loss(batch) -> (loss, logs)``, ``predict(batch)`` and, for
herding, ``features(batch) -> [B, d]``.
Source: the baselines of the COCONUT paper (arXiv 2310.02699) and of Cappellazzo et al., Interspeech 2023.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...datasets.core.seeds import generator
from ...datasets.core.view import ExperienceView
from ..base import protocol
from ..networks.protocols import Learner, Requires
from .finetune import Finetune, L
from .memory import Memory, MemoryConfig, closest_to_mean, herding, quotas, random_selection, shares


class RehearsalConfig(MemoryConfig):
    """Memory of experience replay: how many rows, which, and how they enter a batch."""

    selection: Literal["random", "herding", "closest"] = Field("random", description="which rows of a class are kept")
    fixed_memory: bool = Field(
        True,
        description="quota per class = |M| / all classes from the start; else / seen classes",
        json_schema_extra=protocol(),
    )
    batching: Literal["concat", "balanced"] = Field(
        "concat",
        description="concat: D_n and M shuffled together; balanced: half of each batch from M",
        json_schema_extra=protocol(),
    )


class ER(Finetune[L]):
    """Experience replay: L on D_n ∪ M, all rows alike."""

    Config: ClassVar[type[RehearsalConfig]] = RehearsalConfig
    config: RehearsalConfig
    name: ClassVar[str] = "er"
    summary: ClassVar[str] = "experience replay"
    requires: ClassVar[Requires] = Requires(model=Learner, columns=("label",))
    costs: ClassVar[dict[str, str]] = {"memory_rows": "rows held in memory"}

    def __init__(self, config: RehearsalConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.store = Memory()
        self.batching = config.batching

    def memory(self) -> Tensor:
        return self.store.all()

    def memory_rows(self, view: ExperienceView) -> int:
        """|M| in rows."""
        return self.config.rows(view.n_train)

    def allowed(self, view: ExperienceView) -> dict[int, int]:
        """Rows of each class seen so far. Raises UnfitError where that is none."""
        return quotas(self.memory_rows(view), view.n_classes, list(view.classes_seen), self.config.fixed_memory)

    def candidates(self, view: ExperienceView) -> Tensor:
        """Rows of the experience that may be kept, [n]."""
        return view.index

    def before_experience(self, view: ExperienceView) -> None:
        self.allowed(view)  # a memory that is too small is an error before anything is trained

    def after_experience(self, view: ExperienceView) -> None:
        """Choose the rows to keep of this experience's classes; older groups shrink to their first rows.

        A class that returns shares its quota between the experiences that it occurred in.
        """
        allowed = self.allowed(view)
        candidates = self.candidates(view)
        labels = view.labels(rows=candidates)
        for c in view.classes:
            rows = candidates[labels == c]
            quota = shares(allowed[c], [*self.store.experiences(c), view.experience])[view.experience]
            if self.config.selection == "random":
                draws = generator(self.seed, f"memory/{view.experience}/{c}")
                chosen = random_selection(len(rows), quota, draws)
            else:
                choose = herding if self.config.selection == "herding" else closest_to_mean
                chosen = choose(self._features(rows, view), quota)
            self.store.rows[view.experience, c] = rows[chosen]
        for c in view.classes_seen:
            for e, quota in shares(allowed[c], self.store.experiences(c)).items():
                self.store.rows[e, c] = self.store.rows[e, c][:quota]

    @torch.no_grad()
    def _features(self, rows: Tensor, view: ExperienceView) -> Tensor:
        """Features [n, d] in eval mode, no augmentation."""
        self.eval()
        return torch.cat([self._model.features(batch).cpu() for batch in view.batches(rows)])

    def cost(self) -> dict[str, float]:
        return {"memory_rows": float(len(self.memory()))}


METHOD = ER
