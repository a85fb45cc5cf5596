"""Where imgrec keeps its files, how a file is written whole or not at all, and which names are safe to use."""

from __future__ import annotations

import errno
import math
import os
import secrets
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from imgrec import allowance
from imgrec.language import listed, tr

FOLDERS = ("datasets", "runs", "weights", "features", "answers", "events")
NUMBERS = ("IMGREC_MAX_EPOCHS", "IMGREC_MAX_MINUTES", "IMGREC_MAX_QUEUED", "IMGREC_MAX_STUDIES", "IMGREC_MAX_IMPORT_GB", "IMGREC_MAX_STORAGE_GB",
           "IMGREC_WORKERS", "IMGREC_NICE", "IMGREC_BATCH")  # environment variables  # fmt: skip
MOST_CHARACTERS, MOST_BYTES = 80, 200  # of a name; file systems take 255 bytes, and prefixes need some of them
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}  # on Windows


class UnusableName(ValueError):
    """A name that cannot become a file name everywhere; the message says how to mend it."""


def home() -> Path:
    """The folder of everything imgrec keeps: IMGREC_HOME, read now, or ``workspace`` in the project. Absolute."""
    given = os.environ.get("IMGREC_HOME")
    return Path(given).expanduser().absolute() if given else Path(__file__).resolve().parent.parent / "workspace"


def setting(name: str, otherwise: float) -> float:
    """A number that the operator set as environment variable ``name``, ``otherwise`` if it is unset or empty.

    Raises ValueError if it is no number: a bound with a slip of the pen must not be no bound.
    """
    given = os.environ.get(name, "").strip()
    try:
        value = float(given or otherwise)
    except ValueError:
        value = math.nan
    if given and not math.isfinite(value):
        raise ValueError(tr("{name} is {given!r}; give a number, or leave it out.", name=name, given=given[:40]))
    return value


def check_settings() -> None:
    """Raises ValueError if one of the operator's NUMBERS is none."""
    for name in NUMBERS:
        setting(name, 0)


def cores() -> int:
    """How many CPU cores this process may use; a container can have fewer than its machine."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(there, allowance.cores() or there)


def folder(name: str) -> Path:
    """One of FOLDERS under `home`; it may not exist yet, whoever writes makes it."""
    if name not in FOLDERS:
        raise ValueError(
            tr("There is no folder {name!r}; choose one of {folders}.", name=name, folders=listed(FOLDERS))
        )
    return home() / name


@lru_cache(maxsize=4)
def server_secret(place: str = "") -> bytes:
    """32 random bytes that only this workspace knows, made when first asked for; where nothing can be kept, new ones for
    every process."""
    path = Path(place or home()) / ".secret"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            suppress(FileExistsError),
            os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
        ):
            file.write(secrets.token_bytes(32))
        if len(found := path.read_bytes()) == 32:
            return found
    return secrets.token_bytes(32)


def no_room(more: int = 0) -> str | None:
    """Why ``more`` bytes may not be kept, or None: the operator bounds the whole workspace by IMGREC_MAX_STORAGE_GB."""
    most = setting("IMGREC_MAX_STORAGE_GB", math.inf)
    if most == math.inf or (held := _size(str(home()), time.monotonic() // 20)) + more <= most * 1e9:
        return None
    return tr(
        "The workspace holds {held:.2f} GB and the operator allows {most:g} GB; delete runs or data sets "
        "that nobody needs any more.",
        held=held / 1000000000.0,
        most=most,
    )


@lru_cache(maxsize=4)
def _size(place: str, moment: float) -> int:
    """Bytes of all files below a folder; asked anew at another ``moment``."""
    total = 0
    for where, _, files in os.walk(place):
        for file in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(where, file)).st_size
    return total


def held() -> dict[str, int]:
    """Bytes on the disk of each data set and run, as ``datasets/digits``, and of each other folder of the workspace."""
    found: dict[str, int] = {}
    for kind in _folders(home()):
        for name in _folders(home() / kind):
            apart = kind in ("datasets", "runs") and not name.startswith(".")  # those are uploads, studies, drafts
            place = f"{kind}/{name}" if apart else kind
            found[place] = found.get(place, 0) + _size.__wrapped__(str(home() / kind / name), 0.0)
        for entry in os.scandir(home() / kind):
            with suppress(OSError):  # it may be replaced just now
                found[kind] = found.get(kind, 0) + (entry.stat(follow_symlinks=False).st_size if entry.is_file() else 0)
    return {place: size for place, size in found.items() if size}


def _folders(place: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(place) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def write_atomic(path: Path | str, content: str | bytes) -> None:
    """Write a file so that readers and a power cut see the old content or the new, never a part.

    The folder must exist. Raises OSError, for example on a full disk; the old file is then untouched.
    """
    with replaced(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replaced(path: Path | str) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of ``path`` in one step when the block ends well; raises like `write_atomic`."""
    path = Path(path)
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def put_in_place(new: Path, path: Path) -> None:
    """Give ``new`` the place of ``path``. Where a file that somebody reads cannot be replaced, on Windows, readers are
    waited for."""
    for _ in range(50 if os.name == "nt" else 0):
        try:
            return os.replace(new, path)
        except PermissionError:
            time.sleep(0.02)
    os.replace(new, path)


def changed_at(path: Path) -> float:
    """When a file or folder was changed last; now, if it is gone by the time it is looked at."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def check_writable(path: Path) -> Path:
    """Where a file that is called ``path`` can be written: itself, or what a link there leads to. Raises ValueError, also for
    what is no file: it would be replaced, for that is how files are written."""
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    if str(path).startswith("/proc/") or (path.exists() and not path.is_file() and not path.is_dir()):
        raise ValueError(tr("{out} is a device, not a file.", out=path))
    if path.is_dir() or not path.name:
        raise ValueError(tr("{out} is a folder; name a file in it.", out=path))
    if not path.parent.is_dir():
        raise ValueError(tr("{out}: there is no folder {parent}.", out=path, parent=path.parent))
    if not os.access(path.parent, os.W_OK):
        raise ValueError(tr("{out}: the folder {parent} cannot be written to.", out=path, parent=path.parent))
    return path


def in_words(error: BaseException) -> str:
    """An error for people: a full disk and a workspace that cannot be written to are called that, anything else as it
    calls itself."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return tr("The disk is full; make some room and try again.")
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return tr("The workspace {home} is read-only; nothing can be kept there.", home=home())
    if isinstance(error, PermissionError | NotADirectoryError) and str(home()) in str(error.filename):
        return tr(
            "The workspace {home} cannot be written to ({reason}); set IMGREC_HOME to another folder.",
            home=home(),
            reason=error.strerror,
        )
    return str(error) or type(error).__name__


def check_name(name: str, kind: str = "name") -> str:
    """``name`` in Unicode's composed form if it can be a file name on every system. Raises UnusableName.

    Letters of any script, digits, - _ and . are fine; ``kind`` says in the message what is being named.
    """
    name = unicodedata.normalize("NFC", name)
    mended = mend_name(name)
    advice = tr(", such as {mended}", mended=mended) if mended not in ("", name) else ""
    if not name:
        raise UnusableName(tr("The {kind} is empty; use letters of any script, digits, - and _.", kind=kind))
    if not all(map(_fits, name)):
        raise UnusableName(
            tr(
                "{name!r} cannot be a {kind}; use letters, digits, - _ and .{advice}.",
                name=name[:100],
                kind=kind,
                advice=advice,
            )
        )
    if name[0] in ".-" or name[-1] == ".":
        raise UnusableName(
            tr(
                "{name!r} cannot be a {kind}; begin and end with a letter or a digit{advice}.",
                name=name[:100],
                kind=kind,
                advice=advice,
            )
        )
    if len(name) > MOST_CHARACTERS or len(name.encode()) > MOST_BYTES:
        raise UnusableName(
            tr(
                "The {kind} is {name} characters long; give at most {most_characters} ({most_bytes} bytes).",
                kind=kind,
                name=len(name),
                most_characters=MOST_CHARACTERS,
                most_bytes=MOST_BYTES,
            )
        )
    if _reserved(name):
        raise UnusableName(
            tr(
                "{name!r} cannot be a {kind}, Windows reserves it; choose another, such as my-{name}.",
                name=name,
                kind=kind,
            )
        )
    return name


def mend_name(name: str) -> str:
    """A name near to this one that can be a file name on every system; empty if nothing of it can."""
    letters = unicodedata.normalize("NFC", name).strip()
    mended = "".join(letter if _fits(letter) else "-" for letter in letters)[:MOST_CHARACTERS]
    while len(mended.encode()) > MOST_BYTES:
        mended = mended[:-1]
    return "" if _reserved(mended := mended.strip("-.")) else mended


def _fits(letter: str) -> bool:
    return letter in "-_." or unicodedata.category(letter)[0] in "LMN"  # letters, their marks, numbers


def _reserved(name: str) -> bool:
    return name.split(".")[0].casefold() in RESERVED
