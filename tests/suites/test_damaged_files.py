"""Files of runs and invocations of the right name and the wrong content: one message, and the others work on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.suites import api
from holdfast.suites.config import run_files
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import folders, loading
from holdfast.suites.runtime.checkpoints import Checkpoints
from holdfast.suites.tracking import delivery
from holdfast.suites.tracking import state as tracker
from holdfast.suites.tracking.delivery import compare_store

from . import damage
from .process import CommandLine


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A folder of runs with one whole invocation of one run."""
    out = tmp_path_factory.mktemp("done")
    shutil.copy(empty_store, out / "mlflow.db")
    api.run("supremix_tabular", methods=["l1"], profile="smoke", out=out, device="cpu")
    return out


@pytest.fixture
def out(done: Path, tmp_path: Path) -> Path:
    """A copy of ``done`` with a second invocation ``damaged``, the newest, whose files a test may spoil."""
    shutil.copytree(done, tmp_path / "runs")
    (first,) = folders.invocations(tmp_path / "runs")
    shutil.copytree(first, tmp_path / "runs" / "damaged")
    return tmp_path / "runs"


def refused(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(Fault) as caught:
        call()
    assert caught.value.exit_code in (2, 3), caught.value
    assert said in f"{caught.value.what} {caught.value.where}"
    assert len(caught.value.what) < 700


def damages(path: Path) -> Iterator[str]:
    """Each damage of a file in turn."""
    whole = path.read_bytes()
    for name, data in damage.of_file(path):
        path.write_bytes(data)
        yield name
    for name, _ in damage.of_kind(path):
        yield name
    path.write_bytes(whole)


@pytest.mark.filterwarnings("ignore:.*is left out")
def test_every_damage_of_a_plan_is_named_and_hides_no_other(out: Path) -> None:
    path, tried = out / "damaged" / "invocation.json", 0
    for name in damages(path):
        tried += 1
        gone = name == "a link to itself"
        refused(lambda: api.resume(out / "damaged", out=out), "no invocation" if gone else "invocation.json")
        rows = api.list_runs(out)
        assert sorted(row["status"] for row in rows if row["status"] != "finished") in ([], [folders.DAMAGED]), name
        assert sum(row["status"] == "finished" for row in rows) >= 1, name
    assert tried > 60


def test_what_is_damaged_is_left_out_with_a_warning(out: Path, cli: CommandLine) -> None:
    (out / "damaged" / "invocation.json").write_text("{ no JSON")
    for verb in (["resume", "last"], ["compare", "last"], ["compare", str(out)]):
        with pytest.warns(UserWarning, match=r"damaged is left out: invocation\.json is damaged"):
            cli.here(*verb, "--json", out=out)
    listed = json.loads(cli.here("runs", "list", "--json", out=out).stdout)
    (row,) = [row for row in listed if row["status"] == folders.DAMAGED]
    assert row["invocation"] == "damaged"
    assert "invocation.json is damaged" in row["problem"]
    assert "damaged" in cli.here("runs", "list", out=out).stdout


def test_every_damage_of_a_state_is_named(out: Path) -> None:
    run, tried = out / "damaged" / "l1-s0", 0
    recipe, info = api.load_run(run).recipe, api.load_run(run).facts.info
    for name in damages(run / "run.json"):
        tried += 1
        refused(lambda: loading.trained(run, recipe, info), "run.json")
        state = folders.look(run)[0]["status"]
        assert state in (folders.DAMAGED, "finished"), name
        if state == folders.DAMAGED:
            refused(lambda: api.resume(out / "damaged", out=out), "run.json")
            assert folders.DAMAGED in [row["status"] for row in api.list_runs(out)]
    assert tried > 40


@pytest.mark.filterwarnings("ignore:.*is left out")
def test_a_damaged_summary_environment_or_identity_is_one_message(out: Path) -> None:
    run = out / "damaged" / "l1-s0"
    for name in damages(run / "summary.json"):
        refused(lambda: api.compare(out / "damaged", out=out), "no run has" if name == "a object" else "summary.json")
    for _ in damages(run / "environment.json"):
        refused(lambda: api.load_run(run).check_data(), "environment.json")
    for name in damages(run / "identity.json"):
        rows = delivery.sync(run)["runs"]
        assert name == "a link to itself" or "identity.json is damaged" in rows[0]["problem"], name


def test_a_damaged_run_hides_no_other_from_sync(out: Path) -> None:
    (out / "damaged" / "l1-s0" / "identity.json").write_text("[]")
    rows = api.sync(out)["runs"]
    assert sorted(row["problem"] is None for row in rows) == [False, True]


def test_every_damage_of_a_tracker_costs_nothing(out: Path) -> None:
    run = out / "damaged" / "l1-s0"
    uri = f"sqlite:///{out / 'mlflow.db'}"
    (run / "tracker.json").write_text((run / "tracker.json").read_text().replace("/done0/", f"/{out.parent.name}/"))
    for name in damages(run / "tracker.json"):
        assert set(tracker.state_of(run, uri)) == set(tracker.new_state()), name
    for state in ({"run_id": 3}, {"run_id": "a", "delivered": True}, {"run_id": "a", "delivered": 1, "sent": 7}):
        (run / "tracker.json").write_text(json.dumps({"stores": {uri: state}}))
        assert tracker.state_of(run, uri) == tracker.new_state()
    (run / "tracker.json").write_text(json.dumps({"stores": {uri: {"delivered": "many"}}, "last": uri}))
    assert api.sync(run, tracking_uri=uri)["undelivered"] == 0
    assert compare_store(run, uri=uri) == []


def test_a_damaged_line_of_the_journal_is_named(out: Path) -> None:
    path = out / "damaged" / "l1-s0" / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for wrong in (
        b"{}\n",
        b"[" * 50_000 + b"\n",
        b'{"t": 1, "name": "a", "value": "x", "step": 1, "axis": "a"}\n',
        b"\xff\n",
    ):
        path.write_bytes(b"".join([lines[0], wrong, *lines[2:]]))
        (row,) = api.sync(path.parent)["runs"]
        assert "journal.jsonl is damaged: this is no point" in row["problem"]


@pytest.mark.parametrize("what", ["sidecar", "shape", "pickle"])
def test_a_checkpoint_that_is_none_gives_way_to_the_one_before(what: str, out: Path) -> None:
    store = Checkpoints(out / "damaged" / "l1-s0" / "checkpoint")
    before, newest = store.numbers()
    state = torch.load(store.folder / f"{before}.pt", weights_only=True)
    path, warned = store.folder / f"{newest}.json", list[str]()
    if what == "sidecar":
        for name in damages(path):
            loaded = store.load(warned.append)
            assert loaded is not None, name
            assert loaded["journal"] == state["journal"]
            assert len(warned[-1]) < 700
        return
    if what == "shape":
        state = {**torch.load(store.folder / f"{newest}.pt", weights_only=True), "journal": "all"}
        torch.save(state, store.folder / f"{newest}.pt")
    else:
        torch.save({"a": Path("x")}, store.folder / f"{newest}.pt")
    digest = hashlib.sha256((store.folder / f"{newest}.pt").read_bytes()).hexdigest()
    path.write_text(json.dumps({"sha256": digest}))
    assert store.load(warned.append) is not None
    assert "weights_only" not in warned[0]
    assert ("journal" if what == "shape" else "refused") in warned[0]


def test_a_file_that_is_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_files, "LARGEST", 1000)
    (tmp_path / "run.json").write_text(" " * 1001)
    refused(lambda: folders.state_of(tmp_path), "run.json is damaged: more than")
