"""What a table looks like where there is little space."""

from __future__ import annotations

import io

import pytest
from holdfast.suites.runtime.console import Console
from rich.console import Console as Rich


def shown(width: int, header: list[str], rows: list[list[str]]) -> list[str]:
    console, out = Console(), io.StringIO()
    console.rich = Rich(file=out, width=width)
    console.table("a title", header, rows)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_numbers_are_whole_whatever_the_width(width: int) -> None:
    header = ["method (seeds)", *(f"metric{i}\nlast" for i in range(11))]
    rows = [[f"method{m} (3)", *(f"{m}.{i:03d} ± 0.123" for i in range(11))] for m in range(4)]
    lines = shown(width, header, rows)
    assert max(map(len, lines)) <= width
    for row in rows:
        for cell in row:
            assert any(cell in line for line in lines), cell
    titles = sum("method (seeds)" in line for line in lines)
    assert (titles == 1) == (width == 200)
    assert sum("a title" in line for line in lines) == 1


def test_a_long_text_is_folded_in_its_column() -> None:
    lines = shown(80, ["field", "default", "meaning"], [["temperature", "0.3", "the temperature " * 20]])
    assert max(map(len, lines)) <= 80
    assert sum("field" in line for line in lines) == 1
    assert "".join(line.split("│")[3].strip() for line in lines if "│" in line).count("temperature") == 20
