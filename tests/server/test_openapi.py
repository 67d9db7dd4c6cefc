"""The description holds every route, is a valid one, and what it says of a route is what the route answers."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest

from jupyter_llmroute.server.openapi import description
from jupyter_llmroute.server.routes import BASE, ROUTES

from ..scripted import llamacpp
from .conftest import Jupyter, Start

pytestmark = pytest.mark.anyio

BODIES: dict[str, Any] = {
    "decide": {"question": "Why?"},
    "chat": {"question": "Why?"},
    "settings": {"settings": {"limits.attempts": 2}},
    "v1/chat/completions": {"model": "auto", "messages": [{"role": "user", "content": "Why?"}]},
}


def references(of: Any) -> set[str]:
    """Return all that a description refers to."""
    if isinstance(of, dict):
        own = {of["$ref"]} if isinstance(of.get("$ref"), str) else set[str]()
        return own.union(*map(references, of.values()))
    return set[str]().union(*map(references, of)) if isinstance(of, list) else set()


async def test_every_route_of_the_server_is_described(start: Start) -> None:
    async with start() as jupyter:
        rules = jupyter.app.web_app.default_router.rules[0].target.rules
        served = {rule.matcher.regex.pattern for each in jupyter.app.web_app.wildcard_router.rules for rule in [each]}
        served |= {rule.matcher.regex.pattern for rule in rules if hasattr(rule.matcher, "regex")}
        told = (await jupyter.client.get("openapi.json")).json()
    ours = {pattern for pattern in served if BASE in pattern}
    paths = {f"/{route.path}" for route in ROUTES}
    assert set(told["paths"]) == paths
    assert len(ours) == len(paths) + 1, "one more says of other paths that they are not here"
    for path in paths:
        address = f"/some/where/{BASE}" + re.sub(r"\{\w+\}", "m", path)
        assert any(re.match(pattern, address) for pattern in ours), path


def test_the_description_refers_to_nothing_that_is_not_there() -> None:
    told = description()
    there = {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    assert references(told) <= there
    for schema in told["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    names = [each["operationId"] for path in told["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))


def checked(body: Any, schema: dict[str, Any]) -> None:
    components = {"components": description()["components"]}
    jsonschema.Draft202012Validator({**schema, **components}).validate(body)


async def test_what_is_described_is_what_is_answered(start: Start) -> None:
    with llamacpp(model="m") as server:
        async with start(server.url) as jupyter:
            for route in ROUTES:
                for method, told in description()["paths"][f"/{route.path}"].items():
                    await _answers(jupyter, route.path, method, told)


async def _answers(jupyter: Jupyter, path: str, method: str, told: dict[str, Any]) -> None:
    address = path.replace("{model}", "m")
    body = {"json": BODIES[path]} if "requestBody" in told else {}
    if body:
        checked(BODIES[path], told["requestBody"]["content"]["application/json"]["schema"])
    answer = await jupyter.client.request(method.upper(), address, **body)
    assert answer.status_code == 200, (path, answer.text)
    media = answer.headers["content-type"].partition(";")[0]
    described = told["responses"]["200"]["content"][media]["schema"]
    if media == "application/json":
        checked(answer.json(), described)
    for name in told["responses"]["200"].get("headers", {}):
        assert name in answer.headers
    failed = await jupyter.nobody.request(method.upper(), address, **body)
    checked(failed.json(), told["responses"][str(failed.status_code)]["content"]["application/json"]["schema"])
