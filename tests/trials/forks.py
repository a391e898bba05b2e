"""Commands in processes of their own, forked from :mod:`.server`: measured, limited, and killed where asked."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

TESTS = Path(__file__).resolve().parents[1]
SUITES = "tests.trials.programs:suites"
PRELOADED = ("tests.trials.preloaded",)
GIB = 2**30


@dataclass(frozen=True)
class Ended:
    """How a command ended. ``peak``: bytes that it had resident at most, the libraries among them; ``by``: "" for
    itself, else the limit that ended it (time, memory) or "killed"."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float
    peak: int
    by: str
    outside: tuple[str, ...]


class Forks:
    """The server, as a context. ``run`` may be called by several threads."""

    def __init__(self, place: Path, program: str = SUITES, preloaded: Sequence[str] = PRELOADED) -> None:
        self.place, self.program, self._count = place, program, 0
        place.mkdir(parents=True, exist_ok=True)
        self._address, self._preloaded = place / "s", preloaded
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Forks:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        start = str(TESTS / "trials" / "__main__.py")
        code = (
            f"import runpy; runpy.run_path({start!r})['make_known']()\nfrom tests.trials import server; server.main()"
        )
        command = [sys.executable, "-c", code, str(self._address), *self._preloaded]
        self._process = subprocess.Popen(command, env=environment, cwd=self.place)
        end = time.monotonic() + 120
        while not self._address.exists():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the process that forks the commands did not start")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def run(
        self,
        arguments: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        *,
        seconds: float = 60.0,
        memory: float = 3.0 * GIB,
        allowed: Sequence[Path] = (),
        kill_after: float | None = None,
        kill_alone: bool = True,
        largest_file: int = 0,
        out: str = "",
    ) -> Ended:
        """Run the program with these arguments; ``allowed``: the folders that it may write to; ``kill_after``: SIGKILL
        after so many seconds, to it alone or to what it started too; ``out``: the file of its standard output."""
        self._count += 1
        stem = self.place / f"{self._count}-{id(arguments):x}"
        roots = [f"{path.resolve()}/" for path in (cwd, *allowed)] + ["/dev/", "/proc/"]
        request = {
            "program": self.program,
            "arguments": list(arguments),
            "environment": dict(environment),
            "cwd": str(cwd),
            "out": out or f"{stem}.out",
            "err": f"{stem}.err",
            "report": f"{stem}.outside",
            "seconds": seconds,
            "bytes": memory,
            "allowed": roots,
            "kill_after": kill_after,
            "kill_alone": kill_alone,
            "largest_file": largest_file,
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._address))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as file:
                line = file.readline()
        if not line:
            raise RuntimeError("the process that forks the commands has ended")
        answer = json.loads(line)
        texts = [_taken(Path(f"{stem}.{end}")) for end in ("out", "err", "outside")]
        outside = tuple(dict.fromkeys(texts[2].splitlines()))
        facts = (answer["seconds"], answer["peak"], answer["ended"], outside)
        return Ended(tuple(arguments), answer["code"], texts[0], texts[1], *facts)


def _taken(path: Path, most: int = 2**22) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        text = file.read(most).decode(errors="replace")
    path.unlink()
    return text
