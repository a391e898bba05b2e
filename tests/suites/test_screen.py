"""What a person sees at 80 columns: help, tables, sentences, colours."""

from __future__ import annotations

import io
import os
import pty
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from holdfast.suites import api
from holdfast.suites.config import catalog
from holdfast.suites.reports import tables
from holdfast.suites.runtime.console import Console
from rich.console import Console as Rich

from .process import SUITES, CommandLine

PATH = "/data/runs/" + "a_long_folder/" * 6 + "er-s0"


def console(width: int = 80) -> tuple[Console, io.StringIO]:
    made, out = Console(), io.StringIO()
    made.rich = Rich(file=out, width=width)
    return made, out


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_is_no_error(arguments: list[str], tmp_path: Path, cli: CommandLine) -> None:
    for group in ([], ["data"], ["runs"]):
        done = cli(*group, *arguments, out=tmp_path, COLUMNS="80")
        assert "Commands:" in done.stdout
        assert done.stderr == ""
        assert "..." not in done.stdout.partition("Commands:")[2]
        assert max(map(len, done.stdout.splitlines())) <= 80


def test_version(tmp_path: Path, cli: CommandLine) -> None:
    assert cli("--version", out=tmp_path).stdout == f"suites {version('holdfast')}\n"


def test_the_shell_completes_verbs_and_suites(tmp_path: Path, cli: CommandLine) -> None:
    def completed(words: str, number: int) -> list[str]:
        done = cli(out=tmp_path, _SUITES_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(number))
        return done.stdout.split()

    assert completed("suites res", 1) == ["resume"]
    assert completed("suites run coconut_sl", 2) == ["coconut_slurp"]
    assert "--install-completion" in cli("-h", out=tmp_path).stdout


@pytest.mark.parametrize("arguments", [["list"], ["list", "methods"], ["list", "datasets"]])
def test_tables_fit_and_are_closed(arguments: list[str], tmp_path: Path, cli: CommandLine) -> None:
    shown = cli(*arguments, out=tmp_path, COLUMNS="80", code=None).stdout
    framed = [line for line in shown.splitlines() if line[:1] in "┏┃┡│└"]
    assert framed
    for line in framed:
        assert len(line) <= 80
        assert line[-1] in "┓┃┩│┘", line


@pytest.mark.parametrize("healthy", [True, False])
def test_the_doctor_says_each_check_in_a_line_of_its_own(
    healthy: bool, tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = {"what": "store", "found": PATH, "do": "" if healthy else "start the server", "ok": healthy}
    monkeypatch.setattr(api, "doctor", lambda out: {"healthy": healthy, "checks": [{**check, "what": "cpu"}, check]})
    shown = cli.here("doctor", out=tmp_path, code=0 if healthy else 4).stdout.splitlines()
    assert f"store  {PATH}" in shown
    assert f"cpu    {PATH}" in shown
    assert shown[-1] == ("all is well" if healthy else "something is to be done, see do: above")
    assert healthy or "       do: start the server" in shown


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_path_is_whole_wherever_it_stands(width: int) -> None:
    made, out = console(width)
    made.table("a title of " + PATH, ["name", "n", "where"], [["er", "3", f"in {PATH}"], ["joint", "4", ""]])
    made.table("", ["run", "n"], [[PATH, "3"]])
    made.paragraph("best: ", f"words before {PATH} and words behind it")
    lines = out.getvalue().splitlines()
    assert sum(PATH in line for line in lines) == 4
    assert all(len(line) <= width or PATH in line for line in lines)


def test_sentences_are_wrapped_below_their_label() -> None:
    made, out = console()
    made.paragraph("better:    ", "higher of accuracy/last, " * 8)
    first, *others = out.getvalue().splitlines()
    assert first.startswith("better:    higher")
    assert others
    assert all(line.startswith(" " * 11) and line[11] != " " and len(line) <= 80 for line in others)


def test_one_seed_has_no_standard_deviation() -> None:
    recipe = catalog.recipe("supremix_tabular", "smoke")
    run = {"method": "l1", "seed": 4, "metrics": {"mae/last": 1.0}}
    document = {"suite": "supremix_tabular", "profile": "smoke", "data": {"source": "stand-in"}, "runs": [run]}
    title, header, rows = tables.of_runs(recipe, document)
    assert "standard deviation" not in title
    assert title.endswith("seed 4")
    assert (header[0], rows) == ("method", [["l1", "1.000"]])
    several = {**document, "runs": [run, {**run, "seed": 5, "metrics": {"mae/last": 3.0}}]}
    title, header, rows = tables.of_runs(recipe, several)
    assert title.endswith("mean ± standard deviation over (n) seeds")
    assert (header[0], rows) == ("method (seeds)", [["l1 (2)", "2.000 ± 1.414"]])


@pytest.mark.parametrize(("profile", "said"), [("smoke", True), ("demo", False), (None, False)])
def test_a_smoke_says_that_its_numbers_mean_nothing(profile: str | None, said: bool) -> None:
    recipe = catalog.recipe("supremix_tabular", profile)
    document = {"profile": profile, "runs": [{"metrics": {"mae/last": 1.0}}]}
    labels = dict(tables.explained(recipe, document))
    assert ("smoke:     " in labels) == said
    assert not said or "say nothing of a method" in labels["smoke:     "]


def on_a_terminal(*arguments: str, cwd: Path, **environment: str) -> str:
    """Standard output of ``suites`` on a terminal of its own."""
    leader, follower = pty.openpty()
    given = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    given |= {"TERM": "xterm-256color", "COLUMNS": "80", **environment}
    process = subprocess.Popen([SUITES, *arguments], stdout=follower, stderr=follower, cwd=cwd, env=given)
    os.close(follower)
    shown = b""
    try:
        while part := os.read(leader, 65536):
            shown += part
    except OSError:  # Linux: the other end is closed
        pass
    process.wait()
    os.close(leader)
    return shown.decode()


def test_colours_are_for_terminals(tmp_path: Path, cli: CommandLine) -> None:
    assert "\x1b[" in on_a_terminal("list", cwd=tmp_path)
    assert "\x1b[31m" in on_a_terminal("shw", cwd=tmp_path)
    for arguments in ("list", "shw"):
        assert "\x1b[3" not in on_a_terminal(arguments, cwd=tmp_path, NO_COLOR="1")
        done = cli(arguments, out=tmp_path, code=None)
        assert "\x1b" not in done.stdout + done.stderr
