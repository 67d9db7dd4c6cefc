"""How many tokens a text has: estimated here, counted by the server wherever it can.

Tokens are told by the bytes of UTF-8, whose first byte tells the script. The weights were fitted to counts of SmolLM2's
tokenizer (49,152 tokens, English and code), the densest of those at hand: vocabularies of 100,000 tokens and more have
fewer for digits and for all that is not English, so that there the estimate is rather too high. Measured, tokens a
character, and what the estimate makes of them:

    prose, Markdown, code   0.23-0.50   x 0.87-1.34
    JSON, logs, addresses   0.43-0.69   x 0.84-1.07
    numbers, hex, UUIDs     0.81-0.97   x 0.85-0.98
    base64                  0.80-0.81   x 0.81
    Latin, not English      0.33-0.76   x 0.82-1.07
    Cyrillic, Greek         0.75-0.85   x 0.82-0.93
    Hebrew, Arabic          0.92-1.09   x 0.85-1.02
    Indic, Thai, Georgian   1.12-1.86   x 0.82-0.95
    Chinese, Japanese       1.73-1.97   x 0.50-0.57
    Korean                  2.01        x 0.40

The last two stay at one token a character: what is common in all vocabularies but the smallest.
"""

from __future__ import annotations

import math

CHARS_PER_TOKEN = {"qwen": 3.5, "llama": 3.8}
"""Small letters and blanks per token, by family; from the user's own figures for Latin prose."""

OTHER_CHARS_PER_TOKEN = 4.0

DENSEST = "qwen"
"""The family of most tokens for a text: what fits by its count fits by any other's."""

TOKENS_PER_MESSAGE = 4
"""What a chat template puts around one message, about; ChatML has `<|im_start|>`, the role, and two line ends."""

_LETTER = b"a"
"""The class of what is counted by the family: small letters and blanks."""

_ASCII: dict[bytes, tuple[bytes, int]] = {
    # class: (its bytes, hundredths of a token that each has)
    b"q": (b"jqz", 100),  # in words they are rare, in base64 they are not
    b"A": (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 50),
    b"0": (b"0123456789", 100),
    b".": (bytes(sign for sign in range(128) if sign != ord(" ") and not chr(sign).isalnum()), 65),
}
_BEYOND: dict[bytes, tuple[bytes, int]] = {
    b"e": (bytes(range(0xC0, 0xC7)), 200),  # a Latin letter with an accent splits the word around it
    b"x": (bytes(range(0xC7, 0xCE)), 100),  # phonetic signs, combining accents
    b"g": (bytes(range(0xCE, 0xD4)), 77),  # Greek, Cyrillic
    b"s": (bytes(range(0xD6, 0xE0)), 110),  # Hebrew, Arabic
    b"i": (b"\xd4\xd5\xe0\xe1", 175),  # Armenian, Indic, Thai, Georgian; accents of Vietnamese
    b"m": (b"\xe2", 120),  # typographic and mathematical signs, frames
    b"w": (bytes(range(0xE3, 0xF0)), 100),  # Chinese, Japanese, Korean
    b"f": (bytes(range(0xF0, 0x100)), 100),  # rare Chinese, emoji
}
_WITHIN_WORDS = {b"aA": 60, b"0a": 45, b"0A": 45}
"""Hundredths of a token that one class right behind another adds: there a word ends, and no blank stands."""

_SCRIPTS = {b"\xe0\xa4": -55, b"\xe0\xa5": -55, b"\xf0\x9f": 150}
"""Hundredths of a token that the first two bytes of a character add: Devanagari has fewer than its neighbours, emoji
have more than rare Chinese."""

_REST = bytes(range(0x80, 0xC0))
"""All bytes of a character but the first."""

_CLASS_OF = bytearray(_LETTER * 256)
for _name, (_members, _) in (_ASCII | _BEYOND).items():
    for _byte in _members:
        _CLASS_OF[_byte] = ord(_name)

_FEW = {name: weight for name, (_, weight) in _ASCII.items()} | _WITHIN_WORDS
_ALL = _FEW | {name: weight for name, (_, weight) in _BEYOND.items()}


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
    >>> estimate_tokens("x" * 38, "llama"), estimate_tokens("数据分析"), estimate_tokens("3.14159")
    (10, 4, 7)
    """
    return rounded_up(weigh_text(text, family))


def rounded_up(weight: float) -> int:
    """Return whole tokens; what adding many weights makes of a whole number is one."""
    return math.ceil(round(weight, 6))


def weigh_text(text: str, family: str = "") -> float:
    """Return `estimate_tokens` before it is rounded; texts that are joined by a line end weigh as much together."""
    units = text.encode("utf-8", "surrogatepass")
    if text.isascii():
        classes = units.translate(_CLASS_OF)
        others = _weigh(classes, _FEW)
    else:
        classes = units.translate(_CLASS_OF, _REST)
        others = _weigh(classes, _ALL) + _weigh(units, _SCRIPTS)
    return classes.count(_LETTER) / CHARS_PER_TOKEN.get(family, OTHER_CHARS_PER_TOKEN) + others


def _weigh(units: bytes, weights: dict[bytes, int]) -> float:
    return sum(units.count(part) * weight for part, weight in weights.items()) / 100
