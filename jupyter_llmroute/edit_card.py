"""What edits would make of files, or made of them, as outputs: coloured where that can be, and dead in every viewer.

All that a model or a file says stands in `pre` and `code`, where pages look for no links and no mathematics; what
cannot be seen becomes a sign that can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from jupyter_llmroute.core.edits.applied import Applied
from jupyter_llmroute.core.edits.edit import told
from jupyter_llmroute.core.edits.proposal import FileChange, Proposal
from jupyter_llmroute.inert import plain_line, seen
from jupyter_llmroute.wording import plural

MOST_LINES = 5_000
"""Of all diffs together; a longer one is not shown whole, and says so."""

OPEN_LINES = 200
"""A longer diff of one file is folded."""

MOST_SAID = 600
"""Characters of one sentence."""

_BOX = "font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);line-height:1.4"
_PRE = f"{_BOX};margin:0.3em 0 0.8em;padding:0.4em 0;border:1px solid rgba(128,128,128,.35);overflow-x:auto"
_LINE = "display:block;padding:0 0.6em;white-space:pre"
_TINTS = {
    "+": "background:rgba(46,160,67,.2)",
    "-": "background:rgba(248,81,73,.2)",
    "@": "background:rgba(56,139,253,.15);opacity:.8",
}
"""By the first sign of a line; half transparent, so that they go with light pages and dark ones."""


def bundle(shown: Proposal | Applied) -> dict[str, str]:
    """Return edits as a mime bundle: `text/plain`, and `text/html` without scripts."""
    return {"text/plain": plain(shown), "text/html": html(shown)}


def plain(shown: Proposal | Applied) -> str:
    """Return edits as a unified diff, with what is to be said of them in lines that begin with `#`."""
    head = [f"# {plain_line(line, MOST_SAID)}" for line in _head(shown)]
    diffs = [line for change in shown.changes for line in _diff_lines(change)]
    return "\n".join([*head, *_cut(diffs)])


def html(shown: Proposal | Applied) -> str:
    """Return edits as HTML that shows what it says and does nothing."""
    first, *said = _head(shown)
    parts = ['<div class="tex2jax_ignore mathjax_ignore">', f"<div><strong>{_text(first)}</strong></div>"]
    parts += [f'<pre style="{_BOX};margin:0;white-space:pre-wrap">{_text(line)}</pre>' for line in said]
    left = MOST_LINES
    for change in shown.changes:
        lines = _diff_lines(change)
        parts += _file(change, lines, left)
        left = max(0, left - len(lines))
    return "".join([*parts, "</div>"])


def headline(shown: Proposal | Applied) -> str:
    """Return what edits come to, as a sentence.

    Examples
    --------
    >>> from pathlib import Path
    >>> headline(Proposal(root=Path("shop")))
    'Nothing would be changed.'
    """
    added, removed = _counts(shown.changes)
    files = f"{plural(len(shown.changes), 'file')} (+{added} −{removed})"
    if isinstance(shown, Applied):
        verb = "Taken back" if shown.taken_back else "Applied"
        return f"{verb}: change {shown.number}, {files}."
    if shown.unseen:
        return "A rename whose places are only known once it is made: it is checked, and %llm_undo takes it back."
    return f"Proposed, not applied: {files}." if shown.changes else "Nothing would be changed."


def _head(shown: Proposal | Applied) -> Iterator[str]:
    yield headline(shown)
    if isinstance(shown, Applied):
        if not shown.taken_back:
            yield "%llm_undo takes it back."
        yield from shown.notes
    else:
        for step in shown.unseen:
            yield told(step)
    for change in shown.changes:
        yield from change.notes
    if isinstance(shown, Proposal):
        for refusal in shown.refused:
            yield f"Not done, {told(refusal.edit)}: {refusal.reason}"
    if hidden := sum(_hidden(change) for change in shown.changes):
        yield f"New lines hold characters that cannot be seen or that change direction ({hidden}): \ufffd is each."


def _hidden(change: FileChange) -> int:
    if isinstance(change.after, str):
        return sum(seen(line) != line for line in change.diff.split("\n") if line[:1] == "+")
    return 0


def _file(change: FileChange, lines: list[str], left: int) -> Iterator[str]:
    added, removed = _counts([change])
    is_open = " open" if len(lines) <= OPEN_LINES else ""
    yield f"<details{is_open}><summary><code>{_text(change.file)}</code> <code>+{added} −{removed}</code></summary>"
    yield f'<pre style="{_PRE}">'
    for line in _cut(lines, left):
        tint = "" if line.startswith(("+++", "---")) else _TINTS.get(line[:1], "")
        yield f'<span style="{_LINE};{tint}">{escape(line) or " "}</span>'
    yield "</pre></details>"


def _diff_lines(change: FileChange) -> list[str]:
    # Line by line: what some call line ends would make more lines of one, and these without their sign.
    return [seen(line) for line in change.diff.split("\n")[:-1]]


def _cut(lines: list[str], most: int = MOST_LINES) -> list[str]:
    more = len(lines) - most
    return [*lines[:most], f"# … and {plural(more, 'line')} more, which are not shown"] if more > 0 else lines


def _counts(changes: Iterable[FileChange]) -> tuple[int, int]:
    added = removed = 0
    for change in changes:
        for line in change.diff.split("\n")[2:]:
            added += line.startswith("+")
            removed += line.startswith("-")
    return added, removed


def _text(line: str) -> str:
    return escape(plain_line(line, MOST_SAID))
