"""What a user attaches to a question by name: a description, in words, of something live."""

from __future__ import annotations

from jupyter_llmroute.core.values import Value


class Attachment(Value):
    """The description of one thing that the user named, ready to be sent."""

    name: str
    """What the user calls it, such as `df`."""
    kind: str
    """The full name of its type, such as `pandas.DataFrame`."""
    text: str
    """Plain lines and fenced code; the first line names the thing and its kind. Secrets are masked in it."""
    left_out: tuple[str, ...] = ()
    """What the description could say and does not, such as `"99,960 of 100,000 columns"`; the text says it too."""
