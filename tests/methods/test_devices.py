"""Every method's step and prediction as on a GPU, without one (:mod:`.devices`): no operation mixes devices, and the
waits for the GPU are those that docs/guides/gpu.md lists.
"""

from __future__ import annotations

import functools
import re
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.datasets.core.table import Ragged, Table
from holdfast.methods.base import StepContext, UnfitError
from holdfast.methods.training.strategy import MethodStrategy
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from . import devices, test_every_method
from .test_every_method import METHODS, Watch, built, finish, missing_columns

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "gpu.md"
ROW = re.compile(r"^\| `([\w/]+)` \| ([\w ]+) \| (\d+) \| (.*) \|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/.]+)`(?: × (\d+))?")
FOUND = dict[str, tuple[Counter[str], BaseException | None]]  # by stage


class Probing(MethodStrategy):
    """Tries the first step of each stage of the last experience on fake CUDA tensors and on meta, then makes it."""

    def run_step(
        self, step: Callable[..., Any], batch: dict[str, Tensor], ctx: StepContext, whole: bool, **options: Any
    ) -> None:
        found: FOUND = self.__dict__.setdefault("found", {})
        if ctx.view.experience == ctx.view.n_experiences - 1 and ctx.stage not in found:
            self.probe(step.__name__, ctx.stage, batch, ctx)
        super().run_step(step, batch, ctx, whole, **options)

    def probe(self, step: str, stage: str, batch: dict[str, Tensor], ctx: StepContext) -> None:
        waits = devices.on_fake_cuda(self, step, batch, ctx)
        looked = None
        try:
            devices.on_meta(self, step, batch, ctx)
        except (RuntimeError, NotImplementedError) as error:
            looked = error
        self.__dict__.setdefault("found", {})[stage] = (waits, looked)
        self.last = (batch, ctx)


@functools.cache
def probed(name: str) -> FOUND:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_every_method, "MethodStrategy", Probing)
        for hide in (True, False):
            strategy, experiences = built(name, Watch(), hide)
            if missing_columns(strategy.method, experiences):
                continue
            try:
                finish(strategy, experiences)
            except UnfitError:  # columns that the data names, not the method
                continue
            break
    assert isinstance(strategy, Probing)
    if hasattr(strategy, "last"):
        strategy.probe("predict", "predict", *strategy.last)
    found: FOUND = strategy.__dict__.get("found", {})
    return found


def files(waits: Counter[str]) -> Counter[str]:
    """How often each file of the package waits."""
    counted: Counter[str] = Counter()
    for line, times in waits.items():
        counted[line.rpartition(":")[0]] += times
    return counted


@functools.cache
def listed() -> Mapping[tuple[str, str], Counter[str]]:
    """What the page says: method and stage -> waits by file."""
    rows = {}
    for name, stage, count, places in ROW.findall(PAGE.read_text(encoding="utf-8")):
        waits = Counter({file: int(times or 1) for file, times in NAMED.findall(places)})
        assert sum(waits.values()) == int(count), f"{name}, {stage}: the places do not sum up to {count}"
        rows[name, stage] = waits
    return rows


def row(name: str, stage: str, waits: Counter[str]) -> str:
    places = ", ".join(f"`{file}`" + f" × {times}" * (times > 1) for file, times in sorted(waits.items()))
    return f"| `{name}` | {stage} | {sum(waits.values())} | {places} |"


@pytest.mark.parametrize("name", METHODS)
def test_a_step_mixes_no_devices_and_waits_for_the_gpu_as_the_page_says(name: str) -> None:
    for stage, (waits, _) in probed(name).items():
        counted = files(waits)
        expected = listed().get((name, stage), Counter())
        assert counted == expected, f"in docs/guides/gpu.md must stand:\n{row(name, stage, counted)}\nlines: {waits}"


@pytest.mark.parametrize("name", METHODS)
def test_a_whole_step_needs_no_values_or_the_page_names_where(name: str) -> None:
    for stage, (_, error) in probed(name).items():
        if error is None:
            continue
        frames = traceback.extract_tb(error.__traceback__)
        places = [file for frame in frames if (file := devices.own_file(frame.filename))]
        expected = listed().get((name, stage), Counter())
        assert places[-1] in expected, f"{name}, {stage} looks at a value in {places[-1]}: {error}"


def test_a_line_of_an_environment_inside_the_folder_is_not_ours() -> None:
    ours, theirs = devices.ROOT / "methods" / "base.py", devices.ROOT / ".venv" / "lib" / "torch" / "functional.py"
    assert devices.own_file(str(ours)) == "methods/base.py"
    assert [devices.own_file(str(path)) for path in (theirs, devices.ROOT / "tests" / "x.py", "<string>")] == [""] * 3


def test_the_page_lists_no_method_that_there_is_not() -> None:
    assert {name for name, _ in listed()} <= set(METHODS)


@pytest.mark.parametrize("column", [torch.arange(12.0), Ragged.from_list([torch.zeros(2), torch.zeros(3)] * 6)])
def test_rows_on_a_gpu_are_not_looked_up_in_a_table_on_the_cpu(column: Tensor | Ragged) -> None:
    """Fake tensors let it pass, a GPU does not."""
    table = Table({"x": column})
    with FakeTensorMode(allow_non_fake_inputs=True), pytest.raises(ValueError, match=r"give index.cpu\(\)"):
        table.gather(torch.empty(3, dtype=torch.int64, device="cuda"))
    assert len(table.gather(torch.tensor([1, 2]))["x"]) == 2


class Careless(torch.nn.Module):
    """Does with a batch what ``wrong`` says."""

    def __init__(self, wrong: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.weight, self.wrong = torch.nn.Parameter(torch.ones(3)), wrong

    def predict(self, batch: dict[str, Tensor]) -> Any:
        return self.wrong(batch["x"] * self.weight)


def _careless(wrong: Callable[[Tensor], Any]) -> Counter[str]:
    view = test_every_method.built("continual/finetune", Watch())
    strategy, experiences = view
    ctx = StepContext(strategy.ensure_view(experiences[0]), "train", 0, 0, torch.Generator())
    strategy.method = Careless(wrong)  # type: ignore[assignment]
    return devices.on_fake_cuda(strategy, "predict", {"x": torch.zeros(4, 3)}, ctx)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x + torch.zeros(4, 3),
        lambda x: torch.cat([x, torch.zeros(1, 3)]),
        lambda x: torch.zeros(9)[x.argmax(1)],
        lambda x: torch.nn.functional.cross_entropy(x, torch.zeros(4, dtype=torch.int64)),
    ],
)
def test_what_a_gpu_refuses_is_refused(wrong: Callable[[Tensor], Any]) -> None:
    with pytest.raises(RuntimeError):
        _careless(wrong)


def test_waits_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_where", lambda: "here.py:1")  # these lines are no part of the package
    assert _careless(lambda x: x * 2) == Counter()
    one: list[Callable[[Tensor], Any]] = [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x.cpu(),
        lambda x: (x > 0).nonzero(),
        lambda x: x[x > 0],
        lambda x: x.flatten().unique(),
    ]
    assert [sum(_careless(wrong).values()) for wrong in one] == [1] * len(one)
    assert _careless(lambda x: x.masked_fill(x > 0, 0.0)) == Counter()
