"""Stored data sets, one folder each: the originals in one file, a table of labels, and packed pixels beside them.

datasets/NAME/dataset.json   what lists show, the classes, what an import refused
              items.npy      a row per picture, and names.txt with its name: see table.py
              edits.jsonl    what people changed since, replayed over the table; may be missing
              owner.json     who brought it, if that is known
              originals.bin  the picture files as they came, one after the other; or bare pixels, see "pixels"
              packed/        made on demand, see packs.py
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.data import edits, table
from imgrec.data.builtin import BUILT_IN
from imgrec.data.dataset import SPLITS, UNLABELLED, DatasetError
from imgrec.data.sources import most_gigabytes
from imgrec.home import UnusableName, check_name, folder, write_atomic
from imgrec.images import to_png
from imgrec.language import tr

LEFTOVER_SECONDS = 24 * 3600  # what a killed import left is swept after a day


@dataclass(frozen=True)
class Stored:
    """A stored set without its pixels: the table of the import in ``items``, and labels, splits and classes as they are now."""

    name: str
    path: Path
    about: dict[str, Any]
    items: np.ndarray  # rows of table.ITEM (N,), mapped
    files: table.Names
    classes: tuple[str, ...]
    labels: np.ndarray  # int64 (N,)
    splits: np.ndarray  # uint8 (N,)

    @property
    def pixels(self) -> tuple[int, int, int] | None:
        """Height, width and channels where the originals are bare pixels, None where they are picture files."""
        return tuple(self.about["pixels"]) if self.about.get("pixels") else None

    @property
    def fingerprint(self) -> str:
        """What the table says now: a label changed by hand changes it."""
        digest = hashlib.sha256("\0".join(self.classes).encode())
        for column in (self.labels.astype("<i8"), self.splits, self.items["sha256"]):
            digest.update(np.ascontiguousarray(column))
        return digest.hexdigest()[:16]

    @property
    def modes(self) -> dict[str, int]:
        """How many pictures came in which kind of file: {"JPEG, RGB": 58}, the commonest first; empty for bare pixels."""
        if self.pixels:
            return {}
        format, mode = (np.ascontiguousarray(self.items[column]).view(np.uint64) for column in ("format", "mode"))
        _, first, counts = np.unique(format * np.uint64(31) + mode, return_index=True, return_counts=True)
        kinds = [", ".join(word.decode() for word in row) for row in self.items[["format", "mode"]][first]]
        return dict(sorted(zip(kinds, counts.tolist(), strict=True), key=lambda kind: (-kind[1], kind[0])))

    def raw(self, index: int) -> bytes:
        """The bytes in originals.bin. Raises DatasetError if they are not there."""
        try:
            with open(self.path / "originals.bin", "rb") as file:
                file.seek(self.items["offset"][index])
                content = file.read(self.items["bytes"][index])
        except OSError as error:
            raise _damaged(self.name, error) from error
        if len(content) != self.items["bytes"][index]:
            raise _damaged(self.name, tr("originals.bin ends early"))
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
        if not isinstance(content["classes"], list):
            raise ValueError
        return content
    except OSError as error:
        raise _damaged(name, error) from error
    except (ValueError, KeyError, TypeError):
        raise _damaged(name, tr("dataset.json lacks what it should say")) from None


def load(name: str) -> Stored:
    """A stored set, kept in memory until its files change. Raises DatasetError if there is none or it is broken."""
    path = folder("datasets") / name
    if name not in names():
        raise DatasetError(tr("There is no stored data set {name!r}.", name=name))
    try:
        return _load(path, stamps(name))
    except OSError as error:
        raise _damaged(name, error) from error


def stamps(name: str, edited: bool = True) -> tuple[int, ...]:
    """Changes whenever the set does: by an edit, or because another one bears its name now. Raises OSError."""
    path = folder("datasets") / name
    found = [(path / file).stat() for file in ("dataset.json", table.ITEMS)]
    if edited and (path / edits.JOURNAL).exists():
        found.append((path / edits.JOURNAL).stat())
    return tuple(number for stat in found for number in (stat.st_mtime_ns, stat.st_size))


def edit(name: str, change: edits.Edit) -> edits.Edit:
    """Change labels, splits or class names of a stored set; the import's own table stays. Raises DatasetError."""
    said, items, _ = _table(path := _path(name))
    return edits.record(path, _base(said, items), change)


def undo(name: str, expected: edits.Edit | None = None) -> edits.Edit:
    """Take back the last edit of a stored set and return it. Raises DatasetError if there is none, or somebody's edit came
    after the ``expected`` one."""
    return edits.undo(_path(name), expected)


def history(name: str) -> list[edits.Edit]:
    """The edits of a stored set, oldest first. Raises DatasetError."""
    return edits.read(_path(name))


def _path(name: str) -> Path:
    if name not in names():
        raise DatasetError(
            tr("There is no stored data set {name!r} to edit; built-in ones stay as they are.", name=name)
        )
    return folder("datasets") / name


@lru_cache(maxsize=16)
def _load(path: Path, stamps: tuple[int, ...]) -> Stored:
    said, items, files = _table(path)
    return Stored(path.name, path, said, items, files, *edits.replay(*_base(said, items), edits.read(path)))


def _table(path: Path) -> tuple[dict[str, Any], np.ndarray, table.Names]:
    """What the import wrote: dataset.json, and the table. Raises DatasetError if they do not fit together."""
    said = about(path.name)
    try:
        items, files = table.read(path)
        known = np.isin(items["split"], (*range(len(SPLITS)), UNLABELLED))
        if items["label"].min() < -1 or items["label"].max() >= len(said["classes"]) or not known.all():
            raise ValueError(tr("{items} holds classes or splits that are not known", items=table.ITEMS))
        return said, items, files
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path.name, error) from error


def _base(said: dict[str, Any], items: np.ndarray) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Classes, labels and splits as they came."""
    return tuple(said["classes"]), items["label"].astype(np.int64), np.ascontiguousarray(items["split"])


def delete_dataset(name: str) -> None:
    """Remove a stored set and all its files. Raises DatasetError if there is none; a training that reads it goes on."""
    if name in BUILT_IN:
        raise DatasetError(tr("{name} is built in and stays.", name=name))
    if name not in names():
        raise DatasetError(
            tr("There is no stored data set {name!r}; `python -m imgrec datasets` lists all.", name=name)
        )
    hidden = folder("datasets") / f".deleted-{secrets.token_hex(6)}"
    os.rename(folder("datasets") / name, hidden)  # gone at once for everybody, however long the rest takes
    shutil.rmtree(hidden, ignore_errors=True)


def check_free(name: str) -> str:
    """``name`` if a new set can be called so. Raises DatasetError with the way out."""
    try:
        name = check_name(name, tr("name of a data set"))
    except UnusableName as error:
        raise DatasetError(str(error)) from None
    if name in BUILT_IN:
        raise DatasetError(tr("{name!r} is the name of a built-in data set; choose another.", name=name))
    if (folder("datasets") / name).exists():
        raise DatasetError(
            tr("There is a data set {name!r} already; choose another name or delete that one first.", name=name)
        )
    return name


class Draft:
    """Pictures on their way into a set: a hidden folder that becomes a new set in `finish`, or is added to the one of
    that name, and vanishes when the block ends."""

    def __init__(self, name: str, adding: bool = False) -> None:
        self.name = _path(name).name if adding else check_free(name)
        self.adding = adding
        self._place = folder("datasets") / f".incoming-{self.name}-{secrets.token_hex(4)}"
        self._offset = 0

    def __enter__(self) -> Draft:
        sweep()
        self._place.mkdir(parents=True)
        self._originals = open(self._place / "originals.bin", "wb", buffering=2**20)  # __exit__ closes it
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # of a full disk, which was told before
            self._originals.close()
        shutil.rmtree(self._place, ignore_errors=True)  # it has another name by now if all went well

    def append(self, content: bytes) -> int:
        """Write an original; gives the offset where it begins. Raises DatasetError beyond the bound on imports."""
        offset = self._offset
        self._offset += len(content)
        if self._offset > (most := most_gigabytes()) * 1e9:
            raise DatasetError(
                tr(
                    "{name} exceeds {most:g} GB; import a part or raise IMGREC_MAX_IMPORT_GB.",
                    name=self.name,
                    most=most,
                )
            )
        self._originals.write(content)
        return offset

    def lock(self) -> AbstractContextManager:
        """Held while pictures are added, so that what `finish` is given fits to what is there. Raises DatasetError if the
        set is gone."""
        return edits.lock(folder("datasets") / self.name) if self.adding else nullcontext()

    def note(self, change: edits.Edit) -> None:
        """Add an edit to the set that pictures were added to, while its `lock` is held."""
        edits.note(folder("datasets") / self.name, change)

    def finish(self, items: np.ndarray, names: Sequence[str], about: dict[str, Any]) -> None:
        """Write the table, flush all to disk, give the set its name. Raises DatasetError if somebody was quicker.

        ``items`` are rows of table.ITEM with offsets as `append` gave them.
        """
        self._originals.flush()
        os.fsync(self._originals.fileno())
        self._originals.close()
        if self.adding:
            return self._add(items, names, about)
        self._describe(self._place, about)
        table.append(self._place, items, names)
        check_free(self.name)
        try:
            os.rename(self._place, folder("datasets") / self.name)
        except OSError:  # its kind for a folder that is there differs between systems
            check_free(self.name)
            raise

    def _add(self, items: np.ndarray, names: Sequence[str], about: dict[str, Any]) -> None:
        """Originals and names go behind what is there; the new table, written last, makes them count."""
        path = folder("datasets") / self.name
        before, _ = table.read(path)
        items = items.copy()
        items["offset"] += (start := (before["offset"] + before["bytes"]).max())
        table.extend(path / "originals.bin", int(start), self._place / "originals.bin")
        self._describe(path, about)
        table.append(path, items, names)

    def _describe(self, path: Path, about: dict[str, Any]) -> None:
        write_atomic(path / "dataset.json", json.dumps(about, ensure_ascii=False, indent=1))


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
    what = (
        tr("{reason} is missing", reason=reason)
        if isinstance(reason, KeyError)
        else str(reason)[:200] or type(reason).__name__
    )
    return DatasetError(
        tr("The data set {name} is damaged ({what}); delete it and import it again.", name=name, what=what)
    )
