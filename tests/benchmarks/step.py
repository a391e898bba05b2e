"""A small transformer's step on a CPU: dropout, attention with it, the optimizer, and torch.compile, each beside what
torch does: ``make benchmarks``, or this file alone.

The sizes are those of the demo's recogniser: d = 128, 4 heads, 4 layers, batches of 32 x 60, feed-forward 256, two
threads. Best of several rounds, each form beside the other so that a busy machine slows both. With
``HOLDFAST_THREADS=1`` the times are the processor's, which say something on a busy machine too.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable

import torch
from holdfast.datasets.core.seeds import generator
from holdfast.methods.base import OptimizerSpec
from holdfast.methods.networks.dropout import Draws, attach, dropout
from holdfast.methods.networks.seq2seq import Attention, Layer, Seq2SeqConfig
from holdfast.methods.training.optimizers import build_optimizer
from torch import Tensor, nn
from torch.nn import functional as F

B, T, D, HEADS, LAYERS, P = 32, 60, 128, 4, 4, 0.1
ROUNDS = 15
THREADS = int(os.environ.get("HOLDFAST_THREADS", "2"))
CONFIG = {"d_model": D, "heads": HEADS, "feedforward": 256}
Form = tuple[str, Callable[[], object]]


class Encoder(nn.Module):
    def __init__(self, rate: float, attention: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = Seq2SeqConfig(**CONFIG, dropout=rate, attention_dropout=attention)
        self.layers = nn.ModuleList(Layer(config, cross=False) for _ in range(LAYERS))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x, _ = layer(x)
        return x


def best(forms: list[Form], rounds: int = ROUNDS) -> dict[str, float]:
    """Milliseconds of each form."""
    clock = time.process_time if THREADS == 1 else time.perf_counter
    seconds = {name: float("inf") for name, _ in forms}
    for number in range(rounds + 2):
        for name, work in forms:
            start = clock()
            work()
            if number > 1:
                seconds[name] = min(seconds[name], clock() - start)
    return {name: 1e3 * value for name, value in seconds.items()}


def stepping(model: nn.Module, x: Tensor, fused: bool) -> Callable[[], None]:
    """Forward, backward and AdamW."""
    spec = OptimizerSpec(list(model.parameters()), "AdamW", {} if fused else {"foreach": False})
    optimizer = build_optimizer(spec)

    def step() -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    return step


def masks() -> list[Form]:
    """Of attention's weights and of a layer's output."""
    draws = Draws(generator(0, "dropout"))
    weights, hidden = torch.rand(B, HEADS, T, T), torch.rand(B, T, D)
    return [
        (f"{what}, {how}", work)
        for what, x in (("weights 32 x 4 x 60 x 60", weights), ("values 32 x 60 x 128", hidden))
        for how, work in (("torch", lambda x=x: F.dropout(x, P)), ("ours", lambda x=x: dropout(x, P, draws)))
    ]


def attentions() -> list[Form]:
    """Forward and backward of one attention, without dropout and with it."""
    x = torch.rand(B, T, D, requires_grad=True)
    forms: list[Form] = []
    for name, rate, own in (
        ("no dropout (torch)", 0.0, False),
        ("dropout, torch", P, False),
        ("dropout, ours", P, True),
    ):
        attention = Attention(D, HEADS, rate)
        if own:
            attach(attention, generator(0, "dropout"))
        forms.append((f"attention, {name}", functools.partial(_attend, attention, x)))
    return forms


def _attend(attention: Attention, x: Tensor) -> None:
    attention(x, *attention.keys(x)).sum().backward()


def steps() -> list[Form]:
    x = torch.rand(B, T, D)
    forms: list[Form] = []
    for name, rate, own, fused in (
        ("no dropout, fused AdamW", 0.0, False, True),
        ("torch's dropout, AdamW's loop", P, False, False),
        ("torch's dropout, fused AdamW", P, False, True),
        ("our dropout, fused AdamW", P, True, True),
    ):
        model = Encoder(rate)
        if own:
            attach(model, generator(0, "dropout"))
        forms.append((f"step, {name}", stepping(model, x, fused)))
    return forms


def compiled() -> tuple[float, float, float]:
    """(seconds to compile and make the first steps; ms a step compiled, and as it is)."""
    x, plain, other = torch.rand(B, T, D), Encoder(P), Encoder(P)
    attach(plain, generator(0, "dropout"))
    other.compile()
    work = stepping(other, x, True)
    start = time.perf_counter()
    work()
    first = time.perf_counter() - start
    times = best([("compiled", work), ("plain", stepping(plain, x, True))])
    return first, times["compiled"], times["plain"]


def main() -> None:
    torch.set_num_threads(THREADS)
    out = sys.stdout.write
    for title, forms, peer in (("masks", masks(), 2), ("attention", attentions(), 3), ("step", steps(), 4)):
        times = best(forms)
        out(f"\n| {title} | ms | ratio |\n|---|---|---|\n")
        for number, (name, _) in enumerate(forms):
            first = forms[number // peer * peer][0]
            out(f"| {name} | {times[name]:.2f} | {times[name] / times[first]:.2f} |\n")
    if "--compile" in sys.argv:
        begin, fast, plain = compiled()
        out(f"\ntorch.compile: {begin:.1f} s for the first step, then {fast:.1f} ms a step beside {plain:.1f}")
        out(f": pays after {begin / max(1e-9, plain - fast) * 1e3:,.0f} steps\n" if fast < plain else ": never pays\n")


if __name__ == "__main__":
    main()
