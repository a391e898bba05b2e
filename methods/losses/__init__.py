"""Losses: pure functions of tensors, each by its name: ``from holdfast.methods.losses import nspt``.

Nothing is imported before it is asked for. Some files bear the name of their function: here such a name is always the
function; the module is ``importlib.import_module("holdfast.methods.losses.nspt")``.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adacon import adacon as adacon
    from .affine_calibration import affine_calibration as affine_calibration
    from .biascon import biascon as biascon
    from .bmse import balanced_mse as balanced_mse
    from .choice_score import choice_score as choice_score
    from .ci_kd import ci_kd as ci_kd
    from .conflict_supcon import conflict_supcon as conflict_supcon
    from .conr import conr as conr
    from .contrast import adacad_scores as adacad_scores
    from .contrast import cad_scores as cad_scores
    from .contrast import cd_scores as cd_scores
    from .contrast import contrast_logits as contrast_logits
    from .contrast import icd_scores as icd_scores
    from .contrast import lol_scores as lol_scores
    from .contrast import m3id_scores as m3id_scores
    from .contrast import plausible as plausible
    from .contrast import ritual_scores as ritual_scores
    from .contrast import steer_scores as steer_scores
    from .contrast import vdd_scores as vdd_scores
    from .contrastive_total import contrastive_total as contrastive_total
    from .ctc import ctc as ctc
    from .dense_prediction import balanced_bce as balanced_bce
    from .dense_prediction import depth_l1 as depth_l1
    from .dense_prediction import normals_l1 as normals_l1
    from .dense_prediction import segmentation_ce as segmentation_ce
    from .density_ratio import density_ratio as density_ratio
    from .density_ratio import discriminator_loss as discriminator_loss
    from .diffusion_noise import diffusion_scales as diffusion_scales
    from .distillation import audio_kd as audio_kd
    from .distillation import kd_logits as kd_logits
    from .distillation import mix as mix
    from .distillation import text_kd as text_kd
    from .distillation import token_kd as token_kd
    from .distillation import weight_log_ratio as weight_log_ratio
    from .distillation import weight_sqrt_batch as weight_sqrt_batch
    from .divergence import js_divergence as js_divergence
    from .gaussian_kl import decomposed_kl as decomposed_kl
    from .gaussian_kl import gaussian_kl as gaussian_kl
    from .gce import gce as gce
    from .gradient_projection import gradient_projection as gradient_projection
    from .hsic import hsic as hsic
    from .infonce import infonce as infonce
    from .information_bounds import gaussian_log_density as gaussian_log_density
    from .information_bounds import l1out as l1out
    from .information_bounds import vclub as vclub
    from .information_bounds import vub as vub
    from .label_density import bin_statistics as bin_statistics
    from .label_density import bin_weights as bin_weights
    from .label_density import calibrate as calibrate
    from .label_density import kernel as kernel
    from .label_density import smooth_statistics as smooth_statistics
    from .logit_kd import logit_kd as logit_kd
    from .logit_kd import output_l1 as output_l1
    from .masked_ce import masked_ce as masked_ce
    from .mixup import mixed_mask as mixed_mask
    from .mixup import mixed_rows as mixed_rows
    from .mixup import mixed_targets as mixed_targets
    from .mixup import soft_cross_entropy as soft_cross_entropy
    from .mmd import mmd as mmd
    from .multimodal import multimodal as multimodal
    from .nspt import nspt as nspt
    from .ntxent import ntxent as ntxent
    from .pair_margin import pair_margin as pair_margin
    from .preference import cosmos as cosmos
    from .preference import preferred_sum as preferred_sum
    from .quadratic_penalty import path_importance as path_importance
    from .quadratic_penalty import quadratic_penalty as quadratic_penalty
    from .ranksim import ranks as ranks
    from .ranksim import ranksim as ranksim
    from .relative_difficulty import moving_average as moving_average
    from .relative_difficulty import relative_difficulty as relative_difficulty
    from .rnc import rnc as rnc
    from .sepclr import align as align
    from .sepclr import attribute_alignment as attribute_alignment
    from .sepclr import joint_entropy as joint_entropy
    from .sepclr import kernel_mutual_information as kernel_mutual_information
    from .sepclr import pinned as pinned
    from .sepclr import sepclr as sepclr
    from .sepclr import sepclr_supervised as sepclr_supervised
    from .sepclr import uniformity as uniformity
    from .sepclr import uniformity_by_anchor as uniformity_by_anchor
    from .simctg import degeneration_scores as degeneration_scores
    from .simctg import simctg_contrastive as simctg_contrastive
    from .supcon import supcon as supcon
    from .supcon import supcon_by_anchor as supcon_by_anchor
    from .supremix import beta_draws as beta_draws
    from .supremix import log_weight as log_weight
    from .supremix import supremix as supremix
    from .task_balance import gradnorm as gradnorm
    from .task_balance import uncertainty_weighted as uncertainty_weighted
    from .transcription import transcription as transcription
    from .views_ce import views_ce as views_ce
    from .wgan_gp import critic_loss as critic_loss
    from .wgan_gp import generator_loss as generator_loss
    from .wgan_gp import gradient_penalty as gradient_penalty
    from .yaware import yaware as yaware

FILES = {
    "affine_calibration": ("affine_calibration",),
    "choice_score": ("choice_score",),
    "contrast": (
        "plausible",
        "contrast_logits",
        "cd_scores",
        "cad_scores",
        "adacad_scores",
        "vdd_scores",
        "m3id_scores",
        "ritual_scores",
        "icd_scores",
        "lol_scores",
        "steer_scores",
    ),
    "diffusion_noise": ("diffusion_scales",),
    "divergence": ("js_divergence",),
    "infonce": ("infonce",),
    "simctg": (
        "simctg_contrastive",
        "degeneration_scores",
    ),
    "adacon": ("adacon",),
    "biascon": ("biascon",),
    "bmse": ("balanced_mse",),
    "conflict_supcon": ("conflict_supcon",),
    "conr": ("conr",),
    "contrastive_total": ("contrastive_total",),
    "ci_kd": ("ci_kd",),
    "ctc": ("ctc",),
    "dense_prediction": (
        "segmentation_ce",
        "balanced_bce",
        "normals_l1",
        "depth_l1",
    ),
    "density_ratio": (
        "discriminator_loss",
        "density_ratio",
    ),
    "distillation": ("token_kd", "audio_kd", "kd_logits", "text_kd", "weight_sqrt_batch", "weight_log_ratio", "mix"),
    "gaussian_kl": (
        "gaussian_kl",
        "decomposed_kl",
    ),
    "gce": ("gce",),
    "gradient_projection": ("gradient_projection",),
    "hsic": ("hsic",),
    "information_bounds": (
        "gaussian_log_density",
        "vclub",
        "vub",
        "l1out",
    ),
    "label_density": ("kernel", "bin_weights", "bin_statistics", "smooth_statistics", "calibrate"),
    "logit_kd": (
        "logit_kd",
        "output_l1",
    ),
    "masked_ce": ("masked_ce",),
    "mixup": ("mixed_rows", "mixed_mask", "mixed_targets", "soft_cross_entropy"),
    "mmd": ("mmd",),
    "multimodal": ("multimodal",),
    "nspt": ("nspt",),
    "ntxent": ("ntxent",),
    "pair_margin": ("pair_margin",),
    "preference": (
        "preferred_sum",
        "cosmos",
    ),
    "quadratic_penalty": ("quadratic_penalty", "path_importance"),
    "ranksim": ("ranks", "ranksim"),
    "relative_difficulty": ("moving_average", "relative_difficulty"),
    "rnc": ("rnc",),
    "sepclr": (
        "align",
        "uniformity",
        "joint_entropy",
        "kernel_mutual_information",
        "pinned",
        "uniformity_by_anchor",
        "sepclr",
        "attribute_alignment",
        "sepclr_supervised",
    ),
    "supcon": ("supcon", "supcon_by_anchor"),
    "supremix": ("log_weight", "beta_draws", "supremix"),
    "task_balance": (
        "uncertainty_weighted",
        "gradnorm",
    ),
    "transcription": ("transcription",),
    "views_ce": ("views_ce",),
    "wgan_gp": ("gradient_penalty", "critic_loss", "generator_loss"),
    "yaware": ("yaware",),
}
WHERE = {name: file for file, names in FILES.items() for name in names}
__all__ = tuple(WHERE)


def __getattr__(name: str) -> Any:
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{WHERE[name]}", __name__), name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *WHERE})


class _Package(ModuleType):
    """A package in which a file's import does not hide the function of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and WHERE.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
