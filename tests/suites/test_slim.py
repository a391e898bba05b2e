"""``suites slim``: sub-networks of a trained run for a budget and a preference, their export, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.methods.networks.slimmable_widths import Configuration
from holdfast.suites import api
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import slim

from .process import CommandLine

TINY = {
    "data.options.n_test": 8,
    "data.options.n_valid": 8,
    "data.options.n_train": 24,
    "data.options.size": 16,
    "model.options.strides": [1, 2, 1],
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("slim")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def run(out: Path) -> Path:
    done = api.run("slimmable_scenes", methods=["ecmt"], profile="smoke", out=out, overrides=TINY)
    return done.folders[0]


def test_a_sub_network_keeps_the_budget_and_prefers_the_task(run: Path) -> None:
    found = api.slim(run, budget=0.8, prefer={"seg": 2, "depth": 0.1})
    assert found["share"] <= 0.8
    assert found["decoders"]["seg"] >= found["decoders"]["depth"] >= found["decoders"]["saliency"] == 0.5
    assert set(found["metrics"]) == {"seg", "depth", "saliency"}
    assert set(found["metrics"]["seg"]) == {"miou", "loss"}
    whole = api.slim(run, budget=1.0)
    assert whole["share"] == 1
    assert whole["score"] == pytest.approx(0)
    assert api.slim(run, macs=found["macs"])["macs"] <= found["macs"]
    staged = api.slim(run, budget=0.8, prefer="seg=2,depth=0.1", per_stage=True)
    assert staged["share"] <= 0.8
    assert staged["score"] >= found["score"]


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # of torch.export.load itself
def test_what_is_exported_answers_as_the_network_does(run: Path, out: Path, cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "net.pt2"
    arguments = ("slim", str(run), "--budget", "0.8", "--prefer", "seg=2", "--export", str(file))
    found = json.loads(cli.here(*arguments, "--json", out=out).stdout)
    program: Any = torch.export.load(file).module()
    trained = api.load_run(run)
    model: Any = trained.model
    image = torch.rand(3, 3, 16, 16)
    configuration = Configuration(found["encoder"], tuple(found["decoders"].values()))
    with torch.no_grad():
        wanted, got = model.outputs((image - model.mean) / model.std, configuration), program(image)
    for task in wanted:
        torch.testing.assert_close(got[task], wanted[task], rtol=1e-5, atol=1e-5)
    cli.here(*arguments, out=out, code=3)  # the file is there
    shown = cli.here(*arguments, "--force", out=out).stdout
    assert f"{found['macs']:,}" in shown


def test_what_is_exported_to_onnx_answers_as_the_network_does(run: Path, cli: CommandLine, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    file = tmp_path / "net.onnx"
    found = json.loads(
        cli.here("slim", str(run), "--budget", "0.8", "--export", str(file), "--json", out=tmp_path).stdout
    )
    assert found["export"] == str(file)
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["image"]
    assert [each.name for each in session.get_outputs()] == ["seg", "depth", "saliency"]
    model: Any = api.load_run(run).model
    configuration = Configuration(found["encoder"], tuple(found["decoders"].values()))
    for rows in (1, 3):
        image = torch.rand(rows, 3, 16, 16)
        with torch.no_grad():
            wanted = model.outputs((image - model.mean) / model.std, configuration)
        got = session.run(list(wanted), {"image": image.numpy()})
        for task, values in zip(wanted, got, strict=True):
            torch.testing.assert_close(torch.from_numpy(values), wanted[task], rtol=1e-5, atol=1e-5)
    assert b"/python" not in file.read_bytes()  # no places of this machine
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_without_its_packages_onnx_is_refused_before_anything_is_searched(
    missing: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slim, "find_spec", lambda name: None if name == missing else True)
    with pytest.raises(Fault) as caught:
        api.slim(run, budget=0.8, export=tmp_path / "net.onnx")
    assert caught.value.what == f"torch's ONNX exporter needs {missing}"
    assert "pip install 'holdfast[onnx]'" in caught.value.next
    assert not list(tmp_path.iterdir())
    api.slim(run, budget=0.8, export=tmp_path / "net.pt2")  # needs neither


@pytest.mark.parametrize(
    ("given", "what", "next_"),
    [
        ({"budget": 0.1}, "no configuration costs", "--budget 0.3829"),
        ({"macs": 10}, "the smallest costs", "--macs 75264"),
        ({"budget": 1.5}, "a share above 0 and at most 1", "--budget 0.5"),
        ({}, "one budget is needed", "--budget"),
        ({"budget": 0.9, "prefer": "segmentation=1"}, "no task is called 'segmentation'", "--prefer"),
        ({"budget": 0.9, "prefer": "seg=-1"}, "not negative", "--prefer seg=1"),
        ({"budget": 0.9, "prefer": "seg=0"}, "all preferences are 0", "--prefer seg=1"),
        ({"budget": 0.9, "prefer": "seg=much"}, "'much' is no number", "--prefer seg=1"),
        ({"budget": 0.9, "export": "net.pkl"}, "no such format: .pkl", ".pt2"),
    ],
)
def test_what_cannot_be_is_refused(run: Path, given: dict[str, Any], what: str, next_: str) -> None:
    with pytest.raises(Fault) as caught:
        api.slim(run, **given)
    assert what in caught.value.what
    assert next_ in caught.value.next


def test_a_method_of_one_width_is_refused(out: Path) -> None:
    done = api.run("slimmable_scenes", methods=["static_mtl"], profile="smoke", out=out, overrides=TINY)
    with pytest.raises(Fault, match="has no widths of encoder and decoders to choose"):
        api.slim(done.folders[0], budget=0.5)
