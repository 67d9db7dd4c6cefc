"""What IPython shows of an error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from jupyter_llmroute.bridge import Stopped


@contextlib.contextmanager
def folded() -> Iterator[None]:
    """Have IPython show one line for what is raised within, instead of a page of traceback.

    Only for what is meant to be read by the user: a mistake of ours keeps its traceback.
    """
    from jupyter_llmroute.core.errors import LLMRouteError
    from jupyter_llmroute.inert import seen

    try:
        yield
    except (Stopped, LLMRouteError) as error:
        line = str(error) if isinstance(error, Stopped) else f"{type(error).__name__}: {error}"
        error._render_traceback_ = lambda: [seen(line)]  # type: ignore[union-attr]  # a hook of IPython's
        raise
