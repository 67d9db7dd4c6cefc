"""Pins: read as a stranger's words, and obeyed as far as policy, window and health allow."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.breaker import Breaker
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.history import History, place, place_of
from jupyter_llmroute.core.pins import ANY, AUTO, MOST_CHARS, MOST_REMARKS, Origin, Pin, divided, pinned_for, read
from jupyter_llmroute.core.route import RejectionReason
from jupyter_llmroute.core.selector import Decision, replay
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.inert import plain_line

from ..shown import CLOUD, CODER, DESK, DOWN, EMBEDDER, QWEN, SAME_QWEN, STUDIO, decision, server

SMALL = server("nook", ServedModel(id="tiny:1b", context_window=600, loaded=True), base_url="http://127.0.0.1:5")


def pin(model: str, task: Task | None = None, origin: Origin = Origin.NOTEBOOK) -> Pin:
    return Pin(model=model, task=task, origin=origin)


READ = {
    "a model for every task": ({"any": "m"}, [("m", None)], 0),
    "a task before all tasks": ({"any": "m", "coding": "n@s"}, [("n@s", Task.CODING), ("m", None)], 0),
    "blanks around it": ({"any": " m "}, [("m", None)], 0),
    "nothing": (None, [], 0),
    "no pin": ({}, [], 0),
    "a pin that was taken back": ({"coding": None}, [], 0),
    "a task that there is not": ({"poetry": "m"}, [], 1),
    "another model for it that reads": ({"poetry": "m", "any": "m"}, [("m", None)], 1),
    "no text": ({"coding": 3, "analysis": ["m"]}, [], 2),
    "an empty name": ({"any": " "}, [], 1),
    "a line end in the name": ({"any": "a\nb"}, [], 1),
    "a turn of direction in the name": ({"any": "a\u202eb"}, [], 1),
    "a name without end": ({"any": "a" * (MOST_CHARS + 1)}, [], 1),
    "a list": ([1], [], 1),
    "a word": ("coding", [], 1),
    "a thousand tasks": ({f"t{n}": "m" for n in range(1000)}, [], MOST_REMARKS + 1),
}  # fmt: skip


@pytest.mark.parametrize(("data", "pins", "remarks"), READ.values(), ids=READ)
def test_pins_are_read(data: Any, pins: list[tuple[str, Task | None]], remarks: int) -> None:
    found = read(data)
    assert [(one.model, one.task) for one in found.pins] == pins
    assert len(found.remarks) == remarks


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
TASKS = st.sampled_from([*map(str, Task), ANY])


@given(JSON | st.dictionaries(TASKS | st.text(max_size=9), JSON, max_size=8))
def test_whatever_it_is_it_reads_and_decides(data: Any) -> None:
    found = read(data)
    assert len(found.pins) <= 1 + len(Task)
    assert len(found.remarks) <= MOST_REMARKS + 1
    assert all(len(remark) < 200 and plain_line(remark, 400) for remark in found.remarks)
    made = decision(DESK, STUDIO, question="why?", pins=found.pins)
    assert {c.model.id for c in made.route.candidates} == {QWEN.id, CODER.id, SAME_QWEN.id}
    assert replay(made) == made.route


@given(st.text(max_size=30), st.lists(st.text(max_size=9), max_size=3))
def test_a_model_and_its_server_are_told_apart(model: str, services: list[str]) -> None:
    name, service = divided(model, services)
    assert service is None or service in services
    assert (name, service) == (model, None) or (name and service is not None and model.startswith(name))


HOLDS = {
    "the first": ([pin("a"), pin("b")], "a"),
    "the one of the task": ([pin("a", Task.ANALYSIS), pin("b", Task.CODING)], "b"),
    "none of another task": ([pin("a", Task.ANALYSIS)], None),
    "nobody, where the session says so": ([pin(AUTO, origin=Origin.SESSION), pin("b", Task.CODING)], None),
}


@pytest.mark.parametrize(("pins", "model"), HOLDS.values(), ids=HOLDS)
def test_which_pin_holds(pins: list[Pin], model: str | None) -> None:
    held = pinned_for(Task.CODING, pins)
    assert (held and held.model) == model


def coding(*endpoints: Endpoint, question: str = "why?", **more: Any) -> Decision:
    return decision(*endpoints, question=question, task=Task.CODING, **more)


def order(made: Decision) -> list[str]:
    return [f"{c.model.id}@{c.endpoint.name}" for c in made.route.candidates]


@pytest.mark.parametrize("wanted", ["qwen3:8b@studio", "Qwen3-8B @ STUDIO", "Qwen/Qwen3-8B-GGUF"])
def test_a_pin_comes_before_the_score_and_says_so(wanted: str) -> None:
    free, made = coding(DESK, STUDIO), coding(DESK, STUDIO, pins=(pin(wanted, Task.CODING),))
    assert order(free)[0] == "qwen2.5-coder:7b@desk"
    assert order(made)[0] == "Qwen/Qwen3-8B-GGUF@studio"
    assert made.route.candidates[0].reasons[0] == "pinned for coding in this notebook"
    assert made.route.remarks == ()
    assert sorted(order(made)) == sorted(order(free)), "the others stay next in line"
    assert replay(made) == made.route


def test_of_two_servers_with_the_pinned_model_the_better_is_asked_first() -> None:
    made = coding(DESK, STUDIO, pins=(pin("qwen3:8b"),))
    assert order(made)[0] == "qwen3:8b@desk", "the one of that very name"
    made = coding(DESK, STUDIO, pins=(pin("qwen3-8b"),))
    assert set(order(made)[:2]) == {"qwen3:8b@desk", "Qwen/Qwen3-8B-GGUF@studio"}


def test_a_model_that_the_question_names_wins_over_a_pin() -> None:
    made = coding(DESK, STUDIO, pins=(pin("qwen3:8b"),), model="qwen2.5-coder")
    assert order(made) == ["qwen2.5-coder:7b@desk"]
    assert not any("pinned" in reason for reason in made.route.candidates[0].reasons)


def test_a_pin_of_another_task_does_not_hold() -> None:
    assert coding(DESK, pins=(pin("qwen3:8b", Task.ANALYSIS),)).route == coding(DESK).route


LONG = "word " * 3000
CANNOT = {
    "the policy forbids it": ((server("far", CLOUD), DESK), CLOUD.id, {}, "runs elsewhere"),
    "its window is too small": ((SMALL, DESK), "tiny:1b", {"question": LONG}, "do not fit its 600"),
    "its server is not well": ((DOWN, DESK), "qwen9@old", {}, "cannot answer: it refused the connection"),
    "it makes embeddings": ((DESK,), EMBEDDER.id, {}, "it makes embeddings"),
    "nobody serves it": ((DESK,), "phi4", {}, "cannot answer: no server has such a model"),
    "its server does not serve it": ((DESK, STUDIO), "phi4@studio", {}, "studio has no such model"),
    "there is no such server": ((DESK,), "qwen3:8b@elsewhere", {}, "no server has such a model"),
    "another server was asked for": ((DESK, STUDIO), "qwen3:8b@studio", {"service": "desk"}, "only desk was asked for"),
    "the user excluded it": ((DESK,), "qwen3:8b", {"snapshot": {"excluded": ("qwen3",)}}, "excluded in the settings"),
    "it failed several times": (
        (STUDIO, DESK), "Qwen/Qwen3-8B-GGUF",
        {"history": History(now=1.0, breakers={place(STUDIO): Breaker(failures=3, opened=1, open_until=9.0)})},
        "failed 3 times in a row",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("endpoints", "model", "facts", "why"), CANNOT.values(), ids=CANNOT)
def test_a_pin_that_cannot_be_used_is_told_and_the_best_of_the_others_is_asked(
    endpoints: tuple[Endpoint, ...], model: str, facts: dict[str, Any], why: str
) -> None:
    endpoints = tuple(e.model_copy(update={"models": (*e.models, ROOMY)}) if e.name == "desk" else e for e in endpoints)
    free, made = coding(*endpoints, **facts), coding(*endpoints, pins=(pin(model),), **facts)
    assert made.route.candidates == free.route.candidates
    assert made.route.candidates
    (remark,) = made.route.remarks
    assert remark.startswith(f"{model} is pinned for all tasks in this notebook and cannot answer: ")
    assert why in remark
    assert sorted(map(str, made.route.rejections)) == sorted(map(str, free.route.rejections))
    assert replay(made) == made.route


ROOMY = ServedModel(id="glm-4:9b", context_window=131072, loaded=True)


def test_a_server_that_is_down_is_named_where_it_may_have_the_model() -> None:
    (remark,) = coding(DESK, DOWN, pins=(pin("phi4"),)).route.remarks
    assert "no server has such a model; old: it refused the connection" in remark


def test_among_a_thousand_models_the_pinned_one_is_found() -> None:
    many = server("many", *(ServedModel(id=f"m{n}:70b", context_window=8192, loaded=True) for n in range(1000)), CODER)
    made = coding(many, pins=(pin("qwen2.5-coder:7b"),), history=History(last=place_of(many, "m7:70b")))
    assert order(made)[0] == "qwen2.5-coder:7b@many"
    assert made.route.unranked == 1001 - len(made.route.candidates)


def test_a_pinned_model_on_a_sick_server_is_not_asked() -> None:
    sick = STUDIO.model_copy(update={"health": Health.DOWN, "detail": "no route"})
    made = coding(DESK, sick, pins=(pin("Qwen/Qwen3-8B-GGUF@studio"),))
    assert all(not c.startswith("Qwen/") for c in order(made))
    assert {r.reason for r in made.route.rejections if r.service == "studio"} == {RejectionReason.NOT_WELL}
    assert "cannot answer: no route" in made.route.remarks[0]


def test_pins_are_kept_with_the_decision() -> None:
    made = coding(DESK, pins=(pin("qwen3:8b"),))
    again = Decision.model_validate_json(json.dumps(json.loads(made.model_dump_json())))
    assert again.wish.pins == made.wish.pins
    assert replay(again) == made.route
