"""The same run in plain text, for terminals."""

from __future__ import annotations

from jupyter_llmroute.card import figures, not_chosen
from jupyter_llmroute.core.events import Routed
from jupyter_llmroute.core.request import Format, Request
from jupyter_llmroute.inert import plain_line, seen
from jupyter_llmroute.view import RunView
from jupyter_llmroute.wording import CUT_SHORT, CUT_WORDS, points, task

SHOWN = 6
"""Others that are named."""

SAID_EVERY_S = 10
"""Seconds between two lines that say what is waited for."""


def head(view: RunView) -> str:
    """Return the decision: task, model, server, reasons, and who else was considered."""
    facts = view.facts()
    lines = []
    if facts.task:
        lines.append(f"task     {task(facts.task.name, facts.task.confidence, facts.task.evidence, facts.task.rival)}")
    if facts.model:
        lines.append(f"model    {facts.model} on {facts.service}")
        lines += [f"instead  {facts.fallback}"] if facts.fallback else []
        lines.append(f"why      {'; '.join(facts.reasons)}")
    lines += [f"{'' if number else 'not':8} {other}" for number, other in enumerate(not_chosen(facts, SHOWN))]
    if facts.left_out:
        lines.append(f"left out {', '.join(facts.left_out)}")
    lines += [f"note     {remark}" for remark in facts.remarks]
    return "\n".join(lines)


def failures(view: RunView) -> list[str]:
    """Return a line for each attempt that failed."""
    return [f"failed   {attempt.model} on {attempt.service}: {attempt.error}" for attempt in view.facts().attempts]


def decision_lines(routed: Routed, request: Request) -> list[str]:
    """Return a decision that was only taken, not carried out."""
    view = RunView(request)
    view.apply(routed)
    best = routed.route.candidates[:1]
    chosen = [
        line
        for candidate in best
        for line in (
            f"would ask {plain_line(candidate.model.id)} on {plain_line(candidate.endpoint.name)}, {points(candidate)}",
            f"why      {'; '.join(map(plain_line, candidate.reasons))}",
        )
    ]
    return [head(view), *(chosen or ["would ask nobody: no model can answer this"])]


def figures_line(view: RunView) -> str:
    """Return what was measured, and how the run ended."""
    facts = view.facts()
    cut = (CUT_WORDS,) if facts.finish_reason == CUT_SHORT else ()
    return " · ".join((*figures(facts), *cut, facts.state.value))


class TerminalScreen:
    """Standard output: the decision once, then only what is new, because nothing there can be redrawn."""

    def __init__(self) -> None:
        self._shown_pieces = 0
        self._shown_code = ""
        self._headed = False
        self._said_failures = 0
        self._asked = 0
        self._waited = (0, -1)

    def update(self, view: RunView, *, final: bool) -> None:
        """Write the head when somebody is asked first, later only who is asked instead, new text, and the figures."""
        if view.started and not self._headed:
            self._headed = True
            print(head(view) + "\n", flush=True)
        # A terminal obeys control characters: they can clear it, rename it, and write to the clipboard.
        print(seen(self._new(view)), end="", flush=True)
        self._shown_pieces = len(view.pieces)
        self._say_who_failed(view)
        self._say_what_is_waited_for(view)
        if final and self._headed:
            print(f"\n\n{figures_line(view)}", flush=True)

    def _new(self, view: RunView) -> str:
        """Return what was not shown yet: of code alone whole lines, since the last one may become a fence."""
        if view.request.format is not Format.CODE:
            return "".join(view.pieces[self._shown_pieces :])
        code = view.plain if view.is_over else view.plain[: view.plain.rfind("\n") + 1]
        # What looked like a block of Markdown may turn out to be around blocks of code: then they are shown anew.
        new = code[len(self._shown_code) :] if code.startswith(self._shown_code) else f"\n\n{code}"
        self._shown_code = code
        return new

    def _say_who_failed(self, view: RunView) -> None:
        failed = failures(view)
        for line in failed[self._said_failures :]:
            # Behind a text that was cut, on a line of its own.
            print(("\n\n" if self._shown_pieces else "") + line, flush=True)
        self._said_failures = len(failed)
        if view.started and view.started.number > self._asked:
            if self._asked:
                facts = view.facts()
                instead = f"instead  {facts.fallback}\n" if facts.fallback else ""
                print(f"model    {facts.model} on {facts.service}\n{instead}", flush=True)
            self._asked = view.started.number

    def _say_what_is_waited_for(self, view: RunView) -> None:
        waited = (view.started.number if view.started else 0, int(view.waited_s // SAID_EVERY_S))
        # The head has said already that it is not in memory; what the server says of it is news.
        if view.is_loading and waited > self._waited and (waited[1] or view.waiting):
            self._waited = waited
            print(f"waiting  {view.facts().waiting}\n", flush=True)
