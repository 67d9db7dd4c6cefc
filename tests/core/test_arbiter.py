"""The arbiter: who is asked what where two tasks are close, what its word changes, and that nobody waits for it."""

import asyncio
import functools
import itertools
import json
import math
import re
import shutil
from collections.abc import Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.arbiter import INSTRUCTIONS, closest, question, settled, share_of_first
from jupyter_llmroute.core.audit.folder import AuditError
from jupyter_llmroute.core.audit.journal import Journal
from jupyter_llmroute.core.audit.reading import records
from jupyter_llmroute.core.classifier import TASKS, Classification, classify_text
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.errors import ModelNotFound, RouteFailed
from jupyter_llmroute.core.events import Event
from jupyter_llmroute.core.history import History
from jupyter_llmroute.core.providers import Provider
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.sections import EmbeddedSettings
from jupyter_llmroute.core.selector import Decision, Wish, in_memory, replay
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.snapshot import Snapshot
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.terminal import head
from jupyter_llmroute.view import RunView
from jupyter_llmroute.why import as_markdown, as_text

from ..scripted import (
    CUT,
    HANG,
    TAG,
    Fault,
    Reply,
    Scripted,
    delta,
    html,
    json_reply,
    line,
    ollama,
    ollama_says,
    says,
    sse,
)
from .audit.logs import log
from .audit.logs import path as log_path
from .providers.asking import opened, within_reason
from .transcripts import nowhere

pytestmark = pytest.mark.anyio
REQUESTS = Path(__file__).parents[1] / "data" / "requests"
CLEAR = "Add a docstring to this function"
SHORT_S, LONG_S = 0.05, 10.0
"""Limits: one that is over soon, and the longest, which nothing reaches."""


@pytest.fixture
def anyio_backend():
    return "asyncio"


@functools.cache
def close_question(padding: str = "") -> str:
    """A short question of which the classifier does not know which of two tasks it is, whatever it has learnt."""
    for path in sorted(REQUESTS.glob("*.jsonl")):
        for row in path.read_text("utf-8").splitlines():
            text = json.loads(row).get("text", "")
            if 0 < len(text) < 200 and classify_text(text + padding).rival:
                return str(text + padding)
    raise AssertionError("no request is close")


def found() -> Classification:
    return classify_text(close_question())


def letters() -> tuple[str, str]:
    """The two that are asked for."""
    return question(close_question(), closest(found())).options


def router(servers: dict[str, str], *, limit_s: float = LONG_S, worth: float | None = None, **settings: Any) -> Router:
    """A router of servers by name, the first of them preferred, with the arbiter on unless `classifier` is given."""
    each = {"max_retries": 0, **settings.pop("each", {})}
    endpoints = [
        {"name": name, "endpoint": url, "priority": n, **each} for n, (name, url) in enumerate(servers.items())
    ]
    arbiter = {"arbiter": True, "arbiter_limit_s": limit_s, "arbiter_worth": worth}
    given = {"classifier": arbiter, "embedded": {"enabled": False}, "limits": {"rescan_s": 3600}, **settings}
    providers: dict[str, Provider] = nowhere()
    return Router(
        Settings(services={"custom_endpoints": endpoints}, **given),
        providers=providers,
        transport=httpx.AsyncHTTPTransport(verify=False),
    )


async def ask(asked: Router, text: str = "", **request: Any) -> list[Event]:
    async with aclosing(asked.stream(Request(question=text or close_question(), **request))) as stream:
        return [event async for event in stream]


def llamacpp(
    *chats: Reply, model: str = "m", parameters: int | None = 8_000_000_000, size: int = 5 * 10**9
) -> Scripted:
    """llama.cpp's server with one model of that size; the last of `chats` is due for good."""
    meta = {"n_ctx": 8192, "n_ctx_train": 32768, "n_params": parameters, "size": size}
    listed = {"id": model, "object": "model", "owned_by": "llamacpp", "meta": meta}
    script = {
        "GET /v1/models": json_reply({"object": "list", "data": [listed]}),
        "GET /props": json_reply({"default_generation_settings": {"n_ctx": 8192}, "total_slots": 1}),
        "POST /v1/chat/completions": chats or says("Yes"),
    }
    return Scripted(script, headers={"Server": "llama.cpp"})


def letter(word: str, likely: object = None) -> Reply:
    """An answer of one token, as llama.cpp streams it; `likely` is what it says of the token's place."""
    told = {} if likely is None else {"logprobs": {"content": likely}}
    first = delta(word)
    first["choices"][0] |= told
    return sse(delta(role="assistant", content=None), first, delta(finish="length"), "data: [DONE]\n\n")


def place(*tokens: tuple[str, float]) -> list[dict[str, object]]:
    """The likeliest tokens of one place, with their probabilities."""
    top = [{"token": token, "logprob": math.log(share)} for token, share in tokens]
    return [{**top[0], "top_logprobs": top}]


def evidence(events: Sequence[Event]) -> tuple[str, ...]:
    return events[0].classification.evidence


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if event.kind == "text_delta")


# --- whether it is asked ---


@pytest.mark.parametrize(
    ("settings", "asked_about", "chats"),
    [
        ({"classifier": {}}, "close", 1),
        ({}, "close", 2),
        ({}, "clear", 1),
        ({"classifier": {"arbiter": True, "arbiter_worth": 0.5}}, "close", 1),
    ],
)
async def test_it_is_asked_where_it_is_switched_on_and_two_tasks_are_close(settings, asked_about, chats):
    with llamacpp(letter(letters()[0]), says("Yes")) if chats == 2 else llamacpp() as server:
        async with router({"desk": server.url}, **settings) as asked:
            events = await ask(asked, CLEAR if asked_about == "clear" else "")
    assert len(server.chats) == chats
    assert any(told.startswith("asked ") for told in evidence(events)) is (chats == 2)
    assert text(events) == "Yes"


@pytest.mark.parametrize("named", [{"task": Task.CODING}, {"model": "m"}])
async def test_it_is_not_asked_where_the_user_named_the_task_or_the_model(named):
    with llamacpp() as server:
        async with router({"desk": server.url}) as asked:
            await ask(asked, **named)
    assert len(server.chats) == 1


async def test_a_decision_that_is_only_looked_at_asks_nobody():
    with llamacpp() as server:
        async with router({"desk": server.url}) as asked:
            decided = await asked.decide(Request(question=close_question()))
    assert server.chats == []
    assert decided.classification == found()


# --- what it is asked ---


async def test_it_is_asked_for_one_letter_by_a_grammar_and_for_how_likely_each_is():
    with llamacpp(letter("A"), says("Yes")) as server:
        async with router({"desk": server.url}) as asked:
            await ask(asked)
    sent, answered = (each.json for each in server.chats)
    first, second = letters()
    assert (sent["max_tokens"], sent["temperature"], sent["logprobs"], sent["top_logprobs"]) == (1, 0, True, 10)
    assert sent["grammar"] == f'root ::= "{first}" | "{second}"'
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert sent["messages"][0]["content"] == INSTRUCTIONS
    assert close_question() in sent["messages"][1]["content"]
    assert not {"grammar", "logprobs", "top_logprobs", "temperature", "max_tokens"} & set(answered)


def test_of_a_long_question_head_and_tail_are_shown_and_half_a_character_is_not_sent():
    chat = question("head " + "x" * 100_000 + " tail \ud800", (Task.CODING, Task.ANALYSIS))
    shown = chat.messages[-1].content
    assert len(shown) < 500
    assert "head x" in shown
    assert "tail ?" in shown
    assert chat.options == ("A", "C")
    shown.encode()


async def test_ollama_is_asked_by_a_schema_and_without_thoughts():
    first, second = letters()
    newer = json.dumps({**line(f'"{second}'), "logprobs": place((second, 0.9), (first, 0.1))}) + "\n"
    with ollama([Reply((newer.encode(), HANG), content_type="application/x-ndjson"), ollama_says("Yes")]) as server:
        server.script["GET /api/ps"] = [json_reply({"models": [{**TAG, "context_length": 8192}]})]
        async with router({"desk": server.url}) as asked:
            events = await ask(asked)
    sent = server.chats[0].json
    assert sent["format"] == {"type": "string", "enum": [first, second]}
    assert (sent["logprobs"], sent["top_logprobs"], sent["think"]) == (True, 10, False)
    assert (sent["options"]["num_predict"], sent["options"]["num_ctx"]) == (3, 8192)
    assert evidence(events)[0].startswith("asked qwen3:8b on desk: rather ")
    assert await within_reason(server.chats[0].is_abandoned)


@pytest.mark.parametrize("pieces", [('"', "{}", '"'), ('"{}"',), ("{}",), ("\n", "{}."), ('"{}',)])
async def test_an_older_ollama_says_its_letter_in_quotes(pieces):
    word = letters()[1]
    with ollama([ollama_says(*(piece.format(word) for piece in pieces)), ollama_says("Yes")]) as server:
        server.script["GET /api/ps"] = [json_reply({"models": [{**TAG, "context_length": 8192}]})]
        async with router({"desk": server.url}) as asked:
            events = await ask(asked)
    assert evidence(events)[0].endswith(f"rather {closest(found())[1]} than {closest(found())[0]}")


@pytest.mark.parametrize("words", ["`logprobs` is not supported", "unknown field grammar, top_logprobs: max is 5"])
async def test_a_server_that_refuses_a_key_is_asked_once_more_without_it(words):
    second = letters()[1]
    refusal = json_reply({"error": {"message": words}}, 400)
    with llamacpp(refusal, letter(second), says("Yes")) as server:
        async with router({"desk": server.url}) as asked:
            events = await ask(asked)
    assert len(server.chats) == 3
    refused, again = (each.json for each in server.chats[:2])
    assert set(refused) - set(again) >= {"logprobs", "top_logprobs"}
    assert evidence(events)[0].startswith("asked m on desk: rather ")


# --- what its word changes ---


@pytest.mark.parametrize("answered", [0, 1])
async def test_its_word_moves_the_two_tasks_and_the_decision_can_be_replayed(answered):
    pair, options = closest(found()), letters()
    told = place((options[answered], 0.7), (options[1 - answered], 0.1), ("The", 0.05))
    with llamacpp(letter(options[answered], told), says("Yes")) as server:
        async with router({"desk": server.url}) as asked:
            events = await ask(asked)
            decision = asked.last_decision
    what, before = events[0].classification, found()
    assert what.task is pair[answered]
    assert what.scores[pair[answered]] > before.scores[pair[answered]]
    assert sum(what.scores.values()) == pytest.approx(1)
    assert all(what.scores[task] == before.scores[task] for task in TASKS if task not in pair)
    assert evidence(events)[0] == f"asked m on desk: rather {pair[answered]} than {pair[1 - answered]}"
    assert decision is not None
    assert decision.classification == what
    assert replay(Decision.model_validate_json(decision.model_dump_json())) == decision.route == events[0].route


@pytest.mark.parametrize(
    ("likely", "share"),
    [
        ({"A": 0.6, "B": 0.2}, 0.75),
        ({" A": 0.3, "A": 0.3, "\u2581B": 0.2, '"C"': 0.1}, 0.75),
        ({"A": 0.6, "The": 0.2}, 0.75),  # of B no more is known than what the others leave
        ({"A": 0.99, "The": 0.005}, 0.995),
        ({"A": 1.0}, 1.0),
        ({"The": 0.9, "x": 0.05}, None),
        ({"The": 0.9, "A": 0.001}, None),
        ({}, None),
    ],
)
def test_the_share_of_the_first_option(likely, share):
    found = share_of_first({token: math.log(chance) for token, chance in likely.items()}, ("A", "B"))
    assert found == (share if share is None else pytest.approx(share, abs=1e-3))


SHARES = st.floats(0, 1)


@given(
    st.lists(st.floats(0.001, 1), min_size=4, max_size=4),
    SHARES,
    st.floats(0.5, 0.999),
    st.sampled_from([*itertools.combinations(TASKS, 2)]),
)
def test_its_word_counts_for_no_more_than_it_is_worth(weights, share, worth, pair):
    scores = {task: weight / sum(weights) for task, weight in zip(TASKS, weights, strict=True)}
    best = max(TASKS, key=scores.__getitem__)
    before = Classification(
        task=best, confidence=scores[best], scores=scores, evidence=("a word",), needs_symbols=False
    )
    after = settled(before, pair, share, worth, "m")
    first, second = pair
    assert sum(after.scores.values()) == pytest.approx(1)
    assert all(0 < value < 1 for value in after.scores.values())
    moved = math.log(after.scores[first] / after.scores[second]) - math.log(scores[first] / scores[second])
    assert abs(moved) <= math.log(worth / (1 - worth)) + 1e-6
    assert (moved > -1e-9) if share >= 0.5 else (moved < 1e-9)
    assert after.confidence == max(after.scores.values()) == after.scores[after.task]
    assert after.evidence[0].startswith("asked m: rather ")


async def test_card_explanation_and_terminal_say_that_it_was_asked():
    with llamacpp(letter(letters()[1]), says("Yes")) as server:
        async with router({"desk": server.url}) as asked:
            events = await ask(asked)
            decision = asked.last_decision
    view = RunView(Request(question=close_question()))
    for event in events:
        view.apply(event)
    told = re.compile(r"asked m on desk: rather (\w+) than (\w+)")
    bundle = view.bundle()
    facts = next(form for mime, form in bundle.items() if mime.startswith("application/"))
    assert told.match(facts["task"]["evidence"][0])
    assert told.search(bundle["text/markdown"].splitlines()[0])
    assert told.search(head(view))
    assert told.search(as_text(decision, view))
    assert told.search(as_markdown(decision, view))


# --- when it does not answer ---


def flood(*pieces: bytes | Fault) -> Reply:
    return Reply(pieces, content_type="text/event-stream")


NOTHING_SAID = {
    "silence": (Reply((HANG,)), "no answer in 50 ms"),
    "silence after the head": (sse(delta(role="assistant", content=None), HANG), "no answer in 50 ms"),
    "died since it was looked at": (Reply((CUT,)), "broke off ("),
    "no end of the body": (sse(CUT), "broke off ("),
    "busy": (json_reply({"error": {"message": "slow down"}}, 429), "slow down (HTTP 429)"),
    "loading": (json_reply({"error": {"message": "Loading model"}}, 503), "Loading model (HTTP 503)"),
    "out of memory": (json_reply({"error": {"message": "out of memory"}}, 500), "out of memory (HTTP 500)"),
    "a web page": (html(), "answered 'text/html'"),
    "an error in the stream": (sse('data: {"error":{"message":"Compute error."}}\n\n'), "Compute error (HTTP 200)"),
    "no JSON": (sse("data: A\n\n"), "sent what is not a chat completion"),
    "packed as it is not": (
        Reply((b"no gzip",), 200, "text/event-stream", {"Content-Encoding": "gzip"}),
        "broke off (",
    ),
    "nothing": (sse(delta(finish="stop")), "it named neither task"),
    "another letter": (letter("Z"), "it named neither task"),
    "a sentence": (letter("Sure! I would say that it is"), "it named neither task"),
    "a letter of a word": (letter("Because"), "it named neither task"),
    "no end of words": (
        flood(*[f"data: {json.dumps(delta('word '))}\n\n".encode()] * 500, HANG),
        "it named neither task",
    ),
    "thoughts": (
        sse(*[delta(reasoning_content="hm, let me see ")] * 100, HANG),
        "it named neither task",
    ),
}


@pytest.mark.parametrize("name", NOTHING_SAID)
async def test_asked_in_vain_the_classification_stays_and_says_so_once(name):
    reply, why = NOTHING_SAID[name]
    hangs = HANG in reply.pieces and "no answer" in why
    with llamacpp(reply, says("Yes")) as server:
        async with router({"desk": server.url}, limit_s=SHORT_S if hangs else LONG_S) as asked:
            events = await ask(asked)
            assert asked.last_decision is not None
            recorded = asked.last_decision.classification
        if HANG in reply.pieces:
            assert await within_reason(server.chats[0].is_abandoned), "nothing goes on after it"
    what, before = events[0].classification, found()
    assert what == before.model_copy(update={"evidence": what.evidence}) == recorded
    assert what.evidence[0].startswith(f"asked m on desk in vain: {why}")
    assert what.evidence[1:] == before.evidence
    assert text(events) == "Yes"
    assert [event.kind for event in events] == ["routed", "attempt_started", "text_delta", "completed"]
    assert len(server.chats) == 2


HOSTILE = {
    "no list": "A",
    "no entries": [],
    "entries of another kind": [[["A", -0.1]], None, 7],
    "no numbers": [{"token": "A", "logprob": "-0.1", "top_logprobs": [{"token": "B", "logprob": None}]}],
    "not a number": [{"token": "A", "logprob": math.nan, "top_logprobs": [{"token": "B", "logprob": math.inf}]}],
    "more than certain": [{"token": "A", "logprob": 700.0, "top_logprobs": [{"token": "B", "logprob": 1e308}]}],
    "far too small": [{"token": "A", "logprob": -(10**400), "top_logprobs": [{"token": "B", "logprob": -1e308}]}],
    "far too large": [{"token": "A", "logprob": 10**400, "top_logprobs": 10**400}],
    "truths": [{"token": "A", "logprob": False, "top_logprobs": True}],
    "names of another kind": [{"token": ["A"], "logprob": -0.1, "top_logprobs": [{"token": {}, "logprob": -1}]}],
    "a great many": [{"token": "x", "logprob": -1, "top_logprobs": [{"token": "y", "logprob": -1}] * 9999}],
    "half a character": [{"token": "\ud800", "logprob": -0.1, "top_logprobs": [{"token": "\udfff", "logprob": -1}]}],
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_of_log_probabilities_that_do_not_read_the_letter_alone_counts(name):
    second = letters()[1]
    with llamacpp(letter(second, HOSTILE[name]), says("Yes")) as server:
        async with router({"desk": server.url}) as asked:
            events = await ask(asked)
    assert evidence(events)[0] == f"asked m on desk: rather {closest(found())[1]} than {closest(found())[0]}"
    assert text(events) == "Yes"


async def test_a_name_that_is_too_long_is_told_in_part():
    with llamacpp(letter("Z"), says("Yes"), model="<b>" + "m" * 500) as server:
        async with router({"desk": server.url}) as asked:
            events = await ask(asked)
    assert len(evidence(events)[0]) < 150
    evidence(events)[0].encode()


async def test_whoever_refuses_the_connection_is_not_waited_for():
    with llamacpp() as server:
        asked = router({"desk": server.url})
        await asked.services()
    async with asked:
        with pytest.raises(RouteFailed):
            await ask(asked)
        assert asked.last_decision is not None
        assert asked.last_decision.classification.evidence[0].startswith("asked m on desk in vain: refused")


async def test_when_the_question_is_given_up_it_is_given_up_too():
    with llamacpp(Reply((HANG,)), says("Yes")) as server:
        async with router({"desk": server.url}) as asked:
            asking = asyncio.create_task(ask(asked))
            await within_reason(server.arrival("POST /v1/chat/completions"))
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert await within_reason(server.chats[0].is_abandoned)
    assert len(server.chats) == 1


# --- who is asked ---


def model(name: str, size_gb: float = 1.0, **more: Any) -> ServedModel:
    given = {"loaded": True, "parameters": int(size_gb * 1.5e9), "context_window": 8192, **more}
    return ServedModel(id=name, size_bytes=int(size_gb * 1e9), **given)


def endpoint(name: str, *models: ServedModel, **more: Any) -> Endpoint:
    given = {"base_url": f"http://127.0.0.1:{8000 + ord(name[0])}", **more}
    return Endpoint(name=name, provider="openai", models=models, **given)


WHOM: dict[str, tuple[list[Endpoint], list[str]]] = {
    "the smallest first": ([endpoint("a", model("big", 9), model("small"), model("mid", 4))], ["small", "mid", "big"]),
    "not who must be loaded first": ([endpoint("a", model("small", loaded=False), model("big", 9))], ["big"]),
    "not who may not be loaded": ([endpoint("a", model("small", loaded=None))], []),
    "not who makes embeddings": ([endpoint("a", model("small", chat=False))], []),
    "not who was excluded": ([endpoint("a", model("unwanted"), model("big", 9))], ["big"]),
    "not who is elsewhere": ([endpoint("a", model("small", remote="cloud"))], []),
    "not whom the policy forbids": ([endpoint("a", model("small"), base_url="http://93.184.216.34")], []),
    "another machine that the policy allows": ([endpoint("a", model("small"), base_url="http://10.0.0.1")], ["small"]),
    "not who is down": ([endpoint("a", model("small"), health="down")], []),
    "not who is busy": ([endpoint("b", model("busy")), endpoint("a", model("big", 9))], ["big"]),
    "not whose window is too small": ([endpoint("a", model("small", context_window=64))], []),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOM)
@pytest.mark.parametrize("allow_external", [False, True])
def test_whom_to_ask(name, allow_external):
    endpoints, expected = WHOM[name]
    settings = Settings(security={"allow_external": allow_external})
    one = router({})
    snapshot = Snapshot(
        endpoints=tuple(endpoints), catalog=one.catalog, routing=settings.task_routing, excluded=("unwanted",)
    )
    policy = one.policy.model_copy(update={"allow_external": allow_external})
    history = History(busy={f"http://127.0.0.1:{8000 + ord('b')}": 1})
    chat = question(close_question(), closest(found()))
    wish = Wish(needed_tokens=chat.prompt_tokens, prompt_tokens=chat.prompt_tokens)
    seen = [candidate.model.id for candidate in in_memory(found(), wish, snapshot, policy, history)]
    assert seen == (["small"] if allow_external and "policy forbids" in name else expected)


async def test_the_smaller_one_is_asked_and_the_better_one_answers():
    with (
        llamacpp(letter(letters()[0]), model="llama3.2:3b", parameters=3 * 10**9, size=2 * 10**9) as small,
        llamacpp(says("Yes"), model="qwen2.5-coder:32b", parameters=32 * 10**9, size=19 * 10**9) as great,
    ):
        settings = {"limits": {"rescan_s": 3600, "patience_s": 1e6}, "models": {"memory_gb": 64}}
        async with router({"small": small.url, "great": great.url}, **settings) as asked:
            events = await ask(asked)
    assert evidence(events)[0].startswith("asked llama3.2:3b on small: rather ")
    assert (len(small.chats), len(great.chats), text(events)) == (1, 1, "Yes")


async def test_only_the_server_that_the_user_named_is_asked():
    with (
        llamacpp(says("No"), size=10**9) as other,
        llamacpp(letter(letters()[0]), says("Yes"), size=9 * 10**9) as named,
    ):
        async with router({"other": other.url, "named": named.url}) as asked:
            await ask(asked, service="named")
    assert (len(other.chats), len(named.chats)) == (0, 2)


@pytest.mark.parametrize(("worth", "chats"), [(None, 1), (0.55, 2)])
async def test_a_model_that_is_as_good_as_a_coin_is_asked_only_where_the_user_says_that_it_is_better(worth, chats):
    replies = (letter(letters()[0]), says("Yes")) if chats == 2 else (says("Yes"),)
    with llamacpp(*replies, model="smollm2:135m", parameters=135_000_000, size=10**8) as server:
        async with router({"desk": server.url}, worth=worth) as asked:
            await ask(asked)
    assert len(server.chats) == chats


async def test_while_a_server_is_waited_for_it_is_not_asked_again():
    """The arbiter's window is too small for the question, and the other server reads its model."""
    listed = {"id": "late", "object": "model", "owned_by": "llamacpp", "meta": {"n_ctx": 65536, "n_params": 8 * 10**9}}
    loading = json_reply({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, 503)
    script = {
        "GET /v1/models": [loading] * 2 + [json_reply({"object": "list", "data": [listed]})],
        "GET /props": json_reply({"default_generation_settings": {"n_ctx": 65536}}),
        "POST /v1/chat/completions": says("Yes"),
    }
    long = close_question("\n" * 20_000)
    with llamacpp(letter(letters()[0])) as small, Scripted(script, headers={"Server": "llama.cpp"}) as late:
        async with router({"small": small.url, "late": late.url}) as asked:
            events = await ask(asked, long)
    assert (len(small.chats), text(events)) == (1, "Yes")
    assert [event.kind for event in events if event.kind in ("routed", "waiting")][:2] == ["routed", "waiting"]
    first, *_, last = [event.classification for event in events if event.kind == "routed"]
    assert first == last
    assert first.evidence[0].startswith("asked m on small: rather ")


# --- the built-in server ---


async def test_the_built_in_server_is_asked_once_it_runs_and_is_not_started_for_it(
    tiny_model, tmp_path, embedded_extra, embedded_home
):
    shutil.copyfile(tiny_model, tmp_path / "tiny.gguf")
    embedded = {"model_path": tmp_path, "threads": 1, "context_window": 1024}
    async with router({}, worth=0.6, embedded=embedded) as asked:
        before = await ask(asked, sampling={"max_tokens": 2, "temperature": 0})
        after = await ask(asked, sampling={"max_tokens": 2, "temperature": 0})
    assert evidence(before) == found().evidence, "nothing is in memory"
    assert re.fullmatch(r"asked tiny on embedded: rather (\w+) than (\w+)", evidence(after)[0])


async def test_for_a_question_with_options_no_built_in_server_is_started(
    tiny_model, tmp_path, embedded_extra, embedded_home
):
    shutil.copyfile(tiny_model, tmp_path / "tiny.gguf")
    with closing(Embedded(EmbeddedSettings(model_path=tmp_path, threads=1))) as provider:
        (endpoint,) = await provider.endpoints()
        asked = question("Why?", (Task.CODING, Task.ANALYSIS)).model_copy(update={"model": endpoint.models[0]})
        async with opened() as client:
            with pytest.raises(ModelNotFound, match="does not run any more"):
                await anext(provider.chat(client, endpoint, asked))
        (after,) = await provider.endpoints()
    assert after.models[0].loaded is False


# --- what is written of it ---


HEARD = {
    "its word": (letter("A"), ("complete", "")),
    "a failure": (json_reply({"error": {"message": "slow down"}}, 429), ("failed", "ServerBusy")),
    "silence": (Reply((HANG,)), ("failed", "TimeoutError")),
}


@pytest.mark.parametrize("name", HEARD)
async def test_that_it_was_asked_and_what_came_of_it_stands_in_the_audit_log(name: str, tmp_path: Path) -> None:
    reply, ended = HEARD[name]
    with llamacpp(reply, says("Yes")) as server:
        async with router({"desk": server.url}, limit_s=SHORT_S if name == "silence" else LONG_S) as asked:
            asked.journal = Journal(log(tmp_path))
            await ask(asked)
    found = list(records(log_path(tmp_path)))[1:]
    assert [(each["kind"], each.get("level")) for each in found] == [
        ("started", "arbiter"),
        ("ended", "arbiter"),
        ("decided", None),
        ("started", "primary"),
        ("ended", None),
    ]
    assert (found[1]["verdict"], found[1]["failure"]) == ended
    assert found[0]["who"]["model"] == found[1]["who"]["model"] == "m"
    assert len({each["question"] for each in found}) == 1
    assert found[0]["prompt"]["hmac"] != found[3]["prompt"]["hmac"]


async def test_it_is_not_asked_where_that_cannot_be_written(tmp_path: Path) -> None:
    writer = log(tmp_path)
    assert writer.salt  # what is wrong shows first when the record is written
    with llamacpp(letter("A")) as server:
        async with router({"desk": server.url}) as asked:
            asked.journal = Journal(writer)
            await asked.services()
            log_path(tmp_path).mkdir()
            with pytest.raises(AuditError):
                await ask(asked)
        assert not server.chats
