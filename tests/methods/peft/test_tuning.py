"""Every tuner as a method: what it trains, its state, what it saves, and a sequence of tasks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.datasets.core.source import Source
from holdfast.methods.base import UnfitError
from holdfast.methods.peft.tuning import Tuning
from torch import Tensor

from .miniature import NAMES, built, outputs, prepared, source, trained


@pytest.fixture(scope="module")
def data() -> Source:
    return prepared()


@pytest.fixture(scope="module")
def tasks() -> Source:
    return prepared(source(rows=16, altered=False, tasks=2))


def backbone_of(method: Any) -> dict[str, Tensor]:
    """Weights of the encoder that are not trained."""
    parameters = method.model.net.named_parameters()
    return {name.replace(".base_layer", ""): p.detach().clone() for name, p in parameters if not p.requires_grad}


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_what_it_says_and_its_state_makes_the_same_answers(name: str, data: Source) -> None:
    method: Any = built(name, data)
    before, frozen = outputs(method, data), backbone_of(method)
    recorder = trained(method, data)
    assert len(recorder.lines) == 2 * 3  # 24 rows, batches of 8
    assert all(torch.equal(value, frozen[key]) for key, value in backbone_of(method).items() if key in frozen)
    after = outputs(method, data)
    assert not torch.allclose(before["scores"], after["scores"])
    assert after["feature"].shape == (6, 32)
    assert after["label"].shape == (6,)
    stored = io.BytesIO()
    torch.save(method.state_dict(), stored)
    stored.seek(0)
    state = torch.load(stored, weights_only=True)
    if name not in ("full", "osf"):
        kept = sum(value.numel() for value in state.values() if isinstance(value, Tensor))
        assert kept == method.cost()["trained_parameters"], "nothing of the encoder is in the state"
    copy = built(name, data)
    copy.load_state_dict(state)
    found = outputs(copy, data)
    assert all(torch.equal(found[key], after[key]) for key in after)


def test_a_state_of_another_backbone_is_refused(data: Source) -> None:
    method, other = built("lora", data), built("lora", data)
    state = method.state_dict()
    state["model.encoder._extra_state"] = {**state["model.encoder._extra_state"], "sha256": "0" * 64}
    with pytest.raises(UnfitError, match="other weights"):
        other.load_state_dict(state)


def test_the_parameters_without_weight_decay(data: Source) -> None:
    def groups(name: str) -> list[tuple[float, float, int]]:
        method: Any = built(name, data, lr=0.1, head_lr=0.2)
        (stage,) = method.stages(None)
        found = stage.optimizers["main"].parameters
        return [(g["lr"], g["weight_decay"], sum(p.numel() for p in g["params"])) for g in found]

    head = [(0.2, 0.01, 64), (0.2, 0.0, 2)]
    assert groups("prefix") == [(0.1, 0.0, 2 * 2 * 2 * 32), *head]
    assert groups("lora") == [(0.1, 0.01, 4 * 2 * (32 + 32)), *head]
    assert groups("head") == head
    assert [decay for _, decay, _ in groups("full")] == [0.01, 0.0, 0.01, 0.0]


@pytest.mark.parametrize("name", ["head", "prefix"])
def test_a_run_with_the_contrast_at_weight_zero_is_the_one_without_it(name: str, data: Source) -> None:
    plain, weightless = (
        trained(built(name, data, contrast=contrast, contrast_weight=0.0), data) for contrast in ("none", "supcon")
    )
    assert plain.lines == weightless.lines


def test_without_altered_rows_it_makes_as_many_steps_over_the_originals(data: Source) -> None:
    seen: dict[str, list[tuple[int, int]]] = {}
    for name, used in (("without", ()), ("with", ("eda",))):
        method: Any = built("head", data, augmentation=used)
        rows: list[tuple[int, int]] = []
        original = method.objective._task

        def watched(
            model: Any, batch: Any, *further: Any, rows: list[tuple[int, int]] = rows, task: Any = original
        ) -> Tensor:
            rows += list(zip(batch["source_id"].tolist(), batch["altered"].tolist(), strict=True))
            made: Tensor = task(model, batch, *further)
            return made

        method.objective._task = watched
        trained(method, data, epochs=1)
        seen[name] = rows
    assert len(seen["with"]) == len(seen["without"]) == 24
    assert sorted(s for s, _ in seen["without"]) == sorted(list(range(12)) * 2)
    assert {a for _, a in seen["without"]} == {0}
    assert sorted(seen["with"]) == sorted((s, a) for s in range(12) for a in (0, 1))


# -- a sequence of tasks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["prefix", "lora", "head"])
def test_a_tuner_of_its_own_for_each_task_forgets_nothing(name: str, tasks: Source) -> None:
    method: Any = built(name, tasks, per_experience=True)
    first: dict[str, Tensor] = {}

    def after(view: Any, original: Any = method.after_experience) -> None:
        original(view)
        if view.experience == 0:
            method.eval()
            first.update(outputs(method, tasks))

    method.after_experience = after
    trained(method, tasks, epochs=1)
    now = outputs(method, tasks)
    own = tasks.splits["test"].columns["task"] == 0
    assert torch.equal(now["scores"][own], first["scores"][own])
    assert not torch.equal(now["scores"][~own], first["scores"][~own])
    copy = built(name, tasks, per_experience=True)
    copy.load_state_dict(method.state_dict())
    assert torch.equal(outputs(copy, tasks)["scores"], now["scores"])


def test_where_the_task_is_known_its_classes_alone_compete(tasks: Source) -> None:
    task, scores = tasks.splits["test"].columns["task"], outputs(built("head", tasks), tasks)["scores"]
    assert torch.equal(scores.isfinite(), torch.arange(4)[None] // 2 == task[:, None])  # type: ignore[index]
    unknown = outputs(built("head", tasks, model={"task_known": False}), tasks)["scores"]
    assert bool(unknown.isfinite().all())


def test_replay_keeps_rows_with_their_raw_text(tasks: Source) -> None:
    method: Any = built("lora", tasks, memory_rows=8)
    trained(method, tasks, epochs=1)
    held = method.memory()
    assert len(held) == 8
    assert set(tasks.splits["train"].columns["label"][held].tolist()) == {0, 1, 2, 3}  # type: ignore[index]
    assert "first" in tasks.splits["train"].columns
    assert len(built("lora", tasks).memory()) == 0


def test_ewc_holds_what_was_trained_near_where_it_was(tasks: Source) -> None:
    moved = {}
    for strength in (0.0, 1e6):
        method: Any = built("lora", tasks, ewc=strength, lr=0.05)
        at: dict[str, Tensor] = {}

        def after(view: Any, method: Any = method, at: dict[str, Tensor] = at) -> None:
            type(method).after_experience(method, view)
            if view.experience == 0:
                at.update({name: p.detach().clone() for name, p in method.anchors.parameters_by_name().items()})

        method.after_experience = after
        recorder = trained(method, tasks, epochs=2)
        importance = method.anchors.tables.get("importance", {})
        moved[strength] = sum(
            float(
                ((p.detach() - at[name]) ** 2 * (importance.get(name, torch.zeros(())) > 1e-6 if strength else 1)).sum()
            )
            for name, p in method.anchors.parameters_by_name().items()
        )
        assert ("loss/penalty" in recorder.lines[-1][1]) == bool(strength)
    assert moved[1e6] < moved[0.0] / 5


def test_osf_decomposes_anew_in_every_further_experience(tasks: Source) -> None:
    method: Any = built("osf", tasks)
    trained(method, tasks, epochs=1)
    assert method.model.tuner.consolidated == 1


# -- what is refused -----------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused(data: Source, tasks: Source) -> None:
    with pytest.raises(UnfitError, match="tasks in sequence"):
        built("lora", data, per_experience=True)
    with pytest.raises(UnfitError, match="osf changes the encoder"):
        built("osf", tasks, per_experience=True)
    with pytest.raises(UnfitError, match=r"max_length: 24 tokens and 150 of the prefix.*160 positions.*at most 10"):
        built("prefix", data, length=150)


# -- what is saved -------------------------------------------------------------------------------------------------


def test_a_run_keeps_no_encoder_beside_its_checkpoint(data: Source, tmp_path: Path) -> None:
    for name in ("full", "osf"):
        built(name, data).export(tmp_path / name)
        assert not (tmp_path / name).exists()
    built("head", data).export(tmp_path / "head")
    assert [path.name for path in (tmp_path / "head").iterdir()] == ["head.safetensors"]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ["prefix_mlp", "lora"])
def test_peft_and_a_few_lines_make_the_same_logits(name: str, data: Source, tmp_path: Path) -> None:
    import peft
    from holdfast.methods.networks.backbones import tiny_model
    from safetensors.torch import load_file

    method: Any = built(name, data)
    trained(method, data)
    assert isinstance(method, Tuning)
    method.export(tmp_path)
    theirs = peft.PeftModel.from_pretrained(tiny_model(), str(tmp_path)).eval()
    head = load_file(tmp_path / "head.safetensors")
    batch = data.splits["test"].gather(torch.arange(6))
    mask = torch.arange(batch["tokens"].shape[1])[None] < batch["tokens_lengths"][:, None]
    hidden = theirs(input_ids=batch["tokens"], attention_mask=mask.long()).last_hidden_state
    pooled = theirs.get_base_model().pooler(hidden)
    logits = pooled @ head["weight"].T + head["bias"]
    torch.testing.assert_close(logits, outputs(method, data)["scores"], atol=1e-5, rtol=0)
