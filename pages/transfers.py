"""Shared: files from a browser and to it, and the folders of the server that visitors may read."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import streamlit as st
from streamlit import runtime

from imgrec.data import sources
from imgrec.images import EXTENSIONS
from imgrec.language import current, speaking

ARCHIVES = tuple(ending[1:] for ending in sources.ARCHIVES)
FETCHED_WITHIN = 120  # seconds in which a browser begins to fetch what it asked for
_asked = itertools.count()  # downloads made on request


def download(
    label: str,
    content: bytes | str | Callable[[], bytes | str],
    file: str,
    mime: str = "application/octet-stream",
    **more,
) -> None:
    """A button that saves a file and draws nothing anew. What makes the content, if it is a function, is called when it
    is asked for, outside of any page, in the language that is spoken now."""
    st.download_button(
        label, _made(content, file, mime) if callable(content) else content, file, mime, on_click="ignore",
        **{"icon": ":material/download:", **more},
    )  # fmt: skip


def _made(make: Callable[[], bytes | str], file: str, mime: str) -> Callable[[], bytes]:
    """The content, and a claim to it until the browser has fetched it: for what is made on request Streamlit knows no
    owner, so it is gone once two scripts have ended, anybody's."""
    language = current()

    def made() -> bytes:
        with speaking(language):
            content = make()
        content = content.encode() if isinstance(content, str) else content
        files, place = runtime.get_instance().media_file_mgr, f"download {next(_asked)}"
        files.add(content, mime, place, file, is_for_static_download=True)
        later = threading.Timer(FETCHED_WITHIN, files.add, (b"", mime, place, file), {"is_for_static_download": True})
        later.daemon = True
        later.start()  # nothing takes its place
        return content

    return made


def upload_box(label: str, key: str, many: bool = True):
    """Pictures from files; a list, empty when nothing was chosen."""
    return st.file_uploader(label, EXTENSIONS, accept_multiple_files=many, key=key, max_upload_size=upload_mb(20))


def upload_mb(most: int = 0) -> int:
    """MB of a file that a browser may send here: what the server takes, or less. Bigger archives come by a folder of the
    server or the command line."""
    taken = int(st.get_option("server.maxUploadSize"))
    return min(most, taken) if most else taken


def server_roots() -> list[Path]:
    """The folders of the server that visitors may read: IMGREC_SERVER_FOLDERS, several with a : between."""
    return [Path(root).resolve() for root in os.environ.get("IMGREC_SERVER_FOLDERS", "").split(os.pathsep) if root]


def opened(path: Path, *more: Path) -> bool:
    """Whether a path lies where visitors may read: in one of the `server_roots`, or of ``more`` folders."""
    return any(path.resolve().is_relative_to(root.resolve()) for root in (*server_roots(), *more))


def server_path(label: str, key: str) -> Path | None:
    """The box for a path on the server, which gives it, or None where nothing is there that visitors may read."""
    typed = st.text_input(label, str(server_roots()[0]), key=key)
    with suppress(OSError, RuntimeError, ValueError):  # too long, of nobody (~who), with a null in it
        path = Path(typed).expanduser().resolve()
        if opened(path) and path.exists():
            return path
    return None
