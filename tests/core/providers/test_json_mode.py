"""An answer that is wanted as JSON: what each kind of server is told, and what happens where it does not know it."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_llmroute.core.providers import load_providers
from jupyter_llmroute.core.providers.json_grammar import JSON_OBJECT
from jupyter_llmroute.core.providers.openai import OpenAICompatible
from jupyter_llmroute.core.request import Format

from ...scripted import Scripted, json_reply, says
from .asking import body, chat, listen, sent

pytestmark = pytest.mark.anyio

JSON_MODES: dict[str, dict[str, Any]] = {
    "ollama": {"format": "json"},
    "lmstudio": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
    },
    "koboldcpp": {"grammar": JSON_OBJECT},
    "textgen": {"grammar_string": JSON_OBJECT},
    "gpt4all": {},
}
"""Of those that differ from the dialect."""


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize("name", load_providers())
async def test_a_server_is_held_to_json_in_its_own_way_and_only_where_it_is_wanted(name):
    provider, asked = load_providers()[name], chat()
    usual = body(await sent(provider, asked))
    for wanted in (Format.CODE, Format.TEXT):
        assert body(await sent(provider, asked.model_copy(update={"format": wanted}))) == usual
    as_json = body(await sent(provider, asked.model_copy(update={"format": Format.JSON})))
    more = JSON_MODES.get(name, {"response_format": {"type": "json_object"}})
    assert as_json == {**usual, **more}


@pytest.mark.parametrize(
    "words",
    [
        "'response_format.type' must be 'json_schema' or 'text'",
        "Unrecognized request argument supplied: response_format",
        "This model does not support json_object",
    ],
)
async def test_it_is_left_out_where_it_is_refused(words):
    refusal = json_reply({"error": {"message": words}}, 400)
    with Scripted({"POST /v1/chat/completions": [refusal, says("{}")]}) as server:
        heard = await listen(OpenAICompatible(), server.url, chat().model_copy(update={"format": Format.JSON}))
        assert heard.text == "{}"
        first, second = (asked.json for asked in server.asked)
        assert second == {key: value for key, value in first.items() if key != "response_format"}
