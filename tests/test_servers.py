"""The scripted servers say what the products are documented to say."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from .scripted import Scripted, json_reply, text_reply
from .servers import BUILDS, FAULTS, KEY, PRODUCTS, STRANGERS, TEXT, THOUGHT

HELLO = "Hello there, how are you?"
"""Five words: nine tokens as a message."""


CLIENT = {"trust_env": False, "timeout": 60, "verify": False}
"""Reading certificates takes a while, and nothing here has any."""


def get(server: Scripted, path: str, **headers: str) -> httpx.Response:
    return httpx.get(server.url + path, headers=headers, **CLIENT)


def post(server: Scripted, path: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(server.url + path, json=body, headers=headers, **CLIENT)


def chat(server: Scripted, name: str, build: str = "", text: str = HELLO, *, key: str = KEY, **more: Any):
    staged = PRODUCTS[name].build(build)
    body = {"model": staged.model, "messages": [{"role": "user", "content": text}], "stream": name != "gpt4all"}
    path = staged.chat.removeprefix("POST ").replace("*", "")
    return post(server, path, body | more, **({"authorization": f"Bearer {key}"} if key else {}))


def said(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return what a stream says, be it events or lines."""
    lines = (line.removeprefix("data: ") for line in answer.text.splitlines())
    return [json.loads(line) for line in lines if line.startswith("{")]


def spoken(answer: httpx.Response) -> str:
    """Return the text of an answer."""
    text = ""
    for each in said(answer):
        choice = each["choices"][0] if each.get("choices") else {}
        message = choice.get("delta") or choice.get("message") or each.get("message") or {}
        text += message.get("content") or ""
    return text


@pytest.mark.parametrize(("name", "build"), BUILDS)
def test_every_product_answers_a_chat(name, build):
    with PRODUCTS[name].open(build) as server:
        answer = chat(server, name, build)
    assert answer.status_code == 200
    assert spoken(answer).removeprefix(f"<think>{THOUGHT}</think>") == "".join(TEXT)


@pytest.mark.parametrize(("name", "build", "fault"), FAULTS)
def test_every_fault_is_told_from_an_answer(name, build, fault):
    with PRODUCTS[name].open(build) as server:
        good = chat(server, name, build)
    assert not is_told(good, HELLO)
    text = "w " * 100
    with PRODUCTS[name].open(build, fault=fault) as server:
        try:
            bad = chat(server, name, build, text, key="" if fault == "wants_key" else KEY)
        except httpx.RemoteProtocolError:
            return  # its connection ended
    assert is_told(bad, text) is ((name, build, fault) not in UNTOLD)


UNTOLD = {
    ("ollama", "older", "uncounted"),  # it says no count
    ("lmstudio", "0.4", "other_model"),  # the chat above names the one that answers
    ("lmstudio", "0.3", "other_model"),
    ("koboldcpp", "1.76", "silent_cut"),  # its streams say no count: count first
    ("localai", "plain", "starting"),  # said at /readyz
    ("localai", "greeting", "starting"),
}


def is_told(answer: httpx.Response, text: str) -> bool:
    """Whether an answer shows that it is not one to the whole of `text`."""
    items = said(answer)
    if answer.status_code != 200 or not items or any("error" in item for item in items):
        return True
    ends = [item.get("done") or (item.get("choices") or [{}])[0].get("finish_reason") for item in items]
    if not any(end not in (None, False, "null", "error") for end in ends):
        return True
    counts = [item.get("prompt_eval_count") or (item.get("usage") or {}).get("prompt_tokens") for item in items]
    return any(count < len(text.split()) for count in counts if count)


# --- who they are ---

SAID: list[tuple[str, str, str, int, object]] = [
    # (product, build, path, status, what the body is: a text, or some of its keys)
    ("ollama", "", "/", 200, "Ollama is running"),
    ("ollama", "", "/api/version", 200, {"version": "0.24.1"}),
    ("ollama", "", "/nope", 404, "404 page not found"),
    ("lmstudio", "0.4", "/lmstudio-greeting", 200, {"lmstudio": True}),
    ("lmstudio", "0.4", "/nope", 200, {"error": "Unexpected endpoint or method. (GET /nope). Returning 200 anyway"}),
    ("lmstudio", "0.3", "/api/v1/models", 200, {"error": ...}),
    ("lmstudio", "0.3", "/api/v0/models", 200, {"object": "list"}),
    ("jan", "", "/nope", 404, "Not Found"),
    ("jan", "empty", "/v1/models", 200, {"object": "list", "data": []}),
    ("openwebui", "", "/v1/models", 200, "<!doctype html>"),
    ("openwebui", "", "/api/health", 200, "<!doctype html>"),
    ("openwebui", "", "/api/models", 401, {"detail": "Not authenticated"}),
    ("openwebui", "", "/api/version", 200, {"version": "0.12.4", "deployment_id": ""}),
    ("openwebui", "", "/api/config", 200, {"name": "Open WebUI", "version": "0.12.4", "features": ...}),
    ("localai", "", "/readyz", 200, ""),
    ("localai", "", "/.well-known/localai.json", 200, {"version": "v4.9.0", "endpoints": ...}),
    ("localai", "", "/api/version", 200, {"version": "0.9.0"}),
    ("localai", "", "/", 301, ""),
    ("localai", "greeting", "/", 200, "Ollama is running"),
    ("vllm", "", "/health", 200, ""),
    ("vllm", "", "/version", 200, {"version": "0.32.0"}),
    ("vllm", "", "/props", 404, {"detail": "Not Found"}),
    ("llamacpp", "", "/health", 200, {"status": "ok"}),
    ("llamacpp", "", "/props", 200, {"default_generation_settings": ..., "total_slots": 1}),
    ("llamacpp", "router", "/props", 200, {"role": "router"}),
    ("llamacpp", "", "/api/tags", 404, {"error": ...}),
    ("koboldcpp", "1.117", "/api/extra/version", 200, {"result": "KoboldCpp", "version": "1.117.1"}),
    ("koboldcpp", "1.117", "/api/version", 200, {"version": "0.7.0"}),
    ("koboldcpp", "1.117", "/props", 200, {"n_ctx": 8192, "default_generation_settings": {"n_ctx": 8192}}),
    ("koboldcpp", "1.117", "/api/v1/models", 200, {"object": "list"}),
    ("koboldcpp", "1.117", "/api/v1/info", 404, "Error: KoboldCpp HTTP Server is running"),
    ("koboldcpp", "1.76", "/api/extra/true_max_context_length", 200, {"value": 8192}),
    ("koboldcpp", "1.76", "/api/version", 404, "Error: HTTP Server is running, but this endpoint does not exist."),
    ("koboldcpp", "1.76", "/props", 404, "Error: HTTP Server is running, but this endpoint does not exist."),
    ("gpt4all", "", "/api/version", 404, ""),
    ("textgen", "", "/v1/internal/health", 200, {"status": "ok"}),
    ("textgen", "empty", "/v1/internal/model/info", 200, {"model_name": "None"}),
    ("sglang", "", "/", 200, '"Ollama is running"'),
    ("sglang", "", "/model_info", 200, {"model_path": "Qwen/Qwen3-8B"}),
    ("sglang", "", "/api/version", 404, {"detail": "Not Found"}),
    ("mlx_lm", "", "/health", 200, {"status": "ok"}),
    ("mlx_lm", "", "/", 404, "Not Found"),
    ("lemonade", "", "/v1/health", 200, {"status": "ok", "all_models_loaded": ...}),
    ("lemonade", "", "/api/v0/models", 200, {"object": "list"}),
    ("docker", "", "/", 200, "Docker Model Runner is running"),
    ("docker", "", "/api/version", 200, {"version": "0.1.0"}),
    ("docker", "older", "/v1/models", 404, "404 page not found"),
    ("docker", "older", "/engines/v1/models", 200, {"object": "list"}),
    ("llama_swap", "", "/api/version", 200, {"version": "v240", "commit": ..., "build_date": ...}),
    ("llama_swap", "", "/health", 200, "OK"),
    ("llama_swap", "", "/running", 200, {"running": ...}),
    ("ray_serve", "", "/-/healthz", 200, "success"),
    ("ray_serve", "", "/-/routes", 200, {"/": "default"}),
    ("ray_serve", "", "/health", 404, {"detail": "Not Found"}),
    ("litellm", "", "/v1/models", 401, {"error": ...}),
    ("litellm", "without_prisma", "/v1/models", 500, "Internal Server Error"),
    ("litellm", "", "/health/liveliness", 200, '"I\'m alive!"'),
    ("litellm", "", "/.well-known/litellm-ui-config", 200, {"sso_configured": False}),
]
OWNERS = {
    "ollama": "library",
    "lmstudio": "organization_owner",
    "jan": "user",
    "localai": None,
    "vllm": "vllm",
    "llamacpp": "llamacpp",
    "koboldcpp": "koboldcpp",
    "gpt4all": "humanity",
    "textgen": "user",
    "sglang": "sglang",
    "mlx_lm": None,
    "lemonade": "lemonade",
    "docker": "docker",
    "llama_swap": "llama-swap",
    "llamafile": "llamafile",
    "ray_serve": "organization-owner",
}
HEADERS = [
    # (product, build, header, value)
    ("lmstudio", "", "x-powered-by", "Express"),
    ("vllm", "", "server", "uvicorn"),
    ("llamacpp", "", "server", "llama.cpp"),
    ("llamacpp", "router", "server", "llama.cpp"),
    ("koboldcpp", "1.117", "server", "KoboldCppServer"),
    ("koboldcpp", "1.76", "server", "ConcedoLlamaForKoboldServer"),
    ("mlx_lm", "", "server", "BaseHTTP/0.6 Python/3.12.4"),
    ("litellm", "", "server", None),
]


@pytest.mark.parametrize(("name", "build", "path", "status", "body"), SAID)
def test_what_is_said_where(name, build, path, status, body):
    with PRODUCTS[name].open(build) as server:
        answer = get(server, path)
    assert answer.status_code == status
    if isinstance(body, dict):
        found = answer.json()
        assert {key: ... if value is ... else found.get(key) for key, value in body.items() if key in found} == body
    else:
        assert answer.text.startswith(str(body))
        assert bool(answer.text) is bool(body)


@pytest.mark.parametrize("name", OWNERS)
def test_who_owns_the_models(name):
    with PRODUCTS[name].open() as server:
        models = get(server, "/v1/models").json()["data"]
    assert {model.get("owned_by") for model in models} == {OWNERS[name]}


@pytest.mark.parametrize(("name", "build", "header", "value"), HEADERS)
def test_headers(name, build, header, value):
    with PRODUCTS[name].open(build) as server:
        assert get(server, "/nope").headers.get(header) == value


@pytest.mark.parametrize("name", [name for name in STRANGERS if name not in ("half open", "no HTTP")])
def test_strangers_say_the_same_to_every_product_s_mark(name):
    with STRANGERS[name].open() as server:
        assert get(server, "/api/extra/version").status_code in (200, 204, 302, 401, 403, 404)
        assert "KoboldCpp" not in get(server, "/api/extra/version").text


# --- what they do ---


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("llamacpp", '{"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}}'),
        ("vllm", '{"error": "Unauthorized"}'),
        ("textgen", '{"detail": "Unauthorized"}'),
        ("jan", "Missing authorization header"),
    ],
)
def test_a_key_opens(name, refused):
    with PRODUCTS[name].open(fault="wants_key") as server:
        shut = get(server, "/v1/models")
        assert (shut.status_code, shut.text) == (401, refused)
        assert get(server, "/v1/models", authorization="Bearer other").status_code == 401
        assert get(server, "/v1/models", authorization=f"Bearer {KEY}").status_code == 200
    with PRODUCTS[name].open(key="mine") as server:
        assert get(server, "/v1/models", authorization="Bearer mine").status_code == 200


CHAT = {"messages": [{"role": "user", "content": HELLO}]}
PROMPT = f"<|im_start|> user : {HELLO} <|im_end|>\n"
COUNTS = [
    # (product, build, path, request, key of the count, count)
    ("llamacpp", "", "/v1/chat/completions/input_tokens", CHAT, "input_tokens", 9),
    ("llamacpp", "older", "/v1/chat/completions/input_tokens", CHAT, "input_tokens", None),
    ("llamacpp", "older", "/apply-template", CHAT, "prompt", PROMPT),
    ("llamacpp", "older", "/tokenize", {"content": PROMPT}, "tokens", list(range(9))),
    ("vllm", "", "/tokenize", CHAT, "count", 9),
    ("vllm", "", "/tokenize", {"prompt": HELLO}, "count", 5),
    ("ray_serve", "", "/tokenize", {"prompt": PROMPT}, "count", 9),
    ("ray_serve", "", "/tokenize", CHAT, "count", None),
    ("sglang", "", "/v1/tokenize", {"prompt": PROMPT}, "count", 9),
    ("koboldcpp", "1.117", "/api/extra/tokencount", CHAT, "value", 9),
    ("koboldcpp", "1.76", "/api/extra/tokencount", {"prompt": PROMPT}, "value", 9),
    ("localai", "", "/v1/tokenize", {"content": HELLO}, "tokens", list(range(5))),
    ("textgen", "", "/v1/internal/token-count", {"text": PROMPT}, "length", 9),
    ("textgen", "", "/v1/internal/chat-prompt", CHAT, "prompt", PROMPT),
]


@pytest.mark.parametrize(("name", "build", "path", "body", "key", "count"), COUNTS)
def test_tokens_are_counted_of_the_request(name, build, path, body, key, count):
    with PRODUCTS[name].open(build) as server:
        assert post(server, path, body).json().get(key) == count
        assert server.spoilt == []


TOO_LONG = "w " * 8200
LONG = {
    "jan": (400, "request (8204 tokens) exceeds the available context size (8192 tokens)"),
    "openwebui": (400, "exceed_context_size_error"),
    "localai": (500, "exceeds the available context size"),
    "lmstudio": (400, "The number of tokens to keep from the initial prompt"),
    "vllm": (400, "This model's maximum context length is 8192 tokens"),
    "llamacpp": (400, "exceed_context_size_error"),
    "gpt4all": (500, ""),
    "sglang": (400, "The input (8204 tokens) is longer than the model's context length (8192 tokens)."),
    "ray_serve": (400, "However, your request has 8204 input tokens."),
    "litellm": (400, "litellm.ContextWindowExceededError"),
}


@pytest.mark.parametrize("name", LONG)
def test_a_prompt_that_is_too_long_is_refused_in_the_product_s_words(name):
    with PRODUCTS[name].open() as server:
        answer = chat(server, name, text=TOO_LONG)
    status, words = LONG[name]
    assert answer.status_code == status
    assert words in answer.text


@pytest.mark.parametrize("name", ["koboldcpp", "textgen"])
def test_a_prompt_that_is_too_long_is_cut_without_a_word(name):
    with PRODUCTS[name].open() as server:
        answer = chat(server, name, text=TOO_LONG, stream_options={"include_usage": True})
    assert (answer.status_code, spoken(answer)) == (200, "".join(TEXT))
    assert [item["usage"]["prompt_tokens"] for item in said(answer) if "usage" in item] == [8192]


@pytest.mark.parametrize(
    ("build", "more", "status", "count"),
    [
        ("newer", {}, 200, 4096),
        ("newer", {"truncate": False}, 400, None),
        ("newer", {"truncate": False, "options": {"num_ctx": 16384}}, 200, 8204),
        ("older", {"truncate": False}, 200, 2048),
        ("older", {"options": {"num_ctx": 16384}}, 200, 8204),
    ],
)
def test_ollama_cuts_unless_a_build_that_knows_is_told_not_to(build, more, status, count):
    with PRODUCTS["ollama"].open(build) as server:
        answer = chat(server, "ollama", build, TOO_LONG, **more)
    assert answer.status_code == status
    assert said(answer)[-1].get("prompt_eval_count") == count


@pytest.mark.parametrize(
    ("model", "more", "status", "words"),
    [
        ("nope", {}, 404, "model 'nope' not found"),
        ("nomic-embed-text:latest", {}, 400, "does not support chat"),
        ("llama3.2:3b", {"think": True}, 400, "does not support thinking"),
        ("llama3.2:3b", {"messages": []}, 200, '"done_reason": "load"'),
        ("qwen3:8b", {}, 200, f'"thinking": "{THOUGHT}"'),
        ("gpt-oss:120b-cloud", {}, 200, "remote_host"),
    ],
)
def test_ollama_reads_what_it_is_asked(model, more, status, words):
    with PRODUCTS["ollama"].open() as server:
        answer = chat(server, "ollama", model=model, **more)
    assert answer.status_code == status
    assert words in answer.text


@pytest.mark.parametrize("more", [{"seed": 1}, {"stop": ["x"]}, {"stream": True}, {"stream_options": {}}, {"n": 2}])
def test_gpt4all_refuses_what_it_does_not_know(more):
    with PRODUCTS["gpt4all"].open() as server:
        answer = chat(server, "gpt4all", **more)
    assert answer.status_code == (200 if "n" in more else 400)


@pytest.mark.parametrize("more", [{"seed": None}, {"max_tokens": 100, "temperature": 0.5, "top_p": 1, "min_p": 0}])
def test_gpt4all_takes_what_it_knows(more):
    with PRODUCTS["gpt4all"].open() as server:
        answer = chat(server, "gpt4all", model="any", **more)
    assert (answer.status_code, answer.json()["model"]) == (200, "Llama 3 8B Instruct")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("llama_swap", "/unload"),
        ("llama_swap", "/upstream/qwen3-8b/health"),
        ("sglang", "/health"),
        ("sglang", "/health_generate"),
        ("sglang", "/flush_cache"),
        ("llamacpp", "/props?model=gpt-oss-20b"),
        ("llamacpp", "/slots?model=gpt-oss-20b&autoload=true"),
        ("llamacpp", "/models?reload=1"),
        ("litellm", "/health"),
    ],
)
def test_what_a_scan_must_never_ask(name, line):
    with PRODUCTS[name].open() as server:
        get(server, "/v1/models")
        get(server, "/props")
        assert server.spoilt == []
        get(server, line)
        assert server.spoilt == [f"GET {line}"]


def test_a_scan_must_not_make_a_model_work():
    with PRODUCTS["ollama"].open() as server:
        post(server, "/api/show", {"model": "qwen3:8b"})
        assert server.spoilt == []
        chat(server, "ollama")
        assert server.spoilt == ["POST /api/chat"]


def test_requests_that_nobody_knows_are_told_apart():
    with PRODUCTS["lmstudio"].open() as server:
        get(server, "/lmstudio-greeting")
        get(server, "/health")
        assert server.strays == ["GET /health"]


def test_what_is_due_can_be_set():
    none = {"GET /v1/models": json_reply({"data": []})}
    with PRODUCTS["vllm"].open("older", script=none, chat=text_reply("mine")) as server:
        assert get(server, "/v1/models").json() == {"data": []}
        assert get(server, "/version").json() == {"version": "0.9.2"}
        assert chat(server, "vllm").text == "mine"


@pytest.mark.parametrize("build", ["1.117", "1.76"])
def test_koboldcpp_behind_a_password_hides_its_model_s_name(build):
    with PRODUCTS["koboldcpp"].open(build, fault="wants_key") as server:
        assert get(server, "/api/extra/version").json()["protected"] is True
        assert get(server, "/api/v1/model").json() == {"result": "koboldcpp/protected-model"}
        assert get(server, "/api/v1/model", authorization=f"Bearer {KEY}").json() != get(server, "/api/v1/model").json()
        assert chat(server, "koboldcpp", build, key="").json()["detail"]["type"] == "unauthorized"
