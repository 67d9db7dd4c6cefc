"""Making a conversation fit a model's window. Pure, and done after selection: the budget depends on the model.

A conversation is folded from its first turn to the question: where it would fill more than `compaction_threshold` of
the budget it is shortened to `compaction_target`, and grows from there. Folded again one question later it is shortened
at the same turns into the same bytes: prompts go on growing at their ends, and a server that remembers the last one
reads it anew only in the few places where it was shortened. No state is needed for that.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache

from jupyter_llmroute.core.context import Context, turn_ref
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.prompt import asked, instructions, turn_messages
from jupyter_llmroute.core.request import Format, Turn
from jupyter_llmroute.core.settings import ContextSettings
from jupyter_llmroute.core.tokens import TOKENS_PER_MESSAGE, estimate_tokens

CUT_OUTPUT = "\n… {tokens:,} tokens left out here …\n"
"""Stands for the middle of an output: the same bytes for the same output."""

QUESTION_CHARS, ANSWER_CHARS = 120, 160
"""What a summary keeps of an earlier question, and of its answer."""

SUMMARY_SHARE = 0.15
"""Of the budget: a longer summary loses its oldest lines."""

DEFAULTS = ContextSettings()


def compact(context: Context, budget_tokens: int, family: str = "", rules: ContextSettings = DEFAULTS) -> Context:
    """Shorten what goes along with a question until the prompt fits.

    Parameters
    ----------
    context
        What was gathered; the question in it is never touched.
    budget_tokens
        Tokens that the prompt may have.
    family
        The model's family, for the estimate.
    rules
        When to shorten, how far, and what to spare.

    Returns
    -------
    Context
        Within the budget wherever the instructions and the question alone are. Items that an earlier turn has brought
        already are not in it again; `left_out` names what went or was shortened.
    """
    fold = _Fold(budget_tokens, family, rules, context.summary)
    for turn in context.request.turns:
        fold.add(turn.model_copy(update={"items": fold.ask(turn.items, turn.question, turn.format)}))
    items = fold.ask(context.items, context.request.question, context.request.format)
    turns = tuple(fold.turns)
    return Context(
        request=context.request.model_copy(update={"turns": turns}),
        items=items,
        summary=tuple(fold.summary),
        left_out=tuple(dict.fromkeys((*context.left_out, *_missing(context, turns, items)))),
    )


def bare_of_repeats(context: Context) -> Context:
    """Return a context in which nothing stands twice, and that is whole otherwise."""
    return compact(context, sys.maxsize)


def _missing(context: Context, turns: Sequence[Turn], items: Sequence[ContextItem]) -> Iterator[str]:
    """Name what of a context is no longer there, or not whole."""
    gone = len(context.request.turns) - len(turns)
    yield from map(turn_ref, context.request.turns[:gone])
    for before, turn in zip(context.request.turns[gone:], turns, strict=True):
        whole = {item.key for item in before.items}
        yield from (_middle(item) for item in turn.items if item.key not in whole)
    there = {item.key for item in (*items, *(item for turn in turns for item in turn.items))}
    for item in context.items:
        if item.key not in there:
            yield _middle(item) if any(item.ref == other.ref for other in items) else item.ref


def _middle(item: ContextItem) -> str:
    return f"the middle of {item.output_ref or item.ref}"


class _Fold:
    """A conversation as far as it has come, with its tokens."""

    def __init__(self, budget: int, family: str, rules: ContextSettings, summary: Sequence[str]) -> None:
        self._budget, self._family, self._rules = budget, family, rules
        self._summary_is(list(summary))
        self.turns: list[Turn] = []
        self._sizes: list[int] = []
        self._must_cut = False
        """Whether the outputs that the question brings are cut too."""

    def add(self, turn: Turn) -> None:
        """Go on behind a turn that was asked and answered."""
        self.turns.append(turn)
        self._sizes.append(self._size(turn))

    def ask(self, items: Sequence[ContextItem], question: str, wanted: Format) -> tuple[ContextItem, ...]:
        """Make room for a question and what it needs; return what of that is to be sent with it."""
        self._must_cut = False
        new = self._new(items)
        if self._total(new, question, wanted) > self._rules.compaction_threshold * self._budget:
            # What the question brings cannot get shorter by that: of the room beside it.
            brought = asked(tuple(map(self._cut, new)), question, wanted)
            own = self._tokens(instructions(())) + self._tokens(brought)
            goal = own + self._rules.compaction_target * max(0, self._budget - own)
            goal = max(goal, self._rules.compaction_target * self._budget)
            steps = self._shorter(sum(bool(item.output) for item in new))
            while self._total(new, question, wanted) > goal and next(steps, False):
                new = self._new(items)
        while self.summary and self._total(new, question, wanted) > self._budget:
            self._summary_is(self.summary[1:])
        parts = self._fewer(new)
        while self._total(new, question, wanted) > self._budget and (fewer := next(parts, None)) is not None:
            new = self._new(fewer)
        return new

    def _new(self, items: Sequence[ContextItem]) -> tuple[ContextItem, ...]:
        """Return the items that no turn so far has brought."""
        known = {item.key for turn in self.turns for item in turn.items}
        new = [item for item in items if item.key not in known]
        return tuple(item for item in map(self._cut, new) if item.key not in known) if self._must_cut else tuple(new)

    def _total(self, items: Sequence[ContextItem], question: str, wanted: Format) -> int:
        return self._size_of_summary + sum(self._sizes) + self._tokens(asked(items, question, wanted))

    def _size(self, turn: Turn) -> int:
        return sum(self._tokens(message.content) for message in turn_messages(turn))

    def _tokens(self, text: str) -> int:
        return _tokens(text, self._family) + TOKENS_PER_MESSAGE

    def _shorter(self, newest_outputs: int) -> Iterator[bool]:
        """Shorten the conversation by one more step each time, what is oldest and least missed first."""
        spared = max(0, self._rules.preserve_recent_tool_calls - newest_outputs)
        yield from self._cut_outputs(spared)
        yield from self._summarise(self._rules.preserve_recent_messages)
        yield from self._cut_outputs(0)
        self._must_cut = True
        yield True
        yield from self._summarise(0)

    def _cut_outputs(self, spared: int) -> Iterator[bool]:
        """Cut long outputs of the turns, but for the newest `spared` of all outputs."""
        left = sum(bool(item.output) for turn in self.turns for item in turn.items) - spared
        for place, turn in enumerate(self.turns):
            items = list(turn.items)
            for index, item in enumerate(items):
                if item.output and left > 0:
                    items[index] = self._cut(item)
                    left -= 1
            if tuple(items) != turn.items:
                self.turns[place] = turn.model_copy(update={"items": tuple(items)})
                self._sizes[place] = self._size(self.turns[place])
                yield True

    def _cut(self, item: ContextItem) -> ContextItem:
        output = cut_output(item.output, self._rules.max_tool_output_tokens, self._family)
        return item if output == item.output else item.model_copy(update={"output": output})

    def _summarise(self, spared: int) -> Iterator[bool]:
        """Put a line in the place of the oldest turns, but for the newest `spared`."""
        while len(self.turns) > spared:
            self._summary_is([*self.summary, summary_line(self.turns.pop(0))])
            del self._sizes[0]
            while len(self.summary) > 1 and self._size_of_summary > SUMMARY_SHARE * self._budget:
                self._summary_is(self.summary[1:])
            yield True

    def _summary_is(self, lines: list[str]) -> None:
        self.summary = lines
        self._size_of_summary = self._tokens(instructions(lines))

    def _fewer(self, items: tuple[ContextItem, ...]) -> Iterator[tuple[ContextItem, ...]]:
        """Give a question's items with one more cut each time, then with one less, what it needs least first."""
        order = sorted(range(len(items)), key=lambda index: (-items[index].rank, index))
        left = dict(enumerate(items))
        for index in order:
            left[index] = self._cut(left[index])
            yield tuple(left.values())
        for index in order:
            del left[index]
            yield tuple(left.values())


@lru_cache(maxsize=2048)
def _tokens(text: str, family: str) -> int:
    """Estimate the tokens of a text; the same ones come with every question of a conversation."""
    return estimate_tokens(text, family)


def cut_output(output: str, limit_tokens: int, family: str = "") -> str:
    """Return an output, or its head and tail around a mark that says how much is missing.

    Examples
    --------
    >>> cut_output("1 " * 1000, 500) == cut_output(cut_output("1 " * 1000, 500), 500)
    True
    """
    tokens = estimate_tokens(output, family)
    if tokens <= limit_tokens or _CUT.search(output):
        return output
    # A text of few long words has as many tokens in fewer characters: by its own density.
    half = int(len(output) * limit_tokens / tokens / 2)
    left_out = tokens - limit_tokens
    return output[:half] + CUT_OUTPUT.format(tokens=left_out) + output[len(output) - half :]


_CUT = re.compile(r"\n… [\d,]+ tokens left out here …\n")
_BLOCK = re.compile(r"^(`{3,}|~{3,}).*?^\1`*~*[ \t]*$", re.DOTALL | re.MULTILINE)


def summary_line(turn: Turn) -> str:
    """Return what is left of an earlier turn: its ends, in one line.

    Examples
    --------
    >>> summary_line(Turn(number=3, question="what is df?", answer="A frame."))
    '- In[3]: "what is df?" - "A frame."'
    """
    answer = turn.summary or _BLOCK.sub("(code)", turn.answer)
    return f'- In[{turn.number}]: "{_ends(turn.question, QUESTION_CHARS)}" - "{_ends(answer, ANSWER_CHARS)}"'


def _ends(text: str, chars: int) -> str:
    """Return a text in one line; of a long one a longer head and a shorter tail."""
    line = " ".join(text.split())
    return line if len(line) <= chars else f"{line[: 2 * chars // 3].rstrip()} … {line[-chars // 3 :].lstrip()}"
