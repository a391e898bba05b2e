"""What the process that workers are forked from imports: all that a run needs, and nothing that starts a thread."""

from __future__ import annotations

import importlib
from contextlib import suppress

from ...methods.training import imports
from . import messages

PACKAGE = __name__.partition(".")[0]

messages.install()  # what the libraries say on their import belongs on no screen
for load in (
    imports.import_streams,
    lambda: importlib.import_module(f"{PACKAGE}.methods.training.strategy"),
    lambda: importlib.import_module(f"{PACKAGE}.suites.runtime.jobs"),
    lambda: importlib.import_module(f"{PACKAGE}.analysis.plots.comparison"),
    lambda: importlib.import_module("mlflow.tracking"),
    lambda: importlib.import_module("mlflow.store.tracking.sqlalchemy_store"),
    lambda: importlib.import_module("matplotlib.backends.backend_agg"),
):
    with suppress(Exception):  # the worker meets the error, where it can be told
        load()
