"""Estimators and pipelines of scikit-learn: class, parameters, whether fitted, and on what; nothing is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from jupyter_llmroute.core.secrets import MASK, is_secret_name
from jupyter_llmroute.variables import plain, static
from jupyter_llmroute.variables.draft import Draft

SHOWN_NAMES = 40
"""Features and learnt attributes that are named."""

STEPS = {
    "Pipeline": ("steps",),
    "FeatureUnion": ("transformer_list",),
    "ColumnTransformer": ("transformers_", "transformers"),
}
"""Classes that are made of other estimators, and where they hold them: the fitted ones first."""


def headline(estimator: Any) -> str:
    """Return the class, and whether it was fitted."""
    return f"{plain.type_name(type(estimator))}, {'fitted' if is_fitted(estimator) else 'not fitted'}"


def is_fitted(estimator: object) -> bool:
    """Say whether an estimator was fitted, as scikit-learn's own check does: it holds what it learnt."""
    steps = _steps(estimator)
    return bool(_learnt(estimator)) or bool(steps and is_fitted(steps[-1][1]))


def details_by(headline_of: Callable[[object], str]) -> Callable[[Any, Draft], None]:
    """Return what describes an estimator, given what names anything that it holds."""

    def details(estimator: Any, draft: Draft) -> None:
        _add(estimator, draft, headline_of, "", 0)

    return details


def _add(estimator: object, draft: Draft, headline_of: Callable[[object], str], indent: str, depth: int) -> None:
    steps = _steps(estimator)
    changed, same = _parameters(estimator)
    shown = {name: value for name, value in changed.items() if not any(name in names for names in STEPS.values())}
    nested = [(name, value) for name, value in shown.items() if _is_estimator(value)]
    if parts := [f"{plain.line(name)}={_parameter(name, shown[name], draft)}" for name in shown]:
        draft.add(f"{indent}parameters: {', '.join(parts)}")
    if same:
        draft.add(f"{indent}as by default: {', '.join(map(plain.line, same))}")
    for title, features in _learnt_names(estimator):
        draft.add(f"{indent}{title}: {features}")
    for number, (name, held) in enumerate(_learnt(estimator).items()):
        if number == SHOWN_NAMES:
            draft.leave_out("more learnt attributes")
            break
        if name not in ("feature_names_in_", "transformers_"):
            what = plain.value(held) if draft.values and plain.is_simple(held) else headline_of(held)
            draft.add(f"{indent}learnt {plain.line(name)}: {MASK if _is_secret(name, draft) else what}")
    for label, step, *columns in [*steps, *nested]:
        if depth > draft.limits.depth:
            draft.leave_out("estimators deeper within")
            return
        on = f" on {plain.value(columns[0], 200)}" if columns else ""
        draft.add(f"{indent}{plain.name(label)}{on}: {headline(step) if _is_estimator(step) else plain.value(step)}")
        if _is_estimator(step):
            _add(step, draft, headline_of, indent + "  ", depth + 1)


def _is_secret(name: str, draft: Draft) -> bool:
    return draft.secret or is_secret_name(name)


def _parameter(name: str, held: object, draft: Draft) -> str:
    """Return a parameter: it is part of the program, so simple ones are said also without values."""
    if _is_secret(name, draft):
        return MASK
    return plain.value(held) if plain.is_simple(held) else f"<{plain.type_name(type(held))}>"


def _is_estimator(thing: object) -> bool:
    classes = static.line_of(type(thing))
    return any(static.names_of(cls) == ("sklearn.base", "BaseEstimator") for cls in classes)


def _steps(estimator: object) -> list[tuple[object, ...]]:
    """Return names and estimators that an estimator is made of; each with its columns where it has some."""
    names = (static.names_of(cls)[1] for cls in static.line_of(type(estimator)))
    places = next((STEPS[name] for name in names if name in STEPS), ())
    held = next((steps for place in places if type(steps := static.attribute(estimator, place)) is list), [])
    return [step for step in held if type(step) is tuple and len(step) >= 2]


def _learnt(estimator: object) -> dict[str, object]:
    """Return what fitting left: attributes that end with an underscore."""
    held = static.attributes(estimator)
    return {name: held[name] for name in held if name.endswith("_") and not name.startswith("_")}


def _learnt_names(estimator: object) -> Iterator[tuple[str, str]]:
    names = static.attribute(estimator, "feature_names_in_")
    if names is static.MISSING or not hasattr(type(names), "__len__"):
        return
    listed = [plain.name(name) for name in list(names[:SHOWN_NAMES])]
    more = f", and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    yield f"fitted on {plain.count(len(names), 'feature')}", ", ".join(listed) + more


def _parameters(estimator: object) -> tuple[dict[str, object], list[str]]:
    """Return the parameters that differ from their defaults, and the names of those that do not."""
    constructor = static.class_attribute(type(estimator), "__init__")
    if type(constructor) is not FunctionType:
        return {}, []
    code, held = constructor.__code__, static.attributes(estimator)
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    positional = constructor.__defaults__ or ()
    last = code.co_varnames[code.co_argcount - len(positional) : code.co_argcount]
    defaults = dict(zip(last, positional, strict=True)) | (constructor.__kwdefaults__ or {})
    changed, same = {}, []
    for name in names:
        if name in held and _is_same(held[name], defaults.get(name, static.MISSING)):
            same.append(name)
        elif name in held:
            changed[name] = held[name]
    return changed, same


def _is_same(held: object, default: object) -> bool:
    """Say whether a parameter has its default, comparing nothing but plain values."""
    if held is default:
        return True
    plain_types = (int, float, str, bool)
    return type(held) is type(default) and type(held) in plain_types and held == default
