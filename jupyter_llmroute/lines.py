"""The line of a magic: which part of it is options, what they are, and what they are where nobody says."""

from __future__ import annotations

import re
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Mapping, Sequence
from tokenize import TokenInfo
from typing import Any

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import EscapedCommand
from IPython.utils.process import arg_split

from jupyter_llmroute.core.errors import SettingsError

_TOKEN = re.compile(r"""(?:"[^"]*"|'[^']*'|\S)+""")
_OPTION = re.compile(r"-[A-Za-z]|--[A-Za-z][\w-]*")
"""What looks like an option; `-1` may begin a question."""

_SPOKEN = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class QuestionLines:
    """Keeps IPython from taking the question mark at the end of a `%route` line for a call for help.

    Parameters
    ----------
    names
        Of the line magics that take a question.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def find(self, tokens_by_line: Sequence[Sequence[TokenInfo]]) -> Any:
        """Return the first line of theirs that ends with a question mark and holds more than `%route?`."""
        for tokens in tokens_by_line:
            visible = [token for token in tokens if token.string.strip()]
            is_ours = len(visible) > 3 and visible[0].string == "%" and visible[1].string in self._names
            if is_ours and visible[-1].string == "?":
                command = EscapedCommand(visible[0].start)
                command.priority = 1  # before the help command, which begins at the same place
                return command
        return None


class LoneFix:
    """Makes a line magic of `%%route --fix` with nothing below it: IPython takes no cell magic without a body.

    Parameters
    ----------
    names
        Of the cell magics that take `--fix`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._head = re.compile(rf"%%(?:{'|'.join(map(re.escape, names))})(?=\s)(?:.*\s)?--fix(?:\s|$)")

    def __call__(self, lines: list[str]) -> list[str]:
        """Return the lines of a cell as they are to be run."""
        for at, line in enumerate(lines):
            if line.strip():
                is_alone = self._head.match(line) and not any(below.strip() for below in lines[at + 1 :])
                return [line[1:]] if is_alone else lines
        return lines


def seconds(text: str) -> float:
    """Return the seconds that an option names."""
    from jupyter_llmroute.core.request import MOST_SECONDS

    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MOST_SECONDS:  # what is no number is not either
        raise ArgumentTypeError(f"wants seconds, above 0 and at most {MOST_SECONDS}, not {text!r}")
    return value


def split_options(line: str, parser: ArgumentParser) -> tuple[str, str]:
    """Split a line magic's line into its leading options and the text behind them, which is left as it is.

    Examples
    --------
    >>> from jupyter_llmroute.magics import RouteMagics
    >>> split_options("-m phi4 --dry-run why  {x}?", RouteMagics.route.parser)
    ('-m phi4 --dry-run', 'why  {x}?')
    """
    takes_value = {flag: action.nargs != 0 for action in parser._actions for flag in action.option_strings}
    end, value_due = 0, False
    for token in _TOKEN.finditer(line):
        word, _, attached = token.group().partition("=")
        if value_due:
            value_due = False
        elif word == "--":
            return line[:end].strip(), line[token.end() :].strip()
        elif word in takes_value:
            value_due = takes_value[word] and not attached
        elif _OPTION.fullmatch(word):
            raise UsageError(f"There is no option {word!r}: see %route?, or write -- before a question that begins so.")
        else:
            return line[: token.start()].strip(), line[token.start() :].strip()
        end = token.end()
    return line.strip(), ""


def parse(parser: ArgumentParser, line: str, defaults: Mapping[str, Any] | None = None) -> Namespace:
    """Return the options of a line.

    Parameters
    ----------
    parser
        Of the magic.
    line
        Options alone.
    defaults
        What holds where the line does not say otherwise.
    """
    try:
        words = arg_split(line)
    except ValueError as error:
        from jupyter_llmroute.core.secrets import masked

        raise UsageError(f"The options {masked(line)!r} do not read: {error}.") from None
    # IPython splits at blanks outside quotes, and leaves the quotes.
    options = parser.parse_args(words, Namespace(**(defaults or {})))
    unquoted = {name: _unquoted(value) for name, value in vars(options).items()}
    vars(options).update(unquoted)
    return options


def named_options(parser: ArgumentParser) -> dict[str, Action]:
    """Return a magic's options by their long names, as `max_tokens`."""
    return {
        flag[2:].replace("-", "_"): action
        for action in parser._actions
        for flag in action.option_strings
        if flag.startswith("--") and action.dest != "help"
    }


def option_value(parser: ArgumentParser, name: str, given: Any) -> Any:
    """Return what an option is when `given` stands for it in the settings.

    Raises
    ------
    SettingsError
        It is none that the option takes.
    """
    action = named_options(parser)[name]
    if given is None:
        return action.default
    if action.nargs == 0:
        if (said := _SPOKEN.get(str(given).lower())) is None:
            raise SettingsError(f"route.{name} wants true or false, not {given!r}.")
        return said
    try:
        options = parser.parse_args([f"--{name.replace('_', '-')}={given}"])
    except UsageError as error:
        raise SettingsError(f"route.{name}: {str(error).partition(': ')[2] or error}.") from None
    return getattr(options, action.dest)


def _unquoted(value: Any) -> Any:
    is_quoted = isinstance(value, str) and len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value
