"""The card of an answer as Markdown: who answers, why, who was not chosen, what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jupyter_llmroute.facts import AnswerFacts
from jupyter_llmroute.inert import inert_line
from jupyter_llmroute.wording import CUT_SHORT, CUT_WORDS, and_more, how_sure, plural, rate, seconds, sent, who

SHOWN_IN_CARD = 4
"""Others that the card names; the facts hold more."""

SHOWN_REMARKS = 6
"""Of those on what went along."""


def card(facts: AnswerFacts) -> list[str]:
    """Return the card as lines of Markdown, an empty one last."""
    return [f"> {row}  " for row in _rows(facts) if row] + [""]


def _rows(facts: AnswerFacts) -> Iterable[str]:
    """Return the rows of the card, as Markdown; empty ones have nothing to say."""
    yield _headline(facts)
    yield inert_line(facts.fallback or "", 400)
    if facts.reasons:
        yield "why: " + "; ".join(inert_line(reason) for reason in facts.reasons)
    if others := [*not_chosen(facts, SHOWN_IN_CARD)]:
        yield "not chosen: " + "; ".join(inert_line(other, 400) for other in others)
    for attempt in facts.attempts:
        yield f"failed: {inert_line(f'{who(attempt.model, attempt.service)}: {attempt.error}', 600)}"
    if facts.answered_by and facts.answered_by != facts.model:
        yield f"answered by {inert_line(facts.answered_by)}, as the server calls it"
    if facts.finish_reason == CUT_SHORT:
        yield f"**{CUT_WORDS}**"
    if facts.left_out:
        yield f"did not fit and was left out: {inert_line(', '.join(facts.left_out))}"
    for remark in facts.remarks[:SHOWN_REMARKS]:
        yield f"note: {inert_line(remark, 400)}"
    yield inert_figures(facts)
    if facts.error:
        yield f"**error**: {inert_line(facts.error, 600)}"


def not_chosen(facts: AnswerFacts, shown: int) -> Iterator[str]:
    """Yield the first of those that were not chosen, each with the reason, and how many more there are."""
    for other in facts.considered[:shown]:
        yield f"{who(other.model, other.service)}: {other.verdict}"
    if more := and_more(max(0, len(facts.considered) - shown) + facts.more):
        yield more


def figures(facts: AnswerFacts) -> list[str]:
    """Return what was measured, each as a short phrase; first of all what is waited for."""
    first_s, speed = facts.time_to_first_token_s, facts.tokens_per_second
    return [
        phrase
        for phrase in (
            facts.waiting,
            _sent_words(facts),
            f"first token {seconds(first_s)}" if first_s is not None else None,
            rate(speed) if speed is not None else None,
            f"{plural(facts.completion_tokens, 'token')} came" if facts.completion_tokens is not None else None,
        )
        if phrase
    ]


def _sent_words(facts: AnswerFacts) -> str | None:
    if not facts.prompt_tokens:
        return None
    words = sent(
        facts.prompt_tokens,
        is_exact=facts.prompt_tokens_exact,
        window=facts.context_window,
        is_assumed=facts.window_is_assumed,
    )
    return f"{words} with {', '.join(facts.context)}" if facts.context else words


def inert_figures(facts: AnswerFacts) -> str:
    """Return the figures and the state as one line of Markdown."""
    return " · ".join((*(inert_line(phrase) for phrase in figures(facts)), f"*{facts.state}*"))


def _headline(facts: AnswerFacts) -> str:
    task = ""
    if facts.task:
        evidence = "; ".join(inert_line(found) for found in facts.task.evidence[:2])
        sure = how_sure(facts.task.confidence, facts.task.rival)
        task = f"**{facts.task.name}** ({sure}{f': {evidence}' if evidence else ''})"
    answers = f"**{inert_line(facts.model)}** on {inert_line(facts.service or '?')}" if facts.model else ""
    return " → ".join(part for part in (task, answers) if part)
