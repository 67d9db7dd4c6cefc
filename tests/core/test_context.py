"""What goes along with a question: where it comes from, and how it is written."""

import mistune
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.context import CUT, Context, Gathered, cut_middle, fenced, gather
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.request import Request, Turn


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_sources_are_asked_in_order():
    class Says:
        def __init__(self, *refs: str):
            self.refs = refs

        async def gather(self, request: Request) -> Gathered:
            items = tuple(ContextItem(ref=ref, text=request.question) for ref in self.refs)
            return Gathered(items=items, remarks=tuple(f"{ref} is old" for ref in self.refs[:1]))

    request = Request(question="why?", remarks=("no x",))
    context = await gather(request, [Says("a", "b"), Says(), Says("c")])
    assert [(item.ref, item.text) for item in context.items] == [("a", "why?"), ("b", "why?"), ("c", "why?")]
    assert context.request == request
    assert context.remarks == ("no x", "a is old", "c is old")
    assert context.left_out == ()


BROUGHT = (ContextItem(ref="In[1]", text=""),)


@pytest.mark.parametrize(
    ("items", "turns", "refs"),
    [
        ([], [], ()),
        (["In[1]"], [], ("In[1]",)),
        (["In[4]", "x.py"], [2, 3], ("In[1]", "In[4]", "x.py", "answer to In[2]", "answer to In[3]")),
    ],
)
def test_all_that_goes_along_is_named(items: list[str], turns: list[int], refs: tuple[str, ...]):
    request = Request(
        question="why?", turns=tuple(Turn(number=n, question="q", answer="a", items=BROUGHT) for n in turns)
    )
    assert Context(request=request, items=tuple(ContextItem(ref=ref, text="") for ref in items)).refs() == refs


@given(st.text(), st.integers(1, 40))
@settings(deadline=None)
def test_cutting_keeps_both_ends_and_counts_the_rest(text: str, limit: int):
    short = cut_middle(text, limit)
    if len(text) <= limit:
        assert short == text
        return
    half = limit // 2
    assert short == text[:half] + CUT.format(chars=len(text) - 2 * half) + text[len(text) - half :]


@given(st.text(alphabet="`~ \na\t-"), st.text(alphabet="`~ \na\t-"))
@settings(deadline=None)
def test_nothing_within_a_fence_closes_it(text: str, after: str):
    blocks = mistune.create_markdown(renderer=None)(f"{fenced(text, 'python')}\n\nAFTER {after}")
    assert blocks[0]["type"] == "block_code"
    assert blocks[0]["raw"] == f"{text}\n"
