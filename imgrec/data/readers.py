"""The shelf of layouts an import understands: each reader recognises a source and streams its pictures.

One row in READERS adds one. Pictures come as the bytes of their files, or as pixels where a source holds bare numbers.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from imgrec.data.dataset import DatasetError
from imgrec.data.layouts import Row, finder, headings, is_picture, read_table
from imgrec.data.sources import ARCHIVES, TABLES, Entry, Folder, Refused, Source, Table, in_short
from imgrec.images import EXTENSIONS
from imgrec.language import listed, tr

BATCH_BYTES = 256 * 2**20  # of one CIFAR batch; CIFAR-100's training batch has 148 MiB


class Item(NamedTuple):
    """A picture as a reader finds it."""

    name: str  # its path inside the source
    data: bytes | np.ndarray = b""  # a picture file, or uint8 (H, W, C)
    label: str | None = None  # None: its folders or a table will tell
    split: str | None = None  # one of SPLITS
    refused: str = ""  # why it is left out, or empty


PACKED = (*ARCHIVES, ".7z", ".rar")


class Reader(NamedTuple):
    """A row of the shelf."""

    title: str
    recognises: Callable[[Source], bool]
    read: Callable[[Source], Iterator[Item]]


def read_pictures(source: Source) -> Iterator[Item]:
    """Picture files in class folders or beside a table; tables are kept in ``source.tables`` for the end."""
    unknown = tr("it is not a picture of a kind that can be read ({kinds})", kinds=listed(EXTENSIONS))
    seen: set[str] = set()
    for entry in source:
        ending = PurePosixPath(entry.name).suffix.lower()
        if entry.name in seen:
            yield Item(entry.name, refused=tr("another file of that name came before it"))
        elif ending in ("", *TABLES) or is_picture(entry.name) or entry.refused:
            item = _item(source, entry)
            if ending in TABLES and not item.refused:
                source.tables[item.name] = item.data
            else:
                yield item
        elif ending in PACKED:
            yield Item(entry.name, refused=tr("it is an archive inside of another; unpack it first"))
        else:
            yield Item(entry.name, refused=unknown)
        seen.add(entry.name)


def read_listed(source: Table) -> Iterator[Item]:
    """The pictures that a CSV file lists, looked for relative to its folder."""
    [entry] = source
    rows = read_table(content := source.read(entry))
    if rows is None:
        name, found = source.table.name, listed(headings(content)) or "–"
        raise DatasetError(
            tr("{name} has no columns file and label, but {found}; give them these headings.", name=name, found=found)
        )
    files = Folder(source.path, lying(source.path, rows))
    source.total = len(rows)
    for row, entry in zip(rows, files, strict=True):
        yield Item(entry.name, refused=row.refused) if row.refused else _item(files, entry, row.label, row.split)


def lying(folder: Path, rows: list[Row]) -> list[str]:
    """The files of a table's rows as they lie below its folder: by their paths, perhaps without ending, else by bare names,
    where these fit only one picture."""
    here = os.path.abspath(folder)
    files = [os.path.relpath(row.file, here) if PurePath(row.file).is_relative_to(here) else row.file for row in rows]
    lost = [bool(file) and not os.path.isfile(folder / file) for file in files]
    if not any(lost):
        return files
    names = [name for name in Folder(folder).names() if is_picture(name)]
    find = finder(names)
    found = (find(file) if is_lost else None for file, is_lost in zip(files, lost, strict=True))
    near = [file if place is None else names[place] for file, place in zip(files, found, strict=True)]
    return [
        other if "/" not in file or other.startswith(f"{file}.") else file
        for file, other in zip(files, near, strict=True)
    ]


def _item(source: Source, entry: Entry, label: str | None = None, split: str | None = None) -> Item:
    try:
        return Item(entry.name, source.read(entry), label, split)
    except Refused as reason:
        return Item(entry.name, refused=str(reason))


IDX_NAME = re.compile(r"(?:.*[-_./])?(train|test|t10k)-(images|labels)[.-]idx[13]-ubyte(?:\.gz)?", re.IGNORECASE)


def read_idx(source: Source) -> Iterator[Item]:
    """MNIST's pairs of IDX files, packed with gzip or not. Raises DatasetError on a pair that does not fit."""
    labels: dict[str, np.ndarray] = {}
    for split, _, entry in _idx_files(source, "labels"):
        with source.opened(entry) as file:
            labels[split] = _idx_labels(_plain(file), entry.name)
    source.total = sum(map(len, labels.values()))
    for split, word, entry in _idx_files(source, "images"):
        with source.opened(entry) as file:
            pictures = _idx_pictures(_plain(file), entry.name, labels.get(split))
            for index, (pixels, label) in enumerate(pictures):
                yield Item(f"{word}-{index:05d}", pixels, str(label), split)


def _idx_files(source: Source, kind: str) -> Iterator[tuple[str, str, Entry]]:
    """The first file of a kind per split: (split, the word for it in the name, entry)."""
    seen = set()
    for entry in source:
        found = IDX_NAME.fullmatch(entry.name)
        if found and found[2].lower() == kind and not entry.refused:
            split = "train" if found[1].lower() == "train" else "test"
            if split not in seen:
                seen.add(split)
                yield split, found[1].lower(), entry


def _plain(file: BinaryIO) -> BinaryIO:
    file = io.BufferedReader(file) if not hasattr(file, "peek") else file
    return gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file


def _idx_labels(file: BinaryIO, name: str) -> np.ndarray:
    [count] = _idx_header(file, name, 1)
    return np.frombuffer(_exactly(file, count, name), np.uint8)


def _idx_pictures(file: BinaryIO, name: str, labels: np.ndarray | None) -> Iterator[tuple[np.ndarray, int]]:
    if labels is None:
        raise DatasetError(
            tr("{name} comes without its labels; put the file ...-labels-idx1-ubyte beside it.", name=name)
        )
    count, height, width = _idx_header(file, name, 3)
    if count != len(labels):
        raise DatasetError(
            tr(
                "{name} holds {count:,} pictures but its labels are {labels:,}; get both files again.",
                name=name,
                count=count,
                labels=len(labels),
            )
        )
    if not (0 < height <= 4096 and 0 < width <= 4096):
        raise DatasetError(
            tr(
                "{name} claims pictures of {width} × {height} pixels; from 1 to 4096 can be read.",
                name=name,
                width=width,
                height=height,
            )
        )
    for label in labels:
        pixels = np.frombuffer(_exactly(file, height * width, name), np.uint8)
        yield pixels.reshape(height, width, 1), int(label)


def _idx_header(file: BinaryIO, name: str, dimensions: int) -> list[int]:
    if _exactly(file, 4, name) != bytes([0, 0, 8, dimensions]):
        raise DatasetError(
            tr(
                "{name} is not an IDX file of bytes with {dimensions} dimensions; get it again.",
                name=name,
                dimensions=dimensions,
            )
        )
    return np.frombuffer(_exactly(file, 4 * dimensions, name), ">i4").tolist()


def _exactly(file: BinaryIO, size: int, name: str) -> bytes:
    try:
        content = file.read(size) if 0 <= size <= BATCH_BYTES else b""
    except (OSError, EOFError) as error:
        raise DatasetError(
            tr("{name} is damaged ({error}); get it again.", name=name, error=in_short(error))
        ) from error
    if len(content) != size:
        raise DatasetError(tr("{name} ends early; get it again.", name=name))
    return content


CIFAR_BATCH = re.compile(r"(?:.*/)?(data_batch_\d+|test_batch|train|test)")
CIFAR_META = re.compile(r"(?:.*/)?(batches\.meta|meta)")


def read_cifar(source: Source) -> Iterator[Item]:
    """CIFAR-10's or CIFAR-100's Python batches. Raises DatasetError on anything else inside them."""
    metas = (_load_batch(source, entry) for entry in source if CIFAR_META.fullmatch(entry.name))
    meta = next(metas, {})
    classes = meta.get("label_names") or meta.get("fine_label_names") or []
    for entry in source:
        if found := CIFAR_BATCH.fullmatch(entry.name):
            split = "test" if found[1].startswith("test") else "train"
            batch = _load_batch(source, entry)
            labels = batch.get("labels", batch.get("fine_labels"))
            for index, (pixels, label) in enumerate(zip(*_checked(batch.get("data"), labels, entry.name), strict=True)):
                name = str(classes[label]) if 0 <= label < len(classes) else str(label)
                yield Item(f"{found[1]}-{index:05d}", pixels, name, split)


def _checked(data: Any, labels: Any, name: str) -> tuple[np.ndarray, list[int]]:
    """Pixels (N, 32, 32, 3) and labels of a batch that has the right shape."""
    fits = isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.ndim == 2 and data.shape[1] == 3072
    if not fits or not isinstance(labels, list) or len(labels) != len(data) or {type(x) for x in labels} - {int}:
        raise DatasetError(
            tr("{name} is not a CIFAR batch: expected data of N × 3072 bytes and N labels; get it again.", name=name)
        )
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def _load_batch(source: Source, entry: Entry) -> dict[str, Any]:
    try:
        loaded = _PlainUnpickler(io.BytesIO(source.read(entry, BATCH_BYTES)), encoding="latin1").load()
        return {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in loaded.items()}
    except DatasetError:
        raise
    except Exception as error:  # a crafted pickle raises nearly anything
        raise DatasetError(
            tr("{name} is not a CIFAR batch ({error}); get it again.", name=entry.name, error=in_short(error))
        ) from error


class _PlainUnpickler(pickle.Unpickler):
    """Reads arrays and Python's plain types; a pickle that names anything else could run code, so it is refused."""

    ALLOWED = frozenset(
        [("numpy", "ndarray"), ("numpy", "dtype")]
        + [(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")]
        + [(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")]
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(
                tr("it asks for {module}.{name}, which data does not need", module=module, name=name)
            )
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _is_cifar(source: Source) -> bool:
    names = {name.rpartition("/")[2] for name in source.names()}
    return bool(names & {"data_batch_1", "test_batch", "batches.meta"}) or {"meta", "train"} <= names


READERS = (
    Reader("CSV table beside pictures", lambda source: isinstance(source, Table), read_listed),
    Reader("IDX files of MNIST", lambda source: any(map(IDX_NAME.fullmatch, source.names())), read_idx),
    Reader("Python batches of CIFAR", _is_cifar, read_cifar),
    Reader("pictures in class folders", lambda source: True, read_pictures),
)
