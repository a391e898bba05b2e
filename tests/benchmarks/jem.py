"""SepCLR's joint entropy and uniformity, n rows of d = 32 in float32, forward and backward on two threads: our blocked
form beside a plain ``torch.cdist`` form.

Each form and size runs in a process of its own, which reports its best time and its peak memory above what stood
before.
"""

from __future__ import annotations

import itertools
import json
import math
import resource
import subprocess
import sys
import time

import torch
from holdfast.methods.losses.sepclr import joint_entropy, uniformity
from torch import Tensor
from torch.nn import functional as F

SIZES, D, ROUNDS, TAU = (512, 4096, 16384), 32, 3, 0.5
LOSSES = ("joint entropy", "uniformity")


def plain(loss: str, c: Tensor, s: Tensor) -> Tensor:
    """Distances by the default ``cdist`` (a root of matrix products above 25 rows), then squared: [n, n] matrices."""
    squares = torch.cdist(c, c).square()
    if loss == "uniformity":
        above = torch.triu(torch.ones(len(c), len(c), dtype=torch.bool), 1)
        return torch.exp(-squares[above] / (2 * TAU)).mean().log()
    squares = squares + torch.cdist(s, s).square()
    return torch.exp(-squares / (2 * TAU)).mean(1).log().mean()


def blocked(loss: str, c: Tensor, s: Tensor) -> Tensor:
    return uniformity(c, temperature=TAU) if loss == "uniformity" else joint_entropy(c, s, temperature=TAU)


def codes(n: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    c, s = F.normalize(torch.randn(n, D, generator=g), dim=1), 0.3 * torch.randn(n, D, generator=g)
    return c.requires_grad_(), s.requires_grad_()


def measure(form: str, loss: str, n: int) -> dict[str, float]:
    torch.set_num_threads(2)
    loss_of = blocked if form == "blocked" else plain
    loss_of(loss, *codes(64)).backward()  # libraries loaded, threads started
    c, s = codes(n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    best, value = math.inf, torch.zeros(())
    for _ in range(ROUNDS if n < SIZES[-1] else 1):
        c.grad = s.grad = None
        start = time.perf_counter()
        value = loss_of(loss, c, s)
        value.backward()
        best = min(best, time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert c.grad is not None
    return {
        "seconds": best,
        "mib": (peak - before) / 1024,
        "loss": float(value.detach()),
        "gradient": float(c.grad.norm()),
    }


def main() -> None:
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
        return
    write = sys.stdout.write
    write("| loss | n | form | seconds | extra memory, MiB | loss | gradient's norm |\n|---|---|---|---|---|---|---|\n")
    for n, loss, form in itertools.product(SIZES, LOSSES, ("cdist", "blocked")):
        command = [sys.executable, __file__, form, loss, str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:  # killed, or refused the memory
            write(f"| {loss} | {n} | {form} | - | does not fit | - | - |\n")
            continue
        row = json.loads(done.stdout)
        write(
            f"| {loss} | {n} | {form} | {row['seconds']:.4f} | {row['mib']:.0f} | {row['loss']:.6f} "
            f"| {row['gradient']:.6e} |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
