"""Secrets in text that goes out: told by the name that stands before a value, or by the value's own shape.

Three tables decide. A name is secret by its words. A shape is one of a vendor's, told by its first letters; of a
standard, such as a PEM block or a password in an address; or of chance, where letters and digits follow one another in
an order that no language and no style of naming has. What is doubtful is masked: a hash that is lost costs less than
a key that is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from jupyter_llmroute.core.chance import WINDOW, holds_chance

MASK = "[masked]"
"""Stands where a secret stood."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+")

_ALWAYS = re.compile(r"connectionstring|connstr|(?:database|mongo|redis|postgres|mysql|amqp|broker|webhook)(?:url|uri)")
"""Within the letters of a name, whatever else it says: addresses that hold the password."""

_PARTS = re.compile(
    r"password|passwd|passphrase|passcode|passkey|passwort|kennwort|credential|secret(?!ar)|apikey|apitoken|"
    r"(?:access|private|priv|encryption|signing|master|shared|ssh|account|storage|auth|service|subscription|deploy|hmac|"
    r"aes|rsa|gpg|openai|anthropic|azure|aws|gcp|google|stripe|groq|mistral|cohere|hf|huggingface|github|gitlab|slack|"
    r"twilio|sendgrid)key|"
    r"(?:access|auth|refresh|session|bearer|csrf|xsrf|hf|github|gitlab|slack|bot|oauth)token|"
    r"(?:user|db|admin|root|smtp|mail|ftp|redis|mysql|pg)pass|githubpat|pincode|jsessionid|phpsessid"
)
"""Within the letters of a name."""

_WORDS = frozenset("auth authorization bearer cookie cvc cvv dsn jwt otp pass psk pw pwd ssn token totp".split())
"""A word of a name."""

_LAST = frozenset(
    "age at budget class classes count counts created date dim embedding embeddings enabled error errors "
    "expiration expired expires expiry field fields freq frequency func function id ids idx index keyword len "
    "length level lifetime limit limits list logprob loss manager map mask name names number pattern policy pos "
    "position prefix prob probs range rank rate ratio regex required scope scopes score size strength time ttl "
    "type types uri url usage valid vector weight".split()
)
"""Last words that make a name one of something about a secret, or of a word of a text."""

_FIRST = frozenset(
    "avg bos by cls count current end eos first forward had has high image is last low max mean min n need needs "
    "next no num pad per prev prompt requires sep special start stop sub sum text total two unk use with word".split()
)
"""First words that do the same."""


def is_secret_name(name: str) -> bool:
    """Say whether what has this name is a secret.

    Parameters
    ----------
    name
        Of a variable, column, key, option or field, in whatever style.

    Examples
    --------
    >>> [is_secret_name(name) for name in ("DB_PASSWORD", "apiKey", "connection string", "token")]
    [True, True, True, True]
    >>> [is_secret_name(name) for name in ("max_tokens", "token_count", "primary_key", "author")]
    [False, False, False, False]
    """
    words = [word.lower() for word in _WORD.findall(name[:200])]
    if not words:
        return False
    letters = "".join(words)
    if _ALWAYS.search(letters):
        return True
    if len(words) > 1 and (words[0] in _FIRST or words[-1] in _LAST):
        return False
    # "pass" is a verb and a filter too: it is a password where it stands alone.
    found = _WORDS.intersection(words) - ({"pass"} if len(words) > 1 else set())
    return bool(found) or _PARTS.search(letters) is not None


def masked(text: str) -> str:
    """Return `text` with every secret in it replaced by a mask; masking twice is masking once.

    Parameters
    ----------
    text
        Anything: prose, code, a log, JSON, an address. Not cut before: half a key has no shape to be told by.

    Examples
    --------
    >>> masked('connect("db", password="hunter2", timeout=5)')
    'connect("db", password="[masked]", timeout=5)'
    >>> masked("postgresql://ann:s3cret@db.example/sales")
    'postgresql://ann:[masked]@db.example/sales'
    """
    lowered = text.lower()
    for needle, pattern, replacement in _SHAPES:
        if needle in lowered:
            text = pattern.sub(replacement, text)
    return _RUN.sub(_without_chance, "".join(_without_values(text)))


_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"


def _vendor(prefix: str, rest: str) -> tuple[str, re.Pattern[str], str]:
    """Return the row of a vendor's keys: how they begin, and a pattern of what follows."""
    return prefix.lower(), re.compile(_START + re.escape(prefix) + rest), MASK


_LIKELY = r"(?=[\w.~+/=-]{0,200}?(?:\d|[a-z][A-Z]|=)|[\w.~+/-]{32})"
"""A token, and not the next word of a sentence: "a bearer of news", "basic understanding"."""

_SHAPES: tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # what the text must hold in small letters, what is replaced, by what
    (
        "-----begin",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
            re.DOTALL,
        ),
        MASK,
    ),
    ("://", re.compile(r"(?<=://)([^\s/:@\"'<>]*:)[^\s/\"'<>]+@(?=[\w.\[-])"), rf"\1{MASK}@"),
    ("://", re.compile(r"(?<=://)(?!\w{1,8}@)[A-Za-z0-9_~-]{9,}@(?=[\w.\[-])"), f"{MASK}@"),
    (
        "=",
        re.compile(
            r"([?&;](?:key|sig|signature|code|auth|x-amz-signature|x-goog-signature)=)(?!%[s(]|[{$])[^\s&;#\"'<>]+",
            re.I,
        ),
        rf"\1{MASK}",
    ),
    *(
        (scheme, re.compile(rf"\b((?i:{scheme})[ \t]+){_LIKELY}[\w.~+/-]{{6,}}=*"), rf"\1{MASK}")
        for scheme in ("bearer", "basic", "digest")
    ),
    (
        "--",
        re.compile(
            r"((?<![\w-])--[\w-]{0,40}(?:pass|password|passwd|token|secret|key)[ \t]+)"
            r"(?=\S{0,200}?\d)[^\s\"'$<{\[-][^\s\"']*"
        ),
        rf"\1{MASK}",
    ),
    ("eyj", re.compile(_START + r"eyJ[\w-]{8,4000}\.[\w-]{4,}(?:\.[\w-]*){0,3}"), MASK),
    _vendor("sk-", r"(?=[\w-]{0,200}?\d)[\w-]{16,}"),
    _vendor("github_pat_", r"\w{20,}"),
    *(_vendor(f"gh{kind}_", r"[A-Za-z0-9]{16,}") for kind in "pousr"),
    *(_vendor(prefix, r"[\w-]{16,}") for prefix in ("glpat-", "gldt-", "glrt-", "glsa_")),
    *(_vendor(prefix, r"[A-Z0-9]{16}" + _END) for prefix in ("AKIA", "ASIA", "AROA", "AIDA", "ABIA", "ACCA")),
    _vendor("AIza", r"[\w-]{30,}"),
    _vendor("ya29.", r"[\w-]{20,}"),
    _vendor("GOCSPX-", r"[\w-]{20,}"),
    *(_vendor(f"xox{kind}-", r"[\w-]{10,}") for kind in "abceoprs"),
    _vendor("xapp-", r"[\w-]{10,}"),
    ("hooks.slack.com/", re.compile(r"(hooks\.slack\.com/\w+/)[\w/]+"), rf"\1{MASK}"),
    *(_vendor(prefix, r"[A-Za-z0-9]{20,}") for prefix in ("hf_", "gsk_", "r8_", "npm_", "lin_api_", "pscale_tkn_")),
    *(_vendor(prefix, r"[\w-]{20,}") for prefix in ("xai-", "pplx-", "nvapi-", "pypi-", "tskey-", "ATATT3", "whsec_")),
    *(_vendor(f"{kind}k_{use}_", r"[A-Za-z0-9]{10,}") for kind in "spr" for use in ("live", "test")),
    *(_vendor(prefix, r"[a-f0-9]{32,}") for prefix in ("dapi", "shpat_", "shpss_", "dop_v1_", "doo_v1_")),
    _vendor("SG.", r"[\w-]{16,100}\.[\w-]{16,}"),
    _vendor("AGE-SECRET-KEY-1", r"[A-Z0-9]{20,}"),
    (":", re.compile(_START + r"\d{8,10}:[\w-]{35}" + _END), MASK),
)

_HINT = re.compile(
    r"pass|pwd?|pincode|secret|totp|token|key|cred|auth|bearer|conn|cookie|cv[vc]|dsn|githubpat|jwt|kennwort|otp|psk|"
    r"sess|ssn|ur[li]",
    re.ASCII,
)
"""Some part of every secret name, in small letters."""

_ASSIGNED = re.compile(
    r"""
    (?P<name>(?:[A-Za-z]\w{1,20}[ ])?[A-Za-z_][\w.-]{1,80})
    (?P<between>
        (?P<close>\\{0,3}["'])?\]?[ \t]{0,20}
        (?: :[ ]?[\w.\[\]|, ]{1,40}?=(?!=) | => | := | [=!]= | [:=] | (?<=["'])[ ]?,(?=[ ]?["']) )
        [ \t]{0,20}
    )
    (?:
        (?P<prefix>[bfruBFRU]{0,2})
        (?:
            (?P<triple>\"{3}|'{3}) (?P<long>(?:(?!(?P=triple)).)*+) (?:(?P=triple)|\Z)
          | (?P<escaped>\\{1,3}["']) (?P<inner>(?:(?!(?P=escaped))[^\n])*+) (?P=escaped)
          | (?P<quote>["']) (?P<literal>(?:\\.|(?!(?P=quote))[^\\\n])*+) (?:(?P=quote)|(?=\n)|\Z|\\\Z)
        )
      | (?P<bare>[^\s"'`,;&<>(){}\[\]\\]++) (?![(\[])
    )
    """,
    re.VERBOSE | re.DOTALL,
)
"""A name, what stands between, and a value: Python, JSON (also within a string), YAML, INI, shells, addresses."""

_ENDS_A_STRING = re.compile(r"\s*(?:[),\]};:+%.]+(?:\s|$)|$)")
"""What follows a quotation mark that closes a string, as in `print("password:", x)`."""

_IN_CALL = re.compile(r"(?:environ\.get|getenv|setenv|putenv|setdefault)\(\s*[\"']$")
_NO_VALUE = re.compile(
    r"(?:none|null|nil|true|false|undefined|required|optional|unset|empty|bool|str|string|bytes|object|category|"
    r"u?int\d*|float\d*|complex\d*|datetime\d*|[-+]?\d{1,3}(?:\.\d+)?|[\W_]+)[.!?]?",
    re.IGNORECASE,
)
_EXPRESSION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*[.:!?]?")
_WORD_BEFORE = re.compile(r"[A-Za-z]\w{1,19}[ ]\Z")
_PLACEHOLDERS = re.compile(r"(?i:bearer|basic|token)|\{[^{}]*\}|%\(?\w*\)?s|[\s:/]")
"""Of a template such as `f"Bearer {key}"`: there is no secret in it."""

_WORDS_OF_PROSE = re.compile(r"[\w.'’:/-]+")


LONGEST_NAME = 80


def _without_values(text: str) -> Iterator[str]:
    """Yield the pieces of a text, the values of secret names masked."""
    end = 0
    # The one sign whose small form has two characters would shift all that follows.
    for hint in _HINT.finditer(text.replace("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "I").lower()):
        if hint.start() < end:
            continue
        start = _start_of_name(text, hint.start(), end)
        # "api key" and "connection string" are names of two words.
        before = _WORD_BEFORE.search(text, max(end, start - 20), start)
        starts = (before.start(), start) if before else (start,)
        matches = (_ASSIGNED.match(text, position) for position in starts)
        if found := next((match for match in matches if match and is_secret_name(match["name"])), None):
            yield text[end : found.start()]
            yield _without_value(found)
            end = found.end()
    yield text[end:]


def _start_of_name(text: str, position: int, end: int) -> int:
    """Return where the name begins that the sign at `position` belongs to, not before `end`."""
    start, first = position, max(end, position - LONGEST_NAME)
    while start > first and (text[start - 1].isalnum() or text[start - 1] in "_.-"):
        start -= 1
    while start < position and not (text[start].isalpha() or text[start] == "_"):
        start += 1
    return start


def _without_value(found: re.Match[str]) -> str:
    """Return a name and its value, the latter masked where the name says that it is secret."""
    whole, name, between = found[0], found["name"], found["between"]
    before = found.string[max(0, found.start() - 40) : found.start()]
    sign = between.strip(" \t\n\\\"']")
    if sign == "," and not _IN_CALL.search(before):
        return whole
    if sign in ("==", "!=") and (found["bare"] or not any(mark.isdigit() for mark in whole[len(name) :])):
        return whole  # parsers compare tokens with words, numbers and signs
    if found["bare"] is not None:
        value = found["bare"]
        is_tight = between in ("=", ":") and (name.isupper() or before[-1:] in tuple("?&;") or before[-2:] == "--")
        return name + between + MASK if _is_literal(value, is_tight=is_tight) else whole
    value = next(part for part in (found["long"], found["inner"], found["literal"]) if part is not None)
    if not _PLACEHOLDERS.sub("", value) or (_ENDS_A_STRING.match(value) and not found["close"]):
        return whole
    start = found.start("long" if found["triple"] else "inner" if found["escaped"] else "literal") - found.start()
    return whole[:start] + MASK + whole[start + len(value) :]


def _is_literal(value: str, *, is_tight: bool) -> bool:
    """Say whether a value without quotation marks is a secret itself, and no expression, type or word.

    Parameters
    ----------
    value
        Up to the next blank or mark.
    is_tight
        Whether it stands as in an address or in a shell, where there are no expressions.
    """
    if _NO_VALUE.fullmatch(value) or value[0] in "$%*" or value == MASK:
        return False
    if is_tight:
        return True
    has_digit = any(sign.isdigit() for sign in value)
    if _EXPRESSION.fullmatch(value):
        return has_digit and len(value) >= 6 and "." not in value[:-1]
    return has_digit or not _WORDS_OF_PROSE.fullmatch(value)


_RUN = re.compile(rf"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{{{WINDOW},}}=*")
_CLASSES = tuple(map(re.compile, ("[a-z]", "[A-Z]", "[0-9]")))
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_FOLDERS = re.compile(r"/?(?:(?:[a-z_-]+|[A-Z]?[a-z]+|[0-9]{1,6})/)*")


def _without_chance(found: re.Match[str]) -> str:
    run = found[0]
    few = sum(bool(signs.search(run)) for signs in _CLASSES) < 2
    if few or _UUID.fullmatch(run) or not holds_chance(run):
        return run
    folders = _FOLDERS.match(run)
    kept = folders[0] if folders else ""
    return kept + MASK
