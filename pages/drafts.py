"""Shared: what was named and shown but is not sent yet, kept on the server for a while, so that a reload loses none of it."""

import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st

from pages import visitors

LASTS = 2 * 3600  # seconds
MOST_BYTES = 2**30  # of all pictures together


@dataclass(frozen=True)
class _Draft:
    """The fields of a form: texts, numbers, and lists of `film.Shot`; and when it was seen last."""

    fields: dict[str, str | int | list]
    seen: float

    @property
    def size(self) -> int:
        """Bytes of its pictures."""
        return sum(len(shot.content) for shots in self.fields.values() if isinstance(shots, list) for shot in shots)


_drafts: dict[tuple[str, str], _Draft] = {}  # digest of the visitor, word in the address → what they have begun
_lock = threading.Lock()


def restore(page: str, prefix: str) -> None:
    """In a new session, bring back the form that the address names, if it was filled in this same browser. ``prefix`` begins
    the keys of the form."""
    word, me = st.query_params.get("draft"), visitors.visitor()
    if not word or not me or f"{page}_draft" in st.session_state:
        return
    tidy()
    draft = _drafts.get((me.visitor, f"{page} {word}"))
    if draft:
        st.session_state[f"{page}_draft"] = secrets.token_urlsafe(6)  # its own: the other tab may still be open
        for name, value in draft.fields.items():
            st.session_state[prefix + name] = list(value) if isinstance(value, list) else value


def keep(page: str, prefix: str, keys: Iterable[str]) -> None:
    """Remember the fields of these ``keys`` as they are now, for a reload; forget them once nothing is named or shown."""
    me = visitors.visitor()
    if not me:
        return
    fields = {key.removeprefix(prefix): st.session_state[key] for key in keys if key in st.session_state}
    fields = {name: list(value) if isinstance(value, list) else value for name, value in fields.items()}
    word = st.session_state.setdefault(f"{page}_draft", secrets.token_urlsafe(6))
    begun = any(value and (isinstance(value, list) or "label " in name) for name, value in fields.items())
    if begun:
        st.query_params["draft"] = word
    else:
        st.query_params.pop("draft", None)
    with _lock:
        _drafts.pop(key := (me.visitor, f"{page} {word}"), None)
        if begun:
            _drafts[key] = _Draft(fields, time.monotonic())
    tidy()


def tidy() -> None:
    """Let go those that nobody came back to, and the largest where all are too much: a few folders of photos would else push
    out what a whole class has shown."""
    with _lock:
        now = time.monotonic()
        for key, draft in list(_drafts.items()):
            if now - draft.seen >= LASTS:
                del _drafts[key]
        while _drafts and sum(draft.size for draft in _drafts.values()) > MOST_BYTES:
            del _drafts[max(_drafts, key=lambda key: _drafts[key].size)]
