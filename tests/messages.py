"""The sentences of the code and those of the catalogues; run as a program it brings the catalogues up to date.

``python tests/messages.py`` adds what is new, untranslated, and drops what is gone.
"""

import ast
import string
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from imgrec.language import FOLDER, LANGUAGES  # noqa: E402

WHERE = {"tr": (0,), "mark": (0,), "plural": (0, 1), "link": (1,)}  # the arguments of these that are for people


def of_the_code() -> dict[str | tuple[str, str], list[tuple[str, int]]]:
    """Every sentence, or pair of singular and plural, and the files and lines where it stands."""
    found: dict[str | tuple[str, str], list[tuple[str, int]]] = {}
    for path in sorted([*(ROOT / "imgrec").rglob("*.py"), *(ROOT / "pages").glob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else name
            places = WHERE.get(name, ())
            texts = [text for place in places if len(node.args) > place for text in _texts(node.args[place])]
            if name == "plural" and len(texts) == 2:
                texts = [tuple(texts)]
            for text in filter(None, texts):
                found.setdefault(text, []).append((str(path.relative_to(ROOT)), node.lineno))
    return found


def _texts(node: ast.expr) -> list[str]:
    """The texts that an argument may be: itself, or both sides of a condition."""
    if isinstance(node, ast.IfExp):
        return _texts(node.body) + _texts(node.orelse)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


ABOUT = "# The sentences of imgrec; `python tests/messages.py` keeps them up to date."


def catalogue(language: str) -> Catalog:
    path = FOLDER / language / "LC_MESSAGES" / "imgrec.po"
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, language)


def fields(text: str) -> set[str]:
    """The names in braces, with their formats."""
    return {
        f"{name}!{conversion}:{spec}"
        for _, name, spec, conversion in string.Formatter().parse(text)
        if name is not None
    }


def main() -> None:
    for language in LANGUAGES:
        if language == "en":
            continue
        known = catalogue(language)
        new = Catalog(
            locale=language, project="imgrec", version="0", copyright_holder="imgrec", fuzzy=False, header_comment=ABOUT
        )
        for text, places in sorted(of_the_code().items(), key=lambda item: item[1][0]):
            message = known.get(text[0] if isinstance(text, tuple) else text)
            files = list(dict.fromkeys((file, None) for file, _ in places))
            new.add(text, message.string if message else "", locations=files)
        path = FOLDER / language / "LC_MESSAGES" / "imgrec.po"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            write_po(file, new, width=120, sort_output=False, omit_header=False)
        missing = [message.id for message in new if message.id and not any(message.string)]
        print(f"{language}: {len(new)} sentences, {len(missing)} without a translation")


if __name__ == "__main__":
    main()
