"""A process that has the libraries loaded and forks a child for each command: importing them takes longer than most
commands.

Started by :mod:`.forks`, which sends one request a connection. The server has one thread, since it forks; it measures
each child, ends it at its limits, and kills it where a trial asks for that.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = 0.01
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "shutil.rmtree")


@dataclass
class Child:
    """A command that works."""

    pid: int
    connection: socket.socket
    request: dict[str, Any]
    begun: float = field(default_factory=time.monotonic)
    ended: str = ""  # by whom: "time", "memory", "killed"
    peak: int = 0  # bytes, of it and what it started


def children_of(pid: int) -> list[int]:
    """The processes that ``pid`` started, and theirs."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    own = [int(word) for word in text.split()]
    return own + [one for child in own for one in children_of(child)]


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def watched(allowed: list[str], report: str) -> None:
    """Write the path of each file that this process makes or changes outside ``allowed`` to the file ``report``."""
    number = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
    roots, own = tuple(allowed), os.getpid()

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int) or not (flags or 0) & WRITES:
                return
        elif event in CHANGES:
            path = arguments[1] if event in ("os.rename", "os.symlink", "os.link") else arguments[0]
        else:
            return
        if os.getpid() != own or isinstance(path, int):
            return
        folder, name = os.path.split(os.path.abspath(os.fsdecode(path)))
        if not f"{os.path.realpath(folder)}/{name}/".startswith(roots):
            os.write(number, f"{event} {os.fsdecode(path)}\n".encode(errors="backslashreplace"))

    sys.addaudithook(look)


def prepare(request: dict[str, Any]) -> None:
    """Turn this child into the process that the request asks for."""
    os.setsid()
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    for name, number in (("/dev/null", 0), (request["out"], 1), (request["err"], 2)):
        opened = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    if request["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest_file"], resource.RLIM_INFINITY))
    sys.argv = ["suites", *request["arguments"]]
    tempfile.tempdir = None  # the server's
    watched(request["allowed"], request["report"])


def play(request: dict[str, Any]) -> int:
    """Run the program in this child; its exit code."""
    code = 0
    try:
        prepare(request)
        module, _, name = request["program"].partition(":")
        getattr(importlib.import_module(module), name)()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        try:
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException as error:
            code = code or (0 if isinstance(error, BrokenPipeError) else 1)
    return code


class Server:
    """Forks, watches, answers."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener, self.children = listener, list[Child]()
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ)

    def accept(self) -> None:
        connection, _ = self.listener.accept()
        with connection.makefile("rb") as file:
            request = json.loads(file.readline())
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                self.listener.close()
                connection.close()
                code = play(request)
            finally:
                os._exit(code & 0xFF)
        self.children.append(Child(pid, connection, request))

    def look(self, child: Child) -> bool:
        """Measure one child, end it at its limits; whether it has ended."""
        family = [child.pid, *children_of(child.pid)]
        child.peak = max(child.peak, sum(map(resident, family)))
        pid, status, used = os.wait4(child.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            left = [one for one in family[1:] if Path(f"/proc/{one}").exists()]
            if child.ended != "killed":
                time.sleep(0.02 if left else 0)
                kill([one for one in left if Path(f"/proc/{one}").exists()])
            seconds = time.monotonic() - child.begun
            answer = {"code": code, "seconds": seconds, "peak": max(used.ru_maxrss * 1024, 0), "ended": child.ended}
            answer["family"] = child.peak
            with suppress(OSError):  # whoever asked is gone
                child.connection.sendall(json.dumps(answer).encode() + b"\n")
            child.connection.close()
            return True
        seconds, asked = time.monotonic() - child.begun, child.request
        if not child.ended:
            if asked["kill_after"] is not None and seconds >= asked["kill_after"]:
                child.ended = "killed"
                kill([child.pid] if asked["kill_alone"] else family)
            elif seconds > asked["seconds"] or child.peak > asked["bytes"]:
                child.ended = "time" if seconds > asked["seconds"] else "memory"
                kill(family)
        return False

    def serve(self) -> None:
        while True:
            for _ in self.selector.select(TICK if self.children else None):
                self.accept()
            self.children = [child for child in self.children if not self.look(child)]


def main() -> None:
    address, *preloaded = sys.argv[1:]
    sys.dont_write_bytecode = True
    for name in preloaded:
        importlib.import_module(name)
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False  # folders of the server are not removed by its children
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        Server(listener).serve()


if __name__ == "__main__":
    main()
