"""Contrastive analysis: oracle features, cells and their names, and values that are missing."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.problems.contrastive_analysis import ContrastiveAnalysis
from holdfast.analysis.problems.evaluator import Measurement
from holdfast.datasets.core.contrast import Attribute, ContrastInfo
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import ClassInfo
from holdfast.datasets.core.table import Table
from holdfast.suites.config import measures

SHAPE = Attribute("shape", "shape", "common", ("a", "b", "c"))
DIGIT = Attribute("digit", "digit", "salient", ("0", "1"), target_only=True)
AGE = Attribute("age", "age", "common")


def _data(repeat: int = 8, attributes: tuple[Attribute, ...] = (SHAPE, DIGIT), **changed: Any) -> Any:
    """Every combination of shape, digit and membership, ``repeat`` times."""
    grid = torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(2)).repeat(repeat, 1)
    shape, digit, target = grid.T.clone()
    digit[target == 0] = -1
    age = torch.where(shape >= 0, 40.0 + 10 * shape, torch.nan).double()
    columns = {"x": torch.zeros(len(grid), 1), "target": target, "shape": shape, "digit": digit, "age": age}
    table = Table(columns | changed)
    splits = {"train": table, "test": table}
    return SimpleNamespace(splits=splits, info=ContrastInfo(attributes=attributes, modality="table", input_shape=(1,)))


def _oracle(data: Any) -> tuple[dict[str, Any], Any]:
    """One-hot of the shape as common, of the digit as salient representation (zero for background)."""
    columns = {name: value.numpy() for name, value in data.splits["train"].columns.items()}
    common = 10 * np.eye(3)[columns["shape"]]
    salient = 10 * np.eye(2)[columns["digit"].clip(0)] * columns["target"][:, None]
    return {"common": common, "salient": salient}, np.arange(len(common))


def _measured(data: Any, outputs: dict[str, Any], rows: Any, fitted: bool = True) -> Measurement:
    problem = ContrastiveAnalysis(data)
    if fitted:
        problem.fit([(outputs, rows)])
    return problem.measure(outputs, rows, "test")


def test_oracle_features_are_apart_and_swapped_ones_are_not() -> None:
    data = _data()
    outputs, rows = _oracle(data)
    right = _measured(data, outputs, rows).compute()
    assert right["separation"] == pytest.approx(0, abs=1e-9)
    assert right["common/shape/accuracy"] == right["salient/digit/balanced_accuracy"] == 1
    assert right["leak/common/digit/balanced_accuracy"] == right["leak/common/target/accuracy"] == 0.5
    assert right["salient/target/balanced_accuracy"] == 1
    assert right["salient_norm/background"] == right["salient_norm/ratio"] == 0
    swapped = {"common": outputs["salient"], "salient": outputs["common"]}
    wrong = _measured(data, swapped, rows).compute()
    assert wrong["separation"] == pytest.approx(2 / 3 + 2 / 3 + 0.5 + 0.5 + 0.5 + 0.5)
    assert wrong["leak/salient/shape/accuracy"] == 1


def test_one_space_for_both_leaks_all() -> None:
    data = _data()
    outputs, rows = _oracle(data)
    both = np.hstack([outputs["common"], outputs["salient"]])
    values = _measured(data, {"common": both, "salient": both}, rows).compute()
    assert values["leak/common/digit/accuracy"] == values["leak/salient/shape/accuracy"] == 1
    assert values["kernel_mi"] > _measured(data, outputs, rows).compute()["kernel_mi"] + 0.3


def test_numbers_have_a_linear_model_and_an_absolute_error() -> None:
    data = _data(attributes=(SHAPE, DIGIT, AGE))
    outputs, rows = _oracle(data)
    values = _measured(data, outputs, rows).compute()
    assert values["common/age/mae"] == pytest.approx(0, abs=1e-9)
    assert values["leak/salient/age/mae"] == pytest.approx(20 / 3)  # of 40, 50 and 60 about 50
    assert values["separation"] == pytest.approx(0, abs=1e-9)


def test_rows_without_a_value_are_left_out() -> None:
    """Every row but two of shape c and digit 1 lacks its values; they change nothing that is measured of others."""
    data = _data(attributes=(SHAPE, DIGIT, AGE))
    table = data.splits["train"]
    gone = (table.columns["shape"] == 2) & (table.columns["target"] == 1)
    shape, age = table.columns["shape"].clone(), table.columns["age"].clone()
    outputs, rows = _oracle(data)
    shape[gone], age[gone] = -1, torch.nan
    values = _measured(_data(attributes=(SHAPE, DIGIT, AGE), shape=shape, age=age), outputs, rows).compute()
    assert values["common/shape/balanced_accuracy"] == 1
    assert values["leak/salient/shape/balanced_accuracy"] == 0.5  # chance among the two classes left
    assert values["common/age/mae"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("digit", [-1, 0], ids=["no value", "one class"])
def test_an_attribute_that_cannot_be_probed_has_no_cell(digit: int) -> None:
    data = _data()
    values = torch.where(data.splits["train"].columns["target"] == 1, digit, -1)
    outputs, rows = _oracle(data)
    measured = _measured(_data(digit=values), outputs, rows).compute()
    assert not [name for name in measured if "digit" in name]
    assert math.isfinite(measured["separation"])


def test_representations_that_are_not_finite_have_no_cell() -> None:
    data = _data()
    outputs, rows = _oracle(data)
    outputs["common"][3] = np.nan
    outputs["salient"][:] = np.inf
    measured = _measured(data, outputs, rows).compute()
    assert math.isnan(measured["separation"])
    assert "kernel_mi" not in measured


def test_without_a_fit_there_is_no_probe_and_no_row_is_no_fault() -> None:
    data = _data()
    outputs, rows = _oracle(data)
    assert math.isnan(_measured(data, outputs, rows, fitted=False).compute()["separation"])
    assert math.isnan(ContrastiveAnalysis(data).measurement("test").compute()["separation"])


def test_batches_and_their_order_change_nothing() -> None:
    data = _data()
    g = np.random.default_rng(0)
    outputs, rows = _oracle(data)
    outputs = {name: value + g.normal(size=value.shape) for name, value in outputs.items()}
    whole = _measured(data, outputs, rows).compute()
    problem = ContrastiveAnalysis(data)
    parts = np.array_split(rows, 5)
    problem.fit(({name: value[part] for name, value in outputs.items()}, part) for part in parts)
    measurement = problem.measurement("test")
    for part in parts:
        measurement.update({name: value[part] for name, value in outputs.items()}, part)
    assert measurement.compute() == whole


def test_every_name_is_declared_with_its_direction() -> None:
    known = measures.metrics("contrastive_analysis")
    data = _data(attributes=(SHAPE, DIGIT, AGE))
    measured = _measured(data, *_oracle(data)).compute()
    assert all(name in known and known[name].title for name in measured)
    higher = {name: known[f"{name}/last"].higher_is_better for name in measured}
    assert higher["common/shape/accuracy"] is higher["leak/salient/age/mae"] is True
    assert higher["leak/common/digit/accuracy"] is higher["common/age/mae"] is higher["separation"] is False
    assert known["valid/leak/common/digit/accuracy/last"].name == "valid/leak/common/digit/accuracy/last"
    assert "common/a/b/accuracy/last" not in known
    assert known.main.name == "separation"


def test_every_picture_is_drawn(tmp_path: Path) -> None:
    data = _data(attributes=(AGE, DIGIT))
    measurement = _measured(data, *_oracle(data))
    names = []
    for name, draw in measurement.pictures():
        if "umap" not in name:
            draw(tmp_path / name)
            names.append(name)
    assert names == ["probes.png", "salient_norms.png", "spaces.png"]
    assert all((tmp_path / name).stat().st_size > 5000 for name in names)


def test_other_data_is_refused() -> None:
    data = _data()
    with pytest.raises(DataError, match="reads data with a ContrastInfo"):
        ContrastiveAnalysis(SimpleNamespace(splits=data.splits, info=ClassInfo(classes=2)))
    without = {"test": Table({"target": torch.tensor([0, 1])})}
    with pytest.raises(DataError, match="'test' has no column shape, digit"):
        ContrastiveAnalysis(SimpleNamespace(splits=without, info=data.info))
