"""The OpenAPI description, made from the routes and the shapes."""

from __future__ import annotations

import functools
import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from jupyter_llmroute import __version__
from jupyter_llmroute.server import shapes
from jupyter_llmroute.server.openai_wire import ChatCompletion
from jupyter_llmroute.server.routes import BASE, ROUTES, Operation, Route

REFUSALS = {
    "400": "What was sent is not what is taken.",
    "401": "The gateway: no token, or not the right one.",
    "403": "No token, no XSRF token, not allowed to this user, or refused by the policy.",
    "404": "There is no such model, or no such server.",
    "413": "The body is too large.",
    "429": "The model's server has too much to do.",
    "502": "The model's server failed.",
    "503": "No model can answer now.",
    "504": "It took too long.",
}

HEADERS = ("model", "service", "task", "reason", "level", "attempts")


@functools.cache
def description() -> dict[str, Any]:
    """Return the description of all routes."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jupyter-llmroute",
            "version": __version__,
            "description": "Below the Jupyter server's base URL. What changes something wants the Jupyter token, "
            "or its cookie and an XSRF token.",
        },
        "servers": [{"url": f"{{base_url}}{BASE}", "variables": {"base_url": {"default": "/"}}}],
        "security": [{"token": []}],
        "paths": {f"/{route.path}": _path(route) for route in ROUTES},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> dict[str, Any]:
    names = {name for route in ROUTES for each in route.operations.values() for name in (each.answer, each.body)}
    models = [_shape(name) for name in sorted({*names, "Failure", "GatewayFailure"} - {"", "object"})]
    _, schema = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    defined: dict[str, Any] = schema["$defs"]
    return defined


def _shape(name: str) -> type[BaseModel]:
    found: type[BaseModel] = ChatCompletion if name == ChatCompletion.__name__ else getattr(shapes, name)
    return found


def _path(route: Route) -> dict[str, Any]:
    return {method: _operation(route, method, each) for method, each in route.operations.items()}


def _operation(route: Route, method: str, told: Operation) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ] + [
        {"name": name, "in": "query", "description": means, "schema": {"type": "string"}} for name, means in told.query
    ]
    failure = "GatewayFailure" if route.is_gateway else "Failure"
    refusals = {
        status: {"description": text, "content": _json(failure)}
        for status, text in REFUSALS.items()
        if route.is_gateway or status != "401"
    }
    body = {"requestBody": {"required": True, "content": _json(told.body)}} if told.body else {}
    return {
        "summary": told.summary,
        "operationId": f"{method}_{re.sub(r'[^a-z0-9]+', '_', route.path).strip('_')}",
        "x-authorization-resource": route.handler.auth_resource,
        **({"parameters": parameters} if parameters else {}),
        **body,
        "responses": {"200": _answer(route, told), **refusals},
    }


def _answer(route: Route, told: Operation) -> dict[str, Any]:
    content = _json(told.answer) if told.answer else {}
    if told.is_stream:
        content |= {"text/event-stream": {"schema": {"type": "string"}}}
    headers = {f"x-llmroute-{name}": {"schema": {"type": "string"}} for name in HEADERS}
    is_answer = route.is_gateway and told.is_stream
    return {"description": told.summary, "content": content, **({"headers": headers} if is_answer else {})}


def _json(name: str) -> dict[str, Any]:
    schema = {"type": "object"} if name == "object" else {"$ref": f"#/components/schemas/{name}"}
    return {"application/json": {"schema": schema}}
