"""Hostile texts, `data/hostile/payloads.yaml`, and what the project makes of each, as outputs of a notebook."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from jupyter_llmroute.core.classifier import Classification
from jupyter_llmroute.core.edits.edit import WriteFile
from jupyter_llmroute.core.edits.proposal import FileChange, Proposal, Refusal
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.events import Attempt, AttemptFailed, AttemptStarted, Completed, Routed, TextDelta, Usage
from jupyter_llmroute.core.fallback import Level
from jupyter_llmroute.core.request import Format, Request
from jupyter_llmroute.core.route import Candidate, Rejection, RejectionReason, Route
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.facts import AnswerFacts
from jupyter_llmroute.view import ANSWER_MIME, RunView

from .shown import decision, server

FILE = Path(__file__).with_name("data") / "hostile" / "payloads.yaml"
NOWHERE = "127.0.0.1:9"

Bundle = dict[str, Any]


class Payload(NamedTuple):
    """One hostile text."""

    number: int
    """By which its traces are known, counted from 1."""
    name: str
    kind: str
    text: str
    why: str

    @property
    def forged(self) -> Any:
        """What a forged notebook holds, of those kinds; the facts of an answer otherwise."""
        if self.kind not in ("facts", "metadata"):
            return None
        return json.loads(self.text)


def payloads(host: str = NOWHERE) -> list[Payload]:
    """Return all of them, with addresses on a host that is not to be asked."""
    return [_payload(number, entry, host) for number, entry in enumerate(yaml.safe_load(FILE.read_text("utf-8")), 1)]


def _payload(number: int, entry: dict[str, Any], host: str) -> Payload:
    own = f"{host}/{entry['name']}"
    marks = {"@RUN@": f"top.hacked={number}", "@N@": str(number), "@URL@": f"http://{own}", "@HOST@": own}
    text = entry["text"] * entry.get("times", 1)
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return Payload(number, entry["name"], entry["kind"], text, entry["why"])


class Canary:
    """A port on loopback that nobody must come to; who comes is noted, and not answered."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._watch, name="canary")

    def _watch(self) -> None:
        while True:
            guest, _ = self._socket.accept()
            with guest:
                guest.settimeout(5)
                said = b""
                with suppress(OSError):
                    said = guest.recv(400)
                if said == b"over":
                    return
                self.visits.append(said.partition(b"\r\n")[0].decode("latin-1") or "a connection")


@contextmanager
def canary() -> Iterator[Canary]:
    """Open a canary."""
    bird = Canary()
    bird._thread.start()
    try:
        yield bird
    finally:
        with socket.create_connection(bird._socket.getsockname()) as last:
            last.sendall(b"over")
        bird._thread.join()
        bird._socket.close()


def servers(all_payloads: list[Payload]) -> list[Endpoint]:
    """Return a server for each: its name, its model, its product and all that it says of itself are the payload."""
    return [_server(payload.text) for payload in all_payloads]


def _server(text: str) -> Endpoint:
    local = ServedModel(id=text + "7b", context_window=8192, quantisation=text, family=text)
    return server(text, local, ServedModel(id=text, remote=text), provider=text, base_url="http://127.0.0.1:1/" + text)


def run(text: str, form: Format = Format.MARKDOWN) -> RunView:
    """Return a run in which all that a server, a file or a model can name or say is the same hostile text."""
    view = RunView(Request(question=text, format=form))
    enemy = _server(text)
    candidate = Candidate(**{**dict(_harmless()), "endpoint": enemy, "model": enemy.models[0], "reasons": (text,)})
    refused = Rejection(service=text, model=text, reason=RejectionReason.POLICY, detail=text)
    what = Classification(
        task=Task.CODING, confidence=1, scores=dict.fromkeys(Task, 0.25), evidence=(text, text), needs_symbols=False
    )
    for event in (
        Routed(
            classification=what,
            route=Route(candidates=(candidate, candidate), rejections=(refused,)),
            context=(text,),
            remarks=(text,),
        ),
        _started(text, 1, Level.PRIMARY),
        AttemptFailed(attempt=Attempt(number=1, service=text, model=text, error=text)),
        _started(text, 2, Level.FALLBACK_MODELS),
        TextDelta(text=text),
        Completed(
            service=text,
            model=text,
            answered_by=text + "?",
            finish_reason="length",
            usage=Usage(prompt_tokens=4),
            time_to_first_token_s=0.5,
            elapsed_s=1,
            tokens_per_second=9,
        ),
    ):
        view.apply(event)
    return view


@cache
def _harmless() -> Candidate:
    return decision(server("desk", ServedModel(id="qwen3:8b"))).route.candidates[0]


def _started(text: str, number: int, level: Level) -> AttemptStarted:
    told = {"reasons": (text,), "context": (text,), "left_out": (text,)}
    return AttemptStarted(number=number, service=text, model=text, prompt_tokens=9, is_cold=True, level=level, **told)


def answer(payload: Payload) -> Bundle:
    """Return the output of an answer that is the payload, below a card of which every word is."""
    view = run(payload.text)
    bundle = view.bundle()
    view.fail(ValueError(payload.text))
    bundle[ANSWER_MIME]["error"] = view.bundle()[ANSWER_MIME]["error"]
    return bundle


def forged(payload: Payload) -> Bundle:
    """Return an output that nobody of ours made: each field of the facts is the payload, and so is the Markdown."""
    facts = payload.forged if payload.kind == "facts" else _facts(payload.text)
    return {ANSWER_MIME: facts, "text/markdown": payload.text, "text/plain": payload.text}


def _facts(text: str) -> dict[str, Any]:
    by_hand: dict[str, Any] = {
        "task": {"name": text, "confidence": 0.5, "evidence": [text], "rival": text},
        "considered": [{"model": text, "service": text, "verdict": text}],
        "attempts": [{"model": text, "service": text, "error": text}],
    }
    lists = {name: [text] for name in ("reasons", "context", "left_out", "remarks")}
    words = dict.fromkeys(
        ("model", "service", "level", "fallback", "waiting", "answered_by", "finish_reason", "error"), text
    )
    facts = {"version": 1, "state": "complete", "card_lines": 0, **by_hand, **lists, **words}
    assert facts.keys() <= AnswerFacts.model_fields.keys()
    return facts


def proposal(payload: Payload) -> Proposal:
    """Return edits whose file names, texts, notes and refusals are the payload."""
    text = payload.text
    change = FileChange(
        file=text, before=f"a\n{text}\nb\n", after=f"a\n{text}{text}\nb", digest=None, raw_after=None, notes=(text,)
    )
    refused = Refusal(edit=WriteFile(file=text, text=text), reason=text)
    return Proposal(root=Path("shop"), changes=(change,), refused=(refused,))
