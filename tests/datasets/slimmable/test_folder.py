"""A user's images and maps: what the manifest says, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.slimmable import folder

from . import files

TASKS: dict[str, Any] = {
    "seg": {"kind": "segmentation", "outputs": 3},
    "depth": {"kind": "depth", "weight": 2},
    "kind": {"kind": "classification"},
    "weight": {"kind": "regression"},
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return files.folder(tmp_path / "data")


def _rewrite(path: Path, change: Any) -> None:
    with path.open(newline="") as file:
        rows = [change(dict(row)) for row in csv.DictReader(file)]
    files.table(path, rows)


def _load(root: Path, **options: Any) -> Any:
    return folder.load(folder.Config(**{"tasks": TASKS, **options}), root)


def test_cells_become_targets_and_empty_ones_none(root: Path) -> None:
    source = _load(root)
    assert {split: len(table) for split, table in source.splits.items()} == {"train": 6, "valid": 3, "test": 3}
    assert (source.source, source.random_split, source.info.task("depth").weight) == ("real", False, 2)
    assert source.info.task("kind").classes == ("cat", "dog")
    columns = source.splits["train"].columns  # rows 0, 1, 4, 5, 8, 9
    assert columns["target_seg"][:, 3, 3].tolist() == [0, 1, 1, 2, 2, 0]
    assert columns["target_depth"][:, 3, 3].tolist() == [255, 3, 255, 7, 255, 11]
    assert columns["target_kind"].tolist() == [0, 1, 1, -1, -1, 0]
    assert columns["target_weight"].tolist() == [0, 1.5, 6, 7.5, 12, 13.5]
    assert source.splits["test"].columns["target_weight"].isnan().tolist() == [True, False, False]


def test_without_a_split_whole_groups_are_drawn(root: Path) -> None:
    def grouped(row: dict[str, str]) -> dict[str, str]:
        del row["split"]
        return {**row, "group": str(int(Path(row["image"]).stem) // 2)}

    _rewrite(root / "manifest.csv", grouped)
    source = _load(root, tasks={"seg": TASKS["seg"], "weight": TASKS["weight"]}, seed=3)
    assert source.random_split
    assert sorted(len(table) for table in source.splits.values()) == [2, 2, 8]


def test_depth_images_have_a_unit_and_normals_and_masks_may_be_images(tmp_path: Path) -> None:
    root = tmp_path / "data"
    rows = []
    for k in range(4):
        files.picture(root / f"{k}.png", 16, 16, k)
        files.grey(root / f"d{k}.png", np.full((16, 16), 50 * k))
        files.grey(root / f"m{k}.png", np.full((16, 16), 255) * (np.arange(16) < 4))
        files.array(root / f"n{k}.npy", np.full((16, 16, 3), (0.0, 0.0, 2.0)))
        names = {"depth": f"d{k}.png", "mask": f"m{k}.png", "normals": f"n{k}.npy"}
        rows.append({"image": f"{k}.png", **names, "split": ["train", "valid", "test", "train"][k]})
    files.table(root / "manifest.csv", rows)
    tasks = {"depth": {"kind": "depth"}, "mask": {"kind": "saliency"}, "normals": {"kind": "normals"}}
    source = _load(root, tasks=tasks, depth_unit=0.01)
    columns = source.splits["train"].columns
    assert columns["target_depth"][:, 0, 0].tolist() == [255, 1.5]
    assert columns["target_mask"][0, 0, :5].tolist() == [1, 1, 1, 1, 0]
    assert torch.equal(columns["target_normals"][0, :, 0, 0], torch.tensor([0.0, 0.0, 1.0]))


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda row: row, {"tasks": {}}, "data.options.tasks: name the tasks"),
        (lambda row: row, {"tasks": {"other": {"kind": "depth"}}}, "no column other"),
        (lambda row: row, {"tasks": {"split": {"kind": "depth"}}}, "split is a column of the manifest"),
        (lambda row: row, {"tasks": {"seg": {"kind": "segmentation"}}}, "number of its classes"),
        (lambda row: row, {"tasks": {"depth": {"kind": "depth", "outputs": 2}}}, "depth has 1 outputs, not 2"),
        (
            lambda row: row,
            {"tasks": {"seg": {"kind": "segmentation", "outputs": 2}}},
            "the value 2, and classes are 0 to 1",
        ),
        (lambda row: row, {"manifest": "../m.csv"}, "is no file's name"),
        (lambda row: row, {"manifest": "m.csv"}, "m.csv: missing"),
        (lambda row: {**row, "seg": "seg/99.png"}, {}, "12 faults.*line 2, column seg: no file seg/99.png"),
        (lambda row: {**row, "seg": "../seg.png"}, {}, "leads out of"),
        (lambda row: {**row, "weight": "heavy"}, {}, "'heavy' is no number"),
        (lambda row: {**row, "depth": ""}, {}, "'depth', split 'train': no pixel has a label"),
        (lambda row: {**row, "weight": ""}, {}, "'weight', split 'train': no row has a label"),
        (lambda row: {**row, "kind": "cat"}, {}, "1 outputs, and classification has 2"),
        (lambda row: {**row, "image": ""}, {}, "line 2: no image"),
        (lambda row: {**row, "split": "train"}, {}, "the split 'test' has none"),
    ],
)
def test_a_manifest_at_fault_is_refused(change: Any, options: dict[str, Any], said: str, root: Path) -> None:
    _rewrite(root / "manifest.csv", change)
    with pytest.raises(DataError, match=f"(?s){said}"):
        _load(root, **options)


def test_a_map_has_the_size_of_its_image(root: Path) -> None:
    files.grey(root / "seg" / "3.png", np.zeros((16, 12)))
    with pytest.raises(DataError, match=r"seg/3.png: 12 x 16 pixels, and its image 3.png has 16 x 16"):
        _load(root)


def test_images_of_two_sizes_need_a_size(root: Path) -> None:
    files.picture(root / "images" / "3.png", 20, 16, 3)
    files.grey(root / "seg" / "3.png", np.zeros((20, 16)))
    files.array(root / "depth" / "3.npy", np.ones((20, 16)))
    with pytest.raises(DataError, match=r"3.png: 16 x 20 pixels.*data.options.height=240"):
        _load(root)
    assert _load(root, height=24, width=20).info.input_shape == (3, 24, 20)


def test_without_a_root_scenes_stand_in() -> None:
    source = folder.load(folder.Config(n_train=20, n_valid=4, n_test=4), None)
    assert (source.source, source.info.names) == ("stand-in", ("seg", "depth", "saliency"))
