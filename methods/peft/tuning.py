"""What all tuners of text encoders share: the step, the optimizer, replay, EWC, and a tuner an experience.

Source: Obadinma, Guo, Zhu, RepL4NLP 2023, arXiv 2303.02577; what that paper leaves open is a field here
(docs/methods/peft.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import OptimizerSpec, Stage, StepContext, StepResult, UnfitError
from ..continual.anchors import Anchors
from ..continual.er import ER
from ..networks.protocols import Requires, TextModel
from ..networks.tuners import Tuner
from .objective import Encode, Objective, ObjectiveConfig


def rate(low: float, high: float) -> dict[str, Any]:
    """``json_schema_extra`` of a learning rate that a sweep looks for between two values."""
    return {"sweep": {"low": low, "high": high, "log": True}}


class TuningConfig(ObjectiveConfig):
    """How a tuner is trained, and what it does over a sequence of tasks."""

    lr: float = Field(5e-4, gt=0, le=1, description="learning rate of the tuner", json_schema_extra=rate(1e-4, 1e-2))
    head_lr: float | None = Field(None, gt=0, le=1, description="of the head; null: that of the tuner")
    weight_decay: float = Field(0.01, ge=0, le=1, description="of AdamW; prefixes, prompts, biases and norms have none")
    ewc: float = Field(0.0, ge=0, description="λ of elastic weight consolidation on what is trained; 0: none")
    fisher_rows: int = Field(200, ge=1, description="of ewc: rows on which the Fisher information is measured")
    per_experience: bool = Field(
        False, description="a tuner and a head of its own for every experience, chosen by a row's task; else shared"
    )


class Tuning(ER[TextModel]):
    """L = CE(W drop(z) + b, y), with Mixup and a contrastive term where the config says so; what is trained is the
    tuner and the head.

    Subclasses say which tuner: :meth:`tuner_of`. A memory replays rows, which have their raw text.
    """

    Config: ClassVar[type[TuningConfig]] = TuningConfig
    config: TuningConfig
    requires: ClassVar[Requires] = Requires(model=TextModel, columns=("label", "source_id", "altered"))
    costs: ClassVar[dict[str, str]] = {
        "memory_rows": "rows held in memory",
        "trained_parameters": "parameters of tuner and head that are trained",
    }

    def __init__(self, config: TuningConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self._model.tune(self.tuner_of)
        if self._model.info.choices and config.contrasts:
            raise UnfitError("contrast: the alternatives of a choice task have no class in common: set it to none")
        if config.per_experience and not (self._model.info.tasks and hasattr(model, "allowed")):
            raise UnfitError("per_experience: needs data with tasks in sequence, and model.options.task_known: true")
        self.objective = Objective(config, self._model.d_out)
        self.batching = "classes" if config.balanced else config.batching
        self.anchors = Anchors(model)
        self.bank: dict[int, dict[str, Tensor]] = {}  # task -> what was trained for it
        self._first = self._values() if config.per_experience else {}

    def tuner_of(self, net: Any) -> Tuner:
        """The tuner around the encoder ``net``."""
        raise NotImplementedError(f"{type(self).__name__} must define tuner_of")

    # -- training --------------------------------------------------------------------------------------------------

    def stages(self, view: ExperienceView) -> list[Stage]:
        """One stage by AdamW: tuner and head, each with and without weight decay."""
        model, config = self._model, self.config
        free = {id(p) for p in model.tuner.undecayed()}
        head = [*model.head.parameters(), *self.objective.parameters()]
        groups = []
        for parameters, lr in ((model.tuner.trained(model.net), config.lr), (head, config.head_lr or config.lr)):
            for decayed in (True, False):
                chosen = [p for p in parameters if (p.dim() > 1 and id(p) not in free) == decayed]
                decay = config.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "lr": lr, "weight_decay": decay})
        spec = OptimizerSpec([group for group in groups if group["params"]], "AdamW", {"lr": config.lr})
        return [Stage(optimizers={"main": spec})]

    def training_step(self, batch: Batch, ctx: StepContext) -> StepResult:  # type: ignore[override]
        made = self.objective.loss(self._model, batch, ctx, self.encoding(ctx.view))
        if not self.anchors.tables:
            return made
        task, penalty = made["loss"], self.config.ewc / 2 * self.anchors.penalty()
        return {**made, "loss": task + penalty, "loss/penalty": penalty}

    def encoding(self, view: ExperienceView) -> Encode:
        """What makes representations of training rows."""
        return self._model.encode

    def compared_parameters(self) -> list[nn.Parameter]:
        return list(self._model.tuner.trained(self._model.net)) or list(self._model.head.parameters())

    # -- a sequence of experiences -----------------------------------------------------------------------------------

    def candidates(self, view: ExperienceView) -> Tensor:
        """Rows whose alteration is used, and originals."""
        return self.objective.sources(view).kept(view.index)

    def before_experience(self, view: ExperienceView) -> None:
        if self._replays(view):
            super().before_experience(view)
        if self.config.per_experience and view.experience:
            self._use(self._first)

    def after_experience(self, view: ExperienceView) -> None:
        if self._replays(view):
            super().after_experience(view)
        if self.config.ewc and view.experience + 1 < view.n_experiences:
            self.anchors.join(self.fisher(view))
        if self.config.per_experience:
            for task in view.labels("task").unique().tolist():
                self.bank[task] = self._values()

    def _replays(self, view: ExperienceView) -> bool:
        return self.memory_rows(view) > 0

    def fisher(self, view: ExperienceView) -> dict[str, Tensor]:
        """The mean over rows of the squared gradient of a row's own -log p(y | x), in evaluation mode, of every trained
        parameter; the rows are drawn by (seed, experience). Kirkpatrick et al., PNAS 2017, with the empirical Fisher.
        """
        rows = self.candidates(view)
        order = torch.randperm(len(rows), generator=generator(self.seed, f"ewc/fisher/{view.experience}"))
        rows = rows[order[: self.config.fisher_rows].sort().values]
        self.eval()
        parameters, total = self.anchors.parameters_by_name(), self.anchors.zeros()
        for row in rows:
            batch = view.gather(row[None])
            logits = self._model.logits(self._model.encode(batch), batch).float()
            surprise = F.cross_entropy(logits, batch["label"])
            gradients = torch.autograd.grad(surprise, list(parameters.values()), allow_unused=True)
            for name, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    total[name] += gradient**2 / len(rows)
        return total

    def _trained(self) -> dict[str, nn.Parameter]:
        return self.anchors.parameters_by_name()

    def _values(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self._trained().items()}

    @torch.no_grad()
    def _use(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self._trained().items():
            parameter.copy_(values[name])

    # -- answers -----------------------------------------------------------------------------------------------------

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """The model's; with a tuner an experience, each row's by that of its task."""
        if not self.bank or "task" not in batch:
            return super().predict(batch)
        now, made = self._values(), dict[str, Tensor]()
        for task in batch["task"].unique().tolist():
            rows = (batch["task"] == task).nonzero().flatten()
            self._use(self.bank.get(task, now))
            for name, value in super().predict({key: column[rows] for key, column in batch.items()}).items():
                if name not in made:
                    made[name] = value.new_zeros(len(batch["task"]), *value.shape[1:])
                made[name][rows] = value
        self._use(now)
        return made

    def export(self, folder: Path) -> None:
        """:meth:`save`, of a tuner that leaves the encoder as it is: an encoder is in the checkpoint already."""
        if not self._model.tuner.whole:
            self.save(folder)

    def save(self, folder: Path) -> None:
        """The adapter as peft reads it (the whole encoder, where it is trained), and ``head.safetensors``: ``weight``
        [C, H] and ``bias`` [C] of the linear layer over the sentence representation.
        """
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        self._model.tuner.save(self._model.net, folder)
        head = {name: value.detach().cpu().contiguous() for name, value in self._model.head.state_dict().items()}
        save_file(head, folder / "head.safetensors")

    def cost(self) -> dict[str, float]:
        return {**super().cost(), "trained_parameters": float(sum(p.numel() for p in self._trained().values()))}

    def get_extra_state(self) -> dict[str, Any]:
        return {f"{task}": values for task, values in self.bank.items()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.bank = {int(task): dict(values) for task, values in state.items()}
