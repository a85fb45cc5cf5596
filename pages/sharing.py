"""Shared: a lesson as it stands in one address: its settings, and which controls are left out. Signed by this server."""

import base64
import hashlib
import hmac
import io
import json
import re
import zlib
from functools import lru_cache
from urllib.parse import urlencode

import segno
import streamlit as st

from imgrec.home import home, server_secret
from imgrec.language import mark, tr

LABELS = {  # a lesson's controls, by their keys: the whole, or what stands before a space or after "_"; the longest counts
    "activation": mark("Function"),
    "activation_at": "x",
    "column": mark("Column of the result"),
    "dilation": mark("Dilation: the kernel's numbers lie so many pixels apart"),
    "feature_": mark("In the picture"),
    "field_layers": mark("Such convolutions, one after another"),
    "fit_count_": mark("Training pictures"),
    "fit_model_": mark("Network"),
    "fit_remedy_": mark("Against overfitting"),
    "gradient_loss": mark("Loss"),
    "gradient_rate": mark("Learning rate"),
    "gradient_taken": mark("Steps already taken on this picture"),
    "gradient_target": mark("It is a"),
    "history_year": mark("Year"),
    "invariance": mark("How much"),
    "invariance_kind": mark("Change"),
    "invariance_number": mark("Which one"),
    "invariance_other": mark("Compare with"),
    "in_colour": mark("In colour"),
    "kernel_cells": mark("Numbers of the kernel"),
    "kernel_filter": mark("Which one"),
    "kernel_name": mark("Kernel"),
    "kernel_run": mark("The trained network"),
    "layer": mark("Layer"),
    "lesson_number": mark("Which one"),
    "lesson_source": mark("Picture"),
    "logit_": mark("Score"),
    "map": mark("Feature map"),
    "network_epoch": mark("After epoch"),
    "network_number": mark("Which one"),
    "network_source": mark("Picture"),
    "padding": mark("Padding: zeros around the picture"),
    "pixel_channel": mark("Channel"),
    "pixel_column": mark("Across"),
    "pixel_deviation": mark("Standard deviation"),
    "pixel_mean": mark("Mean"),
    "pixel_row": mark("Down"),
    "pool": mark("Then max pooling 2 × 2"),
    "pool_column": mark("Column of the result"),
    "pool_kernel": mark("Kernel before it"),
    "pool_kind": mark("Keep the"),
    "pool_row": mark("Row of the result"),
    "pool_size": mark("Block"),
    "race_noise": mark("Noise of small batches"),
    "race_rate": mark("Learning rate"),
    "race_steps": mark("Number of steps"),
    "racers": mark("Who runs"),
    "relu": mark("Then ReLU: what is below zero becomes zero"),
    "row": mark("Row of the result"),
    "shift_down": mark("Pixels down"),
    "shift_right": mark("Pixels to the right"),
    "softmax_picture": mark("A picture it never saw"),
    "softmax_score": mark("The score of"),
    "softmax_shape": mark("Which one"),
    "softmax_target": mark("If the right answer is"),
    "softmax_temperature": mark("Temperature"),
    "stride": mark("Stride: pixels per move"),
    "surface": mark("Landscape"),
    "transfer_each": mark("Pictures of each class to learn from"),
    "transfer_run": mark("The trained network"),
    "trust_number": mark("Which one"),
    "trust_strength": mark("Strength of the nudge, in brightness steps of 255"),
}
OPEN = (
    "streamlit run app.py --server.address 0.0.0.0 --server.allowedHosts localhost --server.allowedHosts 192.168.1.20"
)
OWN = mark("My own")  # a picture that no address can carry
MOST = 3000  # characters of an address; a QR code holds about as many


def settings() -> dict[str, object]:
    """The page's controls that can be put into an address, by key. Buttons, files and tables cannot."""
    found = {}
    for key, value in st.session_state.items():
        plain = isinstance(value, str | int | float | bool)
        several = isinstance(value, list | tuple) and all(isinstance(part, str | int | float) for part in value)
        if (plain or several) and _known(str(key)):
            found[key] = value
    return found


def packed(values: dict[str, object], hidden: list[str]) -> str:
    """Settings and hidden controls as text for an address, with a signature."""
    content = zlib.compress(json.dumps([values, hidden], ensure_ascii=False).encode(), 9)
    return base64.urlsafe_b64encode(_sign(content) + content).decode().rstrip("=")


def unpacked(text: str) -> tuple[dict[str, object], list[str]] | None:
    """What `packed` was given, or None if this server did not make it."""
    try:
        raw = base64.urlsafe_b64decode(text[:MOST] + "=" * (-len(text) % 4))
        if not hmac.compare_digest(raw[:12], _sign(raw[12:])):
            return None
        values, hidden = json.loads(zlib.decompress(raw[12:]))
        return dict(values), list(hidden)
    except (ValueError, TypeError, zlib.error):
        return None


def restore() -> None:
    """Put the settings of the address into the page, once, and hide what it says. To be called before any control."""
    given = st.query_params.get("state", "")
    if given and st.session_state.get("set_from") != given:
        st.session_state["set_from"] = given
        found = unpacked(given)
        if found is None:
            st.warning(tr("This address was not made by this server, so its settings are left out."))
            return
        values, st.session_state["set_hidden"] = found
        for key, value in values.items():
            st.session_state[key] = tuple(value) if isinstance(value, list) else value
    if given and (hidden := st.session_state.get("set_hidden")):
        names = ", ".join(f".st-key-{re.sub('[^A-Za-z0-9_-]', '-', key)}" for key in hidden)
        st.html(f"<style>{names} {{ display: none }}</style>")


def remember() -> None:
    """Note the settings of the lesson that is shown or was shown just now; to be called before the navigation, which lets
    Streamlit forget them where another page opens."""
    st.session_state.setdefault("lesson_settings", {}).update(settings())


def bring_back() -> None:
    """The settings that a lesson had when it was left; to be called when a page opens, before any control."""
    for key, value in st.session_state["lesson_settings"].items():
        st.session_state[key] = value


def only_here(address: str) -> bool:
    """Whether an address leads nobody but this machine to this server."""
    return re.match(r"https?://(localhost|127\.|\[::1\])", address) is not None


def near(address: str) -> None:
    """Say what to do where an address leads nobody but this machine to this server."""
    if only_here(address):
        st.warning(
            tr(
                "This address works on this machine only. For phones and other computers start the server with the address that "
                "they will type, for instance:"
            )
        )
        st.code(OPEN, language="sh", wrap_lines=True)


def offer() -> None:
    """An address that opens the lesson as it is now, to copy or to point a phone at."""
    if st.toggle(tr("Share the lesson as it is now"), key="share_lesson"):
        values = settings()
        hidden = st.multiselect(
            tr("Leave out these controls"),
            sorted(values, key=label),
            key="hide_controls",
            format_func=label,
            placeholder=tr("none"),
        )
        kept = {key: st.query_params[key] for key in ("dataset", "run", "lang") if key in st.query_params}
        address = here(**kept, state=packed(values, hidden))
        if len(address) > MOST:
            st.info(tr("There are too many settings for one address."))
            return
        st.caption(
            tr(
                "Whoever opens this sees the same settings and chooses a picture: your own does not travel along. Others reach it by the name or number that this computer has in your network."
                if OWN in settings().values()
                else "Whoever opens this sees the same picture and settings. Others reach it by the name or number that this computer has in your network."
            )
        )
        st.code(address, language=None, wrap_lines=True)
        near(address)
        if not only_here(address):
            qr_code(address)


def label(key: str) -> str:
    """What a control is called, and which it is where several are called so."""
    known = _known(key)
    which = key[len(known) :].strip() if known.endswith("_") else ""
    return f"{tr(LABELS[known])} {tr(which)}".strip() if known else key.replace("_", " ")


@lru_cache(4096)  # asked of every key at every run of a page
def _known(key: str) -> str:
    """Which of LABELS a control's key is, or empty."""
    own = (one for one in LABELS if key == one or key.startswith(one if one.endswith("_") else f"{one} "))
    return max(own, key=len, default="")


def here(**query: str) -> str:
    """The address of this page as the visitor typed it, with these queries."""
    return f"{(st.context.url or '').split('?')[0]}?{urlencode(query)}"


def qr_code(address: str) -> None:
    """An address as a picture to point a phone at."""
    picture = io.BytesIO()
    segno.make(address, error="l").save(picture, kind="png", scale=5, border=3)
    st.image(picture.getvalue(), width=260, output_format="PNG", alt=tr("The address as a QR code"))


def _sign(content: bytes) -> bytes:
    return hmac.new(server_secret(str(home())), content, hashlib.sha256).digest()[:12]
