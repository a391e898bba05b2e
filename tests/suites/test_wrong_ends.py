"""How a command ends that was killed, refused or stopped: what it says, and what it leaves behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch
from holdfast.datasets.core import limits
from holdfast.suites.cli import app, main
from holdfast.suites.cli.errors import fault_of
from holdfast.suites.config import catalog, registry
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import asked, build, run
from holdfast.suites.tracking import files

from .process import CommandLine


def dead_process() -> int:
    """The number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-S", "-c", ""])
    done.wait()
    return done.pid


def test_what_a_killed_process_had_begun_goes_and_what_a_live_one_writes_stays(tmp_path: Path) -> None:
    live, old = tmp_path / f".run.json.{os.getppid()}.part", tmp_path / f".data.json.{os.getppid()}.part"
    gone = [tmp_path / f".{name}.{dead_process()}.part" for name in ("run.json", "tracker.json")]
    others = [tmp_path / name for name in ("run.json", ".hidden.part", "notes.5.part")]
    for path in (live, old, *gone, *others):
        path.touch()
    os.utime(old, (0, 0))  # its number has another process now
    files.remove_parts(tmp_path)
    assert set(tmp_path.iterdir()) == {live, *others}


def test_a_start_removes_parts_of_the_folders_it_works_in(tmp_path: Path, cli: CommandLine, empty_store: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    tiny = ("data.experiences=2", "train.epochs=1", "data.options.n_train=40", "data.options.n_valid=10")
    cli.here("run", "split_digits", "--profile", "smoke", "--method", "finetune", *tiny, out=tmp_path)
    made = next(tmp_path.glob("*/finetune-s0"))
    state = json.loads((made / "run.json").read_text())
    (made / "run.json").write_text(json.dumps({**state, "status": "running"}))
    parts = [folder / f".{name}.json.{dead_process()}.part" for folder in (made, made.parent) for name in ("run", "x")]
    parts.append(tmp_path / f".mlflow.db.{dead_process()}.part")
    for part in parts:
        part.touch()
    cli.here("resume", "last", out=tmp_path)
    assert not list(tmp_path.rglob("*.part"))
    for command in (("resume", "last"), ("sync", str(tmp_path))):  # the run is whole: nothing starts in it
        for part in (parts[0], parts[-1]):
            part.touch()
        cli.here(*command, out=tmp_path)
        assert not list(tmp_path.rglob("*.part"))


def _add_one(folder: str) -> None:
    """Read, wait, write: numbers are lost where two do it at once."""
    for _ in range(20):
        with files.alone(Path(folder) / "a.lock"):
            number = int((Path(folder) / "count").read_text())
            time.sleep(0.001)
            (Path(folder) / "count").write_text(str(number + 1))


def test_a_lock_excludes_others_and_goes_with_its_owner(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    processes = [multiprocessing.get_context("fork").Process(target=_add_one, args=(str(tmp_path),)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert (tmp_path / "count").read_text() == "80"
    assert not (tmp_path / "a.lock").exists()


def test_a_lock_is_no_link_to_another_file(tmp_path: Path) -> None:
    (tmp_path / "a.lock").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="symbolic links"), files.alone(tmp_path / "a.lock"):
        pass
    assert not (tmp_path / "theirs").exists()


@pytest.mark.parametrize("seeds", [10**12, list(range(10_001)), [2**63], [10**30], [-1], [1, 1], 0])
def test_seeds_that_no_invocation_takes(seeds: int | list[int]) -> None:
    with pytest.raises(Fault, match="seed") as fault:
        asked.numbers(seeds)
    assert fault.value.exit_code == 2


def test_absurd_seeds_leave_nothing(tmp_path: Path, cli: CommandLine) -> None:
    for option in (("--seeds", "1000000000000"), ("--seed", "9" * 30)):
        cli.here("run", "split_digits", "--profile", "smoke", *option, out=tmp_path, code=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [os.fsdecode(b"x\xff"), "loop"])
def test_a_folder_of_the_runs_that_cannot_be(name: str, tmp_path: Path, cli: CommandLine) -> None:
    (tmp_path / "loop").symlink_to("loop")
    out = str(tmp_path / name / "runs")
    cli.here("run", "split_digits", "--profile", "smoke", "--out", out, out=tmp_path, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_links_in_a_ring_are_about_the_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to("a.csv")
    for read in (lambda path: path.read_text(), lambda path: path.resolve(strict=True)):
        with pytest.raises((OSError, RuntimeError)) as error:
            read(tmp_path / "a.csv")
        assert fault_of(error.value).exit_code == 3


def test_last_where_there_is_nothing_says_how_to_start(tmp_path: Path, cli: CommandLine) -> None:
    with pytest.raises(Fault, match="there are no runs") as fault:
        asked_for_last(tmp_path / "none")
    assert (fault.value.exit_code, fault.value.next) == (2, "suites run coconut_slurp")


def asked_for_last(out: Path) -> None:
    from holdfast.suites import api

    api.resume("last", out=out)


def test_an_experience_without_test_rows_is_refused_before_anything_is_trained(
    tmp_path: Path, cli: CommandLine
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("x,y,split\n" + "".join(f"{k},{k},{'train' if k % 10 else 'test'}\n" for k in range(1, 61)))
    fields = ("data.experiences=20", "data.split=range", "data.options.target=y")
    cli.here(
        *("run", "supremix_tabular", "--profile", "smoke", "--data-root", str(table), *fields), out=tmp_path, code=2
    )
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_weights_that_memory_may_not_take_are_refused_and_nothing_stays(tmp_path: Path, cli: CommandLine) -> None:
    large = ("model.options.hidden=512", "model.options.layers=6", "data.max_gib=0.001")
    cli.here("run", "supremix_tabular", "--profile", "smoke", *large, out=tmp_path, code=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("taken", ["counted", "refused by torch"])
def test_weights_are_counted_before_they_are_filled(taken: str) -> None:
    def make() -> None:
        with build.bounded_weights():
            if taken == "counted":
                torch.nn.LSTM(8192, 8192, num_layers=8, bidirectional=True)
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    begun = time.monotonic()
    said = "weights of the model take about" if taken == "counted" else "does not fit into memory"
    with limits.using(1), pytest.raises(Fault, match=said) as fault:
        make()
    assert fault.value.exit_code == 2
    assert time.monotonic() - begun < 10


def test_categories_that_memory_may_not_take(tmp_path: Path, cli: CommandLine) -> None:
    table = tmp_path / "table.csv"
    table.write_text("x,y\n" + "".join(f"word{k},{k}\n" for k in range(400)))
    fields = ("data.options.target=y", "data.max_gib=0.0001")
    cli.here("run", "supremix_tabular", "--profile", "smoke", "--data-root", str(table), *fields, out=tmp_path, code=3)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("whole", [True, False])
def test_a_run_whose_folder_is_deleted_has_failed(
    whole: bool,
    tmp_path: Path,
    cli: CommandLine,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    gone: list[Path] = []

    def delete(point: str) -> None:
        if point == "iteration" and not gone:
            gone.extend(path if not whole else path.parent for path in tmp_path.glob("*/finetune-s0"))
            shutil.rmtree(gone[0])

    monkeypatch.setattr(run, "reach", delete)
    tiny = ("data.experiences=2", "train.epochs=1", "data.options.n_train=40", "data.options.n_valid=10")
    cli.here("run", "split_digits", "--profile", "smoke", "--method", "finetune", *tiny, out=tmp_path, code=4)
    assert gone
    assert "deleted or moved while the run went on" in capsys.readouterr().err
    assert not list(tmp_path.glob("*/*/checkpoint/*")), "nothing is written again where somebody removed it"


def test_data_that_another_process_cleans_away_is_prepared_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    recipe = catalog.recipe("split_digits", "smoke")
    calls: list[int] = []

    def load(*given: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise FileNotFoundError(2, "No such file", str(tmp_path / "cache" / "entry" / "x.npy"))
        return loaded(*given)

    module = registry.dataset(recipe.data.name, recipe.family)
    loaded = module.load
    monkeypatch.setattr(module, "load", load)
    assert build.prepare(recipe).splits
    assert len(calls) == 2
    monkeypatch.setattr(module, "load", lambda *given: Path(tmp_path / "own.csv").read_text())
    with pytest.raises(FileNotFoundError, match=r"own\.csv"):
        build.prepare(recipe)


def test_ctrl_c_while_the_command_is_imported_is_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "main", stopped)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("error: stopped\nwhere: suites\nnext: ")


def test_not_enough_memory_is_said_as_such() -> None:
    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")):
        fault = fault_of(error)
        assert fault.exit_code == 4
        assert fault.what.startswith("there is not enough memory (")


@pytest.mark.parametrize("field", ["train.lr=.inf", "methods.er.memory_share=.nan", "data.options.size=-.inf"])
def test_numbers_that_are_none_are_refused_by_name(field: str) -> None:
    with pytest.raises(Fault, match=rf"{field.partition('=')[0]}: a finite number is needed, not -?(inf|nan)"):
        catalog.recipe("split_digits", "smoke", [field])


def test_a_hidden_column_that_is_misspelt_is_said() -> None:
    with pytest.warns(UserWarning, match="there is no column 'biass', and methods see 'bias'"):
        build.prepare(catalog.recipe("cdvg_cmnist", "smoke", ["data.hidden_from_training=[biass]"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build.prepare(catalog.recipe("cdvg_cmnist", "smoke", ["data.hidden_from_training=[bias, site]"]))
