"""What a kernel draws for its buttons and choices, read by axe-core in both themes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from ..core.code.test_code_source import project
from ..scripted import llamacpp, says
from ..test_project_code import ANSWER as CHANGES
from .conftest import ANSWER
from .test_axe import AXE, AXE_RUN, THEMES
from .test_lab import output, run_cell, screenshot

__all__ = ["project"]

SET = """\
for setting in ("serena.workspace={project}", "serena.enabled=false",
                "services.custom_endpoints=[{{name: s0, endpoint: '{server}', priority: 0}}]"):
    get_ipython().run_line_magic("llm_config", f'"{{setting}}"')
"""


def test_axe_finds_no_serious_problem_in_rows_choices_and_proposals(
    page: Page, project: Path, open_notebook: Callable[[str], Path]
) -> None:
    open_notebook("01_first_route.ipynb")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run_cell(page, 0)
    with llamacpp([says(CHANGES, prompt_tokens=900), says(ANSWER)]) as server:
        run_cell(page, 1, SET.format(project=project, server=server.url))
        run_cell(page, 2, "%%route -s s0 --apply\nmake Order.total safe and rename checkout to pay")
        expect(output(page, 2).get_by_role("button", name="Apply", exact=True)).to_be_visible()
        run_cell(page, 3, "%%route -s s0 --actions --no-context\nsquares, please")
        expect(output(page, 3).get_by_role("button", name="Replace")).to_be_visible()
        for thumb in ("Good", "Bad"):
            output(page, 3).get_by_role("button", name=thumb).click()
            expect(output(page, 3)).to_contain_text("from now on")
        run_cell(page, 4, "%llm_pick")
        expect(output(page, 4).get_by_role("button", name="Pin")).to_be_visible()
        run_cell(page, 5, "%llm_services")
        expect(output(page, 5).get_by_role("button", name="Refresh")).to_be_visible()
        run_cell(page, 6, "%llm_retry")
        expect(output(page, 6).get_by_role("button", name="Retry")).to_be_visible()
    page.evaluate(AXE.read_text())
    outputs = [f"[data-axe='{cell}']" for cell in range(2, 7)]
    for cell in range(2, 7):
        output(page, cell).evaluate("(node, cell) => node.setAttribute('data-axe', cell)", str(cell))
    found = {}
    for theme in THEMES:
        page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
        for cell in range(2, 7):
            output(page, cell).scroll_into_view_if_needed()
            screenshot(page, f"axe-{theme.split()[-1].lower()}-{cell}")
        found[theme] = page.evaluate(AXE_RUN, outputs)
    assert found == {theme: [] for theme in THEMES}
