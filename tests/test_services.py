"""The servers as a table: what is said of each, in whatever state."""

import pytest

from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.services import COLUMNS, NOTHING_FOUND, as_text, bundle, table

from .shown import CODER, DESK, DOWN, EMBEDDER, ENEMY, QWEN, STUDIO, dangers, server


def row(endpoint: Endpoint) -> dict[str, str]:
    (cells,) = table([endpoint]).rows
    return dict(zip(COLUMNS, cells, strict=True))


def test_one_row_a_server_the_preferred_first() -> None:
    assert [cells[0] for cells in table([DESK, STUDIO, DOWN]).rows] == ["studio", "desk", "old"]
    assert row(DESK) == {
        "server": "desk",
        "product": "Ollama",
        "address": "http://127.0.0.1:11434",
        "state": "well",
        "priority": "5",
        "models": "qwen3:8b, qwen2.5-coder:7b, gpt-oss:120b-cloud and 1 more",
        "in memory": "qwen2.5-coder:7b",
        "window": "4,096 to 8,192",
    }


@pytest.mark.parametrize(
    ("endpoint", "column", "said"),
    [
        (DOWN, "state", "down: it refused the connection"),
        (
            server(
                "a", base_url="http://127.0.0.1:1", health=Health.DOWN, detail="http://127.0.0.1:1 is gone: start it"
            ),
            "state",
            "down: is gone: start it",
        ),
        (server("a", health=Health.WANTS_KEY, detail="set its api_key"), "state", "wants a key: set its api_key"),
        (server("a", QWEN, health=Health.LOADING), "state", "loading"),
        (server("a"), "state", "it serves no model"),
        (server("a", detail="it serves no model yet: pull one"), "state", "it serves no model yet: pull one"),
        (server("a", QWEN, provider="embedded", base_url=""), "state", "starts when asked"),
        (server("a", QWEN, provider="embedded", base_url=""), "address", "this machine"),
        (server("a", provider="openai"), "product", "openai-compatible"),
        (server("a", provider="somebody's"), "product", "somebody's"),
        (server("a", QWEN), "in memory", "none"),
        (server("a", ServedModel(id="m")), "in memory", ""),
        (server("a", QWEN, EMBEDDER), "window", "8,192"),
        (server("a", CODER, priority=1), "priority", "1"),
    ],
)
def test_each_column_says_what_is_known(endpoint: Endpoint, column: str, said: str) -> None:
    assert row(endpoint)[column] == said


def test_columns_without_a_word_are_left_out() -> None:
    assert as_text([DOWN]).splitlines()[0].split() == ["server", "product", "address", "state", "priority"]


def test_without_a_server_it_says_what_to_do() -> None:
    assert as_text([]) == NOTHING_FOUND
    assert bundle([])["text/markdown"].startswith("No model server was found on this machine.")


def test_hostile_names_come_out_inert() -> None:
    shown = bundle([ENEMY])
    assert dangers(shown["text/markdown"]) == []
    assert len(shown["text/markdown"].split("\n")) == 3
    assert "\u202e" not in shown["text/plain"]
    assert len(shown["text/plain"].split("\n")) == 2
