"""Secrets do not survive, wherever they stand; what people write does."""

import string
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jupyter_llmroute.core import chance, secrets
from jupyter_llmroute.core.secrets import MASK, is_secret_name, masked

SECRET_NAMES = """password PASSWORD db_password userPassword passwd pwd passphrase token auth_token accessToken jwt
api_key apiKey API-KEY X-Api-Key openai_api_key OPENAI_KEY secret client_secret SECRET_KEY aws_secret_access_key
private_key credentials connection_string ConnectionString DATABASE_URL dsn cookie authorization kennwort ssn otp"""

OTHER_NAMES = """price name key keys primary_key foreign_key sort_key keyboard tokens max_tokens n_tokens token_count
tokenizer pad_token next_token token_type_ids has_password password_length author authors authored secretary compass
passenger pass_rate first_pass bypass hotkey monkey signature code id user email url connection path prompt_tokens ''"""


@pytest.mark.parametrize("name", [*SECRET_NAMES.split(), "connection string", "Api Key", "", "пароль password"])
def test_names_of_secrets(name: str):
    assert is_secret_name(name) is bool(name)


@pytest.mark.parametrize("name", [*OTHER_NAMES.split(), "sort key", "a" * 10_000, "\ud800"])
def test_names_of_other_things(name: str):
    assert not is_secret_name(name)


ALNUM = string.ascii_letters + string.digits


def letters(alphabet: str, size: int, longest: int | None = None) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=size, max_size=longest or size)


def after(prefix: str, alphabet: str, size: int, longest: int | None = None) -> st.SearchStrategy[str]:
    """What a vendor gives: its prefix, a digit, and signs by chance."""
    return letters(alphabet, size, longest).map(lambda rest: f"{prefix}7{rest}")


VENDORS = st.one_of(
    after("sk-", ALNUM, 20, 48),
    after("sk-proj-", ALNUM + "_-", 40, 150),
    after("sk-ant-api03-", ALNUM + "_-", 80, 95),
    after("ghp_", ALNUM, 35),
    after("github_pat_", ALNUM + "_", 60, 80),
    after("glpat-", ALNUM + "_-", 19, 30),
    after("AKIA", string.ascii_uppercase + string.digits, 15),
    after("AIza", ALNUM + "_-", 34),
    after("xoxb-", string.digits + "-", 20, 40),
    after("hf_", ALNUM, 33),
    after("sk_live_", ALNUM, 23, 30),
    after("npm_", ALNUM, 35),
    after("eyJ", ALNUM + "_-", 20, 60).map(lambda head: f"{head}.eyJzdWIiOiIxIn0.x7{head[::-1]}"),
    letters(ALNUM + "+/\n", 200, 400).map(
        lambda body: f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    ),
)

SURROUNDINGS = (
    "{}",
    "the key is {} and it works",
    "client = Client('{}')",
    'headers = {{"X": "{}"}}',
    "curl -H 'X: {}' https://a.example/",
    "https://a.example/v1?x={}&y=1",
    "[{}]",
    "<a href='{}'>",
    "2026-01-01 INFO sent {}, got 200",
    "{}\n{}",
    "x={}",
    "é{}ß",
    '"{{\\"a\\": \\"{}\\"}}"',
)


@given(VENDORS, st.sampled_from(SURROUNDINGS))
def test_a_vendors_key_never_survives(key: str, around: str):
    shown = masked(around.format(*[key] * 2))
    assert key not in shown
    assert MASK in shown
    assert not any(part in shown for part in (key[8:24], key[-16:]) if MASK not in part and "-----" not in part)
    assert masked(shown) == shown


PLAIN = ALNUM + "!#%+,./:;=?@^_|~*&- "
BY_NAME = (
    'password = "{}"',
    "password='{}'",
    'connect(user="ann", password="{}", port=1)',
    '{{"user": "ann", "password": "{}"}}',
    "{{'api_key': '{}'}}",
    '"{{\\"api_key\\": \\"{}\\", \\"n\\": 1}}"',
    'os.environ["OPENAI_API_KEY"] = "{}"',
    'os.environ.get("DB_PASSWORD", "{}")',
    'password: str = "{}"',
    'token = """{}"""',
    'if password == "{}":',
    'secret := "{}"',
    'api key: "{}"',
    'The connection string = "{}"',
)


@given(
    letters(PLAIN, 8, 40), st.sampled_from(BY_NAME), st.sampled_from(["{}", "x = 1\n{}\ny = 2\n", "\u0130\u0130 {}"])
)
def test_a_quoted_value_of_a_secret_name_never_survives(value: str, line: str, around: str):
    value = f"Z9{value}q"
    shown = masked(around.format(line.format(value)))
    assert value not in shown
    assert value[2:] not in shown
    assert masked(shown) == shown


@given(
    letters(ALNUM, 9, 40),
    st.sampled_from(
        [
            "DB_PASSWORD={}",
            "Pwd={};",
            "api_key: {}",
            "--token={} x",
            "?token={}&a=1",
            "--password {} x",
            "token => {}",
            "Server=a;Password={};x=1",
        ]
    ),
)
def test_a_bare_value_of_a_secret_name_never_survives(value: str, line: str):
    value = f"Z9{value}"
    assert value not in masked(line.format(value))


@given(letters(ALNUM + "!$%&*+=_~-", 1, 30), st.sampled_from(["postgresql", "https", "redis", "mongodb+srv", "amqp"]))
def test_a_password_in_an_address_never_survives(password: str, scheme: str):
    shown = masked(f'db = open("{scheme}://ann:{password}@db.example:5432/sales?x=1")')
    assert shown == f'db = open("{scheme}://ann:{MASK}@db.example:5432/sales?x=1")'


@given(
    st.sampled_from(["Authorization: Bearer {}", '{{"Authorization": "Basic {}"}}', "-H 'authorization: bearer {}'"]),
    letters(ALNUM, 16, 60),
)
def test_a_header_never_survives(header: str, token: str):
    token = f"aB7{token}"
    assert token not in masked(header.format(token))


@given(
    st.one_of(letters(ALNUM, 40, 90), letters(ALNUM + "+/", 40, 90), letters("0123456789abcdef", 40, 64)),
    st.sampled_from(SURROUNDINGS),
    st.randoms(use_true_random=False),
)
def test_chance_never_survives(run: str, around: str, random):
    # Drawn again: hypothesis prefers runs that are no chance, such as forty times "0".
    run = "".join(random.choices(sorted({*run, *"0a1b2c3d4e5f6789"}), k=len(run)))
    assume(chance.holds_chance(run))
    assert run not in masked(around.format(run, run))


def test_few_draws_look_like_words():
    import random

    source = random.Random(5)
    for alphabet in (ALNUM, ALNUM + "+/", "0123456789abcdef", string.ascii_lowercase + string.digits):
        missed = sum(masked(run) == run for run in ("".join(source.choices(alphabet, k=40)) for _ in range(2_000)))
        assert missed <= 4


SURVIVES = (
    "The bearer of this letter has a basic understanding of the secret of passwords: they should be long.",
    "Password: what is it? The token: a word. Your secret is safe with us; the key to success is practice.",
    "tokens = tokenizer(text, max_length=512, truncation=True)",
    "password = getpass('Password: ')",
    'print("password:", password)',
    'api_key = os.environ["OPENAI_API_KEY"]',
    "client = Client(api_key=api_key, token=self.token)",
    'headers = {"Authorization": f"Bearer {token}"}',
    "password: str | None = None",
    "if token == '(': depth += 1",
    'df = df.merge(other, on=["user_id", "token"], how="left")',
    "def login(user: str, password: str) -> Token: ...",
    "token = tokens[0]",
    "next_token = 50256",
    "https://docs.example.org/en/latest/user_guide/io.html#reading-a-file",
    "http://localhost:8080/v1/models",
    "git@github.com:ann/repository.git",
    "ssh://git@github.com/ann/repository.git",
    "6fa459ea-ee8a-3ca4-894e-db77e160355e",
    "HistGradientBoostingClassifierWithCalibration2 run_2024_01_15_model_v3_fold_07",
    "/usr/lib/python3.11/site-packages/sklearn/linear_model/_logistic.py",
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "=" * 200 + "\n" + "-" * 200 + "\n" + "0" * 200 + "a" * 200,
    "3.14159265358979323846264338327950288419716939937510",
    "task-2024-report-final-version-for-review",
    "sk-learn is scikit-learn, risk-averse",
    "",
    "\ud800 \x00 é 数据分析",
)


@pytest.mark.parametrize("text", SURVIVES)
def test_what_people_write_survives(text: str):
    assert masked(text) == text


@pytest.mark.parametrize("file", ["magics.py", "notebook.py", "core/router.py", "core/tokens.py", "core/settings.py"])
def test_source_survives(file: str):
    text = (Path(secrets.__file__).parents[1] / file).read_text("utf-8")
    assert masked(text) == text


@given(st.text(max_size=300))
def test_any_text_is_read(text: str):
    shown = masked(text)
    assert masked(shown) == shown
    is_secret_name(text)


@pytest.mark.parametrize(
    "part",
    [
        "password=",
        'token="',
        "token='x\\",
        "a" * 50,
        "aB3",
        "://a:",
        "://a:b",
        "--token ",
        "sk-",
        "eyJ",
        "[",
        '"""',
        "password: str",
        "-----BEGIN PRIVATE KEY-----",
        "Bearer ",
        "passwordİ",
        "api key ",
        "secret.",
        "=",
    ],
)
def test_a_long_text_is_read_in_one_pass(part: str):
    text = part * (200_000 // len(part))
    assert len(masked(text)) <= len(text) * 20
