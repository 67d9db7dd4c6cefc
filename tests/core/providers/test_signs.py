"""What servers say, read with care."""

import pytest

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.prompt import Message
from jupyter_llmroute.core.providers import Chat, Counted
from jupyter_llmroute.core.providers.counting import answer_limit, joined, text_alone, total, whole
from jupyter_llmroute.core.providers.signs import bound_url, cloud_sign, is_cloud_tag, is_near, owner_sign, parameters
from jupyter_llmroute.core.request import Sampling
from jupyter_llmroute.core.tokens import TOKENS_PER_MESSAGE


@pytest.mark.parametrize(
    ("label", "number"),
    [
        ("8B", 8_000_000_000),
        ("8.2B", 8_200_000_000),
        ("8.19 B", 8_190_000_000),
        ("270M", 270_000_000),
        ("136.73 M", 136_730_000),
        ("8x7B", 56_000_000_000),
        ("1.5T", 1_500_000_000_000),
        (" 7b ", 7_000_000_000),
        ("", None),
        ("B", None),
        ("-8B", None),
        ("0B", None),
        ("8", None),
        ("8B-instruct", None),
        ("9999999999B", None),
        (None, None),
        (8, None),
    ],
)
def test_a_label_of_parameters(label, number):
    assert parameters(label) == number


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://127.0.0.1:8080/v1", True),
        ("http://localhost:8080", True),
        ("http://[::1]:8080", True),
        ("http://10.1.2.3", True),
        ("https://192.168.1.9:1/v1", True),
        ("http://172.16.0.1", True),
        ("http://[fd00::1]", True),
        ("http://8.8.8.8", False),
        ("http://0.0.0.0", False),
        ("http://172.32.0.1", False),
        ("https://api.openai.com/v1", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://127.0.0.1@example.com", False),
        ("http://example.com/?x=127.0.0.1", False),
        ("127.0.0.1:8080", False),
        ("http://[::1", False),
        ("", False),
        (None, False),
        (["http://127.0.0.1"], False),
    ],
)
def test_an_address_is_near_by_its_spelling_alone(url, near):
    assert is_near(url) is near


@pytest.mark.parametrize(
    ("name", "cloud"),
    [
        ("a:cloud", True),
        ("a:120b-cloud", True),
        ("cloud:8b", False),
        ("a:cloudy", False),
        ("cloud", False),
        ("", False),
    ],
)
def test_a_cloud_tag(name, cloud):
    assert is_cloud_tag(name) is cloud


def test_a_cloud_tag_is_named():
    assert (cloud_sign("a:cloud"), cloud_sign("a:8b")) == ("cloud tag 'a:cloud'", None)


@pytest.mark.parametrize("owner", ["", "local", "user", "vllm", "llamacpp", "humanity", "library", "ollama", 5, None])
def test_an_owner_that_is_no_cloud(owner):
    assert owner_sign(owner) is None


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (":9090", "http://127.0.0.1:9090"),
        ("127.0.0.1:9090", "http://127.0.0.1:9090"),
        ("0.0.0.0:9090", "http://127.0.0.1:9090"),
        ("[::]:9090", "http://[::1]:9090"),
        ("gpu.lab", "http://gpu.lab:8080"),
        ("https://gpu.lab:1", "https://gpu.lab:1"),
        ("", None),
        ("  ", None),
        (":port", None),
        ("[::1", None),
    ],
)
def test_where_a_server_is_that_was_told_to_listen(address, url):
    assert bound_url(address, 8080) == url


@pytest.mark.parametrize(
    ("counted", "number"),
    [
        (7, 7),
        ([1, 2, 3], 3),
        ([], None),
        (0, None),
        (-1, None),
        (True, None),
        ("7", None),
        (None, None),
        (10**400, None),
    ],
)
def test_a_count_is_a_number_or_a_list(counted, number):
    assert total(counted) == number


@pytest.mark.parametrize("counted", [0, -1, [], "many", None])
def test_what_is_no_count_is_none_with_a_template_either(counted):
    assert whole(counted) is text_alone(counted, chat(1, 1)) is None


def test_a_count_without_the_template_gets_its_share_and_is_not_exact():
    assert whole(7) == Counted(7, is_exact=True)
    assert text_alone([1, 2, 3], chat(1, 1)) == Counted(3 + 2 * TOKENS_PER_MESSAGE, is_exact=False)


def chat(tokens: int, window: int | None, room: int = 1000, max_tokens: int | None = None) -> Chat:
    return Chat(
        model=ServedModel(id="m", context_window=window),
        messages=(Message(role="system", content="You help."), Message(role="user", content="Hello?")),
        sampling=Sampling(max_tokens=max_tokens),
        prompt_tokens=tokens,
        room_tokens=room,
    )


@pytest.mark.parametrize(
    ("tokens", "window", "limit"),
    [
        (1000, None, 1000),  # nothing is known: what was left
        (1000, 8192, 3596),  # an estimate: half of what it leaves
        (6000, 8192, 2192 - 3 * 8 - 96),  # counted, maybe without the template
        (8190, 8192, 1),
        (9000, 8192, 1),
    ],
)
def test_an_answer_takes_no_room_from_the_prompt(tokens, window, limit):
    assert answer_limit(chat(tokens, window)) == limit


@pytest.mark.parametrize(("wanted", "limit"), [(10, 10), (5000, 3596)])
def test_the_user_may_want_less_of_it(wanted, limit):
    assert answer_limit(chat(1000, 8192, max_tokens=wanted)) == limit


def test_a_window_that_is_asked_for_counts():
    assert answer_limit(chat(1000, 8192).model_copy(update={"window": 2048})) == 524


def test_the_text_of_a_chat():
    assert joined(chat(1, 1).messages) == "You help.\nHello?"
