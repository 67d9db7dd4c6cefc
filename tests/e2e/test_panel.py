"""The panel, the status bar, the commands of cells and the buttons of answers, in a real JupyterLab."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from jupyter_llmroute.view import ANSWER_MIME

from .conftest import CODER, WRITER, Desk, opened
from .test_lab import ROUTE_CELL, SOURCES, one_server, output, run_cell, screenshot

if TYPE_CHECKING:
    from .conftest import Lab

OpenNotebook = Callable[[str], Path]

MODEL = "SmolLM2-135M-Instruct.Q4_1"


def open_panel(page: Page) -> Locator:
    """Open the panel, and wait until it shows the embedded server."""
    page.evaluate("() => window.jupyterapp.commands.execute('llmroute:open-panel')")
    panel = page.get_by_role("region", name="LLM route")
    expect(panel).to_contain_text("embedded")
    return panel


def execute(page: Page, command: str) -> None:
    page.evaluate("(command) => window.jupyterapp.commands.execute(command)", command)


def select_cell(page: Page, index: int) -> None:
    """Make the code cell the active one, without running it."""
    page.evaluate(
        """(index) => {
          const notebook = window.jupyterapp.shell.currentWidget.content;
          const codes = notebook.widgets.map((cell, i) => [cell, i]).filter(([cell]) => cell.model.type === 'code');
          notebook.activeCellIndex = codes[index][1];
        }""",
        index,
    )


def outside(lab: Lab, requests: list[str]) -> set[str]:
    return {urlsplit(url).netloc for url in requests if url.startswith(("http", "ws"))} - {urlsplit(lab.url).netloc}


def test_the_panel_shows_servers_and_a_model_that_is_picked_is_in_the_saved_file(
    page: Page, lab: Lab, open_notebook: OpenNotebook, requests_seen: list[str], errors_seen: list[str]
) -> None:
    saved = open_notebook("01_first_route.ipynb")
    panel = open_panel(page)
    expect(panel.get_by_role("table", name="Models of embedded")).to_contain_text(MODEL)
    expect(panel).to_contain_text(f"{MODEL} on embedded")
    expect(panel.get_by_role("group", name="Answer of")).to_contain_text("Complete")
    coding = panel.get_by_label("Coding")
    coding.select_option(label=f"{MODEL} on embedded")
    expect(panel).to_contain_text(f"Saved in {saved.name}")
    pin = coding.input_value()
    assert pin.endswith("@embedded")
    assert nbformat.read(saved, as_version=4).metadata["llmroute"] == {"pins": {"coding": pin}}
    screenshot(page, "panel")
    coding.select_option("")
    expect(panel).to_contain_text("automatic")
    assert "llmroute" not in json.loads(saved.read_text())["metadata"]
    panel.get_by_role("button", name="Refresh").click()
    expect(panel.get_by_role("button", name="Refresh")).to_be_enabled()
    expect(page.get_by_role("button", name=f"LLM route: {MODEL}")).to_be_visible()
    assert outside(lab, requests_seen) == set()
    assert errors_seen == []


def test_the_panel_needs_no_notebook_and_the_status_bar_opens_it(page: Page, lab: Lab, errors_seen: list[str]) -> None:
    page.goto(f"{lab.url}/lab?reset&token={lab.token}")
    page.get_by_role("button", name=f"LLM route: {MODEL}").click()
    panel = page.get_by_role("region", name="LLM route")
    expect(panel).to_contain_text("Open a notebook to pin a model in it.")
    expect(panel.get_by_role("table", name="Models of embedded")).to_contain_text(MODEL)
    expect(panel.get_by_role("combobox")).to_have_count(0)
    assert errors_seen == []


PIN = """(pin) => {
  const { model } = window.jupyterapp.shell.currentWidget.content;
  model.setMetadata('llmroute', { pins: { any: pin } });
}"""


def test_the_status_bar_follows_the_pins_while_the_panel_is_closed(
    page: Page, desk: Desk, request: pytest.FixtureRequest, errors_seen: list[str]
) -> None:
    opened(page, desk.lab, "01_first_route.ipynb", request.node.name)
    status = page.locator(".jp-llmroute-status")
    expect(status).to_have_text(f"{CODER} and 1 more")
    page.evaluate(PIN, f"{WRITER}@studio")
    expect(status).to_have_text(WRITER)
    page.evaluate(PIN, "a\nb")
    expect(status).to_have_text(f"{CODER} and 1 more")
    assert errors_seen == []


SETTINGS_PAGE = """async () => {
  await window.jupyterapp.restored;
  await window.jupyterapp.commands.execute('settingeditor:open', { query: 'LLM route' });
}"""


def settings_page(page: Page) -> Locator:
    """Open the settings editor, and return the form of this extension."""
    page.evaluate(SETTINGS_PAGE)
    page.locator(".jp-PluginList-entry[data-id='jupyter-llmroute:plugin']").click()
    form = page.locator(".jp-SettingsForm")
    expect(form).to_contain_text("Model in the status bar")
    return form


def test_the_status_bar_goes_and_comes_as_it_is_set(page: Page, desk: Desk, errors_seen: list[str]) -> None:
    page.goto(f"{desk.lab.url}/lab?reset&token={desk.lab.token}")
    status = page.locator(".jp-llmroute-status")
    expect(status).to_have_text(f"{CODER} and 1 more")
    is_shown = settings_page(page).get_by_role("checkbox", name="Model in the status bar")
    is_shown.uncheck()
    expect(status).to_be_hidden()
    is_shown.check()
    expect(status).to_be_visible()
    assert errors_seen == []


def test_a_server_without_the_extension_is_told_of(page: Page, lab: Lab) -> None:
    page.route("**/jupyter_llmroute/**", lambda route: route.fulfill(status=404, body="{}"))
    page.goto(f"{lab.url}/lab?reset&token={lab.token}")
    page.wait_for_selector("[data-id='llmroute-panel']")
    execute(page, "llmroute:open-panel")
    panel = page.get_by_role("region", name="LLM route")
    expect(panel.get_by_role("status").first).to_contain_text("jupyter server extension enable jupyter_llmroute")
    expect(page.get_by_role("button", name="LLM route:")).to_have_count(0)


def test_what_one_part_is_refused_does_not_hide_the_others(page: Page, desk: Desk) -> None:
    refused = json.dumps({"message": "not for you", "reason": None})
    page.route("**/jupyter_llmroute/doctor*", lambda route: route.fulfill(status=403, body=refused))
    page.route("**/jupyter_llmroute/next*", lambda route: route.fulfill(body='{"tasks": {"coding": {}}}'))
    version = json.dumps({"info": {"version": "9.9.9"}})
    page.route("**/jupyter_llmroute/openapi.json*", lambda route: route.fulfill(body=version))
    page.goto(f"{desk.lab.url}/lab?reset&token={desk.lab.token}")
    page.wait_for_selector("[data-id='llmroute-panel']")
    execute(page, "llmroute:open-panel")
    panel = page.get_by_role("region", name="LLM route")
    expect(panel.get_by_role("table", name="Models of studio")).to_contain_text(WRITER)
    expect(panel.get_by_text("The Jupyter server refuses: not for you")).to_be_visible()
    expect(panel.get_by_text("is of another version (9.9.9) than this page.")).to_be_visible()
    expect(page.locator(".jp-llmroute-status")).to_have_text("Model not known")


def test_changes_of_files_are_offered_in_a_cell_that_is_not_run(
    page: Page, lab: Lab, open_notebook: OpenNotebook, errors_seen: list[str]
) -> None:
    saved = open_notebook("01_first_route.ipynb")
    notebook = nbformat.read(saved, as_version=4)
    notebook.cells[5].outputs[0].data[ANSWER_MIME]["changes"] = 2
    nbformat.write(notebook, lab.root / "changes.ipynb")
    page.goto(f"{lab.url}/lab/tree/changes.ipynb?reset&token={lab.token}")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    output(page, ROUTE_CELL).get_by_role("button", name="Apply 2 changes…").press("Enter")
    page.wait_for_function(f"() => ({SOURCES})()[{ROUTE_CELL + 1}][0] === '%llm_apply'")
    assert page.evaluate(SOURCES)[ROUTE_CELL + 1] == ["%llm_apply", 0]
    expect(page.locator(".jp-CodeCell").nth(ROUTE_CELL + 1).locator(".cm-content")).to_be_focused()
    assert errors_seen == []


def test_questions_about_a_cell_are_inserted_and_not_run(
    page: Page, open_notebook: OpenNotebook, errors_seen: list[str]
) -> None:
    open_notebook("01_first_route.ipynb")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run_cell(page, 1, "numbers = [1, 2]\nnumbers[5]")
    expect(output(page, 1)).to_contain_text("IndexError")
    before = page.evaluate(SOURCES)
    select_cell(page, 1)
    execute(page, "llmroute:explain-cell")
    expect(page.locator(".jp-CodeCell")).to_have_count(len(before) + 2)
    load, explain = page.evaluate(SOURCES)[2:4]
    assert load == ["%load_ext jupyter_llmroute", 0]
    assert explain[0].startswith("%%route --cells 1\nExplain In[1] to a reader")
    execute(page, "notebook:undo-cell-action")
    expect(page.locator(".jp-CodeCell")).to_have_count(len(before))
    run_cell(page, 0)
    run_cell(page, 1)
    expect(output(page, 1)).to_contain_text("IndexError")
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first).to_be_attached()
    select_cell(page, 1)
    fix = page.locator(".jp-cell-toolbar [data-jp-item-name='llmroute-fix']").last
    expect(fix).to_be_visible()
    screenshot(page, "cell-toolbar")
    fix.click()
    expect(page.locator(".jp-CodeCell")).to_have_count(len(before) + 1)
    assert page.evaluate(SOURCES)[2] == ["%%route --fix\nFix this error.", 0]
    expect(page.locator(".jp-CodeCell").nth(2)).to_contain_class("jp-mod-active")
    expect(page.locator(".jp-CodeCell").nth(2).locator(".cm-content")).to_be_focused()
    select_cell(page, 4)
    page.locator(".jp-CodeCell").nth(4).click()
    page.keyboard.press("Alt+Shift+R")
    expect(page.locator(".jp-CodeCell")).to_have_count(len(before) + 2)
    assert errors_seen == []


def test_code_of_an_answer_is_inserted_below_and_not_run(
    page: Page, open_notebook: OpenNotebook, tmp_path: Path, errors_seen: list[str]
) -> None:
    open_notebook("01_first_route.ipynb")
    with one_server(page, tmp_path):
        before = page.evaluate(SOURCES)
        run_cell(page, 1, "%%route\nsquares, please")
        insert = output(page, 1).get_by_role("button", name="Insert below: Code")
        expect(insert).to_be_visible()
        screenshot(page, "code-buttons")
        output(page, 1).get_by_role("button", name="Copy: Code").press("Enter")
        expect(output(page, 1)).to_contain_text("Copied")
        insert.press("Enter")
        expect(page.locator(".jp-CodeCell")).to_have_count(len(before) + 1)
        assert page.evaluate(SOURCES)[2] == ["built = [n * n for n in range(4)]\nprint(built)", 0]
        assert errors_seen == []
