"""The first tour, opened in JupyterLab."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from jupyter_llmroute.core.errors import MissingExtra

TOUR = "01_first_route.ipynb"


def open_in_lab(options: Sequence[str] = ()) -> int:
    """Put the tour's notebook into this folder, unless it is there, and run JupyterLab on it until it is closed.

    Parameters
    ----------
    options
        JupyterLab's own.

    Returns
    -------
    int
        JupyterLab's exit status.

    Raises
    ------
    MissingExtra
        JupyterLab is not installed.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise MissingExtra('JupyterLab is not installed: pip install "jupyter-llmroute[lab]".')
    notebook = Path.cwd() / TOUR
    if not notebook.exists():  # what is there may be the user's own work
        shutil.copy(packaged_tour(), notebook)
    print(f"Opening {notebook} in JupyterLab; Ctrl-C twice ends it.", flush=True)
    lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", str(notebook), *options])
    signal.signal(signal.SIGTERM, lambda *_: lab.terminate())  # it must not outlive this process
    while True:
        try:
            return lab.wait()
        except KeyboardInterrupt:
            continue  # it went to JupyterLab too, which asks before it ends


def packaged_tour() -> Path:
    """Return where the tour's notebook lies: in the installed package, or in a source checkout."""
    package = Path(__file__).parent
    installed = package / "tours" / TOUR
    return installed if installed.is_file() else package.parent / "notebooks" / TOUR
