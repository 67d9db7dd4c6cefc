"""From live objects to attachments, within one time limit for all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from jupyter_llmroute.core.attachment import Attachment
from jupyter_llmroute.core.secrets import is_secret_name, masked
from jupyter_llmroute.variables import plain
from jupyter_llmroute.variables.draft import MOST_DROPPED, Draft, GivenUp, Limits
from jupyter_llmroute.variables.kinds import kind_of


def describe(name: str, value: object, *, values: bool = False, limits: Limits | None = None) -> Attachment:
    """Describe one variable.

    Parameters
    ----------
    name
        What the user calls it.
    value
        Anything that is alive in the kernel; it is not changed, consumed, computed, copied or moved.
    values
        Whether what is in it may be said too, and not only what it is.
    limits
        How much is said and how long it may take; default: 6,000 characters and 0.2 seconds.

    Examples
    --------
    >>> print(describe("prices", {"apple": 1.5, "pear": 2}).text)
    prices: dict, 2 entries
    "apple": float
    "pear": int
    """
    return describe_all({name: value}, values=values, limits=limits)[0]


def describe_all(
    variables: Mapping[str, object], *, values: bool = False, limits: Limits | None = None
) -> tuple[Attachment, ...]:
    """Describe the variables that a question names, in their order, within one time limit for all.

    Each may first take its share of the time that is left; who needs more goes on while the others are described.
    What is not ready at the end has the lines that it has, and says so.

    Parameters
    ----------
    variables
        What the user calls them, and the objects.
    values
        Whether what is in them may be said too.
    limits
        How much is said of each, and how long all may take together.
    """
    limits = limits or Limits()
    deadline = time.monotonic() + limits.seconds
    works = [_Work(name, value, limits, values=values) for name, value in variables.items()]
    for number, work in enumerate(works):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        work.start(left / (len(works) - number))
    for work in works:
        work.wait(max(0.0, deadline - time.monotonic()))
    return tuple(work.attachment() for work in works)


class _Work:
    """The description of one variable, under way in a thread that does not keep the interpreter alive."""

    def __init__(self, name: str, value: object, limits: Limits, *, values: bool) -> None:
        self._name = name
        self._value = value
        self._limits = limits
        self._draft = Draft(limits, values=values, secret=is_secret_name(name))
        self._headline = ""
        self._failure = ""
        self._is_done = threading.Event()
        self._is_started = False

    def start(self, seconds: float) -> None:
        """Begin, and wait so long for the end."""
        try:
            threading.Thread(target=self._run, name=f"describes {self._name}", daemon=True).start()
        except RuntimeError:
            self._failure = "no thread could be started"
            return
        self._is_started = True
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        """Wait so long for the end of what was begun."""
        if self._is_started:
            self._is_done.wait(seconds)

    def _run(self) -> None:
        try:
            kind = kind_of(self._value)
            self._headline = kind.headline(self._value)
            kind.details(self._value, self._draft)
        except GivenUp:
            pass
        # Anything may come out of a library, and out of what a user made of it.
        except BaseException as error:
            self._failure = f"describing it failed with {plain.type_name(type(error))}"
        finally:
            self._is_done.set()

    def attachment(self) -> Attachment:
        """Return what there is; whatever is added later is lost."""
        draft, is_done = self._draft, self._is_done.is_set()
        draft.is_closed = True
        lines, left_out = list(draft.lines), list(draft.left_out)
        if draft.dropped:
            what = plain.count(draft.dropped, "more line") + (" at least" if draft.dropped == MOST_DROPPED else "")
            left_out.append(what)
            lines.append(f"… {what} left out …")
        kind = plain.type_name(type(self._value))
        headline = self._headline or kind
        if problem := self._failure or ("" if is_done else f"{self._limits.seconds:g} s were over"):
            lines.append(f"({'the rest is missing' if lines else 'type only'}, because {problem})")
            left_out.append(
                f"all but the type, because {problem}" if len(lines) == 1 else f"the rest, because {problem}"
            )
        text = "\n".join((f"{plain.line(self._name)}: {headline}", *lines))
        return Attachment(name=self._name, kind=kind, text=masked(text), left_out=tuple(left_out))
