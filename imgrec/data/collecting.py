"""A data set that a class puts together: one opens it, others add labelled photos from their phones, by a code."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from imgrec.data import uploads
from imgrec.data.dataset import DatasetError
from imgrec.data.store import check_free, names
from imgrec.home import changed_at, folder, no_room, write_atomic
from imgrec.language import listed, tr
from imgrec.privacy import stripped

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look like another
MOST_CLASSES, MOST_PHOTOS, MOST_OF_ONE, WEEKS = 30, 3000, 300, 4
SIDE = 1280  # pixels of the longer side that are kept of a photo: 3,000 phones' worth would be 15 GB


@dataclass(frozen=True)
class Photo:
    """One photo that was added: its file, its class, and who added it (a digest, perhaps empty); those of one second of a
    film share a ``group``."""

    path: Path
    label: str
    who: str
    group: str


@dataclass(frozen=True)
class Collection:
    """An open collection: ``code`` is what others need; ``owner`` (a digest, perhaps empty) may take photos out."""

    code: str
    name: str
    classes: tuple[str, ...]
    owner: str

    @property
    def path(self) -> Path:
        return _folder() / self.code

    @property
    def begun(self) -> bool:
        """Whether its data set was asked for."""
        return (self.path / "made").exists()

    @property
    def made(self) -> bool:
        """Whether its data set is there, so that what is new can be added to it."""
        return self.begun and self.name in names()

    @property
    def new(self) -> int:
        """How many photos came after its data set was asked for last."""
        then = changed_at(self.path / "made") if self.begun else 0
        return sum(int(photo.path.name[:20]) / 1e9 > then for photo in self.photos())

    def photos(self) -> list[Photo]:
        """What has been added, the latest first."""
        found = []
        for number in range(len(self.classes)):
            place = self.path / str(number)
            for entry in os.scandir(place) if place.is_dir() else ():
                if not entry.name.startswith("."):
                    told, _, rest = entry.name.partition("_")
                    group = told.partition("-")[2]
                    found.append(Photo(Path(entry.path), self.classes[number], rest.partition(".")[0], group))
        return sorted(found, key=lambda photo: photo.path.name, reverse=True)

    def add(self, content: bytes, label: str, who: str = "", name: str = "photo", group: str = "") -> Path:
        """Keep a photo, without anything but its pixels; ``group``: hexadecimal, see Photo.

        Raises ImageError for what is none, DatasetError when there are too many, of all or of one visitor, the class is
        not one of these, or the collection is closed or takes none at the moment.
        """
        if self.paused:
            raise DatasetError(tr("The collection takes no more photos at the moment; ask who opened it."))
        if label not in self.classes:
            raise DatasetError(
                tr(
                    "{label!r} is not a class here; choose one of {classes}.",
                    label=label,
                    classes=listed(self.classes),
                )
            )
        photos = self.photos()
        if len(photos) >= MOST_PHOTOS or sum(photo.who == who for photo in photos) >= (
            MOST_OF_ONE if who else MOST_PHOTOS
        ):
            raise DatasetError(tr("There are enough photos already; the one who opened the collection can end it."))
        plain, ending = stripped(content, name, SIDE)
        if any(_holds(photo.path, plain) for photo in photos):
            raise DatasetError(tr("This photo is there already."))
        if reason := no_room(len(plain)):
            raise DatasetError(reason)
        place = self.path / str(self.classes.index(label))
        path = place / f"{time.time_ns():020d}-{_plain(group) or secrets.token_hex(4)}_{_plain(who)}.{ending}"
        try:
            place.mkdir(exist_ok=True)
            write_atomic(path, plain)
        except FileNotFoundError:
            raise DatasetError(_closed()) from None
        return path

    def remove(self, photo: Photo) -> None:
        """Take a photo out for good."""
        if photo.path.parent.parent == self.path:
            photo.path.unlink(missing_ok=True)

    def remove_all_of(self, who: str) -> int:
        """Take out what one visitor added, and give how many photos that were."""
        theirs = [photo for photo in self.photos() if photo.who == who]
        for photo in theirs:
            self.remove(photo)
        return len(theirs)

    @property
    def paused(self) -> bool:
        """Whether nothing can be added for now."""
        return (self.path / "paused").exists()

    def pause(self, paused: bool) -> None:
        """Take no more photos, or take them again. Raises DatasetError if the collection is closed."""
        try:
            (self.path / "paused").touch() if paused else (self.path / "paused").unlink(missing_ok=True)
        except FileNotFoundError:
            raise DatasetError(_closed()) from None

    def bundle(self) -> Path:
        """All photos as an upload to import, see `background.start_import`. Raises DatasetError for fewer than two classes."""
        photos = self.photos()[::-1]
        if len({photo.label for photo in photos}) < 2:
            raise DatasetError(tr("It takes photos of two classes at least."))
        every = (
            uploads.Loose(f"{photo.group}{photo.path.suffix}", photo.path, photo.label, photo.group) for photo in photos
        )
        return uploads.bundle(every)

    def note_made(self) -> None:
        """Remember that the data set of this name is this collection's."""
        (self.path / "made").touch()

    def close(self) -> None:
        """Forget the collection and its photos."""
        shutil.rmtree(self.path, ignore_errors=True)


def open_collection(name: str, classes: list[str], owner: str = "") -> Collection:
    """Begin a collection under a free name. Raises DatasetError, UnusableName."""
    name = check_free(name)
    classes = list(dict.fromkeys(" ".join(label.split())[:60] for label in classes if label.strip()))
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise DatasetError(tr("Give two to {most} different classes, one in each line.", most=MOST_CLASSES))
    if reason := no_room():
        raise DatasetError(reason)
    _sweep()
    code = "".join(secrets.choice(LETTERS) for _ in range(6))
    place = _folder() / code
    place.mkdir(parents=True)
    write_atomic(
        place / "about.json", json.dumps({"name": name, "classes": classes, "owner": owner}, ensure_ascii=False)
    )
    return Collection(code, name, tuple(classes), owner)


def find_collection(code: str) -> Collection:
    """The collection of a code, however it is written. Raises DatasetError."""
    code = re.sub(r"[^a-z0-9]", "", code.lower())[:12]
    try:
        about = json.loads((_folder() / code / "about.json").read_text("utf-8")) if code else {}
        return Collection(code, str(about["name"]), tuple(map(str, about["classes"])), str(about.get("owner", "")))
    except (OSError, ValueError, KeyError, TypeError):
        raise DatasetError(tr("There is no collection with the code {code!r}; ask for it again.", code=code)) from None


def collections_of(owner: str) -> list[Collection]:
    """The open collections of one visitor, the latest first; of everybody with an empty ``owner``."""
    there = list(_folder().iterdir()) if _folder().is_dir() else []
    found = []
    for entry in sorted(there, key=_touched, reverse=True):
        try:
            collection = find_collection(entry.name)
        except DatasetError:
            continue
        if not owner or collection.owner == owner:
            found.append(collection)
    return found


def _sweep() -> None:
    """Forget collections that nobody has added to for weeks."""
    for entry in os.scandir(_folder()) if _folder().is_dir() else ():
        if time.time() - _touched(Path(entry.path)) > WEEKS * 7 * 86400:
            shutil.rmtree(entry.path, ignore_errors=True)


def _touched(place: Path) -> float:
    """When a collection was last added to, by the clock of its folders: a photo changes only that of its class."""
    return max(map(changed_at, (place, *place.glob("*/"))))


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:  # taken out just now
        return False


def _closed() -> str:
    return tr("The collection has been closed; nothing can be added to it any more.")


def _plain(who: str) -> str:
    return re.sub(r"[^0-9a-f]", "", who)[:24]


def _folder() -> Path:
    return folder("datasets") / ".collections"
