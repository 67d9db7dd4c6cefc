"""Speeds: learnt as half-life averages of logarithms, and guessed from a model's size before the first answer."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jupyter_llmroute.core.speed import (
    HALF_LIFE_ANSWERS,
    LEAST,
    MOST,
    OVERHEAD_TOKENS,
    PRIOR_WEIGHT,
    Average,
    Expected,
    Prior,
    Speed,
    prior,
)

GUESS = Prior(load_s=5.0, prompt_token_s=0.002, token_s=0.05)
VALUES = st.floats(1e-4, 1e6)
BYTES = st.floats(1e6, 1e12)


def average(*values: float) -> Average:
    found = Average()
    for value in values:
        found = found.with_value(value)
    return found


def speed(*answers: dict[str, Any]) -> Speed:
    found = Speed()
    for answer in answers:
        usual = {"first_token_s": 0.5, "read_tokens": 936, "tokens_per_second": 20.0, "was_loaded": True}
        found = found.with_answer(**usual | answer)
    return found


def expected(learnt: Speed, *, prompt_tokens: int = 936, answer_tokens: int = 100, is_loaded: bool = True) -> Expected:
    return learnt.learnt(GUESS).expected(prompt_tokens=prompt_tokens, answer_tokens=answer_tokens, is_loaded=is_loaded)


# --- averages ---


@given(VALUES)
def test_of_one_value_the_average_is_that_value(value):
    assert math.exp(average(value).mean) == pytest.approx(value)
    assert average(value).weight == 1


@pytest.mark.parametrize("later", [0, 1, 7])
def test_a_value_counts_half_after_four_more(later):
    """The share of a value in the mean, told by what the mean changes with it."""

    def share(count: int) -> float:
        return average(math.e, *[1.0] * count).mean * average(*[1.0] * (count + 1)).weight

    assert share(later + HALF_LIFE_ANSWERS) == pytest.approx(share(later) / 2)


@given(VALUES, st.floats(1, 100))
def test_twice_as_fast_and_twice_as_slow_even_out(value, factor):
    """But for the newer one's greater weight."""
    both = average(value * factor, value / factor), average(value / factor, value * factor)
    means = [found.mean - math.log(value) for found in both]
    assert sum(means) == pytest.approx(0, abs=1e-9)
    assert abs(means[0]) <= 0.1 * math.log(factor) + 1e-9


@given(st.lists(VALUES, min_size=1, max_size=60))
def test_an_average_lies_among_its_values_and_its_weight_is_bounded(values):
    found = average(*values)
    assert min(values) * 0.999 <= math.exp(found.mean) <= max(values) * 1.001
    assert 1 <= found.weight <= 1 / (1 - 0.5 ** (1 / HALF_LIFE_ANSWERS))


@given(VALUES, VALUES)
def test_nothing_learnt_is_the_guess_and_each_answer_takes_from_its_part(value, guessed):
    distances = [round(abs(math.log(average(*[value] * n).blended(guessed) / value)), 9) for n in range(12)]
    assert average().blended(guessed) == pytest.approx(guessed)
    assert distances == sorted(distances, reverse=True)
    assert distances[1] == pytest.approx(distances[0] * PRIOR_WEIGHT / (1 + PRIOR_WEIGHT), abs=1e-8)
    assert distances[-1] <= distances[0] / 20 + 1e-8


ABSURD = [0.0, -1.0, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("value", ABSURD)
def test_what_is_no_number_above_zero_was_not_measured(value):
    assert average(2.0).with_value(value) == average(2.0)


@pytest.mark.parametrize(("value", "taken"), [(1e-300, LEAST), (1e300, MOST), (2**60, MOST)])
def test_what_no_clock_and_no_count_says_is_taken_for_the_most_that_they_can(value, taken):
    assert math.exp(average(value).mean) == pytest.approx(taken)
    assert average(*[value] * 99).weight < 10


@pytest.mark.parametrize(
    "text",
    ['{"mean":NaN,"weight":1}', '{"mean":1e308,"weight":1}', '{"mean":1,"weight":-1}', '{"mean":1,"weight":Infinity}'],
)
def test_an_average_of_a_file_that_none_can_be_is_refused(text):
    with pytest.raises(ValidationError):
        Average.model_validate_json(text)


# --- answers ---


def test_what_is_expected_before_the_first_answer_is_the_guess():
    found = expected(Speed(), prompt_tokens=1000, answer_tokens=100, is_loaded=False)
    assert found == pytest.approx(Expected(5.0, (1000 + OVERHEAD_TOKENS) * 0.002, 5.0))
    assert expected(Speed()).load_s == 0


def test_after_several_answers_what_is_expected_is_what_was_measured():
    found = expected(speed(*[{}] * 20))
    assert found.prompt_s == pytest.approx(0.5, rel=0.1)
    assert found.answer_s == pytest.approx(100 / 20, rel=0.05)
    assert found.total_s == pytest.approx(found.prompt_s + found.answer_s)


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_a_prompt_takes_longer_in_proportion_to_its_length(short, long):
    learnt = speed({}, {"read_tokens": 50, "first_token_s": 0.1})
    one, other = (expected(learnt, prompt_tokens=tokens).prompt_s for tokens in (short, long))
    assert one * (long + OVERHEAD_TOKENS) == pytest.approx(other * (short + OVERHEAD_TOKENS))


def test_tokens_that_were_in_the_servers_cache_teach_no_faster_reading():
    """Half the time for half of the tokens is the same speed."""
    whole = expected(speed({"read_tokens": 936, "first_token_s": 1.0}))
    half = expected(speed({"read_tokens": 436, "first_token_s": 0.5}))
    assert half.prompt_s == pytest.approx(whole.prompt_s, rel=0.01)


def test_an_answer_of_a_cold_model_teaches_how_long_it_loads_and_nothing_of_reading():
    learnt = speed({"was_loaded": False, "first_token_s": 40.0})
    assert (learnt.first_token, learnt.prompt) == (Average(), Average())
    assert learnt.load == average(40.0)
    assert learnt.token == average(1 / 20)
    assert expected(learnt, is_loaded=True).load_s == 0
    assert expected(learnt, is_loaded=False).load_s > 20
    assert speed({}).load == Average()


def test_a_speed_that_could_not_be_told_teaches_none():
    assert speed({"tokens_per_second": None}).token == Average()
    assert speed({"tokens_per_second": 0.0}).token == Average()


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "first_token_s": st.sampled_from([0.0, 1e-12, 1e30, *ABSURD]) | VALUES,
                "read_tokens": st.sampled_from([0, 1, 2**60]),
                "tokens_per_second": st.sampled_from([None, 1e-320, 1e300, *ABSURD]) | VALUES,
                "was_loaded": st.booleans(),
            }
        ),
        max_size=8,
    ),
    st.integers(0, 2**60),
    st.booleans(),
)
def test_whatever_servers_and_clocks_say_what_is_expected_is_a_number_of_seconds(answers, prompt_tokens, is_loaded):
    learnt = speed(*answers)
    assert Speed.model_validate_json(learnt.model_dump_json()) == learnt
    assert all(0 <= part < math.inf for part in expected(learnt, prompt_tokens=prompt_tokens, is_loaded=is_loaded))


# --- the guess ---


@given(BYTES, BYTES, st.floats(0.01, 1))
def test_a_larger_model_is_guessed_to_be_slower_in_everything(one, other, share):
    small, large = sorted((one, other))
    assert all(a <= b for a, b in zip(prior(small, small * share), prior(large, large * share), strict=True))


@given(BYTES, st.floats(0.01, 0.9))
def test_a_mixture_of_experts_is_guessed_to_load_as_a_dense_model_of_its_size_and_to_answer_faster(size, share):
    mixture, dense = prior(size, size * share), prior(size, size)
    assert mixture.load_s == dense.load_s
    assert mixture.token_s < dense.token_s
    assert mixture.prompt_token_s < dense.prompt_token_s
    assert mixture.token_s >= prior(size * share, size * share).token_s
