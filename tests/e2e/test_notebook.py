"""Notebook 7: the same extension on a page with one document."""

from __future__ import annotations

import shutil

from playwright.sync_api import Page, expect

from .conftest import KERNEL_READY, NOTEBOOKS, WRITER, Desk
from .test_lab import output, run_cell, screenshot


def test_the_card_the_panel_and_the_commands_of_cells_are_there(page: Page, desk: Desk, errors_seen: list[str]) -> None:
    shutil.copy(NOTEBOOKS / "01_first_route.ipynb", desk.lab.root / "notebook7.ipynb")
    page.goto(f"{desk.lab.url}/notebooks/notebook7.ipynb?token={desk.lab.token}")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    page.evaluate(KERNEL_READY, 60_000)
    run_cell(page, 0)
    run_cell(page, 1, "%%route --no-context -t coding\nsquares, please")
    expect(output(page, 1).locator(".jp-llmroute-card")).to_have_attribute("data-state", "complete")
    expect(output(page, 1).get_by_role("button", name="Insert below: Code")).to_be_visible()
    page.evaluate("() => window.jupyterapp.commands.execute('llmroute:open-panel')")
    panel = page.get_by_role("region", name="LLM route")
    expect(panel.get_by_role("table", name="Models of studio")).to_contain_text(WRITER)
    expect(panel.get_by_role("group", name="Answer of")).to_contain_text("Complete")
    screenshot(page, "notebook7")
    cells = page.locator(".jp-CodeCell").count()
    page.locator(".jp-CodeCell").nth(3).locator(".cm-content").click()
    page.keyboard.press("Alt+Shift+R")
    expect(page.locator(".jp-CodeCell")).to_have_count(cells + 1)
    # Notebook's own core reports one on every page, also without this extension.
    assert [error for error in errors_seen if "jupyter-llmroute" in error] == []
