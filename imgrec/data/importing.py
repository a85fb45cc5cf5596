"""Import: pictures from a folder, an archive, a table or arrays become a stored set, each of them decoded in full.

Bad pictures are listed, never fatal. A cancelled, failed or killed import leaves no half set.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imgrec.data import edits, layouts
from imgrec.data.dataset import LEFT_OUT, SPLITS, UNLABELLED, DatasetError, Unsorted, counted, stratify
from imgrec.data.listing import stamp
from imgrec.data.packs import Progress
from imgrec.data.parallel import in_order
from imgrec.data.readers import READERS, Item
from imgrec.data.sources import Refused, open_source, printable
from imgrec.data.store import Draft, Stored, check_free, history, load
from imgrec.data.table import ITEM
from imgrec.images import ImageError, open_image, safe_name
from imgrec.jobs import Cancelled
from imgrec.language import plural, tr

CHUNK, CHUNK_BYTES = 32, 4 * 2**20  # pictures and bytes per piece of work: little to hold, little to hand over
SMALLEST, LARGEST = 8, 224  # bounds of the suggested picture size in pixels
MOST_REFUSALS = 10_000  # that are listed by name


@dataclass(frozen=True)
class Summary:
    """What an import did: pictures, classes, which files were refused and why, pictures per class and split."""

    name: str
    images: int
    classes: int
    rejected: list[dict[str, str]]  # [{"file", "reason"}]
    counts: dict[str, dict[str, int]]  # {class: {split: n}}


class Picture(NamedTuple):
    """An item that could be decoded; once its content is written, the content goes and its offset is known."""

    name: str
    label: str | None
    split: str | None
    width: int
    height: int
    channels: int
    mode: str
    format: str
    is_pixels: bool
    sha256: int  # its first 64 bits
    bytes: int
    content: bytes
    offset: int = 0


def import_dataset(
    source: Path | str | Iterable[Item],
    name: str,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    *,
    unlabelled: bool = False,
    adding: bool = False,
    like: str = "",
) -> Summary:
    """Make the stored set ``name`` from a folder, ZIP, TAR or CSV, or from Items at hand, as an upload gives them.

    ``unlabelled``: no folder or table tells classes, all pictures wait for a label. ``adding``: they go into the set
    of that name, except those it has. ``like``: a set whose pictures, where they come again without a split, keep theirs.
    ``progress`` hears (done, total or None) in files. Raises DatasetError when the name is taken, the source can't be
    read or holds fewer than two classes, and Cancelled soon after ``cancelled()`` is true.
    """
    known: dict[str, Any] = {"unlabelled": unlabelled, "adding": adding, "like": like}
    if not adding:
        check_free(name)
    if not isinstance(source, str | Path):
        return Import(tr("Uploaded."), progress, cancelled, **known).run(name, source)
    path = Path(source).expanduser()
    opened = open_source(path)
    try:
        reader = next(reader for reader in READERS if reader.recognises(opened))
        origin = tr("Imported from {name}.", name=printable(path.absolute().name))
        known["stamp"] = "" if unlabelled else stamp(path)
        job = Import(origin, progress, cancelled, lambda: opened.total, opened.tables, **known)
        return job.run(name, reader.read(opened))
    except Refused as reason:
        raise DatasetError(tr("{name} cannot be imported: {reason}.", name=path.name, reason=reason)) from reason
    finally:
        opened.close()


@dataclass
class Import:
    """One import on its way from items to a stored set; catalogue.py starts it with items of its own."""

    source: str  # where the pictures come from, one sentence
    progress: Progress | None = None
    cancelled: Callable[[], bool] | None = None
    total: Callable[[], int | None] = lambda: None
    tables: dict[str, bytes] = field(default_factory=dict)  # CSV files, complete once the items are through
    order: tuple[str, ...] = ()  # of the classes; the rest follow by number or alphabet
    unlabelled: bool = False  # no picture has a class
    adding: bool = False  # to a set that is there
    stamp: str = ""  # of the files it came from
    like: str = (
        ""  # a set whose pictures keep their splits where they come again, or tests would be of what was learned
    )
    rejected: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # all files, of which ``rejected`` says the reasons of the first

    def run(self, name: str, items: Iterable[Item]) -> Summary:
        """Store the items under ``name``; raises like `import_dataset`."""
        with Draft(name, self.adding) as draft:
            pictures = self._placed(list(self._kept(draft, items)))
            if not (pictures and pictures[0].is_pixels):
                pictures.sort(key=lambda picture: picture.name)  # the same set from a folder, a ZIP and a TAR
            with draft.lock():
                return self._finish(draft, pictures)

    def _kept(self, draft: Draft, items: Iterable[Item]) -> Iterator[Picture]:
        """Decode everything, write what is good, list what is not."""
        done, shown = 0, 0.0
        with closing(in_order(_checked, _chunks(items))) as chunks:
            for results in chunks:
                if self.cancelled and self.cancelled():
                    raise Cancelled(tr("The import of {name} was cancelled; nothing was kept.", name=draft.name))
                for result in results:
                    if isinstance(result, Item):
                        self._refuse(result.name, result.refused)
                    else:
                        yield result._replace(offset=draft.append(result.content), content=b"")
                done += len(results)
                if self.progress and time.monotonic() - shown > 0.1:
                    shown = time.monotonic()
                    self.progress(done, self.total())
        if self.progress:
            self.progress(done, done)

    def _placed(self, pictures: list[Picture]) -> list[Picture]:
        """The pictures with class and split; those that belong nowhere are refused."""
        if self.unlabelled:
            return [picture._replace(label=None, split=None) for picture in pictures]
        names = [picture.name for picture in pictures if picture.label is None]
        told = layouts.by_tables(names, self.tables, self.refused) if self.tables else None
        for table in self.tables if told is None else ():
            self._refuse(table, tr("it is not a picture, and no table with columns file and label for most of them"))
        places, lost = told or (layouts.by_folders(names), [])
        for file in lost:
            self._refuse(file, tr("a table lists it, but there is no such file"))
        found = iter(places)
        placed = []
        for picture in pictures:
            place = next(found) if picture.label is None else layouts.labelled(*picture[:3])
            if place.refused:
                self._refuse(picture.name, place.refused)
            else:
                waits = place.split == layouts.WAITING
                label, split = (None, None) if waits else (place.label, place.split)
                placed.append(picture._replace(name=place.name, label=label, split=split))
        return placed

    def _finish(self, draft: Draft, pictures: list[Picture]) -> Summary:
        there = load(draft.name) if self.adding else None
        if there:
            pictures = self._new(pictures, there)
        wanted = sorted({picture.label for picture in pictures} - {None}, key=self._rank)
        changed = history(draft.name) if there else []
        classes, number = edits.room(there.about["classes"] if there else (), changed, wanted)
        if there and not pictures and self.rejected:
            raise DatasetError(
                tr("Nothing was added to {name}: {first}.", name=draft.name, first=self.rejected[0]["reason"])
            )
        if not pictures or not (self.adding or self.unlabelled or len(wanted) > 1):
            raise (Unsorted if pictures else DatasetError)(self._too_few(len(pictures), wanted))
        late = [label for label in wanted if label not in number]  # a class was called so, and has been renamed
        called = [*number, *late]
        place = {label: index for index, label in enumerate(called)} | {None: -1}
        labels = np.array([place[picture.label] for picture in pictures], np.int64)
        splits = self._splits(pictures, labels)
        placed = labels >= 0
        counts = counted(called, labels[placed], splits[placed])
        summary = Summary(draft.name, len(pictures), len(called), self._listed(), counts)
        stored = number | dict.fromkeys(late, -1) | {None: -1}  # those wait for a label until the journal has it
        in_table = [
            (stored[p.label], UNLABELLED if p.label in late else split)
            for p, split in zip(pictures, splits, strict=True)
        ]
        items = [
            (label, split, p.width, p.height, p.mode.encode(), p.format.encode(), p.sha256, p.offset, p.bytes, 0)
            for p, (label, split) in zip(pictures, in_table, strict=True)
        ]
        about = (
            self._about(draft.name, classes, pictures)
            if not there
            else there.about | {"classes": classes, "stamp": "", "channels": self._channels(pictures, there)}
        )
        draft.finish(np.array(items, ITEM), [picture.name for picture in pictures], about)
        for label in late:
            where = np.flatnonzero(labels == place[label])
            draft.note(edits.Edit("relabel", self._after(there, where), label))
            for split in SPLITS[1:]:
                moved = where[splits[where] == SPLITS.index(split)]
                if len(moved):
                    draft.note(edits.Edit("move", self._after(there, moved), split))
        return summary

    @staticmethod
    def _after(there: Stored, where: np.ndarray) -> tuple[int, ...]:
        """Positions among the new pictures as positions in the set."""
        return tuple((len(there.items) + where).tolist())

    def _new(self, pictures: list[Picture], there: Stored) -> list[Picture]:
        """The pictures that are not in the set yet; the others are refused. Raises DatasetError if none can be added."""
        if there.pixels:
            raise DatasetError(
                tr("{name} holds bare pixels, not files; pack it, import that ZIP and add to it.", name=there.name)
            )
        at = {sha256: position for position, sha256 in enumerate(there.items["sha256"].tolist())}
        new = []
        for picture in pictures:
            if picture.is_pixels:
                self._refuse(picture.name, tr("bare pixels cannot be added to picture files"))
            elif picture.sha256 in at:
                self._refuse(
                    picture.name, tr("the data set has it already, as {files}", files=there.files[at[picture.sha256]])
                )
            else:
                new.append(picture)
        return new

    def _splits(self, pictures: list[Picture], labels: np.ndarray) -> np.ndarray:
        """A split for every picture, uint8: as it came, or drawn; UNLABELLED where there is no label."""
        given = np.array([255 if p.split is None else SPLITS.index(p.split) for p in pictures], np.uint8)
        placed = np.flatnonzero(labels >= 0)
        if not self.adding and not np.isin(given[placed], (0, 255)).any():
            given[:] = 255  # nothing is meant for training
        splits = np.full(len(pictures), UNLABELLED, np.uint8)
        hashes = np.array([picture.sha256 for picture in pictures], np.uint64)
        if self.like and (given[placed] == 255).all():
            there = load(self.like)
            known = dict(zip(there.items["sha256"].tolist(), there.splits.tolist(), strict=True))
            before = np.array([known.get(int(hash), LEFT_OUT) for hash in hashes], np.uint8)
            again = placed[before[placed] < len(SPLITS)]
            splits[again] = before[again]
            placed = np.setdiff1d(placed, again)
        splits[placed] = stratify(labels[placed], hashes[placed], given[placed])
        return splits

    def _about(self, name: str, classes: list[str], pictures: list[Picture]) -> dict[str, Any]:
        side = int(np.median([min(picture.width, picture.height) for picture in pictures]))
        shapes = {(p.height, p.width, p.channels) for p in pictures} if pictures[0].is_pixels else ()
        if len(shapes) > 1:
            raise DatasetError(
                tr("The arrays hold pictures of {shapes} shapes; import one shape at a time.", shapes=len(shapes))
            )
        return {
            "name": name,
            "source": self.source,
            "stamp": self.stamp,
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "image_size": min(max(side, SMALLEST), LARGEST),
            "channels": self._channels(pictures),
            "pixels": next(iter(shapes), None),
            "classes": classes,
            "rejected": self._listed(),
        }

    @staticmethod
    def _channels(pictures: list[Picture], there: Stored | None = None) -> int:
        """3 as soon as one of all pictures has colours."""
        return max(*(picture.channels for picture in pictures), there.about["channels"] if there else 1)

    def _rank(self, label: str) -> tuple[int, int, str]:
        """Where a class comes: as ordered, then 0 to 99 by their numbers, then by the alphabet."""
        place = self.order.index(label) if label in self.order else len(self.order)
        number = int(label) if label.isascii() and label.isdigit() and len(label) < 10 else 10**9
        return place, number, label

    def _refuse(self, file: str, reason: str) -> None:
        self.refused.append(file)
        if len(self.refused) <= MOST_REFUSALS:
            self.rejected.append({"file": file, "reason": reason})

    def _listed(self) -> list[dict[str, str]]:
        more = len(self.refused) - len(self.rejected)
        return self.rejected + [{"file": "…", "reason": tr("and {more:,} more files", more=more)}] * (more > 0)

    def _too_few(self, images: int, classes: list[str]) -> str:
        if not images and not self.refused:
            return tr("There is no file in it; expected {expected}.", expected=tr(layouts.EXPECTED))
        if len(classes) == 1 and not self.refused:
            return tr("There is only one class, {name}; a network needs two or more to tell apart.", name=classes[0])
        if {entry["reason"] for entry in self.rejected} == {tr(layouts.HOMELESS)}:
            return tr(
                "None of the {n:,} pictures lies in a folder that is called after its class. Put them into such folders "
                "(cat/1.jpg, dog/2.jpg), or import them without labels and say on the page Label what they are.",
                n=len(self.refused),
            )
        found = plural(
            "{images:,} usable pictures in {n} class",
            "{images:,} usable pictures in {n} classes",
            len(classes),
            images=images,
        )
        first = "".join(
            tr(", the first, {file}, because {reason}", file=entry["file"], reason=entry["reason"])
            for entry in self.rejected[:1]
        )
        refused = plural(" ({n:,} file refused{first})", " ({n:,} files refused{first})", len(self.refused), first=first) if self.refused else ""  # fmt: skip
        return tr(
            "There are {found}{refused}; expected pictures of two classes or more as {expected}.",
            found=found,
            refused=refused,
            expected=tr(layouts.EXPECTED),
        )


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in lists of at most CHUNK, shorter where they are big."""
    chunk, size = [], 0
    for item in items:
        chunk.append(item)
        size += len(item.data) if isinstance(item.data, bytes) else item.data.nbytes
        if len(chunk) == CHUNK or size > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _checked(items: list[Item]) -> list[Picture | Item]:
    """Each item as a Picture, or as an Item with the reason why it is none."""
    return [item if item.refused else _decoded(item) for item in items]


def finger(content: bytes) -> int:
    """By what a file is known again: the first 64 bits of its SHA-256."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8])


def _decoded(item: Item) -> Picture | Item:
    is_pixels, content = isinstance(item.data, np.ndarray), item.data
    if is_pixels:
        height, width, channels = content.shape
        content = content.tobytes()
    else:
        try:
            image = open_image(content, name=item.name)
        except (ImageError, MemoryError) as error:
            reason = str(error).removeprefix(f"{safe_name(item.name)}: ").rstrip(".")
            return Item(item.name, refused=reason or tr("it does not fit into the memory"))
        (width, height), channels = image.size, 1 if image.mode == "L" else 3
    mode, format = ("", "") if is_pixels else (image.info["mode"], image.info["format"])
    about = (width, height, channels, mode, format, is_pixels, finger(content), len(content), content)
    return Picture(item.name, item.label, item.split, *about)
