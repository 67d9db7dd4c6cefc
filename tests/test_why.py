"""The last decision is explained in the words of the card, and what is long is folded."""

import pytest

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.events import (
    Attempt,
    AttemptFailed,
    AttemptStarted,
    Completed,
    Routed,
    TextDelta,
    Usage,
)
from jupyter_llmroute.core.fallback import Level
from jupyter_llmroute.core.history import History, place, place_of
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.selector import RANKED, Decision
from jupyter_llmroute.core.speed import Speed
from jupyter_llmroute.view import RunView
from jupyter_llmroute.why import NO_DECISION, SHOWN, as_markdown, as_text, bundle, expected, parts

from .shown import CODER, DESK, DOWN, ENEMY, HOSTILE, QWEN, STUDIO, dangers, decision, server

QUESTION = "write a function that parses ISO dates in Python"
QUICK = Speed().with_answer(first_token_s=0.3, read_tokens=100, tokens_per_second=50, was_loaded=True)
SLOW = Speed().with_answer(first_token_s=20, read_tokens=100, tokens_per_second=5, was_loaded=False)


def lines(made: Decision, title: str, view: RunView | None = None) -> tuple[str, ...]:
    (part,) = (part for part in parts(made, view) if part.title.startswith(title))
    return part.lines


def run(made: Decision, *events: AttemptStarted | AttemptFailed | TextDelta | Completed) -> RunView:
    view = RunView(Request(question=QUESTION))
    for event in (Routed(classification=made.classification, route=made.route), *events):
        view.apply(event)
    return view


def started(number: int, service: str, model: str, level: Level = Level.PRIMARY) -> AttemptStarted:
    return AttemptStarted(
        number=number, service=service, model=model, reasons=(), prompt_tokens=42, level=level, context_window=8192
    )


def failed(number: int, service: str, model: str, error: str, level: Level = Level.PRIMARY) -> AttemptFailed:
    return AttemptFailed(
        attempt=Attempt(number=number, service=service, model=model, error=error, level=level, failure="Unreachable")
    )


def completed(service: str, model: str) -> Completed:
    return Completed(
        service=service,
        model=model,
        answered_by=None,
        finish_reason="stop",
        usage=Usage(prompt_tokens=40, completion_tokens=9),
        time_to_first_token_s=0.25,
        elapsed_s=1.0,
        tokens_per_second=12.0,
    )


def test_the_task_is_shown_with_evidence_and_all_shares() -> None:
    task, shares, wrong = lines(decision(DESK, question=QUESTION), "Task")
    assert task.startswith("coding (9")
    assert 'asks to: "write … function"' in task
    assert shares.startswith("shares: coding 9")
    assert shares.count(" %") == 4
    assert "%llm_retry --task TASK" in wrong


def test_the_reasons_are_those_of_the_card_and_the_ratings_have_their_publications() -> None:
    made = decision(DESK, question=QUESTION)
    best = made.route.candidates[0]
    view = run(made, started(1, best.endpoint.name, best.model.id).model_copy(update={"reasons": best.reasons}))
    assert lines(made, "Wanted first")[: len(best.reasons)] == view.facts().reasons
    ratings = lines(made, "Where its ratings come from")
    assert ratings[0].startswith("coding, which counts 9")
    assert any(line.startswith("aider-edit: Aider: code editing leaderboard") for line in ratings) is (
        "aider-edit" in ratings[0]
    )


@pytest.mark.parametrize(
    "history",
    [
        History(),
        History(speeds={place_of(DESK, CODER.id): QUICK, place_of(DESK, QWEN.id): SLOW}),
        History(busy={place(DESK): 2}),
        History(last=place_of(DESK, CODER.id), speeds={place_of(DESK, CODER.id): QUICK}, busy={place(DESK): 1}),
    ],
)
@pytest.mark.parametrize("question", ["", QUESTION, QUESTION + " word" * 3000, "word " * 5000])
def test_the_parts_make_up_the_seconds_and_the_points(question: str, history: History) -> None:
    made = decision(DESK, STUDIO, question=question, history=history)
    for candidate in made.route.candidates:
        taken = expected(made, candidate)
        assert taken is not None
        assert taken.total_s == pytest.approx(candidate.expected_s, abs=0.01)
    *_, points = lines(made, "Wanted first")
    counted = [float(part.split()[0]) for part in points.removeprefix("the points: ").split(", ") if part[0] in "+-"]
    assert sum(counted) == pytest.approx(made.route.candidates[0].score, abs=0.3)
    assert points.endswith(f", which makes {made.route.candidates[0].score:.1f}")


def test_every_attempt_is_told_with_what_was_done_next() -> None:
    made = decision(DESK, STUDIO, question=QUESTION)
    view = run(
        made,
        started(1, "desk", "a"),
        failed(1, "desk", "a", "refused"),
        started(2, "desk", "a"),
        failed(2, "desk", "a", "refused again"),
        failed(3, "studio", "b", "too long", Level.FALLBACK_MODELS),
        started(4, "desk", "a", Level.REDUCED_CONTEXT),
        TextDelta(text="x"),
        completed("desk", "a"),
    )
    assert lines(made, "What came of it", view) == (
        "a on desk (primary): Unreachable: refused → asked again",
        "a on desk (primary): Unreachable: refused again → then b on studio",
        "b on studio (fallback models): Unreachable: too long → then a on desk",
        "a on desk (reduced context): complete, 40 of 8,192 tokens sent, first token 0.25 s, 12 tokens/s, "
        "9 tokens came",
        "reduced context: the question goes without cells and earlier answers; a on desk did not answer before",
    )


def test_the_last_failure_says_that_nobody_followed() -> None:
    made = decision(DESK, question=QUESTION)
    view = run(made, started(1, "desk", "a"), failed(1, "desk", "a", "refused"))
    view.fail(RuntimeError("nobody"))
    assert lines(made, "What came of it", view) == (
        "a on desk (primary): Unreachable: refused → nobody else was asked",
    )


def test_everything_left_out_is_named_with_its_kind_of_reason_one_of_each_kind_first() -> None:
    clouds = [ServedModel(id=f"m{n}:cloud", remote="a sign") for n in range(9)]
    left_out = lines(decision(server("far", *clouds), DESK, DOWN, question=QUESTION), "Left out")
    assert len(left_out) == 9 + 1 + 1 + 1
    assert {line.partition(":")[0] for line in left_out[:3]} == {"policy", "not a chat model", "not well"}
    assert "not well: old: it refused the connection" in left_out


def test_long_parts_are_folded_and_all_of_them_shown_on_request() -> None:
    many = server("desk", *(ServedModel(id=f"name{'x' * n}q-7b") for n in range(40)))
    made = decision(many, question=QUESTION)
    folded, whole = as_text(made), as_text(made, shown=None)
    assert f"and {40 - 1 - SHOWN} more" in folded
    assert f"and {40 - RANKED} more" in whole  # those that nobody ranked
    assert len(folded.split("\n")) == len(whole.split("\n")) - (RANKED - 1 - SHOWN)


def test_what_was_known_of_speeds_and_failures_is_told() -> None:
    key = place_of(DESK, CODER.id)
    history = History(now=100.0, speeds={key: QUICK, place_of(DESK, QWEN.id): SLOW})
    assert set(lines(decision(DESK, question=QUESTION, history=history), "Known from earlier answers")) == {
        "qwen2.5-coder:7b on desk: first token 0.30 s, 50 tokens/s",
        "qwen3:8b on desk: first token 20.0 s when not in memory, 5.0 tokens/s",
    }


@pytest.mark.parametrize("endpoints", [(), (DOWN,), (DOWN, server("far", ServedModel(id="m", remote="a sign")))])
def test_a_decision_for_nobody_says_so(endpoints: tuple[Endpoint, ...]) -> None:
    assert "No model can answer this" in as_text(decision(*endpoints, question=QUESTION))


def test_without_a_decision_it_says_what_to_do() -> None:
    assert as_text(None) == NO_DECISION
    assert "%%route" in bundle(None)["text/markdown"].replace("\\", "")


def test_hostile_names_come_out_inert() -> None:
    made = decision(ENEMY, question=HOSTILE)
    asked = started(2, HOSTILE, HOSTILE + "2", Level.FALLBACK_MODELS)
    view = run(made, failed(1, HOSTILE, HOSTILE, HOSTILE), asked)
    markdown = as_markdown(made, view)
    assert dangers(markdown) == []
    assert all(line.startswith(("- ", "**", "> ")) for line in markdown.split("\n") if line)
    assert "\u202e" not in as_text(made, view)
