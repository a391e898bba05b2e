"""Dark experience replay: its loss against plain numbers, what it stores and for how long, and that a stopped run goes
on to the bit, with the stored logits in its state.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import ImageInfo, Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.view import ExperienceView, Sidecar
from holdfast.methods.base import StepContext
from holdfast.methods.continual.der import DER, LOGITS, ROWS, stored_logits
from holdfast.methods.networks import images
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from torch import Tensor

from ..training.families import Recorder, assert_same, finish

INFO = ImageInfo(classes=4, channels=3, size=8)


def table() -> Table:
    """Two classes in rows 0..15, two others in 16..31."""
    pixels = torch.randint(0, 256, (32, 3, 8, 8), generator=generator(0, "der"), dtype=torch.uint8)
    return Table({"image": pixels, "label": torch.arange(32) // 8})


def method(**fields: Any) -> DER:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = images.build(images.Config(width=2, features=4), INFO, 0)
    return DER(DER.Config(memory_share=None, memory_rows=8, **fields), model, 0)


def view(experience: int, rows: Tensor, memory: Tensor, sidecar: Sidecar) -> ExperienceView:
    classes, earlier = ((0, 1), ()) if experience == 0 else ((2, 3), (0, 1))
    parts = (experience, 2, rows, classes, earlier, 4, 32, table(), 8, 0, torch.device("cpu"))
    return ExperienceView(*parts, sidecar=sidecar, memory=memory)


def after_first(**fields: Any) -> tuple[DER, Sidecar]:
    made, sidecar = method(**fields), Sidecar()
    made.after_experience(view(0, torch.arange(16), torch.empty(0, dtype=torch.int64), sidecar))
    return made, sidecar


def scores_of(made: DER, rows: Tensor) -> Tensor:
    batch = table().gather(rows)
    with torch.no_grad():
        return made.eval()._scores(batch)


def test_what_is_stored_is_what_the_model_answered_and_stays() -> None:
    made, sidecar = after_first()
    rows = sidecar[ROWS]
    assert torch.equal(rows, made.memory().sort().values)
    first = sidecar[LOGITS].clone()
    assert torch.equal(first, scores_of(made, rows))
    with torch.no_grad():
        made.model.head.bias.add_(1.0)  # type: ignore[union-attr, operator]
    made.after_experience(view(1, torch.arange(16, 32), made.memory(), sidecar))
    assert torch.equal(stored_logits(sidecar, rows), first), "those of the first experience are not made anew"
    new = made.memory()[made.memory() >= 16]
    assert len(new) == 4
    assert torch.equal(stored_logits(sidecar, new), scores_of(made, new))
    absent = torch.arange(32)[~torch.isin(torch.arange(32), made.memory())]
    with pytest.raises(KeyError, match="no stored logits"):
        stored_logits(sidecar, absent[:1])


def test_a_memory_that_shrinks_forgets_its_logits() -> None:
    made, sidecar = after_first(fixed_memory=False)
    assert len(sidecar[ROWS]) == 8
    made.after_experience(view(1, torch.arange(16, 32), made.memory(), sidecar))
    assert torch.equal(sidecar[ROWS], made.memory().sort().values)
    assert len(sidecar[LOGITS]) == 8


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_the_loss_is_that_of_plain_numbers(beta: float) -> None:
    made, sidecar = after_first(alpha=0.7, beta=beta)
    memory = made.memory()
    seen = view(1, torch.arange(16, 32), memory, sidecar)
    sidecar[LOGITS] = sidecar[LOGITS] + torch.arange(4.0)  # so that the distance is not 0
    rows = torch.cat([torch.tensor([17, 25, 30]), memory[:2]])
    batch = {**seen.gather(rows), "is_memory": torch.tensor([False] * 3 + [True] * 2)}
    step = made.eval().training_step(batch, StepContext(seen, "train", 0, 5, generator(0, "augment")))

    def surprise(row: int) -> float:
        scores = scores_of(made, torch.tensor([row]))[0].tolist()
        return math.log(sum(math.exp(s) for s in scores)) - scores[row // 8]

    logits = scores_of(made, memory[:2]).tolist()
    stored = stored_logits(sidecar, memory[:2]).tolist()
    distance = sum((a - b) ** 2 for h, z in zip(logits, stored, strict=True) for a, b in zip(h, z, strict=True)) / 8
    expected = sum(map(surprise, [17, 25, 30])) / 3 + 0.7 * distance
    if beta:
        drawn = memory[torch.randint(len(memory), (2,), generator=generator(0, "der/second/5"))]
        expected += beta * sum(map(surprise, drawn.tolist())) / 2
    assert float(step["loss"].detach()) == pytest.approx(expected, rel=1e-5)
    assert ("loss/labels" in step) == bool(beta)


def test_a_batch_of_the_memory_alone_has_no_term_of_new_rows() -> None:
    made, sidecar = after_first(alpha=0.0)
    seen = view(1, torch.arange(16, 32), made.memory(), sidecar)
    batch = {**seen.gather(made.memory()), "is_memory": torch.ones(4, dtype=torch.bool)}
    step = made.training_step(batch, StepContext(seen, "train", 0, 0, generator(0, "augment")))
    assert set(step) == {"loss", "loss/logits"}
    assert float(step["loss"].detach()) == 0.0


def strategy(watch: Recorder, batching: str) -> tuple[MethodStrategy, list[Any]]:
    given = TrainingSettings(epochs=2, batch_size=8, log_every=1, optimizer="Adam", optimizer_arguments={"lr": 0.01})
    source = Source({"train": table()}, [f"c{k}" for k in range(4)], INFO, "stand-in", "0")
    made = MethodStrategy(method=method(alpha=1.0, beta=0.5, batching=batching), settings=given, observer=watch)
    return made, list(class_incremental(source, 2).streams["train"])


@pytest.mark.parametrize("batching", ["concat", "balanced"])
def test_a_run_that_is_stopped_amid_the_replay_ends_as_the_one_that_was_not(batching: str) -> None:
    whole, first, second = Recorder(), Recorder(stop_at=6), Recorder()
    undisturbed, experiences = strategy(whole, batching)
    finish(undisturbed, experiences)
    stopped, experiences = strategy(first, batching)
    with pytest.raises(KeyboardInterrupt):
        finish(stopped, experiences)
    first.saved.seek(0)
    state = torch.load(first.saved, weights_only=True)
    assert state["at"]["experience"] == 1, "amid the replay"
    assert {ROWS, LOGITS} <= set(state["sidecar"])
    torch.manual_seed(99)
    resumed, experiences = strategy(second, batching)
    resumed.load_state_dict(state, experience=experiences[1])
    finish(resumed, experiences[1:])
    assert any("loss/labels" in values for _, values in second.lines)
    assert first.lines + second.lines == whole.lines
    assert_same(resumed.method.state_dict(), undisturbed.method.state_dict())
    assert_same(resumed.sidecar.state_dict(), undisturbed.sidecar.state_dict())
