"""What servers say of themselves and of their models, read with care: anybody may answer on any port."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from jupyter_llmroute.core.endpoint import size
from jupyter_llmroute.core.probe import Answer

VOUCH = "; set models_are_local for its server if it runs in your network"

GATEWAY = "a gateway: it may pass text on; set models_are_local for it if it does not"
"""Why a model of a gateway counts as remote."""

CLOUDS = frozenset(
    "anthropic azure azure_ai bedrock cohere deepseek fireworks google groq mistralai moonshot openai openai-internal "
    "openrouter perplexity together vertex_ai xai".split()
)
"""Owners of models, as the lists of those who run them for others name them, and gateways after them. A few servers of
one's own call themselves `openai` too: their user vouches for them."""

_PARAMETERS = re.compile(r"(?:(\d{1,4})x)?(\d{1,6}(?:\.\d{1,6})?) ?([KMBT])", re.IGNORECASE)
_FACTORS = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_UNBOUND = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""What to connect to in place of an address that can only be bound to."""


def model_list(answer: Answer) -> list[dict[str, Any]] | None:
    """Return the entries of an OpenAI model list; `None` when the answer is not one."""
    data = told(answer).get("data")
    if not isinstance(data, list):
        return None
    return [item for item in data if isinstance(item, dict) and isinstance(item.get("id"), str)]


def told(answer: Answer) -> dict[str, Any]:
    """Return the JSON object that a server answered with; empty where it did not."""
    body = answer.json if answer.status == 200 else None
    return body if isinstance(body, dict) else {}


def owners(answer: Answer) -> frozenset[str]:
    """Return the owners that an OpenAI model list names; `""` stands for an entry without one."""
    named = (item.get("owned_by") for item in model_list(answer) or ())
    return frozenset(owner if isinstance(owner, str) else "" for owner in named)


def parameters(text: object) -> int | None:
    """Return the number of parameters that a model's label tells.

    Examples
    --------
    >>> parameters("8.2B"), parameters("8x7B"), parameters("270 M"), parameters("large")
    (8200000000, 56000000000, 270000000, None)
    """
    found = _PARAMETERS.fullmatch(text.strip()) if isinstance(text, str) else None
    if not found:
        return None
    experts, number, unit = found.groups()
    return size(round(int(experts or 1) * float(number) * _FACTORS[unit.upper()]))


def is_cloud_tag(name: str) -> bool:
    """Whether an Ollama model's tag says that Ollama's own machines run it.

    Examples
    --------
    >>> [is_cloud_tag(name) for name in ("kimi-k2:cloud", "ollama/gpt-oss:120b-cloud", "cloudy:8b", "cloud")]
    [True, True, False, False]
    """
    _, colon, tag = name.rpartition(":")
    return bool(colon) and (tag == "cloud" or tag.endswith("-cloud"))


def cloud_sign(name: str) -> str | None:
    """Return the sign in a model's name that it runs on Ollama's own machines."""
    return f"cloud tag {name!r}" if is_cloud_tag(name) else None


def owner_sign(owner: object) -> str | None:
    """Return the sign in the name of a model's owner that it runs on somebody else's machines.

    Examples
    --------
    >>> owner_sign("anthropic"), owner_sign("vllm"), owner_sign(None)
    ("its owner is 'anthropic'; set models_are_local for its server if it runs in your network", None, None)
    """
    if not isinstance(owner, str) or owner.lower() not in CLOUDS:
        return None
    return f"its owner is {owner!r}{VOUCH}"


def is_doubt(remote: str) -> bool:
    """Whether a sign only leaves open where a model runs, so that the user's word settles it.

    Examples
    --------
    >>> is_doubt(GATEWAY), is_doubt("cloud tag 'kimi-k2:cloud'")
    (True, False)
    """
    return "models_are_local" in remote


def is_near(url: object) -> bool:
    """Whether an address is spelt as one of this machine or of a private network; names are not looked up.

    Examples
    --------
    >>> [is_near(url) for url in ("http://127.0.0.1:8000/v1", "http://10.0.0.7", "https://api.example", None)]
    [True, True, False, False]
    """
    try:
        host = urlsplit(url).hostname if isinstance(url, str) else None
        if not host or host == "localhost":
            return host == "localhost"
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or (address.is_private and not address.is_unspecified)


def bound_url(address: str, default_port: int) -> str | None:
    """Return where a client finds a server that was told to listen on `address`; `None` where it does not read.

    Examples
    --------
    >>> bound_url(":9090", 8080), bound_url("0.0.0.0", 8080), bound_url("[::1]:1", 8080), bound_url("", 8080)
    ('http://127.0.0.1:9090', 'http://127.0.0.1:8080', 'http://[::1]:1', None)
    """
    value = address.strip().strip("\"'").strip()
    if not value:
        return None
    scheme, has_scheme, rest = value.partition("://")
    try:
        parts = urlsplit(f"//{rest if has_scheme else value}")
        host, port = parts.hostname or "", parts.port or default_port
    except ValueError:
        return None
    host = _UNBOUND.get(host, host)
    return f"{scheme if has_scheme else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
