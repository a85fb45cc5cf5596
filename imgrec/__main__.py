"""The command line: ``python -m imgrec COMMAND``. Results on standard output, messages on standard error.

Exit status: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import io
import re
import signal
import sys
from typing import NoReturn

from imgrec import __version__
from imgrec.commands import COMMANDS
from imgrec.commands.training import complain
from imgrec.recipe import OTHER_NAMES, RecipeError, nearest

SHOWN = [name for name, command in COMMANDS.items() if not command.run.__module__.endswith(".background")]


class Parser(argparse.ArgumentParser):
    """argparse with one clear line for a mistake instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: --(\w+)", message)
        known = unknown and OTHER_NAMES.get(unknown[1])
        meant = f"; did you mean --{known.replace('_', '-')}?" if known else ""
        if wrong := re.match(r"argument COMMAND: invalid choice: '(.*?)' \(", message):
            near = {"val": "evaluate", "test": "evaluate"}.get(wrong[1]) or nearest(wrong[1], SHOWN)
            message = f"there is no command {wrong[1]!r}" + (f"; did you mean {near}?" if near else "")
        elif wrong := re.match(r"argument (--\S+): invalid choice: '(.*?)' \(choose from (.*)\)", message):
            near = nearest(wrong[2], re.findall(r"[\w-]+", wrong[3]))
            message += f"; did you mean {near}?" if near else ""
        self.exit(2, f"{self.prog}: {message}{meant} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name may have letters that the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        COMMANDS[options.command].run(options)
        return 0
    except RecipeError as error:
        complain(error)
        return 2
    except (ValueError, RuntimeError, OSError) as error:  # every error class of imgrec is one of these
        complain(error)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> Parser:
    parser = Parser(prog="imgrec", description="An image-recognition lab. Every command knows --json and --help.")
    parser.add_argument("--version", action="version", version=f"imgrec {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name, command in COMMANDS.items():
        told = {"help": command.help} if name in SHOWN else {}  # without it, it is not listed
        sub = commands.add_parser(name, description=command.help, **told)
        sub.add_argument(
            "--json", action="store_true", help="one JSON document, or one JSON line per event, on standard output"
        )
        for argument in command.arguments:
            sub.add_argument(*argument.names, **argument.settings)
    return parser


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE") and sys.argv[1:2] not in (["train"], ["resume"]):  # which keep what they have learned
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `imgrec runs | head` ends quietly
    sys.exit(main())
