"""The official client, with the Jupyter token as its key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest
from pydantic import BaseModel

from ..scripted import CUT, OVERFLOW, Scripted, delta, json_reply, llamacpp, says, sse
from .conftest import TOKEN, Start
from .test_gateway import CALLS, WEATHER

pytestmark = pytest.mark.anyio

ASK = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture
def client(start: Start):
    @asynccontextmanager
    async def made(server: Scripted, key: str = TOKEN) -> AsyncIterator[openai.AsyncOpenAI]:
        async with (
            start(server.url) as jupyter,
            openai.AsyncOpenAI(base_url=f"{jupyter.url}v1", api_key=key, max_retries=0) as client,
        ):
            yield client

    return made


async def test_models_are_listed(client) -> None:
    with llamacpp(model="m") as server:
        async with client(server) as ask:
            listed = [model.id async for model in await ask.models.list()]
            one = await ask.models.retrieve("auto:coding")
    assert listed[0] == "auto"
    assert "m" in listed
    assert one.id == "auto:coding"


async def test_a_whole_answer_is_read(client) -> None:
    with llamacpp(model="m") as server:
        async with client(server) as ask:
            raw = await ask.chat.completions.with_raw_response.create(model="auto", messages=ASK, temperature=0.5)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello"
    assert answer.usage
    assert answer.usage.total_tokens == 44
    assert raw.headers["x-llmroute-model"] == "m"
    assert server.chats[-1].json["temperature"] == 0.5


async def test_a_stream_is_read(client) -> None:
    with llamacpp(model="m") as server:
        async with client(server) as ask:
            stream = await ask.chat.completions.create(
                model="auto:reasoning", messages=ASK, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello"
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 2


async def test_the_clients_own_stream_joins_calls_of_tools(client) -> None:
    with llamacpp(CALLS, model="m") as server:
        async with (
            client(server) as ask,
            ask.chat.completions.stream(model="auto", messages=ASK, tools=[WEATHER]) as stream,
        ):
            answer = await stream.get_final_completion()
    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Rome"}')


class Answer(BaseModel):
    why: str


async def test_an_answer_by_a_schema_is_parsed(client) -> None:
    with llamacpp(says('{"why": "scattering"}'), model="m") as server:
        async with client(server) as ask:
            answer = await ask.chat.completions.parse(model="auto", messages=ASK, response_format=Answer)
        assert server.chats[-1].json["response_format"]["type"] == "json_schema"
    assert answer.choices[0].message.parsed == Answer(why="scattering")


@pytest.mark.parametrize(
    ("reply", "model", "key", "expected"),
    [
        (says("Hello"), "auto", "wrong", openai.AuthenticationError),
        (says("Hello"), "gpt-5", TOKEN, openai.NotFoundError),
        (json_reply(OVERFLOW, 400), "auto", TOKEN, openai.BadRequestError),
        (json_reply({"error": "server busy"}, 503), "auto", TOKEN, openai.RateLimitError),
        (json_reply({"error": "it broke"}, 500), "auto", TOKEN, openai.InternalServerError),
    ],
)
async def test_failures_are_the_clients_own_classes(client, reply, model, key, expected) -> None:
    with llamacpp(reply, model="m") as server:
        async with client(server, key) as ask:
            with pytest.raises(expected) as caught:
                await ask.chat.completions.create(model=model, messages=ASK)
    assert caught.value.message


async def test_an_answer_that_breaks_off_is_an_error_in_the_stream(client) -> None:
    with llamacpp(sse(delta("Hel"), CUT), model="m") as server:
        async with client(server) as ask:
            stream = await ask.chat.completions.create(model="auto", messages=ASK, stream=True)
            with pytest.raises(openai.APIError, match="m on server0"):
                async for _ in stream:
                    pass
