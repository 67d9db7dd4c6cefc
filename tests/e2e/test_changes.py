"""Changes of project files in a real JupyterLab: looked at, applied, taken back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from ..core.code.test_code_source import project
from ..scripted import llamacpp, says
from ..test_project_code import ANSWER, CHANGED
from .test_lab import output, run_cell, screenshot

__all__ = ["project"]


def test_a_change_is_shown_applied_and_taken_back(
    page: Page, project: Path, open_notebook: Callable[[str], Path]
) -> None:
    orders = project / "src" / "shop" / "orders.py"
    before = orders.read_text()
    open_notebook("01_first_route.ipynb")
    run_cell(page, 0)
    with llamacpp(says(ANSWER, prompt_tokens=900)) as server:
        ask = f"""\
for setting in ("serena.workspace={project}", "serena.enabled=false",
                "services.custom_endpoints=[{{name: s0, endpoint: '{server.url}', priority: 0}}]"):
    get_ipython().run_line_magic("llm_config", f'"{{setting}}"')
get_ipython().run_cell_magic("route", "-s s0 --apply", "make Order.total safe and rename checkout to pay")"""
        run_cell(page, 2, ask)
        shown = output(page, 2)
        expect(shown.get_by_role("button", name="Apply", exact=True)).to_be_visible()
        expect(shown).to_contain_text("+def pay(path):")
        expect(shown.locator(".jp-llmroute-card")).to_have_attribute("data-state", "complete")
        assert orders.read_text() == before
        of_card = shown.locator(".jp-llmroute-apply")
        expect(of_card).to_have_text(re.compile("^Apply . changes…$"))
        expect(of_card).to_be_hidden()  # one Apply is enough
        shown.get_by_role("button", name="Apply", exact=True).scroll_into_view_if_needed()
        screenshot(page, "changes-proposed")
        shown.get_by_role("button", name="Apply", exact=True).click()
        expect(shown).to_contain_text("Applied: change 1")
        expect(of_card).to_have_text("")
        assert orders.read_text() == CHANGED
        screenshot(page, "changes-applied")
        run_cell(page, 3, "%llm_undo")
        expect(output(page, 3)).to_contain_text("Taken back")
        assert orders.read_text() == before
        run_cell(page, 2, ask)
        expect(shown.get_by_role("button", name="Discard")).to_be_visible()
        shown.get_by_role("button", name="Discard").click()
        expect(shown).to_contain_text("nothing was changed")
        expect(of_card).to_have_text("")
        assert orders.read_text() == before
