"""What a user's own images may be: grey, odd sizes, oblong work.

What is missing, broken or does not fit is one message with the right exit code.
"""

from __future__ import annotations

import csv
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holdfast.analysis.metrics import groups
from PIL import Image

from .process import CommandLine

SPLITS = ("train", "valid", "test")


@pytest.fixture
def out(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def folder(
    root: Path,
    shape: Callable[[int], tuple[int, ...]] = lambda n: (13, 13, 3),
    rows: int = 36,
    labels: str = "ab",
    splits: tuple[str, ...] = SPLITS,
) -> Path:
    """Noise of two classes and two biases in all splits; ``shape(n)`` of the n-th image."""
    root.mkdir()
    g = np.random.default_rng(0)
    with (root / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "bias", "split"])
        for n in range(rows):
            Image.fromarray(g.integers(0, 256, shape(n), dtype=np.uint8)).save(root / f"{n}.png")
            writer.writerow([f"{n}.png", labels[n % len(labels)], "xy"[n // 3 % 2], splits[n % len(splits)]])
    return root


def run(cli: CommandLine, out: Path, *arguments: str, suite: str = "cdvg_folder") -> tuple[int, Any]:
    done = cli.here("run", suite, "--profile", "smoke", "--json", *arguments, out=out, code=None)
    return done.returncode, done.document


def test_images_of_any_kind_are_brought_to_one_size(out: Path, cli: CommandLine) -> None:
    """Grey, oblong both ways, with transparency, smaller and larger; the side is no power of two."""
    shapes = [(13, 13, 3), (9, 21), (30, 17, 3), (8, 8, 4)]
    size = 13

    def shape(n: int) -> tuple[int, ...]:
        return shapes[n % 4]

    folder(out / "data", shape, 37, splits=(*SPLITS, "unbiased", "train"))
    data = ["--data-root", str(out / "data"), f"data.options.size={size}"]
    method = ["--method", "cdvg", "methods.cdvg.gate=ignore", "methods.cdvg.translator=shallow"]
    code, report = run(cli, out, *data, *method, "methods.cdvg.translator_epochs=1", "train.epochs=1")
    assert code == 0, report
    metrics = report["runs"][0]["metrics"]
    assert 0 <= metrics["accuracy/last"] <= 1
    assert {"translator/content_kept", "worst_group/last", "group_mean/last"} <= set(metrics)


def test_a_gate_that_cannot_judge_says_so(out: Path, cli: CommandLine) -> None:
    """No unbiased images and few training ones: the run goes on with a warning, or stops where the gate is to stop
    it.
    """
    arguments = [
        "--data-root",
        str(folder(out / "data")),
        "data.options.size=12",
        "--method",
        "cdvg",
        "methods.cdvg.translator_epochs=1",
    ]
    smoke = ["run", "cdvg_folder", "--profile", "smoke", "--json", "train.epochs=1"]
    done = cli(*smoke, *arguments, out=out)
    assert "the gate cannot judge the translator" in done.stderr
    assert not any(name.startswith("translator/") for name in done.document["runs"][0]["metrics"])
    code, report = run(cli, out, *arguments, "train.epochs=1", "methods.cdvg.gate=stop")
    assert code not in (0, 1)
    assert "the gate cannot judge the translator" in report["error"]["what"]


def one_row(data: Path) -> None:
    (data / "index.csv").write_text("path,label,bias,split\n0.png,a,x,train\n")


def one_class(data: Path) -> None:
    index = data / "index.csv"
    index.write_text(index.read_text().replace(",b,", ",a,"))


CDVG = ["--method", "cdvg"]
ORACLE = ["methods.oracle={use: cdvg_oracle}", "--method", "oracle"]


@pytest.mark.parametrize(
    ("change", "arguments", "code", "message"),
    [
        (lambda d: shutil.rmtree(d), [], 3, "there is no such folder"),
        (lambda d: (d / "index.csv").unlink(), [], 3, "index.csv: missing"),
        (lambda d: None, ["data.options.bias_column=gender"], 3, "no column gender"),
        (lambda d: None, ["data.options.label_column=age"], 3, "no column age"),
        (lambda d: (d / "3.png").write_bytes(b""), [], 3, "3.png: no readable image"),
        (lambda d: (d / "3.png").unlink(), [], 3, "no file 3.png"),
        (one_row, [], 3, "the split 'valid' holds no image"),
        (one_class, [], 3, "hold 1 class"),
        (lambda d: None, ORACLE, 2, "oracle needs to know the data's 'colours'"),
        (lambda d: None, ["--method", "biascon_oracle"], 2, "biascon_oracle needs the column 'bias'"),
        (
            lambda d: None,
            [*CDVG, "methods.cdvg.critic_hides=shuffle", "methods.cdvg.patch=3"],
            2,
            "patches of 3 px: set another patch",
        ),
        (
            lambda d: None,
            [*CDVG, "methods.cdvg.objective=two_stage", "methods.cdvg.contrast=none"],
            2,
            "contrast must not be none",
        ),
    ],
)
def test_what_does_not(
    out: Path, change: Callable[[Path], Any], arguments: list[str], code: int, message: str, cli: CommandLine
) -> None:
    data = folder(out / "data")
    change(data)
    methods = [] if "--method" in arguments else ["--method", "erm"]
    returned, report = run(cli, out, "--data-root", str(data), "data.options.size=12", *methods, *arguments)
    error = report["error"]
    assert returned == code, error
    assert message in error["what"]
    assert error["code"] == {2: "recipe", 3: "data"}[code]
    assert "--debug" not in error["next"]


def test_every_measure_of_empty_groups_is_a_number_or_left_out() -> None:
    """All images aligned, one group only, no image at all: nothing warns, nothing is NaN."""
    cases = [([0, 1], [0, 1], [0, 0]), ([0, 0], [0, 0], [1, 1]), ([1, 1], [0, 0], [1, 0]), ([], [], [])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for case in cases:
            labels, bias, predicted = (np.array(v, dtype=np.int64) for v in case)
            metrics = groups.group_metrics(labels, bias, predicted)
            assert all(np.isfinite(value) for value in metrics.values()), (case, metrics)
    labels, bias, predicted = (np.array(v, dtype=np.int64) for v in cases[0])
    assert "conflict" not in groups.group_metrics(labels, bias, predicted)
