"""A cell that fails is asked about with one click, and the embedded model answers of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from .test_lab import SOURCES, output, run_cell, screenshot

FAILS = "numbers = [1, 2]\nnumbers[5]"


def by_toolbar(cell: Locator) -> None:
    cell.click()
    cell.locator(".jp-cell-toolbar [data-jp-item-name='llmroute-fix']").click()


def by_context_menu(page: Page, cell: Locator) -> None:
    cell.locator(".jp-InputArea-editor").click(button="right")
    menu = page.locator(".lm-Menu-content")
    menu.get_by_text("LLM route", exact=True).hover()
    menu.get_by_text("Fix Error", exact=True).click()


def test_fix_error_asks_about_the_failed_cell_in_words_to_be_seen_and_is_answered(
    page: Page,
    open_notebook: Callable[[str], Path],
    errors_seen: list[str],
) -> None:
    open_notebook("01_first_route.ipynb")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run_cell(page, 0)
    run_cell(page, 1, FAILS)
    expect(output(page, 1)).to_contain_text("IndexError")
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first).to_be_attached()
    cells = page.locator(".jp-CodeCell")
    before = cells.count()
    by_toolbar(cells.nth(1))
    expect(cells).to_have_count(before + 1)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:undo-cell-action')")
    expect(cells).to_have_count(before)
    by_context_menu(page, cells.nth(1))
    expect(cells).to_have_count(before + 1)
    asks = cells.nth(2).locator(".cm-content")
    expect(asks).to_be_focused()
    expect(asks.locator(".cm-line")).to_have_text(["%%route --fix", "Fix this error."])
    assert page.evaluate(SOURCES)[2] == ["%%route --fix\nFix this error.", 0]
    page.keyboard.press("ControlOrMeta+Home")
    page.keyboard.press("End")
    page.keyboard.type(" --max-tokens 40")  # a model this small may never stop
    page.keyboard.press("ControlOrMeta+Enter")
    card = output(page, 2).locator(".jp-llmroute-card")
    expect(card).to_have_attribute("data-state", "complete")
    expect(card.locator(".jp-llmroute-model")).to_have_text("SmolLM2-135M-Instruct.Q4_1 on embedded")
    expect(output(page, 2).locator(".jp-llmroute-text")).not_to_be_empty()
    card.locator(".jp-llmroute-summary").click()
    expect(card).to_contain_text("In[2]")
    expect(card).to_contain_text("a bare traceback")
    screenshot(page, "fixed")
    assert errors_seen == []
