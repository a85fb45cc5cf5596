"""Languages: English stands in the code, every other language in a gettext catalogue below ``locale``.

Who shows a text says in which language, through `follow`; without that it is IMGREC_LANGUAGE, or English.
"""

from __future__ import annotations

import gettext
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

LANGUAGES = {"en": "English", "zh_CN": "简体中文"}
FOLDER = Path(__file__).parent / "locale"


def _default() -> str:
    return os.environ.get("IMGREC_LANGUAGE", "en")


_chosen: Callable[[], str] = _default
_for_now: ContextVar[str] = ContextVar("language", default="")


def follow(chosen: Callable[[], str | None]) -> None:
    """From now on ``chosen()`` says which language is spoken; None leaves it to IMGREC_LANGUAGE."""
    global _chosen
    _chosen = lambda: chosen() or _default()  # noqa: E731


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Within it that language is spoken, whatever was chosen: for answers to who asks from outside of a page."""
    token = _for_now.set(language)
    try:
        yield
    finally:
        _for_now.reset(token)


def current() -> str:
    """The language that is spoken now, a key of LANGUAGES."""
    language = _for_now.get() or _chosen()
    return language if language in LANGUAGES else "en"


def tr(text: str, /, **values: Any) -> str:
    """``text`` in the current language, or as it is where the catalogue lacks it; its {names} become ``values``."""
    found = _catalogue(current()).gettext(text) if text else text
    return found.format(**values) if values else found


def listed(words: Iterable[str]) -> str:
    """Words one after another, as the language separates them."""
    return tr(", ").join(words)


def sentences(*words: str) -> str:
    """Whole sentences one after another, as the language separates them; empty ones are left out."""
    return ("" if current().startswith("zh") else " ").join(filter(None, words))


def large(number: float) -> str:
    """A number of millions as the language counts: 300.3 M, 3.00 亿."""
    if not current().startswith("zh"):
        return f"{number / 1e6:,.1f} M"
    return f"{number / 1e8:,.2f} 亿" if number >= 1e8 else f"{number / 1e4:,.1f} 万"


def plural(one: str, many: str, number: int, /, **values: Any) -> str:
    """Like `tr`, with the form that goes with ``number``, which is the value n."""
    return _catalogue(current()).ngettext(one, many, number).format(n=number, **values)


def mark(text: str) -> str:
    """``text`` as it is: it belongs into the catalogues, and `tr` translates it where it is shown."""
    return text


@lru_cache
def _catalogue(language: str) -> gettext.NullTranslations:
    path = FOLDER / language / "LC_MESSAGES" / "imgrec.po"
    if language == "en" or not path.exists():
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
