"""Nothing leaves this machine, counted by the kernel: the main flows in a network of their own that ends at loopback.

In such a network a packet to anywhere else has no route, and the kernel counts it (`OutNoRoutes` of proc_pid_net(5)),
whoever sends it: Python, a library below it, or another process. A look-up would be such a packet too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[1]

UNSHARE = ["unshare", "--map-root-user", "--net"]

PRELUDE = """
import fcntl, json, os, socket, struct, sys
from pathlib import Path

def count():
    rows = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Ip:")]
    six = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines() if len(line.split()) == 2)
    return int(dict(zip(*rows))["OutNoRoutes"]) + int(six.get("Ip6OutNoRoutes", 0))

def others():
    names = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    return [name for name in names if name != "lo"]

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
    fcntl.ioctl(opened, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING

reached = []
def record(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        where = args[1] if event in ("socket.connect", "socket.sendto") else args[0]
        reached.append(str(where[0] if isinstance(where, tuple) else where))
"""

CONTROL = """
before = count()
for address in ("203.0.113.1", "198.51.100.7"):
    with socket.socket() as opened:
        try:
            opened.connect((address, 80))
        except OSError:
            pass
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
    try:
        opened.sendto(b"a look-up", ("203.0.113.53", 53))
    except OSError:
        pass
print(json.dumps({"lost": count() - before, "others": others(), "reached": [], "said": ""}))
"""

GATEWAY = """
import asyncio, json, logging
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

async def main():
    app = ServerApp.instance(
        jpserver_extensions={"jupyter_llmroute": True, "jupyter_server_terminals": False},
        allow_root=True, open_browser=False, log_level=logging.ERROR,
    )
    app.initialize(argv=["--IdentityProvider.token=t"], new_httpserver=False)
    opened, port = bind_unused_port("127.0.0.1")
    server = HTTPServer(app.web_app)
    server.add_sockets([opened])
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
    answer = await AsyncHTTPClient().fetch(
        f"http://127.0.0.1:{port}/jupyter_llmroute/v1/chat/completions", method="POST", body=json.dumps(body),
        headers={"Authorization": "Bearer t", "Content-Type": "application/json"}, raise_error=False,
        request_timeout=60,
    )
    server.stop()
    await app.web_app.settings["llmroute_exchange"].aclose()
    print("by the gateway:", answer.code, answer.body.decode()[:200])

asyncio.run(main())
"""

FLOWS = """
sys.addaudithook(record)
before = count()
import contextlib, io, runpy, subprocess
model, home = sys.argv[1], Path(sys.argv[2])
scripted = runpy.run_path(sys.argv[3])
with scripted["llamacpp"](model="desk-model") as server, contextlib.redirect_stdout(io.StringIO()) as out:
    os.environ["LLMROUTE_SERVICES__CUSTOM_ENDPOINTS"] = json.dumps([{"name": "desk", "endpoint": server.url}])
    if model:
        os.environ["LLMROUTE_EMBEDDED__MODEL_PATH"] = model
    else:
        os.environ["LLMROUTE_EMBEDDED__ENABLED"] = "false"
    from IPython.core.interactiveshell import InteractiveShell
    shell = InteractiveShell.instance()
    cells = ["%load_ext jupyter_llmroute", "%llm_services", "%%route -s desk\\nhello", "%llm_models --text", "%llm_why"]
    cells += ["%%route -s desk --no-context --record\\nkeep this"]
    cells += ["%%route -s desk --no-context --replay none\\nkeep this"]
    cells += ["%%route -s embedded --max-tokens 4\\nhello"] if model else []
    for cell in cells:
        shell.run_cell(cell).raise_error()
    if model:
        shell.run_cell("%reload_ext jupyter_llmroute").raise_error()
    import argparse
    from jupyter_llmroute import doctor_cli
    parser = argparse.ArgumentParser()
    doctor_cli.register(parser.add_subparsers())
    options = parser.parse_args(["doctor", "--json"])
    marked = out.tell()
    status = options.run(options)
    report = json.loads(out.getvalue()[marked:])
    lines = list(server.lines)
    gateway = subprocess.Popen([sys.executable, "-W", "ignore", "-c", GATEWAY], stdout=subprocess.PIPE, text=True)
    print(gateway.communicate(timeout=120)[0])
    shell.run_cell("%unload_ext jupyter_llmroute").raise_error()
    if model:
        from jupyter_llmroute import cli
        cli.main(["embedded", "stop"])
print(json.dumps({"lost": count() - before, "others": others(), "reached": reached, "said": out.getvalue(),
                  "lines": lines, "report": report, "status": status}))
"""


def run(script: str, *arguments: str, home: Path) -> dict[str, Any]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LLMROUTE_", "JUPYTER_", "JPY_"))}
    env |= {
        "PYTHONPATH": str(PROJECT),
        "LLMROUTE_HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "IPYTHONDIR": str(home / "ipython"),
        "LLMROUTE_CASSETTE__FILE": "n.cassette.json",
        "HTTP_PROXY": "http://203.0.113.1:3128",
        "ALL_PROXY": "http://203.0.113.1:3128",
    }
    command = [
        *UNSHARE,
        sys.executable,
        "-W",
        "ignore",
        "-c",
        f"GATEWAY = {GATEWAY!r}\n" + PRELUDE + script,
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=home)
    assert done.returncode == 0, done.stderr + done.stdout
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder to work in, where a network of one's own can be had."""
    if not shutil.which("unshare"):
        pytest.skip("no network namespace: there is no unshare here")
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode != 0:
        pytest.skip("no network namespace: unshare is not permitted here")
    return tmp_path


def test_what_leaves_is_counted(home: Path) -> None:
    told = run(CONTROL, home=home)
    assert told["lost"] == 3, "otherwise the next tests prove nothing"


def prove(told: dict[str, Any]) -> None:
    assert told["lost"] == 0, told["reached"]
    assert told["others"] == [], "there was no way out but loopback"
    assert {host for host in told["reached"] if host not in ("127.0.0.1", "::1", "localhost", "None")} == set()
    assert told["reached"], "the recorder was there"
    assert "lo" in told["said"]
    asked = [line for line in told["lines"] if line.startswith("POST")]
    assert asked == ["POST /v1/chat/completions"] * 2, "one asked, one recorded; the doctor had no model work"
    assert "by the gateway: 200" in told["said"]
    found = {finding["check"]: finding for finding in told["report"]["findings"]}
    assert found["egress"]["status"] == "pass"
    assert found["proxies"]["status"] == "warn"
    assert told["status"] == (1 if told["report"]["status"] == "fail" else 0)


def test_the_flows_of_a_notebook_send_nothing_off_the_lists(home: Path) -> None:
    prove(run(FLOWS, "", str(home), str(PROJECT / "tests" / "scripted.py"), home=home))


def test_the_embedded_server_sends_nothing_off_the_lists(home: Path, embedded_extra: None, tiny_model: Path) -> None:
    prove(run(FLOWS, str(tiny_model), str(home), str(PROJECT / "tests" / "scripted.py"), home=home))
