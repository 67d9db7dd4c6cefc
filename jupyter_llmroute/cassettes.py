"""The recordings of a session's notebook: of its answers, and of what is shown besides."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_llmroute.tracebacks import folded

if TYPE_CHECKING:
    from jupyter_llmroute.core.cassette import Cassette
    from jupyter_llmroute.core.sent import SentBy
    from jupyter_llmroute.notebook import NotebookSession

T = TypeVar("T")


class Cassettes:
    """Finds the recordings, and gives from them what is to be replayed.

    Parameters
    ----------
    session
        Whose notebook.
    """

    def __init__(self, session: NotebookSession) -> None:
        self._session = session
        self._by_path: dict[Path, Cassette] = {}

    def cassette(self, mode: str | None = None) -> Cassette | None:
        """Return the recordings of this notebook; `None` where nothing is recorded or replayed.

        Parameters
        ----------
        mode
            What the question says; `None` leaves it to the settings.
        """
        from jupyter_llmroute.core.cassette import Cassette, Mode, place
        from jupyter_llmroute.core.sent import rules_of
        from jupyter_llmroute.places import notebook_path

        settings = self._session.config.loaded.settings
        mode = mode or settings.cassette.mode
        if mode == "off":
            return None
        path = place(notebook_path(self._session.shell), named=settings.cassette.file)
        cassette = self._by_path.setdefault(path, Cassette(path))
        cassette.mode, cassette.paced = Mode(mode), settings.cassette.paced
        cassette.rules = rules_of(settings.context)
        return cassette

    def kept(
        self,
        sent_by: SentBy,
        form: type[T],
        live: Callable[[], Coroutine[Any, Any, T]],
        mode: str | None = None,
    ) -> T:
        """Return what is shown besides answers: from the recordings where these are to be replayed, else by `live`."""
        with folded():
            cassette = self.cassette(mode)
            if cassette is None:
                return self._session.run(live())
            from pydantic import TypeAdapter

            from jupyter_llmroute.core.cassette import Asker

            asker = Asker(self._session.log.running_id, self._session.log.running)
            return self._session.run(cassette.kept(sent_by, TypeAdapter(form), live, asker))
