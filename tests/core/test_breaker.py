"""A server that fails several times in a row is left alone for a while, each time for longer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jupyter_llmroute.core.breaker import LONGEST_S, Breaker

NEW = Breaker()
NOW = 1_700_000_000.0


def after(*failed_at: float, allowed: int = 3, first_s: float = 30.0) -> Breaker:
    """The state after failures at these times, in seconds from `NOW`."""
    breaker = NEW
    for at in failed_at:
        breaker = breaker.with_failure(NOW + at, allowed=allowed, first_s=first_s)
    return breaker


def opened(failures: int, times: int, until: float) -> Breaker:
    return Breaker(failures=failures, opened=times, open_until=NOW + until)


TRANSITIONS = {
    # name: (after, what it is then)
    "nothing yet": (after(), NEW),
    "a failure": (after(0), Breaker(failures=1)),
    "one less than allowed": (after(0, 1), Breaker(failures=2)),
    "as many as allowed: left alone": (after(0, 1, 2), opened(3, 1, 32)),
    "the first, where one is allowed": (after(0, allowed=1), opened(1, 1, 30)),
    "more of them while it is left alone: no longer for that": (after(0, 1, 2, 3, 31.9), opened(5, 1, 32)),
    "the first after its pause: twice as long": (after(0, 1, 2, 32), opened(4, 2, 92)),
    "then four times as long": (after(0, 1, 2, 32, 92), opened(5, 3, 212)),
    "a pause of the user's own": (after(0, first_s=7, allowed=1), opened(1, 1, 7)),
    "a pause longer than any may be": (after(0, first_s=3600, allowed=1), opened(1, 1, LONGEST_S)),
    "the clock was set back by an hour": (
        Breaker(failures=3, opened=1, open_until=NOW + 3600).with_failure(NOW, allowed=3, first_s=30),
        opened(4, 2, 60)),
}  # fmt: skip


@pytest.mark.parametrize(("found", "expected"), TRANSITIONS.values(), ids=TRANSITIONS)
def test_transition(found: Breaker, expected: Breaker):
    assert found == expected


OPEN = after(0, 0, 0)

ASKED = {
    # name: (state, now, when it was looked at, whether it may be asked)
    "new": (NEW, 0, -999, True),
    "failed, and not often": (after(0, 0), 0, -999, True),
    "just left alone": (OPEN, 0, 0, False),
    "shortly before the end of the pause": (OPEN, 29.9, 29.9, False),
    "after the pause, not looked at since": (OPEN, 31, 29.9, False),
    "long after the pause, not looked at since": (OPEN, 1e6, 29.9, False),
    "after the pause, looked at since": (OPEN, 31, 30, True),
    "failed again when it was asked again": (after(0, 0, 0, 31), 32, 32, False),
    "the clock was set back by an hour": (OPEN, -3600, -3600, True),
}


@pytest.mark.parametrize(("breaker", "now", "seen_at", "may_be_asked"), ASKED.values(), ids=ASKED)
def test_whether_it_may_be_asked(breaker: Breaker, now: float, seen_at: float, may_be_asked: bool):
    assert breaker.is_closed(NOW + now, NOW + seen_at) is may_be_asked


def test_pauses_double_up_to_ten_minutes_and_stay_there():
    breaker, now, pauses = NEW, NOW, []
    for _ in range(2000):
        breaker = breaker.with_failure(now, allowed=1, first_s=30.0)
        pauses.append(breaker.open_until - now)
        now = breaker.open_until
    assert pauses[:7] == [30, 60, 120, 240, 480, 600, 600]
    assert set(pauses[7:]) == {LONGEST_S}


@given(
    st.lists(st.floats(0, 5000), max_size=30),
    st.integers(1, 5),
    st.floats(0.1, 1e4),
)
def test_nobody_is_left_alone_for_long_or_before_as_many_failures_as_allowed(waits, allowed, first_s):
    breaker, now = NEW, NOW
    for count, wait_s in enumerate(waits, start=1):
        now += wait_s
        breaker = breaker.with_failure(now, allowed=allowed, first_s=first_s)
        assert breaker.failures == count
        assert (breaker.open_until is None) is (count < allowed)
        later = now + LONGEST_S + 1
        assert breaker.is_closed(later, later)


@pytest.mark.parametrize("text", ['{"failures":-1}', '{"opened":-1}', '{"open_until":NaN}', '{"open_until":Infinity}'])
def test_what_no_breaker_can_be_is_refused(text):
    with pytest.raises(ValidationError):
        Breaker.model_validate_json(text)


def test_one_of_a_file_that_was_opened_more_often_than_can_be_counted_works_as_any():
    breaker = Breaker.model_validate_json('{"failures":1,"opened":100000}')
    assert breaker.with_failure(NOW, allowed=3, first_s=30.0).open_until == NOW + LONGEST_S
