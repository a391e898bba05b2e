"""Where MLflow's store is, its client, its SQLite file, and what of a store's answers is believed."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..config.errors import Fault
from ..config.private import complete, redact, remember
from .shown import VIEW, link

SQLITE = "sqlite:///"
IDENTIFIER = re.compile(r"[\w-]{1,64}")


class StoreError(Exception):
    """A store's answer that cannot be right, or a state of it that its owner must change; the message says which."""


class DeletedError(StoreError):
    """The run (or its experiment) lies in the store's bin: its owner took it there, and only its owner takes it
    back."""


def default_uri(out: Path) -> str:
    """A SQLite file beside the runs, as an absolute URI."""
    return f"{SQLITE}{out.resolve() / 'mlflow.db'}"


def to_store(uri: str) -> str:
    """The form of a tracking URI that files may hold; its user part is kept for this process. Raises Fault for no
    address."""
    try:
        return remember(uri)
    except ValueError as error:
        login = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        raise Fault.usage(str(error), "--tracking-uri", f"--tracking-uri http://HOST:PORT, with {login}") from error


def resolve_uri(out: Path, given: str | None) -> str:
    """The option (or what was stored of it), else MLFLOW_TRACKING_URI, else :func:`default_uri`; with the user part
    that it needs."""
    uri = given or os.environ.get("MLFLOW_TRACKING_URI") or default_uri(out)
    to_store(uri)
    return complete(uri)


def problem_of(error: BaseException) -> str:
    """An error as one line without secrets."""
    first = next(iter(str(error).splitlines()), "")[:200]
    return redact(first if isinstance(error, StoreError) else f"{type(error).__name__}: {first}")


def identifier(answer: Any, what: str) -> str:
    """An id from a store's answer. Raises StoreError where it is none: kept, it would be asked for ever after."""
    if isinstance(answer, str) and IDENTIFIER.fullmatch(answer):
        return answer
    raise StoreError(f"the store's answer holds no {what}: is there an MLflow server at this address?")


def is_gone(error: Exception) -> bool:
    """Whether a store says that it does not have (any more) what it was asked for."""
    return getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"


def client_class() -> Any:
    """MLflow's client, imported with the settings that a run needs."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    # No retries below us: a repeated "create run" whose answer was lost would make a second run; we look for the first.
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # standard output is ours: --json
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    from . import answers

    answers.limit()
    return MlflowClient


def make_store(database: Path) -> None:
    """Make MLflow's SQLite store beside its path and rename it: a process that dies meanwhile leaves no half-made
    tables."""
    client = client_class()
    for stale in database.parent.glob(f".{database.name}.*.part*"):
        stale.unlink()
    part = database.with_name(f".{database.name}.{os.getpid()}.part")
    try:
        client(tracking_uri=f"{SQLITE}{part}").search_experiments()
        os.replace(part, database)
    except BaseException:  # a full disk
        part.unlink(missing_ok=True)
        raise


@contextmanager
def opened(uri: str) -> Iterator[None]:
    """The SQLite file of ``uri``, made where it is missing, under a lock: two processes may come at once. Another
    store: as it is."""
    if not uri.startswith(SQLITE):
        yield
        return
    database = Path(uri.removeprefix(SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    with (database.parent / f".{database.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            make_store(database)
        yield


def links(uri: str, server: str) -> list[tuple[str, str]]:
    """Name of each experiment of ours in a SQLite store, and the address at ``server`` that opens its runs in our view;
    none of another store, and none where there is no store yet.
    """
    if not uri.startswith(SQLITE) or not Path(uri.removeprefix(SQLITE)).exists():
        return []
    experiments = client_class()(tracking_uri=uri).search_experiments(order_by=["last_update_time DESC"])
    ours = [e for e in experiments if f"mlflow.sharedViewState.{VIEW}" in e.tags]
    return [(e.name, link(server, e.experiment_id)) for e in ours]


def make_local_store(uri: str) -> None:
    """Make the tables of a SQLite store ahead of its first run; nothing for another kind of store."""
    client_class()
    with opened(complete(uri)):
        pass
