"""What goes along with a question: the newest cells, bounded, oldest first."""

import mistune
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.context import CUT, CellsSource, Context, ContextItem, cut_middle, fenced, gather
from jupyter_llmroute.core.request import CellRef, Request, Turn
from jupyter_llmroute.core.settings import ContextSettings

CELLS = tuple(CellRef(number=n, source=f"x = {n}") for n in range(1, 6))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def texts(cells: tuple[CellRef, ...], **limits: int) -> list[str]:
    items = await CellsSource(ContextSettings(**limits)).items(Request(question="why?", cells=cells))
    return [item.text for item in items]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("max_cells", "refs"),
    [(0, []), (1, ["In[5]"]), (3, ["In[3]", "In[4]", "In[5]"]), (9, [f"In[{n}]" for n in range(1, 6)])],
)
async def test_newest_cells_oldest_first(max_cells: int, refs: list[str]):
    source = CellsSource(ContextSettings(max_cells=max_cells))
    assert [item.ref for item in await source.items(Request(question="why?", cells=CELLS))] == refs


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (CellRef(number=3, source="1 + 1"), "In[3]:\n```python\n1 + 1\n```"),
        (CellRef(number=3, source="1 + 1", output="2"), "In[3]:\n```python\n1 + 1\n```\nOut[3]:\n```\n2\n```"),
        (CellRef(number=4, source="f'{x}' # $y \\n"), "In[4]:\n```python\nf'{x}' # $y \\n\n```"),
        (CellRef(number=5, source='"""\n```py\n"""'), 'In[5]:\n````python\n"""\n```py\n"""\n````'),
    ],
    ids=["source", "result", "as it is written", "a fence within"],
)
async def test_a_cell_is_shown_as_it_was(cell: CellRef, text: str):
    assert await texts((cell,)) == [text]


@pytest.mark.anyio
async def test_a_long_cell_and_a_long_result_are_cut_in_their_middles():
    [text] = await texts((CellRef(number=1, source="a" * 50 + "b" * 50, output="c" * 99),), max_cell_chars=10)
    assert "aaaaa\n… 90 characters left out …\nbbbbb" in text
    assert "ccccc\n… 89 characters left out …\nccccc" in text


@pytest.mark.anyio
async def test_sources_are_asked_in_order():
    class Says:
        def __init__(self, *refs: str):
            self.refs = refs

        async def items(self, request: Request) -> list[ContextItem]:
            return [ContextItem(ref=ref, text=request.question) for ref in self.refs]

    request = Request(question="why?")
    context = await gather(request, [Says("a", "b"), Says(), Says("c")])
    assert [(item.ref, item.text) for item in context.items] == [("a", "why?"), ("b", "why?"), ("c", "why?")]
    assert context.request == request
    assert context.left_out == ()


@pytest.mark.parametrize(
    ("items", "turns", "refs"),
    [
        ([], [], ()),
        (["In[1]"], [], ("In[1]",)),
        (["In[4]", "x.py"], [2, 3], ("In[4]", "x.py", "answer to In[2]", "answer to In[3]")),
    ],
)
def test_all_that_goes_along_is_named(items: list[str], turns: list[int], refs: tuple[str, ...]):
    request = Request(question="why?", turns=tuple(Turn(number=n, question="q", answer="a") for n in turns))
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
