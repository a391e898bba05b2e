"""A run's beginning: neither MLflow's import nor its store comes before the first step."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites import api
from holdfast.suites.runtime.run import Run
from holdfast.suites.tracking.sender import Sender


def test_the_store_is_opened_after_the_first_step(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    stepped, opened = threading.Event(), list[bool]()
    after, client = Run.after_iteration, Sender.client

    def step(run: Run, strategy: Any) -> None:
        stepped.set()
        after(run, strategy)

    def open_(sender: Sender) -> Any:
        opened.append(stepped.is_set())
        return client(sender)

    monkeypatch.setattr(Run, "after_iteration", step)
    monkeypatch.setattr(Sender, "client", open_)
    options: dict[str, Any] = {"profile": "smoke", "device": "cpu", "out": tmp_path}
    done = api.run("supremix_tabular", methods=["l1"], **options)
    assert opened
    assert all(opened)
    assert done.mlflow_run_ids != [None]
    fitted = api.run("supremix_tabular", methods=["ridge"], **options)  # in closed form: no step to wait for
    assert fitted.mlflow_run_ids != [None]
