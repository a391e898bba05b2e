"""Small files in the layouts of regression's data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

HEADER = "index\tgenre\tsentence1\tsentence2\tscore\n"


def labels(root: Path, text: str) -> None:
    (root / "labels.csv").write_text("id,age,split\n" + text)


def volumes(root: Path) -> Path:
    (root / "volumes").mkdir()
    lines = ""
    for i in range(14):
        np.save(root / "volumes" / f"v{i}.npy", np.random.default_rng(i).normal(size=(5, 5, 5)))
        lines += f"v{i},{20 + i},{'train' if i < 10 else ('val', 'test')[i % 2]}\n"
    labels(root, lines)
    return root


def series(path: Path, n: int = 200, bad: str = "") -> Path:
    rows = "".join(f"2020-01-{i},{i},{i * 10}\n" for i in range(n))
    path.write_text("date,a,OT\n" + rows + bad)
    return path


def sts(root: Path, line: str = "") -> Path:
    folder = root / "glue_data" / "STS-B"
    folder.mkdir(parents=True, exist_ok=True)
    for stem, count in (("train", 12), ("dev", 4), ("test", 3)):
        rows = "".join(f'{i}\tx\tA "man {i} runs.\tThe man walks\t{i * 0.4:.3f}\n' for i in range(count))
        (folder / f"{stem}_new.tsv").write_text(HEADER + rows + (line if stem == "train" else ""))
    return root
