"""Tokens a second of every decoding rule beside plain greedy ``generate`` of transformers: same model (a GPT-2 with
random weights), same prompts, as many new tokens, caches everywhere, in turn; and calls to a constraint.

    python tests/benchmarks/decoding.py [rules] [constraints] [--device cuda] [--only cad --only dola] ...

No row ends early. Goal: a rule with k further passes takes at most (k + 1) × 1.15 of the time. On a CPU one thread,
and the time of the processor, which other jobs on the machine lengthen least. ``--help``: sizes.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from holdfast.datasets.core.language import BOS, LanguageInfo
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.table import Batch
from holdfast.methods.base import Method
from holdfast.methods.losses.contrast import cad_scores
from holdfast.methods.networks.branches import ContrastProcessor
from holdfast.methods.networks.causal_pretrained import PretrainedCausal
from holdfast.methods.networks.language import rows_of
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

ALLOWANCE = 1.15  # of the goal
NEVER = -1  # no token ends a row
SIDE, PATCH = 32, 8  # of a picture in pixels: 16 embeddings before the prompt
TEXT = (
    "greedy",
    "sampling",
    "min_p",
    "neutral",
    "cad",
    "adacad",
    "lqcd",
    "cd",
    "dola",
    "icd",
    "lol",
    "steer",
    "rankgen",
)
SET: tuple[tuple[str, str, dict[str, Any]], ...] = (  # with settings beside the defaults
    ("dola, two candidates", "dola", {"layers": (0, 2)}),
    ("contrastive_search", "contrastive_search", {"isotropy": False}),  # what is reported of the prompts is left out
)
PICTURES = ("greedy", "vcd", "m3id", "vdd", "ritual")
SAMPLERS = (("awrs", 1, "awrs"), ("awrs", 1, "masked"), ("smc", 20, "awrs"), ("smc", 20, "masked"))
write = sys.stdout.write


@dataclass(frozen=True)
class Form:
    """``call`` makes ``tokens`` new tokens; ``beside``: the form that it is compared with. It gives tokens and k."""

    name: str
    beside: str
    tokens: int
    call: Callable[[], tuple[Tensor, float]]


class Gpt(PretrainedCausal):
    """GPT-2 with random weights; where the batch has pictures a linear map of their patches stands before the tokens,
    as in an image-text model.
    """

    def __init__(self, shape: dict[str, int], info: LanguageInfo) -> None:
        from transformers import GPT2Config, GPT2LMHeadModel

        ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
        super().__init__(GPT2LMHeadModel(GPT2Config(**shape, **ends)), info)
        self.shape = shape
        self.patches = nn.Linear(3 * PATCH**2, shape["n_embd"])
        self.eval().requires_grad_(False)

    def prefix(self, batch: Batch) -> Tensor | None:
        return self.embed_pictures(batch["image"]) if "image" in batch else None

    def embed_pictures(self, image: Tensor) -> Tensor:
        x = image if image.is_floating_point() else image.float() / 127.5 - 1
        found: Tensor = self.patches(F.unfold(x, PATCH, stride=PATCH).transpose(1, 2))
        return found

    def smaller(self, seed: int) -> Gpt:
        """The amateur of CD: half the width, one block, as the network ``causal`` has it."""
        return Gpt({**self.shape, "n_embd": self.shape["n_embd"] // 2, "n_layer": 1}, self.info)


class EveryFifth:
    """A constraint: strings of ``length`` tokens, of which every fifth is allowed, by its place another fifth."""

    def __init__(self, length: int) -> None:
        self.length = length

    def prefix(self, ids: tuple[int, ...]) -> bool:
        return len(ids) <= self.length and (ids[-1] + len(ids)) % 5 == 0

    def complete(self, ids: tuple[int, ...]) -> bool:
        return len(ids) == self.length


class World:
    """The model, and prompts of one length with as long a neutral form."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.device = given, torch.device(given.device)
        words = tuple(map(str, range(given.vocabulary)))
        self.info = LanguageInfo(vocabulary=words, longest=given.prompt + given.new, eos=NEVER, yes_no=(3, 4))
        patches = (SIDE // PATCH) ** 2
        self.shape = {
            "vocab_size": given.vocabulary,
            "n_embd": given.width,
            "n_layer": given.layers,
            "n_head": given.heads,
            "n_positions": patches + 6 * given.prompt + given.new,
        }
        torch.manual_seed(0)
        self.model = Gpt(self.shape, self.info).to(self.device)
        g = generator(0, "benchmark/decoding")
        self.rows = self.prompts(given.rows, g)
        image = torch.randint(0, 256, (given.rows, 3, SIDE, SIDE), dtype=torch.uint8, generator=g)
        self.pictures = {**self.rows, "image": image.to(self.device)}
        self.pool = torch.randint(3, given.vocabulary, (64, (given.prompt - 1) // 5), generator=g)

    def prompts(self, rows: int, g: torch.Generator) -> Batch:
        given, batch = self.given, {"index": torch.arange(rows)}
        for name in ("prompt", "neutral"):
            batch[name] = torch.randint(3, given.vocabulary, (rows, given.prompt), generator=g)
            batch[name][:, 0] = BOS
            batch[f"{name}_lengths"] = torch.full((rows,), given.prompt)
        return {name: value.to(self.device) for name, value in batch.items()}

    def rule(self, stem: str, model: Gpt | None = None, **options: Any) -> Any:
        """A method of the family as it is after its fit; what would have been trained has random weights."""
        kind: type[Method[Any]] = importlib.import_module(f"holdfast.methods.decoding.{stem}").METHOD
        config = kind.Config(**{"max_new_tokens": self.given.new, "lm_epochs": 0, **options})
        method: Any = kind(config, model or self.model, 0)
        if hasattr(method, "copy"):
            method.copy.take()
            for weights in method.copy.module.parameters():
                weights.add_(0.02 * torch.randn(weights.shape, generator=generator(0, "copy")).to(self.device))
        if stem == "steer":  # five texts make a negative prompt as long as the prompt
            method.fitted["pool"], method.fitted["pool_lengths"] = self.pool, torch.full((64,), self.pool.shape[1])
        return method.to(self.device).eval()

    def generate(self, batch: Batch, new: int, **options: Any) -> Tensor:
        """Greedy search of the library, [B, new]."""
        tokens, mask = rows_of(batch, "prompt")
        prefix = self.model.prefix(batch)
        inputs: dict[str, Tensor] = {"input_ids": tokens, "attention_mask": mask.long()}
        if prefix is not None:
            embedded = torch.cat([prefix, self.model.net.get_input_embeddings()(tokens)], 1)
            inputs = {"inputs_embeds": embedded, "attention_mask": mask.new_ones(embedded.shape[:2]).long()}
        found: Tensor = self.model.net.generate(**inputs, do_sample=False, max_new_tokens=new, **options)
        return found[:, -new:]


# ------------------------------------------------------------------ rules


def rule_forms(world: World) -> list[Form]:
    new, count = world.given.new, world.given.new * world.given.rows
    forms: list[Form] = []

    def plain(name: str, batch: Batch, length: int) -> None:
        forms.append(Form(name, name, length * world.given.rows, lambda: (world.generate(batch, length), 0.0)))

    def ours(name: str, stem: str, beside: str, batch: Batch, **options: Any) -> None:
        method = world.rule(stem, **options)

        def call() -> tuple[Tensor, float]:
            found = method.generate(batch)
            return found["tokens"], round(float(found["forwards"].mean()) / new) - 1

        forms.append(Form(name, beside, count, call))

    plain("generate", world.rows, new)
    for name, stem, options in (*((name, name, {}) for name in TEXT), *SET):
        ours(name, stem, "generate", world.rows, **options)
    forms.append(Form("transformers' guidance (CAD)", "generate", count, lambda: (_guided(world), 1)))
    forms.append(Form("cad as a logits processor", "generate", count, lambda: (_processed(world), 1)))
    plain("generate, pictures", world.pictures, new)
    for name in PICTURES:
        ours(f"{name}, pictures", name, "generate, pictures", world.pictures)
    plain("generate, pictures, one token", world.pictures, 1)
    answers = world.rule("posthoc_debias")
    one = "generate, pictures, one token"
    forms.append(
        Form("posthoc_debias, yes or no", one, world.given.rows, lambda: (_answered(answers, world.pictures), 1))
    )
    return forms


@torch.no_grad()
def _answered(method: Any, batch: Batch) -> Tensor:
    found: Tensor = method.yes_or_no(batch)["label"]
    return found


def _guided(world: World) -> Tensor:
    tokens, mask = rows_of(world.rows, "neutral")
    more = {"negative_prompt_ids": tokens, "negative_prompt_attention_mask": mask.long()}
    return world.generate(world.rows, world.given.new, guidance_scale=2.0, **more)


def _processed(world: World) -> Tensor:
    method = world.rule("cad")
    processor = ContrastProcessor(
        method.branches(world.rows), lambda scores, others, step: cad_scores(scores, others[0].logits, 1.0)
    )
    return world.generate(world.rows, world.given.new, logits_processor=[processor])


def rules(world: World) -> None:
    forms = rule_forms(world)
    if world.given.only:
        wanted = {*world.given.only, *(f.beside for f in forms if f.name in world.given.only)}
        forms = [form for form in forms if form.name in wanted]
    found = {form.name: form.call() for form in forms}  # also warms up
    products = {form.name: _products(form) for form in forms}
    seconds = timed(forms, world)
    write("| rule | k | tokens a second | ratio | goal, (k + 1) × 1.15 | met | multiply-adds, ratio |\n")
    write("|---|---|---|---|---|---|---|\n")
    for form in forms:
        k, speed = found[form.name][1], form.tokens / statistics.median(seconds[form.name])
        if form.name == form.beside:
            write(f"| {form.name} | 0 | {speed:,.0f} | 1.00 | | | 1.00 |\n")
            continue
        ratio, bound = ratio_of(form, seconds), (k + 1) * ALLOWANCE
        met, cost = "yes" if ratio <= bound else "no", products[form.name] / products[form.beside]
        write(f"| {form.name} | {k:g} | {speed:,.0f} | {ratio:.2f} | {bound:.2f} | {met} | {cost:.2f} |\n")
    for ours, theirs in (
        ("greedy", "generate"),
        ("greedy, pictures", "generate, pictures"),
        ("cad", "transformers' guidance (CAD)"),
    ):
        if ours in found and theirs in found:
            same = float((found[ours][0] == found[theirs][0]).float().mean())
            write(f"\nTokens of {ours} that equal those of {theirs}: {same:.0%}.")
    write("\n")


def _products(form: Form) -> int:
    """Multiply-adds of the matrix products of a call."""
    with FlopCounterMode(display=False) as counter:
        form.call()
    return counter.get_total_flops() // 2


def timed(forms: list[Form], world: World) -> dict[str, list[float]]:
    """Seconds of each form by round, the forms in turn."""
    seconds: dict[str, list[float]] = {form.name: [] for form in forms}
    for _ in range(world.given.rounds):
        for form in forms:
            start = now(world.device)
            form.call()
            seconds[form.name].append(now(world.device) - start)
    return seconds


def ratio_of(form: Form, seconds: dict[str, list[float]]) -> float:
    """Median over the rounds of the time a token beside that of what the form is compared with in the same round."""
    pairs = zip(seconds[form.name], seconds[form.beside], strict=True)
    return statistics.median(mine / theirs for mine, theirs in pairs)


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


# ------------------------------------------------------------------ constraints


def constraints(world: World) -> None:
    """AWRS and SMC beside full masking, which asks about the whole vocabulary at every token, and beside ``generate``
    with as many rows at once as a row has particles. A row is a run of its own.
    """
    given, new, rows = world.given, world.given.sampled, 2
    info = LanguageInfo(vocabulary=world.info.vocabulary, longest=given.prompt + new, oracle=EveryFifth(new - 1))
    torch.manual_seed(0)
    model = Gpt(world.shape, info).to(world.device)
    batch = world.prompts(rows, generator(0, "benchmark/constraints"))
    forms: list[Form] = []
    calls: dict[str, float] = {}
    for stem, particles, sampler in SAMPLERS:
        method = world.rule(stem, model, particles=particles, sampler=sampler, max_new_tokens=new)
        name, beside = f"{stem}, {sampler}, N = {particles}", f"generate, {particles} at once"
        if all(form.name != beside for form in forms):
            wide = {key: value[:1].repeat_interleave(particles, 0) for key, value in batch.items()}
            forms.append(Form(beside, beside, particles * new, _plain(world, wide, new)))

        def call(method: Any = method, name: str = name) -> tuple[Tensor, float]:
            found = method.predict(batch)
            calls[name] = float(found["constraint_calls"].sum() / found["sampled_tokens"].sum())
            return found["tokens"], 0.0

        forms.append(Form(name, beside, rows * particles * new, call))
    for form in forms:
        form.call()
    seconds = timed(forms, world)
    write("| sampler | calls to the constraint a token | of the vocabulary | tokens a second | ratio |\n")
    write("|---|---|---|---|---|\n")
    base = {form.name: form.tokens for form in forms}
    for form in forms:
        asked = calls.get(form.name)
        ratio = ratio_of(form, seconds) * base[form.beside] / form.tokens
        share = "| | " if asked is None else f"| {asked:,.1f} | {asked / given.vocabulary:.2%} "
        write(f"| {form.name} {share}| {form.tokens / statistics.median(seconds[form.name]):,.0f} | {ratio:.2f} |\n")


def _plain(world: World, batch: Batch, new: int) -> Callable[[], tuple[Tensor, float]]:
    return lambda: (world.generate(batch, new), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="rules, constraints; none named: both")
    parser.add_argument("--only", action="append", help="a form of the table of rules, several times; none: all")
    parser.add_argument("--device", default="cpu")
    for name, value in {
        "rows": 8,
        "prompt": 32,
        "new": 32,
        "sampled": 16,
        "width": 256,
        "layers": 6,
        "heads": 4,
        "vocabulary": 8000,
        "rounds": 5,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    given = parser.parse_args()
    torch.set_num_threads(1)
    world = World(given)
    parts = {"rules": rules, "constraints": constraints}
    for name in given.parts or parts:
        parts[name](world)
        write("\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
