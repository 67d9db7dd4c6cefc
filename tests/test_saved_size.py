"""What a notebook keeps of an answer: its last state, however often it was shown while it came."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from .scripted import llamacpp, says
from .shown import NO_OTHERS

WORDS = ("def ", "total", "(rows", ", ", "window", "=3):\n", "    ", "return ", "sum(", "rows[-", "window", ":])\n\n")
TOKENS = tuple(WORDS[number % len(WORDS)] for number in range(2_000))

MOST_APART = 300
"""Bytes that reasons and seconds may differ by."""

EACH = f"""
from jupyter_llmroute.core.events import TextDelta
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.screen import OutputScreen
from jupyter_llmroute.view import RunView

view, screen = RunView(Request(question="functions?")), OutputScreen()
for text in {TOKENS!r}:
    view.apply(TextDelta(text=text))
    screen.update(view, final=False)
"""
ONCE = EACH.replace("\n    screen.update", "\nscreen.update")
ASK = "%%route --no-context -t coding\nfunctions?"


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """Bytes of the saved notebook of each cell alone, after all of them were run."""
    home = tmp_path_factory.mktemp("saved")
    with llamacpp([says("warm"), says(*TOKENS), says("".join(TOKENS))]) as server:
        settings = home / "llmroute.yaml"
        named = f"custom_endpoints: [{{name: s0, endpoint: '{server.url}'}}], {NO_OTHERS}"
        settings.write_text(f"services: {{{named}}}\nembedded: {{enabled: false}}\n")
        own = {name: str(home) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "LLMROUTE_HOME")}
        sources = ("%load_ext jupyter_llmroute", ASK, ASK, ASK, EACH, ONCE)
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        client = NotebookClient(notebook, timeout=120, kernel_name="python3")
        client.execute(env={**os.environ, **own, "LLMROUTE_SETTINGS": str(settings)})
    return [_saved(notebook.cells[number], home / f"{number}.ipynb") for number in range(2, 6)]


def _saved(cell: nbformat.NotebookNode, path: Path) -> int:
    (output,) = cell.outputs
    assert "".join(TOKENS).strip() in output.data["text/plain"]
    alone = {**cell, "source": "", "metadata": {}}
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.from_dict(alone)]), path)
    return path.stat().st_size


def test_an_answer_of_2000_tokens_is_saved_as_one_that_came_at_once(sizes: list[int]) -> None:
    streamed, at_once, *_ = sizes
    assert abs(streamed - at_once) < MOST_APART


def test_an_output_that_was_updated_2000_times_is_saved_as_one_that_was_shown_once(sizes: list[int]) -> None:
    *_, each, once = sizes
    assert abs(each - once) < MOST_APART
