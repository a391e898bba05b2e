"""Small whole data sets in every layout that a suite reads: what the trials then spoil."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..datasets import trees
from ..datasets.sepclr import files as sepclr
from ..datasets.slimmable import files as slimmable
from ..datasets.supremix import files as supremix

WORDS = ["good", "bad", "fine", "poor", "great", "awful", "nice", "dull", "warm", "cold"]


@dataclass(frozen=True)
class Layout:
    """How a suite's data lie: ``make(root)`` writes them, ``options`` are what the command says beside --data-root."""

    suite: str
    make: Callable[[Path], object]
    options: tuple[str, ...] = ()
    file: str = ""  # of the root, where --data-root is a file


def _images(root: Path) -> None:
    g = np.random.default_rng(0)
    with (root / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "bias", "split"])
        for n in range(36):
            Image.fromarray(g.integers(0, 256, (13, 13, 3), dtype=np.uint8)).save(root / f"{n}.png")
            writer.writerow([f"{n}.png", "ab"[n % 2], "xy"[n // 3 % 2], ("train", "train", "valid", "test")[n % 4]])


def _classes(root: Path) -> None:
    g = np.random.default_rng(0)
    for name in ("train/cats", "train/dogs", "test/cats", "test/dogs"):
        (root / name).mkdir(parents=True)
        for n in range(8):
            Image.fromarray(g.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(root / name / f"{n}.png")


def _disent(root: Path) -> None:
    trees.disent(root, "cmnist", 28)


def _dsprites(root: Path) -> None:
    sepclr.dsprites(root)
    trees.idx(root)


def _table(root: Path) -> None:
    g = np.random.default_rng(0)
    rows = "".join(f"{a:.3f},{b:.3f},{'uv'[k % 2]},{a + b:.3f}\n" for k, (a, b) in enumerate(g.normal(size=(60, 2))))
    (root / "rows.csv").write_text("a,b,kind,price\n" + rows)


def _sentences(root: Path) -> None:
    for stem, count in (("train", 40), ("test", 12)):
        rows = [f"{n % 2}\tthe {WORDS[n % 10]} film number {n} of {stem}" for n in range(count)]
        (root / f"own_{stem}.txt").write_text("\n".join(rows) + "\n")


def _json_lines(root: Path) -> None:
    for stem, count in (("train", 40), ("test", 12)):
        rows = [{"text": f"the {WORDS[n % 10]} film {n} of {stem}", "label": n % 2} for n in range(count)]
        (root / f"own_{stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _cb(root: Path) -> None:
    folder, classes = root / "CB", ("entailment", "contradiction", "neutral")
    folder.mkdir()
    for stem, count in (("train", 30), ("val", 9)):
        rows = [
            {"premise": f"It rains {n} {stem}.", "hypothesis": "It is wet.", "label": classes[n % 3], "idx": n}
            for n in range(count)
        ]
        (folder / f"{stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


TASKS = "data.options.tasks={seg: {kind: segmentation, outputs: 3}, depth: {kind: depth}}"
FEW = ("data.options.n_train=40", "data.options.n_valid=10")
FEWER = ("data.options.n_train=20", "data.options.n_valid=10")
SPRITES = ("data.options.size=64", *(f"data.options.{k}" for k in ("n_train=20", "n_valid=5", "n_test=10")))
LAYOUTS: dict[str, Layout] = {
    "recordings csv": Layout("coconut_manifest", trees.manifest),
    "recordings jsonl": Layout("coconut_manifest", lambda root: trees.manifest(root, "jsonl")),
    "slurp": Layout("coconut_slurp", trees.slurp),
    "fsc": Layout("coconut_fsc", trees.fsc),
    "images csv": Layout("cdvg_folder", _images),
    "images in folders": Layout("cdvg_folder", _classes),
    "cifar pickles": Layout("split_cifar10", trees.cifar, FEW),
    "cifar binary": Layout("split_cifar10", lambda root: trees.cifar(root, "bin"), FEW),
    "cifar corrupted": Layout("cdvg_ccifar10", trees.cifar, FEW),
    "idx": Layout("split_mnist", trees.idx, FEWER),
    "idx coloured": Layout("cdvg_cmnist", trees.idx, FEWER),
    "disent": Layout("cdvg_cmnist", _disent, (*FEWER, "data.options.n_test=10")),
    "table": Layout("supremix_tabular", _table, file="rows.csv"),
    "series": Layout(
        "supremix_timeseries",
        lambda root: supremix.series(root / "series.csv"),
        ("data.options.target=OT", "data.options.window=8", "data.options.horizon=2"),
        file="series.csv",
    ),
    "volumes": Layout("supremix_volumes", supremix.volumes),
    "sentence pairs": Layout("supremix_stsb", supremix.sts),
    "label and sentence": Layout("peft_text", _sentences, ("data.options.dataset=own", "data.options.shots=8")),
    "json lines": Layout("peft_text", _json_lines, ("data.options.dataset=own", "data.options.shots=8")),
    "superglue": Layout("peft_superglue", _cb, ("data.options.task=cb",)),
    "two folders": Layout("sepclr_folder", sepclr.folders, ("data.options.salient=[dose]",)),
    "two tables": Layout(
        "sepclr_tabular", sepclr.tables, ("data.options.salient=[kind]", "data.options.drop=[site, patient]")
    ),
    "dsprites": Layout("sepclr_dsprites", _dsprites, SPRITES),
    "celeba": Layout("sepclr_celeba", sepclr.celeba, ("data.options.size=16",)),
    "tasks": Layout("slimmable_folder", slimmable.folder, (TASKS,)),
    "cifar100": Layout(
        "slimmable_cifar100", slimmable.cifar100, ("data.options.n_train=100", "data.options.n_test=50")
    ),
    "nyud": Layout("slimmable_nyud", slimmable.nyud, ("data.options.height=24", "data.options.width=32")),
}
