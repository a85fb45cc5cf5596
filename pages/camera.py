"""Shared: the camera in the browser, opened by scripts of ours, and the pictures that come from it."""

import base64

import streamlit as st

from imgrec.language import tr

MOST_BYTES = 2**20  # of one picture from a browser


def words() -> dict[str, str]:
    """What the scripts say when there is no camera."""
    return {
        "insecure": tr("The browser opens a camera only over https or on this machine itself."),
        "closed": tr("No camera:"),
    }


def sent(key: str, name: str) -> object:
    """What a component of that key has sent under a name; None before it has."""
    values = st.session_state.get(key) or {}
    return values.get(name) if isinstance(values, dict) else getattr(values, name, None)


def content(address: object) -> bytes:
    """The bytes of a picture that a browser sent. Raises ValueError."""
    return base64.b64decode(str(address).partition(",")[2][:MOST_BYTES], validate=True)
