"""Any Method as an Avalanche strategy. It alone calls zero_grad, backward, clip and step (docs/contracts.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from avalanche.core import BasePlugin
from avalanche.training.plugins import EvaluationPlugin
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from ...datasets.core.table import Batch, Table
from ...datasets.core.view import ExperienceView, Sidecar
from ..base import Method, Stage, StepContext, StepResult, Update
from ..networks.dropout import attach
from . import sampler, timing
from .diagnostics import gradient_shares
from .generators import Generators
from .means import Means
from .optimizers import build_optimizer, build_schedule, default_spec, parameters_of
from .plugins import refuse_loss_plugins, silent_evaluator
from .settings import NonFiniteLossError, Observer, TrainingSettings
from .shell import AvalancheShell


class MethodStrategy(AvalancheShell):
    """Runs a :class:`~holdfast.methods.base.Method` inside Avalanche's events; a :class:`~.trainer.Trainer`.

    Forward and iteration events fire once a batch, ``before_backward`` to ``after_update`` once an Update. Events that
    no plugin listens to cost nothing. Plugins that add to ``strategy.loss`` or re-run ``mb_x`` are refused (TypeError)
    on stages whose step is a generator of Updates; a classification metric is refused on tables without a class column.
    """

    def __init__(
        self,
        *,
        method: Method,
        settings: TrainingSettings,
        seed: int = 0,
        device: str | torch.device = "cpu",
        observer: Observer | None = None,
        plugins: Sequence[BasePlugin[Any]] = (),
        evaluator: EvaluationPlugin | None = None,
    ) -> None:
        placeholder = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=0.0)
        super().__init__(
            model=method,
            optimizer=placeholder,
            train_mb_size=settings.batch_size,
            train_epochs=settings.epochs,
            eval_mb_size=settings.eval_batch_size,
            device=device,
            plugins=list(plugins),
            evaluator=evaluator or silent_evaluator(),
        )
        self.method, self.settings, self.seed = method, settings, seed
        self.observer = observer
        self.device = torch.device(device)
        self.sidecar = Sidecar()
        self.generators = Generators(seed, self.device)
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.schedulers: dict[str, LRScheduler] = {}
        self.scaler = torch.amp.grad_scaler.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        self._stop_training: bool = False
        self.iteration = 0  # batches, over the whole run
        # Where training stands; `step` counts optimizer steps of this stage, and an epoch makes `steps_per_epoch`
        self.position = {"experience": 0, "stage": 0, "epoch": 0, "batch": 0, "step": 0, "steps_per_epoch": 0}
        self.means = Means()  # of what the next journal point says
        self.view: ExperienceView | None = None
        self.stages: list[Stage] = []  # of the experience that is trained
        self._resume = False  # the next experience goes on at `position`
        self._ends: dict[str, int] = {}  # scheduler -> the step at which its rate stays
        self._open: set[str] = set()  # optimizers with gradients of this step
        if settings.compile:
            method.model.compile()
        refuse_loss_plugins(self.plugins, method.training_step, type(method).__name__)

    # -- what a run asks -------------------------------------------------------------------------------------------

    between_steps = True  # a state may be taken after any step

    def course(self) -> list[tuple[str, int]]:
        """Names and epochs of the stages of the experience in training."""
        return [(stage.name, self.epochs_of(stage, self.view)) for stage in self.stages] if self.view else []

    def planned_steps(self, experience: Any) -> int:
        """Batches of a stream's experience (:func:`.timing.planned_steps`)."""
        return timing.planned_steps(self, experience)

    def seconds_a_step(self, experience: Any) -> float:
        """Measured (:func:`.timing.seconds_a_step`); the strategy is of no use afterwards."""
        return timing.seconds_a_step(self, experience)

    # -- batches ---------------------------------------------------------------------------------------------------

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """The method's predictions of a batch, in the mode (training or evaluation) that it is in."""
        return self.method.predict(batch)

    def evaluation_batches(self, table: Table, rows: Tensor, skip: int = 0) -> Iterator[Batch]:
        """Batches of ``rows`` on the device, every row once (:func:`.sampler.evaluation_batches`)."""
        return sampler.evaluation_batches(table, rows, self.eval_mb_size, self.device, *self.settings.loading, skip)

    def batches_of_epoch(self, stage: int, epoch: int) -> sampler.Rows:
        """(row ids [B], is_memory [B]) of every batch of an epoch of the experience in training
        (:func:`.sampler.rows_of_epoch`).
        """
        if self.view is None:
            raise RuntimeError("no experience is being trained")
        return sampler.rows_of_epoch(
            self.view,
            self.method.memory(),
            batching=self.method.batching,
            batch_size=self.settings.batch_size,
            seed=self.seed,
            stage=stage,
            epoch=epoch,
        )

    def load(self, rows: sampler.Rows) -> Iterator[Batch]:
        """The batches of :meth:`batches_of_epoch` on the device."""
        return sampler.loaded(self._table, rows, self.device, *self.settings.loading)

    # -- the loop --------------------------------------------------------------------------------------------------

    def ensure_view(self, experience: Any) -> ExperienceView:
        """The view of ``experience``, made when it is first asked for (:func:`.sampler.view_of`)."""
        if self.view is None or self.view.experience != experience.current_experience:
            self.view = sampler.view_of(
                experience,
                memory=self.method.memory().cpu(),
                batch_size=self.settings.batch_size,
                seed=self.seed,
                device=self.device,
                sidecar=self.sidecar,
            )
            self._table: Table = experience.table
        return self.view

    def epochs_of(self, stage: Stage, view: ExperienceView) -> int:
        """Epochs of a stage: its own, else the recipe's (the first experience may have others) and ``stage.more``."""
        if stage.epochs is not None:
            return stage.epochs
        first = self.settings.epochs_first if view.experience == 0 else None
        return (first or self.settings.epochs) + stage.more

    def _train_exp(self, experience: Any, eval_streams: Any = None, **kwargs: Any) -> None:
        view = self.ensure_view(experience)
        resumed, self._resume = self._resume, False
        if not resumed:
            self.method.before_experience(view)
        stages = self.stages = self.method.stages(view)
        for number in range(self.position["stage"] if resumed else 0, len(stages)):
            stage = stages[number]
            if not resumed:
                self.position.update(experience=view.experience, stage=number, epoch=0, batch=0)
                self.method.before_stage(stage, view)
                self.begin_stage(stage, view)
            for epoch in range(self.position["epoch"], self.epochs_of(stage, view)):
                if not resumed:
                    self.position.update(epoch=epoch, batch=0)
                resumed = False
                self._epoch(stage, view, **kwargs)
                if self._stop_training:
                    self._stop_training = False
                    break
            resumed = False
            self.flush()  # a journal point speaks of one stage
            self.method.after_stage(stage, view)
            if self.observer is not None:
                self.observer.after_stage(self, stage)
        if self.observer is not None:
            self.observer.end_of_stages(self)
        self.method.after_experience(view)

    def begin_stage(self, stage: Stage, view: ExperienceView, steps_per_epoch: int | None = None) -> None:
        """New optimizers and schedules for a stage; its optimizer steps are counted from 0.

        ``steps_per_epoch`` is that of a state in which the stage had begun; None: what the sampler makes now.
        """
        settings = self.settings
        refuse_loss_plugins(self.plugins, self.step_of(stage), type(self.method).__name__)
        specs = stage.optimizers
        if specs is None:
            specs = {"main": default_spec(self.method, settings.optimizer, settings.optimizer_arguments)}
        self.optimizers = {name: build_optimizer(spec) for name, spec in specs.items()}
        if steps_per_epoch is None:
            batches = len(self.batches_of_epoch(self.position["stage"], 0))
            steps_per_epoch = math.ceil(batches / settings.accumulate)
            self.position["step"] = 0
        self.position["steps_per_epoch"] = steps_per_epoch
        self.schedulers, self._ends = {}, {}
        for name, spec in specs.items():
            optimizer, epochs = self.optimizers[name], self.epochs_of(stage, view)
            scheduler, end = build_schedule(optimizer, spec, settings, steps_per_epoch, epochs)
            if scheduler is not None:
                self.schedulers[name] = scheduler
            if end is not None:
                self._ends[name] = end
        self._open.clear()
        attach(self.method, self.generators.dropout)
        if "main" in self.optimizers:
            self.optimizer = self.optimizers["main"]

    def step_of(self, stage: Stage) -> Callable[[Batch, StepContext], StepResult]:
        """What runs on each batch of a stage."""
        return self.method.training_step if stage.step is None else stage.step

    def context(self, stage: Stage, view: ExperienceView) -> StepContext:
        """Where the next step of a stage that has begun stands."""
        at = self.position
        total = at["steps_per_epoch"] * self.epochs_of(stage, view)
        return StepContext(view, stage.name, at["epoch"], self.iteration, self.generators.augment, at["step"], total)

    def _epoch(self, stage: Stage, view: ExperienceView, **kwargs: Any) -> None:
        at = self.position
        rows = self.batches_of_epoch(at["stage"], at["epoch"])
        ctx = self.context(stage, view)
        start = at["batch"]
        self.trigger("before_training_epoch", **kwargs)
        if start == 0:
            self.method.before_epoch(ctx)
        if self.observer is not None:
            self.observer.epoch_batches(self, len(rows))
        self.method.train()
        step = self.step_of(stage)
        accumulate = self.settings.accumulate
        last = len(rows) - 1
        with torch.set_grad_enabled(stage.gradients):
            for number, batch in enumerate(self.load(rows[start:]), start):
                ctx.iteration, ctx.step = self.iteration, at["step"]
                self.mbatch = batch
                self.trigger("before_training_iteration", **kwargs)
                whole = accumulate == 1 or (number + 1) % accumulate == 0 or number == last
                self.run_step(step, batch, ctx, whole, **kwargs)
                self.iteration += 1
                at["batch"] = number + 1
                at["step"] += whole
                self.trigger("after_training_iteration", **kwargs)
                if self.iteration % self.settings.log_every == 0:
                    self.flush()
                if whole and self.observer is not None:
                    self.observer.after_iteration(self)
        self.method.after_epoch(ctx)
        self.trigger("after_training_epoch", **kwargs)
        if self.observer is not None:
            self.observer.after_epoch(self)

    def _autocast(self) -> Any:
        if self.settings.precision == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if self.settings.precision == "bf16" else torch.float16
        return torch.autocast(self.device.type, dtype=dtype)

    def run_step(
        self,
        step: Callable[[Batch, StepContext], StepResult],
        batch: Batch,
        ctx: StepContext,
        whole: bool,
        **kwargs: Any,
    ) -> None:
        """Forward and every Update of one batch; optimizers move where it is ``whole``, the last of an accumulation."""
        self.trigger("before_forward", **kwargs)
        with self._autocast():
            result = step(batch, ctx)
        if isinstance(result, dict):
            self.mb_output = result.pop("output", None)
            self.trigger("after_forward", **kwargs)
            loss = result.pop("loss")
            self._update(Update(loss, logs=result), whole, **kwargs)
            return
        first = True
        while True:
            with self._autocast():
                update = next(result, None)
            if first:
                self.trigger("after_forward", **kwargs)
                first = False
            if update is None:
                return
            self._update(update, whole, **kwargs)

    def _update(self, update: Update, whole: bool, **kwargs: Any) -> None:
        settings = self.settings
        self.loss = update.loss / settings.accumulate if settings.accumulate > 1 else update.loss
        self.trigger("before_backward", **kwargs)
        optimizer = self.optimizers[update.optimizer]
        if update.optimizer not in self._open:  # gradients that another optimizer's loss left here do not count
            optimizer.zero_grad(set_to_none=True)
            self._open.add(update.optimizer)
        logs = update.logs
        if update.losses:
            logs = {**{f"loss/{name}": loss for name, loss in update.losses.items()}, **logs}
        diagnosed = settings.gradients > 0 and self.iteration % settings.gradients == 0
        if diagnosed:
            compared = self.method.compared_parameters()
            for name, value in gradient_shares(update.loss, logs, compared, parameters_of(optimizer)).items():
                self.means.add(name, value)
        self._backward(update, optimizer)
        self.trigger("after_backward", **kwargs)
        self.means.add("loss" if update.optimizer == "main" else f"loss/{update.optimizer}", update.loss)
        for name, value in logs.items():
            self.means.add(name, value)
        if update.step and whole:
            self._move(update.optimizer, diagnosed, **kwargs)

    def _backward(self, update: Update, optimizer: torch.optim.Optimizer) -> None:
        aggregator = (update.aggregator or self.method.aggregator()) if update.losses else None
        if aggregator is None:
            self.scaler.scale(self.loss).backward(retain_graph=update.retain)
            return
        parts = self.settings.accumulate
        losses = {name: self.scaler.scale(loss / parts) for name, loss in update.losses.items()}
        aggregator(losses, parameters_of(optimizer))

    def _move(self, name: str, diagnosed: bool, **kwargs: Any) -> None:
        """Clip, optimizer step, schedule step."""
        clip, optimizer = self.settings.clip, self.optimizers[name]
        self.trigger("before_update", **kwargs)
        if clip is not None:
            self.scaler.unscale_(optimizer)
            norm = nn.utils.clip_grad_norm_(parameters_of(optimizer), clip)
            if diagnosed:
                self.means.add("gradient/norm", norm)
                self.means.add("gradient/clipped", (norm > clip).float())
        self.scaler.step(optimizer)
        self.scaler.update()
        scheduler = self.schedulers.get(name)
        if scheduler is not None and (name not in self._ends or scheduler.last_epoch < self._ends[name]):
            scheduler.step()
        self._open.discard(name)
        self.trigger("after_update", **kwargs)

    def flush(self) -> None:
        """Hand the means since the last flush to the observer; the only place where losses leave the device.

        Raises NonFiniteLossError where a mean is NaN or infinite.
        """
        values = self.means.take()
        if values and self.observer is not None:
            self.observer.points(values, self.iteration)
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise NonFiniteLossError(f"{', '.join(bad)} became non-finite by iteration {self.iteration}")

    # -- state -----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that a run is, between two steps: tensors, numbers and strings alone (loadable with
        ``weights_only=True``).
        """
        state: dict[str, Any] = {
            "method": self.method.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "schedulers": {name: s.state_dict() for name, s in self.schedulers.items()},
            "scaler": self.scaler.state_dict(),
            **self.generators.state_dict(),
            "sidecar": self.sidecar.state_dict(),
            "at": dict(self.position),
            "iteration": self.iteration,
            "pending": self.means.state_dict(),
            "clock": {k: v for k, v in vars(self.clock).items() if isinstance(v, int)},
        }
        return state

    def load_state_dict(self, state: Mapping[str, Any], *, experience: Any = None) -> None:
        """Resume where :meth:`state_dict` was made; ``experience`` is the one that was being trained (None: between
        two).
        """
        self.method.load_state_dict(state["method"])
        self.method.to(self.device)
        self.sidecar.load_state_dict(state["sidecar"])
        self.position = {**self.position, **state["at"]}
        self.iteration = state["iteration"]
        if experience is not None:
            view = self.ensure_view(experience)
            stage = self.method.stages(view)[self.position["stage"]]
            self.begin_stage(stage, view, state["at"].get("steps_per_epoch"))
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(state["optimizers"][name])
            for name, scheduler in self.schedulers.items():
                scheduler.load_state_dict(state["schedulers"][name])
            self._resume = True
        self.scaler.load_state_dict(state["scaler"])
        self.means.load_state_dict(state["pending"], self.device)
        self.clock.__dict__.update(state["clock"])
        self.generators.load_state_dict(state)
