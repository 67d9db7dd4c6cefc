"""Real llama.cpp servers that are killed while they answer, beside the one that every session has."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

from jupyter_llmroute.core.embedded import EmbeddedBackend, Running, read_header
from jupyter_llmroute.core.sections import EmbeddedSettings

from ..shown import NO_OTHERS
from .test_lab import LONG_STORY, output, run_cell, screenshot

if TYPE_CHECKING:
    from .conftest import Lab

MODEL = "SmolLM2-135M-Instruct.Q4_1"

SERVERS = """
services:
  {{
    custom_endpoints: [
      {{name: desk, endpoint: '{desk.url}', api_key: '{desk_key}'}},
      {{name: studio, endpoint: '{studio.url}', api_key: '{studio_key}'}},
    ],
    {others}
  }}
embedded: {{threads: 1}}
limits: {{rescan_s: 3600}}
"""


@contextmanager
def own_server(model: Path, state: Path) -> Iterator[Running]:
    """Run a server that no session knows of by itself; on the tests' own thread runs the loop of the browser."""
    with EmbeddedBackend(EmbeddedSettings(threads=1), state) as backend, ThreadPoolExecutor(1) as thread:
        yield thread.submit(lambda: asyncio.run(backend.ensure(read_header(model)))).result()
        thread.submit(lambda: asyncio.run(backend.stop())).result()


@pytest.fixture
def servers(embedded: Running, tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    with ExitStack() as stack:
        desk, studio = (stack.enter_context(own_server(embedded.path, tmp_path / name)) for name in ("desk", "studio"))
        yield desk, studio


def settings_for(folder: Path, desk: Running, studio: Running) -> Path:
    settings = folder / "llmroute.yaml"
    keys = {"desk_key": desk.key.get_secret_value(), "studio_key": studio.key.get_secret_value()}
    settings.write_text(SERVERS.format(desk=desk, studio=studio, others=NO_OTHERS, **keys))
    return settings


def shown(page: Page, cell: int) -> tuple[str | None, str]:
    """Return what is seen of an answer: all words of its card, and its text as it is drawn."""
    return card_of(page, cell).text_content(), output(page, cell).locator(".jp-llmroute-text").inner_text()


def card_of(page: Page, cell: int) -> Locator:
    return output(page, cell).locator(".jp-llmroute-card")


def test_killed_after_its_first_tokens_the_answer_is_kept_or_started_over_and_before_them_the_next_one_answers(
    servers: tuple[Running, Running],
    embedded: Running,
    page: Page,
    lab: Lab,
    open_notebook: Callable[[str], Path],
    tmp_path: Path,
    errors_seen: list[str],
) -> None:
    desk, studio = servers
    settings = settings_for(tmp_path, desk, studio)
    saved = open_notebook("01_first_route.ipynb")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run_cell(page, 0, f"%env LLMROUTE_SETTINGS={settings}\n%load_ext jupyter_llmroute\n%llm_pick {MODEL}@desk")
    run_cell(page, 1, LONG_STORY)
    card, text = card_of(page, 1), output(page, 1).locator(".jp-llmroute-text")
    expect(card).to_have_attribute("data-state", "streaming")
    expect(text).not_to_be_empty()
    begun = text.inner_text()
    os.kill(desk.pid, signal.SIGKILL)
    expect(card).to_have_attribute("data-state", "failed")
    expect(card.locator(".jp-llmroute-model")).to_have_text(f"{MODEL} on desk")
    expect(text).to_contain_text(begun.split("\n")[0][:40])
    expect(output(page, 1)).to_contain_text("What had come is kept; %llm_retry asks again")
    screenshot(page, "killed-after")
    run_cell(page, 2, f"%llm_pick {MODEL}@studio")
    expect(output(page, 2)).to_contain_text("is pinned for all tasks")
    os.kill(studio.pid, signal.SIGSTOP)  # it is asked, and says nothing
    run_cell(page, 3, "%%route --no-context --max-tokens 20\nhello")
    card = card_of(page, 3)
    expect(card).to_have_attribute("data-state", "waiting")
    os.kill(studio.pid, signal.SIGKILL)
    expect(card).to_have_attribute("data-state", "complete")
    expect(card.locator(".jp-llmroute-model")).to_have_text(f"{MODEL} on embedded")
    expect(card).to_contain_text(f"{MODEL} on studio, which was wanted first, did not answer")
    expect(output(page, 3).locator(".jp-llmroute-text")).not_to_be_empty()
    card.locator(".jp-llmroute-summary").click()
    expect(card.get_by_role("table", name="Failed attempts")).to_contain_text(f"{MODEL} on studio")
    screenshot(page, "killed-before")
    with own_server(embedded.path, tmp_path / "again") as again:
        settings_for(tmp_path, again, studio)
        run_cell(page, 4, f"%reload_ext jupyter_llmroute\n%llm_pick {MODEL}@desk")
        expect(output(page, 4)).to_contain_text("is pinned for all tasks")
        run_cell(page, 5, LONG_STORY.replace("--no-context", "--no-context --start-over --max-tokens 300"))
        card, text = card_of(page, 5), output(page, 5).locator(".jp-llmroute-text")
        expect(card).to_have_attribute("data-state", "streaming")
        expect(text).not_to_be_empty()
        begun = text.inner_text()
        os.kill(again.pid, signal.SIGKILL)
    quoted = text.locator("blockquote")
    expect(quoted).to_contain_text(begun.split("\n")[0][:40])
    expect(quoted).to_contain_text("the next one starts over")
    expect(card).to_have_attribute("data-state", "complete")
    expect(text.locator("blockquote ~ p").first).not_to_be_empty()
    expect(card.locator(".jp-llmroute-model")).to_have_text(f"{MODEL} on embedded")
    expect(card).to_contain_text(f"{MODEL} on desk, which was wanted first, did not answer")
    quoted.scroll_into_view_if_needed()
    screenshot(page, "started-over")
    before = shown(page, 5)
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    page.goto(f"{lab.url}/lab/tree/{saved.name}?reset&token={lab.token}")
    expect(card).to_have_attribute("data-state", "complete")
    expect(text).to_contain_text(before[1][-40:].strip().split("\n")[-1])
    assert shown(page, 5) == before
    assert errors_seen == []
