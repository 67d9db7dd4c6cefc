"""The tours of `notebooks/`, asked anew: their outputs and their recordings. Run it where a server runs.

`python -m tests.record_tours [WORD …]` runs those notebooks whose names hold one of the words; all without one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def tours(*words: str) -> list[Path]:
    """Return the notebooks whose names hold one of the words; all, without one."""
    found = sorted(NOTEBOOKS.glob("*.ipynb"))
    return [path for path in found if not words or any(word in path.name for word in words)]


def recordings(notebook: Path) -> Path:
    """Return the file with the recordings of a notebook."""
    return notebook.with_suffix(".cassette.json")


def ran(notebook: Path, **variables: str) -> Any:
    """Run a notebook in its folder, in a kernel of its own with these variables, and return it with its outputs.

    Nobody tells the kernel which notebook it is; its recordings are named.
    """
    content = nbformat.read(notebook, as_version=4)
    told = {"LLMROUTE_CASSETTE__FILE": recordings(notebook).name, **variables}
    client = NotebookClient(
        content,
        timeout=600,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(notebook.parent)}},
    )
    client.execute(env={**os.environ, **told})
    for cell in content.cells:
        cell.metadata.pop("execution", None)
    return content


def record(notebook: Path) -> None:
    """Ask all questions of a notebook, and keep what comes."""
    recordings(notebook).unlink(missing_ok=True)
    content = ran(notebook, LLMROUTE_CASSETTE__MODE="all")
    content.metadata.pop("widgets", None)
    content.metadata["language_info"] = {"name": "python"}
    nbformat.write(content, notebook)


if __name__ == "__main__":
    for path in tours(*sys.argv[1:]):
        print(path.name, flush=True)
        record(path)
