"""The panel's routes: what each gives, over a real socket and with scripted model servers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_llmroute.core.task import Task
from jupyter_llmroute.server.shapes import (
    AuditTail,
    Decision,
    Doctor,
    Models,
    NextUp,
    Services,
    ShownSettings,
)

from ..scripted import CUT, Scripted, delta, llamacpp, nobody, sse
from .conftest import Start

pytestmark = pytest.mark.anyio


async def test_services_are_told_with_their_models_and_what_stands_in_the_way(start: Start) -> None:
    with llamacpp(model="qwen3-8b") as well, nobody() as down:
        async with start(well.url, down) as jupyter:
            seen = Services.model_validate_json((await jupyter.client.get("services")).content)
    first, second = seen.services
    assert (first.name, first.product, first.url, first.healthy, first.why_not) == (
        "server0",
        "llama.cpp",
        well.url,
        True,
        None,
    )
    (model,) = first.models
    assert (model.id, model.context_window, model.is_usable, model.why_not) == ("qwen3-8b", 8192, True, None)
    assert not second.healthy
    assert "refused" in (second.why_not or "")
    assert seen.looked_at is not None
    assert not seen.is_looking


async def test_a_refresh_looks_now(start: Start) -> None:
    with llamacpp() as server:
        async with start(server.url) as jupyter:
            await jupyter.client.get("services")
            before = server.lines.count("GET /v1/models")
            await jupyter.client.get("services")
            assert server.lines.count("GET /v1/models") == before
            await jupyter.client.get("services?refresh=1")
            assert server.lines.count("GET /v1/models") > before


async def test_models_are_told_with_their_servers(start: Start) -> None:
    with llamacpp(model="a") as first, llamacpp(model="b") as second:
        async with start(first.url, second.url) as jupyter:
            listed = Models.model_validate_json((await jupyter.client.get("models")).content)
    assert [(model.id, model.service) for model in listed.models] == [("a", "server0"), ("b", "server1")]


async def test_a_decision_asks_nobody(start: Start) -> None:
    with llamacpp(model="qwen2.5-coder-7b") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post("decide", json={"question": "Write a function that adds two numbers."})
        assert not server.chats
    decision = Decision.model_validate_json(answer.content)
    assert decision.task
    assert (decision.task.name, decision.model, decision.service) == ("coding", "qwen2.5-coder-7b", "server0")
    assert decision.reasons
    assert decision.error is None


async def test_a_decision_that_names_an_unknown_model_says_so(start: Start) -> None:
    with llamacpp(model="a") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post("decide", json={"question": "?", "model": "nowhere-to-be-found"})
    decision = Decision.model_validate_json(answer.content)
    assert answer.status_code == 200
    assert decision.model is None
    assert "nowhere-to-be-found" in (decision.error or "")


async def test_each_task_is_told_who_is_next(start: Start) -> None:
    with llamacpp(model="a") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.get("next")
        assert not server.chats
    tasks = NextUp.model_validate_json(answer.content).tasks
    assert {task.value: decision.model for task, decision in tasks.items()} == dict.fromkeys(
        ("coding", "reasoning", "analysis", "documentation"), "a"
    )


@pytest.mark.parametrize(
    ("pins", "expected"),
    [
        ({}, dict.fromkeys(("coding", "reasoning"), "qwen2.5-72b-instruct")),
        ({"any": "tiny"}, dict.fromkeys(("coding", "reasoning"), "tiny")),
        ({"coding": "tiny@server1"}, {"coding": "tiny", "reasoning": "qwen2.5-72b-instruct"}),
    ],
)
async def test_a_pin_wins_for_its_task(start: Start, pins: dict[str, str], expected: dict[str, str]) -> None:
    with llamacpp(model="qwen2.5-72b-instruct", window=32768) as large, llamacpp(model="tiny", window=32768) as small:
        async with start(large.url, small.url, settings={"models": {"memory_gb": 1000}}) as jupyter:
            answer = await jupyter.client.get("next", params={"pins": json.dumps(pins)})
            chat = await jupyter.client.post("chat", json={"question": "Why?", "task": "coding", "pins": pins})
    tasks = NextUp.model_validate_json(answer.content).tasks
    assert {task: tasks[Task(task)].model for task in expected} == expected
    asked = next(data for kind, data in events_of(chat.text) if kind == "attempt_started")
    assert asked["model"] == expected["coding"]


@pytest.mark.parametrize(
    "pins",
    [
        "{",
        "[]",
        "[" * 10_000,
        "9" * 5_000,
        "null",
        '{"any": 3}',
        r'{"any": "\u0085"}',
        r'{"any": "\ud800"}',
        r'{"any": "m\u202e", "\ud800": "m"}',
        r'{"any": "a\nb", "coding": ["m"], "poetry": "m"}',
        json.dumps({"any": "m" * 301}),
        json.dumps({str(number): "m" for number in range(1000)}),
    ],
)
async def test_a_pin_that_cannot_be_read_is_named_and_passed_over(start: Start, pins: str) -> None:
    with llamacpp(model="m") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.get("next", params={"pins": pins})
    assert answer.status_code == 200, answer.text
    for decision in NextUp.model_validate_json(answer.content).tasks.values():
        assert decision.model == "m"
        assert any("passed over" in remark for remark in decision.remarks) == (pins != "null")
        assert all(remark.isprintable() for remark in decision.remarks)


@pytest.mark.parametrize(
    "pins",
    [
        "[]",
        "3",
        '{"poetry": "m"}',
        r'{"any": "\ud800"}',
        r'{"any": "m\u202e", "\ud800": "m"}',
        r'{"any": " ", "coding": ["m"], "analysis": {}}',
        json.dumps({"any": "m" * 301}),
    ],
)
async def test_a_question_goes_on_whatever_its_notebook_has_for_pins(start: Start, pins: str) -> None:
    body = f'{{"question": "Why?", "task": "coding", "pins": {pins}}}'.encode()
    with llamacpp(model="m") as server:
        async with start(server.url) as jupyter:
            decided = await jupyter.client.post("decide", content=body)
            chat = await jupyter.client.post("chat", content=body)
    decision = Decision.model_validate_json(decided.content)
    assert decision.model == "m"
    assert any("passed over" in remark for remark in decision.remarks)
    assert events_of(chat.text)[-1][0] == "end"


@pytest.mark.parametrize("path", ["services?refresh=1", "services", "models", "next", "v1/models"])
async def test_where_nobody_can_answer_servers_are_looked_for_once_a_request(start: Start, path: str) -> None:
    with Scripted({}) as server:
        async with start(server.url) as jupyter:
            for number in (1, 2):
                assert (await jupyter.client.get(path)).status_code == 200
                assert server.lines.count("GET /v1/models") == number


async def test_a_pin_that_cannot_hold_is_told(start: Start) -> None:
    with llamacpp(model="m") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post("decide", json={"question": "Why?", "pins": {"any": "gone"}})
    decision = Decision.model_validate_json(answer.content)
    assert decision.model == "m"
    assert any("gone" in remark for remark in decision.remarks)


def events_of(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))) for lines in blocks]


async def test_an_answer_comes_in_the_events_of_the_core(start: Start) -> None:
    with llamacpp(model="a") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post("chat", json={"question": "Why?"})
    events = events_of(answer.text)
    assert answer.headers["content-type"] == "text/event-stream"
    assert [kind for kind, _ in events] == [
        "routed",
        "attempt_started",
        "text_delta",
        "text_delta",
        "completed",
        "end",
    ]
    assert "".join(data["text"] for kind, data in events if kind == "text_delta") == "Hello"


async def test_what_was_said_before_goes_along(start: Start) -> None:
    said = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    with llamacpp(model="a") as server:
        async with start(server.url) as jupyter:
            await jupyter.client.post("chat", json={"question": "three", "messages": said})
        sent = server.chats[-1].json["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert [message["content"] for message in sent[1:]] == ["one", "two", "three"]


async def test_an_answer_that_breaks_off_ends_with_the_failure(start: Start) -> None:
    with llamacpp(sse(delta("Hel"), CUT), model="a") as server:
        async with start(server.url) as jupyter:
            answer = await jupyter.client.post("chat", json={"question": "Why?"})
    kinds = [kind for kind, _ in events_of(answer.text)]
    assert kinds[-3:] == ["attempt_failed", "failed", "end"]


async def test_a_question_that_nobody_can_answer_is_an_error(start: Start) -> None:
    with nobody() as down:
        async with start(down) as jupyter:
            answer = await jupyter.client.post("chat", json={"question": "Why?"})
    assert answer.status_code == 503
    assert "server0" in answer.json()["message"]


async def test_what_was_asked_is_in_the_audit_log_without_its_words(start: Start) -> None:
    with llamacpp(model="a") as server:
        async with start(server.url) as jupyter:
            empty = AuditTail.model_validate_json((await jupyter.client.get("audit")).content)
            await jupyter.client.post("chat", json={"question": "A secret matter?"})
            answer = await jupyter.client.get("audit?tail=2")
    assert (empty.is_kept, empty.records) == (False, ())
    tail = AuditTail.model_validate_json(answer.content)
    assert tail.is_kept
    assert [record["kind"] for record in tail.records] == ["started", "ended"]
    assert "secret matter" not in answer.text


async def test_the_doctor_tells_each_check(start: Start) -> None:
    with llamacpp(model="a") as server:
        async with start(server.url) as jupyter:
            doctor = Doctor.model_validate_json((await jupyter.client.get("doctor")).content)
    assert {"outside-addresses", "audit-log", "versions"} <= {check.id for check in doctor.checks}
    assert doctor.verdict in ("pass", "warn", "fail")


async def test_settings_are_shown_without_secrets(start: Start) -> None:
    more = {"services": {"ollama": {"endpoint": "http://127.0.0.1:9", "api_key": "sk-very-secret-0123456789"}}}
    async with start(settings=more) as jupyter:
        answer = await jupyter.client.get("settings")
    shown = ShownSettings.model_validate_json(answer.content)
    assert "very-secret" not in answer.text
    assert shown.settings["services"]["ollama"]["api_key"] == "[masked]"
    assert (shown.file or "").endswith("llmroute.yaml")
    assert shown.origins["services.ollama.endpoint"].startswith("file ")
    assert "limits.attempts" not in shown.origins


async def test_a_setting_that_is_changed_holds_until_it_is_taken_back(start: Start) -> None:
    async with start() as jupyter:
        changed = await jupyter.client.put("settings", json={"settings": {"limits.attempts": 2}})
        back = await jupyter.client.put("settings", json={"settings": {"limits.attempts": None}})
    shown, again = (ShownSettings.model_validate_json(answer.content) for answer in (changed, back))
    assert (shown.settings["limits"]["attempts"], shown.origins["limits.attempts"]) == (2, "this session")
    assert again.settings["limits"]["attempts"] == 6


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("security.allow_external", True, 403),
        ("services.ollama.endpoint", "http://127.0.0.1:1", 403),
        ("embedded.model_path", "/etc", 403),
        ("serena.executable", "/bin/sh", 403),
        ("models", {"catalog": []}, 403),
        ("limits", {}, 403),
        ("limits.attempts", "many", 400),
        ("limits.no_such_thing", 1, 400),
        ("limits.no_such_thing", None, 400),
        ("limits." + "a." * 5000, 1, 400),
        ("limits.total_s", 1e999, 400),
    ],
)
async def test_a_setting_that_is_not_to_be_changed_stays(start: Start, name: str, value: Any, status: int) -> None:
    async with start() as jupyter:
        before = (await jupyter.client.get("settings")).json()
        answer = await jupyter.client.put("settings", content=json.dumps({"settings": {name: value}}))
        after = (await jupyter.client.get("settings")).json()
    assert answer.status_code == status, answer.text
    assert after == before


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("decide", b"", 400),
        ("decide", b"[]", 400),
        ("decide", b"{", 400),
        ("decide", b"[" * 100_000, 400),
        ("decide", b'{"question": 1}', 400),
        ("decide", b'{"question": "", "more": 1}', 400),
        ("decide", b'{"question": "", "task": "poetry"}', 400),
        ("decide", rb'{"question": "\ud800"}', 400),
        ("chat", rb'{"question": "", "pins": {}, "model": "\ud800"}', 400),
        ("chat", b'{"question": "", "messages": [{"role": "tool", "content": ""}]}', 400),
        ("chat", b'{"question": "' + b"x" * 2_000_001 + b'"}', 400),
        ("chat", b'{"question": "' + b"x" * (8 << 20) + b'"}', 413),
        ("decide", b" " * (8 << 20) + b"{}", 413),
    ],
)
async def test_a_body_that_is_not_what_it_should_be_is_refused(
    start: Start, path: str, body: bytes, status: int
) -> None:
    async with start() as jupyter:
        answer = await jupyter.client.post(path, content=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"message", "reason"}


@pytest.mark.parametrize(
    "query", ["audit?tail=-1", "audit?tail=all", "audit?tail=100000", "audit?tail=%C2%B2", "audit?tail=" + "9" * 5000]
)
async def test_an_argument_that_is_none_is_refused(start: Start, query: str) -> None:
    async with start() as jupyter:
        assert (await jupyter.client.get(query)).status_code == 400


async def test_settings_that_do_not_read_are_told_and_do_not_stop_the_server(start: Start) -> None:
    async with start(settings={"limits": {"attempts": "many"}}) as jupyter:
        answer = await jupyter.client.get("services")
    assert answer.status_code == 503
    assert "limits.attempts" in answer.json()["message"]
