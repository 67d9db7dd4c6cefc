"""A server's words and status become one of our errors, whatever shape they come in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.errors import (
    AuthenticationNeeded,
    BadRequest,
    ContextOverflow,
    ModelLoading,
    ModelNotFound,
    OutOfMemory,
    PeerError,
    RefusedOption,
    ServerBusy,
    ServerFailure,
)
from jupyter_llmroute.core.providers.failure import REMEDIES, SHOWN_CHARS, failure
from jupyter_llmroute.core.request import Sampling


def said(message: str, **more: object) -> str:
    return json.dumps({"error": {"message": message, **more}})


SERVERS = {
    # server: (status, body, error)
    "llama.cpp, too long": (
        400,
        said("request (4127 tokens) exceeds the available context size (2048 tokens), try increasing it"),
        ContextOverflow,
    ),
    "llama.cpp, type alone": (400, said("no", type="context_length_exceeded"), ContextOverflow),
    "llama.cpp, cache full": (500, said("Context size has been exceeded."), ContextOverflow),
    "llama.cpp, key": (401, said("Invalid API Key", type="authentication_error", code=401), AuthenticationNeeded),
    "llama.cpp, loading": (503, said("Loading model", type="unavailable_error", code=503), ModelLoading),
    "llama.cpp, path": (404, said("File Not Found", type="not_found_error", code=404), ModelNotFound),
    "llama.cpp, router": (400, said("model 'X' not found"), ModelNotFound),
    "llama.cpp, parameter": (400, said("'messages' is required", type="invalid_request_error"), BadRequest),
    "llama.cpp, option": (400, said("Field 'temperature': must be a number", param="x"), RefusedOption),
    "llama.cpp, template": (400, said("Jinja Exception: System role not supported"), BadRequest),
    "llama.cpp, compute": (500, said("Compute error."), ServerFailure),
    "Ollama, too long": (400, '{"error":"the input is longer than the context length"}', ContextOverflow),
    "Ollama, unknown": (404, '{"error":"model \'X\' not found"}', ModelNotFound),
    "Ollama, unknown, old": (404, '{"error":"model \\"X\\" not found, try pulling it first"}', ModelNotFound),
    "Ollama, embeddings": (400, '{"error":"\\"nomic-embed-text\\" does not support chat"}', ServerFailure),
    "Ollama, cloud": (401, '{"error":"unauthorized","signin_url":"https://x.example"}', AuthenticationNeeded),
    "Ollama, queue": (503, '{"error":"server busy, please try again.  maximum pending requests exceeded"}', ServerBusy),
    "Ollama, memory": (500, '{"error":"model requires more system memory (9 GiB) than is available"}', OutOfMemory),
    "Ollama, CUDA": (500, '{"error":"llama runner process has terminated: cudaMalloc failed"}', OutOfMemory),
    "Ollama, runner": (500, '{"error":"llama runner process has terminated: exit status 2"}', ServerFailure),
    "Ollama, host": (403, "", AuthenticationNeeded),
    "LM Studio, too long": (
        400,
        '{"error":"The number of tokens to keep from the initial prompt is greater than the context length."}',
        ContextOverflow,
    ),
    "LM Studio, path": (200, '{"error":"Unexpected endpoint or method. (GET /x)"}', ServerFailure),
    "vLLM, too long": (
        400,
        said("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens", code=400),
        ContextOverflow,
    ),
    "vLLM, too long, new": (
        400,
        said("You passed 4000 input tokens. However, the model's context length is only 2048 tokens."),
        ContextOverflow,
    ),
    "vLLM, unknown": (404, said("The model `X` does not exist.", type="NotFoundError", code=404), ModelNotFound),
    "vLLM, option": (400, said("temperature must be non-negative, got -1.0.", type="BadRequestError"), RefusedOption),
    "vLLM, option in param": (400, said("not in range", param="max_tokens"), RefusedOption),
    "vLLM, field": (400, said("[{'loc': ('body', 'stream_options'), 'msg': 'Extra inputs'}]"), BadRequest),
    "vLLM, roles": (400, said("Conversation roles must alternate user/assistant/user/assistant/..."), BadRequest),
    "vLLM, key": (401, '{"error":"Unauthorized"}', AuthenticationNeeded),
    "SGLang, too long": (
        400,
        json.dumps(
            {
                "object": "error",
                "message": "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
            }
        ),
        ContextOverflow,
    ),
    "KoboldCpp, busy": (503, '{"detail":{"msg":"Server is busy; please try again later."}}', ServerBusy),
    "text-generation-webui, key": (401, '{"detail":"Unauthorized"}', AuthenticationNeeded),
    "text-generation-webui, parameter": (422, '{"detail":[{"loc":["body"],"msg":"field required"}]}', BadRequest),
    "text-generation-webui, option": (422, '{"detail":[{"loc":["body","max_tokens"],"msg":"x"}]}', RefusedOption),
    "Ollama, option": (400, '{"error":"option \\"num_predict\\" must be of type integer"}', RefusedOption),
    "Ollama, our option": (400, '{"error":"option \\"num_ctx\\" must be of type integer"}', BadRequest),
    "any, another status": (500, said("temperature"), ServerFailure),
    "LocalAI, loading": (503, said("backend is starting", code="model_loading"), ModelLoading),
    "LocalAI, opaque": (500, "", ServerFailure),
    "Jan, plain text": (404, "No running session found for model 'X'", ModelNotFound),
    "any, rate": (429, said("slow down"), ServerBusy),
    "any, overload": (503, "upstream", ServerBusy),
    "any, gateway": (502, "<html>Bad gateway</html>", ServerFailure),
    "any, no such method": (405, '{"detail":"Method Not Allowed"}', ServerFailure),
    "any, body limit": (413, "<html>Request Entity Too Large</html>", ServerFailure),
    "any, moved": (301, "", ServerFailure),
}


@pytest.mark.parametrize("name", SERVERS)
def test_class(name):
    status, body, kind = SERVERS[name]
    assert type(failure("m on desk", status, body)) is kind
    assert type(failure("m on desk", status, body.encode())) is kind


@pytest.mark.parametrize(
    "name", [n for n, (*_, kind) in SERVERS.items() if kind in (ContextOverflow, OutOfMemory, ModelLoading)]
)
def test_within_a_stream_there_is_no_status_and_the_words_tell(name):
    _, body, kind = SERVERS[name]
    assert type(failure("m on desk", 200, body)) is kind


def test_only_a_refused_option_ends_the_chain():
    kinds = {kind for *_, kind in SERVERS.values()}
    assert {kind for kind in kinds if not kind.may_fall_back} == {RefusedOption}


@pytest.mark.parametrize("option", Sampling.model_fields)
def test_every_option_of_the_user_is_known_by_its_name(option):
    assert type(failure("m on desk", 400, said(f"invalid {option}"))) is RefusedOption


def test_message_has_who_what_and_what_to_do():
    assert str(failure("m on desk", 503, said("Loading model"))) == (
        "m on desk: Loading model (HTTP 503); ask again in a moment."
    )
    assert str(failure("m on desk", 500, "")) == "m on desk: no reason given (HTTP 500)."


@pytest.mark.parametrize("kind", REMEDIES)
def test_every_remedy_is_given(kind):
    status, body = next((status, body) for status, body, its in SERVERS.values() if its is kind)
    assert str(failure("m", status, body)).endswith(f"; {REMEDIES[kind]}.")


@pytest.mark.parametrize(
    ("body", "prompt_tokens", "context_window"),
    [
        (said("exceeds the available context size", n_prompt_tokens=9000, n_ctx=8192), 9000, 8192),
        (said("exceeds the available context size", n_prompt_tokens=True, n_ctx="many"), None, None),
        (SERVERS["llama.cpp, too long"][1], 4127, 2048),
        (SERVERS["SGLang, too long"][1], 9000, 8192),
        ('{"error":"request (9 tokens) exceeds the available context size (8 tokens), try"}', 9, 8),
        (SERVERS["Ollama, too long"][1], None, None),
    ],
)
def test_an_overflow_keeps_the_numbers_that_the_server_gives(body, prompt_tokens, context_window):
    error = failure("m on desk", 400, body)
    assert isinstance(error, ContextOverflow)
    assert (error.prompt_tokens, error.context_window) == (prompt_tokens, context_window)


def test_a_long_tirade_is_cut():
    assert len(str(failure("m", 500, "x" * 100_000))) < SHOWN_CHARS + 100


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "detail", "message", "type"]), inner),
)


@given(st.integers(100, 599), ANYTHING)
def test_any_json_becomes_an_error(status, body):
    error = failure("m on desk", status, json.dumps(body))
    assert isinstance(error, PeerError)
    assert str(error).startswith("m on desk: ")


def test_a_tower_of_brackets_becomes_an_error():
    assert type(failure("m", 500, "[" * 100_000)) is ServerFailure


@given(st.integers(100, 599), st.binary())
def test_any_bytes_become_an_error(status, body):
    assert isinstance(failure("m on desk", status, body), PeerError)
