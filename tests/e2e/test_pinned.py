"""A model that is picked in the panel answers from the next question on, and the card says that it was pinned."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import CODER, WRITER, Desk, opened
from .test_lab import output, run_cell, screenshot

QUESTION = "%%route --no-context -t {task}\nsquares, please"


def picks(page: Page) -> Locator:
    """Open the panel, and return what it says of tasks once it knows both servers."""
    page.evaluate("() => window.jupyterapp.commands.execute('llmroute:open-panel')")
    panel = page.get_by_role("region", name="LLM route")
    expect(panel.get_by_role("table", name="Models of studio")).to_contain_text(WRITER)
    return panel


def pick(panel: Locator, scope: str, label: str) -> None:
    """Pick a model, and wait until the notebook is saved."""
    panel.get_by_label(scope, exact=True).select_option(label=label)
    expect(panel.get_by_text(f"{scope}: ")).to_contain_text("Saved in")


def answered(page: Page, cell: int, task: str) -> Locator:
    """Ask in a cell, and return the card of the whole answer, with its reasons open."""
    run_cell(page, cell, "")
    run_cell(page, cell, QUESTION.format(task=task))
    card = output(page, cell).locator(".jp-llmroute-card")
    expect(card).to_have_attribute("data-state", "complete")
    card.locator(".jp-llmroute-summary").click()
    return card


def test_a_model_picked_in_the_panel_is_obeyed_by_kernel_and_server(
    page: Page, desk: Desk, request: pytest.FixtureRequest, errors_seen: list[str]
) -> None:
    saved = opened(page, desk.lab, "01_first_route.ipynb", request.node.name)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run_cell(page, 0)
    panel = picks(page)
    coding, analysis = (panel.locator(f"[data-scope='{task}']") for task in ("coding", "analysis"))
    expect(coding).to_contain_text(f"{CODER} on desk")
    expect(answered(page, 1, "coding")).to_contain_text(f"{CODER} on desk")
    pick(panel, "Coding", f"{WRITER} on studio")
    expect(coding).to_contain_text("pinned for coding in this notebook")
    expect(coding.locator(".jp-llmroute-pick-now")).to_have_text(f"{WRITER} on studio")
    card = answered(page, 2, "coding")
    expect(card.locator(".jp-llmroute-model")).to_have_text(f"{WRITER} on studio")
    expect(card).to_contain_text("pinned for coding in this notebook")
    screenshot(page, "pinned")
    pick(panel, "All tasks", f"{CODER} on desk")
    expect(analysis).to_contain_text("pinned for all tasks in this notebook")
    pick(panel, "Analysis", "Automatic")
    expect(analysis).not_to_contain_text("pinned for")
    assert json.loads(saved.read_text())["metadata"]["llmroute"] == {
        "pins": {"coding": f"{WRITER}@studio", "any": f"{CODER}@desk", "analysis": "auto"}
    }
    expect(answered(page, 3, "documentation")).to_contain_text("pinned for all tasks in this notebook")
    expect(answered(page, 4, "coding").locator(".jp-llmroute-model")).to_have_text(f"{WRITER} on studio")
    expect(answered(page, 5, "analysis")).not_to_contain_text("pinned for")
    assert errors_seen == []
