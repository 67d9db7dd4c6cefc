"""The panel by the keyboard alone."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from .conftest import CODER, WRITER, Desk, opened


def test_a_model_is_picked_with_enter_and_the_focus_stays(
    page: Page, desk: Desk, request: pytest.FixtureRequest, errors_seen: list[str]
) -> None:
    saved = opened(page, desk.lab, "01_first_route.ipynb", request.node.name)
    expect(page.locator(".jp-llmroute-status")).to_have_text(f"{CODER} and 1 more")
    page.keyboard.press("Alt+Shift+L")
    panel = page.get_by_role("region", name="LLM route")
    refresh = panel.get_by_role("button", name="Refresh")
    expect(panel.get_by_role("table", name="Models of studio")).to_contain_text(WRITER)
    expect(refresh).to_be_focused()
    with page.expect_response("**/jupyter_llmroute/doctor*"):
        page.keyboard.press("Enter")
    expect(refresh).to_be_enabled()
    expect(refresh).to_be_focused()
    page.keyboard.press("Tab")
    everything = panel.get_by_label("All tasks")
    expect(everything).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(panel.get_by_text("Enter picks")).to_be_visible()
    page.keyboard.press("Escape")
    expect(everything).to_have_value("")
    page.keyboard.press("ArrowDown")
    first = everything.input_value()
    page.keyboard.press("ArrowDown")
    second = everything.input_value()
    assert {first, second} == {f"{CODER}@desk", f"{WRITER}@studio"}
    assert "llmroute" not in json.loads(saved.read_text())["metadata"]
    page.keyboard.press("Enter")
    expect(panel.get_by_text("All tasks: ")).to_contain_text("Saved in")
    assert json.loads(saved.read_text())["metadata"]["llmroute"] == {"pins": {"any": second}}
    expect(everything).to_be_focused()
    expect(panel.locator("[data-scope='analysis']")).to_contain_text("pinned for all tasks in this notebook")
    expect(everything).to_be_focused()
    page.keyboard.press("ArrowUp")
    with page.expect_response("**/jupyter_llmroute/next*"):
        page.keyboard.press("Tab")
    expect(panel.get_by_text(f"All tasks: {first}")).to_contain_text("Saved in")
    assert json.loads(saved.read_text())["metadata"]["llmroute"] == {"pins": {"any": first}}
    assert errors_seen == []
