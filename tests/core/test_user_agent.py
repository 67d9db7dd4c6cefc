"""Which tool asks, by what it says of itself."""

from __future__ import annotations

import pytest

from jupyter_llmroute.core.user_agent import LONGEST, UNNAMED, tool_of

SAID = {
    "aider/0.86.1": "aider",
    "Continue-CLI/1.5.2": "continue",
    "Cline/3.74.0": "cline",
    "RooCode/3.52.1": "roo-code",
    "opencode/1.1.4 ai-sdk/provider-utils/3.0.1 runtime/bun/1.3": "opencode",
    "ai-sdk/openai-compatible/1.0.1 ai-sdk/provider-utils/3.0.1": "ai-sdk",
    "codex_cli_rs/0.46.0 (Ubuntu 22.4.0; x86_64) xterm-256color": "codex",
    "codex_vscode/0.98.0": "codex",
    "QwenCode/0.14.1 (linux; x64)": "qwen-cli",
    "OpenAI/Python 2.8.0": "openai-python",
    "AsyncOpenAI/Python 1.99.0": "openai-python",
    "OpenAI/JS 5.12.2": "openai-js",
    "Mozilla/5.0 (X11; cline) Cursor/1.4": "cursor",
    "python-httpx/0.28.1": "python-httpx",
    "January/1.0": "january",
    "": UNNAMED,
    "\x00<script>": UNNAMED,
    "sk-abcdefghij0123456789ABCDEFGHIJ": "[masked]",
    "x" * 100_000: "x" * LONGEST,
}


@pytest.mark.parametrize("user_agent", SAID, ids=lambda text: text[:30])
def test_a_tool_is_known_by_what_it_says_of_itself(user_agent: str) -> None:
    assert tool_of(user_agent) == SAID[user_agent]
