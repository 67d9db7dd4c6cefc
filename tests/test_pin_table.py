"""Pins of a notebook are read alike by the kernel and by the JupyterLab extension."""

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_llmroute.core.pins import ANY, MOST_CHARS, read

TABLE = Path(__file__).parents[1] / "labextension" / "tests" / "pins.json"
LONGEST = "\N{GRINNING FACE}" * MOST_CHARS


@pytest.mark.parametrize("row", json.loads(TABLE.read_text("utf-8")), ids=lambda row: json.dumps(row["held"]))
def test_what_the_table_says_is_read(row: dict[str, Any]) -> None:
    assert {pin.task or ANY: pin.model for pin in read(row["held"]).pins} == row["read"]


def test_the_longest_name_is_counted_in_characters() -> None:
    assert len(read({"any": LONGEST}).pins) == 1
    assert read({"any": LONGEST + "a"}).pins == ()
