"""BFFHQ in its released layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holdfast.datasets.cdvg import bffhq as cdvg_bffhq
from PIL import Image


@pytest.mark.parametrize("spelling", ["conflict", "conlict"])
def test_the_layout_of_bffhq(tmp_path: Path, spelling: str) -> None:
    def put(where: str, y: int, b: int) -> None:
        path = tmp_path / "bffhq" / where / f"face_{y}_{b}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((10, 10, 3), 100 * y + b, np.uint8)).save(path)

    for y in (0, 1):
        put(f"0.5pct/align/{y}", y, y)
        put(f"0.5pct/{spelling}/{y}", y, 1 - y)
        for split in ("valid", "test"):
            put(split, y, 1 - y)
    source = cdvg_bffhq.load(cdvg_bffhq.Config(size=8), tmp_path)
    columns: Any = source.splits["train"].columns
    assert sorted(zip(columns["label"].tolist(), columns["bias"].tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]
    assert (columns["image"][:, 0, 0, 0] == 100 * columns["label"] + columns["bias"]).all()
    aligned = cdvg_bffhq.load(cdvg_bffhq.Config(size=8, aligned_only=True), tmp_path)
    assert len(aligned.splits["train"]) == 2
