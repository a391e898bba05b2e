"""Seconds from the command to the first training step of a warm ``suites run`` (data in the cache), in all and of the
processor: the process is killed after its first step (``HOLDFAST_KILL_AT``). Best of ``HOLDFAST_ROUNDS``.

On a busy machine the processor's seconds say more; they hold those of all threads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUITES = ("split_digits", "supremix_tabular", "coconut_slurp")
ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "3"))


def first_step(suite: str, out: str, kill: bool = True) -> tuple[float, float]:
    """(wall seconds, processor's seconds) of one run until its first step, or until its end."""
    command = [str(Path(sys.executable).with_name("suites")), "run", suite, "--profile", "smoke", "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **({"HOLDFAST_KILL_AT": "iteration:1"} if kill else {})}
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--out", out, "train.threads=1"],
        env=environment,
        cwd=out,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    code = os.waitstatus_to_exitcode(status)
    if code != (-signal.SIGKILL if kill else 0):
        raise SystemExit(f"{suite}: exit code {code}\n{said.decode()}")
    return seconds, used.ru_utime + used.ru_stime


def main() -> None:
    out = sys.stdout.write
    out("| suite | to the first step, s | of the processor, s |\n|---|---|---|\n")
    for suite in sys.argv[1:] or SUITES:
        with tempfile.TemporaryDirectory() as folder:
            first_step(suite, folder, kill=False)  # data, the store's tables, compiled files
            measured = [first_step(suite, folder) for _ in range(ROUNDS)]
        out(f"| {suite} | {min(wall for wall, _ in measured):.1f} | {min(cpu for _, cpu in measured):.1f} |\n")


if __name__ == "__main__":
    main()
