"""The router: the one file that knows every stage."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import httpx

from jupyter_llmroute.core.arbiter import arbitrate, unnoted
from jupyter_llmroute.core.audit.journal import Journal
from jupyter_llmroute.core.audit.once import Once
from jupyter_llmroute.core.audit.question import Question
from jupyter_llmroute.core.audit.refusals import Refusals
from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.cells_source import AttachmentsSource, CellsSource
from jupyter_llmroute.core.classifier import Classification, classify
from jupyter_llmroute.core.context import Context, ContextSource, Gathered, gather
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.errors import TimedOut
from jupyter_llmroute.core.events import AttemptFailed, AttemptStarted, Completed, Event, Routed, Waiting
from jupyter_llmroute.core.executor import LOADING_POLL_S, execute
from jupyter_llmroute.core.feedback import Feedback, Thumb
from jupyter_llmroute.core.fitting import Fitted, Margins, expected
from jupyter_llmroute.core.ledger import Ledger, Turn
from jupyter_llmroute.core.lookout import Lookout, Seen
from jupyter_llmroute.core.outlook import Outlook
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.providers import Provider, load_providers
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import Candidate
from jupyter_llmroute.core.selector import Decision, Wish, select
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.snapshot import Snapshot
from jupyter_llmroute.core.state import StateFile
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.transport import open_client
from jupyter_llmroute.core.unanswered import changed, nobody, still, waited_for

if TYPE_CHECKING:
    from jupyter_llmroute.core.code.code_source import CodeSource
    from jupyter_llmroute.core.code.project_code import ProjectCode


class Preview(NamedTuple):
    """What would be sent for a request, and to whom."""

    candidate: Candidate
    gathered: Context
    """All that belongs to the request."""
    fitted: Fitted
    """What of it fits."""


class Taken(NamedTuple):
    """A decision that was taken."""

    context: Context
    """All that belongs to the request."""
    routed: Routed
    """As it is told."""
    decision: Decision
    """With all that it was taken on."""


class Router:
    """Answers requests by the model that suits each; an async context manager.

    Parameters
    ----------
    settings
        Everything that can be set.
    providers
        Dialects by name. Default: the installed ones.
    sources
        Where context comes from. Default: the cells of the request.
    transport
        What carries the requests to servers; a test puts `httpx.MockTransport` here. Default: the network.
    state
        Where what was seen and learnt is shared with the user's other processes. Default: nowhere.
    journal
        What writes down what happens to questions. Default: nothing is written.

    Examples
    --------
    >>> async def ask(question: str) -> str:
    ...     async with Router(Settings.load()) as router:
    ...         events = router.stream(Request(question=question))
    ...         return "".join([event.text async for event in events if event.kind == "text_delta"])
    """

    def __init__(
        self,
        settings: Settings,
        *,
        providers: Mapping[str, Provider] | None = None,
        sources: Sequence[ContextSource] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        state: StateFile | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.settings = settings
        self.policy = Policy.from_settings(settings.security, settings.discovery.hosts)
        self.sources = (AttachmentsSource(), CellsSource(settings.context)) if sources is None else sources
        self.embedded = Embedded(settings.embedded)
        dialects = load_providers() if providers is None else providers
        self.providers = {**dialects, self.embedded.name: self.embedded}
        self.catalog = Catalog.load().extended(settings.models.catalog)
        self.journal = journal
        self.last_decision: Decision | None = None
        """The newest decision, with all that it was taken on."""
        once = Once(journal)
        self._refusals = Refusals(self.policy.remarks, once)
        self._client = open_client(
            self.policy,
            connect_s=settings.limits.connect_s,
            transport=transport,
            ca_file=settings.security.ca_file,
            on_refusal=self._refusals.note,
        )
        self._lookout = Lookout(settings, dialects, self.embedded, self._client, state)
        self._ledger = Ledger(settings.limits, state)
        self._outlook = Outlook(settings, self.policy, self.catalog, self._lookout, once)
        self._margins: Margins = {}
        self._code: CodeSource | None = None
        self._looked_up: tuple[Request, Gathered] | None = None

    async def __aenter__(self) -> Self:
        """Return the router itself; nothing is looked for before it is needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections, and give up the hold on embedded servers; what was refused last is written down."""
        try:
            await self._refusals.write_last()
            self._outlook.checksums.close()
            await self._lookout.aclose()
            self.embedded.close()
            await self._ledger.aclose()
            if self._code:
                await self._code.close()
        finally:
            await self._client.aclose()

    async def stream(
        self, request: Request, *, learns: bool = True, since: float | None = None
    ) -> AsyncGenerator[Event, None]:
        """Answer a request; closing the iterator stops the server's work.

        Parameters
        ----------
        request
            What to ask.
        learns
            Whether a task that the request names is the user's word, which later questions learn from.
        since
            In seconds since the epoch: servers that were looked at since then are not looked for again where nobody
            can answer. Default: now.

        Yields
        ------
        Event
            Routed first, Completed last. Routed comes again where nobody could answer at first because a server was
            reading its model.

        Raises
        ------
        UnknownModel, UnknownService
            What the request pins is nowhere.
        RouteFailed
            Nobody could answer.
        PeerError
            The server failed after the first visible token; TimedOut also where the time was over before that.
        AuditError
            What happens cannot be written down, and the settings require that it is.
        """
        question = await self.journal.question(request) if self.journal else None
        events = self._answer(request, learns=learns, since=since, question=question)
        if self.journal:
            events = self.journal.recorded(request, events, lambda: self.last_decision, question)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event

    async def _answer(
        self, request: Request, *, learns: bool, since: float | None, question: Question | None
    ) -> AsyncGenerator[Event, None]:
        await self._refusals.write()
        deadline = None if request.timeout_s is None else time.monotonic() + request.timeout_s
        context, routed, _ = await self._decide_until(deadline, request, may_ask=True, since=since, question=question)
        yield routed
        async with contextlib.aclosing(self._waited(request, deadline, context, routed)) as waits:
            async for newest in waits:
                event, context, routed = newest
                yield event
        if not routed.route.candidates:
            raise nobody(request, routed.route)
        if request.task is not None and learns:
            unnamed = classify(request.model_copy(update={"task": None}), context, self._ledger.history().lean)
            self._ledger.note_task(request.question, unnamed.scores, request.task)
        answers = execute(
            routed.route,
            context,
            self.providers,
            self._client,
            self.settings.limits,
            self.settings.context,
            deadline,
            self._margins,
            question.sends if question else lambda _: None,
        )
        with self._ledger.turn(routed.route) as turn:
            async with contextlib.aclosing(answers) as events:
                async for event in events:
                    self._note(event, turn)
                    yield event

    async def _waited(
        self, request: Request, deadline: float | None, context: Context, routed: Routed
    ) -> AsyncGenerator[tuple[Event, Context, Routed], None]:
        """Wait while nobody can answer and somebody may soon; each event comes with what holds then."""
        began, patience_s = time.monotonic(), self.settings.limits.first_token_s - LOADING_POLL_S
        with self._outlook.checksums.waited_for():
            while (why := waited_for(routed.route)) and (waited_s := time.monotonic() - began) <= patience_s:
                if deadline is not None and time.monotonic() + LOADING_POLL_S >= deadline:
                    raise TimedOut(
                        f"{still(routed.route, why)} when the time was over (--timeout {request.timeout_s:g})."
                    )
                yield Waiting(reason=why.value, elapsed_s=waited_s), context, routed
                await asyncio.sleep(LOADING_POLL_S)
                context, again, _ = await self._decide_until(deadline, request, routed.classification)
                if again.route != routed.route:
                    routed = again
                    yield routed, context, routed

    async def decide(self, request: Request) -> Routed:
        """Return the decision that `stream` would take, and ask nobody; not the arbiter either."""
        return (await self._decide(request)).routed

    async def decide_each(self, requests: Sequence[Request], *, refresh: bool = False) -> list[Taken]:
        """Return the decisions for several requests, all on the same servers as they were last seen.

        Where one of them has nobody who can answer, servers are looked for once for all.

        Parameters
        ----------
        requests
            At least one.
        refresh
            Look now, whenever the last look was.
        """
        began = time.time()
        await self.services(refresh=refresh)
        taken, seen_at = await self._decided_alike(requests)
        if seen_at < began and not all(each.decision.route.candidates for each in taken):
            await self.services(refresh=True)
            taken, _ = await self._decided_alike(requests)
        return taken

    async def _decided_alike(self, requests: Sequence[Request]) -> tuple[list[Taken], float]:
        """Return the decisions on what is known now, and when that was seen."""
        snapshot = await self._seen()
        return [await self._decide(each, snapshot=snapshot) for each in requests], snapshot.seen_at

    async def preview(self, request: Request) -> Preview:
        """Return what `stream` would send, as far as that can be told without asking a server.

        Raises
        ------
        UnknownModel, UnknownService
            What the request pins is nowhere.
        RouteFailed
            Nobody could answer.
        """
        context, routed, _ = await self._decide(request)
        if not routed.route.candidates:
            raise nobody(request, routed.route)
        first = routed.route.candidates[0]
        provider = self.providers[first.endpoint.provider]
        return Preview(first, context, expected(first, context, provider, self.settings.context, self._margins))

    async def rate(self, model: str, task: Task, thumb: Thumb | None, *, before: Thumb | None = None) -> None:
        """Count the user's word on an answer; later decisions rest on it, here and in the user's other notebooks.

        Parameters
        ----------
        model
            The catalog's name of the model that answered: `Candidate.info.id`.
        task
            What the question was taken for.
        thumb
            The word; `None` takes the one of before back.
        before
            An earlier word on the same answer, which this one takes the place of.
        """
        self._ledger.note_thumb(model, task, thumb, before)

    async def feedback(self) -> Feedback:
        """Return what the user thought of answers."""
        return (await self._ledger.recall()).feedback

    async def forget_feedback(self) -> None:
        """Forget what the user thought of answers."""
        self._ledger.forget_thumbs()

    async def services(self, *, refresh: bool = False) -> tuple[Endpoint, ...]:
        """Return the servers as last seen, looking for them when that is too long ago.

        Parameters
        ----------
        refresh
            Look now, whenever the last look was.
        """
        return (await self._look(refresh=refresh)).endpoints

    @property
    def seen_at(self) -> float:
        """When the servers were last looked at, in seconds since the epoch; 0 where they were not yet."""
        return self._lookout.seen_at

    @property
    def is_looking(self) -> bool:
        """Whether a look for servers is going on."""
        return self._lookout.is_looking

    def _note(self, event: Event, turn: Turn) -> None:
        """Learn from what happens."""
        match event:
            case AttemptStarted():
                turn.begin(event)
            case Waiting():
                turn.waited = True
            case AttemptFailed():
                self._ledger.note_failure(turn, event.attempt)
                self._lookout.forget()
                turn.end()
            case Completed():
                self._ledger.note_answer(turn, event)
                window = turn.started.context_window if turn.started else None
                self._lookout.note_loaded(event.service, event.model, window)
                if window and turn.candidate and turn.candidate.model.context_window is None:
                    self._lookout.note_window(turn.candidate.endpoint.base_url, event.model, window)

    async def _decide_until(
        self,
        deadline: float | None,
        request: Request,
        known: Classification | None = None,
        *,
        may_ask: bool = False,
        since: float | None = None,
        question: Question | None = None,
    ) -> Taken:
        now = time.monotonic()
        try:
            async with asyncio.timeout(None if deadline is None else max(0.0, deadline - now)):
                return await self._decide(request, known, may_ask=may_ask, since=since, question=question)
        except TimeoutError as error:
            if deadline is None or time.monotonic() < deadline:
                raise
            raise TimedOut(
                f"Looking for servers took longer than a question may (--timeout {request.timeout_s:g}): "
                "give it more, or ask again, when they are known."
            ) from error

    async def _decide(
        self,
        request: Request,
        known: Classification | None = None,
        *,
        may_ask: bool = False,
        since: float | None = None,
        question: Question | None = None,
        snapshot: Snapshot | None = None,
    ) -> Taken:
        since, may_look = time.time() if since is None else since, snapshot is None
        context = await gather(request, self.sources)
        snapshot, history = snapshot or await self._seen(), await self._ledger.recall()
        what = known or classify(request, context, history.lean)
        if may_ask and self.settings.classifier.arbiter:
            what = await arbitrate(
                request,
                what,
                snapshot,
                self.policy,
                history,
                settings=self.settings.classifier,
                providers=self.providers,
                client=self._client,
                noted=partial(self.journal.arbiter, question) if self.journal and question else unnoted,
            )
        context = context.with_more(await self._of_code(context, what, is_preview=known is None and not may_ask))
        route = select(what, context, snapshot, self.policy, history)
        if not route.candidates:
            # By what was seen before nobody can answer: who was started since may, and who was left alone is asked if
            # it is well.
            if may_look and snapshot.seen_at < since:
                await self.services(refresh=True)
                snapshot = await self._seen()
            history = history.with_pauses_over(snapshot.seen_at)
            route = select(what, context, snapshot, self.policy, history)
        decision = self.last_decision = Decision(
            classification=what,
            wish=Wish.of(context),
            snapshot=snapshot,
            policy=self.policy,
            history=history,
            route=route,
        )
        routed = Routed(
            classification=what,
            route=route,
            context=context.refs(),
            items=context.items,
            remarks=(*self.policy.remarks, *changed(route), *context.remarks, *route.remarks),
        )
        return Taken(context, routed, decision)

    def project(self, request: Request) -> ProjectCode | None:
        """Return who knows the code of the project that a request belongs to; `None` where there is no project.

        Raises
        ------
        SettingsError
            `serena.workspace` is no folder.
        """
        return self._code_source().project(request)

    def _code_source(self) -> CodeSource:
        if self._code is None:
            from jupyter_llmroute.core.code.code_source import CodeSource

            self._code = CodeSource(self.settings.serena, self.settings.task_routing)
        return self._code

    async def _seen(self) -> Snapshot:
        return await self._outlook.snapshot(await self._look())

    async def _look(self, *, refresh: bool = False) -> Seen:
        seen = await self._lookout.seen(refresh=refresh)
        await self._refusals.write()
        return seen

    async def _of_code(self, context: Context, what: Classification, *, is_preview: bool) -> Gathered:
        """Return what a question needs of its project's code."""
        request = context.request
        if request.with_code is False or not (request.folder or request.symbols or request.files or request.with_code):
            return Gathered()
        # While a server reads its model the decision is taken again and again: the code stays what it was.
        if self._looked_up is None or self._looked_up[0] is not request:
            self._looked_up = (request, await self._code_source().gather(context, what, is_preview=is_preview))
        return self._looked_up[1]
