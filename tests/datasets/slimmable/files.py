"""Small trees in the released layouts of the sets with several tasks."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat


def picture(path: Path, height: int, width: int, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="BMP")


def grey(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def array(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def words(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def nyud(root: Path, k: int = 0, train: int = 6, val: int = 3, height: int = 24, width: int = 32) -> Path:
    """Every map of image n is made of n: a wall of class n % 40, depth n + 1, the left column unknown."""
    base = root / "NYUD_MT"
    for start, split, count in ((0, "train", train), (train, "val", val)):
        ids = [f"{n:04d}" for n in range(start, start + count)]
        words(base / "gt_sets" / f"{split}.txt", ids)
        for n, name in enumerate(ids, start):
            picture(base / "images" / f"{name}.jpg", height, width, 100 * k + n)
            seg = np.full((height, width), n % 40 + 1)
            depth = np.full((height, width), n + 1.0)
            normals = np.zeros((height, width, 3))
            normals[:, :, 2], normals[:, :, 0] = 4.0, 3.0
            for values in (seg, depth, normals):
                values[:, 0] = 0
            grey(base / "segmentation" / f"{name}.png", seg)
            array(base / "depth" / f"{name}.npy", depth)
            array(base / "normals" / f"{name}.npy", normals)
            array(base / "edge" / f"{name}.npy", np.eye(height, width))
    return base


def _parts(path: Path, height: int, width: int, person: bool) -> None:
    def mask(top: int, bottom: int) -> Any:
        out = np.zeros((height, width), np.uint8)
        out[top:bottom, 2:6] = 1
        return out

    def pieces(*names: str) -> Any:
        return _structs([{"part_name": name, "mask": mask(k, k + 1)} for k, name in enumerate(names)])

    things = [{"class": "dog", "class_ind": 12, "mask": mask(0, 9), "parts": pieces("tail")}]
    if person:
        own = pieces("head", "hair", "torso", "luarm", "rhand", "luleg", "lfoot")
        things.append({"class": "person", "class_ind": 15, "mask": mask(0, 9), "parts": own})
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"anno": {"imname": path.stem, "objects": _structs(things)}})


def _structs(rows: Sequence[dict[str, Any]]) -> Any:
    """An array of structs, as MATLAB writes it."""
    out = np.zeros(len(rows), [(name, object) for name in rows[0]])
    for k, row in enumerate(rows):
        for name, value in row.items():
            out[name][k] = value
    return out


def pascal(root: Path, k: int = 0, train: int = 6, val: int = 2, labels: bool = True) -> Path:
    """Images of two sizes; the context has a wall (class 2) on the left and the sky (class 5) on the right."""
    base = root / "PASCAL_MT"
    for start, split, count in ((0, "train", train), (train, "val", val)):
        ids = [f"2008_{n:06d}" for n in range(start, start + count)]
        words(base / "ImageSets" / "Context" / f"{split}.txt", ids)
        for n, name in enumerate(ids, start):
            height, width = (20, 30) if n % 2 else (30, 20)
            picture(base / "JPEGImages" / f"{name}.jpg", height, width, 100 * k + n)
            seg = np.full((height, width), n % 21)
            seg[0] = 255
            grey(base / "semseg" / ("VOC12" if n % 2 else "pascal-context") / f"{name}.png", seg)
            _parts(base / "human_parts" / f"{name}.mat", height, width, person=n % 2 == 1)
            context = np.where(np.arange(width) < width // 2, 2, 5) * np.ones((height, 1))
            (base / "pascal-context" / "trainval").mkdir(parents=True, exist_ok=True)
            savemat(base / "pascal-context" / "trainval" / f"{name}.mat", {"LabelMap": context.astype(np.uint16)})
            normals = np.full((height, width, 3), (128, 128, 255), np.uint8)
            normals[1] = 127
            Image.fromarray(normals).save(_made(base / "normals_distill" / f"{name}.png"))
            grey(base / "sal_distill" / f"{name}.png", np.where(np.arange(width) < 5, 128, 127) * np.ones((height, 1)))
    if labels:
        words(base / "pascal-context" / "labels.txt", ["1: accordion", "2: wall", "5: sky", "6: tv monitor"])
    return base


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


FINE_OF = [sorted((7 * k + 20 * j) % 100 for j in range(5)) for k in range(20)]  # each fine class once


def cifar100(root: Path, k: int = 0, rows: int = 200) -> Path:
    """Pickles with byte keys; the first byte of a row is its fine class."""
    base = root / "cifar-100-python"
    base.mkdir(parents=True, exist_ok=True)
    coarse_of = {fine: n for n, own in enumerate(FINE_OF) for fine in own}
    for name, count in (("train", rows), ("test", rows // 2)):
        fine = [n % 100 for n in range(count)]
        data = np.random.default_rng(count + k).integers(0, 256, (count, 3072), dtype=np.uint8)
        data[:, 0] = fine
        document = {b"data": data, b"fine_labels": fine, b"coarse_labels": [coarse_of[n] for n in fine]}
        (base / name).write_bytes(pickle.dumps(document))
    fine_names, coarse_names = [b"fine%d" % n for n in range(100)], [b"c%d" % n for n in range(20)]
    names = {b"fine_label_names": fine_names, b"coarse_label_names": coarse_names}
    (base / "meta").write_bytes(pickle.dumps(names))
    return base


def folder(root: Path, k: int = 0, count: int = 12, size: int = 16) -> Path:
    """Images with a segmentation, a depth image in millimetres, a class and a number; some cells are empty."""
    rows = []
    for n in range(count):
        picture(root / f"images/{n}.png", size, size, 100 * k + n)
        grey(root / f"seg/{n}.png", np.full((size, size), n % 3))
        array(root / f"depth/{n}.npy", np.full((size, size), 2.0 + n))
        rows.append(
            {
                "image": f"images/{n}.png",
                "seg": f"seg/{n}.png",
                "depth": f"depth/{n}.npy" if n % 4 else "",
                "kind": ("cat", "dog", "")[n % 3],
                "weight": str(1.5 * n) if n != 3 else "",
                "split": ("train", "train", "val", "test")[n % 4],
            }
        )
    table(root / "manifest.csv", rows)
    return root


def table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
