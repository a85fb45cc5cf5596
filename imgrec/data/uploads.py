"""Uploads: what a browser sends lies on disk, bounded, until an import has read it; what is left over is swept."""

from __future__ import annotations

import csv
import hashlib
import io
import secrets
import shutil
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from imgrec.data.archive import TABLE
from imgrec.data.dataset import SPLITS, DatasetError, stratify
from imgrec.data.sources import ARCHIVES, TABLES, most_gigabytes
from imgrec.data.store import LEFTOVER_SECONDS
from imgrec.home import changed_at, folder, no_room
from imgrec.images import safe_name
from imgrec.language import tr

ENDINGS = (*ARCHIVES, *TABLES)


def keep(name: str, content: bytes) -> Path:
    """Write an uploaded archive or table; the file is called as it was. Raises DatasetError when there is no room."""
    name = safe_name(name).lstrip(".") or "upload"
    ending = "".join(part for part in PurePosixPath(name).suffixes[-2:] if part.lower() in ENDINGS)
    with _place(len(content)) as place:
        path = place / (name.removesuffix(ending)[:40] + ending)
        path.write_bytes(content)
    return path


class Loose(NamedTuple):
    """A picture that was given alone, its ``content`` or the file that holds it. Without a ``label`` the folder in its name
    tells it, as in an uploaded folder; those of one ``group``, such as a second of a film, come into the same split."""

    name: str
    content: bytes | Path
    label: str | None = None
    group: str = ""

    @property
    def size(self) -> int:
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)

    def read(self) -> bytes:
        return self.content.read_bytes() if isinstance(self.content, Path) else self.content


def bundle(pictures: Iterable[Loose]) -> Path:
    """Write loose pictures as one archive to import. Raises DatasetError."""
    pictures = list(pictures)
    splits = _splits(pictures)
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(("file", "label", "split"))
    with _place(sum(picture.size for picture in pictures)) as place:
        path = place / "pictures.zip"
        with zipfile.ZipFile(path, "w") as archive:  # stored as they are: pictures do not get smaller
            for number, (picture, split) in enumerate(zip(pictures, splits, strict=True)):
                name = picture.name
                if picture.label is not None:
                    name = f"{number:05d}-{safe_name(name)}"
                    rows.writerow((name, picture.label, split))
                archive.writestr(name, picture.read())
            if any(picture.label is not None for picture in pictures):
                archive.writestr(TABLE, table.getvalue())
    return path


def _splits(pictures: list[Loose]) -> list[str]:
    """A split for each picture where some belong together, else none; exact copies of others come into the same one, too."""
    sizes = Counter(picture.group for picture in pictures if picture.group)
    if not sizes or max(sizes.values()) < 2:
        return [""] * len(pictures)
    labels = np.unique([str(picture.label) for picture in pictures], return_inverse=True)[1]
    groups = [p.group if sizes[p.group] > 1 else hashlib.sha256(p.read()).hexdigest() for p in pictures]
    return [SPLITS[split] for split in stratify(labels, groups)]


def discard(path: Path) -> None:
    """Remove an upload; any other path stays."""
    if path.parent.parent == _folder():
        shutil.rmtree(path.parent, ignore_errors=True)


def _folder() -> Path:
    return folder("datasets") / ".uploads"


@contextmanager
def _place(size: int) -> Iterator[Path]:
    """A fresh folder for ``size`` bytes, gone again if writing fails. Raises DatasetError if all uploads together would
    be too many."""
    _folder().mkdir(parents=True, exist_ok=True)
    for old in _folder().iterdir():
        if time.time() - changed_at(old) > LEFTOVER_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    waiting = 0
    for place in _folder().iterdir():
        with suppress(FileNotFoundError):  # another import has just ended
            waiting += sum(file.stat().st_size for file in place.iterdir())
    if waiting + size > (most := most_gigabytes()) * 1e9:
        raise DatasetError(
            tr("The uploads that wait exceed {most:g} GB; try again when others have been imported.", most=most)
        )
    if size * 3 > (free := shutil.disk_usage(_folder()).free):
        raise DatasetError(
            tr("The disk has {free:.1f} GB left, too little for this upload; make some room.", free=free / 1e9)
        )
    if reason := no_room(size):
        raise DatasetError(reason)
    path = _folder() / secrets.token_hex(8)
    path.mkdir()
    try:
        yield path
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
