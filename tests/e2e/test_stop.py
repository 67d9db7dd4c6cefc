"""Stop in a page with several notebooks: it is the card's own kernel that is interrupted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from jupyter_llmroute.view import ANSWER_MIME

from ..scripted import HANG, delta, llamacpp, sse
from ..shown import NO_OTHERS
from .conftest import KERNEL_READY, NOTEBOOKS, Desk, opened
from .test_lab import ONE_SERVER, output, run_cell

NEVER_ENDS = sse(delta(role="assistant", content=None), delta("The first words"), HANG)
NEW_VIEW = "() => window.jupyterapp.commands.execute('notebook:create-output-view')"
OPEN = "async (path) => { await window.jupyterapp.commands.execute('docmanager:open', { path }); }"
SAVED = {
    "version": 1,
    "state": "streaming",
    "model": "m",
    "service": "desk",
}
LEFT_TO = """(path) => [...window.jupyterapp.shell.widgets('main')]
  .find((one) => one.context?.path === path).sessionContext.session.kernel.status"""


def test_stop_in_a_new_view_of_an_answer_interrupts_the_kernel_that_answers(
    page: Page, desk: Desk, tmp_path: Path, request: pytest.FixtureRequest, errors_seen: list[str]
) -> None:
    other = desk.lab.root / "other.ipynb"
    shutil.copy(NOTEBOOKS / "01_first_route.ipynb", other)
    with llamacpp(NEVER_ENDS) as server:
        settings = tmp_path / "llmroute.yaml"
        settings.write_text(ONE_SERVER.format(url=server.url, others=NO_OTHERS))
        answering = opened(page, desk.lab, "01_first_route.ipynb", request.node.name)
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        run_cell(page, 0, f"%env LLMROUTE_SETTINGS={settings}\n%load_ext jupyter_llmroute")
        run_cell(page, 1, "%%route --no-context\nsquares, please")
        expect(output(page, 1)).to_contain_text("The first words")
        page.evaluate(NEW_VIEW)
        view = page.locator(".jp-LinkedOutputView")
        expect(view.locator(".jp-llmroute-card")).to_have_attribute("data-state", "streaming")
        page.evaluate(OPEN, other.name)
        page.evaluate(KERNEL_READY, 60_000)
        run_cell(page, 0, "import time\nprint('begun')\ntime.sleep(600)")
        busy = page.locator(".jp-NotebookPanel", has_text="time.sleep(600)").locator(".jp-CodeCell").first
        expect(busy).to_contain_text("begun")
        assert page.evaluate(LEFT_TO, answering.name) == "busy"
        page.locator(".lm-TabBar-tab", has_text="Output View").click()
        view.get_by_role("button", name="Stop").click()
        expect(view.locator(".jp-llmroute-card")).to_have_attribute("data-state", "interrupted")
        assert page.evaluate(LEFT_TO, other.name) == "busy"
        page.evaluate(OPEN, other.name)
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
        expect(busy).to_contain_text("KeyboardInterrupt")
        assert errors_seen == []


def test_an_answer_saved_before_it_was_complete_has_no_stop_that_would_stop_another_cell(
    page: Page, desk: Desk, errors_seen: list[str]
) -> None:
    half = desk.lab.root / "half.ipynb"
    notebook = json.loads((NOTEBOOKS / "01_first_route.ipynb").read_text())
    asking = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][1]
    data = {ANSWER_MIME: SAVED, "text/markdown": "The first words", "text/plain": "The first words"}
    asking["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
    asking["execution_count"] = None
    half.write_text(json.dumps(notebook))
    page.goto(f"{desk.lab.url}/lab/tree/{half.name}?reset&token={desk.lab.token}")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    page.evaluate(KERNEL_READY, 60_000)
    shown = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    card = shown.locator(".jp-llmroute-card", has_text="Interrupted when saved")
    expect(card).to_have_attribute("data-state", "interrupted")
    busy = shown.locator(".jp-CodeCell").first
    run_cell(page, 0, "import time\nprint('begun')\ntime.sleep(600)")
    expect(busy.locator(".jp-OutputArea-output")).to_contain_text("begun")
    expect(card).to_be_visible()
    expect(shown.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    expect(busy).to_contain_text("KeyboardInterrupt")
    assert errors_seen == []
