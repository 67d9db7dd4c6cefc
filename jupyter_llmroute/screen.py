"""Where a run is shown: a terminal has a screen of its own, in `terminal`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from jupyter_llmroute.view import RunView


class Screen(Protocol):
    """Where a run is shown."""

    def update(self, view: RunView, *, final: bool) -> None:
        """Show the run as it stands."""


class OutputScreen:
    """One output of the cell, updated in place; created when there is something to show."""

    def __init__(self) -> None:
        self._handle: Any = None

    def reserve(self) -> None:
        """Create the output now, empty: what is shown later, from a widget's button, has no cell to go to."""
        from IPython.display import display

        self._handle = display({"text/plain": ""}, raw=True, display_id=True)

    def update(self, view: RunView, *, final: bool) -> None:
        """Send the whole bundle; the one sent last is what is saved."""
        from IPython.display import display

        if self._handle is None:
            self._handle = display(view.bundle(), raw=True, display_id=True)
        else:
            self._handle.update(view.bundle(), raw=True)
