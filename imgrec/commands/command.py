"""A command: a function beside the arguments it takes; and how results are printed."""

from __future__ import annotations

import argparse
import json
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from imgrec.home import check_writable


class Argument(NamedTuple):
    """What argparse's ``add_argument`` is given."""

    names: tuple[str, ...]
    settings: dict[str, Any]


class Command(NamedTuple):
    """A row of COMMANDS. ``run(options)`` does it and raises what went wrong."""

    help: str
    arguments: tuple[Argument, ...]
    run: Callable[[Any], None]


REGISTERED: dict[str, Command] = {}


def argument(*names: str, **settings: Any) -> Argument:
    return Argument(names, settings)


def run_names(text: str) -> str:
    """The same of several with commas between."""
    return ",".join(map(run_name, text.split(",")))


def run_name(text: str) -> str:
    """The name of a run; ``last`` is the newest."""
    if text != "last":
        return text
    from imgrec.runs import RunError, newest

    try:
        return newest().name
    except RunError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


RUN = argument("name", metavar="RUN", type=run_name, help="its name, or last for the newest")
NAME = argument("name")


def out(metavar: str) -> Argument:
    """Where the result is written; ``metavar`` says with which endings, such as F.ipynb|F.py."""
    endings = [ending for name in metavar.split("|") if (ending := Path(name).suffix)]
    return argument("--out", type=partial(writable, endings=endings), required=True, metavar=metavar)


def writable(text: str, endings: Sequence[str] = ()) -> Path:
    """A path at which a file can be written, told before anything is computed."""
    path = Path(text).expanduser()
    if endings and path.suffix.lower() not in endings:
        raise argparse.ArgumentTypeError(
            f"{text} does not end in {' or '.join(endings)}, and would not be what it is called"
        )
    try:
        return check_writable(path)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def command(help: str, *arguments: Argument, name: str | None = None) -> Callable:
    """Make the function a command of that name, or of its own."""

    def register(function: Callable[[Any], None]) -> Callable[[Any], None]:
        REGISTERED[name or function.__name__] = Command(help, arguments, function)
        return function

    return register


def print_json(content: Any) -> None:
    """One document on one line."""
    print(json.dumps(content, ensure_ascii=False), flush=True)


def say(options: Any, content: dict[str, Any], words: str) -> None:
    """A result as JSON, or in words."""
    if options.json:
        print_json(content)
    else:
        print(words)


def wrote(options: Any, content: dict[str, Any], proof: str = "") -> None:
    """That ``content["out"]`` was written, as JSON, or in words with its size and a ``proof``."""
    size = Path(content["out"]).stat().st_size
    say(options, content, f"{content['out']} written, {size / 1e3:,.0f} kB" + (f"; {proof}" if proof else ""))


def _cell(value: Any) -> str:
    return "" if value is None else str(float(f"{value:.4g}") if isinstance(value, float) else value)


def show(options: Any, rows: list[dict], columns: tuple[str, ...], none: str = "none yet") -> None:
    """Rows as JSON or as an aligned table; ``none`` says that there are none."""
    if options.json:
        return print_json(rows)
    if not rows:
        return print(none)
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(_width(row[i]) for row in cells) for i in range(len(columns))]
    for row in cells:
        print("  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip())


def _width(text: str) -> int:
    """How many columns of a terminal a text takes: a Chinese letter two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
