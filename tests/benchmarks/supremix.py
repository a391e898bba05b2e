"""SupReMix's loss against a straightforward form that builds all mixtures [M, M, M, d]: seconds a step and peak
memory.

``python tests/benchmarks/supremix.py [N ...]`` (default 64 128 256) with d = 128 and integer labels 0 to 60; each
measurement is a process of its own, on one thread. Peak memory is the growth of the resident set over the process
before its first step.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

D, WINDOW, TAU = 128, 5.0, 0.3
LIMIT_GIB = float(os.environ.get("HOLDFAST_BENCH_GIB", "12"))


def straightforward(z, y, lam):  # type: ignore[no-untyped-def]
    """All mixtures as tensors: [M, M, d] of negatives, [M, M, M, d] of positives, masked; equal to the loss."""
    import torch

    y = y.repeat(2)
    m = len(z)
    c = z.detach()
    away = y[:, None] - y[None]
    own = torch.eye(m, dtype=torch.bool)
    real = z @ z.T / TAU
    negative = torch.einsum("id,ikd->ik", z, lam[..., None] * c[:, None] + (1 - lam)[..., None] * c[None]) / TAU
    low, high = (away > 0) & (away < WINDOW), (away < 0) & (-away < WINDOW)
    valid = low[:, :, None] & high[:, None, :]
    share = (y[None, None, :] - y[:, None, None]) / (y[None, None, :] - y[None, :, None])
    share = torch.where(valid, share, 0.5)
    mixed = share[..., None] * c[None, :, None] + (1 - share)[..., None] * c[None, None]  # [M, M, M, d]
    positive = torch.einsum("id,ijkd->ijk", z, mixed) / TAU
    blocks = [
        (real + torch.log1p(away.abs())).masked_fill(own, -torch.inf),
        (negative + torch.log1p((1 - lam) * away.abs())).masked_fill(away == 0, -torch.inf),
        positive.masked_fill(~valid, -torch.inf).flatten(1),
    ]
    log_z = torch.cat(blocks, 1).logsumexp(1)
    same = (away == 0) & ~own
    total = (real * same).sum(1) + (positive * valid).sum((1, 2))
    return (log_z - total / (same.sum(1) + valid.sum((1, 2)))).mean()


def one(kind: str, n: int) -> dict[str, float]:
    import torch
    from holdfast.methods.losses.supremix import supremix
    from torch.nn import functional as F

    torch.set_num_threads(1)
    g = torch.Generator().manual_seed(0)
    z = F.normalize(torch.randn(2 * n, D, generator=g), dim=1).requires_grad_()
    y = torch.randint(0, 61, (n,), generator=g).float()
    lam = torch.rand(2 * n, 2 * n, generator=g)
    (torch.randn(64, 64) @ torch.randn(64, 64)).sum()  # the libraries' own buffers
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(3 if kind == "straightforward" else 7):
        z.grad = None
        start = time.perf_counter()
        loss = straightforward(z, y, lam) if kind == "straightforward" else supremix(z, y, lam=lam)
        loss.backward()
        times.append(time.perf_counter() - start)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert z.grad is not None
    return {"seconds": min(times), "mib": peak, "loss": float(loss.detach()), "gradient": float(z.grad.abs().sum())}


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def measure(kind: str, n: int) -> dict[str, float] | None:
    done = subprocess.run([sys.executable, __file__, "--one", kind, str(n)], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def main(sizes: list[int]) -> None:
    say("| N | form | seconds a step | peak MiB | loss |\n|---|---|---|---|---|")
    for n in sizes:
        ours = measure("ours", n)
        assert ours is not None, "the loss failed"
        say(f"| {n} | ours | {ours['seconds']:.4f} | {ours['mib']:.0f} | {ours['loss']:.6f} |")
        gib = 2 * 4 * D * (2 * n) ** 3 / 2**30  # the mixtures and their product with the anchor
        plain = measure("straightforward", n) if gib < LIMIT_GIB else None
        if plain is None:
            say(f"| {n} | [M, M, M, d] | - | {gib * 1024:.0f} or more, does not fit | - |")
            continue
        assert abs(plain["loss"] - ours["loss"]) < 1e-4 * abs(ours["loss"]), (plain, ours)
        assert abs(plain["gradient"] - ours["gradient"]) < 1e-3 * ours["gradient"], (plain, ours)
        say(f"| {n} | [M, M, M, d] | {plain['seconds']:.4f} | {plain['mib']:.0f} | {plain['loss']:.6f} |")
        say(
            f"| {n} | ratio | {plain['seconds'] / ours['seconds']:.1f} x "
            f"| {plain['mib'] / max(ours['mib'], 1):.0f} x | |"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        say(json.dumps(one(sys.argv[2], int(sys.argv[3]))))
    else:
        main([int(a) for a in sys.argv[1:]] or [64, 128, 256])
