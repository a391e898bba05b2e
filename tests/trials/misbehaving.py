"""Tracking servers that misbehave: no run fails, none waits for long, and each point arrives once afterwards.

A real ``mlflow server`` stands behind a relay that loses, delays, cuts, drips or makes up answers.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..suites.test_tracking_server import Server
from .kills import References, difference, of_store, runs_of
from .promises import MEMORY, SECONDS, Trial, first_words, of_command
from .workshop import Job, Workshop

WORDS = ("run", "supremix_tabular", "--profile", "smoke", "--method", "l1")
LONGER = 3 * SECONDS  # that a run or a sync may take with a bad server, beside the seconds of the run
MODES: dict[str, tuple[str, ...]] = {
    "loses answers": ("pass", "cut"),
    "closes at once": ("drop",),
    "closes now and then": ("pass", "drop"),
    "is late": ("late",),
    "says 500": ("500",),
    "says 500 now and then": ("pass", "500"),
    "says 429": ("429",),
    "says 404": ("404",),
    "says nothing": ("silence",),
    "drips": ("drip",),
    "drips now and then": ("pass", "drip"),
    "answers endlessly": ("endless",),
    "speaks no HTTP": ("noise",),
    "answers with a page": ("page",),
    "answers with another document": ("other",),
    "leads elsewhere": ("redirect",),
    "promises 128 GiB": ("promise",),
    "all of it": ("pass", "cut", "drop", "late", "500", "page", "other"),
}
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def _whole(body: str, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n{body}".encode()


MADE_UP = {
    "500": _whole("oh", "500 Internal Server Error"),
    "429": _whole("", "429 Too Many Requests", "Retry-After: 86400\r\n"),
    "404": _whole("{}", "404 Not Found"),
    "noise": b"\x00\xff\x17SSH-2.0\r\n\r\n" * 40,
    "page": _whole("<html>Please log in</html>"),
    "other": _whole('{"run": [1, 2], "experiment": null, "runs": "x"}'),
    "redirect": _whole("", "302 Found", "Location: http://127.0.0.1:9/elsewhere\r\n"),
    "promise": f"{HEAD}Content-Length: {2**37}\r\n\r\n{{".encode(),
}


class Relay:
    """A relay to ``target`` whose connections draw one of ``modes``; a test changes them while it works."""

    def __init__(self, target: int, seed: int) -> None:
        self.target, self.seen = target, dict[str, int]()
        self.modes: tuple[str, ...] = ("pass",)
        self.draw = random.Random(seed)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                mode = self.draw.choice(self.modes)
                self.seen[mode] = self.seen.get(mode, 0) + 1
                threading.Thread(target=self._serve, args=(client, mode), daemon=True).start()

    def _serve(self, client: socket.socket, mode: str) -> None:
        with client, suppress(OSError):
            if mode == "drop":
                return
            if mode == "late":
                time.sleep(1.0)
            request = _request(client)
            if mode in MADE_UP:
                client.sendall(MADE_UP[mode])
            elif mode in ("pass", "cut", "late"):
                answer = self._asked(request)
                if mode != "cut":
                    client.sendall(answer)
            elif mode in ("drip", "endless"):
                client.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
                part = b"1\r\n \r\n" if mode == "drip" else b"100000\r\n" + b" " * 2**20 + b"\r\n"
                end = time.monotonic() + 10 * LONGER
                while self.open and self.modes != ("pass",) and time.monotonic() < end:
                    client.sendall(part)
                    time.sleep(0.5 if mode == "drip" else 0)
            if mode in ("silence", "promise"):
                while self.open and self.modes != ("pass",):
                    time.sleep(0.2)

    def _asked(self, request: bytes) -> bytes:
        """The server's whole answer."""
        head, _, body = request.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        with socket.create_connection(("127.0.0.1", self.target)) as server:
            server.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
            parts = list(iter(lambda: server.recv(65536), b""))
        return b"".join(parts)

    def close(self) -> None:
        self.open = False
        self.listener.close()


def _request(client: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        part = client.recv(65536)
        if not part:
            raise OSError("closed")
        request += part
    head, _, body = request.partition(b"\r\n\r\n")
    sizes = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(sizes[0] if sizes else 0):
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


class Behind:
    """One server for all trials, started when the first asks for it."""

    def __init__(self, shop: Workshop) -> None:
        self.shop, self._server, self._lock = shop, list[Server](), threading.Lock()

    def get(self) -> Server:
        with self._lock:
            if not self._server:
                with socket.socket() as free:
                    free.bind(("127.0.0.1", 0))
                    port = free.getsockname()[1]
                folder = self.shop.folder / "server"
                folder.mkdir()
                self._server.append(Server(folder, port))
                self._server[0].start()
                self.shop.at_end.append(self._server[0].kill)
            return self._server[0]


def trial(
    shop: Workshop, behind: Behind, references: References, name: str, modes: Sequence[str], place: Path
) -> Trial:
    """A run and a ``sync`` with the bad server, then a ``sync`` with the good one at the same address."""
    whole, own = references.of(WORDS)
    server = behind.get()
    out, relay = shop.new_out(place), Relay(server.port, shop.seed)
    relay.modes = tuple(modes)
    limit = own + LONGER
    try:
        run = shop.suites(out, *WORDS, "--tracking-uri", f"http://127.0.0.1:{relay.port}", seconds=1.5 * limit)
        sync = shop.suites(out, "sync", str(out), seconds=1.5 * limit)
        relay.modes = ("pass",)
        time.sleep(0.5)
        for _ in range(3):
            last = shop.suites(out, "sync", str(out))
            if last.code == 0:
                break
        seen: dict[str, Any] = {"finished": "", "numbers": "", "traceback": "", "memory": "", "waits": ""}
        for what, ended in (("run", run), ("sync", sync)):
            own_seen = of_command(ended, (0, 4))
            seen["traceback"] = seen["traceback"] or own_seen["traceback"]
            late = ended.by == "time" or ended.seconds > limit
            seen["waits"] = seen["waits"] or (
                f"{what}: {ended.seconds:.0f} s{' and ended there' * bool(ended.by)}" * late
            )
            much = ended.peak > MEMORY
            seen["memory"] = seen["memory"] or f"{what}: {ended.peak / 2**30:.1f} GiB" * much
        if run.code:
            seen["finished"] = f"exit {run.code}: {first_words(run.err)}"
        if last.code:
            seen["finished"] = seen["finished"] or f"sync afterwards: exit {last.code}: {first_words(last.out)}"
        folders = runs_of(out)
        seen["numbers"] = difference(runs_of(whole)[0], folders[0]) if folders else "there is no run"
        seen |= of_store(out, folders, server.database)
    finally:
        relay.close()
    return Trial("servers", name, seen, f"suites {' '.join(WORDS)}", run.seconds, max(run.peak, sync.peak), relay.seen)


def jobs(shop: Workshop) -> list[Job]:
    """4 servers of the small size, all nightly, all of them three times in the full one."""
    behind, references, made = Behind(shop), References(shop), list[Job]()
    for again in range(shop.count(1, 1, 3)):
        for how, modes in MODES.items():
            name = f"{how} {again}"

            def make(place: Path, name: str = name, modes: tuple[str, ...] = modes) -> Trial:
                return trial(shop, behind, references, name, modes, place)

            made.append((name, make))
    return shop.chosen(made, 4 if shop.size == "small" else None, "servers")
