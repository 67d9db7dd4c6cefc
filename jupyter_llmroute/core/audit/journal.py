"""From what happens to records: the one thing that a router calls.

Each record is on the disk before what it tells of goes on: the decision before a server is asked, the attempt before
its first word is shown, the end before the answer counts as whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
import warnings
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Self

from jupyter_llmroute.core.audit.basis import Packer, route_digest
from jupyter_llmroute.core.audit.chain import canonical
from jupyter_llmroute.core.audit.folder import AuditError, path_of
from jupyter_llmroute.core.audit.log import AuditLog
from jupyter_llmroute.core.audit.record import (
    LOG_MOVED,
    LOG_OFF,
    Chosen,
    Decided,
    Ended,
    Failed,
    Fingerprint,
    Kept,
    Lost,
    Origin,
    Pieces,
    Record,
    Refused,
    Rejected,
    Security,
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
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import Candidate
from jupyter_llmroute.core.selector import Decision
from jupyter_llmroute.core.settings import SecuritySettings

MOST_REJECTED = 100
"""Rejections that a record tells one by one."""

Digests = Callable[[str, str], str | None]
"""The digest of a model that its server does not tell, by the server's name and the model's; `None`: unknown."""


class AuditWarning(UserWarning):
    """Records are being lost."""


class Journal:
    """Writes down what happens to questions.

    Parameters
    ----------
    log
        Where to.
    queries, responses
        What is kept of questions, and of answers.
    is_required
        Whether a question fails when its records cannot be written. Otherwise it is warned of once, answers go on, and
        how many records were lost is written as soon as that is possible.
    digests
        Knows digests that servers do not tell, such as those of the embedded server's files.
    """

    def __init__(
        self,
        log: AuditLog,
        *,
        queries: Kept = Kept.HASH,
        responses: Kept = Kept.HASH,
        is_required: bool = True,
        digests: Digests | None = None,
    ) -> None:
        self._log = log
        self._kept = (queries, responses)
        self._is_required = is_required
        self._digests = digests
        self._packer = Packer()
        self._lost = 0
        self._reason = ""
        self._has_warned = False

    @classmethod
    def of(cls, security: SecuritySettings, *, notebook: str = "", digests: Digests | None = None) -> Self | None:
        """Return the journal that the settings ask for; `None` where audit is off. Nothing is opened yet.

        Parameters
        ----------
        security
            The user's.
        notebook
            Its path, where there is one.
        digests
            As of the class.
        """
        if not security.audit_enabled:
            return None
        log = AuditLog(
            path_of(security),
            Origin.here(notebook),
            max_bytes=security.audit_max_mb << 20,
            keep=security.audit_keep_files,
            is_forced=security.audit_fsync,
        )
        return cls(
            log,
            queries=Kept.of_queries(security.log_queries),
            responses=Kept.of_responses(security.log_responses),
            is_required=security.audit_required,
            digests=digests,
        )

    async def recorded(
        self, request: Request, events: AsyncGenerator[Event, None], decision: Callable[[], Decision | None]
    ) -> AsyncGenerator[Event, None]:
        """Give on the events of a question, each once its records are written; closing it closes them.

        Parameters
        ----------
        request
            The question.
        events
            What happens.
        decision
            Returns the newest decision; asked when one was taken.

        Raises
        ------
        AuditError
            Something cannot be written, and audit is required.
        """
        salt, kept = await self._salted()
        question = Question(request, salt, kept, self._packer, self._digests)
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    if isinstance(event, Routed):  # thousands of models take a while: others go on meanwhile
                        taken = await asyncio.to_thread(question.records_of, event, decision())
                    else:
                        taken = question.records_of(event)
                    await self._write(*taken)
                    yield event
        except AuditError:
            raise
        except BaseException as error:
            # However it ends: also by an interrupt, or because nobody listens any more, and these stay what they are.
            with contextlib.nullcontext() if isinstance(error, Exception) else contextlib.suppress(AuditError):
                await self._write(question.ended_by(error))
            raise

    async def note(self, *records: Record) -> None:
        """Write down what is no event of a question: edits, and what concerns security.

        Raises
        ------
        AuditError
            It cannot be written, and audit is required.
        """
        await self._write(records)

    async def fingerprint(self, text: str) -> Fingerprint | None:
        """Return what is to be kept of the user's own text, such as a cell that is edited."""
        salt, (kept, _) = await self._salted()
        return Fingerprint.of(text, salt, kept)

    async def _salted(self) -> tuple[bytes, tuple[Kept, Kept]]:
        """Return the salt, and what is to be kept; without a salt nothing is, as short texts could be guessed."""
        try:
            return await asyncio.to_thread(lambda: self._log.salt), self._kept
        except AuditError as error:
            self._fail(error, 0)
            return b"", (Kept.NOTHING, Kept.NOTHING)

    async def _write(self, records: Sequence[Record], parts: Mapping[str, str] | None = None) -> None:
        if not records:
            return
        # An interrupt must not part a record from its question: the thread ends its work in any case.
        try:
            await asyncio.shield(asyncio.to_thread(self._append, records, parts))
        except AuditError as error:
            self._fail(error, len(records))

    def _append(self, records: Sequence[Record], parts: Mapping[str, str] | None) -> None:
        lost = self._lost
        before = (Lost(records=lost, error=self._reason),) if lost else ()
        self._log.append((*before, *records), parts)
        self._lost -= lost

    def _fail(self, error: AuditError, records: int) -> None:
        if self._is_required:
            raise error
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(f"Answers go on without audit: {error}", AuditWarning, stacklevel=2)
        self._lost, self._reason = self._lost + records, str(error)


async def note_end(before: SecuritySettings, after: SecuritySettings, *, notebook: str = "") -> None:
    """Write into a log that settings leave that this notebook writes no more there.

    Raises
    ------
    AuditError
        It cannot be written, and audit was required.
    """
    journal = Journal.of(before, notebook=notebook)
    if journal is None or (after.audit_enabled and path_of(after) == path_of(before)):
        return
    record = Security(event=LOG_MOVED, detail=str(path_of(after))) if after.audit_enabled else Security(event=LOG_OFF)
    await journal.note(record)


class Question:
    """The records of one question."""

    def __init__(
        self,
        request: Request,
        salt: bytes,
        kept: tuple[Kept, Kept] = (Kept.HASH, Kept.HASH),
        packer: Packer | None = None,
        digests: Digests | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex[:16]
        self._request = request
        self._salt = salt
        self._queries = kept[0]
        self._responses = kept[1]
        self._response = Pieces(salt, kept[1])
        self._packer = packer or Packer()
        self._digests = digests
        self._candidates: dict[tuple[str, str], Candidate] = {}
        self._asked: Who | None = None
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
        return (Refused(question=self.id, detail=str(error)), ended) if isinstance(error, PolicyRefusal) else (ended,)

    def _decided(self, event: Routed, decision: Decision | None) -> tuple[tuple[Record, ...], Mapping[str, str]]:
        route = event.route
        pieces, parts = self._packer.taken_apart(decision) if decision and decision.route is route else ({}, {})
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
                route=route_digest(route),
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

    def _started(self, event: AttemptStarted) -> Started:
        self._asked = self._who(event.service, event.model)
        self._response = Pieces(self._salt, self._responses)
        return Started(
            question=self.id,
            attempt=event.number,
            who=self._asked,
            level=event.level,
            prompt_tokens=event.prompt_tokens,
            prompt_tokens_exact=event.prompt_tokens_exact,
            context_window=event.context_window,
            context=event.context,
            left_out=event.left_out,
        )

    def _failed(self, event: AttemptFailed) -> Iterable[Record]:
        attempt = event.attempt
        who = self._who(attempt.service, attempt.model)
        yield Failed(
            question=self.id,
            attempt=attempt.number,
            who=who,
            level=attempt.level,
            failure=attempt.failure,
            error=attempt.error,
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

    def _who(self, service: str, model: str) -> Who:
        candidate = self._candidates.get((service, model))
        digest = candidate.model.digest if candidate else None
        if digest is None and self._digests:
            digest = self._digests(service, model)
        return Who(service=service, model=model, digest=digest and digest[:200])
