"""`%%route` in a real JupyterLab, in a real browser."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import nbformat
from playwright.sync_api import Locator, Page, expect

from jupyter_llmroute.view import ANSWER_MIME

from ..scripted import Scripted, llamacpp, nobody, says, text_reply
from ..servers import PRODUCTS
from ..shown import NO_OTHERS
from .conftest import ANSWER

if TYPE_CHECKING:
    from .conftest import Lab

OpenNotebook = Callable[[str], Path]

LONG_STORY = "%%route --no-context --temperature 0\nTell me a very long story about a lighthouse keeper and her cat."
"""Without chance and surroundings the model goes on for more than 900 tokens."""

HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"

ROUTE_CELL = 2  # number of the tour's first %%route cell among its code cells
RUN_CELL = """([index, source]) => {
  const app = window.jupyterapp, notebook = app.shell.currentWidget.content;
  const cells = notebook.widgets.map((cell, i) => [cell, i]).filter(([cell]) => cell.model.type === 'code');
  notebook.activeCellIndex = cells[index][1];
  if (source !== null) cells[index][0].model.sharedModel.setSource(source);
  void app.commands.execute('notebook:run-cell');
}"""
GROWTH = """(index) => new Promise((resolve) => {
  const cell = [...document.querySelectorAll('.jp-CodeCell')][index];
  const lengths = [];
  const look = () => {
    const answer = cell.querySelector('.jp-RenderedMarkdown')?.textContent.length ?? 0;
    const state = cell.querySelector('.jp-llmroute-card')?.dataset.state;
    if (state === 'streaming' && answer > 0 && answer !== lengths.at(-1)) lengths.push(answer);
    if (state === 'complete' || state === 'failed') { watcher.disconnect(); resolve(lengths); }
  };
  const watcher = new MutationObserver(look);
  watcher.observe(cell, { subtree: true, childList: true, characterData: true, attributes: true });
  look();
})"""
"""Lengths of the answer as a person saw it, while it was streaming."""


def run_cell(page: Page, index: int, source: str | None = None) -> None:
    """Run a code cell, with another source where one is given, and do not wait for its end."""
    page.evaluate(RUN_CELL, [index, source])


def output(page: Page, index: int) -> Locator:
    """Return the output of a code cell."""
    return page.locator(".jp-CodeCell").nth(index).locator(".jp-OutputArea")


def screenshot(page: Page, name: str) -> None:
    """Keep a picture where LLMROUTE_TEST_SHOTS names a folder."""
    if folder := os.environ.get("LLMROUTE_TEST_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_tokens_grow_under_the_card(
    page: Page, lab: Lab, open_notebook: OpenNotebook, requests_seen: list[str], errors_seen: list[str]
) -> None:
    open_notebook("01_first_route.ipynb")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run_cell(page, 0)
    run_cell(page, ROUTE_CELL)
    lengths = page.evaluate(GROWTH, ROUTE_CELL)
    card = output(page, ROUTE_CELL).locator(".jp-llmroute-card")
    expect(card).to_have_attribute("data-state", "complete")
    expect(card).to_contain_text("coding")
    expect(card).to_contain_text("SmolLM2-135M-Instruct.Q4_1 on embedded")
    expect(card).to_contain_text("tokens sent")
    expect(card).to_contain_text("tokens/s")
    expect(output(page, ROUTE_CELL).locator("pre")).to_contain_text("def factorial")
    assert len(lengths) >= 3, f"the answer was not seen to grow: {lengths}"
    assert lengths == sorted(lengths)
    card.get_by_text("Why this model").click()
    expect(card).to_contain_text("rated 12 of 100 for coding")
    screenshot(page, "first-route")
    outside = {urlsplit(url).netloc for url in requests_seen if url.startswith(("http", "ws"))} - {
        urlsplit(lab.url).netloc
    }
    assert outside == set()
    assert errors_seen == []


def test_the_stop_button_keeps_what_had_come(page: Page, open_notebook: OpenNotebook) -> None:
    open_notebook("01_first_route.ipynb")
    run_cell(page, 0)
    run_cell(page, ROUTE_CELL, LONG_STORY)
    card = output(page, ROUTE_CELL).locator(".jp-llmroute-card")
    expect(card).to_have_attribute("data-state", "streaming")
    screenshot(page, "streaming")
    card.get_by_role("button", name="Stop").click()
    expect(card).to_have_attribute("data-state", "interrupted")
    expect(card.get_by_role("button", name="Stop")).to_be_hidden()
    expect(output(page, ROUTE_CELL)).to_contain_text("Stopped; what had come is kept.")
    screenshot(page, "interrupted")
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first).to_be_attached()
    run_cell(page, ROUTE_CELL, "%%route --max-tokens 5\nhello")
    expect(card).to_have_attribute("data-state", "complete")


def test_what_is_saved_shows_again_untrusted_and_without_a_kernel(
    page: Page, lab: Lab, open_notebook: OpenNotebook
) -> None:
    saved = open_notebook("01_first_route.ipynb")
    notebook = nbformat.read(saved, as_version=4)
    answer = notebook.cells[5].outputs[0].data
    answer[ANSWER_MIME]["model"] = answer[ANSWER_MIME]["service"] = HOSTILE
    answer["text/markdown"] += "\n\n" + HOSTILE
    hostile = lab.root / "untrusted.ipynb"
    nbformat.write(notebook, hostile)
    page.goto(f"{lab.url}/lab/tree/{hostile.name}?reset&token={lab.token}")
    card = output(page, ROUTE_CELL).locator(".jp-llmroute-card")
    expect(card).to_have_attribute("data-state", "complete")
    expect(card).to_contain_text("<img src=x")
    expect(output(page, ROUTE_CELL)).to_contain_text("factorial")
    assert page.evaluate("() => window.hacked") is None
    assert output(page, ROUTE_CELL).locator("img, script").count() == 0


def test_the_server_and_lab_extensions_are_registered(page: Page, lab: Lab, open_notebook: OpenNotebook) -> None:
    open_notebook("01_first_route.ipynb")
    assert page.evaluate("() => window.jupyterapp.hasPlugin('jupyter-llmroute:plugin')")
    assert any("jupyter_llmroute" in line and "the gateway is at" in line for line in lab.log), "".join(lab.log[-40:])


def test_a_retry_is_chosen_in_a_widget_and_answered_outside_it(page: Page, open_notebook: OpenNotebook) -> None:
    open_notebook("01_first_route.ipynb")
    run_cell(page, 0)
    run_cell(page, ROUTE_CELL, "%%route --max-tokens 5\nhello")
    expect(output(page, ROUTE_CELL).locator(".jp-llmroute-card")).to_have_attribute("data-state", "complete")
    run_cell(page, ROUTE_CELL + 1, "%llm_retry")
    output(page, ROUTE_CELL + 1).get_by_label("Task").select_option("analysis")
    output(page, ROUTE_CELL + 1).get_by_role("button", name="Retry").click()
    expect(output(page, ROUTE_CELL + 1).locator(".jp-llmroute-card")).to_have_attribute("data-state", "complete")
    expect(output(page, ROUTE_CELL + 1)).to_contain_text("Asked again: SmolLM2-135M-Instruct.Q4_1 on embedded")
    expect(output(page, ROUTE_CELL + 1).locator(".jp-llmroute-card")).to_contain_text("analysis")


SERVERS = """
services:
  {{
    custom_endpoints: [
      {{name: desk, endpoint: '{ollama}', api_style: ollama}},
      {{name: studio, endpoint: '{studio}', priority: 2}},
      {{name: gone, endpoint: '{gone}'}},
    ],
    {others}
  }}
embedded: {{enabled: false}}
"""


def test_servers_models_and_the_decision_are_shown_with_controls(
    page: Page, lab: Lab, open_notebook: OpenNotebook, tmp_path: Path, errors_seen: list[str]
) -> None:
    busy = text_reply("busy", 503)
    with PRODUCTS["ollama"].open() as ollama, llamacpp(busy, model="Qwen/Qwen3-8B-GGUF") as studio, nobody() as gone:
        settings = tmp_path / "llmroute.yaml"
        settings.write_text(SERVERS.format(ollama=ollama.url, studio=studio.url, gone=gone, others=NO_OTHERS))
        open_notebook("01_first_route.ipynb")
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        run_cell(page, 0, f"%env LLMROUTE_SETTINGS={settings}\n%load_ext jupyter_llmroute")
        run_cell(page, 1, "%llm_services")
        services = output(page, 1)
        expect(services.get_by_role("button", name="Refresh")).to_be_visible()
        expect(services.locator("table")).to_contain_text("refused the connection")
        run_cell(page, 2, "%llm_models coding")
        models = output(page, 2)
        expect(models.locator("tbody tr")).to_have_count(4)
        expect(models).to_contain_text("as Qwen/Qwen3-8B-GGUF")
        screenshot(page, "services")
        models.locator("table").scroll_into_view_if_needed()
        screenshot(page, "models")
        models.get_by_label("Find").fill("llama3.2")
        expect(models.locator("tbody tr")).to_have_count(1)
        models.get_by_label("Find").fill("")
        models.get_by_label("Sort by").select_option("model")
        expect(models.locator("tbody tr").first).to_contain_text("gpt-oss:120b-cloud")
        models.get_by_role("button", name="Close").click()
        expect(models.get_by_role("button", name="Refresh")).to_have_count(0)
        expect(models.locator("tbody tr")).to_have_count(4)
        run_cell(page, 3, "%%route --no-context\nfix this: KeyError: 'id'")
        card = output(page, 3).locator(".jp-llmroute-card")
        expect(card).to_have_attribute("data-state", "complete")
        expect(card).to_contain_text("which was wanted first, did not answer")
        run_cell(page, 4, "%llm_why")
        why = output(page, 4)
        expect(why).to_contain_text("Wanted first: ")
        expect(why).to_contain_text("which was wanted first, did not answer")
        why.scroll_into_view_if_needed()
        screenshot(page, "why")
        assert errors_seen == []


ONE_SERVER = """
services: {{custom_endpoints: [{{name: desk, endpoint: '{url}'}}], {others}}}
embedded: {{enabled: false}}
"""

SOURCES = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter((cell) => cell.model.type === 'code')
  .map((cell) => [cell.model.sharedModel.source, cell.model.executionCount ?? 0])"""


@contextmanager
def one_server(page: Page, folder: Path) -> Iterator[Scripted]:
    """Give the kernel of the open notebook one server, and load the magics in its first cell; no other has outputs."""
    with llamacpp(says(ANSWER)) as server:
        settings = folder / "llmroute.yaml"
        settings.write_text(ONE_SERVER.format(url=server.url, others=NO_OTHERS))
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        run_cell(page, 0, f"%env LLMROUTE_SETTINGS={settings}\n%load_ext jupyter_llmroute")
        yield server


def test_code_goes_into_a_new_cell_or_this_one_and_is_not_run(
    page: Page, open_notebook: OpenNotebook, tmp_path: Path, errors_seen: list[str]
) -> None:
    open_notebook("01_first_route.ipynb")
    with one_server(page, tmp_path):
        before = page.evaluate(SOURCES)
        run_cell(page, 1, "%%route --to next\nsquares, please")
        expect(output(page, 1)).to_contain_text("is in a new cell below; it was not run.")
        expect(page.locator(".jp-CodeCell")).to_have_count(len(before) + 1)
        new, count = page.evaluate(SOURCES)[2]
        assert new == "built = [n * n for n in range(4)]\nprint(built)"
        assert count == 0
        expect(output(page, 1)).to_contain_text("It prints squares.")
        screenshot(page, "to-next")
        run_cell(page, 1, "%%route --to replace -f code\nsquares, {please}?")
        expect(output(page, 1)).to_contain_text("is in this cell now, under the question; it was not run.")
        page.wait_for_function(f"() => ({SOURCES})()[1][0].startsWith('#')")
        assert page.evaluate(SOURCES)[1][0] == f"# %%route --to replace -f code\n# squares, {{please}}?\n{new}"
        expect(output(page, 1)).not_to_contain_text("It prints squares.")
        expect(output(page, 1).locator(".jp-llmroute-card")).to_have_attribute("data-state", "complete")
        screenshot(page, "to-replace")
        run_cell(page, 3, "%route --to next -f text squares?")
        expect(output(page, 3)).to_contain_text("leave one of them out")
        run_cell(page, 3, "%route --to next squares?")
        expect(page.locator(".jp-CodeCell")).to_have_count(len(before) + 2)
        run_cell(page, 3, "%route -f text squares?")
        expect(output(page, 3).locator("pre")).to_contain_text("```python")
        output(page, 3).scroll_into_view_if_needed()
        screenshot(page, "as-text")
        run_cell(page, 5, "'built' in globals()")
        expect(output(page, 5)).to_contain_text("False")
        assert errors_seen == []
