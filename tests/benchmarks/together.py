"""Milliseconds of a small transformer's training step on two threads, alone and in two processes at once: GNU OpenMP as
it comes, and as ``suites`` sets it (``GOMP_SPINCOUNT=1000``), in turns. Median of ``HOLDFAST_ROUNDS``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

SECONDS, ROUNDS = 5.0, int(os.environ.get("HOLDFAST_ROUNDS", "3"))
FORMS = {"as it comes": {}, "as suites sets it": {"GOMP_SPINCOUNT": "1000"}}


def step() -> float:
    """Milliseconds of a step."""
    import torch

    torch.set_num_threads(2)
    layer = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 3)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    inputs = torch.randn(16, 80, 64)
    done, start = -3, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        if not done:
            start = time.perf_counter()
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()
        done += 1
    return (time.perf_counter() - start) / max(done, 1) * 1e3


def processes(count: int, form: dict[str, str]) -> float:
    """The mean over ``count`` processes at once."""
    unset = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | form
    begun = [
        subprocess.Popen([sys.executable, __file__, "--step"], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    return statistics.mean(float(one.communicate()[0]) for one in begun)


def main() -> None:
    if "--step" in sys.argv:
        sys.stdout.write(f"{step()}\n")
        return
    measured: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for name, form in FORMS.items():
            for count in (1, 2):
                measured.setdefault((name, count), []).append(processes(count, form))
    sys.stdout.write("| GNU OpenMP | alone, ms a step | two at once, ms a step | ratio |\n|---|---|---|---|\n")
    for name in FORMS:
        alone, two = (statistics.median(measured[name, count]) for count in (1, 2))
        sys.stdout.write(f"| {name} | {alone:.0f} | {two:.0f} | {two / alone:.1f} |\n")


if __name__ == "__main__":
    main()
