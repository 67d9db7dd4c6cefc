"""What stands in the log: one value for each kind of record, and who it was."""

from __future__ import annotations

import functools
import getpass
import hashlib
import hmac
import math
import os
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator

from jupyter_llmroute.core.environment import caller
from jupyter_llmroute.core.secrets import masked
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

FORMAT = 1
"""Version of the records' form."""

MOST_CHARS = 1_000_000
"""Of a text that is kept word for word; its hash is that of all of it."""

BEYOND = 10_000
"""Characters behind these that are read for secrets: half a key has no shape to be told by."""

LONGEST = 2_000
"""Characters of a remark, such as a server's error; what is longer is cut."""


def _remark(text: str) -> str:
    # Masked before it is cut: half a key has no shape to be told by. What is much longer is no remark.
    return masked(text[: 10 * LONGEST])[:LONGEST]


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


Remark = Annotated[str, BeforeValidator(_remark)]
"""Words of a server, of the user or of ours: bounded, and secrets in them masked."""

Name = Annotated[str, BeforeValidator(lambda name: name[:LONGEST])]
"""What somebody or something is called: bounded, and not masked, as names of models may look like chance."""

Number = Annotated[float | None, AfterValidator(_finite)]
"""A measured figure; what is no finite number counts as not measured, as JSON has none."""


class Kept(StrEnum):
    """What is kept of a text."""

    NOTHING = "nothing"
    HASH = "hash"
    """Its length, and its HMAC-SHA256 with the log's own salt."""
    TEXT = "text"
    """These, and its words, secrets masked."""

    @classmethod
    def of_queries(cls, setting: bool | str) -> Kept:
        """Return what `security.log_queries` means: `true` a hash, `false` nothing, else a word of these."""
        return cls(setting) if isinstance(setting, str) else cls.HASH if setting else cls.NOTHING

    @classmethod
    def of_responses(cls, setting: bool | str) -> Kept:
        """Return what `security.log_responses` means: `true` the text, `false` a hash, else a word of these."""
        return cls(setting) if isinstance(setting, str) else cls.TEXT if setting else cls.HASH


class Fingerprint(Value):
    """What the log keeps of a text."""

    chars: int
    hmac: str
    """HMAC-SHA256 with the log's salt, in hexadecimal: who has the salt can check a text that they have."""
    text: str | None = None
    """The words, where that is configured; secrets masked, and cut after a million characters."""

    @staticmethod
    def of(text: str, salt: bytes, kept: Kept) -> Fingerprint | None:
        """Return what is to be kept of a text; `None` where that is nothing.

        Parameters
        ----------
        text
            Anything; half characters too.
        salt
            The log's.
        kept
            How much of it.
        """
        pieces = Pieces(salt, kept)
        pieces.add(text)
        return pieces.fingerprint()


class Pieces:
    """A text that comes piece by piece, until what is kept of it is wanted."""

    def __init__(self, salt: bytes, kept: Kept) -> None:
        self._kept = kept
        self._hmac = hmac.new(salt, digestmod=hashlib.sha256)
        self._texts: list[str] = []
        self._chars = 0

    def add(self, text: str) -> None:
        """Take one more piece."""
        self._hmac.update(text.encode("utf-8", "surrogatepass"))
        if self._kept is Kept.TEXT and self._chars < MOST_CHARS + BEYOND:
            self._texts.append(text)
        self._chars += len(text)

    def fingerprint(self) -> Fingerprint | None:
        """Return what is kept of the pieces so far; `None` where that is nothing."""
        if self._kept is Kept.NOTHING:
            return None
        text = masked("".join(self._texts)[: MOST_CHARS + BEYOND])[:MOST_CHARS] if self._kept is Kept.TEXT else None
        return Fingerprint(chars=self._chars, hmac=self._hmac.hexdigest(), text=text)


class Origin(Value):
    """Who and what writes: the same for all records of one process."""

    session: str
    """Drawn by lot for each kernel, command or server process, whatever settings it takes up meanwhile."""
    user: Name
    """The account's name."""
    notebook: Name = ""
    caller: Name = ""
    """The coding tool that calls us, else the parent process."""
    pid: int = 0

    @classmethod
    def here(cls, notebook: str = "") -> Self:
        """Return the origin of this process; no program is started for it.

        Parameters
        ----------
        notebook
            Its path, where there is one.
        """
        return cls(
            session=_session(os.getpid()),
            user=_user(),
            notebook=notebook,
            caller=caller() or "",
            pid=os.getpid(),
        )


@functools.cache
def _session(pid: int) -> str:
    """Draw a lot for a process: a child that was forked has one of its own."""
    return uuid.uuid4().hex


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name, as in some containers
        return str(os.getuid()) if hasattr(os, "getuid") else ""


class Who(Value):
    """A model on a server."""

    service: Name
    model: Name
    digest: str | None = None
    """Of the model's file or manifest, where it is known."""


class Chosen(Value):
    """A candidate, as it was ranked."""

    who: Who
    score: Number
    expected_s: Number = None
    reasons: tuple[Remark, ...] = ()


class Rejected(Value):
    """A model or a whole server that was left out."""

    service: Name
    model: Name | None = None
    reason: str
    detail: Remark = ""


class Opened(Value):
    """A file of the log begins."""

    kind: Literal["opened"] = "opened"
    format: int = FORMAT
    salt: str
    """The first half of the salt's SHA-256: tells one salt from another."""
    after: str = ""
    """The file before, after a rotation."""


class Part(Value):
    """A part of what decisions rest on, written once in a file and named by its hash from then on."""

    kind: Literal["part"] = "part"
    sha256: str
    """Of the JSON that is packed in `data`."""
    data: str
    """base64 of zlib."""


BY_USER_AGENT = "user-agent"
"""How a tool that asks through us is known: by its own word, that anybody may say."""


class OfQuestion(Value):
    """A record of a question. Who asks through us stands in it, and the process that writes otherwise."""

    caller: Name | None = None
    caller_by: str | None = None
    """How the caller is known where it is another process; `BY_USER_AGENT`."""


class Decided(OfQuestion):
    """A decision was taken."""

    kind: Literal["decided"] = "decided"
    question: str
    """Drawn by lot; all records of one question have it."""
    task: Task
    confidence: Number
    named_model: Name | None = None
    named_service: Name | None = None
    text: Fingerprint | None = None
    """Of the question as the user wrote it."""
    prompt: Fingerprint | None = None
    """Of the question and all that was gathered to go along with it."""
    chosen: tuple[Chosen, ...]
    """Best first."""
    rejected: tuple[Rejected, ...]
    rejected_more: int = 0
    """How many more were left out; `route` covers them too."""
    route: str
    """SHA-256 of the whole decision: what a replay must give."""
    basis: Mapping[str, str] = {}
    """What it was taken on, each piece as JSON, or as the hash of a part; see `basis`. Empty where it is not known."""


class Started(OfQuestion):
    """A server is being asked."""

    kind: Literal["started"] = "started"
    question: str
    attempt: int
    """From 1 on; 0 for the arbiter, who is asked before there is a decision."""
    who: Who
    level: str
    prompt: Fingerprint | None = None
    """Of what is sent: the messages as they were laid out for this model's window, as JSON, and what is passed on."""
    prompt_tokens: int
    prompt_tokens_exact: bool = False
    context_window: int | None = None
    context: tuple[Name, ...] = ()
    """References of what goes along."""
    left_out: tuple[Name, ...] = ()


class Failed(OfQuestion):
    """An attempt failed."""

    kind: Literal["failed"] = "failed"
    question: str
    attempt: int
    who: Who
    level: str
    failure: str
    """The class of the error."""
    error: Remark
    response: Fingerprint | None = None
    """What had come; `None` also where that is nothing."""


class Refused(OfQuestion):
    """The policy forbade an address or a model that was to be asked."""

    kind: Literal["refused"] = "refused"
    question: str = ""
    service: Name = ""
    model: Name = ""
    detail: Remark


class Verdict(StrEnum):
    """How a question ended."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    """By the user, or because whoever listened went away."""
    FAILED = "failed"


class Ended(OfQuestion):
    """A question came to its end."""

    kind: Literal["ended"] = "ended"
    question: str
    level: str | None = None
    """That of the arbiter, where it is no answer to the question that ended, but its word on the task."""
    verdict: Verdict
    who: Who | None = None
    """Who was asked last."""
    answered_by: Name | None = None
    finish_reason: Name | None = None
    response: Fingerprint | None = None
    """Of what came of the answer, thoughts aside."""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    time_to_first_token_s: Number = None
    elapsed_s: Number = None
    tokens_per_second: Number = None
    failure: str = ""
    """The class of the error."""
    error: Remark = ""


class Edited(Value):
    """Something of the user's was changed for them."""

    kind: Literal["edited"] = "edited"
    question: str = ""
    action: Remark
    """In words, such as `"replace cell"` or `"insert after symbol"`."""
    target: Name
    """What was changed: a cell's id, a file, a symbol."""
    before: Fingerprint | None = None
    after: Fingerprint | None = None


MODEL_CHANGED = "model changed"
"""The event of a model that is another than the one that was locked."""


LOG_OFF, LOG_MOVED = "audit switched off", "audit goes on in another log"
"""The events after which one writes no more into a log."""


class Security(Value):
    """Something that whoever answers for security wants to know."""

    kind: Literal["security"] = "security"
    event: Remark
    """In few fixed words, such as `"external addresses allowed"`, `"models locked"`, `"model changed"`."""
    detail: Remark = ""
    sha256: str = ""
    """Of what it is about, such as the lock file of the models."""


class Repaired(Value):
    """What a writer found out of order, and put right as far as that can be done."""

    kind: Literal["repaired"] = "repaired"
    what: str
    detail: str


class Lost(Value):
    """Records could not be written, and answers went on because no audit was required."""

    kind: Literal["lost"] = "lost"
    records: int
    error: Remark


class Retired(Value):
    """The oldest file was removed, as the settings say."""

    kind: Literal["retired"] = "retired"
    file: str
    count: int
    """The number of its last record."""
    last: str
    """That record's hash."""


Record = Opened | Part | Decided | Started | Failed | Refused | Ended | Edited | Security | Repaired | Lost | Retired
