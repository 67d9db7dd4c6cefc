from pathlib import Path

import pytest

from jupyter_llmroute.core.embedded.failure import explain
from jupyter_llmroute.core.errors import MissingExtra, OutOfMemory, ServerFailure

NOT_WHOLE = """\
0.00.079.122 E llama_model_load: error loading model: tensor 'x' data is not within the file bounds, model is corrupted
0.00.079.163 E llama_model_load_from_file_impl: failed to load model
0.00.101.939 E srv          init: exiting due to model loading error
"""
NO_MEMORY = """\
0.02.323.667 W llama_context: n_ctx_seq (8000000) > n_ctx_train (8192) -- possible training context overflow
0.02.649.416 E ggml_aligned_malloc: insufficient memory (attempted to allocate 175781.25 MB)
0.02.677.202 E srv          init: exiting due to model loading error
"""
ASSERTED = """0.00.079.122 W srv          init: something
ggml.c:1234: GGML_ASSERT(tensor->data != NULL) failed
"""
TRACEBACK = """Traceback (most recent call last):
  File "server.py", line 1, in <module>
ImportError: libgomp.so.1: cannot open shared object file: No such file or directory
"""
INIT = "Failed to init server, please check the input params."


@pytest.mark.parametrize(
    ("log", "said", "code", "kind", "reason"),
    [
        (NOT_WHOLE, INIT, 3, ServerFailure, "model is corrupted): choose another model file"),
        (NO_MEMORY, INIT, 3, OutOfMemory, "insufficient memory (attempted to allocate 175781.25 MB)): free memory"),
        (ASSERTED, None, -6, ServerFailure, "GGML_ASSERT(tensor->data != NULL) failed)"),
        (TRACEBACK, None, 1, MissingExtra, "libgomp.so.1"),
        ("", "libomp.so: cannot open shared object file", 3, MissingExtra, "libomp.so"),
        ("", None, -9, OutOfMemory, "(exit code -9): free memory"),
        ("", None, -4, ServerFailure, "lacks instructions"),
        ("", None, 3221225501, ServerFailure, "lacks instructions"),
        ("", None, -11, ServerFailure, "(exit code -11): choose another"),
        ("\x1b[31mred\x1b[0m\n\n", None, 1, ServerFailure, "([31mred[0m)"),
        ("x" * 5000, None, 1, ServerFailure, "xxx"),
    ],
)
def test_what_is_told_of_a_start_that_failed(tmp_path, log, said, code, kind, reason):
    path = tmp_path / "the.log"
    path.write_text(log)
    error = explain(Path("m.gguf"), code, said, path)
    assert type(error) is kind
    assert reason in str(error)
    assert "'m.gguf'" in str(error)
    assert len(str(error)) < 1000
