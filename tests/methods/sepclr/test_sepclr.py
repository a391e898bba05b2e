"""SepCLR and its supervised form: equality with the plain contrast, batches, every option, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.methods.base import StepContext, UnfitError
from holdfast.methods.losses.sepclr import sepclr
from torch.nn import functional as F

from .miniature import HIDDEN, Config, method, rows_of_test, train

OPTIONS = ("none", "jem", "kmi", "mmd", "vclub", "vub", "l1out", "tc")


def test_without_independence_the_common_encoder_is_that_of_the_plain_contrast_to_the_bit() -> None:
    ours, plain, other = method("sepclr", lam=0.0), method("simclr_like"), method("sepclr", lam=10.0)
    for made in (ours, plain, other):
        train(made, epochs=2)
    wanted = plain.model.common.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in ours.model.common.state_dict().items())
    assert not torch.equal(other.model.common.head.weight, plain.model.common.head.weight)
    batch = rows_of_test()
    assert torch.equal(ours.predict(batch)["common"], plain.predict(batch)["common"])


@pytest.mark.parametrize("kind", OPTIONS)
def test_every_independence_term_is_logged_and_reaches_the_common_encoder(kind: Any) -> None:
    """Its gradient is more than that of the contrast alone; a critic is fitted on codes that are detached."""
    made, alone = method("sepclr", independence=kind), method("sepclr", independence="none")
    lines = train(made).lines
    logged = lines[0][1]
    assert {"loss/common_align", "loss/common_unif", "loss/salient_align", "loss/salient_unif"} <= logged.keys()
    assert {"loss/null", "loss/joint_entropy", "n_bg", "n_tg"} <= logged.keys()
    assert logged["n_bg"] + logged["n_tg"] == 16
    if kind not in ("none", "jem"):
        assert f"loss/{kind}" in logged
    assert ("loss/critic" in logged) == (kind in ("vclub", "vub", "l1out", "tc"))
    train(alone)
    same = torch.equal(made.model.common.head.weight, alone.model.common.head.weight)
    assert same == (kind == "none")


@pytest.mark.parametrize("kind", ["vclub", "tc"])
def test_the_penalty_moves_codes_and_the_fit_moves_the_critic(kind: Any) -> None:
    made = method("sepclr", independence=kind)
    c, s = (torch.randn(12, d, requires_grad=True) for d in (4, 3))
    target = torch.tensor([0, 1] * 6)
    penalty, fitted = made._independence([(c, s)], target)
    assert all(g is None for g in torch.autograd.grad(penalty, list(made.critic.parameters()), allow_unused=True))
    assert torch.autograd.grad(penalty, c, retain_graph=True)[0].abs().sum() > 0
    assert torch.autograd.grad(fitted, c, allow_unused=True, retain_graph=True)[0] is None
    assert all(g is not None for g in torch.autograd.grad(fitted, list(made.critic.parameters())))


def test_the_step_is_the_loss_of_two_forwards() -> None:
    made = method("sepclr", least_rows=0)
    twin = method("sepclr")
    batch = rows_of_test()
    no_view: Any = None
    ctx = StepContext(no_view, "train", epoch=0, iteration=0, augment=torch.Generator().manual_seed(3))
    found = made.training_step(batch, ctx)
    g, model = torch.Generator().manual_seed(3), twin.model
    x = batch["image"].float() / 255
    first, second = model.view(x, g), model.view(x, g)
    codes = [(m.project(m(v))) for v in (first, second) for m in (model.common, model.salient)]
    wanted = sepclr(codes[0], codes[2], codes[1], codes[3], batch["target"]).total
    assert found["loss"].item() == pytest.approx(wanted.item(), rel=1e-6)


def test_a_batch_gets_rows_of_a_group_that_it_lacks() -> None:
    made = method("sepclr", least_rows=4)
    lines = train(made, batch_size=3, n_train=12).lines
    assert min(min(values["n_bg"], values["n_tg"]) for _, values in lines) >= 4
    bare = train(method("sepclr", least_rows=0), batch_size=3, n_train=12).lines
    assert min(min(values["n_bg"], values["n_tg"]) for _, values in bare) == 0  # and nothing breaks


def test_predictions_have_unit_common_codes_and_representations_as_they_are() -> None:
    made = method("sepclr")
    train(made)
    batch = rows_of_test()
    found = made.predict(batch)
    n = len(batch["target"])
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "common": (n, 4),
        "salient": (n, 3),
        "common_code": (n, 4),
        "salient_code": (n, 3),
    }
    assert torch.allclose(found["common_code"].norm(dim=1), torch.ones(n), atol=1e-6)
    x = batch["image"].float() / 255
    assert torch.equal(found["salient_code"], made.model.salient.project(made.model.salient(x)))
    assert torch.equal(F.normalize(made.model.common.project(found["common"]), dim=1), found["common_code"])


def test_the_memory_keeps_rows_of_both_groups_of_every_experience() -> None:
    made = method("sepclr", memory_share=None, memory_rows=12)
    lines = train(made, experiences=2, hidden=HIDDEN).lines
    assert {key: len(rows) for key, rows in made.store.rows.items()} == {(e, g): 3 for e in (0, 1) for g in (0, 1)}
    assert made.cost() == {"memory_rows": 12.0}
    assert all(value == value for _, values in lines for value in values.values())
    none = method("sepclr", memory_share=0.0)
    train(none, experiences=2)
    assert not len(none.memory())
    with pytest.raises(UnfitError, match="memory_rows >= 4"):
        train(method("sepclr", memory_share=None, memory_rows=2), experiences=2)


def test_the_supervised_form_says_what_it_misses() -> None:
    wide = Config(hidden=8, common=3, salient=2, projector=0)
    with pytest.raises(UnfitError, match=r"'digit'.*hidden_from_training"):
        train(method("sepclr_supervised"))
    with pytest.raises(UnfitError, match=r"model\.options\.salient=1"):
        train(method("sepclr_supervised", wide), hidden=frozenset())
    with pytest.raises(UnfitError, match=r"no salient attribute 'grating'.*it has: digit"):
        train(method("sepclr_supervised", attributes=("grating",)), hidden=frozenset())


def test_the_supervised_form_trains() -> None:
    made = method("sepclr_supervised", Config(hidden=8, common=3, salient=1, projector=0))
    before = made.model.salient.head.weight.detach().clone()
    lines = train(made, hidden=frozenset()).lines
    assert {"loss/common", "loss/salient", "loss/joint_entropy", "n_bg", "n_tg"} <= lines[0][1].keys()
    assert not torch.equal(made.model.salient.head.weight, before)
