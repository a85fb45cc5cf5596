"""The data layer: what is on the shelf of data sets and how one of them is opened. Knows no torch and no Streamlit."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from imgrec.data import builtin, packs, shapes, store
from imgrec.data.archive import write_archive
from imgrec.data.catalogue import CATALOGUE, fetch
from imgrec.data.dataset import LEFT_OUT, SPLITS, UNLABELLED, Dataset, DatasetError
from imgrec.data.edits import Edit
from imgrec.data.importing import Summary, finger, import_dataset
from imgrec.data.inspection import inspect
from imgrec.data.layouts import read_columns
from imgrec.data.names import class_name, class_names, named
from imgrec.data.packs import Progress
from imgrec.data.places import bring, called, find
from imgrec.data.readers import Item
from imgrec.data.store import check_free, delete_dataset, edit, history, undo
from imgrec.images import RESIZES, to_png
from imgrec.language import sentences, tr
from imgrec.recipe import number, one_of, parse_options

__all__ = [
    "CATALOGUE",
    "LEFT_OUT",
    "SPLITS",
    "UNLABELLED",
    "Dataset",
    "DatasetError",
    "Edit",
    "Item",
    "Listing",
    "Summary",
    "bring",
    "called",
    "check_free",
    "class_name",
    "class_names",
    "classes_of",
    "delete_dataset",
    "edit",
    "export_dataset",
    "fetch",
    "find",
    "fingers",
    "history",
    "import_dataset",
    "inspect",
    "is_builtin",
    "is_here",
    "list_datasets",
    "named",
    "open_dataset",
    "original",
    "read_columns",
    "shapes_options",
    "stamps",
    "undo",
]


@dataclass(frozen=True)
class Listing:
    """What a list shows of a data set. Numbers are 0 where they are not known; ``ready`` ones can be opened now."""

    name: str
    title: str
    kind: str  # "built-in", "imported" or "download"
    images: int
    classes: int
    image_size: int  # the suggested width and height in pixels
    channels: int
    note: str  # licence and origin, or what is wrong with it
    ready: bool
    waiting: int = 0  # pictures without a label


def open_dataset(
    name: str, size: int = 0, resize: str = "crop", channels: int = 0, progress: Progress | None = None
) -> Dataset:
    """The data set of that name at ``size`` pixels and with 1 or 3 ``channels``; 0 takes the set's own.

    Built-ins take options: ``shapes:size=64,difficulty=hard``. The first opening of a stored set at a size packs its
    pixels, which ``progress`` hears as (done, total) pictures. Raises DatasetError, and RecipeError on a bad size.
    """
    number("image_size", size, 0, 512, int)
    one_of("resize", resize, RESIZES)
    one_of("channels", channels, (0, 1, 3))
    if name.partition(":")[0] in builtin.BUILT_IN:
        return builtin.open_builtin(name, size, resize, channels)
    stored = _stored(name)
    said = stored.about
    return Dataset(
        name=name,
        classes=stored.classes,
        images=packs.packed(stored, size or said["image_size"], channels or said["channels"], resize, progress),
        labels=stored.labels,
        splits=stored.splits,
        sizes=np.stack([stored.items["width"], stored.items["height"]], 1).astype(np.int32),
        files=stored.files,
        modes=stored.modes,
        source=said["source"],
        known_fingerprint=stored.fingerprint,
    )


def original(name: str, index: int) -> bytes:
    """Picture ``index`` of a data set as the file it came as; a PNG where it came as bare pixels or was drawn."""
    if name.partition(":")[0] in builtin.BUILT_IN:
        return to_png(builtin.open_builtin(name).images[index])
    return _stored(name).original(index)


def classes_of(name: str) -> tuple[str, ...]:
    """The classes of a data set, without its pixels. Raises DatasetError."""
    kind = name.partition(":")[0]  # whose options change no class, but would have all of it drawn
    return builtin.open_builtin(kind).classes if kind in builtin.BUILT_IN else _stored(name).classes


def is_builtin(name: str) -> bool:
    """Whether a data set comes with imgrec, and so stays as it is."""
    return name.partition(":")[0] in builtin.BUILT_IN


def is_here(name: str) -> bool:
    """Whether a data set of that name can be opened without fetching it."""
    return is_builtin(name) or name in store.names()


def fingers(name: str) -> np.ndarray:
    """By what the pictures of a set are known again in another: 64 bits of the SHA-256 of their files, uint64 (N,), of
    built-in ones of those that an export writes. Raises DatasetError."""
    if not is_builtin(name):
        return np.ascontiguousarray(_stored(name).items["sha256"])
    return np.array([finger(to_png(picture)) for picture in builtin.open_builtin(name).images], np.uint64)


def shapes_options(name: str) -> dict[str, int | float]:
    """All options of drawn shapes; empty for any other set. Raises DatasetError."""
    kind, _, options = name.partition(":")
    return shapes.parse(parse_options(options)) if kind == "shapes" else {}


def export_dataset(name: str, out: Path | BinaryIO, progress: Progress | None = None) -> int:
    """Write a data set as a ZIP of class folders that imports again as the same; gives how many pictures.

    Pictures that were left out stay out. Raises DatasetError, and OSError on a full disk.
    """
    return write_archive(open_dataset(name), partial(original, name), out, progress)


def list_datasets() -> list[Listing]:
    """Every data set: built in, stored, or to be downloaded. Quick; broken ones say what is wrong with them."""
    stored = {name: _stored_listing(name) for name in store.names()}
    built_in = [_builtin_listing(name, title) for name, title in builtin.BUILT_IN.items()]
    to_fetch = [_download_listing(name) for name in CATALOGUE if name not in stored]
    return [*built_in, *stored.values(), *to_fetch]


def _stored(name: str) -> store.Stored:
    if name in store.names():
        return store.load(name)
    if name in CATALOGUE:
        row = CATALOGUE[name]
        raise DatasetError(
            tr(
                "{title} is not here yet; download its {megabytes:,.0f} MB on the page Data set or with "
                "`python -m imgrec import {name}`.",
                title=tr(row.title),
                megabytes=row.bytes / 1e6,
                name=name,
            )
        )
    known = {*builtin.BUILT_IN, *store.names(), *CATALOGUE}
    close = difflib.get_close_matches(name, known, 3, 0.5)
    raise DatasetError(
        sentences(
            tr("There is no data set {name!r}.", name=name),
            tr("Did you mean {names}?", names=tr(" or ").join(close)) if close else "",
            tr("`python -m imgrec datasets` lists all."),
        )
    )


def _builtin_listing(name: str, title: str) -> Listing:
    return Listing(name, title, "built-in", *builtin.about(name), ready=True)


def _stored_listing(name: str) -> Listing:
    try:
        stored = store.load(name)
        said, row = stored.about, CATALOGUE.get(name)
        images = int((stored.splits != LEFT_OUT).sum())
        numbers = (images, len(stored.classes), said["image_size"], said["channels"])
        if row and said["source"].startswith(row.title):  # and not a set of one's own by that name
            return Listing(name, row.title, "download", *numbers, said["source"], True)
        waiting = int((stored.splits == UNLABELLED).sum())
        return Listing(name, name, "imported", *numbers, said["source"], True, waiting)
    except (DatasetError, KeyError, AttributeError) as error:
        return Listing(name, name, "imported", 0, 0, 0, 0, str(error), False)


def _download_listing(name: str) -> Listing:
    row = CATALOGUE[name]
    note = tr(
        "{makers}; {licence}; {megabytes:,.0f} MB to download.",
        makers=tr(row.makers), licence=tr(row.licence), megabytes=row.bytes / 1e6,
    )  # fmt: skip
    return Listing(name, row.title, "download", row.images, row.classes, row.image_size, row.channels, note, False)


def stamps(name: str, edits: bool = True) -> tuple[int, ...]:
    """A value that changes whenever the data set does, for caches; the same for ever for built-in and missing ones.

    Without ``edits`` it changes only with the pictures, not with what people say about them.
    """
    try:
        return store.stamps(name, edits) if name in store.names() else ()
    except OSError:
        return ()
