"""axe-core finds no serious problem in what this extension adds to the page, light and dark."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

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


BRIGHTNESS = """async ([png, boxes]) => {
  const bytes = Uint8Array.from(atob(png), (one) => one.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
  const { width, height } = image;
  const drawing = new OffscreenCanvas(width, height).getContext('2d');
  drawing.drawImage(image, 0, 0);
  return boxes.map(({ x, y, width, height }) => {
    const { data } = drawing.getImageData(x, y, width, height);
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += data[i] + data[i + 1] + data[i + 2];
    return sum / (data.length / 4) / 3;
  });
}"""
"""Mean brightness of parts of a picture, each 0 to 255."""


def brightness(page: Page, picture: Path, parts: list[Locator]) -> list[float]:
    """Return how bright parts of the page are in a picture of it."""
    png = picture.read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    measured: list[float] = page.evaluate(
        BRIGHTNESS, [base64.b64encode(png).decode(), [part.bounding_box() for part in parts]]
    )
    return measured


def test_axe_finds_no_serious_problem_in_the_dark_and_in_the_light_which_pictures_tell_apart(
    page: Page, desk: Desk, request: pytest.FixtureRequest, shots: Path, errors_seen: list[str]
) -> None:
    opened(page, desk.lab, "01_first_route.ipynb", request.node.name)
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
    card = output(page, 1).locator(".jp-llmroute-card")
    page.evaluate(AXE.read_text())
    bright = {}
    for theme in THEMES:
        page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
        panel.get_by_label("Coding").press("ArrowDown")
        expect(panel.get_by_text("Enter picks")).to_be_visible()
        card.scroll_into_view_if_needed()
        name = f"panel-{theme.split()[-1].lower()}"
        screenshot(page, name)
        bright[theme] = brightness(page, shots / f"{name}.png", [panel, card])
        assert problems(page, IN_NOTEBOOK) == []
        panel.get_by_label("Coding").press("Escape")
        settings_page(page)
        assert [one for one in problems(page, [".jp-SettingsForm"]) if one[0] not in LABS_OWN] == []
        page.evaluate("() => window.jupyterapp.commands.execute('application:close')")
        expect(panel.get_by_label("Coding")).to_be_visible()
    assert [dark < 100 < 155 < light for dark, light in zip(*bright.values(), strict=True)] == [True, True], bright
    assert errors_seen == []
