"""A data set as a ZIP of class folders that imports again as the same set: same pictures, labels and splits."""

from __future__ import annotations

import csv
import io
import re
import time
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np

from imgrec.data.dataset import LEFT_OUT, SPLITS, UNLABELLED, Dataset
from imgrec.data.layouts import WAITING
from imgrec.data.packs import Progress
from imgrec.home import RESERVED, replaced
from imgrec.images import EXTENSIONS, safe_name

TABLE = "labels.csv"  # tells classes and splits in full; folder names cannot hold every class name


def write_archive(
    dataset: Dataset, original: Callable[[int], bytes], out: Path | BinaryIO, progress: Progress | None = None
) -> int:
    """Write every picture that is not left out and a table of labels; gives how many.

    ``original(position)`` is the picture's file. Within a class the pictures keep their order, by the numbers in their
    names. Raises OSError on a full disk.
    """
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(("file", "label", "split"))
    positions = np.flatnonzero(dataset.splits != LEFT_OUT).tolist()
    opened = replaced(out) if isinstance(out, Path) else nullcontext(out)
    with opened as file, zipfile.ZipFile(file, "w") as archive:  # stored as they are: pictures do not get smaller
        for done, position in enumerate(positions, 1):
            content, waits = original(position), dataset.splits[position] == UNLABELLED
            label = "" if waits else dataset.classes[dataset.labels[position]]
            split = WAITING if waits else SPLITS[dataset.splits[position]]
            name = f"{folder_name(label or WAITING)}/{position:07d}-{_file_name(dataset.files[position], content)}"
            rows.writerow((name, label, split))
            add(archive, name, content)
            if progress:
                progress(done, len(positions))
        add(archive, TABLE, table.getvalue())
    return len(positions)


def add(archive: zipfile.ZipFile, name: str, content: bytes | str) -> None:
    """Put a file in that everybody may read once it is unpacked; `writestr` alone would let only its owner."""
    entry = zipfile.ZipInfo(name, time.localtime()[:6])
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content, archive.compression)


def folder_name(label: str) -> str:
    """A class's name as a folder's on every system."""
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", label).strip(" .")[:60] or "_"
    return f"{name}_" if name.split(".")[0].casefold() in RESERVED else name


def _file_name(name: str, content: bytes) -> str:
    stem, _, ending = safe_name(name).rpartition(".")
    if not stem or ending.lower() not in EXTENSIONS:
        stem, ending = safe_name(name), "png" if content.startswith(b"\x89PNG") else "jpg"
    return f"{folder_name(stem)}.{ending}"
