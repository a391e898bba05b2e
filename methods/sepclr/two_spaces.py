"""What the trained methods of contrastive analysis share: batches of both groups, two views, replay, predictions."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ...datasets.core.seeds import derive, generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import Method, UnfitError, protocol
from ..continual.memory import Memory, MemoryConfig, random_selection
from ..networks.protocols import ContrastModel, Requires

BACKGROUND, TARGET = 0, 1


class TwoSpacesConfig(MemoryConfig):
    """Batches and, where the stream has several experiences, the memory."""

    memory_share: float | None = Field(
        0.05,
        ge=0,
        le=1,
        description="of a stream of several experiences: share of the training rows that are kept, half of each group; "
        "null: memory_rows says it",
        json_schema_extra=protocol(),
    )
    least_rows: int = Field(
        2,
        ge=0,
        le=4096,
        description="rows of each group that a batch has at least: more are drawn from the experience and the memory; "
        "0: batches as they come",
        json_schema_extra=protocol(),
    )


class TwoSpaces(Method[ContrastModel]):
    """A method on background and target rows. ``predict`` gives what the evaluator reads: ``common``, ``salient``
    (representations [B, d]), ``common_code`` (unit length) and ``salient_code``.
    """

    Config: ClassVar[type[TwoSpacesConfig]] = TwoSpacesConfig
    config: TwoSpacesConfig
    requires: ClassVar[Requires] = Requires(model=ContrastModel, columns=("target",))
    costs: ClassVar[dict[str, str]] = {"memory_rows": "rows held in memory"}

    def __init__(self, config: TwoSpacesConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.store = Memory()
        self._rows: tuple[int, list[Tensor]] | None = None  # (experience, rows of each group); made anew when needed

    # -- batches ---------------------------------------------------------------------------------------------------

    def grouped(self, batch: Batch, view: ExperienceView, iteration: int) -> Batch:
        """The batch with ``least_rows`` or more of each group that the experience and the memory have rows of; what is
        missing is drawn from (seed, iteration) alone.
        """
        target = batch["target"]
        counts = torch.stack([target == BACKGROUND, target == TARGET]).sum(1).tolist()  # one wait for the device
        for group, count in zip((BACKGROUND, TARGET), counts, strict=True):
            missing = self.config.least_rows - count
            if missing <= 0:
                continue
            rows = self._rows_of(view)[group]
            if not len(rows):
                continue
            draws = generator(self.seed, f"groups/{iteration}/{group}")
            more = view.gather(rows[torch.randint(len(rows), (missing,), generator=draws)])
            more["is_memory"] = torch.isin(more["index"], view.memory.to(more["index"].device))
            batch = {name: torch.cat([value, more[name]]) if name in more else value for name, value in batch.items()}
        return batch

    def _rows_of(self, view: ExperienceView) -> list[Tensor]:
        if self._rows is None or self._rows[0] != view.experience:
            rows = torch.cat([view.index, view.memory])
            target = view.labels("target", rows)
            self._rows = view.experience, [rows[target == group] for group in (BACKGROUND, TARGET)]
        return self._rows[1]

    @torch.no_grad()
    def views(self, batch: Batch, augment: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two random views of each row, [B, ...]."""
        x = self._model.inputs(batch)
        return self._model.view(x, augment), self._model.view(x, augment)

    @staticmethod
    def counts(target: Tensor) -> dict[str, Tensor]:
        """Rows of each group, for the journal."""
        return {"n_bg": (target == BACKGROUND).sum().float(), "n_tg": (target == TARGET).sum().float()}

    # -- streams ---------------------------------------------------------------------------------------------------

    def memory(self) -> Tensor:
        return self.store.all()

    def before_experience(self, view: ExperienceView) -> None:
        self._rows = None
        if not bool((view.labels("target") == TARGET).any()):
            raise UnfitError(f"experience {view.experience} has no target row: there is nothing to separate")
        if view.n_experiences > 1 and 0 < self.config.rows(view.n_train) < 2 * view.n_experiences:
            raise UnfitError(
                f"a memory of {self.config.rows(view.n_train)} rows has none for both groups of each of "
                f"{view.n_experiences} experiences: set memory_rows >= {2 * view.n_experiences}, a larger "
                "memory_share, or 0 for no replay"
            )

    def after_experience(self, view: ExperienceView) -> None:
        """Keep rows of both groups: the memory is shared equally by experiences and groups."""
        rows = self.config.rows(view.n_train)
        if view.n_experiences == 1 or not rows:
            return
        quota = rows // (2 * (view.experience + 1))
        target = view.labels("target")
        for group in (BACKGROUND, TARGET):
            own = view.index[target == group]
            if len(own):
                draws = generator(self.seed, f"memory/{view.experience}/{group}")
                self.store.rows[view.experience, group] = own[random_selection(len(own), quota, draws)]
        self.store.rows = {key: kept[:quota] for key, kept in self.store.rows.items()}

    def cost(self) -> dict[str, float]:
        return {"memory_rows": float(len(self.memory()))}

    # -- predictions -----------------------------------------------------------------------------------------------

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        model = self._model
        common, salient = model.encode(model.inputs(batch))
        return predictions(common, salient, model.common.project(common), model.salient.project(salient))


class OneSpace(TwoSpaces):
    """A method that knows no salient space: what the common encoder gives fills both columns."""

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        tower = self._model.common
        r = tower(self._model.inputs(batch))
        code = F.normalize(tower.project(r).float(), dim=1)
        return {"common": r, "salient": r, "common_code": code, "salient_code": code}


def predictions(common: Tensor, salient: Tensor, common_code: Tensor, salient_code: Tensor) -> dict[str, Tensor]:
    """What the evaluator reads; the common code gets unit length."""
    unit = F.normalize(common_code.float(), dim=1)
    return {"common": common, "salient": salient, "common_code": unit, "salient_code": salient_code.float()}


def perceptron(d_in: int, hidden: int, d_out: int, seed: int, purpose: str) -> nn.Sequential:
    """Two hidden layers, weights from (seed, purpose)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, purpose))
        return nn.Sequential(
            *(nn.Linear(d_in, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, d_out))
        )


def held(module: nn.Module, *inputs: Any) -> Tensor:
    """The module's output, its parameters being constants: gradients reach the inputs alone."""
    parameters = {name: value.detach() for name, value in module.named_parameters()}
    out: Tensor = functional_call(module, parameters, inputs)
    return out
