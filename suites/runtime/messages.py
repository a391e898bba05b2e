"""What libraries say: to the run's log, not to the terminal. Our own warnings: to the terminal, with the run's name.

Python's warnings and the records of ``logging`` alike. With ``suites --debug`` everything is shown.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..config.private import redact

LIBRARIES = (
    *("mlflow", "alembic", "sqlalchemy", "avalanche", "speechbrain", "torch", "optuna", "transformers", "ray"),
    *("matplotlib", "huggingface_hub", "peft", "urllib3", "git"),
)
QUIET = {"MLFLOW_CONFIGURE_LOGGING": "false", "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}

_runs: list[tuple[logging.Logger, Callable[[str], None]]] = []  # the log and the warnings of the run that goes on


class _ToTheRun(logging.Handler):
    """Records of libraries into the log of the run that goes on."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("holdfast"):
            return
        if os.environ.get("HOLDFAST_DEBUG"):
            sys.stderr.write(redact(f"{record.name}: {record.getMessage()}\n"))
        if _runs:
            _runs[-1][0].log(record.levelno, "%s: %s", record.name, record.getMessage())


def install() -> None:
    """Of this process, which is ours alone: take charge of warnings and of the libraries' handlers."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    warnings.showwarning = _show
    if not any(isinstance(handler, _ToTheRun) for handler in logging.getLogger().handlers):
        logging.getLogger().addHandler(_ToTheRun(logging.WARNING))
    adopt()


def adopt() -> None:
    """Take away the handlers that libraries have given themselves since; nothing where this process is not ours."""
    if warnings.showwarning is not _show:
        return
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] not in LIBRARIES:
            continue
        logger = logging.getLogger(name)
        kept = [one for one in logger.handlers if type(one) is not logging.StreamHandler]
        if len(kept) < len(logger.handlers):
            logger.handlers, logger.propagate = kept, True


def _show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
    package = Path(__file__).resolve().parents[2]
    own = category is UserWarning and package in Path(filename).resolve().parents
    if own and _runs:
        _runs[-1][1](str(message))
    elif own:
        (file or sys.stderr).write(redact(f"warning: {message}\n"))
    else:
        text = f"{Path(filename).name}:{lineno}: {category.__name__}: {message}"
        logging.getLogger("warnings").warning("%s", redact(text))


@contextmanager
def into(log: logging.Logger, warn: Callable[[str], None]) -> Iterator[None]:
    """While this run goes on: what libraries say into its ``log``, our own warnings to ``warn``."""
    adopt()
    _runs.append((log, warn))
    try:
        yield
    finally:
        _runs.pop()
