"""The tours still give what they show: nbval runs each against the embedded server."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from jupyter_llmroute.core.embedded import Running
from jupyter_llmroute.tour import packaged_tour
from jupyter_llmroute.view import ANSWER_MIME

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_tour_gives_what_it_shows(notebook: Path, embedded: Running, tmp_path: Path) -> None:
    settings = Path(__file__).parent / "data" / "embedded-only.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider", str(notebook)],
        env={**os.environ, "LLMROUTE_SETTINGS": str(settings), "IPYTHONDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    code_cells = sum(cell.cell_type == "code" for cell in nbformat.read(notebook, as_version=4).cells)
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"{code_cells} passed" in done.stdout


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_tour_is_saved_with_a_whole_answer_and_no_widgets(notebook: Path) -> None:
    saved = nbformat.read(notebook, as_version=4)
    bundles = [output.get("data", {}) for cell in saved.cells for output in cell.get("outputs", ())]
    states = {bundle[ANSWER_MIME]["state"] for bundle in bundles if ANSWER_MIME in bundle}
    assert states == {"complete"}
    assert "widgets" not in saved.metadata


def test_the_first_tour_comes_with_the_package() -> None:
    assert packaged_tour().is_file()
