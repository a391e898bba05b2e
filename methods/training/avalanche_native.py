"""The trainer of Avalanche's own strategies: our data, checkpoints and journal around its loop.

A checkpoint is a pickle of the strategy with the generators of torch, NumPy and Python, sealed
(:mod:`.sealed`): it is read by the installation that wrote it and by no other. It is taken between experiences; an
experience that was cut off is trained again from its beginning, and ends in the same numbers.
"""

from __future__ import annotations

import math
import random
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pickle import PicklingError
from typing import Any

import numpy as np
import torch
from avalanche import training
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metrics import accuracy_metrics, loss_metrics
from avalanche.logging import BaseLogger
from avalanche.training.plugins import EvaluationPlugin
from torch import Tensor, nn

from ...datasets.core.table import Batch, Table
from ..base import Stage, UnfitError
from ..continual.avalanche import Avalanche
from . import avalanche_adapters as adapters
from . import avalanche_names, sampler, sealed
from .avalanche_data import benchmark_of, parts
from .avalanche_pickle import References, dumped, loaded
from .means import Means
from .optimizers import build_optimizer, default_spec
from .schedules import first_line
from .settings import NonFiniteLossError, Observer, TrainingSettings

STEP_LOSS = "Loss_MB"  # Avalanche's name of the loss of a minibatch


class HoldfastLogger(BaseLogger):
    """Hands Avalanche's metrics to the trainer: the loss of a step as ``loss``, everything else under its own name."""

    def __init__(self, trainer: AvalancheNative) -> None:
        super().__init__()
        self.trainer = trainer

    def log_single_metric(self, name: str, value: Any, x_plot: int) -> None:
        if name.startswith(f"{STEP_LOSS}/"):
            self.trainer.means.add("loss", torch.as_tensor(value))
        elif isinstance(value, int | float):
            self.trainer.report({f"avalanche/{name}": float(value)})


class _Clock(SupervisedPlugin):
    """Tells the trainer of epochs and steps; the last of the plugins, so that a step is over when it is told."""

    supports_distributed = False

    def __init__(self, trainer: AvalancheNative) -> None:
        super().__init__()
        self.trainer = trainer

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self.trainer.begin_epoch(len(strategy.dataloader))

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        self.trainer.step_ended()

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self.trainer.epoch_ended()


class _EnoughError(Exception):
    """Ends a measurement."""


class _Stopwatch(SupervisedPlugin):
    """The times at which each of ``most`` steps ended."""

    supports_distributed = False

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.times: list[float] = []

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        self.times.append(time.perf_counter())
        if len(self.times) >= self.most:
            raise _EnoughError


class AvalancheNative:
    """Drives one strategy of Avalanche; a :class:`~.trainer.Trainer`."""

    between_steps = False

    def __init__(
        self,
        method: Avalanche,
        *,
        settings: TrainingSettings,
        seed: int = 0,
        device: str | torch.device = "cpu",
        observer: Observer | None = None,
    ) -> None:
        config = method.config
        wrong = avalanche_names.errors_of(config.strategy, config.arguments)
        wrong += avalanche_names.unfit_settings(vars(settings))
        if getattr(getattr(method.model, "config", None), "augment", "none") != "none":
            wrong.append("model.options.augment: a strategy of Avalanche trains on images as they are: set it to none")
        if wrong:
            raise UnfitError("; ".join(wrong))
        self.method, self.settings, self.seed, self.observer = method, settings, seed, observer
        self.device = torch.device(device)
        self.iteration = 0
        self.position = {"experience": 0, "stage": 0, "epoch": 0, "batch": 0}
        self.means = Means()
        self.benchmark: Any = None
        self.strategy: Any = None
        self._pickled: bytes | None = None  # read once the data is there

    # -- training --------------------------------------------------------------------------------------------------

    def train(self, experience: Any, /) -> None:
        """Train one experience. Raises UnfitError for arguments that the strategy refuses, NonFiniteLossError."""
        number = experience.current_experience
        self.prepare(experience)
        self.position.update(experience=number, epoch=-1, batch=0)
        first = self.settings.epochs_first if number == 0 else None
        self.strategy.train_epochs = first or self.settings.epochs
        adapters.before(self.strategy)
        with adapters.patched(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"avalanche\.")  # its own deprecations
            self.strategy.train(self.benchmark.train_stream[number], eval_streams=[])
        adapters.after(self.strategy)
        self.take()
        self.flush()
        if self.observer is not None:
            self.observer.after_stage(self, Stage())
            self.observer.end_of_stages(self)

    def prepare(self, experience: Any) -> None:
        """Benchmark and strategy, made (or read from a checkpoint) when the first experience is at hand."""
        if self.benchmark is None:
            model: Any = self.method.model
            self.benchmark = benchmark_of(experience, model.pixels)
        if self._pickled is not None:
            self.unpickle(self._pickled)
            self._pickled = None
        if self.strategy is None:
            self.method.to(self.device)
            self.strategy = self.made()

    def made(self) -> Any:
        """A new strategy over the method's network. Raises UnfitError for arguments that it refuses."""
        config, settings = self.method.config, self.settings
        arguments: dict[str, Any] = {
            **config.arguments,
            "optimizer": build_optimizer(default_spec(self.method.model, settings.optimizer, self._optimizer())),
            "train_mb_size": settings.batch_size,
            "train_epochs": settings.epochs,
            "eval_mb_size": settings.eval_batch_size,
            "device": self.device,
            "plugins": [],
            "evaluator": EvaluationPlugin(
                loss_metrics(minibatch=True), accuracy_metrics(epoch=True), loggers=[HoldfastLogger(self)]
            ),
        }
        kind = getattr(training, config.strategy)
        filled = avalanche_names.signatures()[config.strategy].filled
        arguments |= {name: part for name, part in parts(self.method.model).items() if name in filled}
        if "criterion" in filled:
            arguments["criterion"] = nn.CrossEntropyLoss()
        if "buffer_transform" in filled:
            arguments["buffer_transform"] = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that its arguments are positional, which they are not
            try:
                strategy = kind(**arguments)
            except (TypeError, ValueError, AssertionError) as error:
                what = first_line(error) or type(error).__name__
                raise UnfitError(f"arguments: {config.strategy} refuses them: {what}") from error
        strategy.plugins.append(_Clock(self))  # the last: metrics of a step are there when it is told
        return strategy

    def _optimizer(self) -> dict[str, Any]:
        return dict(self.settings.optimizer_arguments or {})

    def take(self) -> None:
        """What the strategy has come to, into the method: its network, and what else it answers by."""
        inner = adapters.model_of(self.strategy)
        if inner is not None:
            self.method.model = inner
        model: Any = self.method.model
        self.method.kept = adapters.kept_of(self.strategy, model.classes)

    # -- what plugins and logger tell ------------------------------------------------------------------------------

    def begin_epoch(self, batches: int) -> None:
        self.position["epoch"] += 1
        self.position["batch"] = 0
        if self.observer is not None:
            self.observer.epoch_batches(self, batches)

    def step_ended(self) -> None:
        self.iteration += 1
        self.position["batch"] += 1
        if self.iteration % self.settings.log_every == 0:
            self.flush()
        if self.observer is not None:
            self.observer.after_iteration(self)

    def epoch_ended(self) -> None:
        if self.observer is not None:
            self.observer.after_epoch(self)

    def report(self, values: dict[str, float]) -> None:
        if self.observer is not None:
            self.observer.points(values, self.iteration)

    def flush(self) -> None:
        """Hand the means since the last flush to the observer. Raises NonFiniteLossError."""
        values = self.means.take()
        if values:
            self.report(values)
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise NonFiniteLossError(f"{', '.join(bad)} became non-finite by iteration {self.iteration}")

    # -- what a run asks -------------------------------------------------------------------------------------------

    def course(self) -> list[tuple[str, int]]:
        epochs = self.strategy.train_epochs if self.strategy is not None else self.settings.epochs
        return [("train", epochs)]

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        return self.method.predict(batch)

    def evaluation_batches(self, table: Table, rows: Tensor, skip: int = 0) -> Iterator[Batch]:
        loading = self.settings.loading
        return sampler.evaluation_batches(table, rows, self.settings.eval_batch_size, self.device, *loading, skip)

    def planned_steps(self, experience: Any) -> int:
        """Batches of the experience's own rows; what a strategy replays or keeps back is not counted."""
        first = self.settings.epochs_first if experience.current_experience == 0 else None
        return (first or self.settings.epochs) * math.ceil(len(experience.rows) / self.settings.batch_size)

    def seconds_a_step(self, experience: Any) -> float:
        """Of three steps of the experience, after a first; loading is counted, which is much of a step here."""
        self.prepare(experience)
        watch = _Stopwatch(most=4)
        self.strategy.plugins.append(watch)
        with suppress(_EnoughError):
            self.strategy.train(self.benchmark.train_stream[experience.current_experience], eval_streams=[])
        return (watch.times[-1] - watch.times[0]) / max(1, len(watch.times) - 1)

    # -- state -----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Between two experiences: the method, the position, and the sealed pickle of the strategy as bytes."""
        data = self._pickled if self._pickled is not None else self.pickle()
        return {
            "method": self.method.state_dict(),
            "at": dict(self.position),
            "iteration": self.iteration,
            "pickled": torch.frombuffer(bytearray(data), dtype=torch.uint8),
            "seal": sealed.seal(data),
        }

    def load_state_dict(self, state: Mapping[str, Any], *, experience: Any = None) -> None:
        """Restore. Raises ForeignPickleError (a ValueError) for a checkpoint of another installation, before anything
        of it is read.
        """
        data = bytes(state["pickled"].numpy())
        sealed.check(data, state["seal"])
        self.method.load_state_dict(state["method"])
        self.method.to(self.device)
        self.position, self.iteration = dict(state["at"]), state["iteration"]
        self._pickled = data

    def pickle(self) -> bytes:
        """Strategy, network and generators. Raises UnfitError for a strategy that cannot be pickled."""
        document = {
            "strategy": self.strategy,
            "model": self.method.model if self.strategy is not None else None,
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "numpy": np.random.get_state(),
            "python": random.getstate(),
        }
        try:
            return dumped(document, References(self, self.benchmark))
        except (TypeError, AttributeError, PicklingError) as error:
            name = self.method.config.strategy
            raise UnfitError(f"{name} cannot be checkpointed: it holds what cannot be pickled ({error})") from error

    def unpickle(self, data: bytes) -> None:
        document = loaded(data, References(self, self.benchmark))
        self.strategy = document["strategy"]
        if document["model"] is not None:
            self.method.model = document["model"]
        torch.set_rng_state(document["torch"])
        if document["cuda"] is not None:
            torch.cuda.set_rng_state(document["cuda"], self.device)
        np.random.set_state(document["numpy"])
        random.setstate(document["python"])
