"""From events to what a person sees: a card that says who answers and why, and the answer under it.

`RunView` holds the state of one run. It gives a mime bundle of three forms: facts for the JupyterLab extension,
Markdown for every other viewer (reopened, untrusted, exported, on a code host), and plain text. Facts and card are
made from names and messages of servers, so each is made inert on its way out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any, assert_never

from jupyter_llmroute.card import card
from jupyter_llmroute.core.events import (
    Attempt,
    AttemptFailed,
    AttemptStarted,
    Completed,
    Event,
    ReasoningDelta,
    Routed,
    TextDelta,
    ToolCallDelta,
    Waiting,
)
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import Candidate, RejectionReason
from jupyter_llmroute.facts import AnswerFacts, Considered, FailedAttempt, TaskFacts
from jupyter_llmroute.forms import markdown_of, plain_of
from jupyter_llmroute.inert import plain_line, seen
from jupyter_llmroute.response import Response, State
from jupyter_llmroute.wording import (
    failure,
    fell_back,
    points,
    waiting,
)

ANSWER_MIME = "application/vnd.llmroute.answer.v1+json"

KEPT = "What had come is kept; %llm_retry asks again, of another model too."
"""Said of an answer that failed in its middle."""

STARTED_OVER = "(So far it came before its server failed; the next one starts over.)"

KEPT_IN_FACTS = 40
"""Others that the facts hold."""

_MEASURED = {"answered_by", "finish_reason", "usage", "time_to_first_token_s", "elapsed_s", "tokens_per_second"}
"""Fields that a response takes from the event of its completion."""


class RunView:
    """The state of one run, and its forms.

    Parameters
    ----------
    request
        What was asked.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.state = State.ROUTING
        self._routed: Routed | None = None
        self.started: AttemptStarted | None = None
        """Who is being asked, or was asked last."""
        self._completed: Completed | None = None
        self.attempts: list[Attempt] = []
        """Those that failed."""
        self.pieces: list[str] = []
        """All text so far, in the pieces in which it came."""
        self._begins = [0]
        """With which pieces answers begin: the last one's, before it those that failed in their middle."""
        self._reasoning: list[str] = []
        self.waiting: Waiting | None = None
        """What the server said of why nothing comes, if anything."""
        self.waited_s = 0.0
        """Seconds since it was asked, as far as they were noted."""
        self._error: str | None = None
        self.is_settled = False
        """Whether the changes of files in it wait no more: they were applied, or nobody wants them."""

    @property
    def text(self) -> str:
        """The answer so far, as it came."""
        return "".join(self.pieces[self._begins[-1] :])

    @property
    def abandoned(self) -> tuple[str, ...]:
        """What others had said before they failed and the next one started over."""
        return tuple("".join(self.pieces[begin:end]) for begin, end in pairwise(self._begins))

    @property
    def plain(self) -> str:
        """The answer so far as plain text, in the form that it is wanted in."""
        return plain_of(self.text, self.request.format, is_over=self.is_over)

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        return self.state in (State.COMPLETE, State.INTERRUPTED, State.FAILED)

    @property
    def is_shown(self) -> bool:
        """Whether a server was asked or is waited for: before that there is nothing to show but an error's own line."""
        return self.started is not None or self.waiting is not None

    def apply(self, event: Event) -> None:
        """Take the next event of the run."""
        match event:
            case Routed():
                self._routed = event
            case AttemptStarted():
                self.started, self.state = event, State.WAITING
                if len(self.pieces) > self._begins[-1]:
                    self._begins.append(len(self.pieces))
                # Thoughts of an attempt that failed before its first visible token are not this answer's.
                self._reasoning.clear()
                self.waiting, self.waited_s = None, 0.0
            case Waiting():
                self.waiting, self.state = event, State.WAITING
                self.note_wait(event.elapsed_s)
            case ReasoningDelta():
                self._reasoning.append(event.text)
                self.state = State.STREAMING
            case ToolCallDelta():
                self.state = State.STREAMING
            case TextDelta():
                self.pieces.append(event.text)
                self.state = State.STREAMING
            case AttemptFailed():
                self.attempts.append(event.attempt)
            case Completed():
                self._completed, self.state = event, State.COMPLETE
            case _:
                assert_never(event)

    @property
    def is_loading(self) -> bool:
        """Whether nothing comes because the model is not in memory yet."""
        return self.state is State.WAITING and (self._is_cold or self.waiting is not None)

    @property
    def _is_cold(self) -> bool:
        return self.started is not None and self.started.is_cold

    def note_wait(self, elapsed_s: float) -> None:
        """Note how many seconds ago the server was asked: time passes between events too."""
        self.waited_s = max(self.waited_s, elapsed_s)

    def interrupt(self) -> None:
        """Note that the user stopped the run; what had come stays."""
        if self.state is not State.COMPLETE:
            self.state = State.INTERRUPTED

    def fail(self, error: Exception) -> None:
        """Note that the run ended with an error; what had come stays."""
        self.state, self._error = State.FAILED, str(error)

    def response(self) -> Response:
        """Return the run as a value."""
        done, classification = self._completed, self._routed and self._routed.classification
        return Response(
            question=self.request.question,
            text=self.text,
            format=self.request.format,
            reasoning="".join(self._reasoning),
            state=self.state,
            error=self._error,
            task=classification and classification.task,
            confidence=classification and classification.confidence,
            model=self.started and self.started.model,
            service=self.started and self.started.service,
            level=self.started and self.started.level,
            attempts=tuple(self.attempts),
            abandoned=self.abandoned,
            **(done.model_dump(include=_MEASURED) if done else {}),
        )

    def bundle(self) -> dict[str, Any]:
        """Return the mime bundle of the run as it stands."""
        card = self.card()
        form = self.request.format
        before = [_quoted(markdown_of(text, form)) for text in self.abandoned]
        markdown = "\n".join((*card, *before, markdown_of(self.text, form, is_over=self.is_over)))
        return {
            ANSWER_MIME: self.facts(card_lines=len(card)).model_dump(mode="json"),
            "text/markdown": markdown,
            # Consoles print it as it is.
            "text/plain": seen("\n\n".join((*(f"{text}\n{STARTED_OVER}" for text in self.abandoned), self.plain))),
        }

    def facts(self, card_lines: int = 0) -> AnswerFacts:
        """Return the facts of the run as it stands."""
        return AnswerFacts(
            state=self.state,
            card_lines=card_lines,
            considered=tuple(islice(self._considered(), KEPT_IN_FACTS)),
            more=max(0, self._not_chosen() - KEPT_IN_FACTS) + (self._routed.route.unranked if self._routed else 0),
            attempts=tuple(_failed(attempt) for attempt in self.attempts),
            context=tuple(map(plain_line, self._sent())),
            remarks=tuple(plain_line(remark, 400) for remark in (self._routed.remarks if self._routed else ())),
            waiting=self._waiting_words(),
            error=self._failure(),
            **self._facts_of_task(),
            **self._facts_of_attempt(),
            **self._facts_of_answer(),
        )

    def _facts_of_task(self) -> dict[str, Any]:
        if self._routed is None:
            return {}
        what = self._routed.classification
        evidence = tuple(plain_line(found) for found in what.evidence)
        confidence = round(what.confidence, 3)
        return {"task": TaskFacts(name=what.task.value, confidence=confidence, evidence=evidence, rival=what.rival)}

    def _facts_of_attempt(self) -> dict[str, Any]:
        started = self.started
        if started is None:
            return {}
        told = fell_back(self.attempts, started)
        counted = self._completed.usage.prompt_tokens if self._completed else None
        return {
            "model": plain_line(started.model),
            "service": plain_line(started.service),
            "reasons": tuple(plain_line(reason) for reason in started.reasons),
            "level": started.level.value,
            "fallback": told and plain_line(told, 400),
            "left_out": tuple(map(plain_line, started.left_out)),
            "prompt_tokens": started.prompt_tokens if counted is None else counted,
            "prompt_tokens_exact": started.prompt_tokens_exact or counted is not None,
            "context_window": started.context_window,
            "window_is_assumed": self._window_is_assumed(started),
        }

    def _waiting_words(self) -> str | None:
        if not self.is_loading:
            return None
        reason = self.waiting.reason if self.waiting else None
        words = waiting(self.waited_s, reason=reason, is_cold=self._is_cold)
        return words and plain_line(words)

    def _facts_of_answer(self) -> dict[str, Any]:
        done = self._completed
        if done is None:
            return {}
        return {
            "answered_by": plain_line(done.answered_by) if done.answered_by else None,
            "completion_tokens": done.usage.completion_tokens,
            "time_to_first_token_s": round(done.time_to_first_token_s, 3),
            "tokens_per_second": round(done.tokens_per_second, 1) if done.tokens_per_second else None,
            "elapsed_s": round(done.elapsed_s, 3),
            "finish_reason": plain_line(done.finish_reason),
            "changes": self._changes(),
        }

    def _changes(self) -> int:
        """Return how many changes of files the answer offers, where they were asked for."""
        from jupyter_llmroute.core.edits.answer_edits import HOW_TO_WRITE_CHANGES, read_edits

        is_offered = HOW_TO_WRITE_CHANGES in self.request.attachments and not self.is_settled
        return len(read_edits(self.text).edits) if is_offered else 0

    def _failure(self) -> str | None:
        """Return why it failed, and what became of what had come."""
        if self._error is None:
            return None
        return " ".join((plain_line(self._error, 600), *([KEPT] if self.pieces else [])))

    def card(self) -> list[str]:
        """Return the card as lines of Markdown, an empty one last."""
        return card(self.facts())

    def _window_is_assumed(self, started: AttemptStarted) -> bool:
        """Return whether the window that is counted on is one that its server does not tell."""
        if self._routed is None:
            return False
        route, asked = self._routed.route, (started.service, started.model)
        candidates = (*route.candidates, *([route.smallest] if route.smallest else []))
        model = next((c.model for c in candidates if (c.endpoint.name, c.model.id) == asked), None)
        return model is not None and model.window_is_assumed and model.context_window == started.context_window

    def _sent(self) -> tuple[str, ...]:
        """Return what goes along: to the model that is asked, or before that, as it was gathered."""
        if self.started:
            return self.started.context
        return self._routed.context if self._routed else ()

    def _not_chosen(self) -> int:
        """Return how many others `_considered` gives."""
        return len(self._others()) + (len(self._routed.route.rejections) if self._routed else 0)

    def _others(self) -> list[Candidate]:
        """Return the candidates that were not asked."""
        if not self._routed:
            return []
        asked = {(attempt.service, attempt.model) for attempt in self.attempts}
        if self.started:
            asked.add((self.started.service, self.started.model))
        # Before anybody is asked, the first candidate is the one that will be.
        candidates = self._routed.route.candidates[0 if self.started else 1 :]
        return [c for c in candidates if (c.endpoint.name, c.model.id) not in asked]

    def _considered(self) -> Iterator[Considered]:
        if not self._routed:
            return
        for candidate in self._others():
            yield Considered(
                model=plain_line(candidate.model.id),
                service=plain_line(candidate.endpoint.name),
                verdict=f"next in line, {points(candidate)}",
            )
        for rejection in sorted(self._routed.route.rejections, key=lambda r: r.reason is RejectionReason.NOT_ASKED_FOR):
            yield Considered(
                model=plain_line(rejection.model or ""),
                service=plain_line(rejection.service),
                verdict=plain_line(rejection.detail),
            )


def _quoted(markdown: str) -> str:
    """Return Markdown as a quotation, which closes whatever stays open in it."""
    return "\n".join((*(f"> {line}" for line in markdown.splitlines()), ">", f"> *{STARTED_OVER}*", ""))


def _failed(attempt: Attempt) -> FailedAttempt:
    return FailedAttempt(
        model=plain_line(attempt.model), service=plain_line(attempt.service), error=plain_line(failure(attempt), 400)
    )
