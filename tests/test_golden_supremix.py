"""Golden vectors of SupReMix: its loss, the baselines' losses, LDS and FDS, the measures by shot."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.metrics import regression as measures
from holdfast.datasets.supremix.stsb import SHOTS
from holdfast.methods.losses import label_density as density
from holdfast.methods.losses.adacon import adacon
from holdfast.methods.losses.bmse import balanced_mse
from holdfast.methods.losses.conr import conr
from holdfast.methods.losses.ranksim import ranks, ranksim
from holdfast.methods.losses.rnc import rnc
from holdfast.methods.losses.supcon import supcon
from holdfast.methods.losses.supremix import supremix
from holdfast.methods.losses.yaware import yaware
from holdfast.methods.supremix.cmixup import label_rates
from torch import Tensor
from torch.nn import functional as F

from .golden_vectors import PRECISIONS, Vectors, folder

MODES = {"supcon": (False, False), "mix_neg": (True, False), "mix_pos": (False, True), "supremix": (True, True)}
NUMBER = r"([\d.]+)"
PLAIN: dict[str, Any] = {"mix_neg": False, "mix_pos": False, "weight": "none"}


def rows(z: Tensor) -> Tensor:
    """[N, V, d] as the losses take it: [V·N, d], all first views first."""
    return z.transpose(0, 1).flatten(0, 1)


FORMS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("loss", "grad", {}),
    ("loss", "grad_no_detach", {"detach_mixtures": False}),
    ("official_loss", "official_grad", {"logit_shift": "official"}),
)


def loss_of_mixtures(g: Vectors) -> None:
    meta = json.loads(str(g.entries["META"]))
    for stem, match in g.groups(rf"(supremix\d+)/({'|'.join(MODES)})/([^/]+)"):
        case, mode, weight = match.groups()[1:]
        options: dict[str, Any] = {
            **dict(zip(("mix_neg", "mix_pos"), MODES[mode], strict=True)),
            "temperature": meta[case]["tau"],
            "window": meta[case]["n"],
            "weight": weight,
            "lam": g.tensor(f"{case}/lam"),
            "reduction": "none",
        }
        for (value, gradient, form), (dtype, rtol) in itertools.product(FORMS, PRECISIONS):
            z = g.tensor(f"{case}/z", dtype).requires_grad_()
            each = supremix(rows(z), g.tensor(f"{case}/y"), **options, **form)
            found = {value: each.mean(), gradient: torch.autograd.grad(each.mean(), z)[0], "per_anchor": each}
            for name, number in found.items():
                if g.has(f"{stem}/{name}") and not (name == "per_anchor" and form):
                    g.agree(f"{stem}/{name}", number, rtol)


def mixed_positives(g: Vectors) -> None:
    """The triples are those of the window, and Z with mixed positives is Z without them plus their exponentials."""
    meta = json.loads(str(g.entries["META"]))
    for _, match in g.groups(r"(supremix\d+)/pos_triples"):
        case = match.group(2)
        tau, window = meta[case]["tau"], meta[case]["n"]
        z, y = rows(g.tensor(f"{case}/z")), g.tensor(f"{case}/y")
        both = y.repeat(len(z) // len(y)).tolist()
        near = [[k for k, other in enumerate(both) if 0 < abs(other - own) < window] for own in both]
        found = np.array(
            [
                [i, j, k, (both[k] - both[i]) / (both[k] - both[j])]
                for i in range(len(both))
                for j in near[i]
                for k in near[i]
                if both[j] < both[i] < both[k]
            ]
        ).reshape(-1, 4)
        order = np.lexsort(g.entries[f"{case}/pos_triples"][:, 2::-1].T)
        placed = found.copy()
        if len(order) == len(found):
            placed[order] = found  # in the file's own order
        g.agree(f"{case}/pos_triples", placed)
        g.agree(f"{case}/n_pos_triples_per_anchor", np.bincount(found[:, 0].astype(int), minlength=len(both)))
        options: dict[str, Any] = {
            "temperature": tau,
            "window": window,
            "mix_neg": False,
            "weight": "none",
            "reduction": "none",
        }
        with_them, without = supremix(z, y, **options), supremix(z, y, mix_pos=False, **options)
        for i, own in enumerate(both):
            real = [z[i] @ z[a] / tau for a, other in enumerate(both) if a != i and other == own]
            mixed = [z[i] @ (mu * z[int(j)] + (1 - mu) * z[int(k)]) / tau for a, j, k, mu in found if a == i]
            if real:
                log_z = torch.stack([without[i] + torch.stack(real).mean(), *mixed]).logsumexp(0)
                wanted = log_z - torch.stack([*real, *mixed]).mean()
                if not torch.isclose(with_them[i], wanted, rtol=1e-9, atol=1e-11):
                    g.faults.append(f"{case}/pos_triples: anchor {i} has {with_them[i]}, by the triples {wanted}")


def contrasts(g: Vectors) -> None:
    y = g.tensor("base/y")

    def check(stem: str, loss: Callable[[Tensor], Tensor], unit: bool, gradient: str) -> None:
        for dtype, rtol in PRECISIONS:
            z = g.tensor("base/z", dtype)
            z = (F.normalize(z, dim=-1) if unit else z).requires_grad_()
            total = loss(rows(z))
            g.agree(f"{stem}/loss", total, rtol)
            if g.has(f"{stem}/{gradient}"):
                g.agree(f"{stem}/{gradient}", torch.autograd.grad(total, z)[0], rtol)

    for stem, m in g.groups(rf"base/rnc/tau{NUMBER}"):
        check(stem, partial(rnc, y=y, temperature=float(m.group(2))), False, "grad")
    for stem, m in g.groups(rf"base/(supcon|simclr)/tau{NUMBER}"):
        label = y if m.group(2) == "supcon" else torch.arange(len(y)).double()
        tau = float(m.group(3))
        check(stem, partial(supremix, y=label, temperature=tau, **PLAIN), True, "grad_wrt_normalised_z")
        z = g.tensor("base/z")
        classes = label.unique(return_inverse=True)[1].repeat(z.shape[1])
        g.agree(f"{stem}/loss", supcon(rows(z), classes, temperature=tau))  # the same loss in blocks
    variants: dict[str, Any] = {"yaware": "yaware", "expw": "exp", "yaware_original_repo": "official"}
    for stem, m in g.groups(rf"base/({'|'.join(variants)})/sigma{NUMBER}_tau{NUMBER}"):
        options: dict[str, Any] = {"sigma": float(m.group(3)), "temperature": float(m.group(4))}
        loss = partial(yaware, y=y, variant=variants[m.group(2)], **options)
        check(stem, loss, True, "grad_wrt_normalised_z")
    for stem, m in g.groups(rf"base/adacon/norm{NUMBER}_scale{NUMBER}"):
        options = {"norm": float(m.group(2)), "scale": float(m.group(3))}
        loss = partial(adacon, y=y, cdf=g.tensor("base/adacon/dist"), **options)
        check(stem, loss, True, "grad_wrt_normalised_z")


def rankings(g: Vectors) -> None:
    x, y = g.tensor("base/ranksim/x").float().requires_grad_(), g.tensor("base/ranksim/y")
    for stem, m in g.groups(rf"base/ranksim/lambda{NUMBER}"):
        loss = ranksim(x, y, generator=torch.Generator().manual_seed(0), step=float(m.group(2)))
        g.agree(f"{stem}/loss", loss, 1e-4)
        g.agree(f"{stem}/grad_float32", torch.autograd.grad(loss, x)[0], 1e-4)
    g.agree("base/ranksim/label_ranks", ranks(-(y[:, None] - y[None]).abs()), 1e-4)


def confusions(g: Vectors) -> None:
    y, prediction = g.tensor("base/conr/y"), g.tensor("base/conr/preds_conr")[:, 0]
    for stem, m in g.groups(rf"base/conr/w{NUMBER}_e{NUMBER}_tau{NUMBER}"):
        window, push, tau = (float(v) for v in m.groups()[1:])
        options: dict[str, Any] = {"window": window, "push": push, "temperature": tau, "masks": "official"}
        for dtype, rtol in PRECISIONS:
            f = g.tensor("base/conr/features", dtype).requires_grad_()
            loss = conr(F.normalize(f, dim=1), y, prediction, **options)
            g.agree(f"{stem}/loss", loss, rtol)
            g.agree(f"{stem}/grad", torch.autograd.grad(loss, f)[0], rtol)
    label = g.tensor("base/y")
    for stem, m in g.groups(rf"base/bmc/noise_sigma{NUMBER}"):
        sigma = torch.tensor(float(m.group(2)), dtype=torch.float64)
        for dtype, rtol in PRECISIONS:
            g.agree(f"{stem}/loss", balanced_mse(g.tensor("base/conr/preds", dtype)[:, 0], label, sigma), rtol)
    for stem, m in g.groups(rf"base/cmixup/bw{NUMBER}"):
        g.agree(f"{stem}/rates", label_rates(label, label, float(m.group(2))))


SHAPES: dict[str, density.Kernel] = {"gaussian": "gaussian", "triang": "triangular", "laplace": "laplace"}


def densities(g: Vectors) -> None:
    for stem, m in g.groups(rf"base/lds/kernel_({'|'.join(SHAPES)})_(\d+)_{NUMBER}"):
        g.agree(stem, density.kernel(int(m.group(3)), float(m.group(4)), SHAPES[m.group(2)]))
    size, sigma, bins = (
        int(v) for v in g.text(r"ks(\d+) sigma(\d+), max_target (\d+)", "ks5 sigma2, max_target 121").groups()
    )
    place = g.tensor("base/lds/ages").clamp(max=bins - 1)
    for stem, m in g.groups(r"base/lds/(sqrt_inv|inverse)/lds([01])"):
        reweight: Any = m.group(2)
        w = density.bin_weights(
            place.bincount(minlength=bins), reweight=reweight, smooth=m.group(3) == "1", size=size, sigma=float(sigma)
        )
        g.agree(f"{stem}/weights", w[place])


def calibration(g: Vectors) -> None:
    """Statistics of a first epoch, smoothed; the second's features moved by them; its statistics; float32."""
    said = g.text(
        r"bucket (\d+)\.\.(\d+), ks(\d+) sigma(\d+), momentum ([\d.]+)", "bucket 3..11, ks5 sigma2, momentum 0.9"
    )
    low, high, size = (int(v) for v in said.groups()[:3])
    sigma, momentum = float(said.group(4)), float(said.group(5))
    label = g.tensor("base/fds/labels").flatten()
    # the public code pools labels beyond the range only where the border label itself is in the batch
    counted = ((label >= low) | bool((label == low).any())) & ((label <= high) | bool((label == high).any()))
    place = (label.long().clamp(low, high) - low)[counted]
    first, second = g.tensor("base/fds/X0"), g.tensor("base/fds/X1")
    shape = (high - low + 1, first.shape[1])
    state = torch.zeros(shape), torch.ones(shape), torch.zeros(shape[0], dtype=torch.bool)
    state = density.bin_statistics(first[counted], place, *state, momentum)
    smooth = [density.smooth_statistics(v, size, sigma) for v in state[:2]]
    moved = second.clone()
    old_mean, old_var, new_mean, new_var = (v[place] for v in (*state[:2], *smooth))
    moved[counted] = density.calibrate(second[counted], old_mean, old_var, new_mean, new_var)
    later = density.bin_statistics(second[counted], place, *state, momentum)
    found = {
        "running_mean_after0": state[0],
        "running_var_after0": state[1],
        "smoothed_mean": smooth[0],
        "smoothed_var": smooth[1],
        "smooth_X1_epoch1": moved,
        "running_mean_after1": later[0],
        "running_var_after1": later[1],
    }
    for name, value in found.items():
        g.agree(f"base/fds/{name}", value, 1e-4)


def shots(g: Vectors) -> None:
    names = {"many": "many", "median": "medium", "medium": "medium", "low": "few", "few": "few"}
    fields = {
        "mse": "mse",
        "l1": "mae",
        "gmean": "gm",
        "pearsonr": "pearson",
        "spearmanr": "spearman",
        "num_samples": "n",
    }
    counts = g.get("base/shot/train_labels_counts")
    train = np.repeat(np.arange(float(len(counts))), counts)
    fixed = measures.Shots.of(SHOTS)
    sets = {
        "shot": (g.get("base/shot/preds"), g.get("base/shot/test_labels"), measures.Shots()),
        "sts": (g.get("base/sts/preds_0_1") * np.float32(5), g.get("base/sts/labels_0_5"), fixed),
    }
    for name, (value, label, rule) in sets.items():
        value, label = value.astype(np.float64), label.astype(np.float64)
        found = measures.by_shot(value, label, rule.assign(label, train))
        overall = {**measures.errors(value, label), "n": float(len(label))}
        for stem, m in g.groups(rf"base/{name}/({'|'.join(names)}|overall)/({'|'.join(fields)})"):
            own = overall if m.group(2) == "overall" else found[names[m.group(2)]]
            g.agree(stem, own[fields[m.group(3)]], 1e-9 if name == "shot" else 1e-4)  # DIR scores STS-B in float32


@pytest.mark.golden
def test_every_value_of_supremix(record_property: Any) -> None:
    g = Vectors(folder() / "supremix.npz")
    g.run([loss_of_mixtures, mixed_positives, contrasts, rankings, confusions, densities, calibration, shots])
    record_property("golden", g.close())
