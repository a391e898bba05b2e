"""Generated scenes, overlapping digits and the stand-ins: what the targets say of the images, and seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import Source
from holdfast.datasets.readers import digits
from holdfast.datasets.slimmable import cifar100, multimnist, nyud, pascal, scenes
from holdfast.suites.runtime import facts

from .. import trees

ALL = ("seg", "depth", "saliency", "normals", "edges")
SMALL: dict[str, Any] = {"n_train": 60, "n_valid": 10, "n_test": 40}


def _arrays(source: Source[Any], split: str = "train") -> dict[str, Any]:
    columns = source.splits[split].columns
    return {name.removeprefix("target_"): v.numpy() for name, v in columns.items() if isinstance(v, torch.Tensor)}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return _arrays(scenes.load(scenes.Config(tasks=ALL, noise=0, **SMALL), None))


def test_the_figures_lie_before_the_ground(made: dict[str, Any]) -> None:
    ground = made["seg"] == 0
    assert set(np.unique(made["seg"]).tolist()) == {0, 1, 2, 3}
    assert 0.5 < ground.mean() < 0.95
    assert made["depth"][ground].min() >= 0.75
    assert 0.05 < made["depth"][~ground].max() <= 0.75


def test_saliency_is_the_nearest_figure_whole(made: dict[str, Any]) -> None:
    salient = made["saliency"] == 1
    assert (made["seg"][salient] > 0).all()
    for k in range(60):
        others = (made["seg"][k] > 0) & ~salient[k]
        if salient[k].any() and others.any():
            assert np.median(made["depth"][k][salient[k]]) < np.median(made["depth"][k][others])
    assert (salient.any((1, 2)) & ((made["seg"] > 0) & ~salient).any((1, 2))).mean() > 0.2  # two or more are usual


def test_nearer_figures_are_larger_and_brighter(made: dict[str, Any]) -> None:
    salient = made["saliency"] == 1
    depth = np.array([made["depth"][k][salient[k]].mean() for k in range(60)])
    size = salient.sum((1, 2))
    light = np.array([made["image"][k].mean(0)[salient[k]].mean() for k in range(60)])
    assert np.corrcoef(depth, size)[0, 1] < -0.5
    assert np.corrcoef(depth, light)[0, 1] < -0.5


def test_normals_are_those_of_the_depth(made: dict[str, Any]) -> None:
    """Away from borders n is along (d depth / dx, d depth / dy, 1), in units of the side."""
    depth, side = made["depth"].astype(np.float64), made["depth"].shape[1]
    down, across = (np.gradient(depth, 1 / side, axis=axis) for axis in (1, 2))
    expected = np.stack([across, down, np.ones_like(down)], 1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    border = np.pad(made["edges"], ((0, 0), (2, 2), (2, 2)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(border, (5, 5), axis=(1, 2)).max((3, 4))
    flat = (windows == 0) & (made["seg"] != 1)  # a ball's gradient is no difference of neighbours
    angle = np.degrees(np.arccos(np.clip((expected * made["normals"]).sum(1), -1, 1)))
    assert flat.mean() > 0.3
    assert angle[flat].max() < 0.5
    ball = (windows == 0) & (made["seg"] == 1)
    assert np.median(angle[ball]) < 3


def test_edges_lie_where_the_surface_changes(made: dict[str, Any]) -> None:
    change = np.zeros_like(made["edges"])
    change[:, :, :-1] |= made["seg"][:, :, 1:] != made["seg"][:, :, :-1]
    change[:, :-1] |= made["seg"][:, 1:] != made["seg"][:, :-1]
    assert (made["edges"] >= change).all()
    assert made["edges"].mean() < 2 * change.mean()


def test_the_seed_draws_all_and_tasks_change_no_image() -> None:
    changes: list[dict[str, Any]] = [{}, {}, {"seed": 1}, {"tasks": ("depth",)}]
    sources = [scenes.load(scenes.Config(**SMALL, **change), None) for change in changes]
    assert sources[0].checksum == sources[1].checksum != sources[2].checksum
    assert (_arrays(sources[0])["image"] == _arrays(sources[3])["image"]).all()
    assert sources[3].info.names == ("depth",)
    with pytest.raises(DataError, match="no task called 'parts'"):
        scenes.load(scenes.Config(tasks=("parts",)), None)
    with pytest.raises(DataError, match="reads no data root"):
        scenes.load(scenes.Config(), Path())


def test_experiences_bring_one_task_each() -> None:
    source = scenes.load(scenes.Config(experiences=True, **SMALL), None)
    arrays = _arrays(source, "test")
    assert arrays["experience"].tolist() == [k % 3 for k in range(40)]
    for k, task in enumerate(source.info.tasks):
        target, own = arrays[task.name], arrays["experience"] == k
        assert (target[~own] == 255).all()
        assert (target[own] != 255).all()


def test_facts_of_a_run_are_read_again(tmp_path: Path) -> None:
    source = scenes.load(scenes.Config(**SMALL), None)
    facts.save(tmp_path, source)
    loaded = facts.load(tmp_path)
    assert loaded is not None
    assert loaded.info == source.info


@pytest.mark.parametrize("size", [None, 16])
def test_both_digits_are_in_the_image(size: Any) -> None:
    source = multimnist.load(multimnist.Config(size=size, **SMALL), None)
    side = {None: 12, 16: 22}[size]
    assert source.info.input_shape == (3, side, side)
    assert source.random_split
    arrays = _arrays(source)
    assert set(arrays["left"].tolist()) == set(arrays["right"].tolist()) == set(range(10))
    corners = arrays["image"][:, 0]
    assert (corners[:, :4, -4:] == 0).all()  # no digit reaches the upper right
    assert corners[:, :4, :4].any()
    assert corners[:, -4:, -4:].any()


def test_the_lighter_of_both_digits_is_seen() -> None:
    grey = np.array([[[9, 1], [2, 3]], [[5, 6], [7, 8]]], np.uint8)
    image = multimnist.overlaid(grey, 1, np.array([[0, 1], [1, 0]]))
    assert image.tolist() == [[[9, 1, 0], [2, 5, 6], [0, 7, 8]], [[5, 6, 0], [7, 9, 1], [0, 2, 3]]]


def test_mnist_by_its_root(tmp_path: Path) -> None:
    trees.idx(tmp_path, train=60, test=20)
    source = multimnist.load(multimnist.Config(**SMALL), tmp_path)
    assert (source.source, source.info.input_shape, source.random_split) == ("real", (3, 36, 36), False)


def test_no_digit_is_in_two_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    numbered = np.arange(150, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    labels = np.arange(150) % 10
    parts = {"train": (numbered[:100], labels[:100]), "test": (numbered[100:], labels[100:])}
    monkeypatch.setattr(digits, "shuffled", lambda seed: parts)
    source = multimnist.load(multimnist.Config(**SMALL), None)
    seen = {split: set(_arrays(source, split)["image"][:, 0, 0, 0].tolist()) for split in source.splits}
    assert seen["train"] <= set(range(90))
    assert seen["valid"] <= set(range(90, 100))
    assert seen["test"] <= set(range(100, 150))


def test_stand_ins_have_the_tasks_of_the_real_sets() -> None:
    made = nyud.load(nyud.Config(tasks=("seg", "normals", "depth", "edges"), **SMALL), None)
    assert (made.source, [t.kind for t in made.info.tasks]) == (
        "stand-in",
        ["segmentation", "normals", "depth", "edges"],
    )
    assert [task.weight for task in made.info.tasks] == [1, 10, 1, 50]
    made = pascal.load(pascal.Config(**SMALL), None)
    assert (made.source, made.info.names) == ("stand-in", ("seg", "parts", "saliency", "normals", "edges"))
    arrays = _arrays(made)
    ball = arrays["seg"] == 1
    with_ball = ball.any((1, 2))
    assert (arrays["parts"][~with_ball] == 255).all()
    assert ((arrays["parts"][with_ball] > 0) == ball[with_ball]).all()


def test_small_images_stand_in_for_cifar100() -> None:
    source = cifar100.load(cifar100.Config(n_train=400, n_test=100, n_tasks=4), None)
    assert (source.source, source.info.names[-1]) == ("stand-in", "task_03")
    arrays = _arrays(source)
    targets = np.stack([arrays[f"task_{k:02d}"] for k in range(4)])
    assert ((targets >= 0).sum(0) == 1).all()
    assert len(arrays["image"]) > 40
    images, task, kind = cifar100.stand_in(300, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft2(images.mean(-1) - images.mean((1, 2, 3))[:, None, None]))[:, :, 1:]
    peaks = [spectrum[kind == c].mean(0).argmax() for c in range(5)]
    assert len(set(peaks)) == 5  # the class is the direction of the stripes
    colours = [images[task % 5 == c].mean((0, 1, 2)) for c in range(5)]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(colours) for b in colours[:i]) > 10
