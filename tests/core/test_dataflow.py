"""Names of pieces of Python: what they define, use, change and import; and that any text is read in the end."""

import sys
import warnings
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.dataflow import LONGEST, NOTHING, names_of


class Does(NamedTuple):
    """Names as words."""

    defines: str = ""
    uses: str = ""
    mutates: str = ""
    imports: str = ""


def does(source: str) -> Does:
    """Return the names of a source but for builtins that only tests bring in."""
    names = names_of(source)
    return Does(*(" ".join(sorted(part - {"print", "len"})) for part in names[:4]))


PYTHON = [
    ("x = 1", Does("x")),
    ("x = y", Does("x", "y")),
    ("x = y = z", Does("x y", "z")),
    ("a, (b, *c) = d", Does("a b c", "d")),
    ("x = 1\ny = x", Does("x y")),
    ("y = x\nx = 1", Does("x y", "x")),
    ("df = df.dropna()", Does("df", "df")),
    ("x: int = 3\ny: str", Does("x", "int str")),
    ("x += y", Does("", "x y", "x")),
    ("df['a'] = b", Does("", "b df", "df")),
    ("df.a = b", Does("", "b df", "df")),
    ("df.a['b'].c[i] = 0", Does("", "df i", "df")),
    ("del df['a']", Does("", "df", "df")),
    ("del df", Does("", "df", "df")),
    ("x = 1\ndel x", Does("", "", "x")),
    ("rows.append(a)", Does("", "a rows", "rows")),
    ("last = rows.pop()", Does("last", "rows", "rows")),
    ("known.update(a)", Does("", "a known", "known")),
    ("new = known.update(a)", Does("new", "a known")),
    ("model.fit(X, y)", Does("", "X model y", "model")),
    ("df.drop(columns=['a'], inplace=True)", Does("", "df", "df")),
    ("df.drop(columns=['a'], inplace=False)", Does("", "df")),
    ("df['a'].fillna(0, inplace=True)", Does("", "df", "df")),
    ("df.groupby('a').sum().sort(b)", Does("", "b df")),
    ("ax.set_title('a')", Does("", "ax", "ax")),
    ("df.set_index('a')", Does("", "df")),
    ("t.add_(1)", Does("", "t", "t")),
    ("random.shuffle(x)", Does("", "random x", "x")),
    ("np.clip(a, 0, 1, out=c)", Does("", "a c np", "c")),
    ("import a.b, c as d", Does("", "", "", "a d")),
    ("from a.b import c, d as e", Does("", "", "", "c e")),
    ("from a import *", Does("", "", "", "*")),
    ("import a\nx = a.b", Does("x", "", "", "a")),
    ("for i, x in xs:\n    total = x", Does("i total x", "xs")),
    ("while (n := f()):\n    pass", Does("n", "f")),
    ("with open(p) as f, g(f) as h:\n    t = h.read()", Does("f h t", "g open p")),
    ("if a:\n    x = 1", Does("", "a", "x")),
    ("if a:\n    x = 1\nelse:\n    x = 2", Does("x", "a")),
    ("if a:\n    x = 1\nelif b:\n    x = 2\nelse:\n    x = y = 3", Does("x", "a b", "y")),
    ("if a:\n    x = 1\nuse(x)", Does("", "a use x", "x")),
    ("try:\n    import a\nexcept ImportError as e:\n    a = str(e)", Does("", "ImportError str", "", "a")),
    ("[x * k for x in xs if x]", Does("", "k xs")),
    ("{x: y for x, y in xs for z in x if y}", Does("", "xs")),
    ("[x for x in x]", Does("", "x")),
    ("[(w := x) for x in xs]", Does("w", "xs")),
    ("f = lambda x, y=d: x + z", Does("f", "d z")),
    ("f'{a!r:{b}} {{c}}'", Does("", "a b")),
    ("match p:\n    case {'k': v, **rest}:\n        use(v)\n    case [A(x=1), *more] | more if g:\n        pass",
     Does("", "A g p use", "more rest v")),
    ("await f(x)", Does("", "f x")),
    ("async for x in xs:\n    pass", Does("x", "xs")),
    ("global x\nx = 1", Does("x")),
    ("Out[3] + _4", Does("", "Out _3 _4")),
    ("'\\d'", Does()),
    ("y = 1if x else 2", Does("y", "x")),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), PYTHON, ids=[source for source, _ in PYTHON])
def test_the_names_of_python(source: str, expected: Does):
    assert does(source) == expected


FUNCTIONS = [
    ("def f(a, *b, c=d, **e):\n    return a + b + c + e + g", Does("f", "d"), {"f": "g"}),
    ("def f():\n    return k\nf()", Does("f", "k"), {"f": "k"}),
    ("def f():\n    return g()\ndef g():\n    return k\nf()", Does("f g", "k"), {"f": "g", "g": "k"}),
    ("@d\ndef f(a: T) -> R:\n    x = a\n    return x", Does("f", "R T d"), {"f": ""}),
    ("def f():\n    global n\n    n = 1", Does("f", "", "n"), {"f": "n"}),
    ("def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += k\n    return g", Does("f"), {"f": "k"}),
    ("def f(row):\n    rows.append(row)\n    row.append(1)", Does("f", "", "rows"), {"f": "rows"}),
    ("def f():\n    import a\n    return a.b", Does("f"), {"f": ""}),
    ("def f(n):\n    return f(n - 1)", Does("f"), {"f": "f"}),
    ("async def f():\n    async with a as b:\n        await b", Does("f"), {"f": "a"}),
    (
        "class A(B, metaclass=M):\n    k = j\n    l = k\n    def m(self):\n        return z",
        Does("A", "B M j"),
        {"A": "z"},
    ),
    ("class A:\n    def load(self):\n        return load(1)", Does("A"), {"A": "load"}),
    ("class A:\n    def m(self):\n        return A()\nA().m()", Does("A"), {"A": ""}),
]


@pytest.mark.parametrize(("source", "expected", "bodies"), FUNCTIONS, ids=[source for source, *_ in FUNCTIONS])
def test_what_a_function_uses_counts_when_it_is_called(source: str, expected: Does, bodies: dict[str, str]):
    assert does(source) == expected
    assert {name: " ".join(sorted(used)) for name, used in names_of(source).bodies.items()} == bodies


IPYTHON = [
    ("%%time\nx = f(y)", Does("x", "f y")),
    ("%%time\n%%capture out\nx = y", Does("out x", "y")),
    ("%%capture --no-stderr out\nx = 1", Does("out x")),
    ("%%timeit\nx = f(y)", Does("", "f y")),
    ("%%bash\nx=1\necho $y", Does()),
    ("%%bash --out text\nls", Does("text")),
    ("%%R -i df,x -o result\nfoo <- bar", Does("result", "df x")),
    ("%%sql rows <<\nselect * from t", Does("rows")),
    ("%%html\n<b>x = 1</b>", Does()),
    ("%matplotlib inline\nx = 1", Does("x")),
    ("%time x = f(y)", Does("x", "f y")),
    ("%timeit -n 10 -r3 f(y)", Does("", "f y")),
    ("t = %timeit -o f(y)", Does("t", "f y")),
    ("x = %pwd", Does("x")),
    ("files = !ls {folder} $more", Does("files", "folder more")),
    ("a, b = !ls", Does("a b")),
    ("!pip install {name} \\\n  -q\nx = 1", Does("x", "name")),
    ("for f in fs:\n    !cat {f} {g}\n    y = f", Does("f y", "fs g")),
    ("df?", Does("", "df")),
    ("?df.head\nx = 1", Does("x", "df")),
    ("df.head??", Does("", "df")),
    (">>> x = y\n... \n>>> z = x", Does("x z", "y")),
    ("    x = 1\n    y = x", Does("x y")),
    ("s = '''\n%time\n!ls\n'''", Does("s")),
]


@pytest.mark.parametrize(("source", "expected"), IPYTHON, ids=[source for source, _ in IPYTHON])
def test_the_names_of_what_only_ipython_reads(source: str, expected: Does):
    assert does(source) == expected


MISTAKES = [
    ("x = (", Does("x")),
    ("a = 1\nb = \nc = a + d", Does("a b c", "d")),
    ("a = 1\ndf.head(\nb = a + c", Does("a b", "c df")),
    ("def f(x:\n    return y\nz = 1", Does("f z", "x y")),
    ("import a as b, c.d\nfrom e import f\nx = 'unfinished + y", Does("x", "unfinished y", "", "b c f")),
    ("x, y = f(k=1, 'z' # w", Does("x y", "f")),
    ("print 'old', name", Does("", "name")),
    ("x = 1\x00", Does("x")),
    ("x = '\ud800'\ny = 2", Does("x y")),
]


@pytest.mark.parametrize(("source", "expected"), MISTAKES, ids=[repr(source) for source, _ in MISTAKES])
def test_what_does_not_parse_is_read_as_far_as_it_can_be(source: str, expected: Does):
    assert does(source) == expected


def test_what_newer_pythons_have_is_read_by_older_ones_too():
    names = names_of("type Pair[T] = tuple[T, Other]\nx = 1")
    assert {"Pair", "x"} == names.defines
    assert {"tuple", "Other"} <= names.uses
    if sys.version_info >= (3, 12):
        assert names.uses == {"tuple", "Other"}
        assert does("def f[T: B](x: T) -> T:\n    return k") == Does("f", "B")


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n" * LONGEST,
        "-" * 19_000 + "1",
        "a" + ".b" * 9_900,
        "a" + "+a" * 9_900,
        "(" * 19_000,
        "f(" * 9_900,
        "{1:" * 6_000,
        "f'{" * 6_000,
        "a=" * 9_900,
        "x =\n" * 4_900,
        "if a: x = 1\n" + "elif b: x = 2\n" * 1_200,
        "".join(" " * depth + "if a:\n" for depth in range(99)),
        "\x00" * 19_000,
        "\\" * 19_000,
        "?" * 19_000,
        "%" * 19_000,
        "lambda:" * 2_700 + "1",
        "%time -n" + " " * 19_000 + "(",
        "?x" + " " * 19_000 + "(",
        "!{" * 9_000,
        "a, " * 6_000 + "(",
        "(,   " * 3_900,
        "1" * 19_000 + "(",
    ],
    ids=range(23),
)
def test_a_hostile_source_is_read_or_given_up(source: str):
    assert names_of(source).defines <= {"a", "x"}


def test_of_a_source_that_is_too_long_nothing_is_said():
    assert names_of("x = 1\n" * LONGEST) == NOTHING


def test_no_warning_of_what_the_user_wrote_is_given_again():
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        assert names_of("x = '\\d' + '\\777' + f'\\{y}'\nz = 1if x else 0x1f").defines == {"x", "z"}
    assert given == []


PIECES = st.sampled_from(
    [
        *(source for source, _ in (*PYTHON, *IPYTHON, *MISTAKES)),
        *(source for source, *_ in FUNCTIONS),
        "\n", "    ", "(", "]", "'''", "\\", "=", ":", "%", "?", "!", "é", "\x00", "\ud800", "\r", "\f",
    ]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(PIECES, max_size=8).map("".join), st.lists(PIECES, max_size=8).map("\n".join)))
@settings(deadline=None)
def test_any_text_is_read(source: str):
    names = names_of(source)
    assert not names.defines & names.imports
    assert all(isinstance(name, str) and name for part in names[:4] for name in part)


@given(st.lists(st.sampled_from([source for source, _ in PYTHON]), min_size=2, max_size=4))
@settings(deadline=None)
def test_what_is_used_from_outside_is_used_by_one_of_the_statements(sources: list[str]):
    together, apart = names_of("\n".join(sources)), [names_of(source) for source in sources]
    assert together.uses <= frozenset().union(*(names.uses for names in apart))
    assert together.binds | together.mutates >= apart[-1].binds
