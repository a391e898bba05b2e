"""Mixup and the contrastive terms within a step, and which rows are whose alterations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import Source
from holdfast.methods.base import StepContext
from holdfast.methods.losses import contrastive_total, ntxent, pair_margin, supcon
from holdfast.methods.peft.objective import ObjectiveConfig
from holdfast.methods.training.sampler import view_of
from torch.nn import functional as F

from .miniature import built, prepared, source, trained


@pytest.fixture(scope="module")
def data() -> Source:
    return prepared()


def step(method: Any, data: Source, rows: list[int], seed: int = 0) -> dict[str, torch.Tensor]:
    """One step in evaluation mode, so that nothing drops out."""
    from holdfast.datasets.core.streams import single
    from holdfast.datasets.core.view import Sidecar

    (experience,) = single(data).streams["train"]
    none = torch.empty(0, dtype=torch.int64)
    view = view_of(experience, memory=none, batch_size=8, seed=0, device=torch.device("cpu"), sidecar=Sidecar())
    ctx = StepContext(view, "train", 0, 0, generator(seed, "augment"))
    batch = {**view.gather(torch.tensor(rows)), "is_memory": torch.zeros(len(rows), dtype=torch.bool)}
    made: dict[str, torch.Tensor] = method.training_step(batch, ctx)
    return made


ROWS = [0, 1, 2, 5, 8, 12]


def parts(method: Any, data: Source) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batch = data.splits["train"].gather(torch.tensor(ROWS))
    z = method.model.encode(batch)
    return z, F.cross_entropy(method.model.logits(z, batch), batch["label"]), batch["label"]


@pytest.mark.parametrize("total", ["convex", "additive"])
@pytest.mark.parametrize("contrast", ["supcon", "pair"])
def test_the_total_of_task_and_contrast(contrast: Any, total: Any, data: Source) -> None:
    method: Any = built("prefix", data, contrast=contrast, total=total, contrast_weight=0.3, augmentation=("eda",))
    z, task, label = parts(method, data)
    term = supcon(z[:, 0], label, temperature=0.3) if contrast == "supcon" else pair_margin(z[:, 0], label)
    found = step(method, data, ROWS)
    torch.testing.assert_close(found["loss"], contrastive_total(task, term, 0.3, total))
    torch.testing.assert_close(found["loss/contrast"], term)


def test_an_instance_is_a_text_and_one_of_its_alterations(data: Source) -> None:
    method: Any = built("prefix", data, contrast="instance", augmentation=("eda",))
    originals = [0, 2, 4, 6]
    found = step(method, data, originals)
    table = data.splits["train"]
    one, other = (method.model.encode(table.gather(torch.tensor(originals) + k))[:, 0] for k in (0, 1))
    torch.testing.assert_close(found["loss/contrast"], ntxent(one, other, temperature=0.3), atol=1e-5, rtol=1e-5)


def test_a_convex_weight_of_one_trains_no_head_and_warns(data: Source) -> None:
    with pytest.warns(UserWarning, match="nothing trains the head"):
        method: Any = built("prefix", data, contrast="supcon", contrast_weight=1.0)
    step(method, data, ROWS)["loss"].backward()
    gradient = method.model.head.weight.grad
    assert gradient is None or not gradient.any()


@pytest.mark.parametrize("level", ["sentence", "embedding", "hidden"])
def test_mixup_with_a_share_of_one_is_no_mixup(level: Any, data: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.methods.peft import objective

    method: Any = built("prefix", data, mixup=level, keep_clean=False, augmentation=("eda",))
    _, task, _ = parts(method, data)
    assert not torch.allclose(step(method, data, ROWS)["loss"], task)
    monkeypatch.setattr(objective, "beta_draws", lambda shape, a, b, g: torch.ones(shape, dtype=torch.float64))
    if level == "embedding":  # of texts with padding the mask is that of both, whatever the share
        rows = [0, 0]
        wanted = step(built("prefix", data, augmentation=("eda",)), data, rows)["loss"]
        torch.testing.assert_close(step(method, data, rows)["loss"], wanted)
    else:
        torch.testing.assert_close(step(method, data, ROWS)["loss"], task)


def test_sentences_are_mixed_by_one_share_or_one_each(data: Source) -> None:
    losses = {each: step(built("head", data, mixup="sentence", mixup_each=each), data, ROWS)["loss"] for each in (0, 1)}
    assert losses[0] != losses[1]


def test_a_share_of_the_batches_is_mixed_and_the_clean_loss_is_kept(data: Source) -> None:
    _, task, _ = parts(built("prefix", data), data)
    never = built("prefix", data, mixup="sentence", mix_prob=0.0, augmentation=("eda",))
    torch.testing.assert_close(step(never, data, ROWS)["loss"], task)
    alone, both = (
        step(built("prefix", data, mixup="sentence", keep_clean=kept, augmentation=("eda",)), data, ROWS)["loss"]
        for kept in (False, True)
    )
    torch.testing.assert_close(both, (alone + task) / 2)


def test_balanced_batches_have_as_many_rows_of_every_class(data: Source) -> None:
    method: Any = built("head", data, balanced=True)
    seen = []
    original = method.objective.loss

    def watched(model: Any, batch: Any, *further: Any) -> Any:
        seen.append(batch["label"].bincount().tolist())
        return original(model, batch, *further)

    method.objective.loss = watched
    trained(method, data, epochs=1)
    assert seen == [[4, 4]] * 3


def test_rows_of_two_tasks_are_mixed_with_a_finite_loss() -> None:
    """As replay brings them into one batch: the classes of the other task do not compete."""
    tasks = prepared(source(rows=12, altered=False, tasks=2))
    loss = step(built("prefix", tasks, mixup="sentence", keep_clean=False), tasks, list(range(8)))["loss"]
    loss.backward()
    assert bool(loss.isfinite())


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("lora", {"contrast": "supcon", "projection": 4, "mixup": "embedding", "augmentation": ("eda",)}),
        ("full", {"contrast": "pair", "mixup": "hidden"}),
        ("prompt", {"contrast": "instance", "mixup": "sentence"}),
        ("ptuning", {"mixup": "embedding"}),
    ],
)
def test_combinations_train(name: str, fields: dict[str, Any], data: Source) -> None:
    recorder = trained(built(name, data, **fields), data, epochs=1)
    assert all(torch.tensor(list(values.values())).isfinite().all() for _, values in recorder.lines)


def test_a_convex_weight_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match="convex total at most 1"):
        ObjectiveConfig(contrast="supcon", contrast_weight=1.5)
    assert ObjectiveConfig(contrast="supcon", contrast_weight=1.5, total="additive").contrasts
