"""No method reads rows of experiences to come: other future rows leave the state after the first experience as it
was, and asking for one is an error.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.streams import class_incremental, range_incremental, union
from holdfast.datasets.core.table import Batch, Table
from holdfast.datasets.core.view import ExperienceView
from holdfast.datasets.supremix import tabular as supremix_tabular
from holdfast.methods.base import MethodConfig, StepContext
from holdfast.methods.cdvg.cdvg import Cdvg
from holdfast.methods.cdvg.cdvg_disent import CdvgDisEnt
from holdfast.methods.cdvg.cdvg_lff import CdvgLff
from holdfast.methods.cdvg.disent import DisEnt
from holdfast.methods.cdvg.lff import LfF
from holdfast.methods.cdvg.rebias import Rebias
from holdfast.methods.cdvg.selecmix import SelecMix
from holdfast.methods.continual.er import ER, RehearsalConfig
from holdfast.methods.continual.erm import ERM
from holdfast.methods.networks import images
from holdfast.methods.networks import regression as regressors
from holdfast.methods.supremix.cmixup import CMixup
from holdfast.methods.supremix.fds import FDS
from holdfast.methods.supremix.lds import LDS
from holdfast.methods.supremix.mixup import Mixup
from holdfast.methods.supremix.supremix import SupReMix
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from torch import Tensor

STAGE_ONE = {"width": 4, "critic_width": 4, "translator_epochs": 1}
IMAGES: list[tuple[Any, dict[str, Any]]] = [
    (ERM, {}),
    (ER, {"memory_share": None, "memory_rows": 10}),
    (LfF, {}),
    (DisEnt, {"swap_after": 1}),
    (Rebias, {}),
    (SelecMix, {}),
    (Cdvg, STAGE_ONE),
    (Cdvg, {"translate_views": "cached", **STAGE_ONE}),
    (CdvgLff, STAGE_ONE),
    (CdvgDisEnt, {"swap_after": 1, **STAGE_ONE}),
]
REGRESSION: list[tuple[Any, dict[str, Any]]] = [
    (Mixup, {}),
    (CMixup, {}),
    (LDS, {}),
    (FDS, {}),
    (SupReMix, {}),
]


def spoilt(table: Table, rows: Tensor) -> Table:
    """``table`` with other values in ``rows`` (pixels, numbers) and, where labels are numbers, other labels."""
    columns = {}
    for name, column in table.columns.items():
        assert isinstance(column, Tensor)
        changed = column.clone()
        if name != "label" or column.is_floating_point():
            changed[rows] = 255 - changed[rows] if column.dtype == torch.uint8 else changed[rows] * 0.5 + 0.1
        columns[name] = changed
    return Table(columns)


def trained(kind: Any, fields: dict[str, Any], source: Source, network: Any, scenario: Any, other: bool) -> Any:
    """Method after the first of two experiences; ``other``: the second one's rows hold something else."""
    first, second = scenario.streams["train"]
    if other:
        first.table = spoilt(first.table, second.rows)
    torch.manual_seed(0)
    method = kind(kind.Config(**fields), network(source), 0)
    settings = TrainingSettings(batch_size=16, optimizer="Adam", optimizer_arguments={"lr": 1e-3})
    MethodStrategy(method=method, settings=settings).train(first, eval_streams=[])
    return method


def test_other_images_of_the_experience_itself_change_something(coloured: Source) -> None:
    """The comparison below would notice."""
    scenario = class_incremental(coloured, 2, hidden=frozenset({"bias"}))
    first, _ = scenario.streams["train"]
    plain = trained(ERM, {}, coloured, image_model, scenario, False).state_dict()
    first.table = spoilt(first.table, first.rows)
    assert not same(plain, trained(ERM, {}, coloured, image_model, scenario, False).state_dict())


def image_model(source: Source) -> Any:
    return images.build(images.Config(width=4, features=8), source.info, 0)


@pytest.fixture(scope="module")
def coloured() -> Source:
    return cdvg_cmnist.load(cdvg_cmnist.Config(n_train=60, n_test=20, n_valid=20), None)


@pytest.fixture(scope="module")
def numbers() -> Source:
    return supremix_tabular.load(supremix_tabular.Config(n_train=80, n_test=40, noise=0.0), None)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    return bool(a == b)


@pytest.mark.parametrize(("kind", "fields"), IMAGES)
def test_other_images_to_come_change_nothing(kind: Any, fields: dict[str, Any], coloured: Source) -> None:
    found = [
        trained(
            kind, fields, coloured, image_model, class_incremental(coloured, 2, hidden=frozenset({"bias"})), other
        ).state_dict()
        for other in (False, True)
    ]
    assert same(*found)


@pytest.mark.parametrize(("kind", "fields"), REGRESSION)
def test_other_numbers_to_come_change_nothing(kind: Any, fields: dict[str, Any], numbers: Source) -> None:
    def network(source: Source) -> Any:
        return regressors.build(regressors.Config(), source.info, 0)

    found = [
        trained(kind, fields, numbers, network, range_incremental(numbers, 2), other).state_dict()
        for other in (False, True)
    ]
    assert same(*found)


class Peeking(ERM):
    """Asks for a row of the next experience in one of the places where it could."""

    name = ""
    where = ""
    future = -1

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        if self.where == "step":
            ctx.view.gather(torch.tensor([self.future]))
        return super().training_step(batch, ctx)

    def before_experience(self, view: ExperienceView) -> None:
        if self.where == "labels":
            view.labels(rows=torch.tensor([self.future]))

    def after_experience(self, view: ExperienceView) -> None:
        if self.where == "batches":
            view.batches(torch.tensor([self.future]))

    def memory(self) -> Tensor:
        return torch.tensor([self.future] if self.where == "memory" else [], dtype=torch.int64)


@pytest.mark.parametrize("where", ["step", "labels", "batches", "memory"])
def test_a_method_that_asks_for_the_future_is_stopped(where: str, coloured: Source) -> None:
    first, second = class_incremental(coloured, 2, hidden=frozenset({"bias"})).streams["train"]
    method = Peeking(MethodConfig(), image_model(coloured))
    method.where, method.future = where, int(second.rows[3])
    strategy = MethodStrategy(method=method, settings=TrainingSettings(batch_size=16))
    with pytest.raises(ValueError, match=f"row {int(second.rows[3])}"):
        strategy.train(first, eval_streams=[])


def test_the_memory_is_read_in_the_next_experience(coloured: Source) -> None:
    """Replayed rows of the past are admitted, rows of the past that are not kept are refused."""
    first, second = class_incremental(coloured, 2, hidden=frozenset({"bias"})).streams["train"]
    method = ER(RehearsalConfig(memory_share=None, memory_rows=10), image_model(coloured))
    strategy = MethodStrategy(method=method, settings=TrainingSettings(batch_size=16))
    strategy.train(first, eval_streams=[])
    kept = method.memory()
    strategy.train(second, eval_streams=[])
    view = strategy.view
    assert view is not None
    assert torch.equal(view.labels(rows=kept), coloured.splits["train"].columns["label"][kept])  # type: ignore[index]
    forgotten = first.rows[~torch.isin(first.rows, kept)]
    with pytest.raises(ValueError, match=f"row {int(forgotten[0])}"):
        view.labels(rows=forgotten)


def test_a_method_of_the_union_sees_everything(coloured: Source) -> None:
    (everything,) = union(class_incremental(coloured, 2, hidden=frozenset({"bias"}))).streams["train"]
    strategy = MethodStrategy(method=ERM(MethodConfig(), image_model(coloured)), settings=TrainingSettings())
    strategy.train(everything, eval_streams=[])
    assert strategy.view is not None
    assert len(list(strategy.view.batches(torch.arange(60)))) == 2
