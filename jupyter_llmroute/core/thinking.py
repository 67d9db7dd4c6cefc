"""A model's thoughts, told from its answer where the server leaves both in one text: text in, parts out, no I/O.

The rules:

- Thoughts stand at the beginning, after white space at most, between the tags of one of `SPELLINGS`. Any tag that comes
  later is text: an answer may be about them.
- Thoughts that never end are thoughts to the last character.
- Some templates end the prompt with the start tag, so that the model sends the end tag alone. What stood before it has
  been given as text by then, and nothing can take it back: so it stays text, and so does the tag, which shows where
  the thoughts ended. Only where nothing but white space stood before it is it the end of thoughts: empty ones.
- Nothing is lost: text, thoughts and tags make up the input. Line ends right behind the end tag, and white space before
  the start tag, count as thoughts, so that an answer begins with its first character.
- Held back is only what may still become a tag.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

SPELLINGS: dict[str, tuple[str, ...]] = {
    # DeepSeek-R1 and its distills, QwQ, Qwen3, Granite 3.3 and most others: their chat templates
    "<think>": ("</think>",),
    # models that were told or tuned to think aloud, and EXAONE Deep: Open WebUI, utils/middleware.py
    "<thinking>": ("</thinking>",),
    "<thought>": ("</thought>",),
    # Sky-T1 and OpenThinker: Open WebUI, utils/middleware.py
    "<|begin_of_thought|>": ("<|end_of_thought|>",),
    # Magistral from 2507 on, Ministral 3: llama.cpp, common/chat.cpp
    "[THINK]": ("[/THINK]",),
    # Kimi-VL and K2 Thinking: SGLang, its page on reasoning parsers
    "◁think▷": ("◁/think▷",),
    # Seed-OSS: llama.cpp, common/chat.cpp
    "<seed:think>": ("</seed:think>",),
    # Gemma 4: llama.cpp, common/chat.cpp
    "<|channel>thought": ("<channel|>",),
    # gpt-oss: the raw text of OpenAI's harmony format, with and without what may stand between two messages
    **dict.fromkeys(
        ("<|channel|>analysis<|message|>", "<|start|>assistant<|channel|>analysis<|message|>"),
        (
            "<|end|><|start|>assistant<|channel|>final<|message|>",
            "<|start|>assistant<|channel|>final<|message|>",
            "<|channel|>final<|message|>",
        ),
    ),
}
"""Start tags, each with the end tags that may close it; with the source of each."""

_ENDS = {end for ends in SPELLINGS.values() for end in ends}
_FIRST = (*SPELLINGS, *_ENDS)
"""What an answer may begin with besides its text."""

_LINE_ENDS = "\r\n"


class Split(NamedTuple):
    """The parts of a piece of an answer; of one piece, the thoughts come first."""

    text: str = ""
    reasoning: str = ""


class _Place(Enum):
    START = auto()
    THOUGHTS = auto()
    GAP = auto()
    """Behind the end tag, where only line ends came yet."""
    TEXT = auto()


class ThinkSplitter:
    """Takes an answer in pieces of any size; what comes out does not depend on where it was cut."""

    def __init__(self) -> None:
        self._place = _Place.START
        self._ends: tuple[str, ...] = ()
        self._held = ""

    def feed(self, piece: str, thoughts: str = "") -> Split:
        """Take the next piece of the answer; return what is certain by now.

        Parameters
        ----------
        piece
            Text in which there may be tags.
        thoughts
            What came beside it in a field of its own. A server that has such a field leaves none in the text: from then
            on, tags are text.
        """
        before = Split()
        if thoughts:
            before, self._place = self.close(), _Place.TEXT
        self._held += piece
        reasoning = before.reasoning + thoughts
        if self._place is _Place.START:
            reasoning += self._begin()
        if self._place is _Place.THOUGHTS:
            reasoning += self._think()
        if self._place is _Place.GAP:
            reasoning += self._pass_line_ends()
        certain = self._take(len(self._held)) if self._place is _Place.TEXT else ""
        return Split(before.text + certain, reasoning)

    def close(self) -> Split:
        """End the answer; return what was held back."""
        held = self._take(len(self._held))
        return Split(reasoning=held) if self._place is _Place.THOUGHTS else Split(text=held)

    def _begin(self) -> str:
        answer = self._held.lstrip()
        if tag := next((tag for tag in _FIRST if answer.startswith(tag)), None):
            self._place = _Place.GAP if tag in _ENDS else _Place.THOUGHTS
            self._ends = SPELLINGS.get(tag, ())
            blank = self._take(len(self._held) - len(answer))
            self._take(len(tag))
            return blank
        if not any(tag.startswith(answer) for tag in _FIRST):
            self._place = _Place.TEXT
        return ""

    def _think(self) -> str:
        found = [(index, end) for end in self._ends if (index := self._held.find(end)) >= 0]
        if not found:
            return self._take(len(self._held) - _chars_of_a_tag_begun(self._held, self._ends))
        index, end = min(found)
        thoughts = self._take(index)
        self._take(len(end))
        self._place = _Place.GAP
        return thoughts

    def _pass_line_ends(self) -> str:
        line_ends = self._take(len(self._held) - len(self._held.lstrip(_LINE_ENDS)))
        if self._held:
            self._place = _Place.TEXT
        return line_ends

    def _take(self, chars: int) -> str:
        taken, self._held = self._held[:chars], self._held[chars:]
        return taken


def _chars_of_a_tag_begun(text: str, tags: tuple[str, ...]) -> int:
    """Return how many characters at the end of `text` may be the beginning of a tag."""
    longest = min(len(text), max(map(len, tags)) - 1)
    endings = (text[len(text) - chars :] for chars in range(longest, 0, -1))
    return next((len(ending) for ending in endings if any(tag.startswith(ending) for tag in tags)), 0)
