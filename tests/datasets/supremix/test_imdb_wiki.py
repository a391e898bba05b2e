"""Faces of films in their own csv."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from holdfast.datasets.supremix import imdb_wiki as supremix_imdb_wiki
from PIL import Image


def test_film_faces_have_their_own_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    (tmp_path / "imdb_crop").mkdir()
    lines = "age,path,split\n"
    for i in range(6):
        Image.fromarray(np.full((9, 9), 30 * i, np.uint8)).save(tmp_path / "imdb_crop" / f"{i}.png")
        lines += f"{20 + i},imdb_crop/{i}.png,{('train', 'train', 'train', 'train', 'val', 'test')[i]}\n"
    (tmp_path / "imdb_wiki.csv").write_text(lines)
    source = supremix_imdb_wiki.load(supremix_imdb_wiki.Config(size=8), tmp_path)
    assert {k: len(t) for k, t in source.splits.items()} == {"train": 4, "valid": 1, "test": 1}
    stand_in = supremix_imdb_wiki.load(supremix_imdb_wiki.Config(), None).splits["train"].columns["label"]
    assert isinstance(stand_in, torch.Tensor)
    assert float(stand_in.float().mean()) < 20
