"""Optimizers by name: every class of ``torch.optim`` that works a step at a time, LARS and LAMB; and a stage's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from ..base import OptimizerSpec, UnfitError
from .lamb import LAMB
from .lars import LARS
from .schedules import Schedule, TorchSchedule, factor_of, first_line, last_step, torch_scheduler
from .settings import TrainingSettings

OTHERS: dict[str, type[Optimizer]] = {"LAMB": LAMB, "LARS": LARS}
FUSED = (
    "Adam",
    "AdamW",
)  # a step in one pass (tests/benchmarks/step.py: beside the loop)
FOREACH = {"fused", "foreach", "capturable", "differentiable"}  # an option that chooses another form of the step
REFUSED = {
    "LBFGS": "it evaluates the loss several times a step",
    "SparseAdam": "it takes sparse gradients alone",
}


def optimizer_names() -> list[str]:
    """What ``train.optimizer`` and :class:`OptimizerSpec` may name."""
    kinds = vars(torch.optim).items()
    known = {name for name, kind in kinds if inspect.isclass(kind) and issubclass(kind, Optimizer)}
    return sorted((known - REFUSED.keys() - {"Optimizer"}) | OTHERS.keys())


def optimizer_class(name: str) -> type[Optimizer]:
    """The class of that name. Raises UnfitError where there is none, or where it does not work a step at a time."""
    if name in OTHERS:
        return OTHERS[name]
    if name in REFUSED:
        raise UnfitError(f"{name} cannot be used: {REFUSED[name]}")
    if name not in optimizer_names():
        raise UnfitError(f"no such optimizer '{name}' (there are: {', '.join(optimizer_names())})")
    kind: type[Optimizer] = getattr(torch.optim, name)
    return kind


def arguments_of(name: str, common: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an optimizer: what it takes of ``common`` (lr, weight_decay, betas, eps), and ``options``.

    A common value of another form than the class's (Adafactor has two eps) is left out, and may be an option. Raises
    UnfitError, naming the field, for a weight decay or an option that the class has not.
    """
    try:
        parameters = inspect.signature(optimizer_class(name)).parameters
    except UnfitError as error:
        raise UnfitError(f"train.optimizer: {error}") from error
    known = {each: info.default for each, info in parameters.items() if each != "params"}
    taken = {
        each: value
        for each, value in common.items()
        if each in known and isinstance(value, tuple) == isinstance(known[each], tuple)
    }
    if common.get("weight_decay") and "weight_decay" not in taken:
        raise UnfitError(f"train.weight_decay: {name} has no weight decay: set it to 0")
    for option in options:
        if option in taken:
            raise UnfitError(f"train.optimizer_options.{option}: this is the field train.{option}")
        if option not in known:
            free = ", ".join(each for each in known if each not in taken)
            raise UnfitError(f"train.optimizer_options.{option}: {name} has no such option (it has: {free})")
    return {**taken, **{option: tuple(v) if isinstance(v, list) else v for option, v in options.items()}}


def check_optimizer(name: str, arguments: Mapping[str, Any], schedule: Schedule | TorchSchedule) -> None:
    """Whether optimizer and schedule can be made and make a step, tried on a weight of 2 x 2.

    Raises UnfitError, naming the field of ``train``.
    """
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.zeros_like(weight)
    try:
        optimizer = optimizer_class(name)([weight], **arguments)
        optimizer.step()
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise UnfitError(f"train.optimizer_options: {name}: {first_line(error)}") from error
    if isinstance(schedule, TorchSchedule):
        torch_scheduler(optimizer, schedule, 10)


def default_spec(method: nn.Module, name: str, arguments: Mapping[str, Any] | None) -> OptimizerSpec:
    """The recipe's optimizer over all trainable parameters."""
    return OptimizerSpec([p for p in method.parameters() if p.requires_grad], name, dict(arguments or {}))


def build_optimizer(spec: OptimizerSpec) -> Optimizer:
    """A new optimizer over the spec's parameters or groups.

    Raises UnfitError where the class does not take them (Muon: matrices alone).
    """
    kind = optimizer_class(spec.name)
    parameters: Any = list(spec.parameters)  # torch's type names a list of one kind or the other
    arguments = {"lr": 1e-3, **spec.arguments}
    if spec.name in FUSED and not FOREACH & arguments.keys() and _on_one_device(parameters):
        arguments["fused"] = True
    try:
        return kind(parameters, **arguments)
    except (TypeError, ValueError) as error:
        raise UnfitError(f"the optimizer {spec.name} cannot train these parameters: {first_line(error)}") from error


def build_schedule(
    optimizer: Optimizer, spec: OptimizerSpec, settings: TrainingSettings, steps_per_epoch: int, epochs: int
) -> tuple[LRScheduler | None, int | None]:
    """The schedule of a stage's optimizer, its own factor or else the recipe's, and the step at which its rate stays;
    None where there is none.
    """
    if spec.factor is not None:
        return LambdaLR(optimizer, spec.factor), None
    if isinstance(settings.schedule, TorchSchedule):
        total = steps_per_epoch * epochs
        scheduler = torch_scheduler(optimizer, settings.schedule, total)
        return scheduler, last_step(settings.schedule, scheduler, total)
    factor = factor_of(
        settings.schedule,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        warmup=settings.warmup_steps,
        milestones=settings.milestones,
        gamma=settings.gamma,
    )
    return (None if factor is None else LambdaLR(optimizer, factor)), None


def _on_one_device(parameters: Sequence[Any]) -> bool:
    """Whether all are floating numbers on a CPU, or all on one GPU: what fused steps take."""
    listed = [p for item in parameters for p in (item["params"] if isinstance(item, dict) else [item])]
    devices = {p.device for p in listed}
    return len(devices) == 1 and devices.pop().type in ("cpu", "cuda") and all(p.is_floating_point() for p in listed)


def parameters_of(optimizer: Optimizer) -> list[nn.Parameter]:
    """Its parameters, group after group."""
    return [p for group in optimizer.param_groups for p in group["params"]]
