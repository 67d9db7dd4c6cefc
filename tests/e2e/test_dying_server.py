"""A server that dies while it answers, in a real JupyterLab."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ..scripted import CUT, delta, llamacpp, says, sse
from ..shown import NO_OTHERS
from .conftest import CODER, TWO_SERVERS, WRITER, Desk, opened
from .test_lab import output, run_cell, screenshot

DIES_BEFORE = sse(delta(role="assistant", content=None), CUT)
DIES_AFTER = sse(delta(role="assistant", content=None), delta("The first words"), delta(" had come"), CUT)
ASK = "%%route --no-context -t coding\nsquares, please"


def test_after_its_first_token_what_had_come_is_kept_and_before_it_the_next_one_answers(
    page: Page, desk: Desk, tmp_path: Path, request: pytest.FixtureRequest, errors_seen: list[str]
) -> None:
    with (
        llamacpp([DIES_AFTER, DIES_BEFORE], model=CODER) as coder,
        llamacpp(says("Squares it is."), model=WRITER) as writer,
    ):
        settings = tmp_path / "llmroute.yaml"
        settings.write_text(TWO_SERVERS.format(coder=coder.url, writer=writer.url, others=NO_OTHERS))
        opened(page, desk.lab, "01_first_route.ipynb", request.node.name)
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        run_cell(page, 0, f"%env LLMROUTE_SETTINGS={settings}\n%load_ext jupyter_llmroute")
        run_cell(page, 1, ASK)
        card = output(page, 1).locator(".jp-llmroute-card")
        expect(card).to_have_attribute("data-state", "failed")
        expect(card.locator(".jp-llmroute-model")).to_have_text(f"{CODER} on desk")
        expect(output(page, 1).locator(".jp-llmroute-text")).to_contain_text("The first words had come")
        expect(output(page, 1)).to_contain_text("What had come is kept; %llm_retry asks again")
        screenshot(page, "died-after")
        run_cell(page, 2, ASK)
        card = output(page, 2).locator(".jp-llmroute-card")
        expect(card).to_have_attribute("data-state", "complete")
        expect(card.locator(".jp-llmroute-model")).to_have_text(f"{WRITER} on studio")
        expect(card).to_contain_text(f"{CODER} on desk, which was wanted first, did not answer")
        expect(output(page, 2)).to_contain_text("Squares it is.")
        card.locator(".jp-llmroute-summary").click()
        expect(card.get_by_role("table", name="Failed attempts")).to_contain_text(f"{CODER} on desk")
        screenshot(page, "died-before")
        assert [len(server.chats) for server in (coder, writer)] == [3, 1], (
            "a connection that breaks at once is tried once more"
        )
        assert errors_seen == []
