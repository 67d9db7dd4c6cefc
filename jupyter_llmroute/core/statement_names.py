"""The names within one statement, or within the whole body of a function, where order does not count.

One function a kind of node, in a table. Nodes are gone through with a list of what is due, so that a long chain of
operators or attributes is no deep recursion; only functions and classes within each other recur.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

# -- what changes a value in place -------------------------------------------------------------------------------------

CHANGING = frozenset(
    "append appendleft extend extendleft pop popitem popleft setdefault discard clear "
    "fit fit_transform fit_predict partial_fit set_params load_state_dict load_weights backward zero_grad".split()
)
"""Methods that change what they are called on, whatever is done with their result."""

CHANGING_ALONE = frozenset(
    "add insert remove update reverse sort rotate difference_update intersection_update symmetric_difference_update "
    "compile build train eval step requires_grad_ register_buffer resize fill put itemset setflags "
    "plot scatter bar barh hist imshow errorbar fill_between legend annotate text axhline axvline grid twinx "
    "execute executemany executescript commit write writelines seed register subscribe".split()
)
"""Methods that change what they are called on if their result is thrown away; otherwise they may be pandas'."""

SETTING = ("set_", "add_")
RETURNING = frozenset("set_index set_axis set_flags set_categories set_geometry set_crs add_prefix add_suffix".split())
"""Methods that begin like setters and return a new object."""

CHANGING_ARGUMENT = frozenset(
    "shuffle heappush heappop heapify heapreplace heappushpop insort insort_left insort_right setattr delattr next "
    "fill_diagonal put_along_axis copyto clip_grad_norm_".split()
)
"""Functions that change their first argument."""

CHANGING_CALLS = CHANGING | CHANGING_ALONE | CHANGING_ARGUMENT
"""What a text must call to change something by a call, but for names that begin or end like `SETTING` or `fill_`."""

# -- reading ----------------------------------------------------------------------------------------------------------


class Found:
    """Names of one statement, or of the whole body of a function."""

    def __init__(self) -> None:
        self.loads: set[str] = set()
        self.stores: set[str] = set()
        self.deleted: set[str] = set()
        self.mutated: set[str] = set()
        self.imports: set[str] = set()
        self.outer: set[str] = set()
        """Declared `global` or `nonlocal`."""
        self.bodies: dict[str, set[str]] = {}


_Hidden = frozenset[str]
"""Names that a comprehension, a lambda or type parameters around a place bind for it alone."""

_Due = list[tuple[ast.AST, _Hidden]]


def gather(nodes: Iterable[ast.AST], hidden: _Hidden = frozenset()) -> Found:
    """Collect what is loaded, stored and changed anywhere in these nodes."""
    found = Found()
    due: _Due = [(node, hidden) for node in nodes]
    while due:
        node, hidden = due.pop()
        kind = type(node)
        if reader := _READERS.get(kind):
            reader(node, hidden, found, due)
        else:
            _push(node, hidden, due)
    return found


def _push(node: ast.AST, hidden: _Hidden, due: _Due) -> None:
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, list):
            due += [(item, hidden) for item in value if isinstance(item, ast.AST)]
        elif isinstance(value, ast.AST):
            due.append((value, hidden))


def _root(node: ast.AST) -> str:
    """Return the name at the root of `a.b[c].d`; empty where there is none."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _change(node: ast.AST, hidden: _Hidden, found: Found) -> None:
    name = _root(node)
    if name and name not in hidden:
        found.mutated.add(name)
        found.loads.add(name)


def _name(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    if node.id in hidden:
        return
    if isinstance(node.ctx, ast.Load):
        found.loads.add(node.id)
    elif isinstance(node.ctx, ast.Store):
        found.stores.add(node.id)
    else:
        found.deleted.add(node.id)
        _change(node, hidden, found)


def _part(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    if not isinstance(node.ctx, ast.Load):
        _change(node, hidden, found)
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in ("Out", "_oh"):
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int):
            found.loads.add(f"_{node.slice.value}")  # what IPython keeps the same result as
    due.append((node.value, hidden))
    if isinstance(node, ast.Subscript):
        due.append((node.slice, hidden))


def _augmented(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    _change(node.target, hidden, found)
    due.append((node.value, hidden))
    if not isinstance(node.target, ast.Name):
        due.append((node.target, hidden))


def _annotated(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    """Read `x: int = 3`; without a value nothing is bound."""
    due.append((node.annotation, hidden))
    if node.value is not None:
        due += [(node.value, hidden), (node.target, hidden)]


def _call(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    called = node.func
    method = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    if isinstance(called, ast.Attribute) and (
        method in CHANGING or (method.endswith("_") and not method.startswith("_")) or _is_in_place(node)
    ):
        _change(called.value, hidden, found)
    if method in CHANGING_ARGUMENT and node.args:
        _change(node.args[0], hidden, found)
    for argument in node.keywords:
        if argument.arg == "out":
            _change(argument.value, hidden, found)
    _push(node, hidden, due)


def _is_in_place(call: Any) -> bool:
    return any(
        argument.arg == "inplace" and isinstance(argument.value, ast.Constant) and argument.value.value is True
        for argument in call.keywords
    )


def _alone(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    """Read an expression whose value is thrown away, or shown."""
    value = node.value.value if isinstance(node.value, ast.Await) else node.value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        method = value.func.attr
        if method in CHANGING_ALONE or (method.startswith(SETTING) and method not in RETURNING):
            _change(value.func.value, hidden, found)
    due.append((node.value, hidden))


def _comprehension(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    bound = gather(part.target for part in node.generators).stores
    inner = hidden | bound
    due.append((node.generators[0].iter, hidden))  # the first is read outside
    for number, part in enumerate(node.generators):
        if number:
            due.append((part.iter, inner))
        due += [(test, inner) for test in part.ifs]
    results = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
    due += [(result, inner) for result in results]


def _lambda(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    due.append((node.body, hidden | _parameters(node.args)))
    due += [(default, hidden) for default in (*node.args.defaults, *node.args.kw_defaults) if default]


def _parameters(arguments: ast.arguments) -> set[str]:
    return {argument.arg for argument in _all_arguments(arguments)}


def _all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    starred = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *starred]


def _function(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    if node.name not in hidden:
        found.stores.add(node.name)
    inner = hidden | _type_parameters(node, hidden, due)
    arguments = node.args
    due += [(decorator, hidden) for decorator in node.decorator_list]
    due += [(default, hidden) for default in (*arguments.defaults, *arguments.kw_defaults) if default]
    notes = [argument.annotation for argument in _all_arguments(arguments)]
    due += [(note, inner) for note in (*notes, node.returns) if note]
    body = gather(node.body, inner)
    local = (body.stores | body.imports | _parameters(arguments)) - body.outer
    used = (body.loads | body.outer).union(*body.bodies.values()) - local
    found.bodies.setdefault(node.name, set()).update(used)
    found.mutated |= (body.mutated | (body.stores & body.outer)) - local


def _class(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    if node.name not in hidden:
        found.stores.add(node.name)
    inner = hidden | _type_parameters(node, hidden, due)
    due += [(decorator, hidden) for decorator in node.decorator_list]
    due += [(base, inner) for base in (*node.bases, *node.keywords)]
    body = gather(node.body, inner)
    found.loads |= body.loads - body.stores - body.imports
    found.mutated |= body.mutated - body.stores - body.imports
    # The body of a class binds its own names; its methods do not see them.
    used = set[str]().union(*body.bodies.values()) - {node.name}
    found.bodies.setdefault(node.name, set()).update(used)


def _type_parameters(node: Any, hidden: _Hidden, due: _Due) -> set[str]:
    """Return the type parameters of a definition, from Python 3.12 on, and have their bounds read."""
    parameters = getattr(node, "type_params", [])
    names = {parameter.name for parameter in parameters}
    for parameter in parameters:
        _push(parameter, hidden | names, due)
    return names


def _type_alias(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    inner = hidden | _type_parameters(node, hidden, due)
    due += [(node.name, hidden), (node.value, inner)]


def _import(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    for alias in node.names:
        name = alias.asname or alias.name
        found.imports.add(name if isinstance(node, ast.ImportFrom) or alias.asname else name.partition(".")[0])


def _outer(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    found.outer.update(node.names)


def _captured(node: Any, hidden: _Hidden, found: Found, due: _Due) -> None:
    """Read a node that binds a name which it holds as a text: patterns of `match`, and `except … as`."""
    name = getattr(node, "name", None) or getattr(node, "rest", None)
    if name:
        found.stores.add(name)
    _push(node, hidden, due)


_Reader = Callable[[Any, _Hidden, Found, _Due], None]

_READERS: dict[type[ast.AST], _Reader] = {
    ast.Name: _name,
    ast.Attribute: _part,
    ast.Subscript: _part,
    ast.AugAssign: _augmented,
    ast.AnnAssign: _annotated,
    ast.Call: _call,
    ast.Expr: _alone,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.DictComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.Lambda: _lambda,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _class,
    ast.Import: _import,
    ast.ImportFrom: _import,
    ast.Global: _outer,
    ast.Nonlocal: _outer,
    ast.ExceptHandler: _captured,
    ast.MatchAs: _captured,
    ast.MatchStar: _captured,
    ast.MatchMapping: _captured,
    ast.Constant: lambda node, hidden, found, due: None,
}
if hasattr(ast, "TypeAlias"):  # from Python 3.12 on
    _READERS[ast.TypeAlias] = _type_alias
