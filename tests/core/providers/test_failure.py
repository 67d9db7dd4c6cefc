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
from jupyter_llmroute.core.providers.failure import LONGEST_WAIT_S, REMEDIES, SHOWN_CHARS, failure
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
    "llama.cpp, type of an overflow": (400, said("no", type="exceed_context_size_error"), ContextOverflow),
    "llama-cpp-python, too long": (
        400,
        said(
            "This model's maximum context length is 2048 tokens. However, you requested 4135 tokens (4127 in the "
            "messages, 8 in the completion). Please reduce the length of the messages or completion.",
            type="invalid_request_error",
            param="messages",
            code="context_length_exceeded",
        ),
        ContextOverflow,
    ),
    "llama-cpp-python, too long, within": (
        500,
        "Requested tokens (4127) exceed context window of 2048",
        ContextOverflow,
    ),
    "llama-cpp-python, role": (500, said("7 validation errors: {'type': 'literal_error'}"), ServerFailure),
    "vLLM, too long, 0.32": (
        400,
        said(
            "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input "
            "tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input "
            "prompt. (parameter=input_tokens, value=2049)",
            type="BadRequestError",
            param="input_tokens",
            code=400,
        ),
        ContextOverflow,
    ),
    "vLLM, too long for the answer": (
        400,
        said(
            "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 "
            "tokens and your request has 30 input tokens (5000 > 4096 - 30)."
        ),
        ContextOverflow,
    ),
    "vLLM, flat": (400, '{"object":"error","message":"no such role","type":"BadRequestError","code":400}', BadRequest),
    "vLLM, validation": (
        400,
        said(
            "1 validation error:\n  {'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required'}",
            type="Bad Request",
            param="body.messages",
            code=400,
        ),
        BadRequest,
    ),
    "SGLang, too long for the answer": (
        400,
        '{"object":"error","message":"Requested token count exceeds the model\'s maximum context length of 8192 '
        "tokens. You requested a total of 9000 tokens: 8500 tokens from the input messages and 500 tokens for the "
        'completion."}',
        ContextOverflow,
    ),
    "SGLang, queue": (503, '{"object":"error","message":"The request queue is full."}', ServerBusy),
    "LM Studio, too long, older": (
        400,
        '{"error":"Trying to keep the first 6269 tokens when context the overflows. However, the model is loaded with '
        'context length of only 4096 tokens, which is not enough."}',
        ContextOverflow,
    ),
    "LM Studio, guard": (
        500,
        '{"error":"Model loading was stopped due to insufficient system resources."}',
        OutOfMemory,
    ),
    "Ollama, too long, newer": (
        400,
        '{"error":"prompt too long; exceeded max context length by 17 tokens"}',
        ContextOverflow,
    ),
    "Ollama, load": (500, '{"error":"llama runner process has terminated: error loading model"}', ServerFailure),
    "llama.cpp, Vulkan": (500, said("vk::Device::allocateMemory: ErrorOutOfDeviceMemory"), OutOfMemory),
    "Jan, key": (401, "Invalid or missing authorization token", AuthenticationNeeded),
    "Jan, nothing in memory": (503, "No models are available", ModelNotFound),
    "Jan, no model named": (400, "Request body must contain a 'model' field", BadRequest),
    "Jan, host": (403, "Invalid host header", ServerFailure),
    "text-generation-webui, host": (400, '{"detail":"Invalid host header"}', ServerFailure),
    "Open WebUI, key": (401, '{"detail":"Not authenticated"}', AuthenticationNeeded),
    "Open WebUI, unknown": (400, '{"detail":"Model not found"}', ModelNotFound),
    "Open WebUI, backend dead": (404, '{"detail":"Model \'\' was not found"}', ModelNotFound),
    "Open WebUI, a backend's overflow": (
        400,
        '{"detail":{"error":{"message":"request (9 tokens) exceeds the available context size (8 tokens)"}}}',
        ContextOverflow,
    ),
    "KoboldCpp, input": (500, '{"detail":{"msg":"Error parsing input.","type":"bad_input"}}', ServerFailure),
    "KoboldCpp, key": (401, '{"detail":{"msg":"Authentication failed.","type":"unauthorized"}}', AuthenticationNeeded),
    "LocalAI, unknown": (
        404,
        said('model "X" not found. To see available models, call GET /v1/models', type="invalid_request_error"),
        ModelNotFound,
    ),
    "LiteLLM, too long": (400, said("litellm.ContextWindowExceededError: too long"), ContextOverflow),
    "LiteLLM, unknown": (400, said("/chat/completions: Invalid model name passed in model=X."), ModelNotFound),
    "llama-swap, unknown": (400, '{"error":"could not find real modelID for X"}', ModelNotFound),
    "transformers, unknown": (500, "Internal Server Error", ServerFailure),
    "transformers, JSON": (
        422,
        '{"detail":[{"type":"json_invalid","loc":["body",1],"msg":"JSON decode"}]}',
        BadRequest,
    ),
    "text-generation-inference, too long": (
        422,
        '{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` '
        'tokens and 20 `max_new_tokens`","error_type":"validation"}',
        ContextOverflow,
    ),
    "GPT4All, key of the body": (
        400,
        said("Unrecognized request argument supplied: stream_options", type="invalid_request_error"),
        BadRequest,
    ),
    "GPT4All, any failure": (500, "", ServerFailure),
    "any, key": (401, "", AuthenticationNeeded),
    "any, flag": (500, '{"error":true,"message":"out of memory"}', OutOfMemory),
    "any, empty object": (400, "{}", BadRequest),
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
        (SERVERS["Ollama, too long, newer"][1], None, None),
        (SERVERS["llama-cpp-python, too long"][1], 4127, 2048),
        (SERVERS["llama-cpp-python, too long, within"][1], 4127, 2048),
        (SERVERS["vLLM, too long"][1], 5000, 4096),
        (SERVERS["vLLM, too long, new"][1], 4000, 2048),
        (SERVERS["vLLM, too long, 0.32"][1], 2049, 2048),
        (SERVERS["vLLM, too long for the answer"][1], 30, 4096),
        (SERVERS["SGLang, too long for the answer"][1], 8500, 8192),
        (SERVERS["LM Studio, too long, older"][1], 6269, 4096),
        (SERVERS["Open WebUI, a backend's overflow"][1], 9, 8),
        (SERVERS["text-generation-inference, too long"][1], 5000, 4096),
        (said("maximum context length is " + "9" * 400), None, None),
    ],
)
def test_an_overflow_keeps_the_numbers_that_the_server_gives(body, prompt_tokens, context_window):
    error = failure("m on desk", 400, body)
    assert isinstance(error, ContextOverflow)
    assert (error.prompt_tokens, error.context_window) == (prompt_tokens, context_window)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(400, BadRequest), (503, ServerBusy), ("400", ServerFailure), (None, ServerFailure), (True, ServerFailure)],
)
def test_within_a_stream_a_code_says_what_the_status_cannot(code, kind):
    assert type(failure("m on desk", 200, said("no", code=code))) is kind
    assert type(failure("m on desk", 500, said("no", code=code))) is ServerFailure


DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "retry_after_s"),
    [
        ({"Retry-After": "12"}, 12),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "9" * 400}, LONGEST_WAIT_S),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": DATE}, 30),
        ({"Retry-After": "Wed, 21 Oct 2026 07:20:00 GMT", "Date": DATE}, 0),
        ({"Retry-After": "Wed, 21 Oct 2099 07:28:30 GMT", "Date": DATE}, LONGEST_WAIT_S),
        ({"Retry-After": "Wed, 21 Oct 2099 07:28:30 GMT", "Date": "today"}, LONGEST_WAIT_S),
        ({"Retry-After": "Wed, 21 Oct 1999 07:28:30 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "1e3"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "Wed, 99 Oct 2026 07:28:30 GMT"}, None),
        ({"Retry-After": ""}, None),
        ({"Date": DATE}, None),
        ({}, None),
        (None, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_says_when_to_come_back(status, headers, retry_after_s):
    error = failure("m on desk", status, "", headers)
    assert isinstance(error, ServerBusy)
    assert error.retry_after_s == retry_after_s


def test_the_time_to_wait_is_in_the_message_as_it_is_known():
    assert str(failure("m", 429, said("slow down"), {"Retry-After": "12"})) == (
        "m: slow down (HTTP 429); ask again in 12 s."
    )
    assert str(failure("m", 429, said("slow down"))) == "m: slow down (HTTP 429); ask again in a moment."


def test_a_loading_server_is_loading_whatever_time_it_names():
    body = json.dumps({"error": {"code": "model_loading", "message": "wait"}, "loading": {"progress": 0.5}})
    assert type(failure("m", 503, body, {"Retry-After": "5"})) is ModelLoading


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<!DOCTYPE html><html><title>502</title></html>", "a web page"),
        ("\n<html><body>out of memory</body></html>", "a web page"),
        ("Error: HTTP Server is running, but this endpoint does not exist.", "Error: HTTP Server is running"),
        ('{"detail":[{"loc":["body","x"],"msg":"no","input":"the user\'s text"},{"msg":"and"}]}', "body.x: no; and ("),
        ('{"detail":["odd",5]}', "odd; 5 ("),
        ('{"error":{"message":"not in range","param":"max_tokens"}}', "not in range (max_tokens) ("),
        ('{"error":{"message":"max_tokens is wrong.","param":"max_tokens"}}', "max_tokens is wrong ("),
        ('{"detail":"a","error":"b"}', "b ("),
        ("a\n   b", "a b ("),
    ],
)
def test_what_is_shown_of_a_body(body, shown):
    assert str(failure("m", 500, body)).startswith(f"m: {shown}")


def test_a_long_tirade_is_cut():
    assert len(str(failure("m", 500, "x" * 100_000))) < SHOWN_CHARS + 100


LONG = 10 << 20
TOO_LATE = {
    "message": said("x" * LONG + " out of memory"),
    "type": said("no", type="x" * LONG + " out of memory"),
    "code": said("no", code="x" * LONG + " out of memory"),
    "param": said("no", param="x" * LONG + " out of memory"),
    "one complaint": json.dumps({"detail": [{"msg": "x" * LONG + " out of memory"}]}),
    "many complaints": json.dumps({"detail": [{"msg": "no"}] * 10_000 + [{"msg": "out of memory"}]}),
    "text": "x" * LONG + " out of memory",
    "blanks": " " * LONG + "out of memory",
    "a page": " " * LONG + "<html>",
    "no words": json.dumps({"x" * LONG + "out of memory": 5}),
}


@pytest.mark.parametrize("name", TOO_LATE)
def test_what_stands_behind_ten_million_characters_is_not_read(name):
    error = failure("m", 500, TOO_LATE[name])
    assert type(error) is ServerFailure
    assert len(str(error)) < SHOWN_CHARS + 100


@pytest.mark.parametrize("field", ["type", "code"])
def test_of_a_field_beside_the_words_the_beginning_is_read(field):
    assert type(failure("m", 500, said("no", **{field: "model_loading" + "x" * LONG}))) is ModelLoading


@pytest.mark.parametrize(
    "unseen", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u061c", "\u200e", "\u200f", "\u202e", "\u2066", "\u2069"]
)
@pytest.mark.parametrize(
    "shape", [str, said, lambda text: said("", param=text), lambda text: json.dumps({"detail": [text]})]
)
def test_nothing_that_turns_or_hides_text_is_shown(unseen, shape):
    error = str(failure("m", 500, shape(f"no{unseen}[2J txt.exe")))
    assert unseen not in error
    assert "no[2J txt.exe" in error


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
