"""Shared: the camera in the browser, opened by scripts of ours, and the pictures that come from it."""

import base64

import streamlit as st

from imgrec.language import mark, tr

MOST_BYTES = 2**20  # of one picture from a browser
INSECURE = mark("The browser opens a camera only over https or on this machine itself.")


def words() -> dict[str, str]:
    """What the scripts say when there is no camera, by the name that the browser gives the reason."""
    return {
        "insecure": tr(INSECURE),
        "NotAllowedError": tr(
            "The camera is not allowed here: allow it beside the address of the page, or in the system's settings."
        ),
        "NotFoundError": tr("The browser finds no camera on this device."),
        "NotReadableError": tr(
            "The camera does not answer; another program may be using it. Close that, and open this page again."
        ),
        "closed": tr("The camera could not be opened."),
    }


def sent(key: str, name: str) -> object:
    """What a component of that key has sent under a name; None before it has."""
    values = st.session_state.get(key) or {}
    return values.get(name) if isinstance(values, dict) else getattr(values, name, None)


def content(address: object) -> bytes:
    """The bytes of a picture that a browser sent. Raises ValueError."""
    return base64.b64decode(str(address).partition(",")[2][:MOST_BYTES], validate=True)
