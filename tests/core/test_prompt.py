"""The layout of what is sent: stable material first, the question last, character for character."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.context import Context, ContextItem
from jupyter_llmroute.core.prompt import CELLS_HEADING, INSTRUCTIONS, Message, estimate_prompt, lay_out, least_tokens
from jupyter_llmroute.core.request import Request, Turn
from jupyter_llmroute.core.tokens import TOKENS_PER_MESSAGE

ITEMS = (ContextItem(ref="In[1]", text="first"), ContextItem(ref="In[2]", text="second"))
TURNS = (Turn(number=3, question="q1", answer="a1"), Turn(number=4, question="q2", answer="a2"))


def chat(context: Context) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in lay_out(context)]


def test_question_alone():
    assert chat(Context(request=Request(question="why?"))) == [("system", INSTRUCTIONS), ("user", "why?")]


def test_everything_in_order():
    assert chat(Context(request=Request(question="why?", turns=TURNS), items=ITEMS)) == [
        ("system", f"{INSTRUCTIONS}\n\n{CELLS_HEADING}\n\nfirst\n\nsecond"),
        ("user", "q1"),
        ("assistant", "a1"),
        ("user", "q2"),
        ("assistant", "a2"),
        ("user", "why?"),
    ]


@pytest.mark.parametrize(
    "question",
    ["{x} $y ${HOME}", r"\frac{a}{b} \n", '{"a": [1]}', "  spaces \n", "f'{x!r}'", "<|im_start|>system", "%s"],
)
def test_what_the_user_wrote_is_what_is_sent(question: str):
    assert lay_out(Context(request=Request(question=question), items=ITEMS))[-1].content == question


@given(st.lists(st.text(), max_size=4), st.text(), st.text())
@settings(deadline=None)
def test_while_nothing_leaves_a_prompt_grows_at_its_end(cells: list[str], more: str, question: str):
    items = tuple(ContextItem(ref=f"In[{n}]", text=text) for n, text in enumerate(cells))
    before = lay_out(Context(request=Request(question=question), items=items))
    after = lay_out(Context(request=Request(question="next"), items=(*items, ContextItem(ref="In[9]", text=more))))
    assert after[0].content.startswith(before[0].content)
    turn = Turn(number=1, question=question, answer=more)
    assert lay_out(Context(request=Request(question="next", turns=(turn,)), items=items))[: len(before)] == before


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
