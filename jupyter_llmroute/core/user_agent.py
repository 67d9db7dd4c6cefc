"""Which coding tool sends a request, by its own word: the User-Agent that it names itself by. Nobody vouches for it."""

from __future__ import annotations

import re

from jupyter_llmroute.core.secrets import masked

MOST_CHARS = 400
"""Of a User-Agent, what is read."""

LONGEST = 40
"""Characters of the name of a tool that is in no table."""

UNNAMED = "unnamed client"
"""Who says nothing of themselves that could be a name."""

TOOLS = {
    "aider": "aider",
    "continue": "continue",
    "cline": "cline",
    "roocode": "roo-code",
    "roo-code": "roo-code",
    "kilo-code": "kilo-code",
    "opencode": "opencode",
    "codex": "codex",
    "qwencode": "qwen-cli",
    "geminicli": "gemini-cli",
    "cursor": "cursor",
    "zed": "zed",
    "jan": "jan",
    "openwebui": "openwebui",
    "open-webui": "openwebui",
    "agno": "agno",
    "litellm": "litellm",
    "ai-sdk": "ai-sdk",
    "openai/python": "openai-python",
    "asyncopenai/python": "openai-python",
    "openai/js": "openai-js",
}
"""How a product of a User-Agent begins → the tool's name, as `environment.CALLERS` has it too where both know it. Tools
stand before the libraries that they ask by."""

_COMMENT = re.compile(r"\([^()]*\)")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def tool_of(user_agent: str) -> str:
    """Return the name of the tool that sends a request; of one that is in no table, what it calls itself, bounded.

    Examples
    --------
    >>> tool_of("RooCode/3.28.1"), tool_of("codex_cli_rs/0.46.0 (Linux; x86_64)"), tool_of("OpenAI/Python 2.8.0")
    ('roo-code', 'codex', 'openai-python')
    >>> tool_of("curl/8.5.0"), tool_of("")
    ('curl', 'unnamed client')
    """
    products = _COMMENT.sub(" ", user_agent[:MOST_CHARS]).lower().split()
    for begins, tool in TOOLS.items():
        if any(re.match(re.escape(begins) + "(?![a-z])", product) for product in products):
            return tool
    found = _NAME.match(products[0]) if products else None
    return masked(found[0])[:LONGEST] if found else UNNAMED
