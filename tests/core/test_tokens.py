"""Estimated tokens: characters per token by family, and one token a character for wide scripts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.tokens import CHARS_PER_TOKEN, estimate_tokens


@pytest.mark.parametrize(
    ("text", "family", "tokens"),
    [
        ("", "", 0),
        ("x", "", 1),
        ("x" * 400, "", 100),
        ("x" * 401, "", 101),
        ("x" * 350, "qwen", 100),
        ("x" * 380, "llama", 100),
        ("x" * 400, "gemma", 100),
        ("数据分析", "", 4),
        ("数据分析", "qwen", 4),
        ("한국어 カナ", "", 6),
        ("數據 data", "", 4),
        ("𠀀𠀁", "", 2),
        ("привет!!", "", 2),
    ],
)
def test_estimate(text: str, family: str, tokens: int):
    assert estimate_tokens(text, family) == tokens


@given(st.text(), st.text(), st.sampled_from(["", *CHARS_PER_TOKEN]))
@settings(deadline=None)
def test_a_longer_text_has_no_fewer_and_parts_no_fewer_than_the_whole(one: str, other: str, family: str):
    whole = estimate_tokens(one + other, family)
    assert max(estimate_tokens(one, family), estimate_tokens(other, family)) <= whole
    assert whole <= estimate_tokens(one, family) + estimate_tokens(other, family)
    assert (whole == 0) == (one + other == "")


def test_families_are_named_as_the_catalog_names_them():
    assert CHARS_PER_TOKEN.keys() <= {info.family for info in Catalog.load().model}
