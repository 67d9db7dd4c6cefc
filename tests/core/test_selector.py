"""From a classification and what was seen of the servers to an ordered list: filters with reasons, then a score."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.classifier import Classification
from jupyter_llmroute.core.context import Context, ContextItem
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.prompt import estimate_prompt, lay_out
from jupyter_llmroute.core.request import Request, Turn
from jupyter_llmroute.core.selector import (
    COLD_COST,
    LIST_GAIN,
    SMALL_WINDOW_COST,
    Likeness,
    RejectionReason,
    Route,
    Snapshot,
    answer_reserve,
    likeness,
    meant,
    select,
)
from jupyter_llmroute.core.settings import SecuritySettings, Settings, TaskRouting
from jupyter_llmroute.core.task import Task

POLICY = Policy.from_settings(SecuritySettings())
CATALOG = Catalog.load()

CODER, WRITER, SMALL = "qwen2.5-coder:32b", "qwen2.5:72b", "smollm2:135m"


def what(task: Task = Task.CODING, **shares: float) -> Classification:
    scores = {t: shares.get(t.value, 0.0) for t in Task} if shares else {t: float(t is task) for t in Task}
    return Classification(task=task, confidence=1, scores=scores, evidence=("a test",), needs_symbols=False)


def model(model_id: str = CODER, **facts: Any) -> ServedModel:
    return ServedModel(id=model_id, **{"context_window": 32768, "loaded": True, **facts})


def server(*models: ServedModel, name: str = "ollama", **facts: Any) -> Endpoint:
    return Endpoint(
        **{"name": name, "provider": "ollama", "base_url": "http://127.0.0.1:11434", **facts}, models=models
    )


def route(
    *endpoints: Endpoint,
    task: Classification | None = None,
    routing: dict[Task, TaskRouting] | None = None,
    policy: Policy = POLICY,
    context: Context | None = None,
    reserve_tokens: int = 1024,
    **request: Any,
) -> Route:
    snapshot = Snapshot(
        endpoints=endpoints,
        catalog=CATALOG,
        routing=Settings(task_routing=routing or {}).task_routing,
        reserve_tokens=reserve_tokens,
    )
    request.setdefault("question", "why?")
    return select(task or what(), context or Context(request=Request(**request)), snapshot, policy)


def order(found: Route) -> list[str]:
    return [candidate.model.id for candidate in found.candidates]


LONG = "x" * 4 * 32768

REJECTIONS = {
    "a server that the policy forbids": (
        server(model(), base_url="http://8.8.8.8:80"), {}, RejectionReason.POLICY, "8.8.8.8 is in none of"),
    "a name that the policy forbids": (
        server(model(), base_url="http://gpu.example"), {}, RejectionReason.POLICY, "'gpu.example' is not in"),
    "a model that runs elsewhere": (
        server(model(remote="a cloud tag")), {}, RejectionReason.POLICY, "runs elsewhere (a cloud tag)"),
    "a server that is down": (
        server(model(), health=Health.DOWN, detail="refused"), {}, RejectionReason.NOT_WELL, "refused"),
    "a server that is down and says nothing": (
        server(model(), health=Health.DOWN), {}, RejectionReason.NOT_WELL, "down"),
    "a server that wants a key": (
        server(model(), health=Health.WANTS_KEY), {}, RejectionReason.NOT_WELL, "wants a key"),
    "a server without models": (server(), {}, RejectionReason.NO_MODELS, "it serves no model"),
    "another server was pinned": (server(model()), {"service": "jan"}, RejectionReason.NOT_ASKED_FOR, "only jan"),
    "another model was pinned": (server(model()), {"model": "phi-4"}, RejectionReason.NOT_ASKED_FOR, "only phi-4"),
    "a model of embeddings": (
        server(model(chat=False)), {}, RejectionReason.NOT_A_CHAT_MODEL, "it makes embeddings"),
    "a window that is too small": (
        server(model()), {"question": LONG}, RejectionReason.WINDOW_TOO_SMALL, "do not fit its 32,768"),
}  # fmt: skip


@pytest.mark.parametrize(("endpoint", "request_", "reason", "detail"), REJECTIONS.values(), ids=REJECTIONS)
def test_rejection(endpoint: Endpoint, request_: dict[str, Any], reason: RejectionReason, detail: str):
    found = route(endpoint, **request_)
    assert found.candidates == ()
    [rejection] = found.rejections
    assert rejection.reason is reason
    assert detail in rejection.detail
    assert rejection.service == "ollama"
    whole_server = reason in (RejectionReason.NOT_WELL, RejectionReason.NO_MODELS) or not endpoint.models
    assert rejection.model is None or not whole_server


def test_every_reason_has_its_test():
    assert {reason for _, _, reason, _ in REJECTIONS.values()} == set(RejectionReason)


ACCEPTED = {
    "a server that still loads": server(model(), health=Health.LOADING),
    "a window that nobody told": server(model(context_window=None)),
    "a server that has no address yet": server(model(), base_url=""),
    "a server in the house": server(model(), base_url="http://192.168.1.2:8000"),
    "a name that is this machine": server(model(), base_url="http://localhost:8000"),
}


@pytest.mark.parametrize("endpoint", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(endpoint: Endpoint):
    assert order(route(endpoint)) == [CODER]


def test_a_remote_model_may_answer_where_the_user_opened_the_door():
    open_policy = Policy.from_settings(SecuritySettings(allow_external=True))
    assert order(route(server(model(remote="a cloud tag")), policy=open_policy)) == [CODER]


def test_only_question_and_instructions_must_fit():
    turns = (Turn(number=1, question="q", answer=LONG),)
    context = Context(request=Request(question="why?", turns=turns), items=(ContextItem(ref="In[1]", text=LONG),))
    assert order(route(server(model()), context=context)) == [CODER]


def test_room_for_the_answer_must_be_left():
    question = "x" * 4000
    needed = estimate_prompt(lay_out(Context(request=Request(question=question))))
    fits = server(model(context_window=needed + 50), model(WRITER, context_window=needed + 49))
    assert order(route(fits, question=question, reserve_tokens=50)) == [CODER]


@pytest.mark.parametrize(
    ("window", "reserve", "kept"), [(32768, 1024, 1024), (1024, 1024, 512), (None, 1024, 1024), (4096, 9999, 2048)]
)
def test_answer_reserve_is_at_most_half_of_the_window(window: int | None, reserve: int, kept: int):
    assert answer_reserve(model(context_window=window), reserve) == kept


PINS = {
    "by its id": ("qwen2.5-coder:32b", [CODER]),
    "in any case": ("QWEN2.5-Coder:32B", [CODER]),
    "by a part of it": ("coder", [CODER]),
    "by the name that another hub gives it": ("Qwen/Qwen2.5-Coder-32B-Instruct", [CODER]),
    "by a family": ("qwen2.5", [CODER, WRITER]),
    "by letters that are no word": ("cod", []),
    "by nothing that there is": ("phi-4", []),
}


@pytest.mark.parametrize(("asked", "found"), PINS.values(), ids=PINS)
def test_pinned_model(asked: str, found: list[str]):
    pinned = route(server(model(CODER), model(WRITER), model(SMALL)), model=asked)
    assert order(pinned) == found
    assert {r.reason for r in pinned.rejections} == {RejectionReason.NOT_ASKED_FOR}


NEAREST = {
    # asked: (served, meant)
    "llama3:8b-instruct-q8_0": (["llama3:8b-instruct-q4_0", "llama3:8b-instruct-q8_0"], ["llama3:8b-instruct-q8_0"]),
    "LLAMA3:8B-instruct-Q8_0": (["llama3:8b-instruct-q4_0", "llama3:8b-instruct-q8_0"], ["llama3:8b-instruct-q8_0"]),
    "llama3:8b": (["llama3:8b-q4_0", "llama3:8b-q8_0", "llama3:70b"], ["llama3:8b-q4_0", "llama3:8b-q8_0"]),
    "qwen2.5:7b": (["qwen2.5-coder:7b", "qwen2.5:7b"], ["qwen2.5:7b"]),
    "qwen2.5-7b-instruct": (["qwen2.5-coder:7b", "qwen2.5:7b"], ["qwen2.5:7b"]),
    "qwen3": (["qwen3-coder:30b", "qwen3:latest", "qwen3:8b"], ["qwen3:latest"]),
    "qwen": (["qwen3-coder:30b", "qwen3:8b", "phi4:14b"], ["qwen3-coder:30b", "qwen3:8b"]),
    "phi-4": (["phi4-mini:4b", "phi4:14b"], ["phi4:14b"]),
    "deepseek-r1-distill-70b": (["deepseek-r1:70b", "deepseek-r1:8b"], ["deepseek-r1:70b"]),
    "deepseek-r1": (["deepseek-r1:70b", "deepseek-r1:8b"], ["deepseek-r1:70b", "deepseek-r1:8b"]),
}


@pytest.mark.parametrize("asked", NEAREST)
def test_the_models_whose_names_are_nearest_are_meant_and_no_other(asked: str):
    served, expected = NEAREST[asked]
    for shuffled in itertools.permutations(served):
        assert sorted(order(route(server(*map(model, shuffled)), model=asked))) == sorted(expected)
        listed = TaskRouting(primary_models=(asked,))
        found = order(route(server(*map(model, shuffled), model("starcoder2:15b")), routing={Task.CODING: listed}))
        assert sorted(found[: len(expected)]) == sorted(expected)


def test_a_pinned_model_is_looked_for_on_the_pinned_server_alone():
    here, there = server(model("qwen2.5:7b-q8_0"), name="here"), server(model("qwen2.5:7b"), name="there")
    assert order(route(here, there, model="qwen2.5:7b")) == ["qwen2.5:7b"]
    assert order(route(here, there, model="qwen2.5:7b", service="here")) == ["qwen2.5:7b-q8_0"]


def test_a_pinned_model_that_cannot_answer_is_not_replaced_by_one_of_a_similar_name():
    found = route(server(model("m:7b", remote="a cloud tag"), model("m:7b-mini")), model="m:7b")
    assert found.candidates == ()
    assert [(r.model, r.reason) for r in found.rejections] == [
        ("m:7b", RejectionReason.POLICY),
        ("m:7b-mini", RejectionReason.NOT_ASKED_FOR),
    ]


@pytest.mark.parametrize(("asked", "model_id"), [("", "m"), ("instruct", "m-instruct"), ("latest", "m:latest")])
def test_words_that_name_nothing_mean_no_model(asked: str, model_id: str):
    assert likeness(asked, model_id, model_id) is Likeness.NONE
    assert meant(asked, [(model_id, model_id)]) == frozenset()


def test_pinned_server():
    here, there = server(model(SMALL), name="here"), server(model(CODER), name="there")
    found = route(here, there, service="HERE")
    assert order(found) == [SMALL]
    assert [(r.service, r.model) for r in found.rejections] == [("there", None)]


@pytest.mark.parametrize(
    ("task", "best"),
    [(Task.CODING, CODER), (Task.REASONING, WRITER), (Task.ANALYSIS, CODER), (Task.DOCUMENTATION, WRITER)],
)
def test_the_model_that_suits_the_task_comes_first(task: Task, best: str):
    assert order(route(server(model(SMALL), model(WRITER), model(CODER)), task=what(task)))[0] == best


def test_where_two_tasks_are_close_the_mixture_decides():
    models = server(model("starcoder2:15b"), model("phi4:14b"))
    assert order(route(models, task=what(Task.CODING, coding=0.51, reasoning=0.49))) == ["phi4:14b", "starcoder2:15b"]
    [first, _] = route(models, task=what(Task.CODING, coding=0.5, reasoning=0.5)).candidates
    assert first.score == pytest.approx(0.5 * 82 + 0.5 * 88 + first_place_gain("phi-4", Task.CODING), abs=0.01)


def first_place_gain(model_id: str, task: Task) -> float:
    listed = CATALOG.lists[task].primary + CATALOG.lists[task].fallback
    return LIST_GAIN * (1 - listed.index(model_id) / len(listed))


@pytest.mark.parametrize(
    ("facts", "cost", "reason"),
    [
        ({}, 0, None),
        ({"loaded": None}, 0, None),
        ({"loaded": False}, COLD_COST, "not in memory yet"),
        ({"context_window": None}, 0, None),
        ({"context_window": 8191}, SMALL_WINDOW_COST, "window 8,191 below the 8,192 wanted for coding"),
        ({"context_window": 8192}, 0, None),
        ({"context_window": 4096, "loaded": False}, COLD_COST + SMALL_WINDOW_COST, "not in memory yet"),
    ],
    ids=str,
)
def test_costs(facts: dict[str, Any], cost: float, reason: str | None):
    [plain] = route(server(model())).candidates
    [candidate] = route(server(model(**facts))).candidates
    assert candidate.score == pytest.approx(plain.score - cost)
    assert set(candidate.reasons) >= set(plain.reasons) | ({reason} if reason else set())


def test_reasons_say_where_the_score_comes_from():
    [known, unknown] = route(server(model(CODER), model("new:7b"))).candidates
    assert known.reasons == ("rated 96 of 100 for coding (catalog)", "on the list for coding")
    assert unknown.reasons == ("rated 61 of 100 for coding (guessed from its size)",)


WISHES = {
    "primary first": (TaskRouting(primary_models=(SMALL,)), [SMALL, CODER, WRITER]),
    "primary in its order": (TaskRouting(primary_models=(WRITER, SMALL)), [WRITER, SMALL, CODER]),
    "then fallback": (TaskRouting(primary_models=(SMALL,), fallback_models=(WRITER,)), [SMALL, WRITER, CODER]),
    "fallback before the others": (TaskRouting(fallback_models=(SMALL,)), [SMALL, CODER, WRITER]),
    "by the catalog's names": (TaskRouting(primary_models=("smollm2-135m",)), [SMALL, CODER, WRITER]),
    "by a family, best first": (TaskRouting(primary_models=("smollm2", "qwen2.5")), [SMALL, CODER, WRITER]),
    "what is not there is passed over": (TaskRouting(primary_models=("phi-4", SMALL)), [SMALL, CODER, WRITER]),
    "none": (TaskRouting(), [CODER, WRITER, SMALL]),
}


@pytest.mark.parametrize(("wishes", "expected"), WISHES.values(), ids=WISHES)
def test_the_users_lists_win(wishes: TaskRouting, expected: list[str]):
    models = server(model(WRITER), model(SMALL), model(CODER))
    assert order(route(models, routing={Task.CODING: wishes})) == expected
    assert order(route(models, routing={Task.REASONING: wishes})) == [CODER, WRITER, SMALL], "another task's list"


def test_a_list_may_use_the_catalogs_name_of_what_a_server_calls_otherwise():
    models = server(model(CODER), model("deepseek-r1:70b"))
    wishes = TaskRouting(primary_models=("deepseek-r1-distill-70b",))
    assert order(route(models, routing={Task.CODING: wishes})) == ["deepseek-r1:70b", CODER]


def test_equal_models_go_by_priority_then_name():
    servers = [server(model(), name=name, priority=rank) for name, rank in (("b", 1), ("a", 1), ("c", 0))]
    for shuffled in itertools.permutations(servers):
        assert [c.endpoint.name for c in route(*shuffled).candidates] == ["c", "a", "b"]


MODELS = st.builds(
    model,
    st.sampled_from([CODER, WRITER, SMALL, "phi4", "new:7b", "new", "nomic-embed-text"]),
    context_window=st.sampled_from([None, 512, 4096, 131072]),
    loaded=st.sampled_from([None, True, False]),
    chat=st.booleans(),
    remote=st.sampled_from([None, "a cloud tag"]),
)
SERVERS = st.lists(
    st.builds(
        lambda models, **facts: server(*models, **facts),
        st.lists(MODELS, max_size=4, unique_by=lambda m: m.id),
        name=st.sampled_from(["a", "b", "c", "d"]),
        health=st.sampled_from(Health),
        base_url=st.sampled_from(["http://127.0.0.1:1", "http://10.0.0.1", "http://8.8.8.8", "http://x.example", ""]),
        priority=st.integers(0, 3),
    ),
    max_size=4,
    unique_by=lambda endpoint: endpoint.name,
)
TASKS = st.sampled_from(Task).map(what)


@given(SERVERS, TASKS, st.sampled_from([None, "qwen2.5", "phi-4"]), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_rules(endpoints: list[Endpoint], task: Classification, pinned: str | None, random):
    found = route(*endpoints, task=task, model=pinned)
    assert route(*endpoints, task=task, model=pinned) == found, "same snapshot, same route"
    assert Route.model_validate_json(found.model_dump_json()) == found
    shuffled = random.sample(endpoints, len(endpoints))
    assert route(*shuffled, task=task, model=pinned).candidates == found.candidates, "whatever was seen first"
    scores = [candidate.score for candidate in found.candidates]
    assert scores == sorted(scores, reverse=True)
    # Everything that was seen is a candidate or has its reason, and only one of the two.
    judged = [(c.endpoint.name, c.model.id) for c in found.candidates]
    judged += [(r.service, r.model) for r in found.rejections if r.model]
    refused = {r.service for r in found.rejections if r.model is None}
    seen = [(e.name, m.id) for e in endpoints if e.name not in refused for m in e.models]
    assert sorted(judged) == sorted(seen)
