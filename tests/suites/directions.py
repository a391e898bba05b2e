"""Which way of a metric is better, written down by hand, so that a wrong declaration fails."""

from __future__ import annotations

LOWER = {
    "mae",
    "mse",
    "rmse",
    "gm",
    "neighbour_mae",
    "wer",
    "empty",
    "gap",
    "ece",
    "nll",
    "content_moved",
    "loss",
    "steps",
    "seconds_per_step",
    "memory_rows",
    "teacher_passes",
    "teacher_bytes",
    "critic_steps",
    "separation",
    "kernel_mi",
    "ratio",
    "weighted_loss",
    "log_rmse",
    "mean_angle",
    "angle_rmse",
    "macs",
    "parameters",
    "forgetting",
    "rep_2",
    "rep_3",
    "rep_4",
    "rep_words",
    "chair_i",
    "chair_s",
    "copies",
    "forwards",
    "frechet",
    "sycophancy",
    "total_variation",
    "kl",
    "kl_exact",
    "unseen",
    "failed",
    "constraint_calls",
    "calls_per_token",
}
HIGHER = {
    "r2",
    "pearson",
    "spearman",
    "ordinality",
    "local_linearity",
    "accuracy",
    "group_mean",
    "aligned",
    "conflict",
    "aligned_group_mean",
    "conflict_group_mean",
    "worst_group",
    "balanced_accuracy",
    "adjusted_accuracy",
    "worst_class",
    "content_kept",
    "bias_moved",
    "content_read",
    "gate_passed",
    "scenario_accuracy",
    "slu_f1",
    "slu_f1_macro",
    "intent_f1_macro",
    "retrieval",
    "miou",
    "pixel_accuracy",
    "pct_11_25",
    "pct_22_5",
    "pct_30",
    "max_miou",
    "max_f",
    "hypervolume",
    "uniformity",
    "preference_response",
    "exact_match",
    "mixture",
    "unigram_f1",
    "diversity",
    "object_recall",
    "logprob",
    "well_formed",
    "coherence",
    "isotropy",
    "mauve",
    "mc1",
    "mc2",
    "mc3",
    "precision",
    "recall",
    "f1",
    "allowed",
}
NEITHER = {"n", "background", "target"}
NEITHER |= {"length", "ended", "domain", "yes_share", "confidence", "led_to_right", "evidence_ratio"}


def truth(name: str) -> bool | None:
    """The direction of a full name by this file alone."""
    *path, last = name.split("/")
    if last in ("bwt", "forgetting"):
        return last == "bwt"
    if last == "stability":
        return True
    of_measure = ("average", "average_rows", "last", "plasticity", "generalisability")
    measure = path[-1] if last in of_measure else last
    measure = path[-2] if measure == "*" else measure  # of a group or a layer
    assert (measure in LOWER) + (measure in HIGHER) + (measure in NEITHER) == 1, f"{name}: say here which way is better"
    leak = path[:1] == ["leak"] or path[:2] == ["valid", "leak"]  # what should not be found there
    return None if measure in NEITHER else (measure in HIGHER) != leak
