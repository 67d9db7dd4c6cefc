"""From events to what a person sees: a card that says who answers and why, and the answer under it.

`RunView` holds the state of one run. It gives a mime bundle of three forms: facts for the JupyterLab extension,
Markdown for every other viewer (reopened, untrusted, exported, on a code host), and plain text. Facts and card are
made from names and messages of servers, so each is made inert on its way out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, assert_never

from pydantic import Field

from jupyter_llmroute.core.events import (
    Attempt,
    AttemptFailed,
    AttemptStarted,
    Completed,
    Event,
    ReasoningDelta,
    Routed,
    TextDelta,
    Waiting,
)
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import RejectionReason
from jupyter_llmroute.core.values import Value
from jupyter_llmroute.inert import inert_line, inert_markdown, plain_line
from jupyter_llmroute.response import Response, State

ANSWER_MIME = "application/vnd.llmroute.answer.v1+json"

SHOWN_IN_CARD = 4
"""Others that the Markdown card names; the facts hold up to `KEPT_IN_FACTS`."""

KEPT_IN_FACTS = 40

CUT_SHORT = "length"
"""The finish reason of an answer that reached its limit of tokens, in every dialect."""

CUT_WORDS = "the answer was cut: it reached its limit of tokens"

_MEASURED = {"answered_by", "finish_reason", "usage", "time_to_first_token_s", "elapsed_s", "tokens_per_second"}
"""Fields that a response takes from the event of its completion."""


class TaskFacts(Value):
    """The task that the question was taken for."""

    name: str
    confidence: float = Field(ge=0, le=1)
    evidence: tuple[str, ...] = ()


class Considered(Value):
    """A model or server that does not answer, and why."""

    model: str
    service: str
    verdict: str


class FailedAttempt(Value):
    """A server that was asked and failed."""

    model: str
    service: str
    error: str


class AnswerFacts(Value):
    """The vendor JSON of an answer: facts only, small and plain. Times in seconds."""

    version: Literal[1] = 1
    state: State
    card_lines: int
    """How many leading lines of the bundle's Markdown are the card."""
    task: TaskFacts | None = None
    model: str | None = None
    service: str | None = None
    reasons: tuple[str, ...] = ()
    considered: tuple[Considered, ...] = ()
    attempts: tuple[FailedAttempt, ...] = ()
    answered_by: str | None = None
    """The name that the server gave itself in the answer."""
    context: tuple[str, ...] = ()
    """References of what went along."""
    left_out: tuple[str, ...] = ()
    """References of what did not fit the model's window."""
    prompt_tokens: int | None = None
    prompt_tokens_exact: bool = False
    """Whether the server counted them; otherwise they are estimated."""
    completion_tokens: int | None = None
    time_to_first_token_s: float | None = None
    tokens_per_second: float | None = None
    elapsed_s: float | None = None
    finish_reason: str | None = None
    """`"length"` where the answer was cut at its limit of tokens."""
    error: str | None = None


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
        self._started: AttemptStarted | None = None
        self._completed: Completed | None = None
        self._attempts: list[Attempt] = []
        self.pieces: list[str] = []
        """The answer so far, in the pieces in which it came."""
        self._reasoning: list[str] = []
        self.waiting: Waiting | None = None
        """Why nothing comes, while it does not."""
        self._error: str | None = None

    @property
    def text(self) -> str:
        """The answer so far, as it came."""
        return "".join(self.pieces)

    @property
    def was_asked(self) -> bool:
        """Whether a server has been asked: before that there is nothing to show but an error's own line."""
        return self._started is not None

    def apply(self, event: Event) -> None:
        """Take the next event of the run."""
        match event:
            case Routed():
                self._routed = event
            case AttemptStarted():
                self._started, self.state = event, State.WAITING
                # Thoughts of an attempt that failed before its first visible token are not this answer's.
                self._reasoning.clear()
                self.waiting = None
            case Waiting():
                self.waiting = event
            case ReasoningDelta():
                self._reasoning.append(event.text)
                self.state = State.STREAMING
            case TextDelta():
                self.pieces.append(event.text)
                self.state = State.STREAMING
            case AttemptFailed():
                self._attempts.append(event.attempt)
            case Completed():
                self._completed, self.state = event, State.COMPLETE
            case _:
                assert_never(event)

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
            reasoning="".join(self._reasoning),
            state=self.state,
            error=self._error,
            task=classification and classification.task,
            confidence=classification and classification.confidence,
            model=self._started and self._started.model,
            service=self._started and self._started.service,
            attempts=tuple(self._attempts),
            **(done.model_dump(include=_MEASURED) if done else {}),
        )

    def bundle(self) -> dict[str, Any]:
        """Return the mime bundle of the run as it stands."""
        card = self.card()
        markdown = "\n".join((*card, inert_markdown(self.text)))
        return {
            ANSWER_MIME: self.facts(card_lines=len(card)).model_dump(mode="json"),
            "text/markdown": markdown,
            "text/plain": self.text,
        }

    def facts(self, card_lines: int = 0) -> AnswerFacts:
        """Return the facts of the run as it stands."""
        routed, started, done = self._routed, self._started, self._completed
        counted = done.usage.prompt_tokens if done else None
        return AnswerFacts(
            state=self.state,
            card_lines=card_lines,
            task=routed
            and TaskFacts(
                name=routed.classification.task.value,
                confidence=round(routed.classification.confidence, 3),
                evidence=tuple(plain_line(found) for found in routed.classification.evidence),
            ),
            model=started and plain_line(started.model),
            service=started and plain_line(started.service),
            reasons=tuple(plain_line(reason) for reason in started.reasons) if started else (),
            considered=tuple(self._considered())[:KEPT_IN_FACTS],
            attempts=tuple(_failed(attempt) for attempt in self._attempts),
            answered_by=plain_line(done.answered_by) if done and done.answered_by else None,
            context=self._sent(),
            left_out=started.left_out if started else (),
            prompt_tokens=counted if counted is not None else started and started.prompt_tokens,
            prompt_tokens_exact=counted is not None,
            completion_tokens=done and done.usage.completion_tokens,
            time_to_first_token_s=done and round(done.time_to_first_token_s, 3),
            tokens_per_second=round(done.tokens_per_second, 1) if done and done.tokens_per_second else None,
            elapsed_s=done and round(done.elapsed_s, 3),
            finish_reason=plain_line(done.finish_reason) if done else None,
            error=plain_line(self._error, 600) if self._error else None,
        )

    def card(self) -> list[str]:
        """Return the card as lines of Markdown, an empty one last."""
        facts = self.facts()
        rows = [_headline(facts)]
        if facts.reasons:
            rows.append("why: " + "; ".join(inert_line(reason) for reason in facts.reasons))
        if others := [o for o in facts.considered]:
            named = "; ".join(f"{inert_line(_who(o))}: {inert_line(o.verdict)}" for o in others[:SHOWN_IN_CARD])
            more = f"; and {len(others) - SHOWN_IN_CARD} more" if len(others) > SHOWN_IN_CARD else ""
            rows.append(f"not chosen: {named}{more}")
        rows += [f"failed: {inert_line(_who(a))}: {inert_line(a.error, 400)}" for a in facts.attempts]
        if facts.answered_by and facts.answered_by != facts.model:
            rows.append(f"answered by {inert_line(facts.answered_by)}, as the server calls it")
        if facts.finish_reason == CUT_SHORT:
            rows.append(f"**{CUT_WORDS}**")
        if facts.left_out:
            rows.append(f"did not fit and was left out: {inert_line(', '.join(facts.left_out))}")
        rows.append(inert_figures(facts))
        if facts.error:
            rows.append(f"**error**: {inert_line(facts.error, 600)}")
        return [f"> {row}  " for row in rows if row] + [""]

    def _sent(self) -> tuple[str, ...]:
        """Return what goes along: to the model that is asked, or before that, as it was gathered."""
        if self._started:
            return self._started.context
        return self._routed.context if self._routed else ()

    def _considered(self) -> Iterable[Considered]:
        if not self._routed:
            return
        asked = {(attempt.service, attempt.model) for attempt in self._attempts}
        if self._started:
            asked.add((self._started.service, self._started.model))
        # Before anybody is asked, the first candidate is the one that will be.
        for candidate in self._routed.route.candidates[0 if self._started else 1 :]:
            if (candidate.endpoint.name, candidate.model.id) not in asked:
                yield Considered(
                    model=plain_line(candidate.model.id),
                    service=plain_line(candidate.endpoint.name),
                    verdict=f"next in line, {max(0.0, candidate.score):.0f} points",
                )
        for rejection in sorted(self._routed.route.rejections, key=lambda r: r.reason is RejectionReason.NOT_ASKED_FOR):
            yield Considered(
                model=plain_line(rejection.model or ""),
                service=plain_line(rejection.service),
                verdict=plain_line(rejection.detail),
            )


def figures(facts: AnswerFacts) -> list[str]:
    """Return what was measured, each as a short phrase."""
    exact = "" if facts.prompt_tokens_exact else "about "
    with_cells = f" with {', '.join(facts.context)}" if facts.context else ""
    return [
        phrase
        for value, phrase in (
            (
                facts.prompt_tokens,
                f"{exact}{facts.prompt_tokens:,} tokens sent{with_cells}" if facts.prompt_tokens else "",
            ),
            (facts.time_to_first_token_s, f"first token {facts.time_to_first_token_s or 0:.2f} s"),
            (facts.tokens_per_second, f"{facts.tokens_per_second or 0:.1f} tokens/s"),
            (facts.completion_tokens, f"{facts.completion_tokens or 0:,} tokens came"),
        )
        if value is not None and phrase
    ]


def inert_figures(facts: AnswerFacts) -> str:
    """Return the figures and the state as one line of Markdown."""
    return " · ".join((*(inert_line(phrase) for phrase in figures(facts)), f"*{facts.state}*"))


def _headline(facts: AnswerFacts) -> str:
    task = ""
    if facts.task:
        evidence = "; ".join(inert_line(found) for found in facts.task.evidence[:2])
        task = f"**{facts.task.name}** ({facts.task.confidence:.0%}{f', {evidence}' if evidence else ''})"
    answers = f"**{inert_line(facts.model)}** on {inert_line(facts.service or '?')}" if facts.model else ""
    return " → ".join(part for part in (task, answers) if part)


def _who(other: Considered | FailedAttempt) -> str:
    return f"{other.model} on {other.service}" if other.model else other.service


def _failed(attempt: Attempt) -> FailedAttempt:
    return FailedAttempt(
        model=plain_line(attempt.model), service=plain_line(attempt.service), error=plain_line(attempt.error, 400)
    )
