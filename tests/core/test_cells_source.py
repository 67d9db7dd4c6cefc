"""Which cells go along with a question, and how they are written."""

import pytest

from jupyter_llmroute.core.attachment import Attachment
from jupyter_llmroute.core.cells_source import AttachmentsSource, CellsSource
from jupyter_llmroute.core.prompt import item_text
from jupyter_llmroute.core.request import CellRef, Request
from jupyter_llmroute.core.sections import ContextSettings

pytestmark = pytest.mark.anyio

CELLS = tuple(CellRef(number=n, source=f"x{n} = {n}") for n in range(1, 6))
FAILING = CellRef(number=7, source="load(path)", output="reading", error="Traceback\nNameError: name 'load'")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def items(request: Request, **limits: int):
    return (await CellsSource(ContextSettings(**limits)).gather(request)).items


async def refs(question: str, cells: tuple[CellRef, ...] = CELLS, *, max_cells: int = 8, **more) -> list[str]:
    found = await items(Request(question=question, cells=cells, **more), max_cells=max_cells)
    return [item.ref for item in found]


@pytest.mark.parametrize(
    ("max_cells", "expected"),
    [(0, []), (1, ["In[5]"]), (3, ["In[3]", "In[4]", "In[5]"]), (9, [f"In[{n}]" for n in range(1, 6)])],
)
async def test_without_names_the_newest_go_along_oldest_first(max_cells: int, expected: list[str]):
    assert await refs("why?", max_cells=max_cells) == expected


async def test_a_cell_whose_name_is_asked_for_comes_before_newer_ones():
    assert await refs("what is `x1`?", max_cells=2) == ["In[1]", "In[5]"]
    found = await items(Request(question="what is `x1`?", cells=CELLS), max_cells=2)
    assert [(item.rank, item.reason) for item in found] == [(0, "defines `x1`"), (1, "just before")]


async def test_cells_that_the_user_names_go_along_and_no_others():
    assert await refs("what is `x1`?", chosen_cells=frozenset({4, 2, 99}), max_cells=1) == ["In[2]", "In[4]"]
    assert await refs("what is `x1`?", chosen_cells=frozenset()) == []


async def test_the_failing_cell_comes_first_with_its_traceback():
    newer = CellRef(number=8, source="y = 1")
    [item] = await items(
        Request(question="Fix this error.", cells=(*CELLS, FAILING, newer), failed_cell=7), max_cells=1
    )
    assert item.ref == "In[7]"
    text = item_text(item)
    assert text.endswith("Err[7]:\n```\nreading\nTraceback\nNameError: name 'load'\n```")


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
async def test_a_cell_is_written_as_it_was(cell: CellRef, text: str):
    assert [item_text(item) for item in await items(Request(question="why?", cells=(cell,)))] == [text]


async def test_a_long_cell_and_a_long_result_are_cut_in_their_middles():
    cell = CellRef(number=1, source="a" * 50 + "b" * 50, output="c" * 99)
    [item] = await items(Request(question="why?", cells=(cell,)), max_cell_chars=10)
    text = item_text(item)
    assert "aaaaa\n… 90 characters left out …\nbbbbb" in text
    assert "ccccc\n… 89 characters left out …\nccccc" in text


async def test_what_the_user_attached_goes_along_by_its_name():
    attached = Attachment(name="df", kind="pandas.DataFrame", text="df: pandas.DataFrame, 3 rows x 1 columns")
    found = await AttachmentsSource().gather(Request(question="what is in @df?", attachments=(attached,)))
    [item] = found.items
    assert (item.ref, item.text, item.reason) == ("df", attached.text, "named by you")


async def remarks(question: str, cells: tuple[CellRef, ...] = CELLS) -> tuple[str, ...]:
    return (await CellsSource(ContextSettings()).gather(Request(question=question, cells=cells))).remarks


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("why is Out[3] so?", ()),
        ("Out[99] and In[99]?", ("Out[99]", "In[99]")),
        ("In[3], Err[6]?", ("Err[6]",)),
    ],
)
async def test_a_cell_that_is_named_and_is_not_there_is_said(question: str, expected: tuple[str, ...]):
    said = tuple(f"There is no {ref} in this session: nothing was attached for it." for ref in expected)
    assert await remarks(question) == said


async def test_a_cell_that_is_gone_is_said_and_one_that_the_user_keeps_out_is_not():
    request = Request(question="In[3] and In[2]?", cells=(CELLS[1], CELLS[4]), number=6)
    said = (await CellsSource(ContextSettings()).gather(request)).remarks
    assert said == ("In[3] is no longer among the cells of this session: nothing was attached for it.",)
    for kept_out in ({"chosen_cells": frozenset({5})}, {"cells": ()}):
        assert (await CellsSource(ContextSettings()).gather(request.model_copy(update=kept_out))).remarks == ()


async def test_what_was_not_read_is_said():
    long = CellRef(number=6, source="x = 1\n" * 200_000)
    [said] = await remarks("what is `x`?", (*CELLS, long))
    assert said == "In[6] was not read for names: it has 1,200,000 characters."


async def test_what_a_description_leaves_out_is_said():
    cut = Attachment(name="df", kind="pandas.DataFrame", text="...", left_out=("960 of 1,000 columns",))
    found = await AttachmentsSource().gather(Request(question="?", attachments=(cut,)))
    assert found.remarks == ("df is described without 960 of 1,000 columns.",)


async def test_the_failing_cell_is_meant_and_not_what_stands_above_it():
    heading = FAILING.model_copy(update={"kind": "markdown", "source": "## Ratio", "error": "", "output": ""})
    request = Request(
        question="Fix this error.", cells=(heading, FAILING), failed_cell=7, chosen_cells=frozenset(), number=8
    )
    assert [item.ref for item in await items(request)] == ["In[7]"]


async def test_prose_goes_along_in_its_order():
    prose = [CellRef(number=5, source=text, kind="markdown", id=text) for text in ("# One", "first", "second")]
    found = await items(Request(question="why?", cells=(*CELLS[:4], *prose, CELLS[4])), max_cells=9)
    assert [item.text for item in found if "text above" in item.ref] == ["# One", "first", "second"]


async def test_the_heading_of_a_cell_that_is_needed_goes_before_it():
    heading = CellRef(number=3, source="## Rates", kind="markdown", id="m")
    found = await items(Request(question="what is `x3`?", cells=(*CELLS[:2], heading, *CELLS[2:])), max_cells=3)
    assert [(item.ref, item.text) for item in found][:2] == [
        ("text above In[3]", "## Rates"),
        ("In[3]", "In[3]:\n```python\nx3 = 3\n```"),
    ]


async def test_a_secret_is_masked_where_it_is_only_shown_too():
    told = CellRef(number=6, source="password = 'hunter2secretpw'\nprint(password)", output="hunter2secretpw")
    later = CellRef(number=7, source="print(password[:99])", output="it is hunter2secretpw")
    found = await items(Request(question="what is `password`?", cells=(told, later)))
    assert [item.ref for item in found] == ["In[6]", "In[7]"]
    assert "hunter2" not in "".join(map(item_text, found))
