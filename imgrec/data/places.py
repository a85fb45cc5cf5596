"""Pictures by the place where they lie, for who gives a path instead of a name: the same files are imported once."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from pathlib import Path, PurePath

from imgrec.data import store
from imgrec.data.builtin import BUILT_IN
from imgrec.data.catalogue import CATALOGUE
from imgrec.data.dataset import DatasetError
from imgrec.data.importing import Summary, import_dataset
from imgrec.data.listing import stamp
from imgrec.data.packs import Progress
from imgrec.data.uploads import ENDINGS
from imgrec.home import mend_name
from imgrec.language import tr


def called(source: Path | str) -> str:
    """What a set from this folder, archive or table is called: its name without the ending, made fit."""
    name = Path(source).expanduser().resolve().name
    while PurePath(name).suffix.lower() in ENDINGS:  # .tar.gz is two
        name = PurePath(name).stem
    return mend_name(name) or "pictures"


def find(source: Path | str) -> str | None:
    """The stored set that came from these files as they are now, if there is one. Raises DatasetError if there are none."""
    try:
        wanted = stamp(Path(source))
    except OSError:
        raise DatasetError(tr("There is no file or folder {path}.", path=source)) from None
    for name in store.names():
        try:
            if store.about(name).get("stamp") == wanted:
                return name
        except DatasetError:
            continue  # damaged, which is told where it is listed
    return None


def bring(source: Path | str, progress: Progress | None = None) -> Summary:
    """Import the files as a set of the source's name, with a number behind it if that is taken: pictures that the one before
    has, too, keep their splits. Raises DatasetError."""
    name, before = called(source), ""
    stored = {other.casefold(): other for other in store.names()}
    reserved = {other.casefold() for other in (*BUILT_IN, *CATALOGUE)}
    for number in count(1):
        free = name if number == 1 else f"{name}-{number}"
        if (known := free.casefold()) in stored:
            with suppress(DatasetError):  # a damaged one tells no splits
                before = store.load(stored[known]).name
        elif known not in reserved:
            return import_dataset(source, free, progress, like=before)
