"""Slimmable networks: outputs of their own task alone, costs, export, pretrained weights."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.datasets.core.multi_task import MultiTaskInfo, Task
from holdfast.methods.base import UnfitError
from holdfast.methods.networks import slimmable
from holdfast.methods.networks.slimmable import Config, SlimmableNet
from holdfast.methods.networks.slimmable_cost import Costs
from holdfast.methods.networks.slimmable_pretrained import load_pretrained
from holdfast.methods.networks.slimmable_widths import Configuration
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

TASKS = (
    Task("seg", "segmentation", 4),
    Task("normals", "normals", 3),
    Task("digit", "classification", 5),
)
SIZE = 16
MIXED = Configuration(0.5, (0.25, 1.0, 0.5))
NETS: dict[str, dict[str, Any]] = {
    "small": {"channels": (8, 8), "strides": (1, 2)},
    "group_norm": {"channels": (8, 8), "strides": (1, 2), "norm": "group_norm", "group": 2, "divisor": 2},
    "switchable": {"channels": (8, 8), "strides": (1, 2), "norm": "switchable_bn"},
    "deeplab": {"channels": (8, 8), "strides": (1, 2), "decoder": "deeplab", "rates": (1, 2)},
    "resnet9": {"encoder": "resnet9", "channels": (8, 8, 8, 16)},
    "resnet18": {"encoder": "resnet18", "small_images": True, "output_stride": 8},
    "mobilenet_v2": {"encoder": "mobilenet_v2", "output_stride": 8},
}


def built(name: str) -> SlimmableNet:
    torch.manual_seed(0)
    info = MultiTaskInfo(tasks=TASKS, input_shape=(3, SIZE, SIZE))
    options = {"decoder_channels": 8, **NETS[name]}
    return slimmable.build(Config(**options), info, 0)


def calibrated(name: str, *configurations: Configuration) -> SlimmableNet:
    net = built(name)
    net.calibrate([torch.randn(3, 3, SIZE, SIZE) for _ in range(2)], configurations or [MIXED])
    return net.eval()


@torch.no_grad()
@pytest.mark.parametrize("name", NETS)
def test_an_exported_network_is_ordinary_and_answers_and_costs_the_same(name: str) -> None:
    net, image = calibrated(name), torch.rand(2, 3, SIZE, SIZE)
    exported = net.export(MIXED)
    wanted = net.outputs((image - net.mean) / net.std, MIXED)
    found = exported(image)
    assert found.keys() == wanted.keys()
    for task in wanted:
        torch.testing.assert_close(found[task], wanted[task], rtol=1e-6, atol=1e-6)
    assert all(
        type(part).__module__.startswith("torch.") for part in exported.modules() if list(part.parameters(False))
    )
    cost = Costs(net).whole(MIXED)
    with FlopCounterMode(display=False) as flops:
        exported(image[:1])
    assert flops.get_total_flops() == 2 * cost.macs
    assert sum(p.numel() for p in exported.parameters()) == cost.parameters
    before = {task: value.clone() for task, value in found.items()}
    for parameter in net.parameters():
        parameter.zero_()  # the export shares no memory with the network
    assert all(torch.equal(exported(image)[task], before[task]) for task in before)


def test_torch_export_takes_what_is_exported() -> None:
    exported, image = calibrated("deeplab").export(MIXED), torch.rand(2, 3, SIZE, SIZE)
    program = torch.export.export(exported, (image,))
    torch.testing.assert_close(program.module()(image), exported(image))


@torch.no_grad()
def test_a_decoder_changes_its_own_task_alone() -> None:
    other = Configuration(0.5, (1.0, 1.0, 0.5))
    net, x = calibrated("small", MIXED, other), torch.randn(2, 3, SIZE, SIZE)
    a, b = net.outputs(x, MIXED), net.outputs(x, other)
    assert not torch.allclose(a["seg"], b["seg"])
    assert torch.equal(a["normals"], b["normals"])
    assert torch.equal(a["digit"], b["digit"])


def test_widths_change_outputs_and_costs_and_costs_grow_and_are_separable() -> None:
    grid, info = (0.25, 0.5, 0.75, 1.0), MultiTaskInfo(tasks=TASKS, input_shape=(3, SIZE, SIZE))
    costs = Costs(SlimmableNet(Config(channels=(16, 16), strides=(1, 2), decoder_channels=16), info))
    each = [costs.whole(Configuration(w, (w,) * 3)).macs for w in grid]
    assert each == sorted(set(each))
    for e in grid:
        own = [costs.decoder(e, "seg", d).macs for d in grid]
        assert own == sorted(set(own))
    parts = costs.encoder(0.5) + costs.decoder(0.5, "seg", 0.25) + costs.decoder(0.5, "normals", 1.0)
    assert (parts + costs.decoder(0.5, "digit", 0.5)).macs == costs.whole(MIXED).macs


@torch.no_grad()
def test_stages_may_have_widths_of_their_own() -> None:
    net, x = built("resnet18"), torch.randn(2, 3, SIZE, SIZE)
    wide, mixed = net.features(x, 1.0), net.features(x, (1.0, 0.5, 0.25, 1.0))
    assert [f.shape[1] for f in mixed] == [64, 64, 64, 512]
    torch.testing.assert_close(mixed[0], wide[0])
    with pytest.raises(ValueError, match="the encoder has 4 stages"):
        net.features(x, (1.0, 0.5))
    with pytest.raises(ValueError, match="one width for each of the 3 tasks"):
        net.outputs(x, Configuration(1.0, (1.0,)))


@torch.no_grad()
def test_a_state_brings_every_configuration_back() -> None:
    net, other = calibrated("small"), built("small")
    other.load_state_dict(copy.deepcopy(net.state_dict()))
    x = torch.randn(2, 3, SIZE, SIZE)
    torch.testing.assert_close(other.eval().outputs(x, MIXED), net.outputs(x, MIXED), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2"])
def test_weights_of_torchvision_fit_by_name(name: str, tmp_path: Path) -> None:
    from torchvision import models

    given: nn.Module = models.get_model(name, weights=None)
    file = tmp_path / "weights.pth"
    torch.save(given.state_dict(), file)
    info = MultiTaskInfo(tasks=TASKS[:1], input_shape=(3, 32, 32))
    config = Config.model_validate({"encoder": name, "decoder_channels": 8, "pretrained": str(file)})
    net = slimmable.build(config, info, 0)
    theirs = given.state_dict()
    for own, value in net.encoder.named_parameters():
        assert torch.equal(value, theirs[own]), own
    x = torch.randn(2, 3, 32, 32)
    features: list[Tensor] = []
    part = given.layer4 if name.startswith("resnet") else given.features[17]  # type: ignore[index]
    part.register_forward_hook(lambda *call: features.append(call[-1]))  # type: ignore[union-attr]
    given.train()(x)
    torch.testing.assert_close(net.train().features(x, 1.0)[-1], features[0], rtol=1e-4, atol=1e-4)


ROWS = (
    (1, 32, 16, 1),
    (6, 16, 24, 2),
    (6, 24, 32, 3),
    (6, 32, 64, 4),
    (6, 64, 96, 3),
    (6, 96, 160, 3),
    (6, 160, 320, 1),
)


def timm_mobilenet_v2() -> dict[str, Tensor]:
    """Names and shapes, in the order, of the state dict of ``mobilenetv2_100`` of timm 1.0.31; random weights."""
    shapes: dict[str, tuple[int, ...]] = {}

    def add(conv: str, norm: str, *shape: int) -> None:
        shapes[f"{conv}.weight"] = shape
        shapes.update({f"{norm}.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{norm}.num_batches_tracked"] = ()

    add("conv_stem", "bn1", 32, 3, 3, 3)
    for row, (expansion, before, c_out, count) in enumerate(ROWS):
        for block in range(count):
            c_in, name = before if block == 0 else c_out, f"blocks.{row}.{block}."
            hidden = c_in * expansion
            if expansion == 1:
                add(f"{name}conv_dw", f"{name}bn1", hidden, 1, 3, 3)
                add(f"{name}conv_pw", f"{name}bn2", c_out, hidden, 1, 1)
                continue
            add(f"{name}conv_pw", f"{name}bn1", hidden, c_in, 1, 1)
            add(f"{name}conv_dw", f"{name}bn2", hidden, 1, 3, 3)
            add(f"{name}conv_pwl", f"{name}bn3", c_out, hidden, 1, 1)
    add("conv_head", "bn2", 1280, 320, 1, 1)
    shapes |= {"classifier.weight": (1000, 1280), "classifier.bias": (1000,)}
    draws = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=draws) * 0.1 if shape else torch.zeros((), dtype=torch.int64)
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize("nested", [False, True])
def test_weights_of_timm_fit_by_name(nested: bool, tmp_path: Path) -> None:
    """Both libraries list the same weights in the same order: torchvision's network with timm's weights, given to it in
    that order, answers as the encoder that found them by name.
    """
    from torchvision import models

    given, file = timm_mobilenet_v2(), tmp_path / "weights.pth"
    assert len(given) == 314
    torch.save({"epoch": 3, "state_dict": given} if nested else given, file)
    info = MultiTaskInfo(tasks=TASKS[:1], input_shape=(3, 32, 32))
    config = Config(encoder="mobilenet_v2", decoder_channels=8, pretrained=str(file))
    net = slimmable.build(config, info, 0)
    theirs: nn.Module = models.get_model("mobilenet_v2", weights=None)
    own = theirs.state_dict()
    assert [tuple(v.shape) for v in own.values()] == [tuple(v.shape) for v in given.values()]
    theirs.load_state_dict(dict(zip(own, given.values(), strict=True)))
    features: list[Tensor] = []
    part: nn.Module = theirs.features[17]  # type: ignore[index, assignment]
    part.register_forward_hook(lambda *call: features.append(call[-1]))
    x = torch.randn(2, 3, 32, 32)
    theirs.train()(x)
    torch.testing.assert_close(net.train().features(x, 1.0)[-1], features[0], rtol=1e-4, atol=1e-4)


def test_of_a_smaller_mobilenet_of_timm_the_shapes_are_named(tmp_path: Path) -> None:
    net, file = built("mobilenet_v2"), tmp_path / "weights.pth"
    given = timm_mobilenet_v2()
    torch.save({**given, "conv_stem.weight": given["conv_stem.weight"][:16]}, file)
    with pytest.raises(UnfitError, match=r"'features\.0\.0\.weight' has the shape \(16, 3, 3, 3\), the encoder's"):
        load_pretrained(net.encoder, file)
    torch.save({name: value for name, value in given.items() if not name.startswith("blocks.3.1.")}, file)
    with pytest.raises(UnfitError, match=r"no 'features\.8\.conv\.0\.0\.weight'.*mobilenetv2_100 for mobilenet_v2"):
        load_pretrained(net.encoder, file)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    net, file = built("resnet18"), tmp_path / "weights.pth"
    for content, message in (
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, "missing"),
        ([1], "holds no state dict"),
    ):
        torch.save(content, file)
        with pytest.raises(UnfitError, match=message):
            load_pretrained(net.encoder, file)
    file.write_bytes(b"nothing")
    with pytest.raises(UnfitError, match="cannot be read"):
        load_pretrained(net.encoder, file)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": (0.5, 0.75)}, "ends with 1"),
        ({"strides": (1,)}, "one stride a stage"),
        ({"norm": "group_norm", "group": 5}, "do not fill"),
        ({"encoder": "resnet9"}, "four stages"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnfitError, match=message):
        slimmable.build(Config(**options), MultiTaskInfo(tasks=TASKS, input_shape=(3, SIZE, SIZE)), 0)
