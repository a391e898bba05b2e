"""The training loop's library is imported without what it takes along and nothing here uses; all of it still works."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from holdfast.methods.training.imports import hidden, import_streams, later
with hidden("mailbox"):
    try:
        import mailbox
    except ImportError:
        pass
    else:
        raise AssertionError("hidden")
import mailbox
with later("colorsys", "there_is_no_such_package"):
    import colorsys as early
    from colorsys import rgb_to_hsv
    try:
        import there_is_no_such_package
    except ImportError:
        pass
    else:
        raise AssertionError("made up")
assert "colorsys" not in sys.modules
assert rgb_to_hsv(0, 0, 1)[2] == 1
import colorsys
assert early.ONE_THIRD == colorsys.ONE_THIRD

import_streams()
assert "avalanche" in sys.modules
unused = ("jax", "wandb", "torchmetrics", "transformers", "avalanche.benchmarks.classic.cmnist")
assert not set(unused) & set(sys.modules), set(unused) & set(sys.modules)

# Avalanche's own benchmarks: by the package, by the module, by a part of it
import avalanche.benchmarks as benchmarks
from avalanche.benchmarks import utils
assert "avalanche.benchmarks.classic.cmnist" not in sys.modules
try:
    benchmarks.no_such_benchmark
except AttributeError as error:
    assert "no_such_benchmark" in str(error)
else:
    raise AssertionError("made up")
from avalanche.benchmarks import SplitMNIST
from avalanche.benchmarks.classic import PermutedMNIST
from avalanche.benchmarks.classic.ccifar10 import SplitCIFAR10
assert benchmarks.SplitMNIST is SplitMNIST and benchmarks.PermutedMNIST is PermutedMNIST
assert benchmarks.classic.SplitCIFAR10 is SplitCIFAR10

# its strategies, loggers and metrics
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.evaluation.metrics import TopkAccuracy, accuracy_metrics
from avalanche.logging import InteractiveLogger, WandBLogger
from avalanche.models import SimpleMLP
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive, Replay
x, y = torch.rand(40, 4), torch.arange(40) % 4
data = torch.utils.data.TensorDataset(x, y)
data.targets = y.tolist()
scenario = nc_benchmark(data, data, n_experiences=2, task_labels=False, seed=0)
for kind, options in ((Naive, {}), (Replay, {"mem_size": 8})):
    model = SimpleMLP(num_classes=4, input_size=4, hidden_size=8)
    evaluator = EvaluationPlugin(accuracy_metrics(stream=True))
    strategy = kind(
        model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=8, evaluator=evaluator, **options,
    )
    for experience in scenario.train_stream:
        strategy.train(experience)
    assert strategy.eval(scenario.test_stream)
top = TopkAccuracy(2)
top.update(torch.eye(4), torch.arange(4), 0)
assert list(top.result().values()) == [1]
import torchmetrics
import wandb
assert torchmetrics.__version__ and wandb.__version__
"""


def test_what_is_not_used_is_loaded_when_it_is_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
