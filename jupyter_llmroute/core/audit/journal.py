"""From what happens to records: the one thing that a router calls.

Each record is on the disk before what it tells of goes on: the decision before a server is asked, the attempt before
its first word is shown, the end before the answer counts as whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Self

from jupyter_llmroute.core.audit.basis import Packer
from jupyter_llmroute.core.audit.folder import AuditError, path_of
from jupyter_llmroute.core.audit.log import AuditLog
from jupyter_llmroute.core.audit.question import Digests, Question
from jupyter_llmroute.core.audit.record import LOG_MOVED, LOG_OFF, Fingerprint, Kept, Lost, Origin, Record, Security
from jupyter_llmroute.core.events import Event, Routed
from jupyter_llmroute.core.providers import Chat
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import Candidate
from jupyter_llmroute.core.sections import SecuritySettings
from jupyter_llmroute.core.selector import Decision


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
        self._salt: bytes | None = None
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

    async def question(self, request: Request) -> Question:
        """Return what makes the records of a question, for who has more to tell of it than its events.

        Raises
        ------
        AuditError
            The log cannot be opened, and audit is required.
        """
        salt, kept = await self._salted()
        return Question(request, salt, kept, self._packer, self._digests)

    async def recorded(
        self,
        request: Request,
        events: AsyncGenerator[Event, None],
        decision: Callable[[], Decision | None],
        question: Question | None = None,
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
        question
            What makes the records, where it was wanted before.

        Raises
        ------
        AuditError
            Something cannot be written, and audit is required.
        """
        question = question or await self.question(request)
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

    @contextlib.asynccontextmanager
    async def arbiter(self, question: Question, asked: Candidate, chat: Chat) -> AsyncIterator[Callable[[str], None]]:
        """Write down that a model is asked which task a question is, before it is asked, and how that ended.

        Yields
        ------
        Callable
            Takes what comes of its answer, piece by piece.

        Raises
        ------
        AuditError
            It cannot be written, and audit is required.
        """
        await self._write(question.asks_arbiter(asked, chat))
        response = question.pieces()
        try:
            yield response.add
        except BaseException as error:
            with contextlib.nullcontext() if isinstance(error, Exception) else contextlib.suppress(AuditError):
                await self._write(question.heard_arbiter(asked, response, error))
            raise
        await self._write(question.heard_arbiter(asked, response))

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
            if self._salt is None:
                self._salt = await asyncio.to_thread(lambda: self._log.salt)
            return self._salt, self._kept
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
