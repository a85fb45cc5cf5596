"""The files in a folder, a ZIP or a TAR, one after the other and within bounds; nothing is ever extracted by its name.

What the files mean is the business of the readers. A file that must not or cannot be read is refused with a reason; an
archive that is encrypted, cut short or a bomb is refused as a whole.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from imgrec.data.dataset import DatasetError
from imgrec.home import setting
from imgrec.images import EXTENSIONS
from imgrec.language import mark, tr

FILE_BYTES = 50 * 2**20  # of one picture
READ_BYTES = 256 * 2**20  # at once; a TAR header may claim any length
ENTRIES = 2_000_000
TABLES = (".csv", ".tsv")
TARS = (".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz")
ARCHIVES = (".zip", *TARS)
JUNK = ("__macosx", "thumbs.db", "desktop.ini")
RATIO, RATIO_FROM = 200, 2**30  # an archive may grow to so many times its size, beyond so many bytes
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LINK = mark("it is a link or a device, not a file; put the picture itself there")


class Refused(ValueError):
    """One file that is left out; the message is the reason."""


class Entry(NamedTuple):
    """A file inside a source, to be read before the next one is asked for."""

    name: str  # its path inside the source, with /
    size: int  # bytes, as the source claims
    refused: str  # why it must not be read, or empty
    open: Callable[[], BinaryIO]


class Source:
    """The files of one place. Iterating yields an Entry each, junk left out, and can be done again from the start."""

    total: int | None = None  # how many files or pictures there will be, where it is known
    archive = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.taken = 0  # bytes read so far
        self.tables: dict[str, bytes] = {}  # CSV files that a reader came across

    def __iter__(self) -> Iterator[Entry]:
        raise NotImplementedError

    def names(self) -> list[str]:
        """The names of all files, or of the first 20 where all would cost a pass: enough to recognise a layout."""
        return [entry.name for entry in islice(self, 20)]

    def close(self) -> None:
        """Let go of the file."""

    def read(self, entry: Entry, limit: int = 0) -> bytes:
        """The entry's content. Raises Refused for this file, DatasetError when the whole source must be given up."""
        limit = limit or FILE_BYTES
        too_big = tr("it is bigger than {limit:.0f} MB", limit=limit / 2**20)
        if entry.refused or entry.size > limit:
            raise Refused(entry.refused or too_big)
        with self.opened(entry) as file:
            content = file.read(limit + 1)
        if len(content) > limit:  # its heading lied
            raise Refused(too_big)
        self.taken += len(content)
        self._bound(self.taken)
        return content

    @contextmanager
    def opened(self, entry: Entry) -> Iterator[BinaryIO]:
        """The entry as a file to stream from; raises like `read`, also for what goes wrong while it is being read."""
        try:
            with entry.open() as file:
                yield file
        except (DatasetError, Refused):
            raise
        except Exception as error:  # zipfile raises six kinds, and an unreadable file an OSError
            raise Refused(tr("it cannot be read ({error})", error=in_short(error))) from error

    def _bound(self, taken: int) -> None:
        if taken > (most := most_gigabytes()) * 1e9:
            raise DatasetError(
                tr(
                    "{name} exceeds {most:g} GB; import a part or raise IMGREC_MAX_IMPORT_GB.",
                    name=self.path.name,
                    most=most,
                )
            )
        if self.archive and taken > RATIO_FROM and taken > RATIO * self.path.stat().st_size:
            raise DatasetError(
                tr(
                    "{name} unpacks to over {ratio} times its size; pictures never do.",
                    name=self.path.name,
                    ratio=RATIO,
                )
            )

    def _count(self, entries: int) -> None:
        if entries > ENTRIES:
            raise DatasetError(
                tr(
                    "{name} holds more than {entries:,} files; import a part of them.",
                    name=self.path.name,
                    entries=ENTRIES,
                )
            )


class Folder(Source):
    """A folder and all below it, or only ``files`` in it, in the order of their names. Links are not followed."""

    archive = False

    def __init__(self, path: Path, files: list[str] | None = None) -> None:
        super().__init__(path)
        self._unreadable: list[str] = []
        self._empty: set[str] = set()
        self._files = sorted(self._walk()) if files is None else files
        self._count(len(self._files))
        self.total = len(self._files)

    def _walk(self) -> Iterator[str]:
        for folder, inner, files in os.walk(self.path, onerror=lambda e: self._unreadable.append(e.filename)):
            below = os.path.relpath(folder, self.path)
            inner[:] = [name for name in inner if not _is_junk(name)]
            links = [name for name in inner if os.path.islink(os.path.join(folder, name))]
            found = [os.path.join(below, name) for name in (*files, *links) if not _is_junk(name)]
            yield from found
            if not found and not inner and below != os.curdir:  # a class without pictures, which should not vanish
                self._empty.add(below)
                yield below
        yield from (os.path.relpath(name, self.path) for name in self._unreadable)

    def names(self) -> list[str]:
        return [_clean(file)[0] for file in self._files]

    def __iter__(self) -> Iterator[Entry]:
        return map(self._entry, self._files)

    def _entry(self, file: str) -> Entry:
        name, refused = _clean(file)
        path = self.path / file
        try:
            about = os.lstat(path) if not refused else None
        except (OSError, ValueError):
            return Entry(name, 0, tr("there is no such file"), path.open)
        if about and not stat.S_ISREG(about.st_mode):
            unread = tr("it is an empty folder") if file in self._empty else tr("it is a folder that cannot be read")
            refused = unread if stat.S_ISDIR(about.st_mode) else tr(LINK)
        return Entry(name, about.st_size if about else 0, refused, lambda: open(path, "rb"))


class Table(Folder):
    """A CSV file alone; the pictures it lists lie below its folder, which is ``path``."""

    def __init__(self, table: Path) -> None:
        super().__init__(table.parent, [table.name])
        self.table = table


class Zip(Source):
    """A ZIP file. Raises DatasetError if it is no ZIP, cut short or encrypted."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._file = zipfile.ZipFile(path)
        except Exception as error:  # crafted files raise nearly anything
            raise DatasetError(
                tr(
                    "{name} is not a whole ZIP file ({error}); download or make it again."
                    if not isinstance(error, zipfile.BadZipFile)
                    else "{name} is not a whole ZIP file; download or make it again.",
                    name=path.name,
                    error=in_short(error),
                )
            ) from error
        infos = [info for info in self._file.infolist() if not _is_folder(info)]
        self._count(len(infos))
        if any(info.flag_bits & 1 for info in infos):
            raise DatasetError(
                tr("{name} is encrypted; unpack it with its password and import the folder.", name=path.name)
            )
        ends = sorted((info.header_offset, info.header_offset + info.compress_size) for info in infos)
        if any(start < end for (_, end), (start, _) in pairwise(ends)):
            raise DatasetError(
                tr("{name} holds files that lie over each other, as bombs do; make it again.", name=path.name)
            )
        self._entries = [entry for entry in map(self._entry, infos) if entry.refused or not _is_junk(entry.name)]
        self.total = len(self._entries)

    def names(self) -> list[str]:
        return [entry.name for entry in self._entries]

    def close(self) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def _entry(self, info: zipfile.ZipInfo) -> Entry:
        name, refused = _clean(_zip_name(info))
        is_link = stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG)
        return Entry(name, info.file_size, refused or (tr(LINK) if is_link else ""), lambda: self._file.open(info))


class Tar(Source):
    """A TAR file, plain or packed with gzip, bzip2 or xz. Raises DatasetError if it is none, or cut short."""

    def __iter__(self) -> Iterator[Entry]:
        with self._whole(), _unpacked(self.path) as file:
            guard = _Guard(file)
            with tarfile.open(fileobj=guard, mode="r:") as archive:
                for count, info in enumerate(iter(archive.next, None), 1):
                    self._count(count)
                    self._bound(info.offset_data + max(info.size, 0))  # before it is read or skipped
                    name, refused = _clean(info.name)
                    refused = refused or (tr(LINK) if not info.isreg() else "")
                    if not info.isdir() and (refused or not _is_junk(name)):
                        yield Entry(name, info.size, refused, lambda info=info: archive.extractfile(info))
                    archive.members.clear()  # tarfile would keep them all
            if len(guard.last) < tarfile.BLOCKSIZE or guard.last.strip(b"\0"):
                raise EOFError(tr("its end is missing"))

    @contextmanager
    def opened(self, entry: Entry) -> Iterator[BinaryIO]:
        with self._whole(), entry.open() as file:
            yield file

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except (DatasetError, Refused):
            raise
        except Exception as error:
            raise DatasetError(
                tr(
                    "{file} is not a whole TAR file ({reason}); download or make it again.",
                    file=self.path.name,
                    reason=in_short(error),
                )
            ) from error


class _Guard:
    """A file that refuses to read a huge piece at once and remembers the last piece."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.seek, self.tell = file, file.seek, file.tell
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= READ_BYTES:
            raise ValueError(tr("a header claims {size:,} bytes", size=size))
        self.last = self._file.read(size)
        return self.last


def open_source(path: Path) -> Source:
    """The folder, ZIP or TAR at ``path``; a table, .csv or .tsv, is a source of one file. Raises DatasetError."""
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise DatasetError(tr("There is no file or folder {path}.", path=path))
    if path.suffix.lower().lstrip(".") in EXTENSIONS:
        raise DatasetError(
            tr(
                "{name} is one picture; put pictures into a folder for each class, and name the folder around them.",
                name=path.name,
            )
        )
    if path.suffix.lower() in TABLES:
        return Table(path)
    if zipfile.is_zipfile(path) or path.suffix.lower() == ".zip":
        return Zip(path)
    if _may_be_tar(path):
        return Tar(path)
    raise DatasetError(
        tr("{name} is no folder, no ZIP, no TAR and no table (.csv, .tsv); name one of them.", name=path.name)
    )


def _may_be_tar(path: Path) -> bool:
    """Whether it is called like a TAR, or begins like one as far as it can be read; `Tar` says what is wrong with it."""
    if path.suffix.lower() in TARS:
        return True
    try:
        with _unpacked(path) as file:
            return file.read(tarfile.BLOCKSIZE)[257:262] == b"ustar"
    except Exception:  # decoders raise many kinds
        return True


def most_gigabytes() -> float:
    """How many gigabytes one import may read: IMGREC_MAX_IMPORT_GB, 20 without it. Raises ValueError if it is
    no number."""
    return setting("IMGREC_MAX_IMPORT_GB", 20)


def printable(text: str) -> str:
    """Text in Unicode's composed form; characters that control, reverse or encode nothing become \ufffd."""
    return CONTROL.sub("\ufffd", unicodedata.normalize("NFC", text))


def in_short(error: BaseException) -> str:
    """An error of a library on one short line; some quote whole files."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:119] + "…"


def _clean(raw: str) -> tuple[str, str]:
    """A path with / and without control characters, and why it must be refused, or empty."""
    name = printable(raw.replace("\\", "/"))
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return name, tr("its path is absolute; use paths inside the data set")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "/".join(parts), tr("its path leads out of the data set") if ".." in parts else ""


def _is_junk(name: str) -> bool:
    """Whether a path is what systems leave behind: hidden files, macOS resource forks, thumbnails."""
    return any(part.startswith(".") or part.lower() in JUNK for part in name.split("/"))


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith(("/", "\\")) or stat.S_ISDIR(info.external_attr >> 16)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The entry's name as it was meant. zipfile reads a name without the Unicode mark as cp437; many are UTF-8."""
    if not info.flag_bits & 0x800:
        try:
            return info.filename.encode("cp437").decode()
        except ValueError:
            pass
    return info.filename


@contextmanager
def _unpacked(path: Path) -> Iterator[BinaryIO]:
    """The file without its compression, told by its first bytes."""
    with open(path, "rb") as file:
        start = file.read(6)
        file.seek(0)
        openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
        opener = next((opener for magic, opener in openers.items() if start.startswith(magic)), None)
        with opener(file, "rb") if opener else nullcontext(file) as unpacked:
            yield unpacked
