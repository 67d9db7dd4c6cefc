"""Live variables of the kernel, described: what they are, and what is in them only where the user asks for it.

    describe ─kind→ headline, details ─draft→ Attachment
             static: no code of the object's own      limits: characters, items, time

Nothing about a variable is said unless it is named. What a library's own code is asked for (shapes, dtypes, counts) is
asked in a thread that is given up when the time is over.
"""

from jupyter_llmroute.variables.describing import describe, describe_all
from jupyter_llmroute.variables.draft import Limits

__all__ = ["Limits", "describe", "describe_all"]
