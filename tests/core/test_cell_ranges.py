"""Cells by their numbers: what stands behind `--cells`, and references in the text of a question."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.cell_ranges import SPANS, parse, references, spans
from jupyter_llmroute.core.errors import UserError

KNOWN = (1, 2, 3, 5, 6, 7, 9)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3", (3,)),
        ("3,5", (3, 5)),
        ("5-7", (5, 6, 7)),
        ("3,5-7", (3, 5, 6, 7)),
        (" 3 , 5 - 7 ", (3, 5, 6, 7)),
        ("7-5", (5, 6, 7)),
        ("5–7", (5, 6, 7)),
        ("7,3,3,1-3", (1, 2, 3, 7)),
        ("2-6", (2, 3, 5, 6)),
        ("3-4", (3,)),
        ("6-", (6, 7, 9)),
        ("-2", (1, 2)),
        ("6-99", (6, 7, 9)),
        ("1-999999999", KNOWN),
    ],
)
def test_numbers_and_ranges_name_cells(text: str, numbers: tuple[int, ...]):
    choice = parse(text, KNOWN)
    assert (choice.which, choice.numbers) == ("numbers", numbers)


@pytest.mark.parametrize("word", ["all", "above", "none", " All ", "NONE"])
def test_words_name_cells(word: str):
    choice = parse(word, ())
    assert (choice.which, choice.numbers) == (word.strip().lower(), ())


THERE_IS = "Choose from 1-3, 5-7, 9, or write all, above or none."
FORMS = "Write numbers and ranges such as 3,5-7, or one of all, above, none."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4", f"--cells '4': there is no cell 4. {THERE_IS}"),
        ("3,10-12", f"--cells '3,10-12': there is no cell in the range '10-12'. {THERE_IS}"),
        ("12-", f"--cells '12-': there is no cell in the range '12-'. {THERE_IS}"),
        ("4-4", f"--cells '4-4': there is no cell in the range '4-4'. {THERE_IS}"),
        ("", f"--cells does not read: ''. {FORMS}"),
        ("-", f"--cells does not read: '-'. {FORMS}"),
        ("3,", f"--cells does not read: '' in '3,'. {FORMS}"),
        ("3 5", f"--cells does not read: '3 5'. {FORMS}"),
        ("last", f"--cells does not read: 'last'. {FORMS}"),
        ("3,above", f"--cells does not read: 'above' in '3,above'. {FORMS}"),
        ("1-2-3", f"--cells does not read: '1-2-3'. {FORMS}"),
        ("3.5", f"--cells does not read: '3.5'. {FORMS}"),
        ("9" * 5000, f"--cells does not read: '{'9' * 60}…'. {FORMS}"),
        ("٣", f"--cells does not read: '٣'. {FORMS}"),
    ],
)
def test_a_choice_that_names_no_cell_says_what_there_is(text: str, message: str):
    with pytest.raises(UserError) as error:
        parse(text, KNOWN)
    assert str(error.value) == message


def test_a_choice_before_any_cell_says_so():
    with pytest.raises(UserError, match="No cell has been run before this one: leave --cells out"):
        parse("1", ())


@given(st.text(), st.sets(st.integers(1, 99)))
@settings(deadline=None)
def test_any_choice_is_read_or_refused(text: str, known: set[int]):
    with contextlib.suppress(UserError):
        choice = parse(text, known)
        assert set(choice.numbers) <= known
        assert list(choice.numbers) == sorted(set(choice.numbers))


@given(st.sets(st.integers(1, 60)))
@settings(deadline=None)
def test_numbers_in_words_name_the_same_cells(numbers: set[int]):
    words = spans(numbers)
    if numbers and words.count(",") < SPANS - 1:
        assert parse(words.replace(" ", ""), numbers).numbers == tuple(sorted(numbers))


def test_many_spans_are_cut_in_their_middle():
    assert spans(range(1, 40, 2)) == "1, 3, 5, 7, 9, 11, 13, …, 39"


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("", []),
        ("why does In[3] fail?", ["In[3]"]),
        ("compare Out[12] with In[3] and Out[12]", ["Out[12]", "In[3]"]),
        ("`Err[3]` and In[ 4 ]", ["Err[3]", "In[4]"]),
        ("In[3]Out[4]", ["In[3]", "Out[4]"]),
        ("Pin[3], pin.In[3], in[3], In [3], In[x], In[-1], In[3, _3", []),
        ("In[1234567890]", []),
    ],
)
def test_a_question_names_cells_as_ipython_writes_them(question: str, found: list[str]):
    assert [str(reference) for reference in references(question)] == found


@given(st.text(alphabet="InOutErr[]0123 "))
@settings(deadline=None)
def test_every_reference_stands_in_its_question(question: str):
    assert all(str(found) in question.replace(" ", "") for found in references(question))
