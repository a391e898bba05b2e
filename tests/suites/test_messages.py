"""What libraries say goes to the run's log; our own warnings name the run."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from holdfast.suites.config import catalog
from holdfast.suites.runtime import messages
from holdfast.suites.runtime.console import Console, Worker
from holdfast.suites.runtime.run import Run


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that is ours, for a test."""
    root = logging.getLogger()
    handlers, shows = list(root.handlers), warnings.showwarning
    for name in messages.QUIET:
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("HOLDFAST_DEBUG", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        messages.install()
        yield
    root.handlers, warnings.showwarning = handlers, shows


def run_in(folder: Path, console: Console) -> Run:
    recipe = catalog.recipe("supremix_tabular", "smoke")
    return Run(recipe, "l1", 3, folder, None, device="cpu", console=console, delivery=None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("library", ["mlflow", "optuna", "transformers.models", "speechbrain", "torch.nn", "avalanche"])
def test_a_library_speaks_to_the_log_alone(library: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, logger = run_in(tmp_path, Worker()), logging.getLogger(library)
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)  # as some of them do when they are imported
    logger.propagate = False
    with messages.into(run.record.log, run.warn):
        logger.warning("the first")
        warnings.warn_explicit("the second", FutureWarning, "/elsewhere/module.py", 7)
    logger.warning("outside of a run")
    assert capsys.readouterr() == ("", "")
    text = (tmp_path / "log.txt").read_text()
    assert f"WARNING {library}: the first" in text
    assert "module.py:7: FutureWarning: the second" in text
    assert "outside" not in text


@pytest.mark.usefixtures("ours")
def test_with_debug_libraries_are_heard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_DEBUG", "1")
    logging.getLogger("mlflow").warning("a word")
    assert "mlflow: a word" in capsys.readouterr().err


@pytest.mark.usefixtures("ours")
def test_our_own_warning_names_suite_method_and_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = str(Path(messages.__file__).resolve().parents[2] / "methods" / "any.py")
    worker = Worker()
    run = run_in(tmp_path, worker)
    with messages.into(run.record.log, run.warn):
        warnings.warn_explicit("one class alone", UserWarning, own, 1)
    assert worker.warnings == ["supremix_tabular, l1, seed 3: one class alone"]
    assert "one class alone" in (tmp_path / "log.txt").read_text()
    assert capsys.readouterr().err == ""
    warnings.warn_explicit("no run goes on", UserWarning, own, 1)
    assert capsys.readouterr().err == "warning: no run goes on\n"


def test_a_process_that_is_not_ours_keeps_its_handlers() -> None:
    logger, handler = logging.getLogger("optuna.of_a_notebook"), logging.StreamHandler()
    logger.addHandler(handler)
    messages.adopt()
    assert logger.handlers == [handler]
    logger.handlers.clear()
