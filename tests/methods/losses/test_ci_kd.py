"""CI-KD, in-place distillation, losses of dense tasks, preferences and GradNorm: what their definitions promise."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses import (
    balanced_bce,
    ci_kd,
    cosmos,
    depth_l1,
    gradnorm,
    logit_kd,
    normals_l1,
    preferred_sum,
    segmentation_ce,
    uncertainty_weighted,
)
from torch import Tensor
from torch.nn import functional as F

FORMS = ("slice_mse", "slice_l1", "slice_cos", "attention", "similarity", "projection")
NORMALISED = ("slice_cos", "attention", "similarity")


def features(c: int = 3, wide: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    f = torch.randn(4, c, 2, 3, generator=g, dtype=torch.float64)
    return f.requires_grad_(), torch.randn(4, wide, 2, 3, generator=g, dtype=torch.float64).requires_grad_()


def projection(form: str, c: int = 5) -> Tensor | None:
    return torch.eye(c, dtype=torch.float64) if form == "projection" else None


@pytest.mark.parametrize("form", FORMS)
def test_identical_features_have_no_distance_and_the_teacher_no_gradient(form: str) -> None:
    f, t = features()
    same = t.detach().clone().requires_grad_()
    assert float(ci_kd(same, t, form, projection(form)).detach()) == pytest.approx(0, abs=1e-12)
    loss = ci_kd(f, t, form, projection(form))
    loss.backward()
    assert float(loss.detach()) > 0
    assert t.grad is None
    assert f.grad is not None
    assert bool(f.grad.any())


def test_slice_mse_is_two_thirds_of_nothing_but_its_definition() -> None:
    f, t = features()
    ci_kd(f, t).backward()
    assert f.grad is not None
    torch.testing.assert_close(f.grad, 2 * (f - t[:, :3]).detach() / f.numel())


@pytest.mark.parametrize("form", NORMALISED)
def test_normalised_forms_do_not_see_the_scale(form: str) -> None:
    f, t = features()
    torch.testing.assert_close(ci_kd(7 * f, t, form), ci_kd(f, t, form))


@pytest.mark.parametrize("form", FORMS)
def test_zeros_and_half_precision_are_finite_and_rows_are_features_too(form: str) -> None:
    _, t = features()
    zeros = torch.zeros(4, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    loss = ci_kd(zeros, t, form, projection(form))
    loss.backward()
    assert bool(loss.detach().isfinite())
    assert zeros.grad is not None
    assert bool(zeros.grad.isfinite().all())
    half = ci_kd(torch.ones(2, 3).half(), torch.ones(2, 5).half() * 2, form, projection(form))
    assert half.dtype in (torch.float32, torch.float64)
    empty = torch.zeros(0, 3, 2, 2, requires_grad=True)
    ci_kd(empty, torch.zeros(0, 5, 2, 2), form, projection(form)).backward()


@pytest.mark.parametrize(
    ("student", "teacher", "form", "message"),
    [
        ((2, 3, 2), (2, 3, 2), "mse", "unknown form 'mse'"),
        ((2, 6, 2), (2, 5, 2), "slice_mse", "are not the first channels"),
        ((2, 3, 2), (2, 5, 4), "attention", "are not the first channels"),
        ((2, 3), (3, 3), "slice_mse", "needs"),
        ((2, 3, 2), (2, 5, 2), "projection", r"needs a matrix \[5, 5\]; got None"),
    ],
)
def test_what_does_not_fit_is_refused(
    student: tuple[int, ...], teacher: tuple[int, ...], form: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ci_kd(torch.zeros(student), torch.zeros(teacher), form)


def test_distillation_of_logits_is_a_soft_cross_entropy() -> None:
    s, t = torch.randn(3, 4, 2), torch.randn(3, 4, 2)
    torch.testing.assert_close(logit_kd(s, t), F.cross_entropy(s, t.softmax(1)))


def test_ignored_pixels_change_nothing() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (2, 4, 4))
    labels[:, :2] = 255
    maps, one = torch.randn(2, 3, 4, 4), torch.randn(2, 1, 4, 4)
    changed, other = maps.clone(), one.clone()
    changed[:, :, :2], other[:, :, :2] = 50.0, -50.0
    y = labels[:, None].float()
    normals = F.normalize(torch.randn(2, 3, 4, 4), dim=1).masked_fill(y == 255, 255.0)
    assert torch.equal(segmentation_ce(maps, labels), segmentation_ce(changed, labels))
    assert torch.equal(balanced_bce(one, y), balanced_bce(other, y))
    assert torch.equal(depth_l1(one, y), depth_l1(other, y))
    assert torch.equal(normals_l1(maps, normals), normals_l1(changed, normals))
    none = torch.full_like(labels, 255)
    logits = maps.requires_grad_()
    zero = segmentation_ce(logits, none)
    zero.backward()
    assert float(zero.detach()) == 0
    assert logits.grad is not None


def test_one_kind_of_pixel_alone_is_zero_where_weights_are_automatic() -> None:
    logits = torch.randn(1, 1, 2, 2)
    assert float(balanced_bce(logits, torch.ones(1, 1, 2, 2))) == 0
    assert float(balanced_bce(logits, torch.zeros(1, 1, 2, 2))) == 0
    assert float(balanced_bce(logits, torch.zeros(1, 1, 2, 2), 0.95)) > 0


def test_losses_under_a_preference() -> None:
    losses, r = torch.tensor([1.0, 3.0]), torch.tensor([0.25, 0.75])
    assert float(preferred_sum(losses, r)) == pytest.approx(2.5)
    assert float(cosmos(losses, r, 2.0)) == pytest.approx(0.5)  # parallel: the cosine is 1
    for wrong in (torch.tensor([-1.0, 2.0]), torch.zeros(2), torch.tensor([torch.nan, 1.0]), torch.ones(3)):
        with pytest.raises(ValueError, match="preference"):
            cosmos(losses, wrong, 1.0)


def test_uncertainty_and_gradnorm() -> None:
    losses, s = torch.tensor([2.0, 1.0]), torch.zeros(2)
    assert float(uncertainty_weighted(losses, s)) == pytest.approx(1.5)
    weights = torch.ones(2, requires_grad=True)
    norms = torch.tensor([3.0, 1.0])
    objective = gradnorm(norms, losses, losses, weights, 1.0)  # equal rates: both are drawn to the mean norm 2
    objective.backward()
    assert float(objective.detach()) == pytest.approx(2)
    assert weights.grad is not None
    assert weights.grad.tolist() == [3, -1]
    slow = gradnorm(torch.ones(2), torch.tensor([2.0, 1.0]), torch.ones(2), torch.ones(2), 1.0)
    assert float(slow) == pytest.approx(2 / 3)  # targets 4/3 and 2/3
    with pytest.raises(ValueError, match="are all"):
        gradnorm(norms, losses, losses, torch.ones(3), 1.0)
