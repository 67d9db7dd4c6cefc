"""One look at one server: a few requests, each GET sent once, whoever asks for it.

Only what loads no model and wakes no generation may be asked for here.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

import httpx

from jupyter_llmroute.core.errors import AuthenticationNeeded
from jupyter_llmroute.core.transport import peer_errors, read_at_most

MAX_ANSWER_BYTES = 8 << 20
"""A model list larger than 8 MiB is none."""


class Answer(NamedTuple):
    """What a server said."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body as JSON; `None` where it is not: a single-page app answers 200 with HTML to everything."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class Probe:
    """Asks one base URL; answers are kept, so that one dialect after another can look at the same one."""

    def __init__(
        self, client: httpx.AsyncClient, base_url: str, *, timeout_s: float, api_key: str | None = None
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._client = client
        self._timeout_s = timeout_s
        self.api_key = api_key
        self._answers: dict[str, Answer] = {}

    async def get(self, path: str) -> Answer:
        """Return the answer to `GET path`; from the second time on, the same one.

        Raises
        ------
        PeerError
            There was no answer in time. The first such error is the last request: who does not answer one path
            within the limit is not asked for another.
        """
        if path not in self._answers:
            self._answers[path] = await self._ask("GET", path)
        return self._answers[path]

    async def post_json(self, path: str, body: dict[str, Any]) -> Answer:
        """Return the answer to `POST path`, for what is only told that way; it is not kept.

        Raises
        ------
        PeerError
            There was no answer in time.
        """
        return await self._ask("POST", path, body)

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        headers = key_headers(self.base_url, self.api_key)
        with peer_errors(self.base_url, key=self.api_key):
            try:
                async with (
                    asyncio.timeout(self._timeout_s),
                    self._client.stream(method, self.base_url + path, json=body, headers=headers) as response,
                ):
                    received = await read_at_most(response, MAX_ANSWER_BYTES + 1)
                    return Answer(response.status_code, response.headers, received)
            except TimeoutError as error:
                raise httpx.ReadTimeout("no answer") from error


def key_headers(who: str, api_key: str | None) -> dict[bytes, bytes]:
    """Return the header that carries a key, if there is one.

    Raises
    ------
    AuthenticationNeeded
        The key holds what no header can carry, such as the line end of the file it came from; it is not shown.
    """
    if not api_key:
        return {}
    if not api_key.isprintable() or api_key != api_key.strip():
        raise AuthenticationNeeded(
            f"The api_key of {who} has a blank around it or a control character within: set it again without."
        )
    return {b"authorization": f"Bearer {api_key}".encode()}
