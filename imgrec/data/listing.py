"""Which files lie at a place, so that the same are imported once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from imgrec.data.layouts import read_table
from imgrec.data.readers import lying
from imgrec.data.sources import TABLES


def stamp(path: Path) -> str:
    """Of the files in a folder, of those that a CSV table lists, or of an archive: another one when a file is added,
    removed, renamed or rewritten. Hexadecimal. Raises OSError if there is nothing."""
    path = path.expanduser().resolve()
    seen = hashlib.sha256()
    for file in _files(path):
        try:
            about = os.lstat(file)
        except OSError:
            if file == path:
                raise
            continue  # listed, but not there
        seen.update(f"{file}\0{about.st_size}\0{about.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return seen.hexdigest()


def _files(path: Path) -> Iterable[Path]:
    if path.is_dir():
        return sorted(Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    if path.suffix.lower() in TABLES and path.is_file():
        rows = read_table(path.read_bytes()) or []
        return [path, *(path.parent / file for file in lying(path.parent, rows))]
    return [path]
