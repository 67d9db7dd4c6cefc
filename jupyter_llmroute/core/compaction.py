"""Making a conversation fit a model's window. Pure, and done after selection: the budget depends on the model.

A conversation is folded from its first turn to the question: where it would fill more than `compaction_threshold` of
the budget it is shortened to `compaction_target`, and grows from there. Folded again one question later it is shortened
at the same turns into the same bytes: prompts go on growing at their ends, and a server that remembers the last one
reads it anew only in the few places where it was shortened. No state is needed for that.

What is left of the oldest turns goes along with the question that they made room for. So the turns that stay follow the
instructions at once, as llama.cpp wants it where it moves up what it remembers of them instead of reading it again.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from jupyter_llmroute.core.context import Context, turn_ref
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.prompt import INSTRUCTIONS, asked, item_text
from jupyter_llmroute.core.request import Format, Turn
from jupyter_llmroute.core.sections import ContextSettings
from jupyter_llmroute.core.tokens import TOKENS_PER_MESSAGE, estimate_tokens, rounded_up, weigh_text

CUT_OUTPUT = "\n… {tokens:,} tokens left out here …\n"
"""Stands for the middle of an output: the same bytes for the same output."""

EARLIER = "earlier questions, shortened"
"""How what is left of them is called where it goes along."""

EARLIER_HEADING = "Before all of this the person asked, and was answered (shortened):"

QUESTION_CHARS, ANSWER_CHARS = 120, 160
"""What a summary keeps of an earlier question, and of its answer."""

SUMMARY_SHARE = 0.15
"""Of the budget: a longer summary loses its oldest lines."""

JOINT = "\n\n"
"""Stands between two items of a question."""

NO_TEXT = (ContextItem(ref="", text=""),)
"""One item, of which a question has only what is said around items."""

LAST_TURNS = 2
"""They stay as long as all of the prompt can fit at all."""

MOST_NEEDED = 2
"""Items of a question, the best in rank, that stay at the cost of what was said before."""

REMEMBERED = 2048
"""Texts and items that are counted and cut once: those of a conversation come again with every question."""

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
    fold = _Fold(budget_tokens, family, rules)
    for turn in context.request.turns:
        fold.add(turn.model_copy(update={"items": fold.ask(turn.items, turn.question, turn.format)}))
    items = fold.ask(context.items, context.request.question, context.request.format)
    turns = tuple(fold.turns)
    return Context(
        request=context.request.model_copy(update={"turns": turns}),
        items=items,
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
        yield from (_middle(item) for item in turn.items if item.key not in whole and item.ref != EARLIER)
    there = {item.key for item in (*items, *(item for turn in turns for item in turn.items))}
    for item in context.items:
        if item.key not in there:
            yield _middle(item) if any(item.ref == other.ref for other in items) else item.ref


def _middle(item: ContextItem) -> str:
    return f"the middle of {item.output_ref or item.ref}"


class _Fold:
    """A conversation as far as it has come, with its tokens."""

    def __init__(self, budget: int, family: str, rules: ContextSettings) -> None:
        self._budget, self._family, self._rules = budget, family, rules
        self._lines: list[str] = []
        """What is left of the turns that make room for the question."""
        self.turns: list[Turn] = []
        self._sizes: list[int] = []
        self._known: Counter[tuple[str, str, str]] = Counter()
        """What the turns have brought."""
        self._must_cut = False
        """Whether the outputs that the question brings are cut too."""

    def add(self, turn: Turn) -> None:
        """Go on behind a turn that was asked and answered."""
        self.turns.append(turn)
        self._sizes.append(self._size(turn))
        self._known.update(item.key for item in turn.items)

    def ask(self, items: Sequence[ContextItem], question: str, wanted: Format) -> tuple[ContextItem, ...]:
        """Make room for a question and what it needs; return what of that is to be sent with it."""
        self._must_cut = False
        self._lines = _lines(items)
        items = [item for item in items if item.ref != EARLIER]
        new = self._new(items)
        if self._total(new, question, wanted) > self._rules.compaction_threshold * self._budget:
            # What the question brings cannot get shorter by that: of the room beside it.
            own = self._tokens(INSTRUCTIONS) + self._asked(tuple(map(self._cut, new)), question, wanted)
            goal = own + self._rules.compaction_target * max(0, self._budget - own)
            goal = max(goal, self._rules.compaction_target * self._budget)
            steps = self._shorter(sum(bool(item.output) for item in new))
            while self._total(new, question, wanted) > goal and next(steps, False):
                new = self._new(items)
        while self._lines and self._total(new, question, wanted) > self._budget:
            del self._lines[0]
        # What was said last is missed more than cells that the question hardly needs.
        parts = self._fewer(new, least=MOST_NEEDED)
        while self._total(new, question, wanted) > self._budget and (fewer := next(parts, None)) is not None:
            items = fewer
            new = self._new(items)
        turns = self._summarise(0)
        while self._total(new, question, wanted) > self._budget and next(turns, False):
            new = self._new(items)
        while self._lines and self._total(new, question, wanted) > self._budget:
            del self._lines[0]
        parts = self._fewer(new, least=0)
        while self._total(new, question, wanted) > self._budget and (fewer := next(parts, None)) is not None:
            new = self._new(fewer)
        return (*_earlier(self._lines), *new)

    def _new(self, items: Sequence[ContextItem]) -> tuple[ContextItem, ...]:
        """Return the items that no turn so far has brought."""
        new = [item for item in items if not self._known[item.key]]
        return (
            tuple(item for item in map(self._cut, new) if not self._known[item.key]) if self._must_cut else tuple(new)
        )

    def _total(self, items: Sequence[ContextItem], question: str, wanted: Format) -> int:
        return (
            self._tokens(INSTRUCTIONS)
            + sum(self._sizes)
            + self._asked((*_earlier(self._lines), *items), question, wanted)
        )

    def _size(self, turn: Turn) -> int:
        return self._asked(turn.items, turn.question, turn.format) + self._tokens(turn.answer)

    def _asked(self, items: Sequence[ContextItem], question: str, wanted: Format) -> int:
        """Return the tokens of a question with what it brings."""
        # Items are joined by line ends, so that each can be weighed alone, and but once.
        around = _weigh(asked(NO_TEXT if items else (), question, wanted), self._family)
        more = sum(_weigh_item(item, self._family) for item in items) - (_weigh(JOINT, self._family) if items else 0)
        return rounded_up(around + more) + TOKENS_PER_MESSAGE

    def _tokens(self, text: str) -> int:
        return rounded_up(_weigh(text, self._family)) + TOKENS_PER_MESSAGE

    def _shorter(self, newest_outputs: int) -> Iterator[bool]:
        """Shorten the conversation by one more step each time, what is oldest and least missed first."""
        spared = max(0, self._rules.preserve_recent_tool_calls - newest_outputs)
        yield from self._cut_outputs(spared)
        yield from self._summarise(self._rules.preserve_recent_messages)
        yield from self._cut_outputs(0)
        self._must_cut = True
        yield True
        yield from self._summarise(LAST_TURNS)

    def _cut_outputs(self, spared: int) -> Iterator[bool]:
        """Cut long outputs of the turns, but for the newest `spared` of all outputs."""
        left = sum(bool(item.output) for turn in self.turns for item in turn.items) - spared
        for place, turn in enumerate(self.turns):
            items = list(turn.items)
            for index, item in enumerate(items):
                if item.output and left > 0:
                    items[index] = self._cut(item)
                    left -= 1
            if any(now is not before for now, before in zip(items, turn.items, strict=True)):
                self._known.subtract(item.key for item in turn.items)
                self._known.update(item.key for item in items)
                self.turns[place] = turn.model_copy(update={"items": tuple(items)})
                self._sizes[place] = self._size(self.turns[place])
                yield True

    def _cut(self, item: ContextItem) -> ContextItem:
        return _cut_item(item, self._rules.max_tool_output_tokens, self._family)

    def _summarise(self, spared: int) -> Iterator[bool]:
        """Put a line in the place of the oldest turns, but for the newest `spared`."""
        while len(self.turns) > spared:
            oldest = self.turns.pop(0)
            self._known.subtract(item.key for item in oldest.items)
            del self._sizes[0]
            self._lines += (*_lines(oldest.items), summary_line(oldest))
            while len(self._lines) > 1 and self._tokens("\n".join(self._lines)) > SUMMARY_SHARE * self._budget:
                del self._lines[0]
            yield True

    def _fewer(self, items: tuple[ContextItem, ...], *, least: int) -> Iterator[tuple[ContextItem, ...]]:
        """Give a question's items with one more cut each time, then one less, the least needed first; `least` stay."""
        order = sorted(range(len(items)), key=lambda index: (-items[index].rank, index))
        left = dict(enumerate(items))
        for index in order:
            left[index] = self._cut(left[index])
            yield tuple(left.values())
        for index in order[: len(order) - least]:
            del left[index]
            yield tuple(left.values())


@lru_cache(maxsize=REMEMBERED)
def _weigh(text: str, family: str) -> float:
    return weigh_text(text, family)


@lru_cache(maxsize=REMEMBERED)
def _weigh_item(item: ContextItem, family: str) -> float:
    return weigh_text(item_text(item) + JOINT, family)


@lru_cache(maxsize=REMEMBERED)
def _cut_item(item: ContextItem, limit_tokens: int, family: str) -> ContextItem:
    output = cut_output(item.output, limit_tokens, family)
    return item if output == item.output else item.model_copy(update={"output": output})


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


def _earlier(lines: Sequence[str]) -> tuple[ContextItem, ...]:
    """Return lines on earlier turns as an item; none without lines."""
    text = "\n".join((EARLIER_HEADING, *lines))
    return (ContextItem(ref=EARLIER, text=text, reason="what is left of them"),) if lines else ()


def _lines(items: Sequence[ContextItem]) -> list[str]:
    """Return the lines on earlier turns that are among items."""
    return [line for item in items if item.ref == EARLIER for line in item.text.split("\n")[1:]]


def _ends(text: str, chars: int) -> str:
    """Return a text in one line; of a long one a longer head and a shorter tail."""
    line = " ".join(text.split())
    return line if len(line) <= chars else f"{line[: 2 * chars // 3].rstrip()} … {line[-chars // 3 :].lstrip()}"
