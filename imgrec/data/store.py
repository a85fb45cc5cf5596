"""Stored data sets, one folder each: the originals in one file, a table of labels, and packed pixels beside them.

datasets/NAME/dataset.json   what lists show, the classes, what an import refused
              items.csv      a line per picture: file, label, split, width, height, sha256, offset, bytes
              edits.jsonl    what people changed since, replayed over items.csv; may be missing
              originals.bin  the picture files as they came, one after the other; or bare pixels, see "pixels"
              packed/        made on demand, see packs.py
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imgrec.data import edits
from imgrec.data.builtin import BUILT_IN
from imgrec.data.dataset import SPLITS, DatasetError
from imgrec.data.sources import most_gigabytes
from imgrec.home import UnusableName, check_name, folder, write_atomic
from imgrec.images import to_png

LEFTOVER_SECONDS = 24 * 3600  # what a killed import left is swept after a day


class Row(NamedTuple):
    """A line of items.csv: a picture's name, class, split, size in pixels, hash, and where originals.bin holds it."""

    file: str
    label: str
    split: str
    width: int
    height: int
    sha256: str  # the first 16 hex digits
    offset: int
    bytes: int


@dataclass(frozen=True)
class Stored:
    """A stored set without its pixels. labels int64, splits uint8, sizes int32 (N, 2), offsets and lengths int64."""

    name: str
    path: Path
    about: dict[str, Any]
    classes: tuple[str, ...]
    files: Sequence[str]
    labels: np.ndarray
    splits: np.ndarray
    sizes: np.ndarray
    hashes: Sequence[str]
    offsets: np.ndarray
    lengths: np.ndarray

    @property
    def pixels(self) -> tuple[int, int, int] | None:
        """Height, width and channels where the originals are bare pixels, None where they are picture files."""
        return tuple(self.about["pixels"]) if self.about.get("pixels") else None

    @property
    def fingerprint(self) -> str:
        """What the table says now: a label changed by hand changes it."""
        return fingerprint(self.classes, self.labels, self.splits, self.hashes)

    def raw(self, index: int) -> bytes:
        """The bytes in originals.bin. Raises DatasetError if they are not there."""
        try:
            with open(self.path / "originals.bin", "rb") as file:
                file.seek(self.offsets[index])
                content = file.read(self.lengths[index])
        except OSError as error:
            raise _damaged(self.name, error) from error
        if len(content) != self.lengths[index]:
            raise _damaged(self.name, "originals.bin ends early")
        return content

    def original(self, index: int) -> bytes:
        """The picture file as it came; a PNG where the source held bare pixels."""
        raw = self.raw(index)
        return to_png(np.frombuffer(raw, np.uint8).reshape(self.pixels)) if self.pixels else raw


def names() -> list[str]:
    """The names of all stored sets, broken ones too, sorted."""
    try:
        entries = [entry.name for entry in os.scandir(folder("datasets")) if entry.is_dir()]
    except OSError:
        return []
    return sorted(name for name in entries if not name.startswith("."))


def about(name: str) -> dict[str, Any]:
    """What dataset.json says. Raises DatasetError if it can't be read."""
    try:
        content = json.loads((folder("datasets") / name / "dataset.json").read_bytes())
        if not all(isinstance(content[key], kind) for key, kind in (("classes", list), ("images", int))):
            raise ValueError("dataset.json lacks what it should say")
        return content
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(name, error) from error


def load(name: str) -> Stored:
    """A stored set, kept in memory until its files change. Raises DatasetError if there is none or it is broken."""
    path = folder("datasets") / name
    if name not in names():
        raise DatasetError(f"There is no stored data set {name!r}.")
    try:
        return _load(path, stamps(name))
    except OSError as error:
        raise _damaged(name, error) from error


def stamps(name: str) -> tuple[int, ...]:
    """Changes whenever the set does: by an edit, or because another one bears its name now. Raises OSError."""
    path = folder("datasets") / name
    files = [path / "dataset.json", path / "items.csv", path / edits.JOURNAL]
    found = [file.stat() for file in files if file != files[-1] or file.exists()]
    return tuple(number for stat in found for number in (stat.st_mtime_ns, stat.st_size))


def edit(name: str, change: edits.Edit) -> edits.Edit:
    """Change labels, splits or class names of a stored set; the import's own table stays. Raises DatasetError."""
    return edits.record(_path(name), _imported(_path(name))[1:4], change)


def undo(name: str) -> edits.Edit:
    """Take back the last edit of a stored set and return it. Raises DatasetError if there is none."""
    return edits.undo(_path(name))


def history(name: str) -> list[edits.Edit]:
    """The edits of a stored set, oldest first. Raises DatasetError."""
    return edits.read(_path(name))


def _path(name: str) -> Path:
    if name not in names():
        raise DatasetError(f"There is no stored data set {name!r} to edit; built-in ones stay as they are.")
    return folder("datasets") / name


@lru_cache(maxsize=4)
def _load(path: Path, stamps: tuple[int, ...]) -> Stored:
    said, *base, files, sizes, hashes, offsets, lengths = _imported(path)
    classes, labels, splits = edits.replay(*base, edits.read(path))
    return Stored(path.name, path, said, classes, files, labels, splits, sizes, hashes, offsets, lengths)


def _imported(path: Path) -> tuple:
    """What the import wrote: dataset.json, classes, labels, splits, files, sizes, hashes, offsets, lengths."""
    said = about(path.name)
    classes = tuple(said["classes"])
    label_of = {label: index for index, label in enumerate(classes)}
    try:
        with open(path / "items.csv", encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            if tuple(next(rows)) != Row._fields:
                raise ValueError("items.csv has another heading")
            files, labels, splits, widths, heights, hashes, offsets, lengths = zip(*rows, strict=True)
        return (
            said,
            classes,
            np.array([label_of[label] for label in labels], np.int64),
            np.array([SPLITS.index(split) for split in splits], np.uint8),
            files,
            np.array([widths, heights], np.int32).T,
            hashes,
            np.array(offsets, np.int64),
            np.array(lengths, np.int64),
        )
    except (OSError, ValueError, KeyError, StopIteration, csv.Error) as error:
        raise _damaged(path.name, error) from error


def fingerprint(classes: Sequence[str], labels: np.ndarray, splits: np.ndarray, hashes: Sequence[str]) -> str:
    """A SHA-256 (16 hex digits) over classes, labels, splits and the hashes of the originals."""
    digest = hashlib.sha256("\0".join(classes).encode())
    for content in (labels.astype("<i8").tobytes(), splits.astype("u1").tobytes(), "".join(hashes).encode()):
        digest.update(content)
    return digest.hexdigest()[:16]


def delete_dataset(name: str) -> None:
    """Remove a stored set and all its files. Raises DatasetError if there is none; a training that reads it goes on."""
    if name not in names():
        raise DatasetError(f"There is no stored data set {name!r}; `python -m imgrec datasets` lists all.")
    hidden = folder("datasets") / f".deleted-{secrets.token_hex(6)}"
    os.rename(folder("datasets") / name, hidden)  # gone at once for everybody, however long the rest takes
    shutil.rmtree(hidden, ignore_errors=True)


def check_free(name: str) -> str:
    """``name`` if a new set can be called so. Raises DatasetError with the way out."""
    try:
        name = check_name(name, "data set name")
    except UnusableName as error:
        raise DatasetError(str(error)) from None
    if name in BUILT_IN:
        raise DatasetError(f"{name!r} is the name of a built-in data set; choose another.")
    if (folder("datasets") / name).exists():
        raise DatasetError(f"There is a data set {name!r} already; choose another name or delete that one first.")
    return name


class Draft:
    """A data set in the making: a hidden folder that becomes the set in `finish` or vanishes when the block ends."""

    def __init__(self, name: str) -> None:
        self.name = check_free(name)
        self._place = folder("datasets") / f".incoming-{self.name}-{secrets.token_hex(4)}"
        self._offset = 0

    def __enter__(self) -> Draft:
        sweep()
        self._place.mkdir(parents=True)
        self._originals = open(self._place / "originals.bin", "wb", buffering=2**20)  # __exit__ closes it
        return self

    def __exit__(self, *_: object) -> None:
        self._originals.close()
        shutil.rmtree(self._place, ignore_errors=True)  # it has another name by now if all went well

    def append(self, content: bytes) -> int:
        """Write an original; gives the offset where it begins. Raises DatasetError beyond the bound on imports."""
        offset = self._offset
        self._offset += len(content)
        if self._offset > (most := most_gigabytes()) * 2**30:
            raise DatasetError(f"{self.name} exceeds {most:g} GB; import a part or raise IMGREC_MAX_IMPORT_GB.")
        self._originals.write(content)
        return offset

    def finish(self, rows: list[Row], about: dict[str, Any]) -> None:
        """Write the tables, flush all to disk, give the set its name. Raises DatasetError if somebody was quicker."""
        self._originals.flush()
        os.fsync(self._originals.fileno())
        self._originals.close()
        with open(self._place / "items.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([Row._fields, *rows])
            file.flush()
            os.fsync(file.fileno())
        write_atomic(self._place / "dataset.json", json.dumps(about, ensure_ascii=False, indent=1))
        check_free(self.name)
        try:
            os.rename(self._place, folder("datasets") / self.name)
        except OSError:  # its kind for a folder that is there differs between systems
            check_free(self.name)
            raise


def sweep() -> None:
    """Remove what deletions left, and what killed imports left more than a day ago."""
    try:
        entries = list(os.scandir(folder("datasets")))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".deleted-") or (entry.name.startswith(".incoming-") and _is_old(Path(entry.path))):
            shutil.rmtree(entry.path, ignore_errors=True)


def _is_old(path: Path) -> bool:
    try:
        newest = max(file.stat().st_mtime for file in (path, *path.iterdir()))
    except OSError:
        return False
    return time.time() - newest > LEFTOVER_SECONDS


def _damaged(name: str, reason: object) -> DatasetError:
    what = f"{reason} is missing" if isinstance(reason, KeyError) else str(reason)[:200] or type(reason).__name__
    return DatasetError(f"The data set {name} is damaged ({what}); delete it and import it again.")
