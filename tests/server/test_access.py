"""Who may use what: every route, without a token, with a wrong one, and where an authorizer denies."""

from __future__ import annotations

import httpx
import pytest

from jupyter_llmroute.server.routes import ROUTES, Route

from ..scripted import llamacpp
from .conftest import TOKEN, NobodyMay, Start

pytestmark = pytest.mark.anyio

OPERATIONS = [
    pytest.param(route, method, id=f"{method} {route.path}") for route in ROUTES for method in route.operations
]


def path_of(route: Route) -> str:
    return route.path.replace("{model}", "m")


async def refused(client: httpx.AsyncClient, route: Route, method: str, **headers: str) -> int:
    """Ask, and return the status of the refusal; its body has the route's own form."""
    body = {"content": b"{}"} if route.operations[method].body else {}
    answer = await client.request(method.upper(), path_of(route), headers=headers, **body)
    assert set(answer.json()) == ({"error"} if route.is_gateway else {"message", "reason"}), answer.text
    return answer.status_code


@pytest.mark.parametrize("closed", [False, True])
async def test_without_a_token_every_route_is_closed(start: Start, closed: bool) -> None:
    async with start(allow_unauthenticated_access=not closed) as jupyter:
        for route, method in ((each.values[0], each.values[1]) for each in OPERATIONS):
            expected = 401 if route.is_gateway else 403
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
                assert await refused(jupyter.nobody, route, method, **headers) == expected, (route.path, headers)
        assert jupyter.app.web_app.settings["llmroute_exchange"]._made is None  # not even the core was imported


async def test_where_the_authorizer_denies_every_route_is_closed(start: Start) -> None:
    async with start(authorizer_class=NobodyMay) as jupyter:
        for route, method in ((each.values[0], each.values[1]) for each in OPERATIONS):
            assert await refused(jupyter.client, route, method) == 403, route.path
        assert jupyter.app.web_app.settings["llmroute_exchange"]._made is None


async def test_every_route_is_asked_of_the_authorizer_by_its_resource(start: Start) -> None:
    resources = {route.path: route.handler.auth_resource for route in ROUTES}
    assert {resource for path, resource in resources.items() if path in ("audit", "doctor", "settings")} == {
        "llmroute_audit",
        "llmroute_doctor",
        "llmroute_settings",
    }
    assert all(resource.startswith("llmroute") for resource in resources.values())


async def test_a_browser_must_bear_the_xsrf_token_and_a_client_with_the_key_need_not(start: Start) -> None:
    body = {"question": "Why?"}
    with llamacpp(model="m") as server:
        async with start(server.url) as jupyter:
            await jupyter.client.get("services")  # Jupyter's own cookie comes with it
            await jupyter.nobody.get(f"{jupyter.url.removesuffix('jupyter_llmroute/')}login")
            cookies = {**jupyter.client.cookies, **jupyter.nobody.cookies}
            assert "_xsrf" in cookies
            async with httpx.AsyncClient(base_url=jupyter.url, cookies=cookies, trust_env=False) as browser:
                without = await browser.post("decide", json=body)
                on_gateway = await browser.post("v1/chat/completions", json={"model": "auto", "messages": []})
                with_token = await browser.post("decide", json=body, headers={"X-XSRFToken": cookies["_xsrf"]})
            jupyter.nobody.cookies.clear()
            by_key = await jupyter.nobody.post("decide", json=body, headers={"Authorization": f"token {TOKEN}"})
    assert (without.status_code, on_gateway.status_code) == (403, 403)
    assert on_gateway.json()["error"]["type"] == "permission_error"
    assert (with_token.status_code, by_key.status_code) == (200, 200)


async def test_another_sites_page_gets_nothing(start: Start) -> None:
    async with start() as jupyter:
        await jupyter.client.get("services")
        cookies = dict(jupyter.client.cookies)
        headers = {"Origin": "https://evil.example", "Referer": "https://evil.example/"}
        async with httpx.AsyncClient(base_url=jupyter.url, cookies=cookies, trust_env=False) as browser:
            for route in ("services", "settings", "v1/models"):
                answer = await browser.get(route, headers=headers)
                assert answer.status_code in (403, 404)
                assert "services" not in answer.json()
