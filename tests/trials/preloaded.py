"""Imports what commands import: a process that has them forks each command in milliseconds."""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path

import matplotlib.pyplot as _pyplot
import mlflow.store.tracking.sqlalchemy_store as _store
import mlflow.tracking as _tracking
import nibabel as _nibabel
import optuna as _optuna
import sklearn.datasets as _datasets
import soundfile as _soundfile
from holdfast.suites.cli import app as _app

from ..suites import process as _process

LOADED = (_pyplot, _store, _tracking, _nibabel, _optuna, _datasets, _soundfile, _app, _process)
ROOT = Path(__file__).resolve().parents[2]

for _package in ("suites", "methods", "datasets", "analysis"):
    for _path in sorted((ROOT / _package).rglob("*.py")):
        _parts = _path.relative_to(ROOT).with_suffix("").parts
        if _path.name not in ("__init__.py", "_speak.py"):
            with suppress(ImportError):  # an optional library is not installed
                importlib.import_module(".".join(("holdfast", *_parts)))
