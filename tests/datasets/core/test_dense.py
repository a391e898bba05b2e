"""Views of images with their maps: what lies where, depths, normals, and what has no label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core.dense import Views, augmented
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.multi_task import Task
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import DataInfo
from holdfast.datasets.slimmable import multimnist, scenes
from holdfast.datasets.transforms import dense_views

ALL = ("seg", "depth", "saliency", "normals", "edges")
TASKS = scenes.TASKS


@pytest.fixture(scope="module")
def source() -> Any:
    return scenes.load(scenes.Config(tasks=ALL, n_train=70, n_valid=2, n_test=2, noise=0), None)


@pytest.fixture(scope="module")
def columns(source: Any) -> Any:
    return dict(source.splits["train"].columns)


def _view(columns: Any, seed: int = 0, **changed: Any) -> Any:
    return augmented(columns, TASKS, Views(**{"flip": 0.0, **changed}), generator(seed, "views"))


def test_without_a_change_every_bit_stays(columns: Any) -> None:
    view = _view(columns)
    assert all(torch.equal(view[name], column) for name, column in columns.items())


def test_a_mirrored_row_is_the_mirror(columns: Any) -> None:
    view = _view(columns, flip=1.0)
    for name, column in columns.items():
        expected = column.flip(-1).clone()
        if name == "target_normals":
            expected[:, 0] = -expected[:, 0]
        assert torch.equal(view[name], expected), name


def test_an_enlarged_view_is_nearer_and_shows_a_part(columns: Any) -> None:
    view = _view(columns, scales=(2.0,))
    middle = columns["target_depth"][:, 8:24, 8:24]
    assert torch.allclose(view["target_depth"][:, ::2, ::2] * 2, middle)
    assert torch.equal(view["target_seg"][:, 1::2, 1::2], columns["target_seg"][:, 8:24, 8:24])
    assert torch.equal(view["target_normals"][:, :, ::2, ::2], columns["target_normals"][:, :, 8:24, 8:24])


def test_a_random_part_lies_inside(columns: Any) -> None:
    views = [_view(columns, seed, scales=(1.0, 2.0), crop=True) for seed in (0, 1)]
    for view in views:
        assert (view["target_seg"] != 255).all()
    assert not torch.equal(views[0]["target_seg"], views[1]["target_seg"])
    assert torch.equal(views[0]["target_seg"], _view(columns, 0, scales=(1.0, 2.0), crop=True)["target_seg"])


def test_a_shrunk_view_has_a_margin_without_labels(columns: Any) -> None:
    view = _view(columns, scales=(0.5,))
    for task in TASKS:
        target = view[task.column]
        assert (target[..., :7, :] == 255).all()
        assert (target[..., 9:23, 9:23] != 255).all()
    assert (view["image"][:, :, :7] == 128).all()
    inner = view["target_depth"][:, 9:23, 9:23]
    assert inner.min() >= 2 * columns["target_depth"].min()


def test_a_turned_view_has_the_normals_of_its_depth() -> None:
    """A tilted plane, turned: normals are those of the turned depth, computed anew."""
    side = 33
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    depth = (2 + 0.5 * x + 0.1 * y)[None].expand(8, -1, -1).contiguous()
    normal = torch.tensor([0.5, 0.1, 1.0])
    normals = (normal / normal.norm())[None, :, None, None].expand(8, -1, side, side).contiguous()
    tasks = (Task("depth", "depth"), Task("normals", "normals", 3))
    image = torch.zeros(8, 3, side, side, dtype=torch.uint8)
    columns = {"image": image, "target_depth": depth, "target_normals": normals}
    view = augmented(columns, tasks, Views(flip=0.5, rotation=90), generator(3, "views"))
    turned = view["target_depth"].double().numpy()
    found = view["target_normals"]
    angles = set()
    for k in range(8):
        inner = turned[k][8:25, 8:25]  # within the circle that stays inside
        gradient = [np.polyfit(np.arange(17) / side, inner.mean(axis), 1)[0] for axis in (0, 1)]
        expected = np.array([*gradient, 1.0]) / np.linalg.norm([*gradient, 1.0])
        assert found[k, :, 16, 16].numpy() == pytest.approx(expected, abs=0.04)  # the nearest pixel
        angles.add(round(float(np.arctan2(gradient[1], gradient[0])), 1))
    assert len(angles) > 5


def test_pixels_without_a_label_stay_without(columns: Any) -> None:
    hidden = {name: column.clone() for name, column in columns.items()}
    for task in TASKS:
        hidden[task.column][..., :16] = 255
    view = _view(hidden, flip=1.0, scales=(1.0,), rotation=0)
    for task in TASKS:
        assert (view[task.column][..., 16:] == 255).all()
        assert (view[task.column][..., :16] != 255).all()


def test_rows_are_kept_and_views_follow(source: Any) -> None:
    table = source.splits["train"]
    config = dense_views.Config(copies=2, scale_from=0.75, scale_to=1.25, rotation=20)
    rows = dense_views.transform(config, table, source.info, 5)
    views: Any = rows.table.columns
    again: Any = dense_views.transform(config, table, source.info, 5).table.columns
    assert rows.origin.tolist() == [*range(70)] * 3
    for name, column in table.columns.items():
        assert torch.equal(views[name][:70], column)
        assert torch.equal(views[name], again[name])
    seg = views["target_seg"]
    assert not torch.equal(seg[70:140], seg[140:])
    other: Any = dense_views.transform(config, table, source.info, 6).table.columns["target_seg"]
    assert not torch.equal(seg, other)


def test_tasks_without_maps_keep_their_labels() -> None:
    source = multimnist.load(multimnist.Config(n_train=20, n_valid=1, n_test=1), None)
    rows = dense_views.transform(dense_views.Config(flip=0), source.splits["train"], source.info, 0)
    left: Any = rows.table.columns["target_left"]
    assert torch.equal(left[:20], left[20:])


def test_other_data_is_refused(source: Any) -> None:
    with pytest.raises(DataError, match="MultiTaskInfo"):
        dense_views.transform(dense_views.Config(), source.splits["train"], DataInfo(), 0)
