"""Named arrays in one file, .npz: written whole or not at all, and read without trusting what is in it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.home import replaced


def save(path: Path, **arrays: Any) -> None:
    """Write arrays, or what becomes one, by name. Raises OSError on a full disk."""
    with replaced(path) as file:
        np.savez(file, **arrays)


def load(path: Path) -> dict[str, np.ndarray]:
    """What `save` wrote; empty if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
