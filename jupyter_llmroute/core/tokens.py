"""How many tokens a text has: estimated here, counted by the server wherever it can."""

from __future__ import annotations

import math
import re

CHARS_PER_TOKEN = {"qwen": 3.5, "llama": 3.8}
"""Characters per token of Latin text, by family; from the user's own figures."""

OTHER_CHARS_PER_TOKEN = 4.0

DENSEST = "qwen"
"""The family of most tokens for a text: what fits by its count fits by any other's."""

TOKENS_PER_MESSAGE = 4
"""What a chat template puts around one message, about; ChatML has `<|im_start|>`, the role, and two line ends."""

_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
"""Chinese, Japanese, Korean: near one token a character in every common vocabulary."""


def estimate_tokens(text: str, family: str = "") -> int:
    """Estimate the tokens of a text.

    Parameters
    ----------
    text
        Any text.
    family
        The model's family as the catalog names it, such as `"qwen"`; unknown families count 4 characters a token.

    Returns
    -------
    int
        Rounded up, so that a text that is not empty has at least one token.

    Examples
    --------
    >>> estimate_tokens("x" * 38, "llama"), estimate_tokens("数据分析")
    (10, 4)
    """
    wide = len(_WIDE.findall(text))
    return wide + math.ceil((len(text) - wide) / CHARS_PER_TOKEN.get(family, OTHER_CHARS_PER_TOKEN))
