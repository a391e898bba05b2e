"""The total of a task's loss and a contrast."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.losses.contrastive_total import contrastive_total

TASK, CONTRAST = torch.tensor(2.0), torch.tensor(3.0)


def test_both_forms_and_a_weight_of_zero_that_is_the_task_itself() -> None:
    assert float(contrastive_total(TASK, CONTRAST, 0.25)) == pytest.approx(0.75 * 2 + 0.25 * 3)
    assert float(contrastive_total(TASK, CONTRAST, 2.0, "additive")) == pytest.approx(2 + 6)
    assert contrastive_total(TASK, CONTRAST, 0.0) is TASK


@pytest.mark.parametrize(("weight", "form"), [(-0.1, "convex"), (1.1, "convex"), (-1, "additive")])
def test_a_weight_outside_its_range_is_an_error(weight: float, form: str) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        contrastive_total(TASK, CONTRAST, weight, form)  # type: ignore[arg-type]
