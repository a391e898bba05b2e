"""CDvG: plain-loop oracles, properties of the spec's section 11, both stages in a plain torch loop."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import ImageInfo, Source
from holdfast.datasets.core.table import Batch, Table
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.base import MethodConfig, Stage, StepContext, UnfitError
from holdfast.methods.cdvg.biascon_oracle import BiasConConfig, BiasConOracle
from holdfast.methods.cdvg.cdvg import Cdvg, CdvgConfig
from holdfast.methods.cdvg.cdvg_disent import CdvgDisEnt, CdvgDisEntConfig
from holdfast.methods.cdvg.cdvg_lff import CdvgLff, CdvgLffConfig
from holdfast.methods.cdvg.cdvg_oracle import CdvgOracle
from holdfast.methods.cdvg.disent import DisEnt, DisEntConfig
from holdfast.methods.cdvg.lff import LfF, LffConfig
from holdfast.methods.cdvg.rebias import Rebias, RebiasConfig
from holdfast.methods.cdvg.selecmix import SelecMix, SelecMixConfig
from holdfast.methods.cdvg.views import ViewsConfig
from holdfast.methods.continual.erm import ERM
from holdfast.methods.losses.biascon import biascon
from holdfast.methods.losses.hsic import hsic
from holdfast.methods.losses.ntxent import ntxent
from holdfast.methods.losses.relative_difficulty import moving_average, relative_difficulty
from holdfast.methods.losses.wgan_gp import gradient_penalty
from holdfast.methods.networks import images
from torch import Tensor


def test_gradient_penalty_of_a_critic_that_is_flat_has_a_gradient_and_no_nan() -> None:
    w = torch.zeros(12, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=generator(0, "x"))
    found = gradient_penalty(
        lambda z: z.flatten(1) @ w, x, x.flip(0), torch.full((4, 1, 1, 1), 0.5, dtype=torch.float64)
    )
    found.backward()
    assert found.item() == 1
    assert w.grad is not None
    assert bool(w.grad.isfinite().all())


def test_gradient_penalty_of_a_linear_critic() -> None:
    x = torch.randn(5, 3, 4, 4, dtype=torch.float64, generator=generator(0, "x"))
    w = torch.randn(3, 4, 4, dtype=torch.float64, generator=generator(0, "w"))
    alpha = torch.rand(len(x), 1, 1, 1, dtype=torch.float64)
    found = gradient_penalty(lambda z: (z * w).flatten(1).sum(1), x, x.flip(0), alpha)
    assert found.item() == pytest.approx((float(w.norm()) - 1) ** 2, rel=1e-9)
    unit = w / w.norm()
    assert gradient_penalty(lambda z: (z * unit).flatten(1).sum(1), x, x, alpha).item() < 1e-20
    whole = gradient_penalty(lambda z: torch.stack([(z * w).flatten(1).sum(1)] * 3, 1), x, x, alpha)
    assert whole.item() == pytest.approx((3 * float(w.norm()) - 1) ** 2, rel=1e-9)  # the sum of the map


def test_ntxent_against_plain_loops_and_its_invariances() -> None:
    order = torch.Generator().manual_seed(0)
    for _ in range(40):
        n, d = (int(torch.randint(2, 9, (), generator=order)) for _ in range(2))
        tau = float(torch.rand((), generator=order)) + 0.05
        z1, z2 = torch.randn(2, n, d, generator=order, dtype=torch.float64)
        rows = [[float(v) for v in r / r.norm()] for r in torch.cat([z1, z2])]
        total = 0.0
        for i, a in enumerate(rows):
            s = [sum(p * q for p, q in zip(a, b, strict=True)) / tau for b in rows]
            total += math.log(sum(math.exp(v) for k, v in enumerate(s) if k != i)) - s[(i + n) % (2 * n)]
        found = ntxent(z1, z2, temperature=tau).item()
        assert found == pytest.approx(total / (2 * n), rel=1e-9)
        same = torch.randperm(n, generator=order)
        rotation, _ = torch.linalg.qr(torch.randn(d, d, generator=order, dtype=torch.float64))
        for a, b in ((z2, z1), (z1 * 3, z2 * 0.1), (z1[same], z2[same]), (z1 @ rotation, z2 @ rotation)):
            assert ntxent(a, b, temperature=tau).item() == pytest.approx(found, rel=1e-9)
    assert ntxent(torch.ones(5, 3), torch.ones(5, 3)).item() == pytest.approx(math.log(9), rel=1e-5)
    assert math.isfinite(ntxent(torch.randn(4, 3), torch.randn(4, 3), temperature=0.01).item())
    with pytest.raises(ValueError, match="two views"):
        ntxent(torch.zeros(2, 3), torch.zeros(3, 3))


def test_weight_of_lff() -> None:
    b, d = torch.rand(2, 50)
    w = relative_difficulty(b, d)
    assert bool(((w >= 0) & (w <= 1)).all())
    assert relative_difficulty(torch.ones(1), torch.ones(1)).item() == pytest.approx(0.5)
    assert relative_difficulty(torch.zeros(1), torch.zeros(1)).item() == 0  # no NaN
    assert bool((relative_difficulty(b + 0.1, d) >= w).all())
    seen = torch.tensor([True, False])
    torch.testing.assert_close(moving_average(torch.ones(2), torch.zeros(2), seen, alpha=0.7), torch.tensor([0.7, 0.0]))


# -- the method ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def source() -> Source:
    return cdvg_cmnist.load(cdvg_cmnist.Config(n_train=120, n_test=60, n_valid=40), None)


def _view_of(source: Source, batch_size: int = 40, bias: Any = None) -> ExperienceView:
    table = source.splits["train"].without(frozenset({"bias"}))
    if bias is not None:
        table = Table({**table.columns, "bias": bias})
    labels = table.columns["label"]
    assert isinstance(labels, Tensor)
    classes = tuple(sorted(set(labels.tolist())))
    return ExperienceView(
        0, 1, torch.arange(len(table)), classes, classes, len(classes), len(table), table, batch_size, 0, torch.device("cpu")
    )  # fmt: skip


def _model(source: Source, **options: Any) -> Any:
    torch.manual_seed(3)
    return images.build(images.Config(width=8, features=16, **options), source.info, 0)


def _run(method: Any, view: ExperienceView, epochs: int = 1) -> list[Stage]:
    """Both stages in a plain torch loop, with Adam for every optimizer."""
    order = generator(0, "augment")
    method.before_experience(view)
    stages = method.stages(view)
    for stage in stages:
        method.before_stage(stage, view)
        specs = stage.optimizers
        optimizers = (
            {"main": torch.optim.Adam([p for p in method.parameters() if p.requires_grad], 1e-3)}
            if specs is None
            else {name: torch.optim.Adam(s.parameters, **s.arguments) for name, s in specs.items()}
        )
        for epoch in range(epochs):
            for batch in view.batches():
                result = (stage.step or method.training_step)(batch, StepContext(view, stage.name, epoch, 0, order))
                updates = (
                    [("main", result["loss"])] if isinstance(result, dict) else ((u.optimizer, u.loss) for u in result)
                )
                for name, loss in updates:
                    optimizers[name].zero_grad()
                    loss.backward()
                    optimizers[name].step()
        method.after_stage(stage, view)
    return stages


def _weights(module: torch.nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


@pytest.mark.parametrize(
    "options",
    [
        {}, {"view_mode": "original"}, {"view_mode": "all"}, {"ce_on": "original"}, {"ce_on": "both"}, {"contrast": "supcon"},
        {"contrast": "none"}, {"objective": "two_stage"}, {"translate_views": "cached"}, {"translate_views": "none"},
        {"keep_own": True}, {"translator": "stargan", "width": 4, "blocks": 1}, {"reach": 9}, {"translator": "colour_map", "grid": 2},
        {"critic_reach": 3, "lambda_feature": 1.0}, {"critic_hides": "shift", "lambda_identity": 1.0}, {"critic_hides": "shuffle", "patch": 2},
        {"ema": 0.9, "lambda_reader": 1.0},
    ],
)  # fmt: skip
def test_every_option_trains_and_the_translator_is_frozen_in_the_second_stage(
    source: Source, options: dict[str, Any]
) -> None:
    view = _view_of(source)
    method = Cdvg(
        CdvgConfig(width=options.pop("width", 8), critic_width=8, translator_epochs=1, **options), _model(source)
    )
    start, critic_start = _weights(method.translator), _weights(method.critic)
    kept: list[list[Tensor]] = []
    original = method.after_stage

    def after_stage(stage: Stage, view: ExperienceView) -> None:
        original(stage, view)
        if stage.name == "translator":
            kept.append(_weights(method.translator))

    method.after_stage = after_stage  # type: ignore[method-assign]
    before = _weights(method.model)
    stages = _run(method, view)
    trained = method.config.translate_views != "none"
    assert (stages[0].name == "translator") == trained
    after = kept[0] if kept else start
    assert any(not torch.equal(a, b) for a, b in zip(start, after, strict=True)) == trained
    assert any(not torch.equal(a, b) for a, b in zip(critic_start, _weights(method.critic), strict=True)) == trained
    assert all(torch.equal(a, b) for a, b in zip(after, _weights(method.translator), strict=True))
    assert not any(p.requires_grad for p in [*method.translator.parameters(), *method.critic.parameters()])
    assert any(not torch.equal(a, b) for a, b in zip(before, _weights(method.model), strict=True))
    batch = next(view.batches())
    assert method.predict(batch)["label"].shape == (40,)


def test_a_step_of_one_network_leaves_the_other(source: Source) -> None:
    view = _view_of(source)
    method = Cdvg(CdvgConfig(width=8, critic_width=8, n_critic=1), _model(source))
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
    view = _view_of(source)
    method = Cdvg(CdvgConfig(width=8, critic_width=8, n_critic=3, translator_batch=40), _model(source))
    method.before_experience(view)
    seen: list[str] = []
    for _ in range(2):
        for batch in view.batches():
            seen += [
                u.optimizer for u in method.translator_step(batch, StepContext(view, "t", 0, 0, generator(0, "a")))
            ]
    assert seen == ["critic", "critic", "critic", "translator"] * 2


def test_modes_are_distinct_uniform_and_known(source: Source) -> None:
    method = CdvgOracle(ViewsConfig(), _model(source))
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

    view = _view_of(source)
    ours = Identity(ViewsConfig(lambda_con=0), _model(source))
    erm = ERM(MethodConfig(), _model(source))
    _run(ours, view, 2)
    _run(erm, view, 2)
    for a, b in zip(_weights(ours.model), _weights(erm.model), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert all(p.grad is None for p in ours.project.parameters())


def test_the_step_is_affine_in_lambda(source: Source) -> None:
    view = _view_of(source)
    batch = next(view.batches())
    losses = []
    for lam in (0.5, 1.0, 2.0):
        method = CdvgOracle(ViewsConfig(lambda_con=lam), _model(source))
        method.before_experience(view)
        losses.append(
            float(method.training_step(batch, StepContext(view, "c", 0, 0, generator(0, "a")))["loss"].detach())
        )
    assert losses[2] - losses[1] == pytest.approx(2 * (losses[1] - losses[0]), rel=1e-4)


def test_one_class_trains_with_a_warning(source: Source) -> None:
    view = _view_of(source)
    view.classes = (3,)
    view.index = view.index[view.labels() == 3]
    method = Cdvg(CdvgConfig(width=8, critic_width=8), _model(source))
    with pytest.warns(UserWarning, match="one class"):
        stages = _run(method, view)
    assert [s.name for s in stages] == ["classifier"]


def test_bias_labels_do_not_reach_training(source: Source) -> None:
    """Another bias column, and none at all, leave every weight as it was."""
    results = []
    for hidden in (True, False):
        view = _view_of(source, bias=None if hidden else torch.zeros(120, dtype=torch.int64))
        method = CdvgLff(CdvgLffConfig(width=8, critic_width=8, translator_epochs=1), _model(source))
        _run(method, view)
        results.append(_weights(method))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_lff_trains_both_networks(source: Source) -> None:
    view = _view_of(source)
    method = LfF(LffConfig(), _model(source))
    before = _weights(method)
    _run(method, view, 2)
    changed = [not torch.equal(a, b) for a, b in zip(before, _weights(method), strict=True)]
    assert all(changed)
    assert not torch.equal(*(next(n.parameters()) for n in (method.biased, method.model)))
    assert bool(view.sidecar["lff/seen"].all())


def test_crop_and_flip_show_parts_of_the_image() -> None:
    net = images.build(images.Config(augment="crop_flip", width=4), ImageInfo(classes=2, channels=3, size=8), 0)
    x = torch.rand(64, 3, 8, 8)
    made = net.views(x, generator(0, "a"))
    assert made.shape == x.shape
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4), value=-1.0)
    for i in range(64):
        windows = [padded[i, :, r : r + 8, c : c + 8] for r in range(9) for c in range(9)]
        assert any(torch.equal(made[i], w) or torch.equal(made[i], w.flip(2)) for w in windows)


def test_every_encoder_gives_logits() -> None:
    for encoder in ("cnn", "mlp", "resnet20", "resnet18"):
        net = images.build(images.Config(encoder=encoder, normalize=True), ImageInfo(classes=4, channels=3, size=32), 0)
        batch: Batch = {
            "image": torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8),
            "label": torch.tensor([0, 3]),
        }
        assert net.eval().predict(batch)["label"].shape == (2,)
        assert net.features(batch).shape == (2, net.features_out)


def test_biascon_against_plain_loops() -> None:
    order = torch.Generator().manual_seed(1)
    for _ in range(40):
        n = int(torch.randint(2, 10, (), generator=order))
        z = torch.randn(n, 4, generator=order, dtype=torch.float64)
        y, b = torch.randint(0, 3, (2, n), generator=order).tolist()
        u = [r / r.norm() for r in z]
        each = []
        for i in range(n):
            positives = [q for q in range(n) if y[q] == y[i] and b[q] != b[i]]
            s = [float(u[i] @ u[k]) / 0.2 for k in range(n)]
            if positives:
                everything = math.log(sum(math.exp(s[k]) for k in range(n) if k != i))
                each.append(sum(everything - s[q] for q in positives) / len(positives))
        found = biascon(z, torch.tensor(y), torch.tensor(b), temperature=0.2)
        assert found.item() == pytest.approx(sum(each) / len(each) if each else 0.0, rel=1e-9)


def test_hsic_against_sums_over_tuples() -> None:
    """The unbiased estimator as the mean over all quadruples of distinct rows."""
    from itertools import permutations

    x, y = torch.randn(6, 2, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    k, m = (torch.exp(-(torch.cdist(v, v) ** 2) / (2 * v.shape[1])) for v in (x, y))
    terms = [k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in permutations(range(6), 4)]
    assert hsic(x, y).item() == pytest.approx(float(torch.stack(terms).mean()), rel=1e-9)
    assert hsic(x[:3], y[:3]).item() == 0
    assert hsic(x, 3 * x).item() > hsic(x, y.flip(0)).item()


def test_partners_contradict() -> None:
    features = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [1.0, 0.05]])
    labels = torch.tensor([0, 0, 0, 1])
    assert SelecMix.partners(features, labels).tolist() == [2, 3, 0, 0]


@pytest.mark.parametrize(
    ("kind", "config"), [(DisEnt, DisEntConfig(swap_after=2)), (Rebias, RebiasConfig()), (SelecMix, SelecMixConfig()), (BiasConOracle, BiasConConfig())]
)  # fmt: skip
def test_baselines_move_all_their_weights(source: Source, kind: Any, config: Any) -> None:
    oracle = kind is BiasConOracle
    view = _view_of(source, bias=source.splits["train"].columns["bias"]) if oracle else _view_of(source)
    method = kind(config, _model(source))
    before = dict(method.named_parameters())
    before = {n: p.detach().clone() for n, p in before.items()}
    _run(method, view, 2)
    unused = ("model.head", "branches.biased.head") if kind is DisEnt else ()
    for name, p in method.named_parameters():
        if kind is BiasConOracle and name.startswith("project"):
            continue  # moves only where a batch has a pair of one class and two colours; rho = 1 has none
        assert torch.equal(p, before[name]) == name.startswith(unused or ("-",)), name
    assert method.predict(next(view.batches()))["label"].shape == (40,)


def _disent_pair(source: Source, **fields: Any) -> tuple[DisEnt, CdvgDisEnt]:
    """DisEnt, and CDvG's form of it with the same weights and a translator that changes nothing."""
    common = {"lambda_dis": 2.0, "lambda_swap": 3.0, "lambda_swap_align": 0.5, **fields}
    plain = DisEnt(DisEntConfig(**common), _model(source))
    views = CdvgDisEnt(CdvgDisEntConfig(width=8, critic_width=8, lambda_con=0, **common), _model(source))
    views.translate = lambda x, mode: x  # type: ignore[method-assign]
    return plain, views


@pytest.mark.parametrize("n_views", [1, 2])
def test_the_branches_loss_by_plain_loops(source: Source, n_views: int) -> None:
    plain, _ = _disent_pair(source, swap_after=1, q=0.6)
    branches, labels = plain.branches.double(), torch.tensor([3, 1, 4])
    g = generator(0, "z")
    z_i, z_b, w = (
        torch.rand(3 * n_views, 16, generator=g).double(),
        torch.rand(3, 16, generator=g).double(),
        torch.rand(3, generator=g).double(),
    )
    first, _ = branches.loss(z_i, z_b, labels, w, plain.config, generator(0, "order"))
    second, _ = branches.loss(z_i, z_b, labels, w, plain.config, generator(0, "order"))

    def ce(head: torch.nn.Linear, i: int, b: int, y: int) -> Tensor:
        return -head(torch.cat([z_i[i], z_b[b]])).log_softmax(0)[y]

    def amplified(i: int, b: int, y: int) -> Tensor:
        value = ce(branches.head_b, i, b, y)
        return value * 0.6 * torch.exp(-value).detach() ** 0.6

    rows = range(3 * n_views)
    want = sum(
        w[i % 3] * ce(branches.head_i, i, i % 3, int(labels[i % 3])) + 2 * amplified(i, i % 3, int(labels[i % 3]))
        for i in rows
    ) / len(rows)
    torch.testing.assert_close(first, want)  # no swap yet
    order = torch.randperm(3, generator=generator(0, "order")).tolist()
    for i in rows:
        other = order[i % 3]
        swap = w[i % 3] * ce(branches.head_i, i, other, int(labels[i % 3])) + 0.5 * amplified(
            i, other, int(labels[other])
        )
        want = want + 3 * swap / len(rows)
    torch.testing.assert_close(second, want)


def test_disent_on_views_that_are_the_image_is_disent(source: Source) -> None:
    view = _view_of(source)
    batch = next(view.batches())
    plain, views = _disent_pair(source, swap_after=100)
    losses = []
    for method in (plain, views):
        method.before_experience(view)
        view.sidecar = type(view.sidecar)()
        loss = method.training_step(batch, StepContext(view, "train", 0, 0, generator(0, "a")))["loss"]
        loss.backward()
        losses.append(loss.detach())
    torch.testing.assert_close(*losses)
    ours, theirs = (dict(m.named_parameters()) for m in (views, plain))
    for name, p in theirs.items():
        q = ours[name]
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None and q.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-6)


def test_disent_on_translated_views_trains_both_branches(source: Source) -> None:
    view = _view_of(source)
    method = CdvgDisEnt(CdvgDisEntConfig(width=8, critic_width=8, translator_epochs=1, swap_after=2), _model(source))
    before = {n: p.detach().clone() for n, p in method.named_parameters()}
    _run(method, view, 2)
    for name, p in method.named_parameters():
        unused = name.startswith(("model.head", "branches.biased.head"))
        assert torch.equal(p, before[name]) == unused, name
    assert method.predict(next(view.batches()))["label"].shape == (40,)
    with pytest.raises(UnfitError, match="joint"):
        CdvgDisEnt(CdvgDisEntConfig(objective="two_stage"), _model(source))


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

    method = Watched(CdvgConfig(width=8, critic_width=8, translator_epochs=2, n_critic=1), _model(source))
    settings = TrainingSettings(batch_size=40, optimizer="Adam", optimizer_arguments={"lr": 1e-3})
    strategy = MethodStrategy(method=method, settings=settings)
    (experience,) = single(source, frozenset({"bias"})).streams["train"]
    strategy.train(experience, eval_streams=[])
    assert rates == {"translator": [0.0, 0.0], "classifier": [1e-3]}
