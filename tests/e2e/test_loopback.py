"""Whoever asks, picks and copies in JupyterLab talks to this machine alone: the page, the server, and the kernel."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Page, expect

from .conftest import CODER, WRITER, Desk, opened
from .test_lab import output, run_cell
from .test_pinned import pick, picks

WITHOUT_NETWORK = ("data", "blob")
ASK = "%%route --no-context -t coding\nsquares, please"


def ends(pid: int) -> set[tuple[str, int]]:
    """Return address and port of both ends of all connections of a process and of those that it started."""
    lab = psutil.Process(pid)
    connections = [one for process in (lab, *lab.children(recursive=True)) for one in process.net_connections("inet")]
    return {(end.ip, end.port) for one in connections for end in (one.laddr, one.raddr) if end}


def is_loopback(address: str) -> bool:
    ip = ip_address(address)
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def test_a_question_the_panel_a_pick_and_a_copy_leave_loopback_nowhere(
    page: Page, desk: Desk, request: pytest.FixtureRequest, errors_seen: list[str]
) -> None:
    asked: list[str] = []
    connected: set[tuple[str, int]] = set()
    page.context.on("request", lambda one: asked.append(one.url))
    page.on("websocket", lambda one: asked.append(one.url))
    opened(page, desk.lab, "01_first_route.ipynb", request.node.name)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    connected |= ends(desk.lab.pid)
    run_cell(page, 0)
    run_cell(page, 1, ASK)
    expect(output(page, 1).locator(".jp-llmroute-model")).to_have_text(f"{CODER} on desk")
    connected |= ends(desk.lab.pid)
    expect(output(page, 1).get_by_role("button", name="Copy: Code")).to_be_visible()
    panel = picks(page)
    connected |= ends(desk.lab.pid)
    pick(panel, "Coding", f"{WRITER} on studio")
    run_cell(page, 2, ASK)
    expect(output(page, 2).locator(".jp-llmroute-model")).to_have_text(f"{WRITER} on studio")
    copy = output(page, 2).get_by_role("button", name="Copy: Code")
    expect(copy).to_be_visible()
    connected |= ends(desk.lab.pid)
    copy.press("Enter")
    expect(output(page, 2)).to_contain_text("Copied")
    panel.get_by_role("button", name="Refresh").click()
    expect(panel.get_by_role("button", name="Refresh")).to_be_enabled()
    connected |= ends(desk.lab.pid)
    own = urlsplit(desk.lab.url)
    parts = [one for one in map(urlsplit, asked) if one.scheme not in WITHOUT_NETWORK]
    assert {one.scheme for one in parts} == {"http", "ws"}
    assert {one.netloc for one in parts} == {own.netloc}
    assert [address for address, _ in connected if not is_loopback(address)] == []
    assert {own.port, urlsplit(desk.coder.url).port, urlsplit(desk.writer.url).port} <= {port for _, port in connected}
    assert errors_seen == []
