"""The options of a magic: those of `%%route`, which part of a line they are, and what they are where nobody says."""

from __future__ import annotations

import re
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.utils.process import arg_split

from jupyter_llmroute.core.errors import SettingsError

Magic = TypeVar("Magic", bound=Callable[..., Any])

_TOKEN = re.compile(r"""(?:"[^"]*"|'[^']*'|\S)+""")
_OPTION = re.compile(r"-[A-Za-z]|--[A-Za-z][\w-]*")
"""What looks like an option; `-1` may begin a question."""

_SPOKEN = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


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


MODES = ("none", "once", "new_episodes", "all")
TASKS = ("coding", "reasoning", "analysis", "documentation")
FORMATS = ("markdown", "code", "json", "text")

OPTIONS = (
    argument("-m", "--model", help="ask only this model: its name, or enough of its words to tell it; or NAME@SERVER"),
    argument("-s", "--service", help="ask only this server, by its name in %%llm_services"),
    argument("-t", "--task", choices=TASKS, help="name the task yourself"),
    argument("-o", "--output", metavar="NAME", help="also keep the Response in this variable"),
    argument(
        "--to",
        choices=("next", "replace"),
        help="also write the answer's code into a new cell below, or into this one; it is never run",
    ),
    argument(
        "-f",
        "--format",
        choices=FORMATS,
        default="markdown",
        help="how to answer: markdown; code, its blocks alone; json, checked; text, shown as it is",
    ),
    argument("--temperature", type=float, help="0 takes the likeliest words, 2 is wild; default: the server's"),
    argument("--max-tokens", type=int, help="end the answer after so many tokens"),
    argument("--seed", type=int, help="the same seed gives the same answer, where the server keeps to it"),
    argument(
        "-c", "--cells", metavar="WHICH", help="which cells go along: 3,5-7, above, all or none; default: those needed"
    ),
    argument(
        "-v", "--vars", metavar="NAMES", default="", help="describe these variables too, such as df,model; or write @df"
    ),
    argument("--values", action="store_true", help="of these variables, what is in them too: head rows, extremes"),
    argument("--fix", action="store_true", help="ask about the last error; the question may be left out"),
    argument("--symbol", metavar="NAMES", default="", help="look these symbols of the project up, such as Order.total"),
    argument("--file", metavar="FILES", default="", help="look into these files of the project: src/x.py, src/x.py:42"),
    argument("--serena", dest="code", action="store_true", default=None, help="look into the project's code anyway"),
    argument("--no-serena", dest="code", action="store_false", default=None, help="never look into its code"),
    argument("--apply", action="store_true", help="have it write changes of project files, shown as a diff to apply"),
    argument("--yes", action="store_true", help="with --apply: apply them at once; %%llm_undo takes them back"),
    argument("--no-context", action="store_true", help="send the question alone, without earlier cells and answers"),
    argument(
        "--start-over",
        action="store_true",
        help="where a server fails in the middle of its answer, the next one starts over; what had come stays above",
    ),
    argument("--timeout", type=seconds, metavar="SECONDS", help="give up after so long; default: limits.total_s"),
    argument(
        "--replay",
        choices=MODES,
        help="give the answer that was kept beside the notebook: none asks nobody; once asks if nothing was kept at "
        "all, new_episodes if this was not, all always, and keeps the answer; default: cassette.mode",
    ),
    argument("--record", action="store_true", help="ask, and keep the answer beside the notebook: --replay all"),
    argument("--actions", action="store_true", help="under the answer, a row of buttons: rate it, insert code, retry"),
    argument("-e", "--explain", action="store_true", help="below the answer, show what %%llm_why says"),
    argument("-n", "--dry-run", action="store_true", help="show the decision, and ask nobody"),
)
"""Options of `%%route` and `%route`; the README's table is made from them."""


def with_options(magic: Magic) -> Magic:
    """Have a magic take the options of `%%route`."""
    for option in reversed(OPTIONS):
        magic = option(magic)
    wrapped: Magic = magic_arguments()(magic)
    return wrapped


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
