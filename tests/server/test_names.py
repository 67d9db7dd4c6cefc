"""What the gateway lists can be asked for by that very name, whatever models and servers are called."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest

from ..scripted import Scripted, json_reply, llamacpp, says
from .conftest import Start

pytestmark = pytest.mark.anyio

CHAT = "v1/chat/completions"
NAMES = {
    "LM @ home": ("qwen2.5-coder@q4_k_m", "auto", "qwen/qwen3-8b:2"),
    "desk": ("m@desk", "Auto:Coding", "auto:7b", "m@LM @ home"),
    "ann@desk:8080/v1": ("a@b@c", "phi4", "AUTO", "a:b@desk/c", "x" * 590, "auto@desk"),
}


def serves(*models: str) -> Scripted:
    listed = [{"id": model, "object": "model", "max_model_len": 8192} for model in models]
    return Scripted({"GET /v1/models": json_reply({"object": "list", "data": listed}), f"POST /{CHAT}": says("Hello")})


def ask(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Why?"}]}


async def test_every_name_that_is_listed_is_answered_by_that_model(start: Start) -> None:
    with ExitStack() as running:
        servers = {name: running.enter_context(serves(*models)) for name, models in NAMES.items()}
        custom = [{"name": name, "endpoint": server.url} for name, server in servers.items()]
        async with start(settings={"services": {"custom_endpoints": custom}}) as jupyter:
            listed = (await jupyter.client.get("v1/models")).json()["data"]
            told = {each["id"]: each["owned_by"] for each in listed if each["owned_by"] != "jupyter-llmroute"}
            answers = {name: await jupyter.client.post(CHAT, json=ask(name)) for name in told}
            by_server = {
                f"{model}@{name}": await jupyter.client.post(CHAT, json=ask(f"{model}@{name}"))
                for name, models in NAMES.items()
                for model in models
                if len(model) < 500
            }
            one = await jupyter.client.get("v1/models/qwen/qwen3-8b:2")
    assert len(told) == sum(map(len, NAMES.values()))
    for name, answer in answers.items():
        assert answer.status_code == 200, (name, answer.text)
        model, service = answer.headers["x-llmroute-model"], answer.headers["x-llmroute-service"]
        assert service == told[name], name
        assert name[:300] in (model, f"{model}@{service}"), name
    for name, answer in by_server.items():
        assert answer.status_code == 200, (name, answer.text)
        assert answer.json()["model"] in name
    assert one.json()["owned_by"] == "LM @ home"


async def test_a_real_model_that_is_called_auto_is_asked_with_its_server(start: Start) -> None:
    with serves("auto") as real, llamacpp(model="qwen2.5-72b") as other:
        async with start(real.url, other.url) as jupyter:
            names = [each["id"] for each in (await jupyter.client.get("v1/models")).json()["data"]]
            answer = await jupyter.client.post(CHAT, json=ask("auto@server0"))
            for_all = await jupyter.client.post(CHAT, json=ask("auto"))
        assert real.chats
    assert names.count("auto") == 1
    assert "auto@server0" in names
    assert (answer.status_code, answer.headers["x-llmroute-service"]) == (200, "server0")
    assert for_all.status_code == 200


async def test_a_server_that_was_started_since_is_found_by_its_name(start: Start) -> None:
    down = json_reply({}, 404)
    script = {"GET /v1/models": [down, json_reply({"data": [{"id": "m@q8_0"}]})], f"POST /{CHAT}": says("Hello")}
    with Scripted(script) as late:
        custom = [{"name": "ann@desk", "endpoint": late.url, "max_retries": 0}]
        async with start(settings={"services": {"custom_endpoints": custom}}) as jupyter:
            answers = await asyncio.gather(*(jupyter.client.post(CHAT, json=ask("m@q8_0@ann@desk")) for _ in range(2)))
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_a_name_that_is_like_a_known_one_has_nobody_looked_for(start: Start) -> None:
    with serves("qwen2.5-coder@q4_k_m") as server:
        async with start(server.url) as jupyter:
            answers = [await jupyter.client.post(CHAT, json=ask("Qwen2.5-Coder@Q4_K_M")) for _ in range(3)]
    assert [answer.json()["model"] for answer in answers] == ["qwen2.5-coder@q4_k_m"] * 3
    assert server.lines.count("GET /v1/models") == 1


async def test_a_name_of_nothing_has_servers_looked_for_once_in_some_seconds(start: Start) -> None:
    with serves("m") as server:
        async with start(server.url) as jupyter:
            answers = [await jupyter.client.post(CHAT, json=ask("gone@nowhere")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert server.lines.count("GET /v1/models") == 1


@pytest.mark.parametrize("name", ["phi4@server0", "PHI4", "phi4:latest@Server0", "AUTO", "auto:Coding"])
async def test_a_name_that_the_chat_takes_is_a_model(start: Start, name: str) -> None:
    with serves("phi4:latest") as server:
        async with start(server.url) as jupyter:
            chat = await jupyter.client.post(CHAT, json=ask(name))
            one = await jupyter.client.get(f"v1/models/{name}")
    assert (chat.status_code, one.status_code) == (200, 200)
    stands = name.lower().startswith("auto")
    assert (one.json()["id"], one.json()["owned_by"]) == (
        (name.lower(), "jupyter-llmroute") if stands else (name, "server0")
    )


@pytest.mark.parametrize("name", ["gone@server0", "phi4@server1", "gone", "auto:poetry"])
async def test_a_name_that_nobody_answers_to_is_no_model(start: Start, name: str) -> None:
    with serves("phi4") as server, serves("m") as other:
        async with start(server.url, other.url) as jupyter:
            assert (await jupyter.client.get(f"v1/models/{name}")).status_code == 404
