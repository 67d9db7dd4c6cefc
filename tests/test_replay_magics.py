"""The magics of a notebook, recorded with a server and run again by nbval where nothing can be reached."""

import json
import sys
from pathlib import Path

import nbformat
import pytest

from .scripted import llamacpp, says
from .test_replay import REFUSES, RUNS, _outputs, _ran

CELLS = (
    "%load_ext jupyter_llmroute",
    "%llm_services --text",
    "%llm_models coding --text",
    "numbers = [3, 1, 2]\nprint(object())",
    "%%route --temperature 0 --explain\nsort @numbers",
    "%%route\nand backwards?",
    "print(_route.text, _route.task, _route.tokens_per_second)",
    "%route --dry-run why is it slow?",
    "%llm_why",
    "%llm_context what is in @numbers?",
    "%llm_context --full what is in @numbers?",
    "for _ in range(2):\n    %route --no-context say a number",
    "%llm_retry --task documentation",
    "%llm_why --all",
)


@pytest.mark.skipif(sys.platform == "win32", reason="a kernel's loop connects to itself there")
def test_a_notebook_of_magics_runs_again_with_its_recordings_alone(tmp_path: Path) -> None:
    here, there, reached = (tmp_path / name for name in ("here", "there", "reached"))
    here.mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    notebook.cells[3].metadata["tags"] = ["nbval-ignore-output"]  # an address in memory
    nbformat.write(notebook, here / "n.ipynb")
    answers = [says(f"answer {number}", "\n```python\nsorted(x)\n```\n") for number in range(9)]
    with llamacpp(answers) as server:
        settings = {
            "services": {"custom_endpoints": [{"name": "desk", "endpoint": server.url}]},
            "discovery": {"default_ports": False},
            "embedded": {"enabled": False},
        }
        (tmp_path / "llmroute.yaml").write_text(json.dumps(settings))
        own = {
            "LLMROUTE_SETTINGS": str(tmp_path / "llmroute.yaml"),
            "LLMROUTE_CASSETTE__MODE": "all",
            "LLMROUTE_CASSETTE__FILE": "n.cassette.json",
        }
        _ran("-c", RUNS, "n.ipynb", "n.ipynb", cwd=here, home=tmp_path / "home", **own)
    here.rename(there)
    home = tmp_path / "strange"
    home.mkdir()
    (home / "sitecustomize.py").write_text(REFUSES)
    alone = {
        "HOOKED": str(tmp_path / "hooked"),
        "REACHED": str(reached),
        "LLMROUTE_SETTINGS": "",
        "LLMROUTE_CASSETTE__MODE": "none",
        "LLMROUTE_CASSETTE__FILE": "",
        "LLMROUTE_CASSETTE__PACED": "false",
    }
    nbval = ("-m", "pytest", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "n.ipynb")
    assert f"{len(CELLS)} passed" in _ran(*nbval, cwd=there, home=home, **alone)
    _ran("-c", RUNS, "n.ipynb", "again.ipynb", cwd=there, home=home, **alone)
    first, again = _outputs(there / "n.ipynb"), _outputs(there / "again.ipynb")
    assert first[:3] + first[4:] == again[:3] + again[4:]
    assert not reached.exists()
