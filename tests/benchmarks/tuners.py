"""A step of every tuner of the family peft in our loop beside a bare loop of transformers and peft.

    python tests/benchmarks/tuners.py [TUNER ...] [--backbone FOLDER] [--steps N] [--batch B]

The encoder has MiniLM's shape (BERT, 6 layers of 384) and random weights, or is that of ``--backbone``: a folder of a
kin of BERT, or ``minilm``. Generated reviews as in the suite ``peft_text``, its fields, AdamW, clipping and schedule;
dropout off, so that both loops make the same step. They do so in turn, on the same weights and batches: after each
step of ours (gathering, losses, journal) the bare loop makes its own on the batch that ours had, ready made. One
thread, milliseconds of the processor: the wall's on a machine that does nothing else. ``ratio`` is the median over the
steps of ours by theirs; ``differ`` by how much the losses of a step do at most, relative. The benchmark fails where
that is more than float32 explains: then the loops do not train the same. Goal: a ratio of at most 1.1.

Every tuner of the registry is there; one without a bare loop is an error. ``head`` works its features out once, before
its steps, in both loops; ``head_uncached`` (``cached: false``) in every step. EWC is no tuner of peft: its penalty is
written out here.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
import peft  # noqa: E402
import torch  # noqa: E402
from holdfast.datasets.core.source import Source  # noqa: E402
from holdfast.datasets.core.streams import single  # noqa: E402
from holdfast.datasets.core.table import Batch  # noqa: E402
from holdfast.datasets.peft import toy_sentiment  # noqa: E402
from holdfast.methods.base import UnfitError  # noqa: E402
from holdfast.methods.networks import backbones, text_encoder  # noqa: E402
from holdfast.methods.networks.adapters import targets_of  # noqa: E402
from holdfast.methods.training.schedules import TorchSchedule  # noqa: E402
from holdfast.methods.training.settings import TrainingSettings  # noqa: E402
from holdfast.methods.training.strategy import MethodStrategy  # noqa: E402
from holdfast.suites.config import registry  # noqa: E402
from holdfast.suites.tracking.journal import Journal  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

WARM_UP, CLIP, FISHER_ROWS = 3, 1.0, 8
ONE_CYCLE: dict[str, Any] = {"pct_start": 0.06, "anneal_strategy": "linear", "cycle_momentum": False}
ONE_CYCLE |= {"div_factor": 100.0, "final_div_factor": 100.0}
SAME = 1e-5  # relative difference of two losses that the order of float32 sums explains over the steps made here
FURTHER: dict[str, tuple[str, dict[str, Any]]] = {  # beside every tuner as it comes: tuner and fields (peft_tasks)
    "head_uncached": ("head", {"cached": False}),
    "full_ewc": ("full", {"ewc": 100.0}),
    "lora_ewc": ("lora", {"ewc": 100.0}),
}
OFF = ("adapter_dropout", "prefix_dropout")


def entries() -> dict[str, tuple[str, dict[str, Any]]]:
    """Tuner and fields of every row of the table."""
    names = [e.name.removeprefix("peft/") for e in registry.entries("methods") if e.name.startswith("peft/")]
    return {**{name: (name, {}) for name in names}, **FURTHER}


def checkpoint(backbone: str | None, folder: str) -> None:
    """An encoder without dropout and pooler, with its tokenizer, in ``folder``."""
    from transformers import BertConfig, BertModel

    if backbone is None:
        torch.manual_seed(0)
        shape = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
        net: Any = BertModel(BertConfig(**shape), add_pooling_layer=False)
        tokenizer = backbones.tiny_tokenizer()
    else:
        try:
            net, tokenizer = backbones.load(backbone)
        except (FileNotFoundError, ModuleNotFoundError, UnfitError) as error:
            raise SystemExit(f"--backbone: {error}") from error
        if net.config.model_type not in ("bert", "roberta", "xlm-roberta", "camembert", "electra"):
            raise SystemExit(f"--backbone: peft has no prefix for '{net.config.model_type}': a kin of BERT")
        net.pooler = None
    for field, value in net.config.to_dict().items():
        if "dropout" in field and isinstance(value, float):
            setattr(net.config, field, 0.0)
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


# -- the bare loop -----------------------------------------------------------------------------------------------------


def peft_config(name: str, fields: Any, net: Any) -> Any:
    """peft's own configuration of a tuner; None of one that peft has not (``full``, ``head``)."""
    common = {"task_type": "FEATURE_EXTRACTION"}
    if name in ("lora", "dora"):
        low = {"r": fields.rank, "lora_alpha": fields.alpha, "use_rslora": fields.root, "use_dora": name == "dora"}
        return peft.LoraConfig(**common, **low, target_modules=targets_of(net, name, fields.targets))
    if name == "vera":
        where = targets_of(net, name, "attention")
        return peft.VeraConfig(**common, r=fields.rank, vera_dropout=0.0, target_modules=where)
    if name == "osf":
        where = targets_of(net, name, fields.targets)
        return peft.OSFConfig(**common, effective_rank=fields.preserved, target_modules=where)
    if name in ("prefix", "prefix_mlp"):
        inner = {"prefix_projection": True, "encoder_hidden_size": fields.inner} if name == "prefix_mlp" else {}
        return peft.PrefixTuningConfig(**common, num_virtual_tokens=fields.length, **inner)
    if name == "prompt":
        return peft.PromptTuningConfig(**common, num_virtual_tokens=fields.length)
    if name == "ptuning":
        return peft.PromptEncoderConfig(**common, num_virtual_tokens=fields.length, encoder_hidden_size=fields.inner)
    if name in ("full", "head"):
        return None
    raise SystemExit(f"the tuner '{name}' is new: write its bare loop in {Path(__file__).name}")


class Bare:
    """An encoder, a linear head over the mean of its tokens, and a step as transformers' own loop makes it."""

    def __init__(self, name: str, fields: Any, folder: str, classes: int, steps: int) -> None:
        from transformers import AutoModel

        self.base: Any = AutoModel.from_pretrained(folder)
        self.base.pooler = None
        config = peft_config(name, fields, self.base)
        if config is None:
            self.base.requires_grad_(name == "full")
        self.form = type(config).__name__.removesuffix("Config") if config else "transformers"
        self.encoder = self.base if config is None else peft.get_peft_model(self.base, config)
        self.prompt = getattr(self.encoder, "prompt_encoder", None)
        # peft leaves the outputs of a prompt in, and takes no token types with a prompt or a prefix
        self.drop = fields.length if name in ("prompt", "ptuning") else 0
        self.types = self.prompt is None
        self.head = nn.Linear(self.base.config.hidden_size, classes)
        self.features: Tensor | None = None  # z [rows, H] of a cached head
        if fields.ewc:
            self.form += ", penalty"
        self.ewc, self.anchors = fields.ewc, list[tuple[nn.Parameter, Tensor, Tensor]]()
        self.fields, self.steps = fields, steps

    def trained(self) -> list[nn.Parameter]:
        """What is trained, in the order of :func:`trained_of`."""
        own = [] if self.prompt is None else list(self.prompt.parameters())
        return in_order(self.base, own, self.head)

    def begin(self) -> None:
        """AdamW with decay on matrices, and the schedule."""
        fields, head = self.fields, set(self.head.parameters())
        table = set() if self.prompt is None else {self.prompt["default"].embedding.weight}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for p in self.trained():
            lr = fields.head_lr or fields.lr if p in head else fields.lr
            groups.setdefault((lr, fields.weight_decay if p.dim() > 1 and p not in table else 0.0), []).append(p)
        listed = [{"params": ps, "lr": lr, "weight_decay": decay} for (lr, decay), ps in groups.items()]
        self.parameters = [p for group in groups.values() for p in group]
        self.optimizer = torch.optim.AdamW(listed, fused=True)
        rates: Any = [group["lr"] for group in listed]
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, rates, self.steps, **ONE_CYCLE)
        self.encoder.train()

    def encode(self, x: dict[str, Tensor]) -> Tensor:
        """z [B, H]."""
        given = {"input_ids": x["input_ids"], "attention_mask": x["attention_mask"]}
        if self.types and "token_type_ids" in x:
            given["token_type_ids"] = x["token_type_ids"]
        hidden = self.encoder(**given).last_hidden_state[:, self.drop :]
        weight = x["attention_mask"].to(hidden.dtype)[..., None]
        made: Tensor = (hidden * weight).sum(1) / weight.sum(1)
        return made

    def step(self, x: dict[str, Tensor]) -> Tensor:
        """One step; the loss."""
        z = self.encode(x) if self.features is None else self.features[x["index"]]
        loss = F.cross_entropy(self.head(z), x["labels"])
        if self.anchors:
            penalty = torch.stack([(omega * (p - at) ** 2).sum() for p, at, omega in self.anchors]).sum()
            loss = loss + self.ewc / 2 * penalty
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, CLIP)
        self.optimizer.step()
        if self.schedule.last_epoch < self.steps - 1:
            self.schedule.step()
        return loss.detach()


def in_order(net: nn.Module, own: list[nn.Parameter], head: nn.Module) -> list[nn.Parameter]:
    """Trained weights of the encoder by name, those of the tuner beside it, those of the head; each once."""
    named = sorted((name, p) for name, p in net.named_parameters() if p.requires_grad)
    every = [*(p for _, p in named), *own, *head.parameters()]
    return list({id(p): p for p in every}.values())


def trained_of(model: Any) -> list[nn.Parameter]:
    return in_order(model.net, list(model.tuner.parameters()), model.head)


def ready(batch: Batch) -> dict[str, Tensor]:
    """A batch as a collator of transformers gives it."""
    mask = (torch.arange(batch["tokens"].shape[1]) < batch["tokens_lengths"][:, None]).long()
    made = {"input_ids": batch["tokens"], "attention_mask": mask, "labels": batch["label"], "index": batch["index"]}
    return made if "types" not in batch else {**made, "token_type_ids": batch["types"]}


# -- both in turn ------------------------------------------------------------------------------------------------------


class InTurn:
    """An observer with a journal: times each step of ours, then has the bare loop make its own."""

    def __init__(self, folder: Path, bare: Bare) -> None:
        self.journal, self.bare = Journal(folder / "journal.jsonl"), bare
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self.losses: list[tuple[float, float]] = []

    def points(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.journal.append(name, value, step, "iteration")

    def epoch_batches(self, strategy: MethodStrategy, n_batches: int) -> None:
        self.start = time.process_time()

    def after_iteration(self, strategy: MethodStrategy) -> None:
        self.ours.append(time.process_time() - self.start)
        batch: Any = strategy.mbatch
        x = ready(batch)
        start = time.process_time()
        loss = self.bare.step(x)
        self.theirs.append(time.process_time() - start)
        self.losses.append((float(strategy.loss), float(loss)))
        self.start = time.process_time()

    def after_epoch(self, strategy: MethodStrategy) -> None: ...

    def after_stage(self, strategy: MethodStrategy, stage: object) -> None: ...

    def end_of_stages(self, strategy: MethodStrategy) -> None: ...


@dataclasses.dataclass
class Row:
    """What was measured of one tuner: seconds of each step and the pairs of losses (ours, theirs)."""

    form: str
    trained: int
    whole: int
    ours: list[float]
    theirs: list[float]
    losses: list[tuple[float, float]]

    @property
    def ratio(self) -> float:
        return statistics.median(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def differ(self) -> float:
        return max(abs(a - b) / max(abs(a), abs(b)) for a, b in self.losses)

    def line(self, name: str) -> str:
        ms = (f"{1e3 * statistics.median(times):.2f}" for times in (self.theirs, self.ours))
        loss, share = f"{self.losses[-1][0]:.6f}", f"{100 * self.trained / self.whole:.2f} %"
        cells = (name, f"{self.trained:,}", share, self.form, *ms, f"{self.ratio:.2f}", loss, f"{self.differ:.0e}")
        return f"| {' | '.join(cells)} |"


def measured(name: str, given: dict[str, Any], source: Source, folder: str, batch: int, steps: int) -> Row:
    """Both loops of one tuner."""
    kind = registry.method(f"peft/{name}")
    off = {field: 0.0 for field in OFF if field in kind.Config.model_fields}
    fields: Any = kind.Config(**{"balanced": True, "fisher_rows": FISHER_ROWS, **off, **given})
    options = text_encoder.Config(backbone=folder, max_length=128, pooling="mean", dropout=0.0)
    torch.manual_seed(0)
    method: Any = kind(fields, text_encoder.build(options, source.info, 0), 0)
    model = method.model
    bare = Bare(name, fields, folder, len(source.class_names), steps)
    schedule = TorchSchedule("OneCycleLR", ONE_CYCLE)
    settings = TrainingSettings(epochs=1, batch_size=batch, clip=CLIP, schedule=schedule)
    strategy = MethodStrategy(method=method, settings=settings)
    (experience,) = single(source).streams["train"]
    pairs = list(zip(trained_of(model), bare.trained(), strict=True))
    with torch.no_grad():
        for mine, other in pairs:
            other.copy_(mine)
    if fields.ewc:  # as after an experience before this one, with its Fisher information
        view = strategy.ensure_view(experience)
        importance = method.fisher(view)
        method.anchors.join(importance)
        by_id = {id(p): importance[n] for n, p in method.anchors.parameters_by_name().items()}
        bare.anchors = [(other, other.detach().clone(), by_id[id(mine)]) for mine, other in pairs]
    if getattr(fields, "cached", False):
        bare.features = features(bare, source, batch)
    bare.begin()
    with tempfile.TemporaryDirectory() as place:
        clock = strategy.observer = InTurn(Path(place), bare)
        strategy.train(experience, eval_streams=[])
    assert len(clock.ours) == steps, f"{len(clock.ours)} steps instead of {steps}"
    count = sum(p.numel() for p, _ in pairs)
    assert count == method.cost()["trained_parameters"] == sum(p.numel() for p in bare.trained())
    whole = sum(p.numel() for p in {*model.net.parameters(), *model.parameters()})
    return Row(bare.form, count, whole, clock.ours[WARM_UP:], clock.theirs[WARM_UP:], clock.losses)


@torch.no_grad()
def features(bare: Bare, source: Source, batch: int) -> Tensor:
    """z of every row, in evaluation mode."""
    table = source.splits["train"]
    bare.encoder.eval()
    return torch.cat([bare.encode(ready(table.gather(rows))) for rows in torch.arange(len(table)).split(batch)])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tuners", nargs="*", metavar="TUNER", help=f"default: all of {', '.join(entries())}")
    parser.add_argument("--backbone", metavar="FOLDER", help="a kin of BERT, minilm or tiny; default: random weights")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    given = parser.parse_args()
    if given.steps <= WARM_UP or given.batch < 4:
        parser.error(f"--steps: more than the {WARM_UP} that warm up; --batch: 4 or more")
    if unknown := set(given.tuners) - entries().keys():
        parser.error(f"no such tuner: {', '.join(sorted(unknown))} (there are: {', '.join(entries())})")
    from transformers.utils import logging as progress

    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    progress.disable_progress_bar()
    rows: dict[str, Row] = {}
    head = "| tuner | trained | share | bare loop | bare, ms | Holdfast, ms | ratio | last loss | differ |"
    say(f"{head}\n|{'---|' * 9}\n")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint(given.backbone, folder)
        source = texts(folder, given.batch * given.steps)
        for name, (tuner, fields) in entries().items():
            if not given.tuners or name in given.tuners:
                rows[name] = measured(tuner, fields, source, folder, given.batch, given.steps)
                say(rows[name].line(name) + "\n")
    apart = [name for name, row in rows.items() if not row.differ <= SAME]
    if apart:
        raise SystemExit(f"the losses of both loops differ by more than {SAME:g}: {', '.join(apart)}")


def texts(folder: str, rows: int) -> Source:
    """Generated reviews, ``rows`` of them to train on."""
    data = toy_sentiment.load(toy_sentiment.Config(rows=2 * rows + 40, shots=rows, valid_rows=2), None)
    return text_encoder.prepare(text_encoder.Config(backbone=folder, max_length=128), data)


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
