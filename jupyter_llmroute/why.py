"""The last decision, explained: what it was taken on, who was chosen and left out, what came of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from jupyter_llmroute.card import figures
from jupyter_llmroute.core.classifier import NAMED_BY_USER
from jupyter_llmroute.core.events import Attempt
from jupyter_llmroute.core.history import place, place_of
from jupyter_llmroute.core.pins import pinned_for
from jupyter_llmroute.core.route import Candidate, RejectionReason
from jupyter_llmroute.core.secrets import masked
from jupyter_llmroute.core.selector import STICKY_GAIN, Decision
from jupyter_llmroute.core.snapshot import ANSWER_TOKENS, Row, time_cost
from jupyter_llmroute.core.speed import Expected, Speed
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value
from jupyter_llmroute.inert import inert_line, plain_line
from jupyter_llmroute.view import RunView
from jupyter_llmroute.wording import (
    and_more,
    failure,
    fell_back,
    percent,
    plural,
    points,
    publications,
    rate,
    ratings,
    seconds,
    shares,
    task,
    who,
)

SHOWN = 5
"""Lines of a part that are shown where not all are asked for."""

LONGEST = 600
"""Characters of a line; what is longer is cut, with a mark."""

NO_DECISION = (
    "Nothing was decided yet in this session. Ask a question with %%route, or see a decision with --dry-run; then "
    "%llm_why explains it."
)

LEAST_SHARE = 0.01
"""A task of a smaller share has no part in a decision that could be seen."""


class Part(Value):
    """A few lines under a title."""

    title: str
    lines: tuple[str, ...]
    more: int = 0
    """How many lines there are besides, that nobody made."""
    may_be_long: bool = True

    def shortened(self, shown: int | None) -> tuple[str, ...]:
        """Return the lines, of a long part the first ones, and how many more there are."""
        shown = shown if self.may_be_long else None
        hidden = and_more(len(self.lines[shown:]) + self.more if shown else self.more)
        return (*self.lines[:shown], *([hidden] if hidden else []))


def parts(decision: Decision, view: RunView | None = None) -> list[Part]:
    """Return the explanation of a decision, and of the run that followed it.

    Parameters
    ----------
    decision
        What to explain.
    view
        The run; `None` where nobody was asked.
    """
    route = decision.route
    chosen = route.candidates[0] if route.candidates else None
    found = (
        Part(title="Task", lines=tuple(_task(decision)), may_be_long=False),
        Part(title="Pins", lines=tuple(_pins(decision))),
        Part(
            title=f"Wanted first: {_who(chosen)}, {points(chosen)}" if chosen else "No model can answer this",
            lines=tuple(_reasons(decision, chosen)) if chosen else (),
            may_be_long=False,
        ),
        Part(
            title="Where its ratings come from",
            lines=tuple(_ratings(decision, chosen)) if chosen else (),
            may_be_long=False,
        ),
        Part(title="What came of it", lines=tuple(_attempts(view)) if view else ()),
        Part(title="Next in line", lines=tuple(map(_next_in_line, route.candidates[1:])), more=route.unranked),
        Part(title="Left out", lines=tuple(_left_out(decision))),
        Part(title="Known from earlier answers", lines=tuple(_learnt(decision))),
    )
    return [part for part in found if part.lines or part.more or part.title.startswith("No model")]


def cut(found: Iterable[Part], shown: int | None) -> tuple[Part, ...]:
    """Return parts with no more lines than are shown; how many there were besides stays with them."""
    return tuple(
        part.model_copy(update={"lines": part.lines[:shown], "more": part.more + len(part.lines[shown:])})
        if shown and part.may_be_long
        else part
        for part in found
    )


def as_text(
    decision: Decision | None,
    view: RunView | None = None,
    *,
    shown: int | None = SHOWN,
    found: Sequence[Part] | None = None,
) -> str:
    """Return the explanation as plain text; of long parts, the first lines; `found` is one that was made before."""
    if found is None and decision is not None:
        found = parts(decision, view)
    if found is None:
        return NO_DECISION
    lines = [plain_line(masked(view.request.question), 120)] if view else []
    for part in found:
        lines += ["", plain_line(part.title, LONGEST)]
        lines += [f"  {plain_line(line, LONGEST)}" for line in part.shortened(shown)]
    return "\n".join(lines).strip()


def as_markdown(
    decision: Decision | None,
    view: RunView | None = None,
    *,
    shown: int | None = SHOWN,
    found: Sequence[Part] | None = None,
) -> str:
    """Return the explanation as Markdown, with all that servers and models said made inert."""
    if found is None and decision is not None:
        found = parts(decision, view)
    if found is None:
        return inert_line(NO_DECISION, LONGEST)
    lines = [f"> {inert_line(masked(view.request.question), 120)}"] if view else []
    for part in found:
        lines += ["", f"**{inert_line(part.title, LONGEST)}**", ""]
        lines += [f"- {inert_line(line, LONGEST)}" for line in part.shortened(shown)]
    return "\n".join(lines).strip()


def bundle(
    decision: Decision | None,
    view: RunView | None = None,
    *,
    shown: int | None = SHOWN,
    found: Sequence[Part] | None = None,
) -> dict[str, Any]:
    """Return the explanation as a mime bundle: Markdown, and the same in plain text."""
    return {
        "text/markdown": as_markdown(decision, view, shown=shown, found=found),
        "text/plain": as_text(decision, view, shown=shown, found=found),
    }


def expected(decision: Decision, candidate: Candidate) -> Expected | None:
    """Return what the seconds that are expected of a candidate are made of."""
    row = _row(decision, candidate)
    if row is None:
        return None
    model, history, wish = candidate.model, decision.history, decision.wish
    is_loaded = model.loaded is not False and (
        model.context_window is None or wish.needed_tokens <= model.context_window
    )
    found = (
        history.speeds.get(row.key, Speed())
        .learnt(row.guess)
        .expected(
            prompt_tokens=min(wish.prompt_tokens, row.window or wish.prompt_tokens),
            answer_tokens=ANSWER_TOKENS,
            is_loaded=is_loaded,
        )
    )
    return found._replace(queue_s=history.busy.get(row.place, 0) * (found.prompt_s + found.answer_s))


def _row(decision: Decision, candidate: Candidate) -> Row | None:
    return decision.snapshot.roster(decision.policy).by_key.get(place_of(candidate.endpoint, candidate.model.id))


def _who(one: Candidate) -> str:
    return who(one.model.id, one.endpoint.name)


def _task(decision: Decision) -> Iterator[str]:
    what = decision.classification
    yield task(what.task, what.confidence, what.evidence, what.rival)
    yield f"shares: {shares(what)}"
    if what.evidence != NAMED_BY_USER:
        yield "wrong? %llm_retry --task TASK asks again, and is remembered"


def _pins(decision: Decision) -> Iterator[str]:
    """Yield what was pinned, and which pin held, if any could."""
    held = pinned_for(decision.classification.task, decision.wish.pins)
    for pin in decision.wish.pins:
        is_held = pin is held and not decision.wish.model and not decision.route.remarks
        yield f"{pin.model}: {pin}{', and holds for this question' if is_held else ''}"
    if decision.wish.pins and decision.wish.model:
        yield f"the question itself names {decision.wish.model}, which wins over every pin"
    yield from decision.route.remarks


def _reasons(decision: Decision, chosen: Candidate) -> Iterator[str]:
    yield from chosen.reasons
    if taken := expected(decision, chosen):
        named = (
            (taken.load_s, "to load it"),
            (taken.prompt_s, f"to read about {plural(decision.wish.prompt_tokens, 'token')}"),
            (taken.answer_s, f"to write {plural(ANSWER_TOKENS, 'token')}"),
            (taken.queue_s, "to wait for other questions"),
        )
        yield "the seconds: " + ", ".join(f"{value:.1f} {words}" for value, words in named if value)
        yield f"the points: {_points(decision, chosen, taken)}, which makes {chosen.score:.1f}"


def _points(decision: Decision, chosen: Candidate, taken: Expected) -> str:
    what, row = decision.classification, _row(decision, chosen)
    tasks = tuple(Task)
    gains = row.gains[tasks.index(what.task)] if row else 0.0
    counted = (
        (sum(chosen.info.scores[each] * what.scores[each] for each in tasks), "for its ratings, by the shares"),
        (gains, "for lists and window"),
        (-time_cost(taken.total_s, decision.snapshot.patience_s), "for the seconds"),
        (decision.history.feedback.of(chosen.info.id, what.task).points, "for your thumbs"),
        (STICKY_GAIN if row and row.key == decision.history.last else 0.0, "as it answered last"),
    )
    return ", ".join(f"{value:+.1f} {words}" for value, words in counted if round(value, 1))


def _ratings(decision: Decision, chosen: Candidate) -> Iterator[str]:
    shown = decision.classification.scores
    told = [(each, words) for each, words in ratings(chosen.info) if shown[each] >= LEAST_SHARE]
    for each, words in told:
        yield f"{each}, which counts {percent(shown[each])}: {words}"
    yield from publications(decision.snapshot.catalog, [chosen.info.sources.get(each, "") for each, _ in told])


def _next_in_line(candidate: Candidate) -> str:
    return f"{_who(candidate)}, {points(candidate)}: {'; '.join(candidate.reasons)}"


def _left_out(decision: Decision) -> Iterator[str]:
    kinds: dict[RejectionReason, list[str]] = {}
    for rejection in decision.route.rejections:
        line = f"{who(rejection.model, rejection.service)}: {rejection.detail}"
        kinds.setdefault(rejection.reason, []).append(line)
    # One of each kind first: of a thousand models without enough memory, the thousandth says nothing new.
    ordered = sorted(kinds, key=lambda kind: kind is RejectionReason.NOT_ASKED_FOR)
    for row in zip_longest(*([f"{kind}: {line}" for line in kinds[kind]] for kind in ordered)):
        yield from filter(None, row)


def _attempts(view: RunView) -> Iterator[str]:
    """Yield what each server that was asked did, and what was done next."""
    asked = [*view.attempts]
    started = view.started
    is_open = started is not None and started.number > len(asked)
    for attempt, after in zip_longest(asked, asked[1:]):
        following = (after.model, after.service, after.level) if after else None
        if after is None and is_open and started:
            following = (started.model, started.service, started.level)
        yield f"{_asked(attempt)}: {attempt.failure or 'error'}: {failure(attempt)} → {_then(attempt, following)}"
    if is_open and started:
        facts = view.facts()
        yield f"{who(started.model, started.service)} ({started.level}): {', '.join((facts.state, *figures(facts)))}"
    if words := fell_back(asked, started):
        yield words


def _asked(attempt: Attempt) -> str:
    return f"{who(attempt.model, attempt.service)} ({attempt.level})"


def _then(attempt: Attempt, following: tuple[str, str, str] | None) -> str:
    if following is None:
        return "nobody else was asked"
    model, service, level = following
    if (model, service) == (attempt.model, attempt.service):
        return "asked again" if level == attempt.level else f"asked again, {level}"
    return f"then {who(model, service)}"


def _learnt(decision: Decision) -> Iterator[str]:
    """Yield what was measured of the candidates, and which servers failed, as known when it was decided."""
    history = decision.history
    for candidate in decision.route.candidates:
        if speed := history.speeds.get(place_of(candidate.endpoint, candidate.model.id)):
            yield f"{_who(candidate)}: {', '.join(_measured(speed))}"
    for endpoint in decision.snapshot.endpoints:
        breaker = history.breakers.get(place(endpoint))
        if breaker and breaker.failures:
            words = f"failed {plural(breaker.failures, 'time')} in a row"
            if breaker.open_until and breaker.open_until > history.now:
                words += f"; left alone for {breaker.open_until - history.now:.0f} s more"
            yield f"{endpoint.name}: {words}"


def _measured(speed: Speed) -> Iterable[str]:
    for average, words in ((speed.first_token, "first token {}"), (speed.load, "first token {} when not in memory")):
        if average.weight:
            yield words.format(seconds(math.exp(average.mean)))
    if speed.token.weight:
        yield rate(1 / math.exp(speed.token.mean))
