"""THE adapter: any Method as an Avalanche strategy. It alone calls zero_grad, backward, clip and step (docs/contracts.md)."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from avalanche.core import BasePlugin, BaseSGDPlugin, SupervisedPlugin
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.plugins.clock import Clock
from avalanche.training.templates.base_sgd import BaseSGDTemplate, PeriodicEval
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ...datasets.core.sampling import epoch_batches
from ...datasets.core.seeds import derive, generator
from ...datasets.core.table import Batch, Table
from ...datasets.core.view import ExperienceView, Sidecar
from ..base import Method, OptimizerSpec, Stage, StepContext, Update
from .diagnostics import gradient_shares
from .schedules import Schedule, factor_of


class NonFiniteLossError(RuntimeError):
    """A loss became NaN or infinite."""


@dataclass(frozen=True)
class TrainingSettings:
    """What the recipe's ``train`` section says to the loop (defaults: the plainest loop)."""

    epochs: int = 1
    epochs_first: int | None = None
    batch_size: int = 32
    eval_batch_size: int = 128
    optimizer: str = "AdamW"
    optimizer_arguments: Mapping[str, Any] | None = None
    schedule: Schedule = "constant"
    warmup_steps: int = 0
    milestones: Sequence[int] = ()
    gamma: float = 0.1
    clip: float | None = None
    accumulate: int = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    path: Literal["memory", "loader"] = "memory"
    log_every: int = 50
    gradients: int = 0


class Observer(Protocol):
    """What a run hears from the loop."""

    def points(self, values: dict[str, float], step: int) -> None:
        """Means since the last call, at a global iteration."""

    def after_iteration(self, strategy: MethodStrategy) -> None:
        """A step ended: the place for a checkpoint. No optimizer state is half-way here."""

    def epoch_batches(self, strategy: MethodStrategy, n_batches: int) -> None:
        """An epoch begins (or is taken up again) with this many batches."""

    def after_epoch(self, strategy: MethodStrategy) -> None:
        """An epoch ended: the place for validation."""

    def after_stage(self, strategy: MethodStrategy, stage: Stage) -> None:
        """A stage ended: the place for checks that need what the method may not see."""

    def end_of_stages(self, strategy: MethodStrategy) -> None:
        """All stages ended; the method's ``after_experience`` comes next."""


def _silent_evaluator() -> EvaluationPlugin:
    """No metrics, no loggers: the run evaluates; without Avalanche's warning that this is so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No loggers specified")
        return EvaluationPlugin()


def _noop(function: Any, base: type) -> bool:
    return function is getattr(base, function.__name__, None)


def _listens(plugin: object, event: str) -> bool:
    """Whether ``plugin`` does anything on ``event`` (base classes' empty methods do not count)."""
    if isinstance(plugin, EvaluationPlugin):
        return bool(plugin.metrics or plugin.loggers)
    if isinstance(plugin, PeriodicEval) and plugin.eval_every < 0:
        return False
    function = getattr(type(plugin), event, None)
    return function is not None and not any(
        _noop(function, base) for base in (BasePlugin, BaseSGDPlugin, SupervisedPlugin)
    )


class MethodStrategy(BaseSGDTemplate[Any, Any, Any]):
    """Runs a :class:`~holdfast.methods.base.Method` inside Avalanche's events.

    Forward and iteration events fire once a batch, ``before_backward`` to ``after_update`` once an Update. Events that no plugin
    listens to cost nothing. Plugins that add to ``strategy.loss`` or re-run ``mb_x`` are refused (TypeError) on methods whose step
    is a generator of Updates; a classification metric is refused on tables without a class column.
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
            evaluator=evaluator or _silent_evaluator(),
        )
        self.method, self.settings, self.seed = method, settings, seed
        self.observer = observer
        self.device = torch.device(device)
        self.sidecar = Sidecar()
        self.augment = generator(seed, "augment")
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.schedulers: dict[str, torch.optim.lr_scheduler.LRScheduler] = {}
        self.scaler = torch.amp.grad_scaler.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        self._stop_training: bool = False
        self.iteration = 0  # over the whole run
        self.cursor: dict[str, int] | None = None  # where to take up: experience, stage, epoch, batch
        self.pending: dict[str, tuple[Tensor, int]] = {}
        self.view: ExperienceView | None = None
        self._at = {"experience": 0, "stage": 0, "epoch": 0, "batch": 0}
        self._open: set[str] = set()  # optimizers with gradients of this step
        if settings.compile:
            method.model.compile()
        self._refuse_plugins()
        self._listeners: dict[str, list[Callable[..., Any]]] = {}

    # -- what Avalanche asks of a strategy -------------------------------------------------------------------------

    def _refuse_plugins(self) -> None:
        if not inspect.isgeneratorfunction(type(self.method).training_step):
            return
        for plugin in self.plugins:
            if isinstance(plugin, EvaluationPlugin | Clock | PeriodicEval):
                continue
            events = [e for e in ("before_forward", "after_forward", "before_backward") if _listens(plugin, e)]
            if events:
                raise TypeError(
                    f"{type(plugin).__name__} listens to {', '.join(events)}, which makes sense only where a step has one loss; "
                    f"'{type(self.method).__name__}' updates several times a step. Use it on a single-update method."
                )

    def _refuse_metrics(self, table: Table) -> None:
        if "label" not in table.columns and any("Accuracy" in type(m).__name__ for m in self.evaluator.metrics):
            raise TypeError("a classification metric needs a class column 'label', which this data has not")

    def trigger(self, event: str, **kwargs: Any) -> None:
        """Fire one of Avalanche's events at the plugins that listen to it."""
        if event not in self._listeners:
            self._listeners[event] = [getattr(p, event) for p in self.plugins if _listens(p, event)]
        for listener in self._listeners[event]:
            listener(self, **kwargs)

    @property
    def mb_x(self) -> Any:
        batch: Any = self.mbatch
        return batch.get("x", batch)

    @property
    def mb_y(self) -> Tensor:
        batch: Any = self.mbatch
        return batch["label"]

    @property
    def mb_task_id(self) -> Tensor:
        batch: Any = self.mbatch
        return torch.zeros(len(batch["index"]), dtype=torch.int64, device=self.device)

    def train_dataset_adaptation(self, **kwargs: Any) -> None:
        self.adapted_dataset = self.experience.dataset

    def eval_dataset_adaptation(self, **kwargs: Any) -> None:
        self.adapted_dataset = self.experience.dataset

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Batches are made a epoch at a time (:meth:`batches_of_epoch`)."""

    def make_eval_dataloader(self, **kwargs: Any) -> None:
        experience: Any = self.experience
        self._refuse_metrics(experience.table)
        self.dataloader = self.evaluation_batches(experience.table, experience.rows)

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Optimizers belong to stages (:meth:`_begin_stage`)."""

    def model_adaptation(self, model: Any = None) -> Any:
        return self.model

    def make_optimizer(self, **kwargs: Any) -> None:
        """Optimizers belong to stages (:meth:`_begin_stage`)."""

    def _unpack_minibatch(self) -> None: ...

    def forward(self) -> Any:
        batch: Any = self.mbatch
        return self.method.predict(batch)

    def criterion(self) -> Tensor:
        return self._make_empty_loss()

    def _before_training_exp(self, **kwargs: Any) -> None:
        experience: Any = self.experience
        self._refuse_metrics(experience.table)
        super()._before_training_exp(**kwargs)

    # -- batches ---------------------------------------------------------------------------------------------------

    def evaluation_batches(self, table: Table, rows: Tensor) -> Iterator[Batch]:
        """Batches of ``rows`` on the device, longest together so that padding stays small; every row once."""
        lengths = table.sort_lengths()
        if lengths is not None:
            rows = rows[torch.argsort(lengths[rows], stable=True)]
        for part in rows.split(self.eval_mb_size):
            batch = table.gather(part)
            batch["is_memory"] = torch.zeros(len(part), dtype=torch.bool)
            yield {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}

    def batches_of_epoch(self, stage: int, epoch: int) -> list[tuple[Tensor, Tensor]]:
        """(row ids [B], is_memory [B]) of every batch of an epoch: a function of (seed, experience, stage, epoch) and the memory."""
        view = self._view()
        memory = view.admit(self.method.memory())
        order = generator(self.seed, f"sampler/{view.experience}/{stage}/{epoch}")
        if self.method.batching == "balanced" and len(memory):
            half = self.settings.batch_size // 2
            parts = epoch_batches(
                len(view.index), self.settings.batch_size - half, order, view.sort_lengths(view.index)
            )
            batches = []
            for part in parts:
                drawn = memory[torch.randint(len(memory), (min(half, len(part)),), generator=order)]
                is_memory = torch.cat(
                    [torch.zeros(len(part), dtype=torch.bool), torch.ones(len(drawn), dtype=torch.bool)]
                )
                batches.append((torch.cat([view.index[part], drawn]), is_memory))
            return batches
        rows = torch.cat([view.index, memory])
        positions = epoch_batches(len(rows), self.settings.batch_size, order, view.sort_lengths(rows))
        n_new = len(view.index)
        return [(rows[p], p >= n_new) for p in positions]

    def load(self, batches: list[tuple[Tensor, Tensor]]) -> Iterator[Batch]:
        """The batches of :meth:`batches_of_epoch` on the device."""
        device, table = self.device, self._table
        if self.settings.path == "loader":
            gathered: Any = DataLoader(
                _Gather(table, batches), batch_size=None, generator=torch.Generator()
            )  # its own generator: a loader draws a seed from the global one otherwise
        else:
            gathered = _Gather(table, batches)
        for batch in gathered:
            if device.type == "cpu":
                yield batch
            else:
                yield {name: value.to(device, non_blocking=True) for name, value in batch.items()}

    # -- the loop --------------------------------------------------------------------------------------------------

    def _view(self) -> ExperienceView:
        if self.view is None:
            raise RuntimeError("no experience is being trained")
        return self.view

    def _ensure_view(self, experience: Any) -> ExperienceView:
        """The view of ``experience``, worked out from its stream. ValueError where the memory holds rows that no earlier experience had."""
        number = experience.current_experience
        if self.view is None or self.view.experience != number:
            try:
                stream = list(experience.origin_stream)
            except Exception:  # an experience that stands alone: what came before is not known
                stream = [experience]
            memory = self.method.memory().cpu()
            if len(stream) > number and len(memory):
                past = torch.cat([memory[:0], *(e.rows for e in stream[:number])])
                unseen = memory[~torch.isin(memory, past)]
                if len(unseen):
                    raise ValueError(f"the memory holds row {int(unseen[0])}, which no experience before {number} had")
            self.view = ExperienceView(
                experience=number,
                n_experiences=len(stream),
                index=experience.rows,
                classes=experience.classes,
                classes_earlier=tuple(dict.fromkeys(c for e in stream[:number] for c in e.classes)),
                n_classes=len({c for e in stream for c in e.classes}),
                n_train=sum(len(e.rows) for e in stream),
                table=experience.table,
                batch_size=self.settings.batch_size,
                seed=self.seed,
                device=self.device,
                sidecar=self.sidecar,
                memory=memory,
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
        view = self._ensure_view(experience)
        cursor, self.cursor = self.cursor, None
        if cursor is None:
            self.method.before_experience(view)
        stages = self.method.stages(view)
        first = cursor["stage"] if cursor else 0
        for number in range(first, len(stages)):
            stage = stages[number]
            self._at = {"experience": view.experience, "stage": number, "epoch": 0, "batch": 0}
            if cursor is None:
                self.method.before_stage(stage, view)
                self._begin_stage(stage, view)
            for epoch in range(cursor["epoch"] if cursor else 0, self.epochs_of(stage, view)):
                self._at.update(epoch=epoch, batch=cursor["batch"] if cursor else 0)
                cursor = None
                self._epoch(stage, view, **kwargs)
                if self._stop_training:
                    self._stop_training = False
                    break
            cursor = None
            self.method.after_stage(stage, view)
            if self.observer is not None:
                self.observer.after_stage(self, stage)
        if self.observer is not None:
            self.observer.end_of_stages(self)
        self.method.after_experience(view)
        self.flush()

    def _begin_stage(self, stage: Stage, view: ExperienceView) -> None:
        """Optimizers and schedules of a stage, new."""
        settings = self.settings
        specs = stage.optimizers
        if specs is None:
            parameters = [p for p in self.method.parameters() if p.requires_grad]
            specs = {"main": OptimizerSpec(parameters, settings.optimizer, dict(settings.optimizer_arguments or {}))}
        self.optimizers = {
            name: getattr(torch.optim, spec.name)(spec.parameters, **{"lr": 1e-3, **spec.arguments})
            for name, spec in specs.items()
        }
        batches = len(self.batches_of_epoch(self._at["stage"], 0))  # as the sampler makes them: balanced ones too
        factor = factor_of(
            settings.schedule,
            steps_per_epoch=math.ceil(batches / settings.accumulate),
            epochs=self.epochs_of(stage, view),
            warmup=settings.warmup_steps,
            milestones=settings.milestones,
            gamma=settings.gamma,
        )
        self.schedulers = {}
        if factor is not None:
            self.schedulers = {
                name: torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
                for name, optimizer in self.optimizers.items()
            }
        for name, spec in specs.items():
            if spec.factor is not None:
                self.schedulers[name] = torch.optim.lr_scheduler.LambdaLR(self.optimizers[name], spec.factor)
        self._open.clear()
        if "main" in self.optimizers:
            self.optimizer = self.optimizers["main"]

    def _epoch(self, stage: Stage, view: ExperienceView, **kwargs: Any) -> None:
        batches = self.batches_of_epoch(self._at["stage"], self._at["epoch"])
        ctx = StepContext(view, stage.name, self._at["epoch"], self.iteration, self.augment)
        start = self._at["batch"]
        self.trigger("before_training_epoch", **kwargs)
        if start == 0:
            self.method.before_epoch(ctx)
        if self.observer is not None:
            self.observer.epoch_batches(self, len(batches))
        self.method.train()
        step = getattr(self.method, stage.step)
        accumulate = self.settings.accumulate
        last = len(batches) - 1
        with torch.set_grad_enabled(stage.gradients):
            for number, batch in enumerate(self.load(batches[start:]), start):
                ctx.iteration = self.iteration
                self.mbatch = batch
                self.trigger("before_training_iteration", **kwargs)
                whole = accumulate == 1 or (number + 1) % accumulate == 0 or number == last
                self._step(step, batch, ctx, whole, **kwargs)
                self.iteration += 1
                self._at["batch"] = number + 1
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

    def _step(
        self, step: Callable[[Batch, StepContext], Any], batch: Batch, ctx: StepContext, whole: bool, **kwargs: Any
    ) -> None:
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
        every = settings.gradients
        diagnosed = every > 0 and self.iteration % every == 0
        if diagnosed:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            shares = gradient_shares(update.loss, update.logs, self.method.compared_parameters(), parameters)
            for name, value in shares.items():
                self._log(name, value)
        self.scaler.scale(self.loss).backward(retain_graph=update.retain)
        self.trigger("after_backward", **kwargs)
        self._log("loss" if update.optimizer == "main" else f"loss/{update.optimizer}", update.loss)
        for name, value in update.logs.items():
            self._log(name, value)
        if not (update.step and whole):
            return
        self.trigger("before_update", **kwargs)
        if settings.clip is not None:
            self.scaler.unscale_(optimizer)
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            norm = nn.utils.clip_grad_norm_(parameters, settings.clip)
            if diagnosed:
                self._log("gradient/norm", norm)
                self._log("gradient/clipped", (norm > settings.clip).float())
        self.scaler.step(optimizer)
        self.scaler.update()
        if update.optimizer in self.schedulers:
            self.schedulers[update.optimizer].step()
        self._open.discard(update.optimizer)
        self.trigger("after_update", **kwargs)

    # -- what the journal gets -------------------------------------------------------------------------------------

    def _log(self, name: str, value: Tensor) -> None:
        value = value.detach()
        held = self.pending.get(name)
        self.pending[name] = (value.clone() if held is None else held[0] + value, 1 if held is None else held[1] + 1)

    def flush(self) -> None:
        """Hand the means since the last flush to the observer; the only place where losses leave the device.

        Raises NonFiniteLossError where a mean is NaN or infinite.
        """
        if not self.pending:
            return
        means = torch.stack([total.double() / count for total, count in self.pending.values()]).tolist()
        values = dict(zip(self.pending, means, strict=True))
        self.pending = {}
        if self.observer is not None:
            self.observer.points(values, self.iteration)
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise NonFiniteLossError(f"{', '.join(bad)} became non-finite by iteration {self.iteration}")

    # -- state -----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that a run is, between two steps: tensors, numbers and strings alone (loadable with ``weights_only=True``)."""
        state: dict[str, Any] = {
            "method": self.method.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "schedulers": {name: _plain(s.state_dict()) for name, s in self.schedulers.items()},
            "scaler": self.scaler.state_dict(),
            "augment": self.augment.get_state(),
            "torch": torch.get_rng_state(),
            "sidecar": self.sidecar.state_dict(),
            "at": dict(self._at),
            "iteration": self.iteration,
            "pending": {name: (total, count) for name, (total, count) in self.pending.items()},
            "clock": {k: v for k, v in vars(self.clock).items() if isinstance(v, int)},
        }
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def load_state_dict(self, state: Mapping[str, Any], *, experience: Any = None) -> None:
        """Take up where :meth:`state_dict` was made; ``experience`` is the one that was being trained (None: between two)."""
        self.method.load_state_dict(state["method"])
        self.method.to(self.device)
        self.sidecar.load_state_dict(state["sidecar"])
        self._at = dict(state["at"])
        self.iteration = state["iteration"]
        if experience is not None:
            view = self._ensure_view(experience)
            stage = self.method.stages(view)[self._at["stage"]]
            self._begin_stage(stage, view)
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(state["optimizers"][name])
            for name, scheduler in self.schedulers.items():
                scheduler.load_state_dict(state["schedulers"][name])
            self.cursor = dict(self._at)
        self.scaler.load_state_dict(state["scaler"])
        self.augment.set_state(state["augment"])
        self.pending = {name: (total.to(self.device), count) for name, (total, count) in state["pending"].items()}
        self.clock.__dict__.update(state["clock"])
        torch.set_rng_state(state["torch"])
        if "cuda" in state and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self.device)


class _Gather(Dataset[Batch]):
    """The batches of an epoch, made when asked for: one piece of code for the in-memory path and the DataLoader."""

    def __init__(self, table: Table, batches: list[tuple[Tensor, Tensor]]) -> None:
        self.table, self.batches = table, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch:
        rows, is_memory = self.batches[number]
        batch = self.table.gather(rows)
        batch["is_memory"] = is_memory
        return batch

    def __iter__(self) -> Iterator[Batch]:
        return (self[number] for number in range(len(self.batches)))


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """A scheduler's state without its function."""
    return {name: value for name, value in state.items() if name != "lr_lambdas"} | {"lr_lambdas": [None]}


def seed_everything(seed: int) -> None:
    """Seed torch's global generator (dropout), which counts as one generator of a run; and NumPy's and Python's, for libraries."""
    import random

    import numpy as np

    value = derive(seed, "torch")
    torch.manual_seed(value)
    np.random.seed(value % 2**32)
    random.seed(value)
