"""``suites compare --order``: how alike methods rank on different data."""

from __future__ import annotations

from pathlib import Path

import pytest
from holdfast.suites import api
from holdfast.suites.config.errors import Fault
from holdfast.suites.reports import compared

from .process import CommandLine
from .test_compare import invocation

WORLD = {"l1": [1.0, 1.1, 1.2], "mse": [2.0, 2.1, 2.2], "rnc": [3.0, 3.1, 3.2], "fds": [4.0, 4.1, 4.2]}
RECORDED = {"l1": [5.0, 5.1], "mse": [6.0, 6.1], "rnc": [8.0, 8.1], "fds": [7.0, 7.1], "lds": [1.0, 1.0]}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    invocation(tmp_path, "world", WORLD, file="world.csv")
    invocation(tmp_path, "recorded", RECORDED, file="recorded.csv")
    return tmp_path


def test_the_correlation_of_two_orders_is_in_the_document_and_the_tables(runs: Path) -> None:
    document = api.compare("world", "recorded", order=True, out=runs)
    (pair,) = document["orders"]
    assert pair["orders"] == [["l1", "mse", "rnc", "fds"], ["l1", "mse", "fds", "rnc"]]  # a smaller error is better
    assert (pair["methods"], pair["left_out"], pair["seeds"]) == (("l1", "mse", "rnc", "fds"), ["lds"], (3, 2))
    assert pair["kendall"]["value"] == pytest.approx(4 / 6)
    assert pair["spearman"]["value"] == pytest.approx(0.8)
    assert pair["kendall"]["low"] == pair["kendall"]["high"] == pytest.approx(4 / 6)  # all seeds agree
    text = compared.markdown(document)
    assert (
        "| supremix_tabular file=world.csv / supremix_tabular file=recorded.csv | 4 | 3 and 2 | 0.67 [0.67, 0.67] |"
        in text
    )
    assert "| 3 | rnc | fds |" in text
    assert api.compare("world", "recorded", out=runs)["orders"] is None


def test_the_screen_has_it_and_what_has_no_order_is_refused(
    runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = CommandLine()
    said = cli.here("compare", "world", "recorded", "--order", out=runs).stdout
    assert "Kendall" in said
    cli.here("compare", "world", "--order", out=runs, code=2)
    assert "these runs are of one data set" in capfd.readouterr().err
    invocation(runs, "few", {"l1": [1.0], "mse": [2.0]}, file="few.csv")
    with pytest.raises(Fault, match="3 methods in both places, not 2"):
        api.compare("world", "few", order=True, out=runs)
