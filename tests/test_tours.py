"""The tours, both ways: replayed from their recordings with no server, and asked anew of the embedded one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_llmroute.core.embedded import Running
from jupyter_llmroute.tour import packaged_tour
from jupyter_llmroute.view import ANSWER_MIME

from .record_tours import ran, recordings, tours

TOURS = tours()

NO_SERVER = """
services: {}
discovery: {default_ports: false, host_machine: false}
embedded: {enabled: false}
"""

OF_THIS_MACHINE = "nbval-ignore-output"
"""The tag of cells that show what Python itself says, such as a traceback: their outputs are no recordings."""


def outputs(notebook: Any) -> list[Any]:
    """What the cells show, besides what is of this machine."""
    return [
        cell.outputs
        for cell in notebook.cells
        if cell.cell_type == "code" and OF_THIS_MACHINE not in cell.metadata.get("tags", ())
    ]


def shape(notebook: Any) -> list[Any]:
    """What kinds of outputs the cells have: forms, states of answers, heads of tables; no words of a model."""
    return [[_shape(output) for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]


def _shape(output: Any) -> tuple[Any, ...]:
    data = output.get("data", {})
    markdown = data.get("text/markdown", "")
    head = markdown.splitlines()[0] if re.match(r"\|.*\|\n\|[ :|-]+\|\n", markdown) else ""
    return output.output_type, sorted(data), data.get(ANSWER_MIME, {}).get("state"), head


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to replay in, where no server is known and nothing of the user's is."""
    settings = tmp_path / "llmroute.yaml"
    settings.write_text(NO_SERVER)
    told = {
        "LLMROUTE_SETTINGS": str(settings),
        "LLMROUTE_HOME": str(tmp_path / "home"),
        "LLMROUTE_CASSETTE__MODE": "none",
        "LLMROUTE_CASSETTE__PACED": "false",
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def copied(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tour with its recordings, in a folder of its own."""
    tour: Path = request.param
    there = tmp_path / "there"
    there.mkdir()
    shutil.copy(recordings(tour), there)
    return Path(shutil.copy(tour, there))


@pytest.mark.parametrize("copied", TOURS, indirect=True, ids=lambda path: path.stem)
def test_a_tour_shows_the_same_bytes_again_without_any_server(copied: Path, alone: Path) -> None:
    assert outputs(ran(copied)) == outputs(nbformat.read(copied, as_version=4))


@pytest.mark.parametrize("copied", TOURS, indirect=True, ids=lambda path: path.stem)
def test_nbval_finds_no_difference_without_any_server(copied: Path, alone: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider", copied.name],
        cwd=copied.parent,
        env={**os.environ, "LLMROUTE_CASSETTE__FILE": recordings(copied).name},
        capture_output=True,
        text=True,
    )
    code_cells = sum(cell.cell_type == "code" for cell in nbformat.read(copied, as_version=4).cells)
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"{code_cells} passed" in done.stdout


@pytest.mark.parametrize("copied", TOURS, indirect=True, ids=lambda path: path.stem)
def test_a_tour_asked_anew_has_the_same_structure(
    copied: Path, embedded: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMROUTE_SETTINGS", str(Path(__file__).parent / "data" / "embedded-only.yaml"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    assert shape(ran(copied)) == shape(nbformat.read(copied, as_version=4))


@pytest.mark.parametrize("notebook", TOURS, ids=lambda path: path.stem)
def test_a_tour_is_saved_with_whole_answers_and_no_widgets(notebook: Path) -> None:
    saved = nbformat.read(notebook, as_version=4)
    bundles = [output.get("data", {}) for cell in saved.cells for output in cell.get("outputs", ())]
    states = {bundle[ANSWER_MIME]["state"] for bundle in bundles if ANSWER_MIME in bundle}
    assert states == {"complete"}
    assert "widgets" not in saved.metadata
    assert not [bundle for bundle in bundles if "application/vnd.jupyter.widget-view+json" in bundle]


def test_the_first_tour_comes_with_the_package() -> None:
    assert packaged_tour().is_file()
