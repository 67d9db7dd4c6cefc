"""No attempt to reach anything but loopback: every connection and look-up of every Python process is written down."""

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_llmroute.core.embedded import Running

RECORDER = """
import json, os, sys
def record(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        where = args[1] if event in ("socket.connect", "socket.sendto") else args[0]
        if isinstance(where, (tuple, str, bytes)) or where is None:
            line = json.dumps([event, str(where[0] if isinstance(where, tuple) else where), sys.argv[:3]])
            fd = os.open(os.environ["NETWORK_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(fd, (line + "\\n").encode()); os.close(fd)
sys.addaudithook(record)
"""

CELLS = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3")
for cell in ("%load_ext jupyter_llmroute", "%llm_services", "%%route --max-tokens 5\\nhello", "%llm_retry"):
    print(client.execute_interactive(cell, timeout=120, output_hook=lambda message: None)["content"]["status"])
client.stop_channels(); manager.shutdown_kernel(now=True)
"""

FLOWS = {
    "import": ["-c", "import jupyter_llmroute, jupyter_llmroute.core.router"],
    "services": ["-m", "jupyter_llmroute.cli", "services"],
    "demo": ["-m", "jupyter_llmroute.cli", "demo", "--no-download"],
    "notebook": ["-c", CELLS],
}


def is_loopback(host: str) -> bool:
    # None and an absolute path: any local address, a Unix socket.
    if host in ("None", "localhost") or host.startswith(("/", "\x00")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.mark.parametrize("flow", FLOWS)
def test_nothing_but_loopback_is_reached(flow: str, embedded: Running, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(RECORDER)
    log = tmp_path / "network.jsonl"
    log.touch()
    env = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "NETWORK_LOG": str(log),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "HTTP_PROXY": "http://203.0.113.1:3128",  # a proxy of the environment must not be used either
        "ALL_PROXY": "http://203.0.113.1:3128",
    }
    done = subprocess.run([sys.executable, *FLOWS[flow]], env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stdout.split()
    reached = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry for entry in reached if not is_loopback(entry[1])] == []
    assert reached or flow == "import"  # the recorder was there
