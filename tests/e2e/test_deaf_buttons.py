"""Buttons under an answer that the kernel hears no longer."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from .conftest import Desk, opened
from .test_answer_buttons import asked
from .test_lab import SOURCES, output, run_cell

CLOSED = """
from comm import get_comm_manager
known = get_comm_manager()
for each in list(known.comms):
    known.comm_close(None, None, {"content": {"comm_id": each, "data": {}}})
print("closed")
"""
"""What a kernel does when a page without such widgets is opened beside this one: that page closes each."""

CLEAR = "() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"
WAIT_FOR_THE_KERNEL = (
    "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestCommInfo({}).then(() => true)"
)

DEAF = "The kernel does not hear these buttons"


def test_buttons_that_another_page_has_closed_say_so(
    page: Page, desk: Desk, request: pytest.FixtureRequest, errors_seen: list[str]
) -> None:
    opened(page, desk.lab, "01_first_route.ipynb", request.node.name)
    page.evaluate(CLEAR)
    run_cell(page, 0)
    shown = asked(page, 1)
    shown.get_by_role("button", name="Insert below", exact=True).click()
    expect(shown).to_contain_text("it was not run")
    before = page.evaluate(SOURCES)
    run_cell(page, 3, CLOSED)
    expect(output(page, 3)).to_contain_text("closed")
    expect(shown).not_to_contain_text(DEAF)
    for name in ("Replace", "Retry…"):
        shown.get_by_role("button", name=name).click()
        expect(shown.get_by_role("status").filter(has_text=DEAF)).to_have_count(1)
    assert len(page.evaluate(SOURCES)) == len(before)
    # What is said of buttons goes with them.
    page.evaluate(CLEAR)
    expect(page.get_by_text(DEAF)).to_have_count(0)
    run_cell(page, 0)
    shown = asked(page, 1)
    page.evaluate(WAIT_FOR_THE_KERNEL)
    shown.get_by_role("button", name="Retry…").click()
    expect(shown.get_by_label("Task")).to_be_visible()
    # The kernel has answered what the press asked of it, and the page has handled that.
    page.evaluate(WAIT_FOR_THE_KERNEL)
    expect(shown).not_to_contain_text(DEAF)
    assert errors_seen == []
