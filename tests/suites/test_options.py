"""What a recipe or an option may ask of a run: precision, selection, memory, loader, dry run; verbs around a run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites.config import catalog
from holdfast.suites.config.recipe import digest
from holdfast.suites.runtime.evaluation import Evaluation

from .process import LARGEST, SPEECH, CommandLine

SUITES = Path(sys.executable).with_name("suites")


def run(cli: CommandLine, out: Path, *overrides: str, method: str = "er", code: int = 0) -> dict[str, Any]:
    arguments = ["run", "coconut_slurp", "--profile", "smoke", "--method", method, "--json", *SPEECH, *overrides]
    document: dict[str, Any] = cli.here(*arguments, out=out, code=code).document
    return document


@pytest.fixture
def tmp_path(tmp_path: Path, empty_store: Path) -> Path:
    """A folder for runs with MLflow's tables in it: making them takes seconds."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def journal(report: dict[str, Any], name: str) -> list[float]:
    lines = (Path(report["runs"][0]["folder"]) / "journal.jsonl").read_text().splitlines()
    return [p["value"] for p in map(json.loads, lines) if p["name"] == name]


def test_bf16_best_balanced_herding_accumulate_and_the_loader(tmp_path: Path, cli: CommandLine) -> None:
    """Fields that change how a run trains, all at once; each must show in the numbers or in the folder."""
    train = ["precision=bf16", "selection=validation", "accumulate=2", "path=loader", "schedule=cosine"]
    er = ["batching=balanced", "selection=herding", "fixed_memory=false"]
    report = run(cli, tmp_path, *(f"train.{field}" for field in train), *(f"methods.er.{field}" for field in er))
    metrics = report["runs"][0]["metrics"]
    assert 0 <= metrics["accuracy/last"] <= 1
    assert all(value > 0 for value in journal(report, "loss"))


def test_selection_rules_keep_what_they_say(tmp_path: Path, cli: CommandLine) -> None:
    """Epochs are worse the later they come (a huge learning rate).

    The oracle is at least as good on test as both honest rules.
    """
    chosen = {}
    command = ["run", "cdvg_cmnist", "--profile", "smoke", "--method", "erm", "--json"]
    command += ["train.epochs=4", "train.lr=0.3", "train.optimizer=SGD"]
    for rule in ("last", "validation", "worst_class", "oracle"):
        report = cli.here(*command, f"train.selection={rule}", out=tmp_path).document
        chosen[rule] = report["runs"][0]["metrics"]
        tags = mlflow_tags(tmp_path, report["runs"][0]["mlflow_run_id"])
        assert tags["holdfast.selection"] == rule
        lines = (Path(report["runs"][0]["folder"]) / "journal.jsonl").read_text()
        assert ("valid/worst_class/epoch" in lines) == (rule == "worst_class")
        assert ("valid/accuracy/epoch" in lines) == (rule in ("validation", "worst_class"))
    assert chosen["oracle"]["accuracy/last"] >= max(
        chosen["last"]["accuracy/last"], chosen["validation"]["accuracy/last"]
    )
    assert chosen["validation"]["valid/accuracy/last"] >= max(
        chosen["last"]["valid/accuracy/last"], chosen["oracle"]["valid/accuracy/last"]
    )
    worst = "valid/worst_class/last"
    assert chosen["worst_class"][worst] >= max(one[worst] for one in chosen.values())
    assert len({json.dumps(m, sort_keys=True) for m in chosen.values()}) > 1
    shown = cli.here(
        "run",
        "cdvg_cmnist",
        "--profile",
        "smoke",
        "--method",
        "erm",
        "train.selection=oracle",
        "train.epochs=1",
        out=tmp_path,
    ).stdout
    assert "ORACLE" in shown
    refused = cli.here(
        "sweep",
        "cdvg_cmnist",
        "--profile",
        "smoke",
        "--method",
        "erm",
        "train.selection=oracle",
        "--json",
        out=tmp_path,
        code=2,
    ).stdout
    assert "leak" in json.loads(refused)["error"]["what"]


def test_validation_scores_all_experiences_seen_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    """The weights kept of each experience are those of the epoch with the best rows of all experiences seen, pooled."""
    real, seen = Evaluation.pooled, []

    def watched(self: Evaluation, split: str, numbers: Any) -> Any:
        pooled = real(self, split, numbers)
        seen.append((self.trainer.position["experience"], split, tuple(numbers), pooled["accuracy"]))
        return pooled

    monkeypatch.setattr(Evaluation, "pooled", watched)
    run(
        cli,
        tmp_path,
        "train.selection=validation",
        "train.epochs=4",
        "train.epochs_first=4",
        "train.lr=0.01",
        "data.experiences=3",
    )
    valid = [(k, numbers, value) for k, split, numbers, value in seen if split == "valid"]
    for k in range(3):
        mine = [(numbers, value) for experience, numbers, value in valid if experience == k]
        assert {numbers for numbers, _ in mine} == {tuple(range(k + 1))}
        *epochs, row = [value for _, value in mine]  # the last is the row of the matrix: the weights that were kept
        assert len(epochs) >= 4
        assert row == max(epochs)


def mlflow_tags(out: Path, run: str) -> dict[str, str]:
    with closing(sqlite3.connect(out / "mlflow.db")) as store:
        return dict(store.execute("select key, value from tags where run_uuid = ?", (run,)).fetchall())


def test_the_loader_path_gives_the_same_numbers(tmp_path: Path, cli: CommandLine) -> None:
    one, two = run(cli, tmp_path), run(cli, tmp_path, "train.path=loader")
    assert journal(one, "loss") == journal(two, "loss")


@pytest.mark.slow
def test_compiled_layers_give_nearly_the_same_losses(tmp_path: Path, cli: CommandLine) -> None:
    arguments = ["run", "coconut_slurp", "--profile", "smoke", "--method", "er", "--json", "model.options.dropout=0"]
    plain, compiled = (  # in processes of their own: the compiler itself warns, which is an error here
        json.loads(cli.apart(*arguments, f"train.compile={value}", out=tmp_path).stdout) for value in ("false", "true")
    )
    assert journal(compiled, "loss") == pytest.approx(journal(plain, "loss"), rel=1e-3)


def test_a_fine_tuned_encoder_and_beam_search(tmp_path: Path, cli: CommandLine) -> None:
    report = run(
        cli,
        tmp_path,
        "model.options.frozen=false",
        "model.options.beam=3",
        "model.options.subsample=2",
        "model.options.ctc_weight=0.3",
        "model.options.beam_ctc=0.2",
        "model.options.max_length=6",
        "model.options.spec_augment={warp: 3}",
        method="coconut",
    )
    assert journal(report, "loss/mm")
    assert journal(report, "loss/ctc")
    errors = (Path(report["runs"][0]["folder"]) / "plots" / "word_errors.txt").read_text()
    assert re.search(r"^%WER \d+\.\d+ \[ \d+ / \d+, \d+ ins, \d+ del, \d+ sub \]", errors, re.MULTILINE)


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("speed_perturb=[90]", "model.options.speed_perturb change waveforms"),
        ("noise={}", "model.options.noise change waveforms"),
        ("beam_ctc=0.2", "asks for a CTC head"),
        ("speed_perturb=[10]", "speed_perturb"),
        ("noise={db: [9, 1]}", "db must be"),
    ],
)
def test_augmentation_and_search_that_cannot_be_are_refused(
    option: str, what: str, tmp_path: Path, cli: CommandLine
) -> None:
    assert what in run(cli, tmp_path, f"model.options.{option}", code=2)["error"]["what"]


def test_a_run_that_diverges_says_what_to_change(tmp_path: Path, cli: CommandLine) -> None:
    error = run(cli, tmp_path, "train.lr=99", "train.clip=null", "train.optimizer=SGD", code=4)["error"]
    assert error["code"] == "run_failed"
    assert "non-finite" in error["what"]
    assert "train.lr" in error["next"]


def test_a_full_disk_leaves_a_run_that_can_be_resumed(tmp_path: Path, cli: CommandLine) -> None:
    """A limit on the size of a file acts as a full disk: the checkpoint of a wider model does not fit."""
    command = ["run", "supremix_tabular", "--profile", "smoke", "--method", "l1", "--json"]
    limit: dict[str, Any] = {LARGEST: "1500000"}
    done = cli(*command, "model.options.hidden=512", out=tmp_path, code=4, **limit)
    assert "checkpoint" in done.document["error"]["what"]
    assert not list(tmp_path.rglob("*.part"))
    report = cli("resume", "last", "--json", out=tmp_path).document
    assert report["runs"][0]["status"] == "finished"


def test_dry_run_starts_nothing(tmp_path: Path, cli: CommandLine) -> None:
    plan = cli.here(
        "run", "coconut_slurp", "--profile", "smoke", "--dry-run", "--json", "--seeds", "2", out=tmp_path
    ).document
    assert [row["method"] for row in plan["methods"]] == ["finetune", "er", "coconut", "joint"]
    assert all(row["steps"] > 0 and row["parameters"] > 0 and row["seconds_estimated"] > 0 for row in plan["methods"])
    assert plan["recipe"]["train"]["threads"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_doctor_and_data_verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: CommandLine) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    checks = cli.here("doctor", "--json", out=tmp_path).document
    assert checks["healthy"] is True
    assert {"torch", "GPU", "disk", "cache", "store"} <= {c["what"] for c in checks["checks"]}
    cli.here("data", "prepare", "coconut_slurp", "--profile", "smoke", out=tmp_path)
    assert "log-mel" in cli.here("data", "list", out=tmp_path).stdout
    damaged = next((tmp_path / "cache").glob("*/frames.safetensors"))
    damaged.write_bytes(b"no")
    unfit = cli.here("doctor", "--json", out=tmp_path, code=4).document
    assert next(c["do"] for c in unfit["checks"] if c["what"] == "cache").endswith("suites data clean")
    shown = cli.here("data", "check", "coconut_slurp", "--profile", "smoke", out=tmp_path).stdout
    assert "bag_of_words_accuracy" in shown
    assert "single_word_share" in shown
    cli.here("data", "clean", out=tmp_path)
    assert not list((tmp_path / "cache").glob("*/"))


def test_doctor_names_a_store_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    checks = cli.here("doctor", "--json", out=tmp_path, code=4).document["checks"]
    assert next(c for c in checks if c["what"] == "store")["ok"] is False


@pytest.mark.slow
def test_ui_serves_the_store_on_loopback(tmp_path: Path, cli: CommandLine) -> None:
    run(cli, tmp_path)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {**os.environ, "HOLDFAST_RUNS": str(tmp_path)}
    process = subprocess.Popen(
        [SUITES, "ui", "--port", str(port)],
        env=env,
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(1800):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
                assert answer.status == 200
                break
            assert process.poll() is None
            time.sleep(0.1)
        query = json.dumps({"max_results": 10}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search", query, {"Content-Type": "application/json"}
        )
        names = [e["name"] for e in json.loads(urllib.request.urlopen(request, timeout=10).read())["experiments"]]
        assert "coconut_slurp" in names
    finally:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.mark.parametrize("row", catalog.recipes(), ids=lambda row: row["name"])
def test_every_recipe_in_every_profile(row: dict[str, Any]) -> None:
    digests = set()
    for profile in row["profiles"]:
        recipe = catalog.recipe(row["name"], profile)
        catalog.resolve(recipe)
        digests.add(digest(recipe))
        assert set(recipe.defaults) <= set(recipe.methods)
    assert set(row["profiles"]) == {"smoke", "demo", "paper"}
    assert len(digests) == 3


def manifest_tree(folder: Path) -> Path:
    spec = importlib.util.spec_from_file_location("trees", Path(__file__).parents[1] / "datasets" / "trees.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Path(module.manifest(folder, per_intent=8))


@pytest.mark.parametrize("frozen", ["true", "false"])
def test_a_users_folder_with_a_wav2vec_encoder_and_what_it_predicts(
    frozen: str, tmp_path: Path, cli: CommandLine
) -> None:
    """The whole real path at a tiny size: manifest, transformers checkpoint, training, checkpoint, prediction."""
    transformers = pytest.importorskip("transformers")
    tree = manifest_tree(tmp_path / "mine")
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(20, 16),
        conv_kernel=(20, 16),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
    )
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path / "encoder")
    command = ["run", "coconut_manifest", "--profile", "smoke", "--method", "coconut", "--json"]
    command += ["--data-root", str(tree), "data.experiences=2", "data.options.features=waveform"]
    command += ["methods.coconut.memory_share=null", "methods.coconut.memory_rows=9"]
    model = ["encoder=transformers", f"encoder_name={tmp_path / 'encoder'}", f"frozen={frozen}"]
    if frozen == "false":
        model += ["noise={db: [10, 30]}", "room_seconds=0.1", "speed_perturb=[90, 110]", "spec_augment={}"]
    report = cli.here(*command, *(f"model.options.{field}" for field in model), out=tmp_path).document
    assert report["data"]["source"] == "real"
    files = sorted((tree / "clips").glob("*.wav"))[:3]
    (tmp_path / "broken.wav").write_text("no")
    shown = cli.here(
        "predict", report["runs"][0]["folder"], *map(str, files), str(tmp_path / "broken.wav"), out=tmp_path, code=3
    ).stdout
    lines = [json.loads(line) for line in shown.splitlines()]
    assert [line["file"] for line in lines] == [*map(str, files), str(tmp_path / "broken.wav")]
    assert set(lines[0]) == {"file", "scenario", "action", "intent", "entities", "transcript"}
    assert "unreadable" in lines[-1]["error"]
    alone = cli.here("predict", report["runs"][0]["folder"], str(files[0]), out=tmp_path).stdout
    assert json.loads(alone) == lines[0], "one file says the same alone and among others"


def test_predict_refuses_what_is_no_run(tmp_path: Path, cli: CommandLine) -> None:
    cli.here("predict", "absent", "a.wav", out=tmp_path, code=2)


class Point:
    """An installed package's entry point."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.given, self.value, self.dist = name, value, "package:thing", None

    def load(self) -> Any:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


def test_third_parties_bring_recipes_and_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.methods.continual.finetune import Finetune

    class Theirs(Finetune):
        name = "theirs"

    text = catalog.text("coconut_slurp").replace("name: coconut_slurp\n", "name: their_suite\n", 1)
    text = text.replace("  finetune: {}\n", "  finetune: {}\n  theirs: {}\n")
    points = {"holdfast.suites": [Point("their_suite", text)], "holdfast.methods": [Point("theirs", Theirs)]}
    monkeypatch.setattr(metadata, "entry_points", lambda group: points.get(group, []))
    recipe = catalog.recipe("their_suite", "smoke")
    catalog.resolve(recipe)
    assert "theirs" in recipe.methods
    assert "their_suite" in [row["name"] for row in catalog.recipes()]


def test_a_broken_third_party_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"holdfast.suites": [Point("broken", ImportError("no module named theirs"))]}
    monkeypatch.setattr(metadata, "entry_points", lambda group: points.get(group, []))
    with pytest.warns(UserWarning, match="the entry point 'broken'.*no module named theirs"):
        names = [row["name"] for row in catalog.recipes()]
    assert "coconut_slurp" in names
    assert "broken" not in names
