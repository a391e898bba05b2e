"""Inputs that would hang, fill the memory, start a program or end in a traceback: each is one message."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.readers.images import read_image
from holdfast.datasets.readers.maps import label_image
from holdfast.suites.cli.errors import fault_of
from holdfast.suites.config import catalog, registry, sources
from holdfast.suites.config.errors import LONGEST, Fault
from holdfast.suites.runtime.stopping import stoppable

from .process import CommandLine

SUITES = Path(sys.executable).with_name("suites")
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"


class Point:
    """An installed package's entry point; what it gives, or what happens where it is imported."""

    def __init__(self, given: Any) -> None:
        self.name, self.given, self.value, self.dist = "theirs", given, "package:thing", None

    def load(self) -> Any:
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (SystemExit(3), "ends the program where it is imported \\(SystemExit\\)"),
        (KeyboardInterrupt(), "ends the program where it is imported \\(KeyboardInterrupt\\)"),
        (5, "no recipe's text or path, but int"),
        (None, "no recipe's text or path, but NoneType"),
    ],
)
def test_a_package_that_ends_the_program_or_gives_a_number_is_a_warning(
    given: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "entry_points", lambda group: [Point(given)] if group.endswith("suites") else [])
    before = signal.getsignal(signal.SIGINT)
    with pytest.warns(UserWarning, match=f"the entry point 'theirs'.*{why}"):
        assert "coconut_slurp" in [row["name"] for row in catalog.recipes()]
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_in_an_import_still_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Point):
        def load(self) -> Any:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        registry.load_foreign(Slow(None))  # type: ignore[arg-type]


def test_a_recipe_is_a_regular_file_of_moderate_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(Fault, match="no regular file"):
        sources.read_file(tmp_path / "pipe.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (sources.LARGEST + 1))
    with pytest.raises(Fault, match="a recipe has at most"):
        sources.read_file(tmp_path / "large.yaml")


def test_more_threads_than_the_machine_can_serve_are_refused(tmp_path: Path, cli: CommandLine) -> None:
    many = cli.here("run", "split_digits", "--profile", "smoke", "train.threads=1024", out=tmp_path, code=2)
    assert many.returncode == 2
    assert not list(tmp_path.glob("*/*/journal.jsonl"))


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_the_name_of_an_image_starts_no_program(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands PostScript to ``gs`` from the PATH, whatever the file is called."""
    tool = tmp_path / "bin" / "gs"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    (tmp_path / name).write_bytes(POSTSCRIPT)
    for read in (lambda path: read_image(path, None), label_image):
        with pytest.raises(DataError, match="no readable image"):
            read(tmp_path / name)
    assert not (tmp_path / "started").exists()


def test_a_message_keeps_its_place_and_loses_the_middle_of_a_value() -> None:
    fault = Fault.usage(f"beginning {'v' * 9000} end", "w" * 9000, "next")
    assert len(fault.what) < LONGEST + 60
    assert fault.what.startswith("beginning")
    assert fault.what.endswith("end")
    assert len(fault.where) < LONGEST + 60
    assert fault.as_json()["error"]["what"] == fault.what


def deep() -> Exception:
    try:
        json.loads("[" * 200_000)
    except RecursionError as error:
        return error
    raise AssertionError("it was read")


@pytest.mark.parametrize(
    "error", [deep(), UnicodeDecodeError("utf-8", b"x", 0, 1, "no"), json.JSONDecodeError("x", "", 0)]
)
def test_what_a_parser_raises_is_about_the_data(error: Exception) -> None:
    assert fault_of(error).exit_code == 3


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [(">&-", 0, ""), ("> /dev/full", 4, "the disk is full"), ("| head -c 1", 0, "")],
)
def test_a_standard_output_that_is_closed_full_or_left(redirection: str, code: int, said: str, tmp_path: Path) -> None:
    shell = ["bash", "-c", f"set -o pipefail; {SUITES} list {redirection}"]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_closed_terminal_asks_a_run_to_save_and_stop() -> None:
    class Run:
        stop_signal: int | None = None

    run = Run()
    with stoppable(run):  # type: ignore[arg-type]
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGHUP)).start()
        for _ in range(200):
            if run.stop_signal:
                break
            time.sleep(0.01)
    assert run.stop_signal == signal.SIGHUP
