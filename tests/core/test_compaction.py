"""Fitting a conversation into a window: rarely and far, in the same bytes each time, and never the question."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.compaction import (
    EARLIER,
    EARLIER_HEADING,
    bare_of_repeats,
    compact,
    cut_output,
    summary_line,
)
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.prompt import estimate_prompt, lay_out
from jupyter_llmroute.core.request import Request, Turn
from jupyter_llmroute.core.sections import ContextSettings
from jupyter_llmroute.core.tokens import estimate_tokens


def item(number: int, size: int = 20, output: int = 0) -> ContextItem:
    told = f"{number} " * (output // 2)
    return ContextItem(ref=f"In[{number}]", text="c" * size, output=told, output_ref=f"Out[{number}]", rank=number)


def turn(number: int, size: int = 400, *items: ContextItem) -> Turn:
    return Turn(number=number, question=f"question {number}?", answer="a" * size, items=items)


def context(turns: list[Turn], *items: ContextItem, question: str = "why?") -> Context:
    return Context(request=Request(question=question, turns=tuple(turns)), items=items)


def tokens(given: Context, family: str = "") -> int:
    return estimate_prompt(lay_out(given), family)


def bare(given: Context) -> Context:
    request = given.request.model_copy(update={"turns": ()})
    return given.model_copy(update={"request": request, "items": ()})


LONG = [turn(number) for number in range(1, 31)]


def test_below_the_threshold_nothing_changes():
    given = context(LONG, item(99))
    assert compact(given, int(tokens(given) / 0.8) + 1) == given


def test_above_the_threshold_it_is_shortened_to_the_target():
    given = context(LONG, item(99))
    budget = int(tokens(given) / 0.8) - 10
    fitted = compact(given, budget)
    assert 0.4 * budget < tokens(fitted) <= 0.5 * budget
    assert fitted.request.turns == tuple(LONG[len(LONG) - len(fitted.request.turns) :])
    gone = len(LONG) - len(fitted.request.turns)
    assert fitted.left_out == tuple(f"answer to In[{number}]" for number in range(1, gone + 1))
    earlier, *brought = fitted.items
    heading, *lines = earlier.text.split("\n")
    assert heading == EARLIER_HEADING
    assert lines == [*map(summary_line, LONG[gone - len(lines) : gone])]
    assert 0 < len(lines) <= gone
    assert tuple(brought) == given.items


def test_the_turns_that_stay_follow_the_instructions_at_once_and_lines_on_others_stay_with_their_question():
    """A server that moves up what it remembers of them finds it there."""
    turns = [turn(number) for number in range(1, 61)]
    fitted = compact(context(turns), 5000)
    told = [[item.text for item in each.items if item.ref == EARLIER] for each in fitted.request.turns]
    assert told[0] == []
    assert sum(map(len, told)) == 1
    kept = fitted.request.turns[0].number
    [text] = [text for texts in told for text in texts]
    last = int(text.rpartition("In[")[2].partition("]")[0])
    assert last == kept - 1


def test_it_grows_from_there_so_that_servers_remember_it():
    """Over a long session most prompts begin with all of the one before."""
    turns: list[Turn] = []
    grown = 0
    before = ()
    for number in range(1, 101):
        brought = (item(number, 200, 300), item(number - 1, 200, 300))
        sent = lay_out(compact(context(turns, *brought, question=f"question {number}?"), 16_000))
        grown += sent[: len(before)] == before
        before = sent
        turns.append(turn(number, 300, *brought))
    assert grown >= 85


def test_what_a_turn_has_brought_is_not_sent_again():
    given = context([turn(1, 40, item(1), item(2))], item(2), item(3))
    assert [each.ref for each in bare_of_repeats(given).items] == ["In[3]"]
    changed = item(2).model_copy(update={"output": "other"})
    assert bare_of_repeats(context([turn(1, 40, item(2))], changed)).items == (changed,)


def test_what_went_with_its_turn_is_brought_again_where_it_is_needed():
    given = context([turn(1, 4000, item(1)), *LONG[1:4]], item(1))
    fitted = compact(given, 1400)
    assert 1 not in [turn.number for turn in fitted.request.turns]
    assert fitted.items[-1:] == (item(1),)


def test_outputs_are_cut_before_turns_go_and_the_newest_last():
    turns = [turn(number, 20, item(number, 20, 3000)) for number in range(1, 9)]
    fitted = compact(context(turns), 17_000, rules=ContextSettings(max_tool_output_tokens=100))
    assert len(fitted.request.turns) == 8
    whole = [turn.items == before.items for turn, before in zip(fitted.request.turns, turns, strict=True)]
    assert whole[-5:] == [True] * 5
    assert not all(whole)
    assert fitted.left_out == tuple(f"the middle of Out[{n}]" for n, kept in enumerate(whole, start=1) if not kept)


def test_where_room_lacks_the_least_needed_goes_first():
    given = context([], item(1, 1000), item(2, 1000), item(3, 1000))
    fitted = compact(given, tokens(given) - 1)
    assert [each.ref for each in fitted.items] == ["In[1]", "In[2]"]
    assert fitted.left_out == ("In[3]",)


def test_what_was_left_out_before_stays_named():
    given = context([], item(1, 1000)).model_copy(update={"left_out": ("In[0]",)})
    assert compact(given, 100).left_out == ("In[0]", "In[1]")


def test_a_cut_output_has_its_ends_and_says_what_is_missing():
    output = "\n".join(f"line {number}" for number in range(2000))
    cut = cut_output(output, 500)
    assert cut.startswith("line 0\n")
    assert cut.endswith("line 1999")
    assert "tokens left out here" in cut
    assert estimate_tokens(cut) < 600
    assert cut_output(cut, 500) == cut
    assert cut_output("short", 500) == "short"


def test_a_summary_keeps_the_ends_of_question_and_answer_without_code():
    told = summary_line(
        Turn(number=7, question="Why\nso?", answer="It is so.\n```python\nsecret()\n```\nBecause " + "x " * 300 + "end")
    )
    assert told.startswith('- In[7]: "Why so?" - "It is so. (code) Because x x')
    assert told.endswith('x x end"')
    assert "secret" not in told
    assert (
        summary_line(Turn(number=7, question="q", answer="a" * 999, summary="In short."))
        == '- In[7]: "q" - "In short."'
    )


ITEMS = st.lists(st.builds(item, st.integers(1, 12), st.integers(0, 300), st.integers(0, 4000)), max_size=4)
TURNS = st.lists(st.tuples(st.integers(0, 1500), ITEMS), max_size=14)
FAMILIES = st.sampled_from(["", "qwen", "llama"])


def drawn(told: list[tuple[int, list[ContextItem]]], items: list[ContextItem], question: str) -> Context:
    turns = [turn(number, size, *brought) for number, (size, brought) in enumerate(told, start=20)]
    return context(turns, *items, question=question)


@given(TURNS, ITEMS, st.text(max_size=60), st.integers(0, 5000), FAMILIES)
@settings(deadline=None, max_examples=200)
def test_rules(told, items, question: str, budget: int, family: str):
    given_context = drawn(told, items, question)
    fitted = compact(given_context, budget, family)
    assert tokens(fitted, family) <= max(budget, tokens(bare(given_context), family)), "never over the budget"
    assert fitted.request.question == question, "the question is intact"
    assert compact(fitted, budget, family).request == fitted.request, "compacting twice is compacting once"
    assert lay_out(compact(fitted, budget, family)) == lay_out(fitted)
    assert lay_out(compact(drawn(told, items, question), budget, family)) == lay_out(fitted), "the same bytes"
    numbers = [each.number for each in fitted.request.turns]
    assert numbers == sorted(numbers), "in their order"
    assert numbers == [each.number for each in given_context.request.turns][len(told) - len(numbers) :], (
        "the newest stay"
    )
    refs = [each.ref for each in fitted.items if each.ref != EARLIER]
    order = [each.ref for each in given_context.items]
    left = iter(order)
    assert all(ref in left for ref in refs), "in their order"
    there = {each.key for each in (*fitted.items, *(i for turn in fitted.request.turns for i in turn.items))}
    for each in given_context.items:
        assert each.key in there or any(each.ref in told or each.output_ref in told for told in fitted.left_out), "said"


@given(TURNS, ITEMS, st.integers(500, 5000))
@settings(deadline=None, max_examples=100)
def test_a_question_that_has_become_a_turn_is_sent_as_it_was(told, items, budget: int):
    asked = drawn(told, items, "why?")
    sent = lay_out(compact(asked, budget))
    turns = (*asked.request.turns, Turn(number=99, question="why?", answer="So.", items=asked.items))
    later = lay_out(compact(Context(request=Request(question="and?", turns=turns)), budget))
    assume(estimate_prompt(later) <= 0.8 * budget and len(later) > len(sent))
    assert later[: len(sent)] == sent


@pytest.mark.parametrize("budget", [0, 1, 50])
def test_where_not_even_the_question_fits_it_goes_alone(budget: int):
    fitted = compact(context(LONG, item(1)), budget)
    assert lay_out(fitted) == lay_out(bare(fitted))
