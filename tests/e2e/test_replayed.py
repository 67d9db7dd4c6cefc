"""A tour with its recordings in a real JupyterLab: no server is asked, and the cells show the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
from playwright.sync_api import Page, expect

from ..record_tours import NOTEBOOKS, recordings
from ..test_tours import outputs
from .test_lab import output, run_cell, screenshot

TOUR = "01_first_route.ipynb"

ALONE = "%load_ext jupyter_llmroute\n%llm_config cassette.mode=none embedded.enabled=false"

RUN_ALL = "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"


def test_a_tour_replays_beside_its_recordings_and_shows_the_same_bytes(
    page: Page, open_notebook: Callable[[str], Path]
) -> None:
    copy = open_notebook(TOUR)
    shutil.copy(recordings(NOTEBOOKS / TOUR), recordings(copy))
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run_cell(page, 0, ALONE)
    expect(output(page, 0)).to_contain_text("cassette.mode")
    run_cell(page, 0, "%reload_ext jupyter_llmroute\n" + ALONE)
    page.evaluate(RUN_ALL)
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first).to_be_attached()
    expect(output(page, 7)).to_contain_text("Task")
    screenshot(page, "replayed")
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    shown, kept = (outputs(nbformat.read(path, as_version=4)) for path in (copy, NOTEBOOKS / TOUR))
    assert shown[1:] == kept[1:]
