"""What MLflow costs a run: the demo of `suites run coconut_slurp --method er` with its store, and without deliveries.

Each form runs in its own process, in turn, several times; the best of each is compared (wall and CPU time).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "2"))


class NoDelivery:
    """In the place of tracking.Delivery: takes everything, sends nothing."""

    def __init__(self, *arguments: Any) -> None: ...

    def start(self) -> None: ...

    run_id = None

    def rewind(self, position: int) -> None: ...

    def cover(self, offset: int) -> None: ...

    def finish(self, status: str, how: str = "") -> Any:
        from holdfast.suites.tracking.delivery import Outcome

        return Outcome(None, 0, 0, None)


def measure(form: str) -> dict[str, float]:
    from holdfast.suites.config import catalog
    from holdfast.suites.runtime import build, invocation
    from holdfast.suites.runtime.console import Console
    from holdfast.suites.tracking import delivery as tracking

    if form == "off":
        tracking.Delivery = NoDelivery  # type: ignore[misc, assignment]
    recipe = catalog.recipe("coconut_slurp", "demo")
    with tempfile.TemporaryDirectory() as out:
        build.prepare(recipe)  # the data is no part of the comparison
        start, cpu = time.perf_counter(), os.times()
        invocation.start(
            recipe,
            methods=["er"],
            seeds=[0],
            device="cpu",
            out=Path(out),
            tracking_uri=None,
            console=Console(json=True),
        )
        after = os.times()
        return {
            "seconds": time.perf_counter() - start,
            "cpu": after.user + after.system - cpu.user - cpu.system,
        }


def main() -> None:
    if len(sys.argv) > 1:
        sys.stdout.write("\n" + json.dumps(measure(sys.argv[1])))
        return
    rows: dict[str, list[dict[str, float]]] = {"off": [], "on": []}
    for _ in range(ROUNDS):
        for form, found in rows.items():
            done = subprocess.run([sys.executable, __file__, form], capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    best = {form: {key: min(row[key] for row in found) for key in found[0]} for form, found in rows.items()}
    lines = ["| demo's `er`, MLflow | wall, s | ratio | CPU, s | ratio |", "|---|---|---|---|---|"]
    for form, row in best.items():
        lines.append(
            f"| {form} | {row['seconds']:.1f} | {row['seconds'] / best['off']['seconds']:.3f} "
            f"| {row['cpu']:.1f} | {row['cpu'] / best['off']['cpu']:.3f} |"
        )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
