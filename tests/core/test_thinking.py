"""Thoughts are told from the answer, wherever the stream is cut, and nothing is lost."""

import re
from copy import copy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_llmroute.core.thinking import SPELLINGS, Split, ThinkSplitter

ENDS = [end for ends in SPELLINGS.values() for end in ends]
TAGS = [*SPELLINGS, *ENDS]
HARMONY = "<|channel|>analysis<|message|>"
FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"


def split(*pieces: str) -> Split:
    splitter = ThinkSplitter()
    parts = [*map(splitter.feed, pieces), splitter.close()]
    return Split("".join(part.text for part in parts), "".join(part.reasoning for part in parts))


ANSWERS = {
    # name: (answer, text, reasoning)
    "no thoughts": ("Hello", "Hello", ""),
    "nothing": ("", "", ""),
    "thoughts": ("<think>hm</think>Yes", "Yes", "hm"),
    "as models write them": ("<think>\nhm\n</think>\n\nYes\n", "Yes\n", "\nhm\n\n\n"),
    "blank before": (" \n\t<think>hm</think>Yes", "Yes", " \n\thm"),
    "an indented answer": ("<think>hm</think>\r\n    x = 1", "    x = 1", "hm\r\n"),
    "empty thoughts": ("<think>\n\n</think>\n\nYes", "Yes", "\n\n\n\n"),
    "never ended": ("<think>hm, hm", "", "hm, hm"),
    "ended in an end tag begun": ("<think>hm</thi", "", "hm</thi"),
    "ended in a start tag begun": (" <thi", " <thi", ""),
    "blank alone": (" \n ", " \n ", ""),
    "thoughts alone": ("<think>hm</think>", "", "hm"),
    "thoughts and line ends alone": ("<think>hm</think>\n\n", "", "hm\n\n"),
    "later tags": ("See <think>this</think>.", "See <think>this</think>.", ""),
    "twice": ("<think>hm</think>Yes <think>no</think>", "Yes <think>no</think>", "hm"),
    "within thoughts": ("<think>a <think> b</think>Yes", "Yes", "a <think> b"),
    "another end within": ("<think>a </thinking> b</think>Yes", "Yes", "a </thinking> b"),
    "an end tag begun within": ("<think>a </thin b</think>Yes", "Yes", "a </thin b"),
    "an end tag alone": ("\n</think>\n\nYes", "Yes", "\n\n\n"),
    "an end tag alone, after text": ("hm\n</think>\n\nYes", "hm\n</think>\n\nYes", ""),
    "nearly a tag": ("<thinker>hm", "<thinker>hm", ""),
    "another sign": ("< 5", "< 5", ""),
    "capitals": ("<THINK>hm</THINK>", "<THINK>hm</THINK>", ""),
    "gpt-oss": (f"{HARMONY}hm{FINAL}Yes", "Yes", "hm"),
    "gpt-oss, no end": (f"{HARMONY}hm<|channel|>final<|message|>Yes", "Yes", "hm"),
    "gpt-oss, no thoughts": ("<|channel|>final<|message|>Yes", "Yes", ""),
    "gpt-oss, in the middle": (f"{HARMONY}hm<|end|>hm", "", "hm<|end|>hm"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer(name):
    answer, *expected = ANSWERS[name]
    assert list(split(answer)) == expected
    assert list(split(*answer)) == expected, "character by character"


@pytest.mark.parametrize(("start", "end"), [(start, end) for start, ends in SPELLINGS.items() for end in ends])
def test_spelling(start, end):
    assert split(f"{start}hm{end}Yes") == Split("Yes", "hm")
    assert split(*f"\n{start}hm{end}\nYes") == Split("Yes", "\nhm\n")


def test_thoughts_in_a_field_of_their_own_make_tags_text():
    splitter = ThinkSplitter()
    assert splitter.feed("", "hm") == Split("", "hm")
    assert splitter.feed("<think>tags</think>") == Split("<think>tags</think>", "")


@pytest.mark.parametrize(
    ("before", "parts"),
    [("<thi", Split("<thinext", "hm")), ("<think>a</th", Split("next", "</thhm")), ("Yes", Split("next", "hm"))],
)
def test_what_was_held_back_comes_before_them(before, parts):
    splitter = ThinkSplitter()
    splitter.feed(before)
    assert splitter.feed("next", "hm") == parts


def reference(answer: str) -> Split:
    """Part a whole answer by one expression."""
    pairs = "|".join(
        f"{re.escape(start)}(.*?)(?:{'|'.join(map(re.escape, ends))}|\\Z)" for start, ends in SPELLINGS.items()
    )
    alone = "|".join(map(re.escape, ENDS))
    found = re.match(rf"(\s*)(?:{pairs}|{alone})([\r\n]*)(.*)\Z", answer, re.DOTALL)
    if not found:
        return Split(answer, "")
    *thoughts, text = found.groups(default="")
    return Split(text, "".join(thoughts))


PIECES = st.lists(
    st.sampled_from([*TAGS, "\n", " ", "\r", "a", "<", "</", "think", "<|", "|>", "◁"]) | st.text(max_size=3),
    max_size=8,
)


@st.composite
def answers(draw):
    """Answers that are likely to hold tags, whole and in pieces."""
    return "".join(draw(PIECES))


@given(answers(), st.data())
@example("<think>a</think>\n\nb", None)
def test_the_parts_do_not_depend_on_where_the_answer_is_cut(answer, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=6))) if data else [3]
    pieces = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    assert split(*pieces) == split(answer) == reference(answer)


@given(answers())
def test_text_thoughts_and_one_pair_of_tags_are_the_answer(answer):
    text, reasoning = split(answer)
    pairs = [start + end for start, ends in SPELLINGS.items() for end in (*ends, "")]
    assert answer.endswith(text)
    assert len(answer) - len(text) - len(reasoning) in {0, *map(len, pairs), *map(len, ENDS)}


@given(answers())
def test_only_what_may_become_a_tag_is_held_back(answer):
    splitter = ThinkSplitter()
    for character in answer:
        splitter.feed(character)
        held = "".join(copy(splitter).close())
        assert held.strip() == "" or any(tag.startswith(held.lstrip()) for tag in TAGS)
