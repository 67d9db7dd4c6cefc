"""The sections of `Settings`: what can be set, what it means, and what holds where nobody sets it.

`service_settings` has the section of the servers. The README's table is made from the descriptions.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


class TaskRouting(Value):
    """The user's own order of models for one task."""

    primary_models: tuple[str, ...] = Field((), description="tried first, in this order")
    fallback_models: tuple[str, ...] = Field((), description="tried next, in this order")
    min_context: int = Field(
        8192, gt=0, description="models that serve fewer tokens lose 10 points; 16384 for reasoning and analysis"
    )
    require_serena: bool = Field(
        False, description="look into the project's code whatever the question's words are; true for analysis"
    )


def default_task_routing() -> dict[Task, TaskRouting]:
    """Return what holds of each task where the user says nothing of it."""
    return {
        Task.CODING: TaskRouting(),
        Task.REASONING: TaskRouting(min_context=16384),
        Task.ANALYSIS: TaskRouting(min_context=16384, require_serena=True),
        Task.DOCUMENTATION: TaskRouting(),
    }


class ClassifierSettings(Value):
    """How the task of a question is told."""

    arbiter: bool = Field(
        False, description="where two tasks are nearly as likely, ask the smallest model in memory which of them it is"
    )
    arbiter_limit_s: float = Field(0.3, gt=0, le=10, description="seconds that it may take, connecting included")
    arbiter_worth: float | None = Field(
        None,
        ge=0.5,
        lt=1,
        description="how often it is right, as `tests/bench/arbiter.py` measures it; unset: 0.6, and models of less "
        "than a billion parameters are not asked",
    )


class EmbeddedSettings(Value):
    """The built-in llama.cpp server."""

    enabled: bool = Field(True, description="offer the embedded server's models")
    model_path: Path | None = Field(
        None, description="a GGUF file, or a folder of them; unset: the demonstration model"
    )
    context_window: int = Field(8192, ge=512, description="tokens served; never more than the model was trained for")
    threads: int | None = Field(None, ge=1, description="unset: one less than the cores")
    idle_timeout_s: float = Field(900, gt=0, description="seconds without a question after which the server stops")
    cache_reuse_tokens: int = Field(
        64, ge=0, description="pieces of so many tokens that only moved in a prompt are not read again; 0: all are"
    )

    @field_validator("model_path")
    @classmethod
    def _expand(cls, path: Path | None) -> Path | None:
        return path and Path(os.path.expandvars(path)).expanduser()


class ContextSettings(Value):
    """What of the notebook goes along with a question."""

    max_cells: int = Field(
        8, ge=0, description="earlier cells that go along, those first whose names the question needs, then the newest"
    )
    max_cell_chars: int = Field(4000, gt=0, description="a longer cell or output is cut in its middle, with a mark")
    max_turns: int = Field(1000, ge=0, description="earlier questions and answers that go along, newest first")
    reserve_tokens: int = Field(1024, gt=0, description="tokens of the window kept free for the answer")
    compaction_threshold: float = Field(
        0.8, gt=0, le=1, description="share of the prompt's room above which the conversation is shortened"
    )
    compaction_target: float = Field(0.5, gt=0, le=1, description="share to which it is shortened")
    preserve_recent_messages: int = Field(
        10, ge=0, description="newest questions and answers that are kept whole as long as that suffices"
    )
    preserve_recent_tool_calls: int = Field(5, ge=0, description="newest outputs of cells that are kept whole likewise")
    summaries: Literal["extract", "model"] = Field(
        "extract",
        description="what is kept of an earlier answer that no longer fits: its ends, or a sentence that a model is "
        "asked for",
    )
    max_tool_output_tokens: int = Field(
        500, gt=0, description="of a longer output, when the conversation is shortened, head and tail are kept"
    )


class Limits(Value):
    """Time limits, in seconds, and how many servers may be tried for one question."""

    connect_s: float = Field(5, gt=0, description="seconds to connect")
    first_token_s: float = Field(600, gt=0, description="seconds from sending to the first token, loading included")
    total_s: float = Field(1800, gt=0, description="seconds for one question, all attempts together")
    attempts: int = Field(6, ge=1, description="attempts for one question, retries included")
    patience_s: float = Field(
        30, gt=0, description="an answer that takes so long costs a model 12 points, three times as long 24"
    )
    breaker_failures: int = Field(
        3, ge=1, description="failures in a row after which a server is left alone for a while"
    )
    breaker_s: float = Field(30, gt=0, description="seconds of that while; it doubles each time, up to 10 minutes")
    scan_s: float = Field(1.5, gt=0, description="seconds to wait for each server when looking for them")
    rescan_s: float = Field(30, ge=0, description="seconds that a look around stays valid")


class DiscoverySettings(Value):
    """Where else servers are looked for."""

    default_ports: bool = Field(
        True, description="look at the default ports of all servers; `false`: only at what is named"
    )
    hosts: tuple[str, ...] = Field(
        (), description="other machines on whose default ports is looked too: names or addresses, without port"
    )
    host_machine: bool = Field(
        True, description="in WSL or in a container: look at the machine around it, where its name or address is known"
    )

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host) and not _is_address(host):
                raise ValueError("a host is a name or an address alone, without scheme, port or network")
        return hosts


class ModelSettings(Value):
    """What of the models may be used, and what the user knows about them."""

    excluded: tuple[str, ...] = Field((), description="names of models that are never asked")
    memory_gb: float | None = Field(
        None, gt=0, description="memory that models on this machine may take; unset: what the machine has"
    )
    catalog: tuple[dict[str, Any], ...] = Field(
        (), description="models to add to the catalog, or fields of known ones to override, each with its `id`"
    )


class CassetteSettings(Value):
    """Answers that are kept beside the notebook, and given again without any server."""

    mode: Literal["off", "none", "once", "new_episodes", "all"] = Field(
        "off",
        description="off: nothing is kept; none: what was kept is given, and nobody is asked; once: the same, unless "
        "nothing was kept yet; new_episodes: what was not kept is asked for; all: everything is",
    )
    file: Path | None = Field(None, description="where; unset: NOTEBOOK.cassette.json beside the notebook")
    paced: bool = Field(True, description="what was kept comes as slowly as it came then; `false`: at once")


class SecuritySettings(Value):
    """What may be reached."""

    allow_external: bool = Field(False, description="allow addresses outside the lists below")
    allowed_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "host.docker.internal", "host.containers.internal", "model-runner.docker.internal"),
        description="names and addresses that configured servers may have; CIDRs too",
    )
    allowed_cidrs: tuple[str, ...] = Field(
        ("192.168.0.0/16", "10.0.0.0/8", "172.16.0.0/12"), description="networks that configured servers may be in"
    )
    allowed_ports: tuple[int, ...] | None = Field(
        None, description="ports that servers on other machines may have, such as `[11434, 8000]`; unset: any"
    )
    ca_file: Path | None = Field(
        None, description="certificates (PEM) of the authorities that vouch for https servers; unset: the system's"
    )
    audit_enabled: bool = Field(True, description="write what happens to each question into the audit log")
    audit_log_path: Path | None = Field(
        None, description="where; unset, or where a path that is not absolute begins: the user's own state folder"
    )
    audit_required: bool = Field(
        True,
        description="a question fails when its records cannot be written; `false`: a warning, and lost ones counted",
    )
    audit_fsync: bool = Field(True, description="records are forced to the disk before an answer is shown")
    audit_max_mb: int = Field(64, gt=0, description="megabytes of a file of the log, after which the next is begun")
    audit_keep_files: int | None = Field(
        None, ge=0, description="closed files of the log that are kept, the newest; unset: all"
    )
    log_queries: bool | Literal["nothing", "hash", "text"] = Field(
        True, description="what the log keeps of questions; `true`: a salted hash, `false`: nothing"
    )
    log_responses: bool | Literal["nothing", "hash", "text"] = Field(
        False, description="what the log keeps of answers; `false`: a salted hash, `true`: the text, secrets masked"
    )
    verify_checksums: bool = Field(
        True, description="a model that is another than the one that was locked (`models lock`) is not asked"
    )

    @field_validator("ca_file", "audit_log_path")
    @classmethod
    def _expand(cls, path: Path | None) -> Path | None:
        return path and Path(os.path.expandvars(path)).expanduser()

    @field_validator("allowed_cidrs")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network, strict=False)
        return networks


class SerenaSettings(Value):
    """How the project's code is looked into."""

    enabled: bool = Field(
        True, description="ask Serena about the project's code; without it jedi, `ast` and ty still answer"
    )
    priority: Literal["always_first"] = Field(
        "always_first", description="read and kept: Serena is asked before a model"
    )
    workspace: str | None = Field(
        None, description="root of the project; unset: the nearest folder above the notebook that looks like one"
    )
    executable: str | None = Field(
        None, description="Serena's program; unset: that on the PATH, or of `jupyter-llmroute serena install`"
    )
    budget_s: float = Field(3.0, gt=0, le=60, description="seconds that a question waits for what is found in code")
    idle_s: float = Field(900.0, gt=0, description="seconds without a question after which Serena is ended")
