"""The contract of a method: what the paper says, and nothing of how it is driven (docs/contracts.md)."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo
from torch import Tensor, nn
from typing_extensions import TypeVar

from ..datasets.core.table import Batch
from ..datasets.core.view import ExperienceView
from .networks.protocols import Predictor, Requires

M = TypeVar("M", default=Any)  # the protocol of the model (networks/protocols.py)


class UnfitError(ValueError):
    """A setting of a method or a model that does not fit the data or another setting; the message says which, and what
    to do about it.
    """


class MethodConfig(BaseModel):
    """Base of every method's ``Config``: unknown fields are errors; each field has a default, a range and a
    description.

    A field's sweep range stands in ``json_schema_extra={"sweep": {...}}``; one that a fair comparison holds equal
    carries ``json_schema_extra=protocol()``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def protocol(**extra: Any) -> dict[str, Any]:
    """``json_schema_extra`` of a field that all methods of a suite must share (memory, budget, batching, augmentation,
    widths), with ``extra`` beside it.

    The method itself is no protocol: its losses, weights, temperatures, which rows it keeps.
    """
    return {**extra, "protocol": True}


def is_protocol(info: FieldInfo) -> bool:
    """Whether a field is marked by :func:`protocol`."""
    return isinstance(info.json_schema_extra, dict) and bool(info.json_schema_extra.get("protocol"))


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimizer of a stage: its name, its arguments, and what it moves.

    ``name`` is a class of ``torch.optim``, LARS or LAMB. ``parameters`` are parameters, or groups as torch takes them:
    ``{"params": [...], "lr": ...}``, where what a group does not say is that of ``arguments``. ``factor`` multiplies
    every group's learning rate by a function of the steps that this optimizer made; None: the recipe's schedule.
    """

    parameters: Sequence[nn.Parameter] | Sequence[dict[str, Any]]
    name: str = "AdamW"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    factor: Callable[[int], float] | None = None


# Does the backward pass of several losses: writes (adds) to ``.grad`` of the parameters, which are the optimizer's.
Aggregator = Callable[[Mapping[str, Tensor], Sequence[nn.Parameter]], None]


@dataclass(frozen=True)
class Update:
    """One backward of a step: ``loss`` is back-propagated; ``step`` makes ``optimizer`` step (and zero its gradients)
    after it.

    ``losses`` (name -> scalar) takes the place of ``loss`` where several are weighed against each other: each is logged
    as ``loss/<name>``, and ``aggregator`` (None: :meth:`Method.aggregator`; None too: backward of their sum) does the
    backward pass, so that ``torchjd.autojac.mtl_backward`` fits in a lambda. An aggregator gets the losses as they are
    to be differentiated (divided by ``accumulate``, scaled in fp16) and keeps the graph itself where it must last;
    ``loss`` is then their sum. ``retain`` keeps the graph for a later Update of the same step.

    Raises:
        ValueError: neither or both of ``loss`` and ``losses``.
    """

    loss: Tensor = None  # type: ignore[assignment]  # never None after __post_init__
    optimizer: str = "main"
    step: bool = True
    logs: Mapping[str, Tensor] = field(default_factory=dict)
    retain: bool = False
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    aggregator: Aggregator | None = None

    def __post_init__(self) -> None:
        if (self.loss is None) != bool(self.losses):
            raise ValueError("an Update has either a loss or losses")
        if self.losses:
            first, *others = self.losses.values()
            object.__setattr__(self, "loss", sum(others, start=first))


@dataclass
class StepContext:
    """Where a step stands; all counts begin at 0. ``augment`` is the generator of views and augmentation.

    ``iteration`` counts batches over the whole run. ``step`` counts the optimizer steps of this stage in this
    experience that lie behind, ``total_steps`` those that the stage will make: batches as the sampler makes them (half
    of each is memory with balanced batching), times epochs; with ``accumulate`` = a, every a batches and what an epoch
    leaves over are one. A batch counts once however many Updates its step makes and whatever optimizers they move: an
    optimizer that moves n times a batch makes n times as many.
    """

    view: ExperienceView
    stage: str
    epoch: int
    iteration: int
    augment: torch.Generator
    step: int = 0
    total_steps: int = 0


# A step's result: a dict whose "loss" is optimised (the rest is logged), or an iterator of Updates.
StepResult = dict[str, Tensor] | Iterator[Update]


@dataclass(frozen=True)
class Stage:
    """One stage of a method within an experience.

    ``optimizers`` may be empty (calibration); None means one optimizer ``main`` over all trainable parameters with the
    recipe's settings. ``epochs`` None means the recipe's and ``more``. ``step`` is a method of the method,
    ``self.head_step``; None: its ``training_step``. Without ``gradients`` the steps only go forward.
    """

    name: str = "train"
    epochs: int | None = None
    optimizers: Mapping[str, OptimizerSpec] | None = None
    step: Callable[[Batch, StepContext], StepResult] | None = None
    gradients: bool = True
    more: int = 0


class Method(nn.Module, Generic[M]):
    """A method: modules, stages and one training step. Knows no Avalanche, no MLflow, no command line.

    ``Method[Classifier]`` types the model by its protocol; ``requires`` says the same to whoever checks a recipe.

    Everything that must survive a crash is in ``state_dict`` (memory, teacher, queues). ``table`` in the view is all
    it sees of data.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    requires: ClassVar[Requires] = Requires()
    checks: ClassVar[tuple[str, ...]] = ()  # checks between its stages: modules of analysis/probes
    trainer: ClassVar[Literal["strategy", "estimator", "avalanche"]] = "strategy"  # what drives it (methods/training)
    uses_union: ClassVar[bool] = False  # True: one experience with the union of all (an offline upper bound)
    batching: str = "concat"
    costs: ClassVar[Mapping[str, str]] = {}  # the names that cost() may give, with a title each

    def __init__(self, config: MethodConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.model = model
        self.seed = seed

    @classmethod
    def total_epochs(cls, config: Any, epochs: int) -> int | None:
        """Learning budget of an experience for which the recipe says ``epochs``: epochs of all stages that train what
        is evaluated; None: it makes no steps.

        What is trained beside it (a translator, a biased network, a teacher) belongs to the method and does not count.
        """
        return epochs

    @property
    def _model(self) -> M:
        """The model as the protocol that the method works with."""
        return cast(M, self.model)

    def stages(self, view: ExperienceView) -> list[Stage]:
        """The stages of this experience, in order."""
        return [Stage()]

    def training_step(self, batch: Batch, ctx: StepContext) -> StepResult:
        """The whole step: a dict whose ``loss`` is optimised (the rest is logged), or an iterator of updates."""
        raise NotImplementedError(f"{type(self).__name__} must define training_step")

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """Predictions of a batch, one row each, in evaluation mode: the model's own, unless a method makes others."""
        return cast(Predictor, self.model).predict(batch)

    def aggregator(self) -> Aggregator | None:
        """What does the backward pass of an Update of several losses that names nothing itself; None: their sum."""
        return None

    def before_experience(self, view: ExperienceView) -> None: ...

    def after_experience(self, view: ExperienceView) -> None: ...

    def before_stage(self, stage: Stage, view: ExperienceView) -> None: ...

    def after_stage(self, stage: Stage, view: ExperienceView) -> None: ...

    def before_epoch(self, ctx: StepContext) -> None: ...

    def after_epoch(self, ctx: StepContext) -> None: ...

    def compared_parameters(self) -> list[nn.Parameter]:
        """Trainable parameters on which ``diagnostics.gradients`` compares loss terms: the model's ``encoder`` (all,
        where it has none).
        """
        part = getattr(self.model, "encoder", self.model)
        return [p for p in part.parameters() if p.requires_grad]

    def memory(self) -> Tensor:
        """Row ids that the sampler mixes into the next experience, [m] int64."""
        return torch.empty(0, dtype=torch.int64)

    def export(self, folder: Path) -> None:
        """What other libraries read of a method that has trained, as files in ``folder``; as a rule nothing."""

    def cost(self) -> dict[str, float]:
        """Counters of what the method cost besides the step (teacher passes), named in ``costs``: fewer are better."""
        return {}


class Fitted(Method[M]):
    """A method without steps: it is fitted at once to the rows of an experience (scikit-learn, closed forms), or has
    nothing to fit and only predicts.

    ``fitted``: tensors by name, what is kept of the fit; they are the state, and on the CPU until they are used.
    """

    trainer: ClassVar[Literal["strategy", "estimator", "avalanche"]] = "estimator"

    def __init__(self, config: MethodConfig, model: nn.Module, seed: int = 0) -> None:
        super().__init__(config, model, seed)
        self.fitted: dict[str, Tensor] = {}

    @classmethod
    def total_epochs(cls, config: Any, epochs: int) -> int | None:
        return None

    def stages(self, view: ExperienceView) -> list[Stage]:
        return [Stage("fit", epochs=0, optimizers={})]

    def training_step(self, batch: Batch, ctx: StepContext) -> StepResult:
        raise NotImplementedError(f"{self.name} has no steps: it is fitted at once")

    def fit_rows(self, view: ExperienceView) -> None:
        """Fit to the rows of the experience; what earlier ones left in ``fitted`` is there."""

    def before_stage(self, stage: Stage, view: ExperienceView) -> None:
        self.fit_rows(view)

    def get_extra_state(self) -> dict[str, Tensor]:
        return self.fitted

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.fitted = dict(state)


class FrozenCopy(nn.Module):
    """A frozen copy of a module (a teacher): in eval mode, no gradients, in ``state_dict`` but never among
    ``parameters()``.

    Empty until :meth:`take`; loading a state with a teacher rebuilds it from the live module's structure.
    """

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self._source = [source]  # in a list: not a sub-module
        self._copy: list[nn.Module] = []

    @property
    def taken(self) -> bool:
        return bool(self._copy)

    def take(self) -> None:
        """Copy the live module as it is now."""
        self._copy = [copy.deepcopy(self._source[0]).eval().requires_grad_(False)]

    @property
    def module(self) -> nn.Module:
        """The copy. Raises RuntimeError before the first :meth:`take`."""
        if not self._copy:
            raise RuntimeError("there is no teacher before the end of the first experience")
        return self._copy[0]

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """``to(device)`` moves the copy too."""
        for module in self._copy:
            module._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def get_extra_state(self) -> dict[str, Any]:
        return {"copy": self._copy[0].state_dict()} if self._copy else {}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        if state:
            self.take()
            self._copy[0].load_state_dict(state["copy"])
        else:
            self._copy = []


class FrozenReference(nn.Module):
    """A frozen pretrained module, kept in a state by what it is and not by value: {name, revision, sha256}.

    The module is in eval mode, without gradients and never among ``parameters()``; ``to`` moves it and calls go through
    it. It is rebuilt from ``name`` and ``revision`` (a hub name and commit, or a folder) by whoever builds the model;
    loading a state checks that the live one has the same tensors.

    Raises:
        UnfitError: on loading a state of another module.
    """

    def __init__(self, module: nn.Module, name: str, revision: str | None = None) -> None:
        super().__init__()
        self._module = [module.eval().requires_grad_(False)]  # in a list: not a sub-module
        self.name, self.revision = name, revision
        self._sha256: str | None = None

    @property
    def module(self) -> nn.Module:
        return self._module[0]

    @property
    def sha256(self) -> str:
        """Of the module's tensors (:func:`digest_of`); worked out once, since nothing moves them."""
        if self._sha256 is None:
            self._sha256 = digest_of(self.module)
        return self._sha256

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """``to(device)`` moves the module too."""
        self.module._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def get_extra_state(self) -> dict[str, Any]:
        return {"name": self.name, "revision": self.revision, "sha256": self.sha256}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        if state["sha256"] == self.sha256:
            return
        was = f"{state['name']} (revision {state['revision'] or 'main'}), sha256 {state['sha256'][:12]}"
        now = f"{self.name} (revision {self.revision or 'main'}), sha256 {self.sha256[:12]}"
        raise UnfitError(
            f"the state was made with the frozen module {was}; the one loaded here, {now}, has other weights. "
            "Load the same module, or train anew"
        )


def digest_of(module: nn.Module) -> str:
    """sha256 over name, type, shape and bytes of each parameter and buffer, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted([*module.named_parameters(), *module.named_buffers()]):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        data = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(data.view(torch.uint8).numpy().data)
    return digest.hexdigest()
