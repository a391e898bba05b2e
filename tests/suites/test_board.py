"""The board of runs and sweeps: what it says, in a terminal and in a pipe, and that it knows of other processes."""

from __future__ import annotations

import io
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites.runtime import progress
from holdfast.suites.runtime.board import Board, duration, job, shown
from holdfast.suites.runtime.console import Console, Worker
from holdfast.suites.runtime.progress import Clock, Progress
from holdfast.suites.sweeps.board import TrialBoard
from rich.console import Console as Rich


def text_of(board: Board, width: int = 80) -> str:
    out = io.StringIO()
    Rich(file=out, width=width).print(board)
    return out.getvalue()


def finished(words: str) -> tuple[str, str]:
    return "finished", words


def flat(text: str) -> str:
    """Without the breaks of lines."""
    return " ".join(text.split())


def standing(**changes: Any) -> Progress:
    stand = Progress(1, 3, "contrast", 2, 10, "", None, None, 0.7, 0.4, 30.0)
    for value in (0.4, 0.6, 0.5):
        stand.measured("accuracy", value, True)
    for name, value in changes.items():
        setattr(stand, name, value)
    return stand


@pytest.fixture
def board() -> Board:
    """The third of twelve runs goes on; two took 10 s each."""
    now = [0.0]
    made = Board("coconut_slurp (demo)", planned=12, clock=lambda: now[0])
    for name in ("finetune-s0", "er-s0"):
        made.begin(name, name, Progress())
        now[0] += 10
        made.end(name, "finished")
    made.begin("coconut-s0", "coconut-s0", standing())
    now[0] += 5
    return made


def test_a_run_says_experience_stage_epoch_metrics_and_time(board: Board) -> None:
    said = flat(text_of(board))
    assert "coconut_slurp (demo): run 3 of 12; 2 finished, 1 running, 9 waiting; about 2 min left" in said
    assert "coconut-s0: experience 2 of 3, contrast, epoch 3 of 10; accuracy 0.5000, best 0.6000; 40 %" in said
    assert "5 s so far; about 30 s left" in said
    assert board.left() == 9 * 10 + 30


@pytest.mark.parametrize("width", [40, 80])
def test_nothing_is_cut_however_narrow_the_screen_is(board: Board, width: int) -> None:
    board.end("coconut-s0", "failed", "the loss became non-finite by iteration 7, and that is a long sentence indeed")
    board.begin("joint-s0", "joint-s0", standing(stage="a_stage_with_a_long_name"))
    lines = text_of(board, width).splitlines()
    assert max(map(len, lines)) <= width
    assert flat(text_of(board, width)) == flat(text_of(board, 400))
    assert "failed (1; last: coconut-s0): the loss" in flat(text_of(board, width))
    assert "…" not in text_of(board, width)


@pytest.mark.parametrize(("higher", "best"), [(True, 0.6), (False, 0.4)])
def test_the_best_value_is_the_metrics_own(higher: bool, best: float) -> None:
    stand = Progress()
    for value in (0.4, 0.6, 0.5):
        stand.measured("mae", value, higher)
    assert (stand.last, stand.best) == (0.5, best)
    stand.measured("valid/mae", 9.0, higher)
    assert stand.best == 9.0, "another metric begins anew"


def test_the_time_left_is_that_of_this_session() -> None:
    now = [100.0]
    clock = Clock(lambda: now[0])
    assert clock.left(0.5) is None, "resumed in the middle"
    now[0] = 110.0
    assert clock.left(0.6) == pytest.approx(10 * 0.4 / 0.1)


def test_the_board_shows_the_state_of_a_sweep() -> None:
    now = [0.0]
    board = TrialBoard("tuned", planned=6, workers=2, clock=lambda: now[0])
    assert board.left() is None
    board.start(0, {"train.lr": 0.00123, "a.b": "x"})
    board.start(1, {"train.lr": 0.1, "a.b": "y"})
    board.report(1, 0, 0.5)
    assert "0.5000 after experience 1" in flat(text_of(board))
    now[0] = 10.0
    board.end(0, "complete", None)
    board.best = "0.9 (trial 0)"
    assert board.counts() == "1 complete, 1 running, 4 waiting"
    assert board.left() == pytest.approx((5 * 10 - 10) / 2)
    board.end(1, "failed", "loss became nan")
    board.start(2, {"train.lr": 0.2, "a.b": "z"})
    said = flat(text_of(board))
    assert "tuned: trial 3 of 6; 1 complete, 1 running, 1 failed, 3 waiting" in said
    assert "best 0.9 (trial 0)" in said
    assert "failed (1; last: trial 1 (lr=0.1, b=y)): loss became nan" in said
    assert "trial 2 (lr=0.2, b=z)" in said
    assert board.line("number 0", "finished").startswith("trial 2 of 6: number 0 finished; best 0.9")


def test_a_worker_is_followed_through_its_folder_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.01)
    board, stand = Board("suite", 1), standing()
    board.begin("er-s0", "er-s0", folder=tmp_path)
    assert "begins" in text_of(board)
    with Worker().follow(tmp_path, stand, lambda: ("finished", "")):
        for _ in range(500):
            if (tmp_path / progress.FILE).exists():
                break
            time.sleep(0.01)
        assert progress.read(tmp_path) == stand
        assert "contrast, epoch 3 of 10" in text_of(board)
    assert list(tmp_path.iterdir()) == []
    assert "er-s0: ends" in text_of(board)


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps({"experience": 1, "later": 2})])
def test_a_torn_file_or_one_of_another_version_stops_nobody(text: str, tmp_path: Path) -> None:
    (tmp_path / progress.FILE).write_text(text)
    stand = progress.read(tmp_path)
    assert stand is None or stand.experience == 1
    board = Board("suite", 1)
    board.begin("er-s0", "er-s0", folder=tmp_path)
    assert "er-s0" in text_of(board)


def test_in_a_pipe_there_is_a_line_a_task_and_a_finished_run(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(json=True)
    with console.progress("suite: preparing data") as tick:
        tick(1, 2)
    with shown(Board("suite", 2), console):
        for name, metric in (("er-s0", ", accuracy/last 0.5000"), ("er-s1", "")):
            with job(console, name, Progress(), partial(finished, metric)):
                console.progress("not said beside a board").__enter__()
    captured = capsys.readouterr()
    assert captured.out == ""
    first, *lines = captured.err.splitlines()
    assert first == "suite: preparing data"
    assert lines[0].startswith("run 1 of 2: er-s0 finished in 0 s, accuracy/last 0.5000")
    assert lines[1].startswith("run 2 of 2: er-s1 finished in 0 s")
    assert len(lines) == 2


@pytest.mark.parametrize(("term", "lively"), [("xterm-256color", True), ("dumb", False)])
def test_a_dumb_terminal_is_treated_as_a_pipe(term: str, lively: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    console, out = Console(), io.StringIO()
    console.notes = Rich(file=out, width=80, force_terminal=True)
    assert console.lively == lively
    with shown(Board("suite", 2), console), console.progress("x"):
        console.warning("a warning")
    assert ("\x1b[?25l" in out.getvalue()) == lively
    assert "warning: a warning" in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations_are_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
