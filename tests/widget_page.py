"""A kernel, and a page as it sees the kernel: outputs by what they were updated to, widgets, and what comms carry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass
class Page:
    """What a front end knows."""

    client: BlockingKernelClient
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The newest bundle of each output, in the order in which they came; those without a name by their number."""
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of widgets, by their ids; those that were closed are not in it."""
    comms: list[tuple[str, str, Any]] = field(default_factory=list)
    """Comms that are no widgets: id, target, what they were opened with."""
    updates: int = 0
    """Messages that changed an output."""

    def run(self, code: str) -> str:
        """Run a cell; return what its reply says of it."""
        session = self.client.session
        content = {"code": code, "silent": False, "store_history": True, "stop_on_error": False}
        return self._send(session.msg("execute_request", content), cell="asks")

    def click(self, **facts: Any) -> None:
        """Press the button of which this is true."""
        self._say(self.widget("ButtonModel", **facts), {"method": "custom", "content": {"event": "click"}})

    def choose(self, label: str, **facts: Any) -> None:
        """Choose what begins with a label in the dropdown of which this is true."""
        widget = self.widget("DropdownModel", **facts)
        labels = self.states[widget]["_options_labels"]
        index = next(number for number, each in enumerate(labels) if each.startswith(label))
        self._say(widget, {"method": "update", "state": {"index": index}, "buffer_paths": []})

    def answer(self, comm: str, data: dict[str, Any]) -> None:
        """Answer a comm."""
        self._say(comm, data)

    def close(self, comm: str) -> None:
        """Close a comm, as a page does that does not know its target."""
        self._send(self.client.session.msg("comm_close", {"comm_id": comm, "data": {}}))

    def widget(self, model: str, **facts: Any) -> str:
        """Return the newest widget of a kind of which this is true."""
        return next(
            widget
            for widget, state in reversed(self.states.items())
            if state["_model_name"] == model and all(state.get(name) == value for name, value in facts.items())
        )

    @property
    def bundles(self) -> list[dict[str, Any]]:
        return list(self.outputs.values())

    @property
    def rows(self) -> int:
        """How many outputs show a widget."""
        return sum(WIDGET in bundle for bundle in self.bundles)

    @property
    def text(self) -> str:
        """All outputs as plain text."""
        return "\n".join(bundle["text/plain"] for bundle in self.bundles)

    def _say(self, comm: str, data: dict[str, Any]) -> None:
        self._send(self.client.session.msg("comm_msg", {"comm_id": comm, "data": data}))

    def _send(self, message: dict[str, Any], cell: str = "") -> str:
        message["metadata"] = {"cellId": cell} if cell else {}
        self.client.shell_channel.send(message)
        status = ""
        while True:
            heard = self.client.get_iopub_msg(timeout=60)
            self._hear(heard)
            if heard["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                if heard["msg_type"] == "error":
                    status = heard["content"]["evalue"]
                if heard["content"].get("execution_state") == "idle":
                    return status

    def _hear(self, heard: dict[str, Any]) -> None:
        content = heard["content"]
        match heard["msg_type"]:
            case "display_data" | "update_display_data":
                name = content["transient"].get("display_id") or str(len(self.outputs))
                is_new = heard["msg_type"] == "display_data"
                if is_new or name in self.outputs:  # a page passes over updates of outputs that are gone
                    self.outputs[name] = content["data"]
                self.updates += not is_new
            case "comm_open" if content["target_name"] == "jupyter.widget":
                self.states[content["comm_id"]] = content["data"]["state"]
            case "comm_open":
                self.comms.append((content["comm_id"], content["target_name"], content["data"]))
            case "comm_msg" if content["comm_id"] in self.states and content["data"]["method"] == "update":
                self.states[content["comm_id"]] |= content["data"]["state"]
            case "comm_close":
                self.states.pop(content["comm_id"], None)


@contextmanager
def page(env: dict[str, str]) -> Iterator[Page]:
    """Start a kernel with the extension loaded."""
    manager, client = start_new_kernel(kernel_name="python3", env=env)
    try:
        shown = Page(client)
        shown.run("%load_ext jupyter_llmroute")
        yield shown
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
