"""The command line: ``python -m imgrec COMMAND``. Results on standard output, messages on standard error.

Exit status: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from typing import NoReturn

from imgrec import __version__
from imgrec.commands import COMMANDS
from imgrec.commands.training import complain
from imgrec.recipe import OTHER_NAMES, RecipeError


class Parser(argparse.ArgumentParser):
    """argparse with one clear line for a mistake instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: --(\w+)", message)
        known = unknown and OTHER_NAMES.get(unknown[1])
        meant = f"; did you mean --{known.replace('_', '-')}?" if known else ""
        self.exit(2, f"{self.prog}: {message}{meant} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
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
        sub = commands.add_parser(name, help=command.help, description=command.help)
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
