"""Facts of data with several tasks: every kind's targets are held to their form, and what is unknown is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.multi_task import Kind, Task, chosen, multi_task_source
from holdfast.datasets.core.table import Ragged, Table

N, H, W = 3, 4, 5


def _targets() -> dict[str, torch.Tensor]:
    normals = torch.zeros(N, 3, H, W)
    normals[:, 2] = 1
    normals[:, :, 0] = 255
    return {
        "segmentation": torch.tensor([0, 1, 255]).repeat(N, H, 2)[..., :W].to(torch.uint8),
        "depth": torch.tensor([0.5, 2.0, 255]).repeat(N, H, 2)[..., :W],
        "normals": normals,
        "edges": torch.tensor([0, 1, 255]).repeat(N, H, 2)[..., :W].to(torch.uint8),
        "saliency": torch.ones(N, H, W, dtype=torch.uint8),
        "classification": torch.tensor([1, -1, 0]),
        "regression": torch.tensor([1.5, torch.nan, -2.0]),
    }


OUTPUTS = {"segmentation": 2, "normals": 3, "classification": 2}


def _source(kind: Kind, target: torch.Tensor | Ragged | None = None, **changed: Any) -> Any:
    task = Task(**{"name": "t", "kind": kind, "outputs": OUTPUTS.get(kind, 1), **changed})
    value = _targets()[kind] if target is None else target
    table = Table({"image": torch.zeros(N, 3, H, W, dtype=torch.uint8), task.column: value})
    return multi_task_source({"train": table, "valid": table, "test": table}, (task,), "real")


KINDS: tuple[Kind, ...] = ("segmentation", "depth", "normals", "edges", "saliency", "classification", "regression")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_taken_and_says_which_elements_have_a_label(kind: Kind) -> None:
    source = _source(kind)
    task = source.info.task("t")
    target = _targets()[kind]
    labelled = task.labelled(target)
    assert labelled.shape == target.shape
    expected = {"classification": 2, "regression": 2, "saliency": N * H * W, "normals": 3 * N * (H - 1) * W}
    assert int(labelled.sum()) == expected.get(kind, N * H * 4)
    assert (source.info.column, source.info.names) == ("image", ("t",))


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("segmentation", lambda t: t.fill_(7), "row 0: values outside 0 to 1"),
        ("segmentation", lambda t: t.float(), "targets of type float32"),
        ("segmentation", lambda t: t[:, :2], "targets of 2 x 5, and its images ask for 4 x 5"),
        ("segmentation", lambda t: t.fill_(255), "no pixel has a label"),
        ("depth", lambda t: t.where(t != 2, -1.0), "row 0: depths that are not above 0"),
        ("depth", lambda t: t.where(t != 2, torch.inf), "depths that are not above 0"),
        ("normals", lambda t: t.where(t != 1, 0.5), "normals that are not of length 1"),
        ("normals", lambda t: t[:, 0], "ask for 3 x 4 x 5"),
        ("edges", lambda t: t.where(t != 1, 2).to(torch.uint8), "values outside 0 to 1"),
        ("classification", lambda t: t + 1, "row 0: values outside 0 to 1"),
        ("classification", lambda t: t[:, None], "targets of 1, and its images ask for one number"),
        ("classification", lambda t: t.fill_(-1), "no row has a label"),
        ("regression", lambda t: t.nan_to_num(torch.inf), "row 1: infinite values"),
        ("regression", lambda t: t.fill_(torch.nan), "no row has a label"),
        ("regression", lambda t: Ragged.from_list([t[:1]] * N), "of unequal lengths"),
    ],
)
def test_a_target_of_another_form_is_refused(kind: Kind, change: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        _source(kind, change(_targets()[kind]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "a/b"}, "cannot be called 'a/b'"),
        ({"outputs": 1}, "1 outputs, and segmentation has 2 to 255"),
        ({"classes": ("a",)}, "1 names for 2 outputs"),
        ({"weight": 0.0}, "weight 0.0 is not above 0"),
        ({"kind": "colour"}, "kind 'colour' is none of segmentation"),
    ],
)
def test_a_task_that_cannot_be_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        _source(**{"kind": "segmentation", "target": _targets()["segmentation"], **changed})


def test_tasks_are_chosen_by_name_and_unknown_ones_named() -> None:
    tasks = (Task("a", "depth"), Task("b", "edges"))
    assert chosen(tasks, ("b", "a")) == tasks[::-1]
    assert chosen(tasks, None) == tasks
    with pytest.raises(DataError, match=r"no task called 'c' \(there are: a, b\)"):
        chosen(tasks, ("a", "c"))
    with pytest.raises(DataError, match="each once"):
        chosen(tasks, ())


def test_maps_need_images_and_names_are_unlike() -> None:
    depth = torch.ones(N, H, W)
    rows = Table({"x": torch.zeros(N, 2), "target_d": depth})
    with pytest.raises(DataError, match="a map needs images"):
        multi_task_source({"train": rows, "test": rows}, (Task("d", "depth"),), "real")
    with pytest.raises(DataError, match="two tasks are called 'd'"):
        multi_task_source({"train": rows, "test": rows}, (Task("d", "depth"),) * 2, "real")
    with pytest.raises(DataError, match="there is none"):
        multi_task_source({"train": rows, "test": rows}, (), "real")
    with pytest.raises(DataError, match="no column 'target_e'"):
        multi_task_source({"train": rows, "test": rows}, (Task("e", "regression"),), "real")


def test_the_checksum_is_that_of_all_columns() -> None:
    first, again = _source("depth"), _source("depth")
    moved = _targets()["depth"]
    moved[2, 3, 0] = 0.75
    assert first.checksum == again.checksum != _source("depth", moved).checksum
