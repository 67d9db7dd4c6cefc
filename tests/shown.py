"""Servers, models and decisions to be shown, some of them by names that want to be more than names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.classifier import classify
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.history import History
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.selector import Decision, Wish, select
from jupyter_llmroute.core.snapshot import Snapshot

from .servers import PRODUCTS

NO_OTHERS = ", ".join(f"{name}: {{enabled: false}}" for name in PRODUCTS)
"""Of the section `services` of a settings file: whatever else runs on this machine is not looked for."""

HOSTILE = "<img src=x onerror=alert(1)>`|*[a](javascript:b)\n\u202egnp.exe$x$ ![](https://evil.example/p)"
"""A name that is a tag, code, a cell's end, a link, a line, a direction, mathematics and a picture."""

QWEN = ServedModel(
    id="qwen3:8b",
    context_window=8192,
    window_limit=40960,
    trained_window=40960,
    size_bytes=5_225_388_164,
    parameters=8_200_000_000,
    quantisation="Q4_K_M",
    family="qwen3",
    loaded=False,
    capabilities=frozenset({"tools", "thinking"}),
)
CODER = ServedModel(
    id="qwen2.5-coder:7b", context_window=4096, window_is_assumed=True, trained_window=32768, loaded=True
)
CLOUD = ServedModel(id="gpt-oss:120b-cloud", remote="ollama.com")
EMBEDDER = ServedModel(id="nomic-embed-text", chat=False)
SAME_QWEN = ServedModel(id="Qwen/Qwen3-8B-GGUF", context_window=16384, quantisation="Q8_0", loaded=True)


def server(name: str = "desk", *models: ServedModel, **more: Any) -> Endpoint:
    """Return a server that was found on this machine."""
    fields = {"provider": "ollama", "base_url": f"http://127.0.0.1:{1024 + sum(name.encode())}", **more}
    return Endpoint(name=name, models=models, **fields)


DESK = server("desk", QWEN, CODER, CLOUD, EMBEDDER, base_url="http://127.0.0.1:11434")
STUDIO = server("studio", SAME_QWEN, provider="lmstudio", base_url="http://127.0.0.1:1234", priority=2)
DOWN = server("old", base_url="http://127.0.0.1:8000", health=Health.DOWN, detail="it refused the connection")
ENEMY = server(HOSTILE, ServedModel(id=HOSTILE, remote=HOSTILE, quantisation=HOSTILE, family=HOSTILE), provider=HOSTILE)
ENEMY = ENEMY.model_copy(
    update={"base_url": "http://127.0.0.1:9/" + HOSTILE, "models": (*ENEMY.models, ServedModel(id=HOSTILE + "2"))}
)


def decision(
    *endpoints: Endpoint,
    question: str = "",
    history: History | None = None,
    snapshot: dict[str, Any] | None = None,
    **pins: Any,
) -> Decision:
    """Return the decision on a question for these servers; `pins` are fields of `Request`."""
    request = Request(question=question, **pins)
    context = Context(request=request)
    what = classify(request, context)
    seen = Snapshot(endpoints=endpoints, catalog=Catalog.load(), routing={}, **(snapshot or {}))
    history = history or History()
    return Decision(
        classification=what,
        wish=Wish.of(context),
        snapshot=seen,
        policy=Policy(),
        history=history,
        route=select(what, context, seen, Policy(), history),
    )


def dangers(markdown: str) -> list[str]:
    """Return what of a hostile name came through into Markdown."""
    signs: Sequence[str] = ("<img", "](javascript", "\u202e", "![]", "$x$")
    return [sign for sign in signs if sign in markdown]
