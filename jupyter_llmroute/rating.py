"""The user's word on an answer, and what all such words add up to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.feedback import Feedback, Tally, Thumb
from jupyter_llmroute.table import Table

if TYPE_CHECKING:
    from jupyter_llmroute.core.selector import Decision
    from jupyter_llmroute.core.task import Task
    from jupyter_llmroute.notebook import NotebookSession
    from jupyter_llmroute.view import RunView

COLUMNS = ("model", "task", "thumbs", "points")

HOW = "%llm_rate up or down rates the last answer, none takes that back; --forget takes all of it back."

NOTHING = "No answer was rated yet: %llm_rate up or down rates the last one."


class Answered:
    """An answer that can be rated.

    Parameters
    ----------
    model
        The catalog's name of who answered.
    task
        What the question was taken for.
    """

    def __init__(self, model: str, task: Task) -> None:
        self.model = model
        self.task = task
        self.thumb: Thumb | None = None
        """What the user said of it last; `Ratings.said` knows whether that still counts."""
        self.round = 0
        """Of the ratings, when they said it."""


class Ratings:
    """Rates a session's answers.

    Parameters
    ----------
    session
        Whose.
    """

    def __init__(self, session: NotebookSession) -> None:
        self._session = session
        self.last: Answered | None = None
        """The answer that came last."""
        self.redraw: Callable[[], None] = lambda: None
        """Called when what was said of an answer may be another."""
        self._round = 0
        """How often all was forgotten."""

    def note(self, view: RunView, decision: Decision | None) -> None:
        """Note the answer that a run brought."""
        self.last = answered(view, decision)

    def rate(self, thumb: Thumb | None, answer: Answered | None = None) -> str:
        """Count the user's word on an answer, by default the last one, or take it back; return what there is to say.

        Raises
        ------
        UserError
            There is no answer yet.
        """
        answer = answer or self.last
        if answer is None:
            raise UserError(
                "There is no answer to rate yet: ask a question with %%route. A recorded answer is not rated."
            )
        before = self.said(answer)
        if before is not thumb:
            router = self._session.router
            self._session.run(router.rate(answer.model, answer.task, thumb, before=before))
            answer.thumb, answer.round = thumb, self._round
            self.redraw()
        tally = self.feedback().of(answer.model, answer.task)
        taken_back = "Taken back" if before else "There was nothing to take back"
        done, words = "Counted" if thumb else taken_back, str(tally) or "not rated"
        return f"{done}. {answer.model}, {words} for {answer.task}: {points(tally)} from now on."

    def said(self, answer: Answered) -> Thumb | None:
        """Return the user's word on an answer; what was forgotten since is none."""
        return answer.thumb if answer.round == self._round else None

    def feedback(self) -> Feedback:
        """Return all that was counted."""
        return self._session.run(self._session.router.feedback())

    def forget(self) -> int:
        """Forget all that was counted; return of how many pairs of model and task."""
        number = len(self.feedback().tallies)
        self._session.run(self._session.router.forget_feedback())
        self._round += 1
        self.redraw()
        return number


def answered(view: RunView, decision: Decision | None) -> Answered | None:
    """Return the answer of a run for rating; `None` where it is not known who answered."""
    started = view.started
    if started is None or decision is None:
        return None
    route = decision.route
    candidates = (*route.candidates, *([route.smallest] if route.smallest else []))
    who = (started.service, started.model)
    found = next((one for one in candidates if (one.endpoint.name, one.model.id) == who), None)
    return Answered(found.info.id, decision.classification.task) if found else None


def points(tally: Tally) -> str:
    """Return what thumbs add to a score.

    Examples
    --------
    >>> points(Tally(up=1)), points(Tally(down=2))
    ('+1.3 points', '-2.0 points')
    """
    return f"{tally.points:+.1f} points"


def table(feedback: Feedback) -> Table:
    """Return all that was counted, the newest first."""
    rows = []
    for key, tally in [*feedback.tallies.items()][::-1]:
        task, _, model = key.partition(" ")
        if words := str(tally):
            rows.append((model, task, words, points(tally)))
    return Table(columns=COLUMNS, rows=tuple(rows), notes=(HOW,), nothing=NOTHING)
