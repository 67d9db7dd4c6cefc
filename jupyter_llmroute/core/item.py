"""One piece of what is sent beside a question."""

from __future__ import annotations

from jupyter_llmroute.core.values import Value


class ContextItem(Value):
    """A cell, a variable or a piece of code, as the model is to read it."""

    ref: str
    """What the user knows it by, such as `In[3]` or `df`."""
    text: str
    """Markdown."""
    output: str = ""
    """What it printed or returned, as text; the part that may be cut."""
    output_ref: str = ""
    """What the user knows that by, such as `Out[3]`."""
    reason: str = ""
    """Why it goes along, in words such as ``"defines `df`"``."""
    cell: str = ""
    """The id of the cell that it was taken from, where the notebook tells it."""
    rank: int = 0
    """0 for what the question needs most; where room lacks, the greatest goes first."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for items of which a model that has read one has read the other."""
        return self.ref, self.text, self.output
