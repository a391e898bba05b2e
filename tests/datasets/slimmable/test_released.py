"""NYUD, PASCAL-Context and CIFAR-100 in their released layouts: values, splits, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.readers import cifar100 as reader
from holdfast.datasets.slimmable import cifar100, nyud, pascal
from holdfast.datasets.slimmable.rows import placed
from scipy.io import savemat

from . import files

ALL = ("seg", "depth", "normals", "edges")
NAMELESS: dict[str, list[str]] = {"fine_label_names": [], "coarse_label_names": []}
SMALL: dict[str, Any] = {"height": 24, "width": 32}


def _without_depth(base: Path) -> None:
    for path in (base / "depth").iterdir():
        np.save(path, np.zeros((24, 32)))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))


def _column(source: Any, split: str, name: str) -> Any:
    column = source.splits[split].columns[name]
    assert isinstance(column, torch.Tensor)
    return column.numpy()


def test_nyud_counts_classes_from_0_and_leaves_out_what_is_0(tmp_path: Path) -> None:
    files.nyud(tmp_path)
    source = nyud.load(nyud.Config(tasks=ALL, **SMALL), tmp_path)
    assert (source.source, source.info.input_shape) == ("real", (3, 24, 32))
    assert {split: len(table) for split, table in source.splits.items()} == {"train": 5, "valid": 1, "test": 3}
    seg, depth, normals, edges = (_column(source, "test", f"target_{name}") for name in ALL)
    assert seg[:, 5, 5].tolist() == [6, 7, 8]
    assert depth[:, 5, 5].tolist() == [7, 8, 9]
    assert normals[0, :, 5, 5].tolist() == pytest.approx([0.6, 0, 0.8])
    assert (seg[:, :, 0] == 255).all()
    assert (depth[:, :, 0] == 255).all()
    assert (normals[:, :, :, 0] == 255).all()
    assert edges[0].sum() == 24
    assert (nyud.check(nyud.Config(tasks=ALL, **SMALL), tmp_path))["test"]["seg"] == round(31 / 32, 4)
    again = nyud.load(nyud.Config(tasks=ALL, **SMALL), tmp_path)  # from the cache
    assert again.checksum == source.checksum


def test_nyud_is_shrunk_and_filled_up(tmp_path: Path) -> None:
    files.nyud(tmp_path)
    source = nyud.load(nyud.Config(tasks=("seg", "depth"), height=16, width=16), tmp_path / "NYUD_MT")
    seg, depth = (_column(source, "test", f"target_{name}")[0] for name in ("seg", "depth"))
    assert (seg[12:] == 255).all()  # 24 x 32 becomes 12 x 16
    assert (seg[:12, 1:] == 6).all()
    assert (depth[:12, 1:] == 7).all()  # metres stay metres


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda base: (base / "depth" / "0002.npy").unlink(), r"depth/0002.npy: missing"),
        (lambda base: (base / "gt_sets" / "val.txt").unlink(), r"val.txt: missing"),
        (lambda base: files.words(base / "gt_sets" / "val.txt", ["../0001"]), r"is no name of a file"),
        (lambda base: files.words(base / "gt_sets" / "train.txt", ["0001"]), r"1 training images are too few"),
        (
            lambda base: files.array(base / "depth" / "0002.npy", np.ones((24, 31))),
            r"31 x 24 pixels, and its image 0002",
        ),
        (lambda base: files.array(base / "depth" / "0002.npy", -np.ones((24, 32))), r"a depth below 0"),
        (lambda base: files.array(base / "depth" / "0002.npy", np.ones((24, 32, 2))), r"is no map \[height, width\]"),
        (lambda base: files.grey(base / "segmentation" / "0002.png", np.full((24, 32), 41)), r"classes are 0 to 39"),
        (lambda base: files.picture(base / "segmentation" / "0002.png", 24, 32, 0), r"a map has one band"),
        (lambda base: files.array(base / "normals" / "0002.npy", np.ones((24, 32))), r"no map of normals"),
        (lambda base: (base / "normals" / "0002.npy").write_bytes(b"x"), r"no readable .npy file"),
        (
            _without_depth,
            r"'depth', split 'train': no pixel has a label",
        ),
    ],
)
def test_nyud_at_fault_is_refused(damage: Any, said: str, tmp_path: Path) -> None:
    damage(files.nyud(tmp_path))
    with pytest.raises(DataError, match=said):
        nyud.load(nyud.Config(tasks=("seg", "depth", "normals"), **SMALL), tmp_path)


def test_unknown_tasks_are_named() -> None:
    with pytest.raises(DataError, match=r"no task called 'parts'.*there are: seg, depth, normals, edges"):
        nyud.load(nyud.Config(tasks=("seg", "parts")), None)
    with pytest.raises(DataError, match="each once"):
        nyud.load(nyud.Config(tasks=("seg", "seg")), None)


def test_pascal_reads_all_tasks(tmp_path: Path) -> None:
    files.pascal(tmp_path)
    source = pascal.load(pascal.Config(side=32), tmp_path)
    assert source.info.names == ("seg", "parts", "saliency", "normals", "edges")
    assert {split: len(table) for split, table in source.splits.items()} == {"train": 5, "valid": 1, "test": 2}
    seg, parts, saliency, normals, edges = (_column(source, "test", f"target_{n}") for n in source.info.names)
    assert seg[0, 5, 5] == 6  # image 6: 30 x 20, from pascal-context; the first row is unknown
    assert (seg[0, 0] == 255).all()
    assert (seg[0, :, 20:] == 255).all()  # filled up
    assert (parts[0] == 255).all()  # a dog and no person
    assert parts[1, :8, 3].tolist() == [1, 1, 2, 3, 4, 5, 6, 0]
    assert (parts[1, 20:] == 255).all()
    assert saliency[0, 3, :7].tolist() == [1] * 5 + [0] * 2
    assert (normals[0, :, 5, :10] != 255).all()  # the wall
    assert (normals[0, :, 5, 10:] == 255).all()  # the sky
    assert (normals[0, :, 1] == 255).all()  # grey is no direction
    assert edges[0, 10, :20].sum() == 1  # one pixel wide
    assert set(np.flatnonzero(edges[0, 10, :20])) <= {9, 10}


def test_pascal_without_the_list_of_classes_warns_and_counts_all_normals(tmp_path: Path) -> None:
    files.pascal(tmp_path, labels=False)
    with pytest.warns(UserWarning, match="labels.txt: missing"):
        source = pascal.load(pascal.Config(side=32, tasks=("normals",)), tmp_path)
    assert (_column(source, "test", "target_normals")[0, :, 5, :20] != 255).all()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda b: (b / "human_parts" / "2008_000003.mat").write_bytes(b"MATLAB 5.0"), "no readable .mat file"),
        (lambda b: savemat(b / "human_parts" / "2008_000003.mat", {"other": 1}), "no variable anno"),
        (lambda b: savemat(b / "human_parts" / "2008_000003.mat", {"anno": 1}), "no annotation of parts"),
        (lambda b: (b / "sal_distill" / "2008_000003.png").unlink(), "sal_distill/2008_000003.png: missing"),
        (lambda b: files.words(b / "pascal-context" / "labels.txt", ["wall"]), "NUMBER: NAME"),
    ],
)
def test_pascal_at_fault_is_refused(damage: Any, said: str, tmp_path: Path) -> None:
    damage(files.pascal(tmp_path))
    with pytest.raises(DataError, match=said):
        pascal.load(pascal.Config(side=32), tmp_path)


def test_cifar100_is_20_tasks_of_5_classes_each(tmp_path: Path) -> None:
    files.cifar100(tmp_path)
    source = cifar100.load(cifar100.Config(), tmp_path)
    assert len(source.info.tasks) == 20
    assert {split: len(table) for split, table in source.splits.items()} == {"train": 180, "valid": 20, "test": 100}
    fine = _column(source, "test", "image")[:, 0, 0, 0]
    targets = np.stack([_column(source, "test", task.column) for task in source.info.tasks])
    assert ((targets >= 0).sum(0) == 1).all()  # one task an image
    for row, number in enumerate(fine):
        task = int(np.flatnonzero(targets[:, row] >= 0)[0])
        assert targets[task, row] == files.FINE_OF[task].index(number)
        assert source.info.tasks[task].classes[targets[task, row]] == f"fine{number}"
    assert (_column(source, "test", "experience") == targets.argmax(0)).all()


def test_cifar100_of_some_tasks(tmp_path: Path) -> None:
    files.cifar100(tmp_path)
    source = cifar100.load(cifar100.Config(tasks=("c3", "c1"), n_train=150, n_test=80), tmp_path)
    assert source.info.names == ("c3", "c1")
    assert sorted(set(_column(source, "train", "experience").tolist())) == [0, 1]
    assert len(source.splits["test"]) < 16


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda b: (b / "meta").unlink(), "no cifar-100-python/meta"),
        (lambda b: (b / "test").unlink(), "test: missing"),
        (lambda b: (b / "train").write_bytes(b"x"), "no readable batch"),
        (lambda b: (b / "train").write_bytes(pickle.dumps({b"data": 1})), "no field fine_labels and coarse_labels"),
        (lambda b: (b / "meta").write_bytes(pickle.dumps(NAMELESS)), "no list of 100 names"),
        (lambda b: (b / "train").write_bytes(pickle.dumps(files.words)), "which no batch of CIFAR needs"),
    ],
)
def test_cifar100_at_fault_is_refused(damage: Any, said: str, tmp_path: Path) -> None:
    damage(files.cifar100(tmp_path))
    with pytest.raises(DataError, match=said):
        cifar100.load(cifar100.Config(), tmp_path)


def test_a_fine_class_has_one_superclass() -> None:
    fine, coarse = np.array([5, 3, 9, 5]), np.array([0, 0, 1, 0])
    assert reader.within_superclass(fine, coarse).tolist() == [1, 0, 0, 1]
    with pytest.raises(DataError, match="fine class 5 belongs to two"):
        reader.within_superclass(fine, np.array([0, 0, 1, 1]))


def test_labels_are_not_mixed_when_they_shrink() -> None:
    labels = np.indices((40, 30)).sum(0) % 2 * 7
    small = placed(labels, (20, 20), 255)
    assert set(np.unique(small).tolist()) <= {0, 7, 255}
    assert (small[:, 15:] == 255).all()
    assert (placed(labels, (40, 30), 255) == labels).all()
