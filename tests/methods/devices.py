"""A method's steps as on a GPU, on a machine without one: on fake CUDA tensors, and on ``meta``.

Fake tensors have a device and a shape and no values. What torch refuses on a GPU is refused (an operation between
devices); what waits for the GPU is counted, with the line that asks for it. Where a step looks at values it goes on as
if a mask were true everywhere and a number were 1, so that the branch with the most work is taken.
"""

from __future__ import annotations

import copy
import dataclasses
import linecache
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import holdfast.methods.base
import torch
from holdfast.datasets.core.view import Sidecar
from holdfast.methods.base import FrozenCopy, Method, StepContext, Update
from holdfast.methods.training.strategy import MethodStrategy
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROOT = Path(holdfast.methods.base.__file__).resolve().parent.parent
PACKAGES = ("analysis", "datasets", "methods", "suites")
CUDA = torch.device("cuda", 0)
WAITS = ("bincount", "linalg_eig", "_linalg", "linalg_ch", "linalg_lstsq", "linalg_inv", "cholesky")
VALUES = (
    "equal",
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "_unique",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
)
INDEXING = ("index", "index_put", "index_put_", "index_select", "gather", "scatter", "embedding")


class MixedDevicesError(RuntimeError):
    """Indices on the GPU into a tensor on the CPU, which fake tensors let pass."""


class Synchronisations(TorchDispatchMode):
    """Counts, by line of our code, the operations after which the host waits for the GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: Counter[str] = Counter()
        self._last: tuple[str, str] = ("", "")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        name = func.overloadpacket.__name__
        asked = kwargs.get("device")
        if not any(isinstance(each, FakeTensor) for each in tensors) and (asked is None or _on_cpu(asked)):
            with unset_fake_temporarily():
                return func(*args, **kwargs)  # what is on the CPU alone has its values
        on_gpu = any(each.device.type == "cuda" for each in tensors)
        if on_gpu and (name.startswith(WAITS) or name in VALUES):
            self._count(name)
        if name == "equal":
            return True
        if name == "_local_scalar_dense":
            return True if args[0].dtype == torch.bool else 1.0 if args[0].is_floating_point() else 1
        if on_gpu and name == "_to_copy" and _on_cpu(asked or CUDA):
            self._count(name)
        if name in INDEXING:
            indices = [each for each in tree_leaves((args[1:], kwargs)) if isinstance(each, Tensor)]
            if args[0].device.type == "cpu" and any(each.device.type == "cuda" for each in indices):
                raise MixedDevicesError(f"{name} with indices on the GPU into a tensor on the CPU, at {_where()}")
        if name in ("index", "index_put", "index_put_"):
            return self._indexed(func, name, args, kwargs, on_gpu)
        if name == "nonzero":  # as if all were true
            return torch.zeros(args[0].numel(), args[0].dim(), dtype=torch.int64, device=args[0].device)
        if name == "masked_select":
            return args[0].reshape(-1)
        if name.startswith("_unique"):  # as if all were different
            whole = torch.zeros(args[0].shape, dtype=torch.int64, device=args[0].device)
            return args[0].reshape(-1).clone(), whole, whole.reshape(-1)
        return func(*args, **kwargs)

    def _indexed(self, func: Any, name: str, args: Any, kwargs: Any, on_gpu: bool) -> Any:
        """Masks become the indices that they stand for; writing one number behind a mask does not wait."""
        indices: list[Any] = []
        masked = False
        for index in args[1]:
            if isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8):
                masked = True
                count, shape = index.numel(), index.shape
                flat = torch.zeros(count, dtype=torch.int64, device=index.device)
                indices += [flat] * len(shape)
            else:
                indices.append(index)
        if masked and on_gpu and not (name.startswith("index_put") and args[2].numel() == 1):
            self._count("a mask as index")
        return func(args[0], indices, *args[2:], **kwargs)

    def _count(self, what: str) -> None:
        where = _where()
        many = ".tolist()" in _text(where) and self._last == (what, where)  # one wait, seen number by number
        self._last = (what, where)
        self.lines[where] += not many


def _on_cpu(device: Any) -> bool:
    return torch.device(device).type == "cpu"


def _where() -> str:
    """The innermost line of the package that is on the stack, as ``methods/base.py:12``; of shared small functions
    the line that calls them."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if file := own_file(frame.f_code.co_filename):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def own_file(name: str) -> str:
    """The path of a file of the package inside it; "" for any other, so for an environment inside the folder."""
    path = Path(name)
    inside = path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path()
    return inside.as_posix() if inside.parts[:1] and inside.parts[0] in PACKAGES else ""


def _text(where: str) -> str:
    file, _, line = where.rpartition(":")
    return linecache.getline(str(ROOT / file), int(line)) if file else ""


def _placed(module: nn.Module, move: Callable[[Tensor], Tensor]) -> None:
    """Every parameter and buffer of a module, and of the copies it hides, moved in place; shared ones stay shared."""
    moved: dict[int, Any] = {}
    kept = []  # what was moved, so that no other tensor gets its number
    for part in {id(part): part for part in _parts(module)}.values():
        for values in (part._parameters, part._buffers):
            for name, value in values.items():
                if value is None:
                    continue
                if id(value) not in moved:
                    kept.append(value)
                    new: Any = move(value.detach())
                    is_parameter = isinstance(value, nn.Parameter)
                    moved[id(value)] = nn.Parameter(new, value.requires_grad) if is_parameter else new
                values[name] = moved[id(value)]
        if type(part)._apply is not nn.Module._apply:  # it moves more than these with the module
            own = {k: v for k, v in vars(part).items() if k not in ("_parameters", "_buffers", "_modules")}
            vars(part).update({name: _mapped(value, move) for name, value in own.items()})


def _mapped(value: Any, move: Callable[[Tensor], Tensor]) -> Any:
    """Tensors of a (nested) dict moved; anything else as it is."""
    if isinstance(value, Tensor):
        return move(value)
    return {name: _mapped(each, move) for name, each in value.items()} if type(value) is dict else value


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    for part in module.modules():
        yield part
        hidden = part._copy if isinstance(part, FrozenCopy) else getattr(part, "_module", None) or []
        for one in hidden:
            yield from one.modules()


@contextmanager
def _gradients_of_nothing() -> Iterator[None]:
    """``torch.autograd.grad`` gives zeros with a graph: a backward pass on fake CUDA tensors asks for a real GPU."""

    def grad(outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        listed = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
        return tuple(each * 0 for each in listed)

    with mock.patch("torch.autograd.grad", grad):
        yield


def _of_step(result: Any) -> list[Any]:
    return [result] if isinstance(result, dict) else list(result)


def _copied(strategy: MethodStrategy, ctx: StepContext, device: torch.device) -> tuple[Method, StepContext]:
    """The method and where it stands, on a device; the data stays where it is: on the CPU."""
    state = copy.copy(ctx.view)
    state.device, state.sidecar = device, Sidecar()
    state.sidecar.load_state_dict({name: value.clone() for name, value in ctx.view.sidecar.state_dict().items()})
    state.admit = lambda rows: rows.cpu()  # type: ignore[method-assign]  # which rows they are nobody knows
    augment = torch.Generator()
    augment.set_state(ctx.augment.get_state())
    method: Any = strategy.method
    if hasattr(method, "pricing"):
        method.pricing()  # worked out once a run, on a copy of the network
    return copy.deepcopy(method), dataclasses.replace(ctx, view=state, augment=augment)


def on_fake_cuda(strategy: MethodStrategy, step: str, batch: dict[str, Tensor], ctx: StepContext) -> Counter[str]:
    """The lines on which a step (``predict``: a prediction) waits for the GPU, with how often. Raises what a GPU
    would raise for tensors on different devices."""
    method, ctx = _copied(strategy, ctx, CUDA)
    counted = Synchronisations()
    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv())
    with ExitStack() as stack:
        stack.enter_context(mode)
        _placed(method, lambda value: torch.empty_like(value, device=CUDA))
        moved = {name: torch.empty_like(value, device=CUDA) for name, value in batch.items()}
        stack.enter_context(_gradients_of_nothing())
        stack.enter_context(counted)
        if step == "predict":
            with torch.no_grad():
                method.eval().predict(moved)
        else:
            _of_step(getattr(method, step)(moved, ctx))
    return counted.lines


def on_meta(strategy: MethodStrategy, step: str, batch: dict[str, Tensor], ctx: StepContext) -> None:
    """A step with its backward pass and a move of every parameter (or a prediction) on tensors without values. Raises
    what torch raises where the step looks at one."""
    method, ctx = _copied(strategy, ctx, torch.device("meta"))
    _placed(method, lambda value: value.to("meta"))
    moved = {name: value.to("meta") for name, value in batch.items()}
    if step == "predict":
        with torch.no_grad():
            method.eval().predict(moved)
        return
    plain = torch.autocast
    with mock.patch("torch.autocast", lambda device, **options: plain(device.replace("meta", "cpu"), **options)):
        result = getattr(method, step)(moved, ctx)
        for update in [result] if isinstance(result, dict) else result:
            loss = update.loss if isinstance(update, Update) else update["loss"]
            parameters = [p for p in method.parameters() if p.requires_grad]
            optimizer = torch.optim.SGD(parameters, lr=0.1)
            if loss.requires_grad:
                loss.backward(retain_graph=True)
            optimizer.step()
