"""MLflow's pages of the runs on this machine: which store, which port, which command serves them."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from ..config.errors import Fault
from ..config.private import redact
from ..tracking import store
from . import folders
from .asked import out_of
from .messages import QUIET

HOST = "127.0.0.1"  # this machine alone
PORT = 5000
WORKERS = "1"  # processes: MLflow's four take twice the memory and twice the time until the first page
NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # what judges language models in the background
TRIED = 100  # ports after the first, where none was asked for


@dataclass(frozen=True)
class Pages:
    """What serves the pages: ``arguments`` and ``environment`` of a process (for :func:`os.execve`), its ``port``, and
    the address of every experiment of ours.

    ``arguments`` are empty where the store is a server: it has pages of its own, at ``address``.
    """

    address: str
    port: int | None
    links: list[tuple[str, str]]
    arguments: list[str]
    environment: dict[str, str]
    note: str = ""


def ui(out: str | Path | None = None, port: int | None = None, tracking_uri: str | None = None) -> Pages:
    """The pages of the runs under ``out``; nothing is started and nothing written.

    Args:
        port: of this machine; None: 5000, or the next free one.
        tracking_uri: MLflow's store; None: ``MLFLOW_TRACKING_URI``, else the file beside the runs.

    Raises Fault where there is no store yet, and where ``port`` is in use.
    """
    runs = out_of(out)
    uri = store.resolve_uri(runs, tracking_uri)
    if uri.startswith(("http://", "https://")):
        return Pages(redact(uri), None, [], [], {}, "the store is a server, with pages of its own")
    _check_store(uri, runs)
    chosen, note = _port(port)
    address = f"http://{HOST}:{chosen}"
    mlflow = str(Path(sys.executable).with_name("mlflow"))
    arguments = [mlflow, "ui", "--host", HOST, "--workers", WORKERS, "--port", str(chosen)]
    environment = NO_JOBS | {name: value for name, value in os.environ.items() if name not in QUIET}
    environment["MLFLOW_BACKEND_STORE_URI"] = uri  # not an option: everybody may see those
    return Pages(address, chosen, store.links(uri, address), arguments, environment, note)


def _check_store(uri: str, runs: Path) -> None:
    """Raise Fault where the SQLite file is not there: MLflow would make an empty one."""
    if not uri.startswith(store.SQLITE) or Path(uri.removeprefix(store.SQLITE)).exists():
        return
    if folders.invocations(runs):
        what, next_step = "these runs are in no MLflow store yet", f"suites sync {runs}"
    else:
        what = "there are no runs here, and no MLflow store"
        next_step = "name the folder of your runs: suites ui --out DIR; or make some: suites run coconut_slurp"
    raise Fault.usage(what, str(runs.resolve()), next_step)


def _port(asked: int | None) -> tuple[int, str]:
    """A free port, and what to say where it is not the first choice. Raises Fault where the one asked for is taken."""
    first = PORT if asked is None else asked
    try:
        free_at_once = is_free(first)
    except PermissionError as error:
        raise Fault.usage(f"port {first} is for the system alone", f"--port {first}", f"--port {PORT}") from error
    if free_at_once:
        return first, ""
    free = next((number for number in range(first + 1, min(first + TRIED, 65536)) if is_free(number)), None)
    if asked is None and free is not None:
        return free, f"port {first} is in use by another program; taking {free}"
    next_step = f"--port {free}" if free is not None else "--port with the number of a free one"
    raise Fault.usage(f"port {first} is in use by another program", f"--port {first}", next_step)


def is_free(port: int) -> bool:
    """Whether a server can listen on this port of this machine. Raises PermissionError for one of the system's."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port that was just left is free
        try:
            one.bind((HOST, port))
        except PermissionError:
            raise
        except OSError:
            return False
    return True
