"""The row of buttons under an answer writes cells: for a person's press alone, and it runs none."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import ANSWER, KERNEL_READY, Desk, opened
from .test_lab import SOURCES, output, run_cell, screenshot

ASK = "%%route --actions --no-context\nsquares, please"
WRITTEN = "The code is in a cell now; it was not run."
CODE = "built = [n * n for n in range(4)]\nprint(built)"

UNASKED = """
from comm import create_comm
from jupyter_llmroute.cell_writer import TARGET
cell = get_ipython().parent_header["metadata"]["cellId"]
for action in ("below", "replace"):
    create_comm(target_name=TARGET, data=dict(version=1, action=action, cell=cell, text="unasked = 1", expected=""))
"""

RESTART = "() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()"
SCRIPTED_CLICK = "(button) => button.click()"


PASTE = """async () => {
  const area = document.body.appendChild(document.createElement('textarea'));
  area.focus();
  return navigator.clipboard.readText();
}"""
BY_PLAIN_HTTP = "() => Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true })"
"""What a page has that came from another machine without TLS."""


def asked(page: Page, cell: int) -> Locator:
    """Ask in a cell, and return its outputs once the buttons are there."""
    run_cell(page, cell, ASK)
    shown = output(page, cell)
    expect(shown.get_by_role("button", name="Replace")).to_be_visible()
    return shown


def test_code_is_written_below_or_into_the_cell_that_asked(
    page: Page, desk: Desk, request: pytest.FixtureRequest, errors_seen: list[str]
) -> None:
    opened(page, desk.lab, "01_first_route.ipynb", request.node.name)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run_cell(page, 0)
    before = page.evaluate(SOURCES)
    shown = asked(page, 1)
    screenshot(page, "answer-buttons")
    shown.get_by_role("button", name="Insert below", exact=True).click()
    expect(shown).to_contain_text(WRITTEN)
    assert page.evaluate(SOURCES)[2] == [CODE, 0]
    # Also after the kernel was started anew; and no cell for a press by a script.
    page.evaluate(RESTART)
    page.evaluate(KERNEL_READY, 60_000)
    run_cell(page, 0)
    shown = asked(page, 1)
    shown.get_by_role("button", name="Insert below", exact=True).evaluate(SCRIPTED_CLICK)
    expect(shown).to_contain_text("The page is asked to write the cell.")
    shown.get_by_role("button", name="Replace").click()
    expect(shown).to_contain_text(WRITTEN)
    assert page.evaluate(SOURCES)[1][0] == "\n".join([*(f"# {line}" for line in ASK.split("\n")), CODE])
    shown.get_by_role("button", name="Replace").click()
    expect(shown).to_contain_text("the cell was changed since it asked")
    run_cell(page, 3, UNASKED)
    run_cell(page, 4, "'unasked' in globals()")
    expect(output(page, 4)).to_contain_text("False")
    sources = page.evaluate(SOURCES)
    assert sources[3][0] == UNASKED
    assert len(sources) == len(before) + 1
    assert errors_seen == []


@pytest.mark.parametrize("over", ["https", "http"])
def test_the_answer_is_copied_for_a_press_and_not_unasked(
    page: Page, desk: Desk, request: pytest.FixtureRequest, errors_seen: list[str], over: str
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page, desk.lab, "01_first_route.ipynb", request.node.name)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    page.evaluate("() => navigator.clipboard.writeText('before')")
    run_cell(page, 0)
    run_cell(page, 3, UNASKED.replace('("below", "replace")', '("copy",)'))
    shown = asked(page, 1)
    shown.get_by_role("button", name="Copy", exact=True).evaluate(SCRIPTED_CLICK)
    # The page has answered, and closed the comm, once the next cell has run.
    run_cell(page, 4, "'after' + 'wards'")
    expect(output(page, 4)).to_contain_text("afterwards")
    assert page.evaluate(PASTE) == "before"
    if over == "http":
        own = page.evaluate_handle("() => navigator.clipboard")
        page.evaluate(BY_PLAIN_HTTP)
    shown.get_by_role("button", name="Copy", exact=True).click()
    expect(shown).to_contain_text("The answer's text is on the clipboard.")
    screenshot(page, "answer-copied")
    if over == "http":
        page.evaluate("(own) => Object.defineProperty(navigator, 'clipboard', { value: own })", own)
    assert page.evaluate(PASTE) == ANSWER
    assert errors_seen == []
