"""Golden vectors of SepCLR: its single functions, the unsupervised and the supervised total with their gradients."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from holdfast.methods.losses.sepclr import (
    align,
    attribute_alignment,
    joint_entropy,
    sepclr,
    sepclr_supervised,
    uniformity,
)
from torch import Tensor

from .golden_vectors import PRECISIONS, Vectors, folder

TERMS = {
    "common_align": "common_align",
    "common_unif": "common_unif",
    "salient_align": "salient_align",
    "salient_unif": "salient_unif",
    "infoless": "null",
    "jem": "joint_entropy",
    "total": "total",
}
BLOCKS = (3, 256)


def functions(g: Vectors) -> None:
    for stem, m in g.groups(r"(f\d+)_(align|unif|jem)_tau([\d.]+)"):
        case, kind, tau = m.group(2), m.group(3), float(m.group(4))
        for (dtype, rtol), block in itertools.product(PRECISIONS, BLOCKS):
            x, y, c = (g.tensor(f"{case}_{name}", dtype) for name in "xyc")
            if kind == "align":
                g.agree(stem, align(x, y, temperature=tau), rtol)
            elif kind == "unif":
                g.agree(stem, uniformity(x, temperature=tau, block=block), rtol)
            else:
                g.agree(stem, joint_entropy(c, x, temperature=tau, block=block), rtol)


def alignments_of_attributes(g: Vectors) -> None:
    for stem, m in g.groups(r"(f\d+)_(supalign_tau[\d.]+|discalign)"):
        case, discrete = m.group(2), m.group(3) == "discalign"
        label = g.tensor(f"{case}_{'discalign' if discrete else 'supalign'}_lab")
        for (dtype, rtol), block in itertools.product(PRECISIONS, BLOCKS):
            s = g.tensor(f"{case}_x", dtype)[:, 0]
            g.agree(stem, attribute_alignment(s, label, discrete=discrete, block=block), rtol)


def unsupervised(g: Vectors) -> None:
    for stem, m in g.groups(r"(u\d+)_total"):
        case = m.group(2)
        beta_s, beta_0, lam = g.tensor(f"{case}_weights_bt_br_lj").tolist()
        for dtype, rtol in PRECISIONS:
            inputs = {name: g.tensor(f"{case}_{name}", dtype).requires_grad_() for name in ("c1", "c2", "s1", "s2")}
            c1, c2, s1, s2 = inputs.values()
            terms = sepclr(c1, c2, s1, s2, g.tensor(f"{case}_group"), beta_s=beta_s, beta_0=beta_0, lam=lam)
            for name, field in TERMS.items():
                g.agree(f"{case}_{name}", getattr(terms, field), rtol)
            gradients(g, case, inputs, terms.total, rtol)
        assert stem == f"{case}_total"


def supervised(g: Vectors) -> None:
    for _, m in g.groups(r"(s\d+)_total"):
        case = m.group(2)
        beta_s, lam = g.tensor(f"{case}_weights_bt_lj").tolist()
        group, labels = g.tensor(f"{case}_group"), g.tensor(f"{case}_attr")
        kinds = (True, *[False] * (labels.shape[1] - 1))
        for dtype, rtol in PRECISIONS:
            inputs = {name: g.tensor(f"{case}_{name}", dtype).requires_grad_() for name in ("c", "cd", "s")}
            c, distorted, s = inputs.values()
            found = sepclr_supervised(c, distorted, s, group, labels, kinds, beta_s=beta_s, lam=lam)
            for name, field in (("common", "common"), ("salient", "salient"), ("jem", "joint_entropy")):
                g.agree(f"{case}_{name}", getattr(found, field), rtol)
            g.agree(f"{case}_total", found.total, rtol)
            gradients(g, case, inputs, found.total, rtol)


def gradients(g: Vectors, case: str, inputs: dict[str, Tensor], total: Tensor, rtol: float) -> None:
    for name, gradient in zip(inputs, torch.autograd.grad(total, list(inputs.values())), strict=True):
        g.agree(f"{case}_grad_{name}", gradient, rtol)


@pytest.mark.golden
def test_every_value_of_sepclr(record_property: Any) -> None:
    g = Vectors(folder() / "sepclr.npz")
    g.run([functions, alignments_of_attributes, unsupervised, supervised])
    record_property("golden", g.close())
