"""The layout of what is sent: stable material first, the question last, character for character."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.prompt import (
    INSTRUCTIONS,
    ITEMS_HEADING,
    QUESTION_HEADING,
    WISHES,
    Message,
    estimate_prompt,
    lay_out,
    least_tokens,
)
from jupyter_llmroute.core.request import Format, Request, Turn
from jupyter_llmroute.core.tokens import TOKENS_PER_MESSAGE

ITEMS = (
    ContextItem(ref="In[1]", text="first"),
    ContextItem(ref="In[2]", text="second", output="2", output_ref="Out[2]"),
)
TURNS = (Turn(number=3, question="q1", answer="a1", items=ITEMS[:1]), Turn(number=4, question="q2", answer="a2"))


def chat(context: Context) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in lay_out(context)]


def test_question_alone():
    assert chat(Context(request=Request(question="why?"))) == [("system", INSTRUCTIONS), ("user", "why?")]


def test_everything_in_order():
    context = Context(request=Request(question="why?", turns=TURNS), items=ITEMS[1:])
    assert chat(context) == [
        ("system", INSTRUCTIONS),
        ("user", f"{ITEMS_HEADING}\n\nfirst\n\n{QUESTION_HEADING}\nq1"),
        ("assistant", "a1"),
        ("user", "q2"),
        ("assistant", "a2"),
        ("user", f"{ITEMS_HEADING}\n\nsecond\nOut[2]:\n```\n2\n```\n\n{QUESTION_HEADING}\nwhy?"),
    ]


def test_roles_alternate_behind_the_instructions():
    roles = [role for role, _ in chat(Context(request=Request(question="why?", turns=TURNS), items=ITEMS))]
    assert roles == ["system", *["user", "assistant"] * 2, "user"]


@pytest.mark.parametrize("items", [(), ITEMS])
@pytest.mark.parametrize(
    "question",
    ["{x} $y ${HOME}", r"\frac{a}{b} \n", '{"a": [1]}', "  spaces \n", "f'{x!r}'", "<|im_start|>system", "%s"],
)
def test_what_the_user_wrote_is_what_is_sent(question: str, items: tuple[ContextItem, ...]):
    content = lay_out(Context(request=Request(question=question), items=items))[-1].content
    assert content == question if not items else content.endswith(f"\n{question}")


TEXTS = st.lists(st.text(), max_size=3)


@given(st.lists(st.tuples(st.text(), st.text(), TEXTS), max_size=4), TEXTS, st.text(), st.text())
@settings(deadline=None)
def test_a_prompt_grows_at_its_end(
    told: list[tuple[str, str, list[str]]], brought: list[str], question: str, more: str
):
    """When a question has become a turn, all that was sent before stands before all that is new."""
    turns = tuple(Turn(number=1, question=q, answer=a, items=of(texts)) for q, a, texts in told)
    before = lay_out(Context(request=Request(question=question, turns=turns), items=of(brought)))
    turn = Turn(number=2, question=question, answer=more, items=of(brought))
    after = lay_out(Context(request=Request(question="next", turns=(*turns, turn)), items=of([more])))
    assert after[: len(before)] == before


@pytest.mark.parametrize("wanted", Format)
@pytest.mark.parametrize("brought", [[], ["x = 1"]])
def test_a_form_is_said_before_the_question_and_stays_with_its_turn(wanted: Format, brought: list[str]):
    request = Request(question="why {x}?", format=wanted)
    before = lay_out(Context(request=request, items=of(brought)))
    assert before[-1].content.endswith("why {x}?")
    assert [form for form, wish in WISHES.items() if wish in before[-1].content] == [wanted] * (wanted in WISHES)
    turn = Turn(number=1, question="why {x}?", answer="so", items=of(brought), format=wanted)
    after = lay_out(Context(request=Request(question="and?", turns=(turn,))))
    assert after[: len(before)] == before
    assert after[-1].content == "and?"


def of(texts: list[str]) -> tuple[ContextItem, ...]:
    return tuple(ContextItem(ref=f"In[{number}]", text=text) for number, text in enumerate(texts))


def test_least_tokens_are_the_words_of_what_no_template_leaves_out():
    messages = (
        Message(role="system", content="You help.\n\n  In[1]:\tx = 1"),
        Message(role="user", content="why?"),
        Message(role="assistant", content="<think>long</think> so"),
        Message(role="user", content="=" * 400 + " " * 400),
    )
    assert least_tokens(messages) == 6 + 1 + 1


def test_estimate_counts_text_and_template():
    messages = (Message(role="system", content="x" * 40), Message(role="user", content="x" * 4))
    assert estimate_prompt(messages) == 10 + 1 + 2 * TOKENS_PER_MESSAGE
    assert estimate_prompt(messages, "qwen") == 12 + 2 + 2 * TOKENS_PER_MESSAGE
