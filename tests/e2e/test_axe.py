"""axe-core finds no serious problem in what this extension adds to the page, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .conftest import WRITER, Desk, opened
from .test_lab import output, run_cell, screenshot
from .test_panel import select_cell, settings_page

AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
AXE_RUN = """async (selectors) => {
  const found = await window.axe.run({ include: selectors.map((one) => [one]) });
  return found.violations
    .filter((one) => ['serious', 'critical'].includes(one.impact))
    .map((one) => [one.id, one.nodes.map((node) => [node.html, node.failureSummary])]);
}"""

THEMES = ["JupyterLab Dark", "JupyterLab Light"]
"""The last one stays, as the user's choice of all notebooks."""

IN_NOTEBOOK = [
    ".jp-llmroute-panel",
    ".jp-llmroute-answer",
    ".jp-llmroute-code-bar",
    ".jp-llmroute-status",
    ".jp-cell-toolbar [data-jp-item-name='llmroute-route']",
    ".jp-cell-toolbar [data-jp-item-name='llmroute-fix']",
]


LABS_OWN = {"label", "label-title-only"}
"""JupyterLab's form gives a number no label: its own settings, such as the terminal's, have the same two."""


def problems(page: Page, selectors: list[str]) -> list[Any]:
    for selector in selectors:
        expect(page.locator(selector).locator("visible=true").first).to_be_attached()
    found: list[Any] = page.evaluate(AXE_RUN, selectors)
    return found


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_no_serious_problem(
    page: Page, desk: Desk, request: pytest.FixtureRequest, theme: str, errors_seen: list[str]
) -> None:
    opened(page, desk.lab, "01_first_route.ipynb", request.node.name)
    page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
    page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run_cell(page, 0)
    run_cell(page, 1, "%%route --no-context\nsquares, please")
    expect(output(page, 1).get_by_role("button", name="Insert below: Code")).to_be_visible()
    output(page, 1).locator(".jp-llmroute-summary").click()
    run_cell(page, 2, "[][5]")
    expect(output(page, 2)).to_contain_text("IndexError")
    select_cell(page, 2)
    page.evaluate("() => window.jupyterapp.commands.execute('llmroute:open-panel')")
    panel = page.get_by_role("region", name="LLM route")
    expect(panel.get_by_role("table", name="Models of studio")).to_contain_text(WRITER)
    panel.get_by_label("Coding").press("ArrowDown")
    expect(panel.get_by_text("Enter picks")).to_be_visible()
    page.evaluate(AXE.read_text())
    screenshot(page, f"panel-{theme.split()[-1].lower()}")
    assert problems(page, IN_NOTEBOOK) == []
    panel.get_by_label("Coding").press("Escape")
    settings_page(page)
    assert [one for one in problems(page, [".jp-SettingsForm"]) if one[0] not in LABS_OWN] == []
    assert errors_seen == []
