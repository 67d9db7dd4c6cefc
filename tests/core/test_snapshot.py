"""What does not depend on the question: who may be asked at all, in which order, and what each one promises."""

import itertools
from typing import Any

import pytest

from jupyter_llmroute.core.catalog import CACHE_SHARE, Catalog
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.route import RejectionReason
from jupyter_llmroute.core.sections import SecuritySettings, TaskRouting
from jupyter_llmroute.core.snapshot import (
    ANSWER_TOKENS,
    LIST_GAIN,
    PATIENCE_COST,
    SMALL_WINDOW_COST,
    TASKS,
    UNLISTED,
    Row,
    Snapshot,
    time_cost,
)
from jupyter_llmroute.core.speed import OVERHEAD_TOKENS
from jupyter_llmroute.core.task import Task

POLICY = Policy.from_settings(SecuritySettings())
OPEN = Policy.from_settings(SecuritySettings(allow_external=True))
CATALOG = Catalog.load()
URL = "http://127.0.0.1:11434"
CODING = TASKS.index(Task.CODING)


def model(model_id: str, **facts: Any) -> ServedModel:
    return ServedModel(id=model_id, **{"context_window": 32768, "loaded": True} | facts)


def server(*models: ServedModel | str, name: str = "ollama", **facts: Any) -> Endpoint:
    served = tuple(each if isinstance(each, ServedModel) else model(each) for each in models)
    return Endpoint(**{"name": name, "provider": "ollama", "base_url": URL, "models": served} | facts)


def snapshot(*endpoints: Endpoint, **standing: Any) -> Snapshot:
    return Snapshot(**{"endpoints": endpoints, "catalog": CATALOG, "routing": {}} | standing)


def rows(*endpoints: Endpoint, policy: Policy = POLICY, **standing: Any) -> list[Row]:
    return snapshot(*endpoints, **standing).roster(policy).rows


def only(*endpoints: Endpoint, **standing: Any) -> Row:
    [row] = rows(*endpoints, **standing)
    return row


# --- worked out once ---


def test_a_roster_is_worked_out_once_for_a_policy():
    seen = snapshot(server("phi4:14b"))
    first = seen.roster(POLICY)
    assert seen.roster(POLICY) is first
    assert seen.roster(Policy.from_settings(SecuritySettings())) is first, "an equal one"


def test_each_policy_has_its_own_roster():
    seen = snapshot(server(model("phi4:14b", remote="a cloud tag")))
    for policy, allowed in ((POLICY, False), (OPEN, True), (POLICY, False)):
        assert bool(seen.roster(policy).rows) is allowed


def test_whether_a_roster_was_worked_out_makes_no_difference():
    one, other = snapshot(server("phi4:14b")), snapshot(server("phi4:14b"))
    one.roster(POLICY)
    assert one == other
    assert one.model_dump_json() == other.model_dump_json()
    assert Snapshot.model_validate_json(one.model_dump_json()) == one
    assert one != snapshot(server("phi4:14b"), seen_at=1.0)
    assert one != "something else"


def test_a_copy_with_other_values_has_a_roster_of_its_own():
    seen = snapshot(server("phi4:14b", "qwen3:8b"))
    seen.roster(POLICY)
    copy = seen.model_copy(update={"excluded": ("phi4",)})
    assert [row.model.id for row in copy.roster(POLICY).rows] == ["qwen3:8b"]
    assert len(seen.roster(POLICY).rows) == 2


# --- who may be asked ---

EXCLUDED = {
    # a name in models.excluded: what is left of the models below
    "phi4:14b": ["qwen2.5:7b", "qwen2.5-coder:7b"],
    "PHI-4": ["qwen2.5:7b", "qwen2.5-coder:7b"],
    "qwen2.5": ["phi4:14b"],
    "qwen2.5:7b": ["qwen2.5-coder:7b", "phi4:14b"],
    "Qwen/Qwen2.5-7B-Instruct": ["qwen2.5-coder:7b", "phi4:14b"],
    "coder": ["qwen2.5:7b", "phi4:14b"],
    "cod": ["qwen2.5:7b", "qwen2.5-coder:7b", "phi4:14b"],
    "5": ["qwen2.5:7b", "qwen2.5-coder:7b", "phi4:14b"],
    "qwen2": ["qwen2.5:7b", "qwen2.5-coder:7b", "phi4:14b"],
    "": ["qwen2.5:7b", "qwen2.5-coder:7b", "phi4:14b"],
    "instruct": ["qwen2.5:7b", "qwen2.5-coder:7b", "phi4:14b"],
}


@pytest.mark.parametrize(("name", "left"), EXCLUDED.items(), ids=EXCLUDED)
def test_models_are_excluded_by_words(name: str, left: list[str]):
    seen = snapshot(server("qwen2.5:7b", "qwen2.5-coder:7b", "phi4:14b"), excluded=(name,))
    roster = seen.roster(POLICY)
    assert sorted(row.model.id for row in roster.rows) == sorted(left)
    assert {r.reason for r in roster.rejections} <= {RejectionReason.EXCLUDED}
    assert len(roster.rows) + len(roster.rejections) == 3


def test_a_model_is_excluded_on_every_server():
    there = server("phi4:14b", name="there", base_url="http://127.0.0.1:2")
    assert rows(server("phi4:14b"), there, excluded=("phi4",)) == []


GB = 10**9

MEMORY = {
    # name: (what the server says of it, what the machine has, whether it may be asked)
    "it fits": ({"size_bytes": 8 * GB}, 12 * GB, True),
    "its file alone fits, its cache does not": ({"size_bytes": 8 * GB}, 8 * GB, False),
    "exactly": ({"size_bytes": 10 * GB}, round(10 * GB * (1 + CACHE_SHARE)), True),
    "by its parameters": ({"parameters": 70 * GB}, 16 * GB, False),
    "by its parameters, of which each takes four bits": ({"parameters": 20 * GB}, 16 * GB, True),
    "by its quantisation": ({"parameters": 20 * GB, "quantisation": "F16"}, 16 * GB, False),
    "nobody tells its size": ({}, 1, True),
    "nobody tells the machine's": ({"size_bytes": 800 * GB}, None, True),
    "it is in memory already": ({"size_bytes": 800 * GB, "loaded": True}, 16 * GB, True),
    "whether it is in memory is not told": ({"size_bytes": 800 * GB, "loaded": None}, 16 * GB, False),
}


@pytest.mark.parametrize(("facts", "memory", "may_be_asked"), MEMORY.values(), ids=MEMORY)
def test_what_the_machine_has_no_memory_for_is_not_asked(facts: dict[str, Any], memory: int | None, may_be_asked: bool):
    asked = model("new", **{"loaded": False} | facts)
    roster = snapshot(server(asked), memory_bytes=memory).roster(POLICY)
    assert bool(roster.rows) is may_be_asked
    assert [r.reason for r in roster.rejections] == [] if may_be_asked else [RejectionReason.MEMORY]
    elsewhere = server(asked, base_url="http://192.168.1.2:8000")
    assert snapshot(elsewhere, memory_bytes=memory).roster(POLICY).rows, "another machine's memory is another's"


def test_the_first_obstacle_is_named_and_all_that_was_seen_is_a_row_or_a_rejection():
    servers = [
        server("phi4:14b", name="down", health=Health.DOWN, detail="refused"),
        server("phi4:14b", name="afar", base_url="http://8.8.8.8", health=Health.DOWN),
        server(name="empty"),
        server(model("e", chat=False, remote="cloud"), model("c", remote="cloud"), "phi4:14b", name="well"),
    ]
    roster = snapshot(*servers, excluded=("phi4",)).roster(POLICY)
    assert roster.rows == []
    assert [(r.service, r.model, r.reason) for r in roster.rejections] == [
        ("down", None, RejectionReason.NOT_WELL),
        ("afar", None, RejectionReason.POLICY),
        ("empty", None, RejectionReason.NO_MODELS),
        ("well", "e", RejectionReason.NOT_A_CHAT_MODEL),
        ("well", "c", RejectionReason.POLICY),
        ("well", "phi4:14b", RejectionReason.EXCLUDED),
    ]


# --- rows ---


def test_rows_stand_by_priority_then_name_whatever_was_seen_first():
    servers = [
        server("b", "a", name="second", priority=1),
        server("a", name="first", priority=0),
        server("a", name="also second", priority=1),
    ]
    for shuffled in itertools.permutations(servers):
        found = rows(*shuffled)
        assert [(row.endpoint.name, row.model.id) for row in found] == [
            ("first", "a"), ("also second", "a"), ("second", "a"), ("second", "b")]  # fmt: skip
        assert [row.rank for row in found] == [0, 1, 2, 3]


def test_a_row_is_found_by_its_place():
    roster = snapshot(server("a"), server("a", name="embedded", base_url="")).roster(POLICY)
    assert set(roster.by_key) == {f"{URL} a", "embedded a"}
    assert all(roster.by_key[row.key] is row for row in roster.rows)


PLACES = {
    "primary": (TaskRouting(primary_models=("phi-4", "qwen3")), {"phi4:14b": (0, 0), "qwen3:8b": (0, 1)}),
    "fallback": (TaskRouting(fallback_models=("qwen3",)), {"qwen3:8b": (1, 0), "phi4:14b": UNLISTED}),
    "in both": (
        TaskRouting(primary_models=("none", "qwen3"), fallback_models=("qwen3", "phi4")),
        {"qwen3:8b": (0, 1), "phi4:14b": (1, 1)}),
    "twice": (TaskRouting(primary_models=("qwen3:8b", "phi4", "qwen3")), {"qwen3:8b": (0, 0), "phi4:14b": (0, 1)}),
    "neither": (TaskRouting(), {"qwen3:8b": UNLISTED, "phi4:14b": UNLISTED}),
}  # fmt: skip


@pytest.mark.parametrize(("wishes", "expected"), PLACES.values(), ids=PLACES)
def test_places_in_the_users_lists(wishes: TaskRouting, expected: dict[str, tuple[int, int]]):
    roster = snapshot(server("phi4:14b", "qwen3:8b"), routing={Task.CODING: wishes}).roster(POLICY)
    assert {row.model.id: row.places[CODING] for row in roster.rows} == expected
    assert {row.model.id for row in roster.listed[CODING]} == {m for m, place in expected.items() if place != UNLISTED}
    others = [t for t in range(len(TASKS)) if t != CODING]
    assert all(row.places[t] == UNLISTED for row in roster.rows for t in others)
    assert not any(roster.listed[t] for t in others)


def test_places_in_the_catalogs_lists_are_worth_the_less_the_further_down_they_are():
    for task in TASKS:
        listed = CATALOG.lists[task]
        order = (*listed.primary, *listed.fallback)
        gains = [only(server(model_id)).gains[TASKS.index(task)] for model_id in order]
        assert gains == sorted(gains, reverse=True)
        assert gains[0] == LIST_GAIN
        assert 0 < gains[-1] < LIST_GAIN / 2
    assert only(server("new")).gains == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("facts", "cost"),
    [
        ({"context_window": 8191}, SMALL_WINDOW_COST),
        ({"context_window": 8192}, 0),
        ({"context_window": None}, 0),
        ({"context_window": 512, "window_limit": 8192}, 0),
        ({"context_window": 9000, "window_limit": 8191}, SMALL_WINDOW_COST),
    ],
)
def test_a_window_smaller_than_wanted_costs(facts: dict[str, Any], cost: float):
    row = only(server(model("new", **facts)), routing={Task.CODING: TaskRouting(min_context=8192)})
    assert row.gains[CODING] == -cost
    assert sum(row.gains) == -cost, "for that task alone"


def test_no_score_exceeds_what_a_row_promises():
    for row in rows(server("phi4:14b", model("qwen3:8b", loaded=False), model("smollm2:135m", context_window=512))):
        for t in range(len(TASKS)):
            seconds = ANSWER_TOKENS * row.guess.token_s + (0 if row.is_loaded else row.guess.load_s)
            seconds += OVERHEAD_TOKENS * row.guess.prompt_token_s
            assert row.scores[t] + row.gains[t] - time_cost(seconds, 30.0) <= row.promise[t] + 1e-9


def test_the_most_promising_and_the_smallest_come_first():
    roster = snapshot(server("smollm2:135m", "qwen2.5:72b", "phi4:14b", model("new", size_bytes=GB))).roster(POLICY)
    for t in range(len(TASKS)):
        promises = [row.promise[t] for row in roster.promising[t]]
        assert promises == sorted(promises, reverse=True)
    assert [row.model.id for row in roster.by_size] == ["smollm2:135m", "new", "phi4:14b", "qwen2.5:72b"]


def test_a_mixture_of_experts_is_guessed_to_write_faster_than_a_dense_model_of_its_size():
    mixture, dense = only(server("qwen3:30b-a3b")), only(server("qwen3:32b"))
    assert mixture.guess.token_s < dense.guess.token_s / 2
    assert mixture.guess.load_s == pytest.approx(dense.guess.load_s, rel=0.2)


def test_seconds_cost_more_the_longer_they_take_and_each_doubling_of_the_whole_the_same():
    assert time_cost(0, 30) == 0
    assert [time_cost(seconds, 30) for seconds in (30, 90, 210)] == [PATIENCE_COST * n for n in (1, 2, 3)]
    assert time_cost(1e9, 30) < 100 * PATIENCE_COST
