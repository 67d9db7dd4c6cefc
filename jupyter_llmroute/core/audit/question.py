"""The records of one question: what stands in the log of each thing that happens to it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping

from jupyter_llmroute.core.audit.basis import Packer, route_digest
from jupyter_llmroute.core.audit.chain import canonical
from jupyter_llmroute.core.audit.record import (
    BY_USER_AGENT,
    Chosen,
    Decided,
    Ended,
    Failed,
    Fingerprint,
    Kept,
    OfQuestion,
    Pieces,
    Record,
    Refused,
    Rejected,
    Started,
    Verdict,
    Who,
)
from jupyter_llmroute.core.errors import PolicyRefusal
from jupyter_llmroute.core.events import (
    AttemptFailed,
    AttemptStarted,
    Completed,
    Event,
    Routed,
    TextDelta,
    ToolCallDelta,
)
from jupyter_llmroute.core.providers import Chat
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import Candidate
from jupyter_llmroute.core.selector import Decision

MOST_REJECTED = 100
"""Rejections that a record tells one by one."""

ARBITER = "arbiter"
"""The level of an attempt that only asks which task a question is."""

MOST_KNOWN = 64
"""Questions whose numbers can still be asked for."""

_known: dict[tuple[int, str, int], str] = {}


def id_of(request: Request) -> str:
    """Return what the log calls a question, where it was asked of late in this process; empty where nobody knows.

    Asked twice, it is the newer one.
    """
    return _known.get(_key(request), "")


def _key(request: Request) -> tuple[int, str, int]:
    # On its way to the router a request may be given more to go along with it: it stays this question.
    return hash(request.question), request.cell, request.number


Digests = Callable[[str, str], str | None]
"""The digest of a model that its server does not tell, by the server's name and the model's; `None`: unknown."""


class Question:
    """The records of one question.

    Parameters
    ----------
    request
        The question.
    salt, kept
        The log's salt, and what is to be kept of questions and of answers.
    packer
        Takes decisions apart.
    digests
        Knows digests that servers do not tell.
    """

    def __init__(
        self,
        request: Request,
        salt: bytes,
        kept: tuple[Kept, Kept] = (Kept.HASH, Kept.HASH),
        packer: Packer | None = None,
        digests: Digests | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex[:16]
        _known.pop(_key(request), None)
        _known[_key(request)] = self.id
        for oldest in list(_known)[:-MOST_KNOWN]:
            _known.pop(oldest, None)
        self._request = request
        self._salt = salt
        self._queries = kept[0]
        self._responses = kept[1]
        self._response = Pieces(salt, kept[1])
        self._packer = packer or Packer()
        self._digests = digests
        self._candidates: dict[tuple[str, str], Candidate] = {}
        self._asked: Who | None = None
        self._sent: Chat | None = None
        self._has_ended = False

    def records_of(
        self, event: Event, decision: Decision | None = None
    ) -> tuple[tuple[Record, ...], Mapping[str, str]]:
        """Return the records of an event, and the parts that they refer to.

        Parameters
        ----------
        event
            What happened.
        decision
            The newest one, with all that it was taken on; without it, a record cannot be replayed.
        """
        records, parts = self._of(event, decision)
        return self._by(records), parts

    def _by(self, records: Iterable[Record]) -> tuple[Record, ...]:
        """Name the tool in records, where one asks through us."""
        by = {"caller": self._request.caller, "caller_by": BY_USER_AGENT} if self._request.caller else None
        return tuple(each.model_copy(update=by) if by and isinstance(each, OfQuestion) else each for each in records)

    def _of(self, event: Event, decision: Decision | None) -> tuple[tuple[Record, ...], Mapping[str, str]]:
        match event:
            case Routed():
                return self._decided(event, decision)
            case AttemptStarted():
                return (self._started(event),), {}
            case TextDelta():
                self._response.add(event.text)
            case ToolCallDelta():
                self._response.add("".join(f"{call.name or ''}{call.arguments}" for call in event.calls))
            case AttemptFailed():
                return tuple(self._failed(event)), {}
            case Completed():
                self._has_ended = True
                return (self._completed(event),), {}
        return (), {}

    def sends(self, chat: Chat) -> None:
        """Take what the attempt sends that is about to start; no event holds it."""
        self._sent = chat

    def asks_arbiter(self, asked: Candidate, chat: Chat) -> tuple[Record, ...]:
        """Return the record of a model that is being asked which task this is."""
        started = Started(
            question=self.id,
            attempt=0,
            who=self._of_candidate(asked),
            level=ARBITER,
            prompt=self._laid_out(chat),
            prompt_tokens=chat.prompt_tokens,
        )
        return self._by((started,))

    def heard_arbiter(
        self, asked: Candidate, response: Pieces, error: BaseException | None = None
    ) -> tuple[Record, ...]:
        """Return the record of what came of that, and how it ended."""
        failure = error if isinstance(error, Exception) else None
        ended = Ended(
            question=self.id,
            level=ARBITER,
            verdict=Verdict.FAILED if failure else Verdict.INTERRUPTED if error else Verdict.COMPLETE,
            who=self._of_candidate(asked),
            response=response.fingerprint(),
            failure=type(failure).__name__ if failure else "",
            error=str(failure) if failure else "",
        )
        return self._by((ended,))

    def pieces(self) -> Pieces:
        """Return what gathers one more answer."""
        return Pieces(self._salt, self._responses)

    def ended_by(self, error: BaseException) -> tuple[Record, ...]:
        """Return the record of an end that was no answer; none where the answer was whole before."""
        if self._has_ended:
            return ()
        self._has_ended = True
        is_failure = isinstance(error, Exception)
        ended = Ended(
            question=self.id,
            verdict=Verdict.FAILED if is_failure else Verdict.INTERRUPTED,
            who=self._asked,
            response=self._response.fingerprint(),
            failure=type(error).__name__ if is_failure else "",
            error=str(error) if is_failure else "",
        )
        is_refused = isinstance(error, PolicyRefusal)
        return self._by((Refused(question=self.id, detail=str(error)), ended) if is_refused else (ended,))

    def _decided(self, event: Routed, decision: Decision | None) -> tuple[tuple[Record, ...], Mapping[str, str]]:
        route = event.route
        if decision and decision.route is route:
            pieces, parts = self._packer.taken_apart(decision)
            digest = self._packer.route_digest(decision)
        else:
            pieces, parts, digest = {}, {}, route_digest(route)
        for candidate in (*route.candidates, *filter(None, [route.smallest])):
            self._candidates[candidate.endpoint.name, candidate.model.id] = candidate
        told = route.rejections[:MOST_REJECTED]
        return (
            Decided(
                question=self.id,
                task=event.classification.task,
                confidence=event.classification.confidence,
                named_model=self._request.model,
                named_service=self._request.service,
                text=Fingerprint.of(self._request.question, self._salt, self._queries),
                prompt=Fingerprint.of(self._prompt(event), self._salt, self._queries),
                chosen=tuple(
                    Chosen(
                        who=self._who(each.endpoint.name, each.model.id),
                        score=each.score,
                        expected_s=each.expected_s,
                        reasons=each.reasons,
                    )
                    for each in route.candidates
                ),
                rejected=tuple(
                    Rejected(service=each.service, model=each.model, reason=each.reason, detail=each.detail)
                    for each in told
                ),
                rejected_more=len(route.rejections) - len(told),
                route=digest,
                basis=pieces,
            ),
        ), parts

    def _prompt(self, event: Routed) -> str:
        """Return all that may go along with the question, in one text."""
        turns = [[turn.question, turn.answer] for turn in self._request.turns]
        items = [[item.ref, item.text, item.output] for item in event.items]
        prompt: dict[str, object] = {"turns": turns, "items": items, "question": self._request.question}
        if chat := self._request.messages:  # somebody else laid it out
            told = [message.model_dump() for message in chat]
            prompt |= {"messages": told, "passed": dict(self._request.passed)}
        return canonical(prompt)

    def _laid_out(self, chat: Chat) -> Fingerprint | None:
        """Return what is kept of the messages that are sent, and of what is passed with them, as one text."""
        sent = {"messages": [message.model_dump() for message in chat.messages], "passed": dict(chat.passed)}
        return Fingerprint.of(canonical(sent), self._salt, self._queries)

    def _started(self, event: AttemptStarted) -> Started:
        self._asked = self._who(event.service, event.model)
        self._response = self.pieces()
        return Started(
            question=self.id,
            attempt=event.number,
            who=self._asked,
            level=event.level,
            prompt=self._laid_out(self._sent) if self._sent else None,
            prompt_tokens=event.prompt_tokens,
            prompt_tokens_exact=event.prompt_tokens_exact,
            context_window=event.context_window,
            context=event.context,
            left_out=event.left_out,
        )

    def _failed(self, event: AttemptFailed) -> Iterable[Record]:
        attempt = event.attempt
        who = self._who(attempt.service, attempt.model)
        came = self._response.fingerprint()
        yield Failed(
            question=self.id,
            attempt=attempt.number,
            who=who,
            level=attempt.level,
            failure=attempt.failure,
            error=attempt.error,
            response=came if came and came.chars else None,
        )
        if attempt.failure == PolicyRefusal.__name__:
            yield Refused(question=self.id, service=who.service, model=who.model, detail=attempt.error)

    def _completed(self, event: Completed) -> Ended:
        return Ended(
            question=self.id,
            verdict=Verdict.COMPLETE,
            who=self._who(event.service, event.model),
            answered_by=event.answered_by,
            finish_reason=event.finish_reason,
            response=self._response.fingerprint(),
            prompt_tokens=event.usage.prompt_tokens,
            cached_tokens=event.usage.cached_tokens,
            completion_tokens=event.usage.completion_tokens,
            time_to_first_token_s=event.time_to_first_token_s,
            elapsed_s=event.elapsed_s,
            tokens_per_second=event.tokens_per_second,
        )

    def _of_candidate(self, asked: Candidate) -> Who:
        self._candidates.setdefault((asked.endpoint.name, asked.model.id), asked)
        return self._who(asked.endpoint.name, asked.model.id)

    def _who(self, service: str, model: str) -> Who:
        candidate = self._candidates.get((service, model))
        digest = candidate.model.digest if candidate else None
        if digest is None and self._digests:
            digest = self._digests(service, model)
        return Who(service=service, model=model, digest=digest and digest[:200])
