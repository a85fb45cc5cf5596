"""The table of a stored set: a row per picture and its name, mapped from disk, so that a million rows open at once.

items.npy holds rows of ITEM; names.txt holds a line per picture, and a row tells where its line ends. Both files only
grow: a row beyond the end of items.npy, or a line beyond its last row, was never there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from imgrec.home import replaced
from imgrec.language import tr

ITEMS, NAMES = "items.npy", "names.txt"
ITEM = np.dtype(
    [
        ("label", "<i4"),  # indexes the classes of the import; -1 for a picture without a label
        ("split", "u1"),  # indexes SPLITS, or is UNLABELLED
        ("width", "<u4"),  # of the original, in pixels
        ("height", "<u4"),
        ("mode", "S8"),  # as Pillow calls it: RGB, L, P, CMYK, I;16 …
        ("format", "S8"),  # JPEG, PNG …; empty for bare pixels
        ("sha256", "<u8"),  # the first 64 bits
        ("offset", "<u8"),  # where originals.bin holds it
        ("bytes", "<u8"),
        ("name_end", "<u8"),  # where its line in names.txt ends
    ]
)


class Names(Sequence[str]):
    """The names of all pictures in order, each read from the disk when it is asked for."""

    def __init__(self, content: np.ndarray, ends: np.ndarray) -> None:
        self._content, self._ends = content, ends  # uint8 (bytes,) and uint64 (N,)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int | slice) -> str | list[str]:
        index = range(len(self))[index]  # raises IndexError, and counts from the end
        if isinstance(index, range):
            return [self[each] for each in index]
        start = int(self._ends[index - 1]) if index else 0
        return self._content[start : int(self._ends[index]) - 1].tobytes().decode()

    def containing(self, text: str) -> np.ndarray:
        """The positions of the names with ``text`` in them, int64, ascending; A to Z count like a to z."""
        pattern = re.compile(re.escape(text.encode()), re.IGNORECASE)
        last = int(self._ends[-1]) if len(self) else 0
        starts = [found.start() for found in pattern.finditer(self._content[:last])]
        return np.unique(np.searchsorted(self._ends, np.array(starts, np.uint64), "right"))


def read(folder: Path) -> tuple[np.ndarray, Names]:
    """Rows of ITEM, mapped read-only, and the names. Raises OSError, and ValueError if the files are not whole."""
    items = np.load(folder / ITEMS, mmap_mode="r")
    if items.dtype != ITEM or items.ndim != 1 or not len(items):
        raise ValueError(tr("{items} is not a table of pictures", items=ITEMS))
    content = np.memmap(folder / NAMES, np.uint8, "r")
    if len(content) < items["name_end"][-1]:
        raise ValueError(tr("{names} ends early", names=NAMES))
    return items, Names(content, np.ascontiguousarray(items["name_end"]))


def append(folder: Path, items: np.ndarray, names: Iterable[str]) -> None:
    """Add rows of ITEM and their names to the table in ``folder``, or begin one. Readers see all of it or nothing.

    Raises OSError on a full disk; the table is then as it was.
    """
    before = np.load(folder / ITEMS) if (folder / ITEMS).exists() else np.zeros(0, ITEM)
    start = int(before["name_end"][-1]) if len(before) else 0
    lines = [name.replace("\n", " ").encode("utf-8", "replace") + b"\n" for name in names]
    items = items.copy()
    items["name_end"] = start + np.cumsum([len(line) for line in lines], dtype=np.uint64)
    extend(folder / NAMES, start, b"".join(lines))
    with replaced(folder / ITEMS) as file:
        np.save(file, np.concatenate([before, items]))


def extend(path: Path, start: int, content: bytes | Path) -> None:
    """Write ``content``, or that file's, at ``start``, the end of what counts in ``path``, and flush it to the disk.

    Raises OSError; the file then ends at ``start``.
    """
    with open(path, "r+b" if path.exists() else "xb") as file:
        file.truncate(start)
        file.seek(start)
        try:
            if isinstance(content, Path):
                with open(content, "rb") as source:
                    shutil.copyfileobj(source, file, 2**20)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(start)
            raise
