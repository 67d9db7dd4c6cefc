"""Events become a card, facts and text; names and messages of servers come out inert."""

import json
from typing import ClassVar

import pytest

from jupyter_llmroute.card import SHOWN_IN_CARD
from jupyter_llmroute.core.attachment import Attachment
from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.classifier import classify_text
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.edits.answer_edits import HOW_TO_WRITE_CHANGES
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.events import (
    Attempt,
    AttemptFailed,
    AttemptStarted,
    Completed,
    ReasoningDelta,
    Routed,
    TextDelta,
    Usage,
    Waiting,
)
from jupyter_llmroute.core.fallback import Level
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.selector import Snapshot, select
from jupyter_llmroute.response import State
from jupyter_llmroute.terminal import TerminalScreen, failures, figures_line, head
from jupyter_llmroute.ticker import Ticker
from jupyter_llmroute.view import ANSWER_MIME, KEPT_IN_FACTS, RunView

REQUEST = Request(question="write a function that parses ISO dates")
HOSTILE = "<img src=x onerror=alert(1)>`|*[a](javascript:b)\n\u202egnp.exe"


def routed(*models: str, service: str = "gpu") -> Routed:
    return route_of(
        Endpoint(
            name=service,
            provider="openai",
            base_url="http://127.0.0.1:1",
            models=tuple(ServedModel(id=m) for m in models),
        ),
        Endpoint(name="old", provider="ollama", base_url="http://127.0.0.1:2", health=Health.DOWN, detail="refused"),
    )


def route_of(*endpoints: Endpoint) -> Routed:
    what = classify_text(REQUEST.question)
    snapshot = Snapshot(endpoints=endpoints, catalog=Catalog.load(), routing={})
    route = select(what, Context(request=REQUEST), snapshot, Policy())
    return Routed(classification=what, route=route)


def started(model: str = "phi-4", service: str = "gpu", number: int = 1) -> AttemptStarted:
    return AttemptStarted(
        number=number, service=service, model=model, reasons=("coding 82 of 100",), prompt_tokens=42, context=("In[3]",)
    )


DONE = Completed(
    service="gpu",
    model="phi-4",
    answered_by="phi-4",
    finish_reason="stop",
    usage=Usage(prompt_tokens=40, completion_tokens=2),
    time_to_first_token_s=0.25,
    elapsed_s=1.25,
    tokens_per_second=1.0,
)

ON_THE_CARD = (
    "**coding**", "**phi-4** on gpu", "mistral-7b", "refused",
    "40 tokens sent", "first token 0.25 s", "1.0 tokens/s", "*complete*",
)  # fmt: skip


def view_of(*events: object) -> RunView:
    view = RunView(REQUEST)
    for event in events:
        view.apply(event)  # type: ignore[arg-type]
    return view


def test_states_follow_the_events() -> None:
    view = RunView(REQUEST)
    seen = [view.state]
    for event in (routed("phi-4"), started(), ReasoningDelta(text="hm"), TextDelta(text="hi"), DONE):
        view.apply(event)
        seen.append(view.state)
    assert seen == [State.ROUTING, State.ROUTING, State.WAITING, State.STREAMING, State.STREAMING, State.COMPLETE]


def test_bundle_has_card_and_answer_and_facts() -> None:
    bundle = view_of(
        routed("phi-4", "mistral-7b"), started(), TextDelta(text="Hello "), TextDelta(text="*you*"), DONE
    ).bundle()
    facts = bundle[ANSWER_MIME]
    lines = bundle["text/markdown"].split("\n")
    assert "\n".join(lines[facts["card_lines"] :]) == bundle["text/plain"] == "Hello *you*"
    assert all(line.startswith("> ") for line in lines[: facts["card_lines"] - 1])
    card = "\n".join(lines[: facts["card_lines"]])
    assert [shown for shown in ON_THE_CARD if shown not in card] == []
    assert facts["state"] == "complete"
    assert (facts["prompt_tokens"], facts["prompt_tokens_exact"], facts["context"]) == (40, True, ["In[3]"])


def test_prompt_tokens_are_marked_as_estimated_until_the_server_counts_them() -> None:
    view = view_of(routed("phi-4"), started(), TextDelta(text="x"))
    assert (view.facts().prompt_tokens, view.facts().prompt_tokens_exact) == (42, False)
    assert "about 42 tokens sent" in view.bundle()["text/markdown"]


def test_a_failed_attempt_is_named_beside_the_one_that_answered() -> None:
    failed = AttemptFailed(attempt=Attempt(number=1, service="gpu", model="phi-4", error="it broke off"))
    view = view_of(
        routed("phi-4", "mistral-7b"), started(), failed, started("mistral-7b", number=2), TextDelta(text="x")
    )
    assert "failed: phi-4 on gpu: it broke off" in view.bundle()["text/markdown"]
    assert view.facts().model == "mistral-7b"
    assert [a.model for a in view.response().attempts] == ["phi-4"]
    assert failures(view) == ["failed   phi-4 on gpu: it broke off"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("phi-4 on gpu: busy; ask again", "busy; ask again"),
        ("phi-4 on gpu stopped in the middle", "stopped in the middle"),
        ("no such model", "no such model"),
    ],
)
def test_a_failed_attempt_is_named_once(error: str, said: str) -> None:
    view = view_of(AttemptFailed(attempt=Attempt(number=1, service="gpu", model="phi-4", error=error)))
    assert f"failed: phi-4 on gpu: {said}" in view.bundle()["text/markdown"]
    assert failures(view) == [f"failed   phi-4 on gpu: {said}"]


def test_a_server_that_is_waited_for_before_it_can_be_asked_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    view = view_of(routed(), Waiting(reason="loading", elapsed_s=12))
    assert view.is_shown
    assert (view.facts().state, view.facts().waiting, view.facts().model) == (State.WAITING, "loading, 12 s", None)
    assert "loading, 12 s" in view.bundle()["text/markdown"]
    TerminalScreen().update(view, final=False)
    assert capsys.readouterr().out.startswith("waiting  loading, 12 s")


FIRST = "phi-4 on gpu, which was wanted first, did not answer"

LEVELS = {
    Level.PRIMARY: f"1 attempt failed before this one; {FIRST}",
    Level.FALLBACK_MODELS: f"fallback models: {FIRST}",
    Level.REDUCED_CONTEXT: f"reduced context: the question goes without cells and earlier answers; {FIRST}",
    Level.SMALLEST_MODEL: f"smallest model: the question alone goes to the one that needs least memory; {FIRST}",
}


@pytest.mark.parametrize("level", LEVELS)
def test_how_far_it_fell_back_is_said_in_plain_words(level: Level) -> None:
    failed = AttemptFailed(attempt=Attempt(number=1, service="gpu", model="phi-4", error="it broke off"))
    second = started("mistral-7b", number=2).model_copy(update={"level": level})
    view = view_of(routed("phi-4", "mistral-7b"), started(), failed, second, TextDelta(text="x"))
    assert (view.facts().level, view.facts().fallback) == (level, LEVELS[level])
    assert f"> {LEVELS[level]}  " in view.bundle()["text/markdown"]
    assert f"instead  {LEVELS[level]}" in head(view)
    assert view.response().level is level


def test_a_first_answer_and_a_failure_of_the_last_are_no_fallback() -> None:
    failed = AttemptFailed(attempt=Attempt(number=1, service="gpu", model="phi-4", error="it broke off"))
    for events in ((started(),), (started(), failed), ()):
        assert view_of(routed("phi-4"), *events).facts().fallback is None


@pytest.mark.parametrize(
    ("is_cold", "events", "elapsed_s", "said"),
    [
        (False, [], 5.0, None),
        (True, [], 0.0, "not in memory yet, loading, 0 s"),
        (True, [], 12.0, "not in memory yet, loading, 12 s"),
        (False, [Waiting(reason="loading", elapsed_s=12.3)], 0.0, "loading, 12 s"),
        (False, [Waiting(reason="checking", elapsed_s=9)], 0.0, "comparing the model's file with the locked one, 9 s"),
        (False, [Waiting(reason="loading", elapsed_s=12.3)], 15.0, "loading, 15 s"),
        (True, [Waiting(reason="loading", elapsed_s=1.0)], 0.0, "loading, 1 s"),
        (True, [Waiting(reason="loading", elapsed_s=1.0), ReasoningDelta(text="hm")], 9.0, None),
        (True, [TextDelta(text="x")], 9.0, None),
        (True, [Waiting(reason="loading", elapsed_s=9.0), started(number=2)], 1.0, None),
    ],
)
def test_what_is_waited_for_is_said_until_the_first_token(
    is_cold: bool, events: list[object], elapsed_s: float, said: str | None
) -> None:
    view = view_of(routed("phi-4"), started().model_copy(update={"is_cold": is_cold}), *events)
    view.note_wait(elapsed_s)
    assert view.facts().waiting == said
    assert (said or "loading") in view.bundle()["text/markdown"] or said is None
    view.interrupt()
    assert view.facts().waiting is None


def test_a_terminal_says_now_and_then_what_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    view, screen = view_of(routed("phi-4"), started().model_copy(update={"is_cold": True})), TerminalScreen()
    for elapsed_s in (0.0, 3.0, 10.0, 11.0, 25.0):
        view.note_wait(elapsed_s)
        screen.update(view, final=False)
    said = [line for line in capsys.readouterr().out.split("\n") if line.startswith("waiting")]
    assert said == [f"waiting  not in memory yet, loading, {elapsed} s" for elapsed in (10, 25)]
    view.apply(Waiting(reason="loading", elapsed_s=31.0))
    screen.update(view, final=False)
    assert capsys.readouterr().out == "waiting  loading, 31 s\n\n"


def test_each_second_of_loading_is_shown_once() -> None:
    class Shown:
        said: ClassVar[list[str | None]] = []

        def update(self, view: RunView, *, final: bool) -> None:
            self.said.append(view.facts().waiting)

    now = [100.0]
    ticker = Ticker(RunView(REQUEST), Shown(), clock=lambda: now[0])
    ticker([routed("phi-4"), started().model_copy(update={"is_cold": True})])
    for later in (100.05, 100.9, 101.0, 101.05, 103.5):
        now[0] = later
        ticker([])
    ticker([TextDelta(text="x")])
    now[0] = 200.0
    ticker([])
    words = "not in memory yet, loading, "
    assert Shown.said == [f"{words}0 s", f"{words}1 s", f"{words}3 s", None]


def test_what_takes_long_to_show_is_shown_less_often_and_the_end_at_once() -> None:
    class Slow:
        shown = 0

        def update(self, view: RunView, *, final: bool) -> None:
            self.shown += 1
            work[0] += 0.02

    now, work, screen = [100.0], [0.0], Slow()
    ticker = Ticker(RunView(REQUEST), screen, clock=lambda: now[0], work=lambda: work[0])
    ticker([routed("phi-4"), started()])
    ticker([TextDelta(text="x")])
    before = screen.shown
    for later in (100.1, 100.3, 100.49):
        now[0] = later
        ticker([TextDelta(text="x")])
    assert screen.shown == before
    now[0] = 100.51
    ticker([TextDelta(text="x")])
    assert screen.shown == before + 1


@pytest.mark.parametrize(
    ("window", "is_assumed", "is_exact", "said"),
    [
        (None, False, False, "about 42 tokens sent with In[3]"),
        (8192, False, True, "42 of 8,192 tokens sent with In[3]"),
        (4096, True, False, "about 42 of an assumed 4,096 tokens sent with In[3]"),
        (8192, True, False, "about 42 of 8,192 tokens sent with In[3]"),  # it was asked to serve that
    ],
)
def test_the_window_is_said_and_whether_it_is_assumed(
    window: int | None, is_assumed: bool, is_exact: bool, said: str
) -> None:
    model = ServedModel(id="phi-4", context_window=4096, window_is_assumed=is_assumed)
    asked = started().model_copy(update={"context_window": window, "prompt_tokens_exact": is_exact})
    view = view_of(route_of(Endpoint(name="gpu", provider="x", base_url="http://127.0.0.1:1", models=(model,))), asked)
    assert figures_line(view) == f"{said} · waiting"


def test_all_that_were_not_chosen_are_counted() -> None:
    many = routed(*(f"model-{letter}-7b" for letter in "abcdefghijklmnopqrstuvwxyz"))
    many = many.model_copy(update={"route": many.route.model_copy(update={"unranked": 3136})})
    others = len(many.route.candidates) + len(many.route.rejections)
    facts = view_of(many).facts()
    assert len(facts.considered) + facts.more == others - 1 + 3136
    assert f"and {others - 1 - SHOWN_IN_CARD + 3136:,} more" in view_of(many).bundle()["text/markdown"]
    rejections = many.route.rejections * 100
    many = many.model_copy(update={"route": many.route.model_copy(update={"rejections": rejections})})
    facts = view_of(many).facts()
    assert len(facts.considered) == KEPT_IN_FACTS
    assert facts.more == len(many.route.candidates) - 1 + 100 - KEPT_IN_FACTS + 3136


def test_thoughts_of_a_failed_attempt_are_not_those_of_the_answer() -> None:
    failed = AttemptFailed(attempt=Attempt(number=1, service="gpu", model="phi-4", error="x"))
    view = view_of(started(), ReasoningDelta(text="wrong"), failed, started(number=2), ReasoningDelta(text="right"))
    assert view.response().reasoning == "right"


def test_what_had_come_is_kept_when_it_is_stopped_or_fails() -> None:
    view = view_of(routed("phi-4"), started(), TextDelta(text="half an ans"))
    view.interrupt()
    assert (view.response().state, view.response().text) == (State.INTERRUPTED, "half an ans")
    view.fail(RuntimeError("cut"))
    assert (view.response().state, view.response().text, view.response().error) == (State.FAILED, "half an ans", "cut")
    assert "half an ans" in view.bundle()["text/markdown"]
    assert "**error**: cut What had come is kept" in view.bundle()["text/markdown"]
    assert figures_line(view).endswith("failed")


def test_what_others_had_said_stands_above_the_answer_that_starts_over() -> None:
    failed = AttemptFailed(attempt=Attempt(number=1, service="gpu", model="phi-4", error="x"))
    half = TextDelta(text="```python\nhalf <b>")
    view = view_of(routed("phi-4"), started(), half, failed, started(number=2), TextDelta(text="whole"), DONE)
    assert (view.response().text, view.response().abandoned) == ("whole", ("```python\nhalf <b>",))
    shown = view.bundle()
    assert shown["text/markdown"].endswith("\n\nwhole")
    assert "\n> ~~~python\n> half <b>\n> ~~~\n" in shown["text/markdown"]
    plain = shown["text/plain"]
    assert plain.index("half") < plain.index("starts over") < plain.index("whole")


def test_an_interrupt_after_the_end_changes_nothing() -> None:
    view = view_of(routed("phi-4"), started(), TextDelta(text="x"), DONE)
    view.interrupt()
    assert view.state is State.COMPLETE


@pytest.mark.parametrize("form", ["text/markdown", ANSWER_MIME])
def test_hostile_names_come_out_inert(form: str) -> None:
    failed = AttemptFailed(attempt=Attempt(number=1, service=HOSTILE, model=HOSTILE, error=HOSTILE))
    view = view_of(routed(HOSTILE, HOSTILE + "2", service=HOSTILE), started(HOSTILE, HOSTILE), failed)
    view.fail(RuntimeError(HOSTILE))
    shown = view.bundle()[form]
    text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
    assert "\u202e" not in text
    if form == "text/markdown":
        assert "<img" not in text
        assert "](javascript" not in text
        assert all(line.startswith("> ") or not line for line in text.split("\n"))


def test_a_models_html_is_text_and_its_code_is_left_alone() -> None:
    answer = "<script>x</script>\n```html\n<script>x</script>\n```"
    bundle = view_of(started(), TextDelta(text=answer)).bundle()
    assert bundle["text/plain"] == answer
    assert bundle["text/markdown"].endswith("&lt;script>x&lt;/script>\n\n~~~html\n<script>x</script>\n~~~")


def test_an_answer_that_reached_its_limit_is_said_to_be_cut() -> None:
    view = view_of(routed("phi-4"), started(), TextDelta(text="x"), DONE.model_copy(update={"finish_reason": "length"}))
    assert "**the answer was cut: it reached its limit of tokens**" in view.bundle()["text/markdown"]
    assert "the answer was cut" in figures_line(view)
    assert "cut" not in figures_line(view_of(routed("phi-4"), started(), TextDelta(text="x"), DONE))


def test_response_reads_as_its_text() -> None:
    response = view_of(routed("phi-4"), started(), TextDelta(text="Hello"), DONE).response()
    assert str(response) == "Hello"
    assert (response.task, response.model, response.finish_reason) == ("coding", "phi-4", "stop")


@pytest.mark.parametrize(("attachments", "changes"), [((HOW_TO_WRITE_CHANGES,), 2), ((), 0)])
def test_the_facts_count_changes_of_files_where_they_were_asked_for(
    attachments: tuple[Attachment, ...], changes: int
) -> None:
    answer = "```python file=a.py symbol=f\ndef f(): ...\n```\n\n```edits\nrename a.py f to g\n```"
    view = RunView(REQUEST.model_copy(update={"attachments": attachments}))
    for event in (routed("phi-4"), started(), TextDelta(text=answer)):
        view.apply(event)
    assert view.facts().changes == 0
    view.apply(DONE)
    assert view.facts().changes == changes
