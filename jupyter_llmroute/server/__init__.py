"""The Jupyter server extension: thin handlers over one router, and an OpenAI-compatible gateway.

`routes` is the table of what there is; `exchange` keeps the router; `handler` is what all handlers share; `handlers`,
`chat` and `gateway` read and write; `shapes` and `openai_wire` say what; `describe` makes the one of the core's values;
`openapi` describes all of it. At the start of the server only `routes`, `exchange` and the handlers are imported: what
is heavy comes with the first request.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def _load_jupyter_server_extension(server: Any) -> None:
    """Add the handlers; called by the Jupyter server."""
    from jupyter_core.paths import jupyter_config_dir
    from jupyter_server.utils import url_path_join

    from jupyter_llmroute.server.exchange import Exchange
    from jupyter_llmroute.server.gateway import ElsewhereHandler
    from jupyter_llmroute.server.routes import BASE, ROUTES

    exchange = Exchange(Path(server.root_dir) if server.root_dir else None, [Path(jupyter_config_dir())])
    app = server.web_app
    app.settings["llmroute_exchange"] = exchange
    base = url_path_join(app.settings["base_url"], BASE)
    handlers = [(url_path_join(base, route.pattern) + "/?", route.handler) for route in ROUTES]
    handlers.append((url_path_join(base, "v1/.*"), ElsewhereHandler))
    app.add_handlers(".*$", [(pattern, handler, {"exchange": exchange}) for pattern, handler in handlers])
    server.log.info("jupyter_llmroute: the gateway is at %s", url_path_join(base, "v1"))
