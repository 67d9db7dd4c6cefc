"""Messages as they are sent, and the calls that servers tell, whatever they tell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.message import Message, ToolCall, told_calls


def test_a_plain_message_has_two_keys() -> None:
    assert Message(role="user", content="Hi").model_dump() == {"role": "user", "content": "Hi"}


def test_a_call_is_written_as_the_dialect_has_it() -> None:
    call = ToolCall(index=0, id="c1", name="now", arguments="{}")
    assert Message(role="assistant", content="", tool_calls=(call,)).model_dump() == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}],
    }


@pytest.mark.parametrize("told", [None, "calls", {}, [None, 3, "x"], [[]]])
def test_what_is_no_call_is_passed_over(told: Any) -> None:
    assert told_calls(told) == ()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["index", "id", "function", "name", "arguments", "type"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_JSON)
def test_whatever_a_server_tells_gives_calls_that_can_be_sent(told: Any) -> None:
    for call in told_calls(told):
        assert call.model_dump_json()
