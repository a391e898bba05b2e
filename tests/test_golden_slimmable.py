"""Golden vectors of slimmable multi-task networks: layers, losses, measures, costs, search, one accumulated step."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.metrics import multi_task as measures
from holdfast.datasets.core.multi_task import MultiTaskInfo, Task
from holdfast.methods.losses import balanced_bce, ci_kd, depth_l1, logit_kd, normals_l1, segmentation_ce
from holdfast.methods.networks.slimmable import Config, SlimmableNet
from holdfast.methods.networks.slimmable_blocks import Style
from holdfast.methods.networks.slimmable_cost import Costs, cost_of, total
from holdfast.methods.networks.slimmable_encoders import ResNet, SlimEncoder
from holdfast.methods.networks.slimmable_layers import SlimConv2d, SlimLinear, SlimNorm
from holdfast.methods.networks.slimmable_mobilenet import MobileNetV1, MobileNetV2
from holdfast.methods.networks.slimmable_search import BudgetError, decoder_widths, search
from holdfast.methods.networks.slimmable_statistics import calibrate
from holdfast.methods.networks.slimmable_widths import Configuration, Rounding, make_divisible
from torch import Tensor, nn
from torch.nn import functional as F

from .golden_vectors import PRECISIONS, Vectors, folder
from .methods.slimmable.golden_step import accumulated_step


def rounding(g: Vectors) -> None:
    for name, _ in g.groups(r"make_divisible/\d+"):
        g.agree(f"{name}/out", make_divisible(g.get(f"{name}/v"), g.get(f"{name}/divisor")))


def given(layer: Any, weight: Tensor, bias: Any) -> Any:
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(torch.as_tensor(bias))
    return layer.to(weight.dtype)


def convolutions(g: Vectors) -> None:
    for name, _ in g.groups(r"slimmable_conv2d/\d+"):
        ins, outs, groups = (g.get(f"{name}/{k}") for k in ("in_channels_list", "out_channels_list", "groups_list"))
        index, bias = g.get(f"{name}/index"), g.get(f"{name}/bias")
        k, stride, pad, dilation = (g.get(f"{name}/{k}") for k in ("kernel", "stride", "padding", "dilation"))
        for dtype, rtol in PRECISIONS:
            weight, x = g.tensor(f"{name}/weight", dtype), g.tensor(f"{name}/x", dtype)
            conv = SlimConv2d(max(ins), max(outs), k, stride, pad, dilation, max(groups), bias is not None)
            y = given(conv, weight, bias)(x, out=outs[index])
            assert x.shape[1] == ins[index]
            g.agree(f"{name}/y", y, rtol)
            y.square().sum().backward()
            g.agree(f"{name}/grad_weight_of_sum_sq", conv.weight.grad, rtol)


def universal_convolutions(g: Vectors) -> None:
    for name, _ in g.groups(r"us_conv2d/\d+"):
        c_in, c_out, k, width = (g.get(f"{name}/{key}") for key in ("in_channels", "out_channels", "kernel", "width"))
        (slim_in, slim_out), ratio = g.get(f"{name}/us"), g.get(f"{name}/ratio")
        depthwise, channels = g.get(f"{name}/depthwise"), Rounding(g.get(f"{name}/divisor"))
        active_in = channels.channels(c_in, width, ratio[0]) if slim_in else c_in
        active_out = channels.channels(c_out, width, ratio[1]) if slim_out else c_out
        g.agree(f"{name}/active_in", active_in)
        g.agree(f"{name}/active_out", active_out)
        for dtype, rtol in PRECISIONS:
            weight, bias = g.tensor(f"{name}/weight", dtype), g.get(f"{name}/bias")
            conv = SlimConv2d(c_in, c_out, k, groups=c_in if depthwise else 1, bias=bias is not None)
            x = g.tensor(f"{name}/x", dtype)
            pad = _padding(x, k, tuple(np.shape(g.get(f"{name}/y"))))
            g.agree(f"{name}/y", given(conv, weight, bias)(F.pad(x, (pad,) * 4), out=active_out), rtol)


def _padding(x: Tensor, kernel: int, wanted: tuple[int, ...]) -> int:
    """The file does not say the padding; the sizes do."""
    return (wanted[2] - x.shape[2] + kernel - 1) // 2


def linear_maps(g: Vectors) -> None:
    for name, _ in g.groups(r"slimmable_linear/\d+"):
        ins, outs, index = (g.get(f"{name}/{k}") for k in ("in_features_list", "out_features_list", "index"))
        for dtype, rtol in PRECISIONS:
            weight, bias, x = g.tensor(f"{name}/weight", dtype), g.get(f"{name}/bias"), g.tensor(f"{name}/x", dtype)
            layer = given(SlimLinear(max(ins), max(outs), bias=bias is not None), weight, bias)
            assert x.shape[1] == ins[index]
            g.agree(f"{name}/y", layer(x, out=outs[index]), rtol)


def private_statistics(g: Vectors) -> None:
    sizes, eps, momentum = (g.get(f"switchable_bn/{k}") for k in ("num_features_list", "eps", "momentum"))
    private = {str(k): c for k, c in enumerate(sizes)}
    norm = SlimNorm(max(sizes), "switchable_bn", private=private, eps=eps, momentum=momentum).double()
    for k in range(len(sizes)):
        given(norm.private[str(k)], *(g.tensor(f"switchable_bn/affine/{k}/{part}") for part in ("weight", "bias")))
    for name, _ in g.groups(r"switchable_bn/train_sequence/\d+"):
        g.agree(f"{name}/y", norm(g.tensor(f"{name}/x"), str(g.get(f"{name}/index"))))
    for k in range(len(sizes)):
        own: Any = norm.private[str(k)]
        name = f"switchable_bn/running_after/{k}"
        g.agree(f"{name}/mean", own.running_mean)
        g.agree(f"{name}/var", own.running_var)
        g.agree(f"{name}/n", int(own.num_batches_tracked))
    norm.eval()
    g.agree("switchable_bn/eval/y", norm(g.tensor("switchable_bn/eval/x"), str(g.get("switchable_bn/eval/index"))))


def _called(norm: SlimNorm, key: str, x: Tensor) -> Tensor:
    y: Tensor = norm(x, key)
    return y


class _Norm(nn.Module):
    def __init__(self, norm: SlimNorm) -> None:
        super().__init__()
        self.norm = norm


def shared_statistics(g: Vectors) -> None:
    c, eps, channels = g.get("us_bn/num_features"), g.get("us_bn/eps"), Rounding(8)
    for dtype, rtol in PRECISIONS:
        norm = SlimNorm(c, eps=eps).to(dtype)
        given(norm, g.tensor("us_bn/weight", dtype), g.tensor("us_bn/bias", dtype))
        name = "us_bn/train_unlisted_width"
        g.agree(f"{name}/active", channels.channels(c, g.get(f"{name}/width")))
        g.agree(f"{name}/y", norm(g.tensor(f"{name}/x", dtype), "any"), rtol)
        name = "us_bn/calibration"
        g.agree(f"{name}/active", channels.channels(c, g.get(f"{name}/width")))
        key = str(g.get(f"{name}/width"))
        batches = [torch.tensor(batch, dtype=dtype) for batch in g.get(f"{name}/batches")]
        calibrate(_Norm(norm), partial(_called, norm, key), batches)
        mean, variance = norm.statistics[key]
        g.agree(f"{name}/running_mean", mean, rtol)
        g.agree(f"{name}/running_var", variance, rtol)
        g.agree(f"{name}/y_eval", norm.eval()(g.tensor(f"{name}/x_eval", dtype), key), rtol)


def distillation(g: Vectors) -> None:
    for name, _ in g.groups(r"inplace_soft_ce/\d+"):
        for dtype, rtol in PRECISIONS:
            student = g.tensor(f"{name}/student_logits", dtype).requires_grad_()
            loss = logit_kd(student, g.tensor(f"{name}/teacher_logits", dtype))
            g.agree(f"{name}/loss", loss, rtol)
            g.agree(f"{name}/grad_student", torch.autograd.grad(loss, student)[0], rtol)
    for name, m in g.groups(r"(ci_kd/\d+)/loss/(\w+)"):
        case, form = m.group(2), m.group(3)
        for dtype, rtol in PRECISIONS:
            student = g.tensor(f"{case}/student", dtype).requires_grad_()
            teacher = g.tensor(f"{case}/teacher", dtype).requires_grad_()
            projection = g.tensor(f"{case}/projection", dtype) if g.has(f"{case}/projection") else None
            loss = ci_kd(student, teacher, form, projection)
            g.agree(name, loss, rtol)
            if g.has(f"{case}/grad_student/{form}"):
                found = torch.autograd.grad(loss, student)[0]
                g.agree(f"{case}/grad_student/{form}", found, rtol)
            if g.has(f"{case}/note"):
                g.get(f"{case}/note")


def task_losses(g: Vectors) -> None:
    for name, m in g.groups(r"task_losses/(semseg|balanced_bce|plain_bce|depth_l1|normals_l1)/\d+"):
        kind = m.group(2)
        for dtype, rtol in PRECISIONS:
            x = g.tensor(f"{name}/{'pred' if g.has(f'{name}/pred') else 'logits'}", dtype)
            y = g.tensor(f"{name}/label", dtype)
            if kind == "balanced_bce":
                loss = balanced_bce(x, y, g.get(f"{name}/pos_weight"))
            elif kind == "plain_bce":  # half of each kind's weight is what balancing by 0.5 gives
                loss = 2 * balanced_bce(x, y, 0.5)
            else:
                loss = {"semseg": segmentation_ce, "depth_l1": depth_l1, "normals_l1": normals_l1}[kind](x, y)
            if g.has(f"{name}/loss") and g.entries[f"{name}/loss"] == "nan":  # no valid pixel: ours is 0
                g.get(f"{name}/loss")
                assert float(loss) == 0
            else:
                g.agree(f"{name}/loss", loss, rtol)
        if g.has(f"{name}/note"):
            g.get(f"{name}/note")
    parts, weights = g.get("task_losses/weighted_total/parts"), g.get("task_losses/weighted_total/weights")
    g.agree("task_losses/weighted_total/total", sum(weights[task] * parts[task] for task in parts))


def metrics(g: Vectors) -> None:
    confusion = measures.Confusion(g.get("metrics/semseg/n_classes"))
    confusion.update(g.get("metrics/semseg/pred"), g.get("metrics/semseg/label"))
    g.agree("metrics/semseg/iou", confusion.iou())
    g.agree("metrics/semseg/mIoU", confusion.mean_iou())
    g.agree("metrics/semseg/mIoU_present_only", confusion.mean_iou(present_only=True))
    for name, kind in (("normals", measures.Normals()), ("depth", measures.Depth())):
        kind.update(g.get(f"metrics/{name}/pred"), g.get(f"metrics/{name}/label"))
        for key, value in kind.compute().items():
            if g.has(f"metrics/{name}/{key}"):
                g.agree(f"metrics/{name}/{key}", value)
    saliency = measures.Saliency()
    probability = g.tensor("metrics/saliency/logits", torch.float64).sigmoid()
    saliency.update(probability.numpy(), g.get("metrics/saliency/label"))
    iou, f = saliency.curves()
    g.agree("metrics/saliency/thresholds", measures.THRESHOLDS)
    g.agree("metrics/saliency/mIoUs", iou)
    g.agree("metrics/saliency/F", f)
    for key, value in saliency.compute().items():
        g.agree(f"metrics/saliency/{key}", value)
    for name in ("semseg", "normals", "depth", "saliency"):
        if g.has(f"metrics/{name}/note"):
            g.get(f"metrics/{name}/note")
    lower = {"rmse", "mean"}
    for name, _ in g.groups(r"metrics/delta_m/\d+"):
        multi, single = g.get(f"{name}/multi"), g.get(f"{name}/single")
        better = {task: not lower & each.keys() for task, each in multi.items()}
        values, alone = ({task: next(iter(each.values())) for task, each in d.items()} for d in (multi, single))
        g.agree(f"{name}/delta", measures.delta_m(values, alone, better))


def fronts(g: Vectors) -> None:
    for name, _ in g.groups(r"hypervolume/\d+"):
        points, reference = g.get(f"{name}/points"), g.get(f"{name}/ref")
        g.agree(f"{name}/hv", measures.hypervolume(points, reference, maximise=g.get(f"{name}/sense") == "max"))
        if g.has(f"{name}/note"):
            g.get(f"{name}/note")
    for name, _ in g.groups(r"uniformity/\d+"):
        losses, preference = g.get(f"{name}/losses"), g.get(f"{name}/preference")
        g.agree(f"{name}/uniformity", measures.uniformity(losses, preference))
        if g.has(f"{name}/note"):
            g.get(f"{name}/note")


def tiny_dense(g: Vectors) -> SlimmableNet:
    name = "macs/tiny_dense"
    outputs, kinds = g.get(f"{name}/outputs"), {1: "depth", 3: "normals"}
    tasks = [Task(f"t{k}", kinds.get(n, "segmentation"), n) for k, n in enumerate(outputs)]  # type: ignore[arg-type]
    config = Config(
        channels=tuple(g.get(f"{name}/encoder_channels")),
        strides=tuple(g.get(f"{name}/strides")),
        decoder_channels=g.get(f"{name}/decoder_channels"),
        divisor=g.get(f"{name}/divisor"),
    )
    return SlimmableNet(config, MultiTaskInfo(tasks=tuple(tasks), input_shape=tuple(g.get(f"{name}/input"))))


def costs(g: Vectors) -> None:
    known = Costs(tiny_dense(g))
    for name, _ in g.groups(r"macs/tiny_dense/cases/\d+"):
        configuration = Configuration(g.get(f"{name}/encoder"), tuple(g.get(f"{name}/decoders")))
        encoder, decoders = known.parts(configuration)
        each = [cost.macs for cost in decoders.values()]
        g.agree(f"{name}/macs_encoder", encoder.macs)
        g.agree(f"{name}/macs_decoders", each)
        g.agree(f"{name}/macs_total", encoder.macs + sum(each))
    name = "macs/tiny_cifar20"
    tasks = tuple(Task(f"t{k}", "classification", n) for k, n in enumerate(g.get(f"{name}/outputs")))
    config = Config(
        channels=tuple(g.get(f"{name}/encoder_channels")),
        decoder_channels=g.get(f"{name}/decoder_channels"),
        divisor=g.get(f"{name}/divisor"),
    )
    net = SlimmableNet(config, MultiTaskInfo(tasks=tasks, input_shape=tuple(g.get(f"{name}/input"))))
    configuration = Configuration(g.get(f"{name}/encoder"), tuple(g.get(f"{name}/decoders")))
    encoder, decoders = Costs(net).parts(configuration)
    each = [cost.macs for cost in decoders.values()]
    g.agree(f"{name}/macs_encoder", encoder.macs)
    g.agree(f"{name}/macs_decoders", each)
    g.agree(f"{name}/macs_total", encoder.macs + sum(each))
    g.get(f"{name}/note")


def published_costs(g: Vectors) -> None:
    """Slimmable ResNet-50 and MobileNets at 224 pixels: encoder, average pooling (C·H·W) and 1000 classes."""
    nets: dict[str, SlimEncoder] = {}
    for entry, m in g.groups(r"macs/kin_models_224/(\w+)/([\d.]+)"):
        model, width = m.group(2), float(m.group(3))
        if model not in nets:
            style = Style(Rounding(8 if "mobilenet" in model else None))
            with torch.device("meta"):
                if model == "s_resnet50":
                    nets[model] = ResNet(3, (3, 4, 6, 3), style, bottleneck=True)
                else:
                    nets[model] = MobileNetV1(3, style) if "v1" in model else MobileNetV2(3, style, tail=True)
        net, kept = nets[model], list[Tensor]()
        x = torch.empty(1, 3, 224, 224, device="meta")
        macs = total(cost_of(net, partial(_kept, net, x, width, kept))).macs
        last = kept[-1][0]
        g.agree(entry, macs + last.numel() + 1000 * len(last))


def _kept(net: SlimEncoder, x: Tensor, width: float, kept: list[Tensor]) -> None:
    kept.extend(net(x, width))


def searches(g: Vectors) -> None:
    for name, _ in g.groups(r"search/decoder_widths/\d+"):
        preference, cap, grid = (g.get(f"{name}/{key}") for key in ("preference", "cap", "grid"))
        g.agree(f"{name}/widths", decoder_widths(preference, cap, grid))
    g.get("search/search_setting/net")
    g.get("search/search_setting/note")
    grid, table, net = g.get("search/search_setting/grid"), g.get("search/search_setting/score_table"), tiny_dense(g)
    costs = Costs(net)

    def cost(configuration: Configuration) -> float:
        return costs.whole(configuration).macs

    def score(configuration: Configuration) -> float:
        return table[f"{configuration.encoder}|{max(configuration.decoders)}"]  # the widest decoder has the cap's width

    for name, _ in g.groups(r"search/search/\d+"):
        preference, budget, joint = (g.get(f"{name}/{key}") for key in ("preference", "budget", "joint"))
        try:
            found = search(preference, budget, grid, cost, score, joint=joint)
        except BudgetError:
            g.tree_agrees(f"{name}/result", None)
            continue
        chosen = found.configuration
        g.tree_agrees(
            f"{name}/result",
            {
                "encoder": chosen.encoder,
                "cap": found.cap,
                "decoders": chosen.decoders,
                "cost": found.cost,
                "score": found.score,
            },
        )


@pytest.mark.golden
def test_every_value_of_slimmable_networks(record_property: Any) -> None:
    g = Vectors(folder() / "slimmable_mtl.json")
    parts = [rounding, convolutions, universal_convolutions, linear_maps, private_statistics, shared_statistics]
    parts += [distillation, task_losses, metrics, fronts, costs, published_costs, searches, accumulated_step]
    g.run(parts)
    record_property("golden", g.close())
