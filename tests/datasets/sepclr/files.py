"""Small trees in the released layouts of the sets of images for contrastive analysis."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

OTHERS = (
    *("Pneumonia", "Enlarged Cardiomediastinum", "Pneumothorax", "Lung Lesion", "Pleural Other", "Fracture"),
    *("Consolidation", "Atelectasis", "Support Devices"),
)


def image(path: Path, value: int, width: int = 24, height: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="BMP")


def table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def celeba(root: Path, k: int = 0, count: int = 60, form: str = "txt") -> Path:
    """Kinds in turn: plain, plain, glasses, hat, glasses and hat; sexes alternate over whole turns."""
    rows = []
    for n in range(count):
        name = f"{n + 1:06d}.jpg"
        image(root / "img_align_celeba" / name, 100 * k + n, 178, 218)
        glasses, hat = n % 5 in (2, 4), n % 5 in (3, 4)
        values = {"Eyeglasses": glasses, "Male": n // 5 % 2 == 1, "Wearing_Hat": hat, "Young": True}
        rows.append({"image_id": name, **{key: 1 if value else -1 for key, value in values.items()}})
    if form == "csv":
        table(root / "list_attr_celeba.csv", rows)
    else:
        lines = [str(count), " ".join(list(rows[0])[1:]), *("  ".join(map(str, row.values())) for row in rows)]
        (root / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    return root


def chexpert(root: Path, k: int = 0, patients: int = 16) -> Path:
    """Two studies a patient: no finding, or one of three. The last patient's rows are of no use."""
    rows = []
    for n in range(patients):
        for study in (1, 2):
            path = f"CheXpert-v1.0-small/train/patient{n:05d}/study{study}/view1_frontal.jpg"
            image(root / path, 100 * k + 2 * n + study, 48, 40)
            kind = ("No Finding", "Cardiomegaly", "Edema", "Pleural Effusion")[n % 4]
            flags = dict.fromkeys(("No Finding", "Cardiomegaly", "Edema", "Pleural Effusion", *OTHERS), "")
            flags[kind] = "1.0"
            if n == patients - 1:
                flags["Fracture"] = "-1.0"
            view = {"Frontal/Lateral": "Frontal", "AP/PA": "AP"}
            sex = ("Male", "Female")[n // 4 % 2] if n != 2 else "Unknown"
            rows.append({"Path": path, "Sex": sex, "Age": str(40 + n), **view, **flags})
    table(root / "CheXpert-v1.0-small" / "train.csv", rows)
    return root


def odir(root: Path, k: int = 0, patients: int = 24) -> Path:
    rows = []
    for n in range(patients):
        kind = "NDGCAM"[n % 6]
        names = [f"{n}_{side}.jpg" for side in ("left", "right")]
        for j, name in enumerate(names):
            image(root / "preprocessed_images" / name, 100 * k + 2 * n + j)
        flags = {name: int(name == kind) for name in "NDGCAHMO"}
        facts = {"ID": n, "Patient Age": 1 if n == 3 else 50 + n, "Patient Sex": ("Female", "Male")[n // 6 % 2]}
        rows.append({**facts, "Left-Fundus": names[0], "Right-Fundus": names[1], **flags})
    table(root / "data.csv", rows)
    return root


def folders(root: Path, k: int = 0, count: int = 12, attributes: bool = True) -> Path:
    """``count`` images of each set; shape is common, dose salient, weight a number of both."""
    rows = []
    for n in range(2 * count):
        member = ("background", "target")[n % 2]
        name = f"{member}/{n}.png"
        image(root / name, 100 * k + n, 16, 16)
        dose = ("low", "high")[n // 2 % 2] if n % 2 else ""
        split = ("train", "train", "train", "val", "test", "test")[n // 2 % 6]
        rows.append({"file": name, "split": split, "shape": "ab"[n // 4 % 2], "dose": dose, "weight": 50.5 + n})
    if attributes:
        table(root / "attributes.csv", rows)
    return root


def tables(root: Path, k: int = 0, count: int = 40) -> Path:
    g = np.random.default_rng(k)
    for member in ("background", "target"):
        rows = []
        for n in range(count):
            values = {f"x{j}": f"{v:+.4f}" for j, v in enumerate(g.normal(size=4))}
            kind = "uv"[n % 2] if member == "target" else ""
            rows.append({**values, "site": "AB"[n // 2 % 2], "kind": kind, "patient": f"{member}{n // 2}"})
        table(root / f"{member}.csv", rows)
    return root


def dsprites(root: Path, k: int = 0, count: int = 400) -> Path:
    """An npz of its arrays; an image's first pixels say its row."""
    g = np.random.default_rng(k)
    latents = np.stack(
        [np.ones(count), np.arange(count) % 3 + 1, *(g.uniform(0.5, 1, count), g.uniform(0, 6.28, count))]
        + [g.uniform(0, 1, count) for _ in range(2)],
        1,
    )
    imgs = np.zeros((count, 64, 64), np.uint8)
    for bit in range(10):
        imgs[:, 0, bit] = np.arange(count) >> bit & 1
    imgs[:, 40:44, 40:44] = 1
    path = root / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    np.savez_compressed(path, imgs=imgs, latents_values=latents, metadata=np.array({"a": 1}, dtype=object))
    return root
