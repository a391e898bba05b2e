"""The real command line: smoke of every suite, kills at every point, locks, damage, interrupts."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.suites.config import catalog, measures, registry
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import folders, remove
from holdfast.suites.tracking.delivery import compare_store
from holdfast.suites.tracking.journal import SENT, comparable
from holdfast.suites.tracking.sender import RunIdentity, Sender

from .process import SPEECH, TABLES, CommandLine

SUITES = Path(sys.executable).with_name("suites")
SMALL = ["--profile", "smoke", "--method", "coconut", "--json", *SPEECH]
ER = ["--profile", "smoke", "--method", "er", "--json"]


@pytest.fixture
def tmp_path(tmp_path: Path, empty_store: Path) -> Path:
    """A folder for runs that has MLflow's tables already; one smoke test makes its own."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, cli: CommandLine) -> Path:
    """An undisturbed run's folder."""
    out = tmp_path_factory.mktemp("reference")
    return Path(cli("run", "coconut_slurp", *SMALL, out=out).document["runs"][0]["folder"])


# their stand-in is that of another suite of the family, with its methods and problem
TWINS = (
    *("cdvg_bffhq", "cdvg_ccifar10", "cdvg_drift", "cdvg_folder", "coconut_fsc", "split_cifar10"),
    *("supremix_agedb", "supremix_imdb_wiki", "sepclr_celeba", "sepclr_chexpert", "sepclr_folder", "sepclr_odir"),
    *("slimmable_nyud", "slimmable_pascal", "slimmable_folder", "slimmable_cifar100"),
    *("split_mnist", "supremix_timeseries", "peft_superglue", "rankgen_choice_toystories"),
    *(
        "captions_images",
        "questions_images",
        "captions_toyscenes",
        "debias_toyscenes",
        "ritual_toyscenes",
        "simctg_toystories",
        "steer_toystories",
    ),
)
# Of these a few methods are run: the family's others are in a suite that is run whole, and all in "make test-slow".
FEWER = {
    "adacad_toyfacts": ("neutral", "cad", "cad_half", "adacad"),
    "awrs_toyconstraints": ("lcd", "awrs", "smc_5", "masked_20", "twisted_20"),
    "cdvg_world": ("disent", "cdvg"),
    "coconut_manifest": ("er", "coconut"),
    "coconut_world": ("coconut", "joint"),
    "lol_toyfacts": ("cd", "dola", "icd", "lol"),
    "lqcd_toyscenes": ("neutral", "vcd", "lqcd"),
    "permuted_mnist": ("er", "joint"),
    "sepclr_dsprites": ("sepclr_supervised", "sepclr"),
    "sepclr_tabular": ("sepclr", "contrastive_pca"),
    "sepclr_world": ("sepclr", "sepvae"),
    "supremix_stsb": ("supcon", "supremix"),
    "supremix_volumes": ("l1", "supremix"),
    "supremix_world": ("rnc", "supremix"),
}
ALL = [row["name"] for row in catalog.recipes()]
WHOLE = [pytest.param(n, (), id=n, marks=[pytest.mark.slow] * (n in TWINS or n in FEWER)) for n in ALL]


@pytest.mark.parametrize(
    ("name", "fewer"), [*WHOLE, *(pytest.param(n, some, id=f"{n}, fewer methods") for n, some in FEWER.items())]
)
def test_smoke_of_every_suite(name: str, fewer: tuple[str, ...], tmp_path: Path, cli: CommandLine) -> None:
    methods = fewer or catalog.recipe(name, "smoke").defaults
    own: dict[str, Any] = {}
    if name == ALL[0]:  # once with tables that MLflow makes, which takes seconds
        (tmp_path / "mlflow.db").unlink()
        own[TABLES] = ""
    asked = ["--method", ",".join(fewer)] if fewer else []
    report = cli("run", name, "--profile", "smoke", "--json", *asked, out=tmp_path, **own).document
    assert report["data"]["source"] == ("real" if name == "split_digits" else "stand-in")
    assert [run["method"] for run in report["runs"]] == list(methods)
    for run in report["runs"]:
        folder = Path(run["folder"])
        for file in (
            "recipe.yaml",
            "environment.json",
            "journal.jsonl",
            "matrix.csv",
            "summary.json",
            "log.txt",
        ):
            assert (folder / file).stat().st_size > 0, file
        known = measures.of_recipe(catalog.recipe(name, "smoke"))
        points = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
        drawn = {file.name for file in (folder / "plots").glob("training.*") if file.stat().st_size > 0}
        trained = any(p["name"] == "loss" or p["name"].startswith("loss/") for p in points)
        assert drawn == ({"training.png"} if trained else set()), "a smoke profile draws no PDF"
        written = {p["name"] for p in points if p["axis"] == "experience"} | set(run["metrics"])
        assert [n for n in sorted(written) if n not in known] == []
        last = run["metrics"][f"{registry.problem(catalog.recipe(name, 'smoke').problem).main}/last"]
        assert 0 <= last <= (1 if "accuracy/last" in run["metrics"] else math.inf)
    cli.here("sync", "--json", out=tmp_path)
    for run in report["runs"]:
        assert compare_store(Path(run["folder"])) == []
    again = cli.here("resume", "last", "--json", out=tmp_path).document
    assert again == report
    assert remove.target_of(Path(report["out"]), tmp_path).plan.left == [], (
        "a file of ours that 'runs remove' does not know"
    )


POINTS = [
    "update:8",
    "evaluation:2",
    "checkpoint_before_rename:3",
    "mlflow_flush:1",
    *(
        pytest.param(point, marks=pytest.mark.slow)
        for point in ("iteration:9", "checkpoint_after_rename:3", "journal_append:6", "summary")
    ),
]


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_resumes_to_the_same_journal(
    point: str, reference: Path, tmp_path: Path, cli: CommandLine
) -> None:
    cli("run", "coconut_slurp", *SMALL, out=tmp_path, kill_at=point, code=-signal.SIGKILL)
    report = cli("resume", "last", "--json", out=tmp_path).document
    folder = Path(report["runs"][0]["folder"])
    assert comparable(folder / "journal.jsonl") == comparable(reference / "journal.jsonl")
    assert (folder / "matrix.csv").read_bytes() == (reference / "matrix.csv").read_bytes()
    cli.here("sync", str(folder), "--json", out=tmp_path)
    assert compare_store(folder) == []


def wait_for(path: Path, pattern: str) -> Path:
    for _ in range(600):
        paths = list(path.glob(pattern))
        if paths:
            return paths[0]
        time.sleep(0.05)
    raise AssertionError(f"{pattern} never came")


def test_a_live_run_is_locked_and_sigterm_ends_it(tmp_path: Path, cli: CommandLine) -> None:
    with cli.beside("run", "split_digits", *ER, "train.epochs=400", out=tmp_path) as process:
        wait_for(tmp_path, "*/er-s0/checkpoint/1.json")
        refused = cli.here("resume", "last", "--json", out=tmp_path, code=2)
        assert str(process.pid) in refused.document["error"]["what"]
        os.kill(process.pid, signal.SIGTERM)
        done = process.ended(60)
    assert done.returncode == 130
    assert done.document["error"]["code"] == "interrupted"
    assert "suites resume" in done.document["error"]["next"]
    listed = cli.here("runs", "list", "--json", out=tmp_path).document
    assert listed[0]["status"] == "interrupted"


def test_damaged_checkpoint_falls_back(reference: Path, tmp_path: Path, cli: CommandLine) -> None:
    """Also where the store holds already what the damaged checkpoint covered: no point is lost, none counts twice.

    A second kill while they are written again changes nothing, and what was set aside goes with the run's end.
    """
    cli("run", "coconut_slurp", *SMALL, out=tmp_path, kill_at="iteration:14", code=None)
    newest = max(tmp_path.glob("*/coconut-s0/checkpoint/*.pt"), key=lambda p: int(p.stem))
    folder = newest.parent.parent
    identity = json.loads((folder / "identity.json").read_text())
    uri = identity.pop("uri")
    sender = Sender(folder, RunIdentity(**identity), uri)
    while sender.send(torch.load(newest, weights_only=True)["journal"]):
        pass
    newest.write_bytes(newest.read_bytes()[:-7] + b"damage!")
    again = cli("resume", "last", "--json", out=tmp_path, kill_at="iteration:2", code=None)
    assert "falling back" in again.stderr
    assert (folder / SENT).exists()
    done = cli("resume", "last", "--json", out=tmp_path)
    assert not (folder / SENT).exists()
    assert Path(done.document["runs"][0]["folder"]) == folder
    assert comparable(folder / "journal.jsonl") == comparable(reference / "journal.jsonl")
    cli.here("sync", str(folder), "--json", out=tmp_path)
    assert compare_store(folder) == []


def test_a_damaged_tracker_file_costs_nothing(tmp_path: Path, cli: CommandLine) -> None:
    cli("run", "coconut_slurp", *SMALL, out=tmp_path, kill_at="iteration:14", code=None)
    folder = next(tmp_path.glob("*/coconut-s0"))
    (folder / "tracker.json").write_text("{ no JSON")
    cli("resume", "last", "--json", out=tmp_path)
    cli.here("sync", str(folder), "--json", out=tmp_path)
    assert compare_store(folder) == []


def test_dead_tracking_server_does_not_stop_a_run(reference: Path, tmp_path: Path, cli: CommandLine) -> None:
    done = cli("run", "coconut_slurp", *SMALL, "--tracking-uri", "http://127.0.0.1:9", out=tmp_path)
    assert "suites sync" in done.stderr
    folder = Path(done.document["runs"][0]["folder"])
    assert comparable(folder / "journal.jsonl") == comparable(reference / "journal.jsonl")
    uri = f"sqlite:///{tmp_path / 'later.db'}"
    synced = cli("sync", str(folder), "--tracking-uri", uri, "--json", out=tmp_path).document
    assert synced["undelivered"] == 0
    assert compare_store(folder) == []


def test_coconut_without_its_losses_is_experience_replay_to_the_bit(tmp_path: Path, cli: CommandLine) -> None:
    zero = ["methods.coconut.lambda_mm=0", "methods.coconut.lambda_nspt=0"]
    command = ["run", "coconut_slurp", "--profile", "smoke", "--method", "er", "--method", "coconut", "--json", *SPEECH]
    report = cli(*command, *zero, out=tmp_path).document
    er, coconut = (comparable(Path(run["folder"]) / "journal.jsonl") for run in report["runs"])
    own = ("cost/", "retrieval/", "valid/retrieval")  # what only one of them measures
    assert [p for p in er if not p[0].startswith(own)] == [p for p in coconut if not p[0].startswith(own)]


def test_a_run_that_was_never_started_can_be_named(reference: Path, tmp_path: Path) -> None:
    invocation = Path(shutil.copytree(reference.parent, tmp_path / reference.parent.name))
    plan = json.loads((invocation / "invocation.json").read_text())
    shutil.rmtree(invocation / "coconut-s0")
    assert folders.find(str(invocation / "coconut-s0"), tmp_path) == (invocation, ["coconut-s0"])
    assert folders.find(f"{invocation.name}/coconut-s0", tmp_path) == (invocation, ["coconut-s0"])
    assert [run["folder"] for run in plan["runs"]] == ["coconut-s0"]
    with pytest.raises(Fault, match="no invocation and no run"):
        folders.find(str(invocation / "coconut-s7"), tmp_path)


@pytest.mark.slow
def test_kills_at_random_times(reference: Path, tmp_path: Path, cli: CommandLine) -> None:
    """kill -9 at any time, again and again, until the run is through: the same journal as an undisturbed run's."""
    import random

    draw = random.Random(time.time_ns())
    env = {**os.environ, "HOLDFAST_RUNS": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command, kills = ["run", "coconut_slurp", *SMALL], 0
    for _ in range(60):
        process = subprocess.Popen(
            [SUITES, *command], env=env, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not kills and process.poll() is None and not list(tmp_path.glob("coconut_slurp-*/invocation.json")):
            time.sleep(0.02)  # the first kill falls while it runs, however fast the machine is
        try:
            process.wait(timeout=draw.uniform(3.0, 14.0) if kills else draw.uniform(0.0, 0.5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        plans = list(tmp_path.glob("coconut_slurp-*/invocation.json"))
        if plans:
            command = ["resume", str(plans[0].parent), "--json"]
            if process.returncode == 0:
                break
    folder = next(tmp_path.glob("coconut_slurp-*/coconut-s0"))
    assert kills > 0
    assert comparable(folder / "journal.jsonl") == comparable(reference / "journal.jsonl")
    assert (folder / "matrix.csv").read_text() == (reference / "matrix.csv").read_text()
    cli("sync", str(tmp_path), out=tmp_path)
    assert compare_store(folder) == []
