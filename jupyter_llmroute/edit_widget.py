"""Apply and Discard below a proposal. The diff is an output of its own: it is saved, and shows without a kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_llmroute.core.edits.applied import Applied
    from jupyter_llmroute.core.edits.proposal import Proposal

DISCARDED = "Discarded: nothing was changed."

OFFER = "jp-llmroute-offer"
"""Class of the buttons: while they stand in the page, the card above offers nothing of its own."""

_EMPTY = {"text/plain": ""}


class Line:
    """A line of text in an output of its own, which the next one takes the place of."""

    def __init__(self) -> None:
        self._handle: Any = None

    def reserve(self) -> Line:
        """Create the output now: a button's handler has no cell that one could go to."""
        from IPython.display import display  # noqa: TID251

        self._handle = display(_EMPTY, raw=True, display_id=True)
        return self

    def say(self, text: str) -> None:
        """Show a text; nothing where it is empty."""
        from jupyter_llmroute.inert import inert_line, plain_line

        if self._handle is None and text:
            self.reserve()
        said = {"text/markdown": inert_line(text, 1000), "text/plain": plain_line(text, 1000)}
        if self._handle is not None:
            self._handle.update(said if text else _EMPTY, raw=True)


class ProposalPlace:
    """Three outputs of the running cell: for a diff, for the buttons below it, and for what becomes of it."""

    def __init__(self) -> None:
        from IPython.display import display  # noqa: TID251

        self.card: Any = display(_EMPTY, raw=True, display_id=True)
        self.controls: Any = display(_EMPTY, raw=True, display_id=True)
        self.result = Line().reserve()


def show_proposal(
    proposal: Proposal,
    apply: Callable[[Proposal], Applied],
    discard: Callable[[], None] = lambda: None,
    place: ProposalPlace | None = None,
) -> None:
    """Show what edits would make of files, and buttons that have it done or drop it.

    Parameters
    ----------
    proposal
        One that changes nothing is shown without buttons.
    apply
        Makes the changes; called once for a proposal that was looked at. Where it raises `NotAsShown`, what would be
        changed instead takes the proposal's place, with buttons of its own.
    discard
        Called where the user wants none of it.
    place
        Where to show it all; default: new outputs of the running cell.
    """
    import ipywidgets  # noqa: TID251

    from jupyter_llmroute.core.edits.verification import NotAsShown
    from jupyter_llmroute.core.errors import LLMRouteError
    from jupyter_llmroute.edit_card import bundle

    place = place or ProposalPlace()
    card, controls, say = place.card, place.controls, place.result.say
    card.update(bundle(proposal), raw=True)
    if proposal.is_empty:
        return
    now = [proposal]
    yes = ipywidgets.Button(description="Apply", tooltip="Change the files as shown", button_style="primary")
    no = ipywidgets.Button(description="Discard", tooltip="Change nothing")
    box = ipywidgets.HBox([yes, no])
    box.add_class(OFFER)
    controls.update(_view_of(box), raw=True)

    def leave() -> None:
        controls.update(_EMPTY, raw=True)
        for widget in (*box.children, box):
            widget.close()

    def do(_: Any) -> None:
        yes.disabled = no.disabled = True
        try:
            applied = apply(now[0])
        except NotAsShown as error:
            now[0] = error.instead
            card.update(bundle(error.instead), raw=True)
            say(str(error))
            yes.disabled = no.disabled = False
        except LLMRouteError as error:
            # Nobody sees what a button's handler raises.
            leave()
            say(str(error))
        except KeyboardInterrupt:
            yes.disabled = no.disabled = False
        except BaseException:
            yes.disabled = no.disabled = False
            raise
        else:
            leave()
            card.update(bundle(applied), raw=True)

    def drop(_: Any) -> None:
        leave()
        say(DISCARDED)
        discard()

    yes.on_click(do)
    no.on_click(drop)


def _view_of(widget: Any) -> Mapping[str, Any]:
    """Return the bundle of a widget, with nothing for viewers that have no widgets: the diff says it all."""
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}
