"""One measurement a process, forked from one that has imported the libraries: what the benchmarks of memory share."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any


def peak() -> float:
    """MiB that this process had resident at most since it was forked, pages of mapped files included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def measured(work: Callable[..., dict[str, Any]], *arguments: Any, code: int = 0) -> dict[str, Any]:
    """What ``work(*arguments)`` returns in a process of its own that must end with ``code``; nothing of one that is
    killed.
    """
    context = multiprocessing.get_context("fork")
    hear, tell = context.Pipe(duplex=False)
    process = context.Process(target=lambda: tell.send(work(*arguments)))
    process.start()
    tell.close()
    try:
        document: dict[str, Any] = hear.recv()
    except EOFError:
        document = {}
    process.join()
    if process.exitcode != code:
        raise RuntimeError(f"{work.__name__}{arguments} ended with {process.exitcode}")
    return document
