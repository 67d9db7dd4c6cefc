"""A proof by hand: jupyter-ai's own `%%ai` magic asks through the gateway.

Run: python tests/bench/jupyter_ai.py PYTHON

`PYTHON` is that of an environment with jupyter_ai_magics 2.31 and langchain-openai; the Jupyter server with the
extension and a fake model server run here. It is no test: what it installs is large, and not ours.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gateway import KEY, jupyter, upstream

CODE = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "jupyter_ai_magics")
options = json.dumps({"openai_api_base": sys.argv[1]}, separators=(",", ":"))
line = f"{sys.argv[3]} -f text -m {options}"
print("the magic: %%ai", line)
answer = shell.run_cell_magic("ai", line, "Why is the sky blue?")
print("the answer:", getattr(answer, "text", answer))
"""

MODEL = "openai-chat-custom:auto:reasoning"
"""jupyter-ai's provider for servers of the OpenAI dialect, and our model."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        url = running.enter_context(upstream())
        target = running.enter_context(jupyter(url, Path(name), with_audit=False))
        words = (sys.argv[1], "-c", CODE, target.url, KEY, MODEL)
        raise SystemExit(
            subprocess.run(words, check=False, cwd=name, env={**os.environ, "OPENAI_API_KEY": KEY}).returncode
        )


if __name__ == "__main__":
    main()
