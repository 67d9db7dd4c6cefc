"""Every route of the extension, in one table: the server's handlers and the OpenAPI description are made from it."""

from __future__ import annotations

import re
from typing import NamedTuple

from jupyter_llmroute.server import chat, gateway, handlers
from jupyter_llmroute.server.handler import Handler

BASE = "jupyter_llmroute"
"""Below the server's base URL."""


class Operation(NamedTuple):
    """What one method of a route takes and gives."""

    summary: str
    answer: str
    """The name of its shape in `shapes`, of a media type, or of a part of OpenAI's reference."""
    body: str = ""
    """The name of its shape; empty where none is taken."""
    query: tuple[tuple[str, str], ...] = ()
    """Arguments of the address, each with what it means."""
    is_stream: bool = False
    """Whether it answers in events, or may."""


class Route(NamedTuple):
    """One address."""

    path: str
    """Below `BASE`; `{name}` stands for one part."""
    handler: type[Handler]
    operations: dict[str, Operation]
    """By method."""

    @property
    def is_gateway(self) -> bool:
        """Whether it fails as OpenAI does."""
        return issubclass(self.handler, gateway.GatewayHandler)

    @property
    def pattern(self) -> str:
        """The path as a regular expression."""
        return re.sub(r"\\\{\w+\\\}", "(.+)", re.escape(self.path))


REFRESH = ("refresh", "1: look for servers now")

ROUTES = (
    Route(
        "services",
        handlers.ServicesHandler,
        {"get": Operation("The servers, with health and models", "Services", query=(REFRESH,))},
    ),
    Route("models", handlers.ModelsHandler, {"get": Operation("The models of all servers", "Models")}),
    Route(
        "decide",
        handlers.DecideHandler,
        {"post": Operation("Who would answer a question, and why; nobody is asked", "Decision", body="Question")},
    ),
    Route(
        "next",
        handlers.NextHandler,
        {
            "get": Operation(
                "Who each task would use now", "NextUp", query=(("pins", "pins as JSON, as in a question"),)
            )
        },
    ),
    Route(
        "chat",
        chat.ChatHandler,
        {"post": Operation("Answer a question, an event at a time", "", body="ChatQuestion", is_stream=True)},
    ),
    Route(
        "audit",
        handlers.AuditHandler,
        {"get": Operation("The newest records of the audit log", "AuditTail", query=(("tail", "how many"),))},
    ),
    Route(
        "doctor",
        handlers.DoctorHandler,
        {"get": Operation("The checklist of a closed network", "Doctor", query=(REFRESH,))},
    ),
    Route(
        "settings",
        handlers.SettingsHandler,
        {
            "get": Operation("The settings that hold in this server, without secrets", "ShownSettings"),
            "put": Operation("Change some while this server runs", "ShownSettings", body="ChangedSettings"),
        },
    ),
    Route("openapi.json", handlers.DescriptionHandler, {"get": Operation("This description", "object")}),
    Route(
        "v1/models", gateway.GatewayModelsHandler, {"get": Operation("The models, as OpenAI has them", "GatewayModels")}
    ),
    Route(
        "v1/models/{model}",
        gateway.GatewayModelsHandler,
        {"get": Operation("One model, as OpenAI has it", "GatewayModel")},
    ),
    Route(
        "v1/chat/completions",
        gateway.CompletionsHandler,
        {
            "post": Operation(
                "A chat completion, as OpenAI has it; in events where `stream` is true",
                "object",
                body="ChatCompletion",
                is_stream=True,
            )
        },
    ),
)
