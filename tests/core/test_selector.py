"""From a classification and what was seen of the servers to an ordered list: filters with reasons, then a score."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.breaker import Breaker
from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.classifier import Classification
from jupyter_llmroute.core.context import Context, ContextItem
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.history import History, place_of
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.prompt import answer_reserve, estimate_prompt, lay_out
from jupyter_llmroute.core.request import Request, Turn
from jupyter_llmroute.core.route import Candidate, RejectionReason, Route
from jupyter_llmroute.core.sections import SecuritySettings, TaskRouting
from jupyter_llmroute.core.selector import RANKED, STICKY_GAIN, Decision, Wish, replay, select
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.snapshot import SMALL_WINDOW_COST, Snapshot
from jupyter_llmroute.core.speed import Speed
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.tokens import DENSEST

POLICY = Policy.from_settings(SecuritySettings())
CATALOG = Catalog.load()

CODER, WRITER, SMALL = "qwen2.5-coder:32b", "qwen2.5:72b", "smollm2:135m"


def what(task: Task = Task.CODING, **shares: float) -> Classification:
    scores = {t: shares.get(t.value, 0.0) for t in Task} if shares else {t: float(t is task) for t in Task}
    return Classification(task=task, confidence=1, scores=scores, evidence=("a test",), needs_symbols=False)


def model(model_id: str = CODER, **facts: Any) -> ServedModel:
    return ServedModel(id=model_id, **{"context_window": 32768, "loaded": True, **facts})


def server(*models: ServedModel, name: str = "ollama", **facts: Any) -> Endpoint:
    return Endpoint(**{"name": name, "provider": "ollama", "base_url": URL, **facts}, models=models)


def route(
    *endpoints: Endpoint,
    task: Classification | None = None,
    routing: dict[Task, TaskRouting] | None = None,
    policy: Policy = POLICY,
    context: Context | None = None,
    history: History | None = None,
    standing: dict[str, Any] | None = None,
    **request: Any,
) -> Route:
    request.setdefault("question", "why?")
    context = context or Context(request=Request(**request))
    return select(task or what(), context, snapshot(*endpoints, routing=routing, **standing or {}), policy, history)


def snapshot(*endpoints: Endpoint, routing: dict[Task, TaskRouting] | None = None, **standing: Any) -> Snapshot:
    routing = Settings(task_routing=routing or {}).task_routing
    return Snapshot(endpoints=endpoints, catalog=CATALOG, routing=routing, **standing)


def order(found: Route) -> list[str]:
    return [candidate.model.id for candidate in found.candidates]


LONG = "x" * 4 * 32768
URL = "http://127.0.0.1:11434"
BROKEN = Breaker(failures=3, opened=1, open_until=130.0)
FAILED_OFTEN = History(now=100.0, breakers={URL: BROKEN})

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
    "a server that reads a model": (
        server(health=Health.LOADING), {}, RejectionReason.LOADING, "loading"),
    "a server without models": (server(), {}, RejectionReason.NO_MODELS, "it serves no model"),
    "another server was pinned": (server(model()), {"service": "jan"}, RejectionReason.NOT_ASKED_FOR, "only jan"),
    "another model was pinned": (server(model()), {"model": "phi-4"}, RejectionReason.NOT_ASKED_FOR, "only phi-4"),
    "a model of embeddings": (
        server(model(chat=False)), {}, RejectionReason.NOT_A_CHAT_MODEL, "it makes embeddings"),
    "a window that is too small": (
        server(model()), {"question": LONG}, RejectionReason.WINDOW_TOO_SMALL, "do not fit its 32,768"),
    "a window that is assumed": (
        server(model(context_window=4096, window_is_assumed=True)), {"question": LONG},
        RejectionReason.WINDOW_TOO_SMALL, "4,096 that are assumed (set context_window)"),
    "a model that the user excluded": (
        server(model()), {"standing": {"excluded": ("phi-4", "qwen2.5-coder")}}, RejectionReason.EXCLUDED, "excluded"),
    "a model that is another than the one that was locked": (
        server(model()), {"standing": {"changed": ((server().name, model().id),)}}, RejectionReason.CHANGED, "locked"),
    "a model whose file is being compared with the locked one": (
        server(model()), {"standing": {"checking": ((server().name, model().id),)}}, RejectionReason.CHECKING,
        "compared"),
    "a model that is too large for this machine": (
        server(model(loaded=False)), {"standing": {"memory_bytes": 16 * 10**9}}, RejectionReason.MEMORY, "has 16 GB"),
    "a server that failed several times": (
        server(model()), {"history": FAILED_OFTEN}, RejectionReason.BREAKER_OPEN, "failed 3 times in a row; left"),
}  # fmt: skip


@pytest.mark.parametrize(("endpoint", "request_", "reason", "detail"), REJECTIONS.values(), ids=REJECTIONS)
def test_rejection(endpoint: Endpoint, request_: dict[str, Any], reason: RejectionReason, detail: str):
    found = route(endpoint, **request_)
    assert found.candidates == ()
    [rejection] = found.rejections
    assert rejection.reason is reason
    assert detail in rejection.detail
    assert rejection.service == "ollama"
    whole_server = reason in WHOLE_SERVER or not endpoint.models
    assert rejection.model is None or not whole_server


WHOLE_SERVER = {RejectionReason[name] for name in ("NOT_WELL", "NO_MODELS", "LOADING", "BREAKER_OPEN")}


def test_every_reason_has_its_test():
    assert {reason for _, _, reason, _ in REJECTIONS.values()} == set(RejectionReason)


ACCEPTED = {
    "a server that still loads": server(model(), health=Health.LOADING),
    "a window that nobody told": server(model(context_window=None)),
    "a server that has no address yet": server(model(), base_url=""),
    "a server in the house": server(model(), base_url="http://192.168.1.2:8000"),
    "a name that is this machine": server(model(), base_url="http://localhost:8000"),
    "a large one on another machine": server(model(loaded=False), base_url="http://192.168.1.2:8000"),
    "a large one that is in memory": server(model(loaded=True)),
    "a window that can be asked for": server(model(context_window=512, window_limit=32768)),
}


@pytest.mark.parametrize("endpoint", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(endpoint: Endpoint):
    assert order(route(endpoint, question="x" * 2000, standing={"memory_bytes": 8 * 10**9})) == [CODER]


@pytest.mark.parametrize(
    ("now", "seen_at", "may_be_asked"), [(129, 129, False), (130, 129, False), (130, 130, True), (999, 131, True)]
)
def test_a_server_that_failed_is_asked_again_after_its_pause_when_it_was_looked_at_since(now, seen_at, may_be_asked):
    history = History(now=now, breakers={URL: BROKEN})
    assert bool(route(server(model()), history=history, standing={"seen_at": seen_at}).candidates) is may_be_asked


def test_a_remote_model_may_answer_where_the_user_opened_the_door():
    open_policy = Policy.from_settings(SecuritySettings(allow_external=True))
    assert order(route(server(model(remote="a cloud tag")), policy=open_policy)) == [CODER]


def test_only_question_and_instructions_must_fit():
    turns = (Turn(number=1, question="q", answer=LONG),)
    context = Context(request=Request(question="why?", turns=turns), items=(ContextItem(ref="In[1]", text=LONG),))
    assert order(route(server(model()), context=context)) == [CODER]


def test_room_for_the_answer_must_be_left():
    question = "x" * 4000
    needed = estimate_prompt(lay_out(Context(request=Request(question=question))), DENSEST)
    fits = server(model(context_window=needed + 50), model(WRITER, context_window=needed + 49))
    assert order(route(fits, question=question, standing={"reserve_tokens": 50})) == [CODER]


@pytest.mark.parametrize(("window", "reserve", "kept"), [(32768, 1024, 1024), (1024, 1024, 512), (4096, 9999, 2048)])
def test_answer_reserve_is_at_most_half_of_the_window(window: int, reserve: int, kept: int):
    assert answer_reserve(window, reserve) == kept


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
    # Of one size, so that their speeds are alike.
    models = server(model("starcoder2:15b", parameters=15 * 10**9), model("phi4:14b", parameters=15 * 10**9))
    coding = what(Task.CODING, coding=0.9, reasoning=0.1)
    both = what(Task.CODING, coding=0.5, reasoning=0.5)
    [first, second] = route(models, task=both).candidates
    assert first.model.id == "phi4:14b"
    margins = [
        {c.model.id: c.score for c in route(models, task=task).candidates}["phi4:14b"] - other.score
        for task, other in ((both, second), (coding, route(models, task=coding).candidates[-1]))
    ]
    assert margins[0] > margins[1]


COSTS = {
    "nothing": ({}, 0, None),
    "in memory for all we know": ({"loaded": None}, 0, None),
    "a window that nobody told": ({"context_window": None}, 0, None),
    "a window just large enough": ({"context_window": 8192}, 0, None),
    "a small window": (
        {"context_window": 8191}, SMALL_WINDOW_COST, "window 8,191 below the 8,192 wanted for coding"),
    "a small window that can be asked to be larger": ({"context_window": 4096, "window_limit": 32768}, 0, None),
    "a window that is assumed": (
        {"context_window": 8192, "window_is_assumed": True}, 0, "window of 8,192 assumed, as it does not tell"),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "cost", "reason"), COSTS.values(), ids=COSTS)
def test_costs(facts: dict[str, Any], cost: float, reason: str | None):
    plain, candidate = only(server(model())), only(server(model(**facts)))
    assert candidate.score == pytest.approx(plain.score - cost, abs=0.02)
    assert set(candidate.reasons) >= set(plain.reasons) | ({reason} if reason else set())


def only(*endpoints: Endpoint, **more: Any) -> Candidate:
    [candidate] = route(*endpoints, **more).candidates
    return candidate


def test_a_model_that_must_be_loaded_costs_the_time_that_it_takes():
    warm, cold = only(server(model())), only(server(model(loaded=False)))
    assert cold.expected_s > warm.expected_s + 10
    assert cold.score < warm.score
    assert any(reason.startswith("not in memory yet, about") for reason in cold.reasons)


def test_a_model_whose_window_must_grow_is_loaded_again():
    endpoint = server(model(context_window=2048, window_limit=32768))
    assert only(endpoint, question="x" * 16_000).expected_s > only(endpoint).expected_s + 10


def test_a_warm_model_wins_where_quality_is_near_and_not_where_it_is_far():
    better, near, far = model("qwen2.5-coder:14b", loaded=False), model("qwen2.5-coder:7b"), model(SMALL)
    assert order(route(server(better, far)))[0] == better.id
    close = what(Task.REASONING)
    assert order(route(server(better, near), task=close))[0] == near.id


def learnt(tokens_per_second: float, first_token_s: float = 0.2) -> Speed:
    speed = Speed()
    for _ in range(8):
        speed = speed.with_answer(
            first_token_s=first_token_s, read_tokens=100, tokens_per_second=tokens_per_second, was_loaded=True
        )
    return speed


def test_what_was_measured_of_its_speed_decides():
    here, there = server(model(), name="here"), server(model(), name="there", base_url="http://127.0.0.1:2")
    for fast, slow in ((here, there), (there, here)):
        speeds = {place_of(fast, CODER): learnt(80), place_of(slow, CODER): learnt(2)}
        found = route(here, there, history=History(speeds=speeds)).candidates
        assert [c.endpoint.name for c in found] == [fast.name, slow.name]
        assert found[0].expected_s == pytest.approx(400 / 80, rel=0.3)
        assert "as measured" in " ".join(found[0].reasons)


def test_the_model_that_answered_last_stays_unless_another_is_clearly_better():
    a, b = server(model(), name="a"), server(model(), model(SMALL), name="b", base_url="http://127.0.0.1:2")
    assert route(a, b, history=History(last=place_of(b, CODER))).candidates[0].endpoint.name == "b"
    stayed = route(a, b, history=History(last=place_of(b, SMALL))).candidates
    assert stayed[0].model.id == CODER
    assert next(c for c in stayed if c.model.id == SMALL).reasons[-1].startswith("answered last")
    plain = next(c for c in route(a, b).candidates if c.model.id == SMALL)
    assert next(c for c in stayed if c.model.id == SMALL).score == pytest.approx(plain.score + STICKY_GAIN)


def replicas(count: int) -> list[Endpoint]:
    return [server(model(), name=f"r{n}", base_url=f"http://127.0.0.1:{n + 1}") for n in range(count)]


def test_questions_spread_over_equal_replicas():
    chosen = {route(*replicas(4), history=History(draw=draw)).candidates[0].endpoint.name for draw in range(40)}
    assert chosen == {"r0", "r1", "r2", "r3"}


def test_of_two_replicas_the_less_busy_is_asked():
    two = replicas(2)
    for busy, free in (("r0", "r1"), ("r1", "r0")):
        place = next(e.base_url for e in two if e.name == busy)
        for draw in range(10):
            found = route(*two, history=History(draw=draw, busy={place: 1})).candidates
            assert [c.endpoint.name for c in found] == [free, busy]
            assert "busy with 1" in found[1].reasons


def test_a_replica_of_higher_priority_is_no_equal():
    first = server(model(), name="first", priority=0)
    for draw in range(10):
        assert route(first, *replicas(3), history=History(draw=draw)).candidates[0].endpoint.name == "first"


def test_reasons_say_where_the_score_comes_from():
    [known, unknown] = route(server(model(CODER), model("new:7b"))).candidates
    assert known.reasons[:2] == ("rated 96 of 100 for coding (catalog)", "on the list for coding")
    assert (
        unknown.reasons[0] == f"rated {unknown.info.scores[Task.CODING]:.0f} of 100 for coding (guessed from its size)"
    )
    assert all("s for an answer" in " ".join(candidate.reasons) for candidate in (known, unknown))


def test_the_smallest_that_may_answer_is_the_last_resort():
    models = server(model(CODER), model(SMALL), model("qwen2.5:0.5b", context_window=64), model(WRITER))
    found = route(models)
    assert found.smallest
    assert found.smallest.model.id == SMALL
    assert route(models, service="nowhere").smallest is None


def test_of_many_models_the_best_are_ranked_and_the_others_counted():
    models = [model(f"new{n}:{n % 70 + 1}b") for n in range(300)]
    found = route(server(*models), server(model(CODER), name="z", base_url="http://127.0.0.1:2"))
    assert len(found.candidates) == RANKED
    assert found.unranked == 301 - RANKED
    one_by_one = [only(server(m)) for m in (*models, model(CODER))]
    best = sorted((c.score for c in one_by_one), reverse=True)[:RANKED]
    assert [c.score for c in found.candidates] == best, "none that was not looked at is better"


def test_a_model_that_the_user_listed_is_among_the_ranked_however_many_there_are():
    models = [model(f"new{n}:70b") for n in range(100)]
    wishes = {Task.CODING: TaskRouting(fallback_models=(SMALL,))}
    assert order(route(server(*models, model(SMALL)), routing=wishes))[0] == SMALL


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
    assert order(route(models, routing={Task.REASONING: wishes})) == order(route(models)), "another task's list"


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


HISTORIES = st.builds(
    History,
    now=st.sampled_from([0.0, 200.0]),
    draw=st.integers(0, 3),
    last=st.sampled_from([None, f"http://127.0.0.1:1 {CODER}"]),
    speeds=st.dictionaries(st.sampled_from([f"http://127.0.0.1:1 {CODER}", "http://10.0.0.1 new"]), st.just(learnt(9))),
    breakers=st.dictionaries(st.sampled_from(["http://127.0.0.1:1", "a"]), st.just(BROKEN)),
    busy=st.dictionaries(st.sampled_from(["http://127.0.0.1:1", "http://10.0.0.1"]), st.integers(1, 3)),
)


@given(SERVERS, TASKS, st.sampled_from([None, "qwen2.5", "phi-4"]), HISTORIES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_rules(endpoints: list[Endpoint], task: Classification, pinned: str | None, history: History, random):
    context = Context(request=Request(question="why?", model=pinned))
    found = route(*endpoints, task=task, context=context, history=history)
    decision = Decision(
        classification=task,
        wish=Wish.of(context),
        snapshot=snapshot(*endpoints),
        policy=POLICY,
        history=history,
        route=found,
    )
    assert replay(decision) == found, "same values, same route"
    assert replay(Decision.model_validate_json(decision.model_dump_json())) == found, "also from a log"
    shuffled = random.sample(endpoints, len(endpoints))
    again = route(*shuffled, task=task, context=context, history=history)
    assert again.candidates == found.candidates, "whatever was seen first"
    behind = [candidate.score for candidate in found.candidates[1:]]
    assert behind == sorted(behind, reverse=True)
    # Everything that was seen is a candidate or has its reason, and only one of the two.
    judged = [(c.endpoint.name, c.model.id) for c in found.candidates]
    judged += [(r.service, r.model) for r in found.rejections if r.model]
    refused = {r.service for r in found.rejections if r.model is None}
    seen = [(e.name, m.id) for e in endpoints for m in e.models if e.name not in refused]
    assert sorted(pair for pair in judged if pair[0] not in refused) == sorted(seen)
    assert found.unranked == 0
