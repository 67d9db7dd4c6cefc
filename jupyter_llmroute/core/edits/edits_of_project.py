"""What answers want to change in a project's files: read, proposed, applied when the user has agreed, taken back."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion
from jupyter_llmroute.core.code.project_code import ProjectCode
from jupyter_llmroute.core.code.serena import Serena
from jupyter_llmroute.core.code.serena_life import Stage
from jupyter_llmroute.core.edits.answer_edits import read_edits
from jupyter_llmroute.core.edits.applied import Applied
from jupyter_llmroute.core.edits.draft import propose
from jupyter_llmroute.core.edits.edit import RenameSymbol
from jupyter_llmroute.core.edits.guard import apply, recover_all
from jupyter_llmroute.core.edits.proposal import Proposal
from jupyter_llmroute.core.edits.undo import undo
from jupyter_llmroute.core.edits.verification import NotAsShown
from jupyter_llmroute.core.errors import CodeUnavailable, EditRefused

READY_S = 60.0
"""Seconds that an agreed change waits for Serena: a start takes five, and twenty on a busy machine."""


class Offer(NamedTuple):
    """What an answer wants to change."""

    proposal: Proposal
    problems: tuple[str, ...]
    """Sentences on what in the answer does not read as a change."""


async def offered(answer: str, project: ProjectCode) -> Offer:
    """Return what an answer wants to change, checked; nothing is written.

    Parameters
    ----------
    answer
        As it came; untrusted.
    project
        Whose files may be changed.
    """
    await recover_all()
    found = read_edits(answer)
    proposal = await propose(found.edits, project.root, preview=project.static.jedi.rename_preview)
    return Offer(proposal, found.problems)


def waits_for_serena(proposal: Proposal, project: ProjectCode, *, as_shown: bool = False) -> bool:
    """Whether `applied` has to wait until Serena is there to change files: with the first change it starts."""
    serena = _editor(proposal, project, as_shown)
    return serena is not None and bool(proposal.steps) and not serena.can_edit


async def applied(proposal: Proposal, project: ProjectCode, *, as_shown: bool = False) -> Applied:
    """Change the files as they were shown, by Serena where it runs; all of it or nothing.

    Raises
    ------
    EditRefused
        Nothing was changed, or all was taken back.
    NotAsShown
        The same, and what would be changed instead can be looked at.
    """
    renames = any(isinstance(step, RenameSymbol) for step in proposal.steps)
    if serena := _editor(proposal, project, as_shown):
        try:
            await serena.ready(READY_S)
            if proposal.steps:
                # Before anything is locked or looked at: whoever stops waiting leaves all as it was.
                await serena.ready_to_edit(READY_S)
            return await apply(proposal, serena, references=await _references(proposal, project))
        except NotAsShown:
            raise
        except (EditRefused, CodeUnavailable) as error:
            # What Serena finds wrong with a rename may be that it is not whole: that is not written in another way.
            if proposal.unseen:
                raise
            if renames and isinstance(error, EditRefused):
                raise EditRefused(f"{error} `%llm_apply --as-shown` writes exactly what was shown.") from error
            # What was shown and agreed to can be written as it is.
            done = await apply(proposal)
            return done.model_copy(update={"notes": (*done.notes, "Written as shown, without Serena, which failed.")})
    return await apply(proposal)


async def taken_back(root: Path) -> Applied:
    """Take the last change of a project's files back.

    Raises
    ------
    EditRefused
        There is none, or a file was changed since.
    """
    return await undo(root)


def _editor(proposal: Proposal, project: ProjectCode, as_shown: bool) -> Serena | None:
    """Return Serena, where a change is made by it."""
    if project.serena is None or as_shown:
        return None
    stage = project.serena.state.stage
    comes = proposal.unseen and stage in (Stage.STARTING, Stage.INDEXING)
    return project.serena if stage is Stage.READY or comes else None


async def _references(proposal: Proposal, project: ProjectCode) -> list[str]:
    """Return the files that use what is to be renamed, as Serena knows them."""
    files: list[str] = []
    for step in proposal.steps:
        if isinstance(step, RenameSymbol) and project.serena:
            question = CodeQuestion(ask=Ask.REFERENCES, name_path=step.symbol, file=step.file)
            files += (one.file for one in await project.serena.find(question))
    return list(dict.fromkeys(files))
