"""The fallback contract, as transcripts: who was asked, what came, and how it ended."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.catalog import guess
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.errors import (
    BadRequest,
    BrokenStream,
    ContextOverflow,
    EmptyAnswer,
    LLMRouteError,
    ModelLoading,
    PeerError,
    PolicyRefusal,
    RefusedOption,
    RouteFailed,
    ServerBusy,
    ServerFailure,
    TimedOut,
    TruncatedContext,
    Unreachable,
    UserError,
)
from jupyter_llmroute.core.events import Event, Usage
from jupyter_llmroute.core.executor import execute
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.providers import Chat, Chunk, Counted
from jupyter_llmroute.core.request import Request, Sampling, Turn
from jupyter_llmroute.core.route import Candidate, Route
from jupyter_llmroute.core.sections import ContextSettings, Limits

pytestmark = pytest.mark.anyio

SILENCE = object()
"""Nothing more comes."""
BUSY_LOOP = object()
"""Chunks without a word, for ever."""

STOP = Chunk(finish_reason="stop")
SMALL = {"context_window": 2048}


def text(said: str) -> Chunk:
    return Chunk(text=said)


def thought(said: str) -> Chunk:
    return Chunk(reasoning=said)


class Plays:
    """A provider whose models do what their script says."""

    name = "plays"
    default_urls = named_urls = marks = ()
    cuts_silently = False

    def __init__(self, **scripts: Sequence[object]) -> None:
        self.scripts = scripts
        self.asked: list[Chat] = []
        self.open = 0
        """Answers that were begun and not ended."""
        self.is_silent = asyncio.Event()

    async def recognise(self, probe):
        return False

    async def models(self, probe, endpoint):
        return ()

    async def chat(self, client, endpoint, chat) -> AsyncGenerator[Chunk, None]:
        self.asked.append(chat)
        self.open += 1
        try:
            for step in self.scripts[chat.model.id]:
                if isinstance(step, Exception):
                    raise step
                if step is SILENCE:
                    self.is_silent.set()
                    await asyncio.Event().wait()
                while step is BUSY_LOOP:
                    yield Chunk()
                    await asyncio.sleep(0)
                assert isinstance(step, Chunk)
                yield step
        finally:
            self.open -= 1


@pytest.fixture
def anyio_backend():
    return "asyncio"


def route(*models: str, windows: dict[str, int] | None = None, stall_s: float = 60, retries: int = 0) -> Route:
    def candidate(name: str) -> Candidate:
        model = ServedModel(id=name, context_window=(windows or {}).get(name))
        url = "http://127.0.0.1:1"
        endpoint = Endpoint(name=f"on-{name}", provider="plays", base_url=url, stall_s=stall_s, max_retries=retries)
        return Candidate(endpoint=endpoint, model=model, info=guess(model), score=1, reasons=("because",))

    return Route(candidates=tuple(map(candidate, models)), rejections=())


async def play(
    provider: Plays,
    asked: Route,
    *,
    context: Context | None = None,
    limits: Limits | None = None,
    seen: list[Event] | None = None,
) -> tuple[list[str], LLMRouteError | None]:
    """Return the transcript and the error that ended it."""
    events: list[Event] = [] if seen is None else seen
    error = None
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        running = execute(
            asked,
            context or Context(request=Request(question="Why?")),
            {"plays": provider},
            client,
            limits or Limits(),
            ContextSettings(),
        )
        try:
            async with aclosing(running):
                async for event in running:
                    events.append(event)
        except LLMRouteError as caught:
            error = caught
    assert provider.open == 0
    return [shown(event) for event in events], error


def shown(event: Event) -> str:
    """One line for an event."""
    match event.kind:
        case "attempt_started":
            return f"ask {event.model}"
        case "text_delta":
            return f"text {event.text!r}"
        case "reasoning_delta":
            return f"thought {event.text!r}"
        case "attempt_failed":
            return f"failed {event.attempt.model}: {event.attempt.error}"
        case "completed":
            return f"completed {event.model}: {event.finish_reason}"
        case "waiting":
            return event.reason
        case other:
            return other


# --- one candidate ---


async def test_an_answer():
    provider = Plays(a=[Chunk(), thought("hm"), text("Hel"), text("lo"), STOP])
    assert await play(provider, route("a")) == (
        ["ask a", "thought 'hm'", "text 'Hel'", "text 'lo'", "completed a: stop"],
        None,
    )


async def test_what_is_known_of_an_answer_at_its_start_and_end():
    usage = Usage(prompt_tokens=9, cached_tokens=1, completion_tokens=2)
    provider = Plays(a=[text("Hel"), text("lo"), Chunk(finish_reason="length", answered_by="A", usage=usage)])
    seen: list[Event] = []
    turn = Turn(number=2, question="q", answer="a")
    context = Context(request=Request(question="Why?", turns=(turn,)), items=(ContextItem(ref="In[1]", text="x"),))
    await play(provider, route("a"), context=context, seen=seen)
    started, *_, completed = seen
    assert (started.number, started.service, started.model, started.reasons) == (1, "on-a", "a", ("because",))
    assert (started.context, started.left_out) == (("In[1]", "answer to In[2]"), ())
    assert started.prompt_tokens == provider.asked[0].prompt_tokens > 0
    assert (completed.service, completed.model, completed.answered_by) == ("on-a", "a", "A")
    assert (completed.finish_reason, completed.usage) == ("length", usage)
    assert 0 <= completed.time_to_first_token_s <= completed.elapsed_s
    assert completed.tokens_per_second > 0


@pytest.mark.parametrize("tokens", [None, 0, 1])
async def test_a_speed_that_cannot_be_told_is_none(tokens):
    seen: list[Event] = []
    provider = Plays(a=[text("x"), Chunk(finish_reason="stop", usage=Usage(completion_tokens=tokens))])
    await play(provider, route("a"), seen=seen)
    assert seen[-1].tokens_per_second is None


ENDS = {
    # name: (script, transcript after "ask a" and before the failure, error)
    "empty stream": ([], [], BrokenStream),
    "text without an end": ([text("Hel")], ["text 'Hel'"], BrokenStream),
    "an end without a word": ([STOP], [], EmptyAnswer),
    "thoughts and no word": ([thought("hm"), STOP], ["thought 'hm'"], EmptyAnswer),
    "error at once": ([ServerBusy("busy")], [], ServerBusy),
    "error after a thought": ([thought("hm"), ServerFailure("no")], ["thought 'hm'"], ServerFailure),
    "error after a word": ([text("Hel"), ServerFailure("no")], ["text 'Hel'"], ServerFailure),
}


@pytest.mark.parametrize("name", ENDS)
async def test_how_an_attempt_fails(name):
    script, came, kind = ENDS[name]
    seen: list[Event] = []
    transcript, error = await play(Plays(a=script), route("a"), seen=seen)
    assert transcript[:-1] == ["ask a", *came]
    attempt = seen[-1].attempt
    assert (attempt.number, attempt.service, attempt.model) == (1, "on-a", "a")
    if any(line.startswith("text") for line in came):
        assert type(error) is kind
        assert attempt.error == str(error)
    else:
        assert isinstance(error, RouteFailed)
        assert error.attempts == (attempt,)
        assert attempt.error in str(error)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([], "a on on-a stopped without saying that its answer was complete."),
        ([STOP], "a on on-a ended without a word (finish reason 'stop'): ask again, or ask another model."),
        (
            [thought("hm"), Chunk(finish_reason="length")],
            "a on on-a ended without a word (finish reason 'length'): its thoughts used up the tokens.",
        ),
    ],
)
async def test_what_is_said_of_an_answer_that_is_none(script, words):
    _, error = await play(Plays(a=script), route("a"))
    assert words in str(error)


# --- falling back ---

BEFORE = {
    "refused": [Unreachable("refused")],
    "busy": [ServerBusy("busy")],
    "cut": [BrokenStream("cut")],
    "overflow": [ContextOverflow("too long")],
    "no place for a message of the system's": [BadRequest("System role not supported")],
    "forbidden": [PolicyRefusal("forbidden")],
    "nothing at all": [],
    "no word": [STOP],
    "thoughts, then an error": [thought("hm"), ServerFailure("no")],
    "thoughts and no word": [thought("hm"), STOP],
}


@pytest.mark.parametrize("name", BEFORE)
async def test_before_the_first_word_the_next_one_is_asked(name):
    transcript, error = await play(Plays(a=BEFORE[name], b=[text("Yes"), STOP]), route("a", "b"))
    assert error is None
    assert [line.partition(":")[0] for line in transcript if not line.startswith("thought")] == [
        "ask a",
        "failed a",
        "ask b",
        "text 'Yes'",
        "completed b",
    ]


@pytest.mark.parametrize("fault", [BrokenStream("cut"), ServerFailure("no"), ContextOverflow("full"), TimedOut("slow")])
async def test_after_the_first_word_nobody_else_is_asked(fault):
    provider = Plays(a=[text("Hel"), fault], b=[text("Yes"), STOP])
    transcript, error = await play(provider, route("a", "b"))
    assert transcript == ["ask a", "text 'Hel'", f"failed a: {fault}"]
    assert error is fault
    assert len(provider.asked) == 1


async def test_after_the_first_word_the_next_one_starts_over_where_that_is_wanted():
    provider = Plays(a=[text("Hel"), BrokenStream("cut")], b=[text("Yes"), STOP])
    context = Context(request=Request(question="Why?", may_start_over=True))
    transcript, error = await play(provider, route("a", "b"), context=context)
    assert error is None
    assert transcript == ["ask a", "text 'Hel'", "failed a: cut", "ask b", "text 'Yes'", "completed b: stop"]


@pytest.mark.parametrize("fault", [RefusedOption("temperature"), UserError("mend it")])
async def test_what_no_other_server_would_take_ends_the_chain(fault):
    provider = Plays(a=[fault], b=[text("Yes"), STOP])
    transcript, error = await play(provider, route("a", "b"))
    assert error is fault
    assert transcript[0] == "ask a"
    assert len(provider.asked) == 1


async def test_every_attempt_is_kept():
    provider = Plays(a=[Unreachable("refused")], b=[thought("hm"), STOP], c=[ServerBusy("busy")])
    transcript, error = await play(provider, route("a", "b", "c"))
    assert isinstance(error, RouteFailed)
    assert [(attempt.number, attempt.service, attempt.model) for attempt in error.attempts] == [
        (1, "on-a", "a"),
        (2, "on-b", "b"),
        (3, "on-c", "c"),
    ]
    assert str(error).startswith("No model could answer; 3 tried. a on on-a: refused; b on on-b ended ")
    assert [line for line in transcript if line.startswith("ask")] == ["ask a", "ask b", "ask c"]


async def test_numbers_of_attempts_go_up():
    seen: list[Event] = []
    await play(Plays(a=[ServerBusy("busy")], b=[text("x"), STOP]), route("a", "b"), seen=seen)
    assert [event.number for event in seen if event.kind == "attempt_started"] == [1, 2]


async def test_without_candidates_nobody_is_asked():
    transcript, error = await play(Plays(), route())
    assert transcript == []
    assert isinstance(error, RouteFailed)
    assert error.attempts == ()


@given(
    st.lists(st.sampled_from([*BEFORE.values(), [text("Yes"), STOP], [text("Y"), BrokenStream("cut")]]), max_size=6),
    st.integers(1, 6),
)
def test_whatever_they_do_one_answers_or_one_error_says_why(scripts, attempts):
    names = [f"m{number}" for number in range(len(scripts))]
    provider = Plays(**dict(zip(names, scripts, strict=True)))
    transcript, error = asyncio.run(play(provider, route(*names), limits=Limits(attempts=attempts)))
    answered = [line for line in transcript if line.startswith("completed")]
    assert len(answered) + (error is not None) == 1
    asks = [line for line in transcript if line.startswith("ask")]
    failures = [line for line in transcript if line.startswith("failed")]
    assert len(asks) == len(failures) + len(answered) <= attempts
    words = [number for number, line in enumerate(transcript) if line.startswith("text")]
    assert not words or not any(line.startswith("ask") for line in transcript[words[0] :])


# --- the same again ---


class Stumbles(Plays):
    """A provider that fails as its script says, once a call, and then answers."""

    async def chat(self, client, endpoint, chat) -> AsyncGenerator[Chunk, None]:
        self.asked.append(chat)
        if faults := self.scripts[chat.model.id]:
            raise faults.pop(0)
        yield text("Yes")
        yield STOP


async def test_a_connection_that_breaks_before_the_first_word_is_made_again():
    """So a server that was restarted between two questions answers the second."""
    provider = Stumbles(a=[BrokenStream("reset")], b=[])
    assert await play(provider, route("a", "b", retries=1)) == (
        ["ask a", "failed a: reset", "ask a", "text 'Yes'", "completed a: stop"],
        None,
    )


async def test_a_server_that_is_loading_is_waited_for_and_does_not_fail():
    provider = Stumbles(a=[ModelLoading("reading")], b=[])
    seen: list[Event] = []
    transcript, error = await play(provider, route("a", "b"), seen=seen)
    assert (transcript, error) == (["ask a", "loading", "text 'Yes'", "completed a: stop"], None)
    assert seen[1].elapsed_s >= 0
    assert seen[-1].time_to_first_token_s >= 1


async def test_a_server_that_loads_for_too_long_gives_way():
    provider = Stumbles(a=[ModelLoading("reading")] * 99, b=[])
    transcript, error = await play(provider, route("a", "b"), limits=Limits(first_token_s=0.5))
    assert (transcript[:3], error) == (["ask a", "failed a: reading", "ask b"], None)


async def test_the_last_chance_is_the_question_alone():
    items = tuple(ContextItem(ref=f"In[{number}]", text="word " * 600) for number in range(4))
    context = Context(request=Request(question="Why?"), items=items)
    provider = Stumbles(a=[ContextOverflow("too long")])
    seen: list[Event] = []
    transcript, error = await play(provider, route("a"), context=context, seen=seen)
    assert (transcript, error) == (["ask a", "failed a: too long", "ask a", "text 'Yes'", "completed a: stop"], None)
    first, second = (event for event in seen if event.kind == "attempt_started")
    assert (first.level, len(first.context)) == ("primary", 4)
    assert (second.level, second.context) == ("reduced context", ())
    assert second.left_out == ("In[0]", "In[1]", "In[2]", "In[3]")
    assert [event.attempt.failure for event in seen if event.kind == "attempt_failed"] == ["ContextOverflow"]


# --- prompts that were cut ---

WORDY = "word " * 300


@pytest.mark.parametrize(
    ("question", "tokens", "is_cut"),
    [
        (WORDY, 299, True),
        (WORDY, 1, True),
        (WORDY, 330, False),
        (WORDY, None, False),
        (WORDY, 0, False),
        ("word " * 100, 20, False),
        (" " * 4000 + "why?", 40, False),
    ],
)
async def test_an_answer_to_a_prompt_that_was_cut_is_none(question, tokens, is_cut):
    provider = Plays(a=[text("Yes"), Chunk(finish_reason="stop", usage=Usage(prompt_tokens=tokens))])
    transcript, error = await play(provider, route("a"), context=Context(request=Request(question=question)))
    assert (type(error) is TruncatedContext) is is_cut
    if is_cut:
        assert transcript[1] == "text 'Yes'", "what came is kept"
        assert error.prompt_tokens == tokens


async def test_far_more_than_was_estimated_in_a_window_that_is_nearly_full_may_be_a_cut_prompt():
    class MayCut(Plays):
        cuts_silently = True

    context = Context(request=Request(question="word " * 1000))
    for provider, kind in ((MayCut, TruncatedContext), (Plays, type(None))):
        plays = provider(a=[text("Yes"), Chunk(finish_reason="stop", usage=Usage(prompt_tokens=3900))])
        _, error = await play(plays, route("a", windows={"a": 4096}), context=context)
        assert type(error) is kind


async def test_a_connection_that_is_left_open_after_the_end_fails_no_answer():
    provider = Plays(a=[text("Yes"), STOP, SILENCE])
    transcript, error = await play(provider, route("a", stall_s=0.02))
    assert (transcript, error) == (["ask a", "text 'Yes'", "completed a: stop"], None)


async def test_white_space_is_no_word():
    provider = Plays(a=[text("\n "), STOP], b=[text("\n"), BrokenStream("cut")], c=[text("Yes"), STOP])
    transcript, error = await play(provider, route("a", "b", "c"))
    assert error is None
    assert [line for line in transcript if not line.startswith("failed")] == [
        "ask a",
        "ask b",
        "ask c",
        "text 'Yes'",
        "completed c: stop",
    ]


async def test_white_space_before_the_first_word_is_kept():
    transcript, _ = await play(Plays(a=[text("\n"), text(" "), text("Yes"), text("\n"), STOP]), route("a"))
    assert transcript == ["ask a", "text '\\n Yes'", "text '\\n'", "completed a: stop"]


async def test_an_answer_without_end_is_none(monkeypatch):
    provider = Plays(a=[text("x" * 1_000_000)] * 5)
    transcript, error = await play(provider, route("a"))
    assert type(error) is BrokenStream
    assert len(transcript) == 1 + 4 + 1
    assert "more than 4,000,000 characters" in str(error)


@pytest.mark.parametrize("where", ["chat", "count", "window_for"])
async def test_what_a_providers_own_code_raises_is_a_failure_of_that_server(where):
    def fail(*_: object) -> None:
        raise ValueError("a bug")

    class Buggy(Counts):
        async def chat(self, client, endpoint, chat):
            if chat.model.id == "a" and where == "chat":
                fail()
            async for chunk in super().chat(client, endpoint, chat):
                yield chunk

        async def count(self, client, endpoint, chat):
            return (
                fail() if endpoint.name == "on-a" and where == "count" else await super().count(client, endpoint, chat)
            )

        def window_for(self, model, needed_tokens):
            return fail() if model.id == "a" and where == "window_for" else None

    context = Context(request=Request(question="x" * 2940))
    provider = Buggy(a=[text("No"), STOP], b=[text("Yes"), STOP])
    transcript, error = await play(provider, route("a", "b", windows={"a": 4096, "b": 8192}), context=context)
    assert error is None
    assert "failed a: The provider 'plays' failed: ValueError('a bug')." in transcript
    assert transcript[-1] == "completed b: stop"


async def test_a_window_that_a_server_tells_by_refusing_is_made_use_of():
    items = tuple(ContextItem(ref=f"In[{number}]", text="word " * 600) for number in range(4))
    context = Context(request=Request(question="Why?"), items=items)
    provider = Stumbles(a=[ContextOverflow("too long", context_window=2048)])
    seen: list[Event] = []
    _, error = await play(provider, route("a"), context=context, seen=seen)
    assert error is None
    first, second = (event for event in seen if event.kind == "attempt_started")
    assert (len(first.context), first.context_window) == (4, None)
    assert (second.context, second.context_window, second.level) == (("In[3]",), 2048, "primary")


class Counts(Plays):
    """A provider whose servers count a prompt: as many tokens as it has characters."""

    cuts_silently = True

    async def count(self, client, endpoint, chat) -> Counted:
        return Counted(sum(len(message.content) for message in chat.messages))


async def test_where_a_server_may_cut_the_prompt_is_counted_first_and_made_to_fit():
    items = tuple(ContextItem(ref=f"In[{number}]", text="x" * 1000) for number in range(4))
    context = Context(request=Request(question="Why?"), items=items)
    provider = Counts(a=[text("Yes"), STOP])
    seen: list[Event] = []
    await play(provider, route("a", windows={"a": 4096}), context=context, seen=seen)
    started = seen[0]
    assert (await provider.count(None, None, provider.asked[0])).tokens <= 4096 - 1024
    assert started.left_out, "by the estimate it would all have fitted"


async def test_a_question_that_is_counted_too_long_is_not_sent():
    provider = Counts(a=[text("Yes"), STOP])
    context = Context(request=Request(question="x" * 5000))
    transcript, error = await play(provider, route("a", windows={"a": 4096}), context=context)
    assert provider.asked == []
    assert isinstance(error, RouteFailed)
    assert error.attempts[0].failure == "ContextOverflow"
    assert "of its window of 4,096 are 3,072 for it" in str(error)
    assert [line.partition(":")[0] for line in transcript] == ["failed a"]


async def test_a_count_that_the_server_contradicts_is_a_cut_prompt():
    usage = Usage(prompt_tokens=1500)
    provider = Counts(a=[text("Yes"), Chunk(finish_reason="stop", usage=usage)])
    context = Context(request=Request(question="x" * 2900))
    seen: list[Event] = []
    _, error = await play(provider, route("a", windows={"a": 4096}), context=context, seen=seen)
    assert type(error) is TruncatedContext
    assert seen[0].prompt_tokens_exact
    assert seen[0].prompt_tokens == (await provider.count(None, None, provider.asked[0])).tokens
    assert provider.asked[0].room_tokens == 4096 - seen[0].prompt_tokens


# --- budgets and limits ---


async def test_no_more_attempts_than_allowed():
    provider = Plays(a=[ServerBusy("busy")], b=[ServerBusy("busy")], c=[text("Yes"), STOP])
    _, error = await play(provider, route("a", "b", "c"), limits=Limits(attempts=2))
    assert isinstance(error, RouteFailed)
    assert [attempt.model for attempt in error.attempts] == ["a", "b"]


LIMITS = {
    # name: (script of the first model, limits, stall, words)
    "no first token": ([SILENCE], Limits(first_token_s=0.02), 60, r"gave no token in 0\.02 s"),
    "no first token, only empty chunks": ([BUSY_LOOP], Limits(first_token_s=0.02), 60, r"gave no token in 0\.02 s"),
    "a thought, then silence": ([thought("hm"), SILENCE], Limits(), 0.02, r"was silent for 0\.02 s in the middle"),
}


@pytest.mark.parametrize("name", LIMITS)
async def test_a_limit_before_the_first_word_lets_the_next_one_answer(name):
    script, limits, stall_s, words = LIMITS[name]
    provider = Plays(a=script, b=[text("Yes"), STOP])
    transcript, error = await play(provider, route("a", "b", stall_s=stall_s), limits=limits)
    assert error is None
    assert transcript[-1] == "completed b: stop"
    assert [line for line in transcript if re.search(words, line)]


async def test_a_stall_after_the_first_word_ends_the_chain():
    provider = Plays(a=[text("Hel"), SILENCE], b=[text("Yes"), STOP])
    transcript, error = await play(provider, route("a", "b", stall_s=0.02))
    assert type(error) is TimedOut
    assert str(error) == "a on on-a was silent for 0.02 s in the middle of its answer."
    assert transcript == ["ask a", "text 'Hel'", f"failed a: {error}"]


async def test_loading_may_take_longer_than_a_stall():
    _, error = await play(Plays(a=[Chunk(), SILENCE]), route("a", stall_s=0), limits=Limits(first_token_s=0.02))
    assert "gave no token in 0.02 s (limits.first_token_s)" in str(error)


@pytest.mark.parametrize("script", [[SILENCE], [thought("hm"), SILENCE], [BUSY_LOOP]])
async def test_when_the_time_for_the_question_is_over_nobody_else_is_asked(script):
    provider = Plays(a=script, b=[text("Yes"), STOP])
    _, error = await play(provider, route("a", "b"), limits=Limits(total_s=0.02))
    assert isinstance(error, RouteFailed)
    assert [attempt.error for attempt in error.attempts] == [
        "a on on-a took longer than a question may (limits.total_s: 0.02)."
    ]
    assert len(provider.asked) == 1


async def test_the_time_for_the_question_also_ends_an_answer_that_goes_on():
    provider = Plays(a=[text("Hel"), BUSY_LOOP])
    transcript, error = await play(provider, route("a"), limits=Limits(total_s=0.02))
    assert type(error) is TimedOut
    assert "limits.total_s" in str(error)
    assert transcript[:2] == ["ask a", "text 'Hel'"]


# --- windows ---

LONG = ContextOverflow("too long", prompt_tokens=9000, context_window=8192)
OVERFLOWS = {
    # name: (what the first says, windows, who is asked)
    "no larger ones are skipped": (LONG, {"a": 8192, "b": 8192, "c": 4096, "d": 16384}, ["a", "d"]),
    "one that does not tell is asked": (LONG, {"a": 8192, "c": 4096}, ["a", "b"]),
    "the server knows its window better": (
        ContextOverflow("too long", context_window=2048),
        {"a": 8192, "b": 2048, "c": 4096},
        ["a", "c"],
    ),
    "where it does not say, the list does": (
        ContextOverflow("too long"),
        {"a": 4096, "b": 4096, "c": 2048, "d": 8192},
        ["a", "d"],
    ),
    "nobody knows": (ContextOverflow("too long"), {"b": 1024}, ["a", "b"]),
}


@pytest.mark.parametrize("name", OVERFLOWS)
async def test_after_an_overflow(name):
    fault, windows, asked = OVERFLOWS[name]
    answers = {name: [text("Yes"), STOP] for name in "bcd"}
    transcript, error = await play(Plays(a=[fault], **answers), route("a", "b", "c", "d", windows=windows))
    assert error is None
    assert [line.removeprefix("ask ") for line in transcript if line.startswith("ask")] == asked


async def test_where_all_windows_are_too_small_the_overflow_is_the_reason():
    _, error = await play(Plays(a=[LONG], b=[text("x"), STOP]), route("a", "b", windows={"a": 8192, "b": 8192}))
    assert isinstance(error, RouteFailed)
    assert [attempt.error for attempt in error.attempts] == ["too long"]


async def test_each_model_gets_as_much_as_fits_its_own_window():
    items = tuple(ContextItem(ref=f"In[{number}]", text="word " * 600) for number in range(4))
    context = Context(request=Request(question="Why?"), items=items)
    provider = Plays(a=[ServerBusy("busy")], b=[text("Yes"), STOP])
    seen: list[Event] = []
    await play(provider, route("a", "b", windows={"a": 2048, "b": 100_000}), context=context, seen=seen)
    small, large = (event for event in seen if event.kind == "attempt_started")
    assert (small.context, small.left_out) == (("In[3]",), ("In[0]", "In[1]", "In[2]"))
    assert (len(large.context), large.left_out) == (4, ())
    assert small.prompt_tokens <= 2048 - 1024 < large.prompt_tokens


# --- what is sent ---


async def test_question_and_sampling_reach_the_provider_as_they_are():
    sampling = Sampling(temperature=0, max_tokens=5, seed=1)
    question = "  {x} $y \\n 🧿\n"
    provider = Plays(a=[text("x"), STOP])
    await play(provider, route("a"), context=Context(request=Request(question=question, sampling=sampling)))
    (sent,) = provider.asked
    assert (sent.messages[-1].role, sent.messages[-1].content, sent.sampling) == ("user", question, sampling)


@pytest.mark.parametrize("code", [0xD83E, 0xDDFF, 0xDC80])
@pytest.mark.parametrize("where", ["question", "cell"])
async def test_half_a_character_is_said_before_anybody_is_asked(code, where):
    """UTF-8 has no way to write it: no server takes it, and leaving it out would not be what was written."""
    half = chr(code)
    spoilt = f"print('{half}')"
    items = (ContextItem(ref="In[1]", text=spoilt),) if where == "cell" else ()
    request = Request(question=spoilt if where == "question" else "Why?")
    provider = Plays(a=[text("x"), STOP])
    transcript, error = await play(provider, route("a"), context=Context(request=request, items=items))
    assert (transcript, provider.asked) == ([], [])
    assert type(error) is UserError
    assert repr(half) in str(error)
    str(error).encode()


# --- leaving ---


@pytest.mark.parametrize("after", ["attempt_started", "reasoning_delta", "text_delta", "attempt_failed"])
async def test_early_exit_closes_the_answer_and_asks_nobody_else(after):
    provider = Plays(a=[ServerBusy("busy")], b=[thought("hm"), text("Yes"), SILENCE], c=[text("No"), STOP])
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        context = Context(request=Request(question="Why?"))
        running = execute(route("a", "b", "c"), context, {"plays": provider}, client, Limits(), ContextSettings())
        async with aclosing(running):
            async for event in running:
                if event.kind == after:
                    break
    assert provider.open == 0
    assert "c" not in [chat.model.id for chat in provider.asked]


@pytest.mark.parametrize("script", [[SILENCE], [thought("hm"), SILENCE], [text("Hel"), SILENCE]])
async def test_cancel_closes_the_answer_and_is_no_failure(script):
    provider = Plays(a=script, b=[text("No"), STOP])
    seen: list[Event] = []
    playing = asyncio.create_task(play(provider, route("a", "b"), seen=seen))
    await provider.is_silent.wait()
    playing.cancel()
    await asyncio.wait([playing])
    assert playing.cancelled()
    assert provider.open == 0
    assert len(provider.asked) <= 1
    assert "attempt_failed" not in [event.kind for event in seen]


def test_every_error_of_a_server_says_whether_another_may_be_asked():
    assert {kind.__name__ for kind in PeerError.__subclasses__() if not kind.may_fall_back} == {"RefusedOption"}
