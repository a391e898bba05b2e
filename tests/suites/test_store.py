"""Runs whose data is mapped, or gathered by workers: the same numbers to the bit, after a kill too."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holdfast.suites.tracking.journal import comparable
from PIL import Image

from .process import CommandLine

SMALL = ("--profile", "smoke", "--json")
DIGITS = ("split_digits", "--method", "er")
LOADER = ("train.path=loader", "train.workers=1")


@pytest.fixture
def tmp_path(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def started(cli: CommandLine, out: Path, *arguments: str) -> tuple[dict[str, Any], Path]:
    """The document of an invocation and the folder of its one run."""
    document = cli.here("run", *arguments, *SMALL, out=out).document
    return document, Path(document["runs"][0]["folder"])


def same(one: Path, two: Path) -> None:
    assert comparable(one / "journal.jsonl") == comparable(two / "journal.jsonl")
    assert (one / "matrix.csv").read_bytes() == (two / "matrix.csv").read_bytes()
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (one, two)]
    for summary in summaries:
        summary.pop("cost/seconds_per_step")
    assert summaries[0] == summaries[1]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(DIGITS),
        pytest.param(("coconut_slurp", "--method", "er"), marks=pytest.mark.slow),  # ragged columns: speaks the data
    ],
)
def test_mapped_data_gives_the_same_numbers_and_so_does_a_killed_run_of_it(
    name: tuple[str, ...], tmp_path: Path, cli: CommandLine
) -> None:
    plain, one = started(cli, tmp_path, *name)
    mapped = ("run", *name, *SMALL, "data.store=mapped", *LOADER)
    cli(*mapped, out=tmp_path, kill_at="iteration:9", code=-signal.SIGKILL)
    resumed = cli.here("resume", "last", "--json", out=tmp_path).document
    same(one, Path(resumed["runs"][0]["folder"]))
    assert plain["data"] == resumed["data"]


def faces(root: Path) -> Path:
    """Twelve faces and their ages in IMDB-WIKI's layout."""
    (root / "imdb_crop").mkdir(parents=True)
    g, lines = np.random.default_rng(0), "age,path,split\n"
    for k, split in enumerate(("train", "val", "test", "train", "train", "train") * 2):
        Image.fromarray(g.integers(0, 256, (20, 18, 3), np.uint8)).save(root / "imdb_crop" / f"{k}.jpg")
        lines += f"{20 + k},imdb_crop/{k}.jpg,{split}\n"
    (root / "imdb_wiki.csv").write_text(lines)
    return root


def test_prepared_mapped_and_encoded_faces_give_the_same_losses(
    tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    root = str(faces(tmp_path / "faces"))
    recipe = ("supremix_imdb_wiki", "--method", "l1", "--data-root", root, "data.options.size=16")
    plain, one = started(cli, tmp_path, *recipe)
    on_disk, two = started(cli, tmp_path, *recipe, "data.store=mapped")
    encoded, three = started(cli, tmp_path, *recipe, "data.store=mapped", "data.options.encoded=true")
    same(one, two)
    same(one, three)
    assert plain["data"]["checksum"] == on_disk["data"]["checksum"] != encoded["data"]["checksum"]
    held = [path.name for path in (tmp_path / "cache").glob("*/bytes.npy")]
    assert len(held) == 3  # the files' bytes, of each split


def test_a_dry_run_says_what_the_columns_take(tmp_path: Path, cli: CommandLine) -> None:
    plain, mapped = (
        cli.here("run", "split_digits", "--method", "er", *SMALL, "--dry-run", f"data.store={s}", out=tmp_path).document
        for s in ("memory", "mapped")
    )
    assert plain["data"]["mapped_mib"] == 0 < plain["data"]["memory_mib"]
    assert mapped["data"]["mapped_mib"] > 0
    assert mapped["data"]["store"] == "mapped"
    shown = cli.here("run", "split_digits", "--method", "er", "--profile", "smoke", "--dry-run", out=tmp_path).stdout
    assert f"{plain['data']['memory_mib']} MiB in memory" in shown


def test_images_that_memory_cannot_hold_are_refused_before_one_is_read(
    tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast.datasets.core import store
    from holdfast.datasets.readers import image_rows

    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "memory_left", lambda: 1000)
    monkeypatch.setattr(image_rows, "fitted", lambda *a: pytest.fail("an image was read"))
    root = str(faces(tmp_path / "faces"))
    arguments = ("run", "supremix_imdb_wiki", "--method", "l1", "--data-root", root, *SMALL)
    error = cli.here(*arguments, out=tmp_path, code=3).document["error"]
    assert "data.store=mapped" in error["what"]
    monkeypatch.setattr(store, "disk_left", lambda: 1000)
    error = cli.here(*arguments, "data.store=mapped", out=tmp_path, code=3).document["error"]
    assert "HOLDFAST_CACHE" in error["what"]


def test_workers_belong_to_the_loader(tmp_path: Path, cli: CommandLine) -> None:
    error = cli.here("run", "split_digits", *SMALL, "train.workers=2", out=tmp_path, code=2).document["error"]
    assert "path: loader" in error["what"]
