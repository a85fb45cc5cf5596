"""Shared: a lesson as it stands in one address: its settings, and which controls are left out. Signed by this server."""

import base64
import hashlib
import hmac
import io
import json
import re
import zlib
from urllib.parse import urlencode

import segno
import streamlit as st

from imgrec.home import home, server_secret
from imgrec.language import tr

NOT_OF_A_LESSON = re.compile(
    r"(language|recipe_|augment_|on_|strength_|preset|sample_|predict_|evaluate_|bring|started|tables|deleted|operator|question_|set_|hide_|share_|moments|lesson_title|dataset|run\b|large_type|.* in the address)"
)
MOST = 3000  # characters of an address; a QR code holds about as many


def settings() -> dict[str, object]:
    """The page's controls that can be put into an address, by key. Buttons, files and tables cannot."""
    found = {}
    for key, value in st.session_state.items():
        plain = value is not False and isinstance(value, str | int | float | bool)
        several = isinstance(value, list | tuple) and all(isinstance(part, str | int | float) for part in value)
        if isinstance(key, str) and (plain or several) and not NOT_OF_A_LESSON.match(key):
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


def offer() -> None:
    """An address that opens the lesson as it is now, to copy or to point a phone at."""
    if st.toggle(tr("Share the lesson as it is now"), key="share_lesson"):
        values = settings()
        hidden = st.multiselect(
            tr("Leave out these controls"),
            sorted(values),
            key="hide_controls",
            format_func=lambda key: key.replace("_", " "),
        )
        kept = {key: st.query_params[key] for key in ("dataset", "run", "lang") if key in st.query_params}
        address = here(**kept, state=packed(values, hidden))
        if len(address) > MOST:
            st.info(tr("There are too many settings for one address."))
            return
        st.caption(
            tr(
                "Whoever opens this sees the same picture and settings. Others reach it by the name or number that this computer has in your network."
            )
        )
        st.code(address, language=None, wrap_lines=True)
        qr_code(address)


def here(**query: str) -> str:
    """The address of this page as the visitor typed it, with these queries."""
    return f"{(st.context.url or '').split('?')[0]}?{urlencode(query)}"


def qr_code(address: str) -> None:
    """An address as a picture to point a phone at."""
    picture = io.BytesIO()
    segno.make(address, error="l").save(picture, kind="png", scale=5, border=3)
    st.image(picture.getvalue(), width=260, alt=tr("The address as a QR code"))


def _sign(content: bytes) -> bytes:
    return hmac.new(server_secret(str(home())), content, hashlib.sha256).digest()[:12]
