"""Shared: what runs in the browser, its scripts and styles, read from the files in `browser/`; the pages say what it is given."""

from pathlib import Path

FOLDER = Path(__file__).parent / "browser"


def read(*names: str) -> str:
    """The files of these names, one below the other: first what several components share, such as heard.css,
    which hides what only screen readers say, then what is a component's own."""
    return "\n".join((FOLDER / name).read_text("utf-8") for name in names)
