import subprocess
import sys

import pytest

from jupyter_llmroute.core.embedded.server import Watch, parse_metrics

QUIET = """# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 43
llamacpp:tokens_predicted_total 300
llamacpp:requests_processing 0
llamacpp:requests_deferred 0
"""
MORE = QUIET.replace("300", "301")
BUSY = QUIET.replace("processing 0", "processing 1")
QUEUED = QUIET.replace("deferred 0", "deferred 2")
IDLE_S, GRACE_S = 100.0, 10.0


def watch() -> Watch:
    """A watch that saw its user and the first counters at 0."""
    made = Watch(IDLE_S, GRACE_S, 0)
    made.see_users(True, 1, 0)
    made.see_metrics(QUIET, 0)
    return made


@pytest.mark.parametrize(
    ("is_held", "asked", "at", "over"),
    [
        (True, 1, 99, False),
        (True, 1, 101, True),
        (True, 2, 101, False),
        (False, 1, 10, False),
        (False, 1, 11, True),
        (False, 2, 11, True),
    ],
)
def test_users(is_held, asked, at, over):
    seen = watch()
    seen.see_users(is_held, asked, at)
    assert seen.is_over(at) is over


@pytest.mark.parametrize(("metrics", "over"), [(QUIET, True), (MORE, False), (BUSY, False), (QUEUED, False)])
def test_activity(metrics, over):
    seen = watch()
    seen.see_users(True, 1, 101)
    seen.see_metrics(metrics, 101)
    assert seen.is_over(101) is over


def test_a_server_that_nobody_ever_held_goes_after_the_grace():
    assert not Watch(IDLE_S, GRACE_S, 0).is_over(10)
    assert Watch(IDLE_S, GRACE_S, 0).is_over(11)


def test_metrics():
    assert parse_metrics(QUIET) == ("43  300 ", False)
    assert parse_metrics("") == ("   ", False)


def test_the_metrics_that_are_read_are_those_that_llama_cpp_writes(embedded):
    import httpx

    headers = {"Authorization": f"Bearer {embedded.key.get_secret_value()}"}
    text = httpx.get(f"{embedded.url}/metrics", headers=headers, trust_env=False).text
    counters, is_busy = parse_metrics(text)
    assert len(counters.split()) == 4
    assert not is_busy
    assert "requests_processing" in text
    assert "requests_deferred" in text


def test_the_process_imports_little_and_the_package_does_not_import_the_engine():
    script = (
        "import sys, jupyter_llmroute.core.embedded.server\n"
        "assert not {'pydantic', 'httpx', 'xllamacpp', 'asyncio'} & set(sys.modules)\n"
        "import jupyter_llmroute.core.embedded as embedded\n"
        "assert [getattr(embedded, name) for name in embedded.__all__]\n"
        "assert 'xllamacpp' not in sys.modules\n"
        "assert 'httpx' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
