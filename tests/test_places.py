"""The notebook's own order: prose that belongs to cells, and what stands above a question."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.request import CellRef
from jupyter_llmroute.places import UNKNOWN_ORDER, Notebook, Place, chosen, order, saved, with_prose

NOTEBOOK = [
    Place("t", "markdown", "# Title"),
    Place("a", "code", "a = 1"),
    Place("h", "markdown", "## Rates"),
    Place("i", "markdown", "in per cent"),
    Place("b", "code", "b = 2"),
    Place("r", "raw", "raw"),
    Place("k", "markdown", "so why?"),
    Place("q", "code", "%%route"),
    Place("c", "code", "c = 3"),
]
CELLS = (CellRef(number=2, source="b = 2", id="b"), CellRef(number=3, source="c = 3", id="c"))
STRAY = CellRef(number=1, source="z = 0", id="gone")
QUESTION = CellRef(number=4, source="", id="q")


def write(path: Path, *places: Place) -> Path:
    cells = [{"id": p.id, "cell_type": p.kind, "source": p.source.splitlines(keepends=True)} for p in places]
    path.write_text(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}))
    return path


def test_a_notebook_is_read_as_it_was_saved_last(tmp_path: Path):
    path = write(tmp_path / "a.ipynb", *NOTEBOOK)
    assert order(path) == tuple(NOTEBOOK)
    write(path, NOTEBOOK[0])
    os.utime(path, ns=(1, 1))
    assert order(path) == (NOTEBOOK[0],)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"cells": 3}', '{"cells": [1]}', "[" * 100_000])
def test_a_file_that_is_no_notebook_has_no_order(tmp_path: Path, text: str):
    (tmp_path / "a.ipynb").write_text(text)
    assert order(tmp_path / "a.ipynb") == ()
    assert order(tmp_path / "none.ipynb") == order(None) == ()


def write_metadata(path: Path, metadata: Any) -> Path:
    path.write_text(json.dumps({"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": metadata}))
    return path


METADATA = {
    "a pin for a task": ({"llmroute": {"pins": {"coding": "qwen3:8b@ollama"}}}, ["qwen3:8b@ollama"], 0),
    "keys of others": ({"llmroute": {"theme": 1}, "kernelspec": {}}, [], 0),
    "no metadata of ours": ({}, [], 0),
    "a task that there is not": ({"llmroute": {"pins": {"poetry": "m", "any": "n"}}}, ["n"], 1),
    "a list for the metadata": ([], [], 0),
    "a word in the place of ours": ({"llmroute": "pins"}, [], 0),
    "a word in the place of the pins": ({"llmroute": {"pins": "any"}}, [], 1),
}


@pytest.mark.parametrize(("metadata", "pins", "remarks"), METADATA.values(), ids=METADATA)
def test_pins_are_read_from_the_metadata(tmp_path: Path, metadata: Any, pins: list[str], remarks: int):
    found = saved(write_metadata(tmp_path / "a.ipynb", metadata)).pins
    assert [pin.model for pin in found.pins] == pins
    assert len(found.remarks) == remarks


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


@given(JSON | st.fixed_dictionaries({"llmroute": JSON | st.fixed_dictionaries({"pins": JSON})}))
def test_whatever_stands_in_the_metadata_the_notebook_reads(metadata: Any):
    with tempfile.TemporaryDirectory() as folder:
        path = write_metadata(Path(folder) / "a.ipynb", metadata)
        found = saved(path)
    assert found.places == ()
    assert len(found.pins.pins) <= 5
    assert len(found.pins.remarks) <= 4
    assert saved(path) == saved(None) == Notebook()


def test_the_prose_right_above_a_cell_goes_before_it_and_that_above_the_question_comes_last():
    found = with_prose(CELLS, NOTEBOOK, QUESTION)
    assert [(cell.number, cell.source) for cell in found] == [
        (2, "## Rates"),
        (2, "in per cent"),
        (2, "b = 2"),
        (3, "c = 3"),
        (4, "so why?"),
    ]
    assert [cell.kind for cell in found] == ["markdown", "markdown", "code", "code", "markdown"]


def test_cells_without_an_id_have_no_prose():
    bare = tuple(cell.model_copy(update={"id": ""}) for cell in CELLS)
    assert with_prose(bare, [Place("", "markdown", "x"), Place("", "code", "y")], CellRef(number=4, source="")) == bare


@pytest.mark.parametrize(
    ("text", "expected"),
    [("all", {1, 2, 3, 4}), ("none", set()), ("above", {1, 2, 4}), ("2-3", {2, 3}), ("1,3", {1, 3})],
)
def test_cells_are_chosen(text: str, expected: set[int]):
    assert chosen(text, (STRAY, *CELLS), NOTEBOOK, QUESTION).numbers == expected


def test_what_the_order_does_not_tell_is_said():
    assert chosen("above", CELLS, NOTEBOOK, QUESTION).remarks == ()
    assert chosen("above", (STRAY, *CELLS), NOTEBOOK, QUESTION).remarks == (
        "--cells above: In[1] came along too: their place in the notebook is not known.",
    )
    assert chosen("above", CELLS, (), QUESTION) == (frozenset({2, 3}), (UNKNOWN_ORDER,))


def test_a_cell_that_there_is_not_is_named():
    with pytest.raises(UserError, match="there is no cell 9"):
        chosen("9", CELLS, NOTEBOOK, QUESTION)
