"""Shared: what was named and shown but is not sent yet, kept on the server for a while, so that a reload loses none of it."""

import secrets
import threading
import time
from dataclasses import dataclass

import streamlit as st

from pages import visitors

LASTS = 2 * 3600  # seconds
MOST_BYTES = 2**30  # of all pictures together; the oldest draft goes first
FIELDS = ("label", "shots", "extra", "classes", "name", "into")  # of a form


@dataclass(frozen=True)
class _Draft:
    """The fields of a form, and when it was seen last."""

    fields: dict[str, object]
    seen: float

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
    draft = _drafts.get((me.visitor, f"{page} {word}"))
    if draft:
        st.session_state[f"{page}_draft"] = word
        for name, value in draft.fields.items():
            st.session_state[prefix + name] = list(value) if isinstance(value, list) else value


def keep(page: str, prefix: str) -> None:
    """Remember the form as it is now, for a reload; forget it once it is empty."""
    me = visitors.visitor()
    if not me:
        return
    fields = {str(key)[len(prefix) :]: value for key, value in st.session_state.items() if str(key).startswith(prefix)}
    fields = {
        name: value
        for name, value in fields.items()
        if isinstance(value, int | str | list) and set(name.split()) & set(FIELDS)
    }
    word = st.session_state.setdefault(f"{page}_draft", secrets.token_urlsafe(6))
    begun = any(value and (isinstance(value, list) or "label" in name) for name, value in fields.items())
    if begun:
        st.query_params["draft"] = word
    else:
        st.query_params.pop("draft", None)
    with _lock:
        _drafts.pop(key := (me.visitor, f"{page} {word}"), None)
        if begun:
            _drafts[key] = _Draft(
                {name: list(v) if isinstance(v, list) else v for name, v in fields.items()}, time.monotonic()
            )
        _tidy()


def _tidy() -> None:
    """Let the oldest go: those that nobody came back to, and those that are too much."""
    now, left = time.monotonic(), sum(draft.size() for draft in _drafts.values())
    for key, draft in list(_drafts.items()):
        if now - draft.seen < LASTS and left <= MOST_BYTES:
            break
        left -= draft.size()
        del _drafts[key]
