"""The scripted servers say what the products are documented to say."""

from __future__ import annotations

import json

import httpx
import pytest

from .scripted import Scripted
from .servers import BUILDS, PRODUCTS, TEXT

HELLO = [{"role": "user", "content": "Hello there, how are you?"}]
"""Nine tokens, of which five are words."""


def get(server: Scripted, path: str, **headers: str) -> httpx.Response:
    return httpx.get(server.url + path, headers=headers, trust_env=False)


def post(server: Scripted, path: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(server.url + path, json=body, headers=headers, trust_env=False)


def chat_path(name: str, build: str) -> str:
    return PRODUCTS[name].builds[build].chat.removeprefix("POST ").replace("*", "")


def chat(server: Scripted, name: str, build: str, text: str = HELLO[0]["content"], **more: object) -> httpx.Response:
    surface = PRODUCTS[name]
    model = "qwen3:8b" if name == "ollama" else surface.builds[build].script[surface.builds[build].chat].models[0]
    body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True} | more
    return post(server, chat_path(name, build), body)


def said(answer: httpx.Response) -> list[dict]:
    """Return what a stream says, be it events or lines."""
    lines = (line.removeprefix("data: ") for line in answer.text.splitlines())
    return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.mark.parametrize(("name", "build"), BUILDS)
def test_every_product_answers_a_chat_as_it_streams(name, build):
    with PRODUCTS[name].open(build) as server:
        answer = chat(server, name, build)
    assert answer.status_code == 200
    text = "".join(TEXT)
    assert text[0] in answer.text
    assert said(answer)
