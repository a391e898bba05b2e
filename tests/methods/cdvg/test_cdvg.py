"""CDvG: both stages in a plain torch loop, its views and modes, and the baselines beside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.base import MethodConfig, Stage, StepContext
from holdfast.methods.cdvg.biascon_oracle import BiasConConfig, BiasConOracle
from holdfast.methods.cdvg.cdvg import Cdvg, CdvgConfig
from holdfast.methods.cdvg.cdvg_lff import CdvgLff, CdvgLffConfig
from holdfast.methods.cdvg.cdvg_oracle import CdvgOracle
from holdfast.methods.cdvg.disent import DisEnt, DisEntConfig
from holdfast.methods.cdvg.rebias import Rebias, RebiasConfig
from holdfast.methods.cdvg.selecmix import SelecMix, SelecMixConfig
from holdfast.methods.cdvg.views import ViewsConfig
from holdfast.methods.continual.erm import ERM
from torch import Tensor

from .miniature import make_model, run_method, view_of, weights_of


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"view_mode": "original"},
        {"view_mode": "all"},
        {"ce_on": "original"},
        {"ce_on": "both"},
        {"contrast": "supcon"},
        {"contrast": "none"},
        {"objective": "two_stage"},
        {"translate_views": "cached"},
        {"translate_views": "none"},
        {"keep_own": True},
        {"translator": "stargan", "width": 4, "blocks": 1},
        {"reach": 9},
        {"translator": "colour_map", "grid": 2},
        {"critic_reach": 3, "lambda_feature": 1.0},
        {"critic_hides": "shift", "lambda_identity": 1.0},
        {"critic_hides": "shuffle", "patch": 2},
        {"ema": 0.9, "lambda_content": 1.0},
    ],
)
def test_every_option_trains_and_the_translator_is_frozen_in_the_second_stage(
    source: Source, options: dict[str, Any]
) -> None:
    view = view_of(source)
    method = Cdvg(
        CdvgConfig(width=options.pop("width", 8), critic_width=8, translator_epochs=1, **options), make_model(source)
    )
    start, critic_start = weights_of(method.translator), weights_of(method.critic)
    kept: list[list[Tensor]] = []
    original = method.after_stage

    def after_stage(stage: Stage, view: ExperienceView) -> None:
        original(stage, view)
        if stage.name == "translator":
            kept.append(weights_of(method.translator))

    method.after_stage = after_stage  # type: ignore[method-assign]
    before = weights_of(method.model)
    stages = run_method(method, view)
    trained = method.config.translate_views != "none"
    assert (stages[0].name == "translator") == trained
    after = kept[0] if kept else start
    assert any(not torch.equal(a, b) for a, b in zip(start, after, strict=True)) == trained
    assert any(not torch.equal(a, b) for a, b in zip(critic_start, weights_of(method.critic), strict=True)) == trained
    assert all(torch.equal(a, b) for a, b in zip(after, weights_of(method.translator), strict=True))
    assert not any(p.requires_grad for p in [*method.translator.parameters(), *method.critic.parameters()])
    assert any(not torch.equal(a, b) for a, b in zip(before, weights_of(method.model), strict=True))
    batch = next(view.batches())
    assert method.predict(batch)["label"].shape == (40,)


def test_a_step_of_one_network_leaves_the_other(source: Source) -> None:
    view = view_of(source)
    method = Cdvg(CdvgConfig(width=8, critic_width=8, n_critic=1), make_model(source))
    method.before_experience(view)
    nets = {"critic": method.critic, "translator": method.translator}
    seen = []
    for update in method.translator_step(
        next(view.batches()), StepContext(view, "translator", 0, 0, generator(0, "a"))
    ):
        for net in nets.values():
            net.zero_grad()
        update.loss.backward()
        other = nets["translator" if update.optimizer == "critic" else "critic"]
        assert all(p.grad is None or not bool(p.grad.any()) for p in other.parameters())
        assert any(p.grad is not None and bool(p.grad.any()) for p in nets[update.optimizer].parameters())
        seen.append(update.optimizer)
    assert seen == ["critic", "translator"] * 2  # 40 rows in critic steps of 32


def test_n_critic_counts_over_batches(source: Source) -> None:
    view = view_of(source)
    method = Cdvg(CdvgConfig(width=8, critic_width=8, n_critic=3, translator_batch=40), make_model(source))
    method.before_experience(view)
    seen: list[str] = []
    for _ in range(2):
        for batch in view.batches():
            seen += [
                u.optimizer for u in method.translator_step(batch, StepContext(view, "t", 0, 0, generator(0, "a")))
            ]
    assert seen == ["critic", "critic", "critic", "translator"] * 2


def test_modes_are_distinct_uniform_and_known(source: Source) -> None:
    method = CdvgOracle(ViewsConfig(), make_model(source))
    method._modes = (0, 2, 5, 9)
    m = method.draw_modes(20_000, 2, generator(0, "modes"))
    assert bool((m[0] != m[1]).all())
    counts = torch.bincount(m.flatten(), minlength=10)[[0, 2, 5, 9]].double()
    assert counts.sum() == 40_000
    assert float(((counts - 10_000) ** 2 / 10_000).sum()) < 20  # chi-square with 3 degrees of freedom: p about 2e-4


def test_without_contrast_and_with_the_identity_it_is_erm(source: Source) -> None:
    class Identity(CdvgOracle):
        name = ""

        def translate(self, x: Tensor, mode: Tensor) -> Tensor:
            return x

    view = view_of(source)
    ours = Identity(ViewsConfig(lambda_con=0), make_model(source))
    erm = ERM(MethodConfig(), make_model(source))
    run_method(ours, view, 2)
    run_method(erm, view, 2)
    for a, b in zip(weights_of(ours.model), weights_of(erm.model), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert all(p.grad is None for p in ours.project.parameters())


def test_the_step_is_affine_in_lambda(source: Source) -> None:
    view = view_of(source)
    batch = next(view.batches())
    losses = []
    for lam in (0.5, 1.0, 2.0):
        method = CdvgOracle(ViewsConfig(lambda_con=lam), make_model(source))
        method.before_experience(view)
        losses.append(
            float(method.training_step(batch, StepContext(view, "c", 0, 0, generator(0, "a")))["loss"].detach())
        )
    assert losses[2] - losses[1] == pytest.approx(2 * (losses[1] - losses[0]), rel=1e-4)


def test_one_class_trains_with_a_warning(source: Source) -> None:
    view = view_of(source)
    view.classes = (3,)
    view.index = view.index[view.labels() == 3]
    method = Cdvg(CdvgConfig(width=8, critic_width=8), make_model(source))
    with pytest.warns(UserWarning, match="one class"):
        stages = run_method(method, view)
    assert [s.name for s in stages] == ["classifier"]


@pytest.mark.parametrize("objective", ["joint", "two_stage"])
def test_one_class_trains_by_cross_entropy_alone(source: Source, objective: str) -> None:
    view = view_of(source)
    view.index = view.index[view.labels() == 3]
    batch = next(view.batches())
    config = CdvgConfig.model_validate({"width": 8, "critic_width": 8, "objective": objective})
    method = Cdvg(config, make_model(source))
    with pytest.warns(UserWarning, match="cross-entropy alone"):
        method.before_experience(view)
    assert [stage.name for stage in method.stages(view)] == ["classifier"]
    logs = method.training_step(batch, StepContext(view, "c", 0, 0, generator(0, "a")))
    assert set(logs) == {"loss", "loss/ce"}
    assert torch.equal(logs["loss"], logs["loss/ce"])


def test_bias_labels_do_not_reach_training(source: Source) -> None:
    """Another bias column, and none at all, leave every weight as it was."""
    results = []
    for hidden in (True, False):
        view = view_of(source, bias=None if hidden else torch.zeros(120, dtype=torch.int64))
        method = CdvgLff(CdvgLffConfig(width=8, critic_width=8, translator_epochs=1), make_model(source))
        run_method(method, view)
        results.append(weights_of(method))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (DisEnt, DisEntConfig(swap_after=2)),
        (Rebias, RebiasConfig()),
        (SelecMix, SelecMixConfig()),
        (BiasConOracle, BiasConConfig()),
    ],
)
def test_baselines_move_all_their_weights(source: Source, kind: Any, config: Any) -> None:
    oracle = kind is BiasConOracle
    view = view_of(source, bias=source.splits["train"].columns["bias"]) if oracle else view_of(source)
    method = kind(config, make_model(source))
    before = dict(method.named_parameters())
    before = {n: p.detach().clone() for n, p in before.items()}
    run_method(method, view, 2)
    unused = ("model.head", "branches.biased.head") if kind is DisEnt else ()
    for name, p in method.named_parameters():
        if kind is BiasConOracle and name.startswith("project"):
            continue  # moves only where a batch has a pair of one class and two colours; rho = 1 has none
        assert torch.equal(p, before[name]) == name.startswith(unused or ("-",)), name
    assert method.predict(next(view.batches()))["label"].shape == (40,)


def test_the_strategy_follows_an_optimizers_own_factor(source: Source) -> None:
    """The translator's learning rates have fallen to 0 at the end of its stage; the classifier's stays the recipe's."""
    from holdfast.datasets.core.streams import single
    from holdfast.methods.training.settings import TrainingSettings
    from holdfast.methods.training.strategy import MethodStrategy

    rates: dict[str, list[float]] = {}

    class Watched(Cdvg):
        name = ""

        def after_stage(self, stage: Stage, view: ExperienceView) -> None:
            rates[stage.name] = [o.param_groups[0]["lr"] for o in strategy.optimizers.values()]
            super().after_stage(stage, view)

    method = Watched(CdvgConfig(width=8, critic_width=8, translator_epochs=2, n_critic=1), make_model(source))
    settings = TrainingSettings(batch_size=40, optimizer="Adam", optimizer_arguments={"lr": 1e-3})
    strategy = MethodStrategy(method=method, settings=settings)
    (experience,) = single(source, frozenset({"bias"})).streams["train"]
    strategy.train(experience, eval_streams=[])
    assert rates == {"translator": [0.0, 0.0], "classifier": [1e-3]}
