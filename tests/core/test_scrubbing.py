"""What is written beside a notebook holds no key, and otherwise says what it said."""

import pytest

from jupyter_llmroute.core.scrubbing import cleaned, scrubbed

SECRETS = {
    "a key": ("sk-proj-4f9Kq2LmZx81TnB7Vw03", "[masked]"),
    "a header": ("Authorization: Bearer q8Zk2Lw9Tn4Vb7Xc", "Authorization: Bearer [masked]"),
    "a cookie": ("Cookie: session=8f3a91c2d7e6", "Cookie: session=[masked]"),
    "a token of a code host": ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[masked]"),
    "a password in an address": ("http://ann:pw1@llm.lan:8000/v1", "http://llm.lan:8000/v1"),
    "a user in an address": ("see http://ann@llm.lan:8000/v1 for it", "see http://llm.lan:8000/v1 for it"),
    "a user of IPv6": ("http://ann@[fd00::1]:8000", "http://[fd00::1]:8000"),
    "a key in the path of an address": ("http://gw.lab/llm/q8Zk2Lw9Tn4Vb7XcRt5Yp1", "http://gw.lab/llm/[masked]"),
    "a key in its query": ("http://gw.lab/v1?key=hunter2", "http://gw.lab/v1?key=[masked]"),
    "half a character": ("\ud83d", "\N{REPLACEMENT CHARACTER}"),
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_not_written(name):
    text, written = SECRETS[name]
    assert scrubbed(text) == written
    assert scrubbed(written) == written


PLAIN = [
    "http://127.0.0.1:11434/v1: refused",
    "write to ann@example.org, or see https://example.org/@ann?at=b@c",
    "hf.co/unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF:Q4_K_XL",
    "rated 63 of 100 for analysis (guessed from its size)",
]


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_is_written_as_it_is(text):
    assert scrubbed(text) == text


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_the_address_of_a_server_is_not_written(name):
    text, written = SECRETS[name]
    assert cleaned({"endpoint": {"base_url": text}}) == {"endpoint": {"base_url": written}}


def test_names_are_kept_though_they_look_like_chance():
    digest = "sha256:500a1f067a9f782620b40bee6f7b0c89e17ae61f686b92c24933e4ca4b2b8b41"
    data = {"digest": digest, "detail": f"not {digest}", "base_url": "http://ann@a/v1", "n": [1, None, 0.5, True]}
    assert cleaned(data) == {
        "digest": digest,
        "detail": "not sha256:[masked]",
        "base_url": "http://a/v1",
        "n": [1, None, 0.5, True],
    }
