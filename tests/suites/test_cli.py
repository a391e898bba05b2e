"""Bad inputs: one clear message and the right exit code, never a traceback; and how fast the light verbs answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from holdfast.suites.cli import app

from .hints import commands, refusal, unknown_fields
from .process import CommandLine

BAD: list[tuple[list[str], int, str]] = [
    (["run", "coconut_slurpp"], 2, "did you mean 'coconut_slurp'"),
    (["run", "nothing.yaml"], 2, "cannot read the recipe"),
    (["run", "coconut_slurp", "--profile", "dmo"], 2, "did you mean 'demo'"),
    (["run", "coconut_slurp", "--method", "coconutt"], 2, "did you mean 'coconut'"),
    (["run", "coconut_slurp", "--seed", "1", "--seeds", "2"], 2, "exclude each other"),
    (["run", "coconut_slurp", "--seed", "-1"], 2, "--seed"),
    (["run", "coconut_slurp", "--seeds", "0"], 2, "--seeds"),
    (["run", "coconut_slurp", "--seeds", "many"], 2, "valid integer"),
    (["run", "coconut_slurp", "--device", "tpu"], 2, "unknown device"),
    (["run", "coconut_slurp", "--device", "cuda"], 2, "no usable CUDA"),
    (["run", "coconut_slurp", "--data-root", "absent"], 3, "no such folder"),
    (["run", "coconut_slurp", "--data-root", "."], 3, "dataset/slurp/train.jsonl is missing"),
    (["run", "coconut_slurp", "train.batch_sise=3"], 2, "did you mean 'batch_size'"),
    (["run", "coconut_fsc", "data.class_order=sedeed"], 2, "data.class_order: no such order - did you mean 'seeded'?"),
    (["run", "coconut_fsc", "data.class_order=3"], 2, "or a list of all class names"),
    (["run", "coconut_fsc", "data.class_order=[a]", "data.split=range"], 2, "names belong to split: classes"),
    (["run", "coconut_slurp", "train.batch_size=0"], 2, "greater than or equal to 1"),
    (["run", "coconut_slurp", "train.batch_size=three"], 2, "valid integer"),
    (["run", "coconut_slurp", "train.lr=-1", "train.epochs=0", "data.experiences=0"], 2, "3 errors"),
    (["run", "coconut_slurp", "methods.coconut.temprature=0.1"], 2, "did you mean 'temperature'"),
    (["run", "coconut_slurp", "methods.coconut.temperature=-1"], 2, "greater than 0"),
    (["run", "coconut_slurp", "methods.coconutt.temperature=1"], 2, "did you mean 'coconut'"),
    (["run", "coconut_slurp", "methods.*.memory_sise=1"], 2, "has this field - did you mean 'memory_share'"),
    (["run", "coconut_slurp", "unequal.memory_share=because"], 2, "a reason is a sentence"),
    (["run", "coconut_slurp", "unequal.text_pool=the methods do differ"], 2, "no method has such a protocol field"),
    (["run", "coconut_slurp", "model.name=slu2"], 2, "unknown network 'slu2'"),
    (["run", "coconut_slurp", "model.options.heads=3"], 2, "multiple of heads"),
    (["run", "coconut_slurp", "data.name=slrup"], 2, "unknown data set 'slrup'"),
    (["run", "coconut_slurp", "data.options.n_train=-4"], 2, "greater than or equal to 1"),
    (["run", "coconut_slurp", "nonsense"], 2, "is no override"),
    (
        ["run", "coconut_slurp", "claims=[{metric: a, better: er, than: joint, bye: 1}]"],
        2,
        "claims.0.bye: no such field",
    ),
    (
        ["run", "coconut_slurp", "claims=[{metric: acuracy/last, better: er, than: finetune}]"],
        2,
        "claims.0.metric: unknown metric 'acuracy/last' - did you mean 'accuracy/last'",
    ),
    (["sweep", "coconut_slurp", "--objective", "valid/accuracyy/last"], 2, "did you mean 'valid/accuracy/last'"),
    (["sweep", "coconut_slurp", "--objective", "valid/wer/last:max"], 2, "would look for the worst"),
    (["run", "supremix_agedb", "model.weights=absent"], 2, "no invocation and no run"),
    (["run", "supremix_tabular", "data.experiences=2"], 2, "data.split=range"),
    (["run", "supremix_tabular", "methods.l1.epochs=0"], 2, "greater than or equal to 1"),
    (["run", "supremix_tabular", "model.options.encoder=transformers"], 2, "takes pairs of texts"),
    (
        ["run", "supremix_stsb", "model.options.encoder=transformers", "model.options.encoder_name=./absent"],
        3,
        "no readable transformers model './absent'",
    ),
    (["run", "coconut_slurp", "name=mine"], 2, "cannot be overridden"),
    (["run", "coconut_slurp", "--wrong-option"], 2, "--wrong-option"),
    (["resume", "absent"], 2, "no invocation and no run"),
    (["resume", "last"], 2, "there are no runs and no studies here"),
    (["run", "supremix_agedb", "methods.lds.kernel_size=4"], 2, "kernel_size must be odd, not 4"),
    (["runs", "remove", "."], 2, "no invocation and no run"),
    (["runs", "remove", "absent", "--yes"], 2, "no invocation and no run"),
    (["sweep", "supremix_tabular", "--study", "../x"], 2, "'../x' is no name for a study"),
    (["validate"], 2, "--all"),
    (["show", "cocnut_slurp"], 2, "did you mean 'coconut_slurp'"),
    (["shw"], 2, "shw"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD, ids=[" ".join(b[0]) for b in BAD])
def test_bad_input(arguments: list[str], code: int, message: str, tmp_path: Path, cli: CommandLine) -> None:
    json_option = ["--json"] if arguments[0] in ("run", "resume") else []
    done = cli.here(*arguments, *json_option, out=tmp_path, code=code, HOLDFAST_RUNS=str(tmp_path / "runs"))
    assert message in done.stderr
    advice = done.stderr.rpartition("\nnext:  ")[2]
    assert [(one, why) for one in commands(advice) if (why := refusal(one))] == []
    assert unknown_fields(advice) == []
    assert list(tmp_path.glob("**/*.part")) == []
    if arguments[0] in ("run", "resume"):
        error = done.document["error"]
        assert set(error) == {"code", "what", "where", "next"}
        assert all(error.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "no YAML"),
        ("- 1", "mapping"),
        ("schema: 2\nname: x", "Field required"),
        ("schema: 2\nnmae: x", "did you mean 'name'"),
        ("schema: 1\nname: x", "suites migrate ./r.yaml"),
        ("schema: 7", "no such schema: 7"),
        ("name: x", "says 'schema: 2'"),
    ],
)
def test_bad_recipe_files(text: str, message: str, tmp_path: Path, cli: CommandLine) -> None:
    (tmp_path / "r.yaml").write_text(text)
    assert message in cli.here("validate", "./r.yaml", out=tmp_path, code=2).stderr


def test_copy_show_validate(tmp_path: Path, cli: CommandLine) -> None:
    cli("copy", "coconut_slurp", "mine.yaml", out=tmp_path)
    cli("copy", "coconut_slurp", "mine.yaml", out=tmp_path, code=2)
    cli("validate", "mine.yaml", out=tmp_path)
    assert cli("show", "coconut_slurp", "--json", out=tmp_path).document["name"] == "coconut_slurp"
    assert cli("validate", "--all", "--json", out=tmp_path).document


def test_light_verbs_import_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['suites', {!r}]\nfrom holdfast.suites.cli.app import main\n"
    code += "try:\n main()\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'avalanche', 'mlflow', 'pandas') if m in sys.modules], file=sys.stderr)"
    for verb in ("list", "--help"):
        done = subprocess.run([sys.executable, "-c", code.format(verb)], capture_output=True, text=True, cwd=tmp_path)
        assert done.stderr.strip().endswith("[]"), done.stderr


def test_a_full_or_unwritable_folder_is_said(tmp_path: Path, cli: CommandLine) -> None:
    (tmp_path / "file").write_text("")
    run = ["run", "coconut_slurp", "--profile", "smoke", "--out", "file/runs", "--json"]
    done = cli(*run, out=tmp_path, code=2)
    assert "cannot make the folder" in done.stderr


def test_threads_of_torch_do_not_spin_unless_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, expected in (({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)):
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        monkeypatch.setenv("GOMP_SPINCOUNT", "")
        monkeypatch.delenv("GOMP_SPINCOUNT")
        for name, value in said.items():
            monkeypatch.setenv(name, value)
        app.wait_briefly()
        assert os.environ.get("GOMP_SPINCOUNT") == expected
