"""Shared: which language the dashboard speaks to this visitor, and the box to choose another."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from imgrec.language import LANGUAGES, current, mark, tr
from pages import camera, scripts

CAMERA = (
    "[data-testid=stCameraInput]:{}(:has([data-testid=stCameraInputWebcamComponent])) [data-testid=stCameraInputButton]"
)
STREAMLITS = (  # words of its own, for which it has no other language: where they stand
    ("[data-testid=stFileUploaderDropzone] button p", mark("Upload")),
    ("[data-testid=stFileUploaderDropzoneInstructions] span", mark("or drag it here")),
    (CAMERA.format("is"), mark("Take photo")),
    (CAMERA.format("not"), mark("Clear photo")),
    ("[data-testid=stCameraInput] p:has(>a)", mark("Please allow this page to use the camera.")),
)
# In every language, for on plain http no permission helps:
INSECURE = ("html[data-insecure] [data-testid=stCameraInput] p:has(>a)", camera.INSECURE)
UPRIGHT = ":lang(zh) .token.comment{font-style:normal!important}"  # comments in code: Chinese has no italics


def spoken() -> str | None:
    """The language that was chosen, in the address or in the box, else the browser's; None outside of a page."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    return st.session_state.get("language") or _of_the_browser()


def choose() -> None:
    """The box in the side bar; what is chosen stays in the address as ?lang=…, so that a link opens in that language."""
    asked = st.query_params.get("lang", "").replace("-", "_")
    if asked and asked != st.session_state.get("language_asked"):
        st.session_state["language_asked"] = asked
        st.session_state["language"] = _known(asked) or _of_the_browser()
    st.session_state.setdefault("language", _of_the_browser())
    names = list(LANGUAGES)
    chosen = st.sidebar.segmented_control(
        "Language / 语言", names, required=True, key="language", format_func=LANGUAGES.get, label_visibility="collapsed",
        on_change=_keep, persist_state="session",
    )  # fmt: skip
    if asked:
        st.query_params["lang"] = chosen
    said = (*(STREAMLITS if current() != "en" else ()), INSECURE)
    rules = (f'{where}{{font-size:0}}{where}::after{{content:"{tr(word)}";font-size:1rem}}' for where, word in said)
    st.html(f"<style>{''.join(rules)}{UPRIGHT}</style>")
    _spoken(key="spoken", data=current().replace("_", "-"))
    st.sidebar.toggle(
        tr("Charts as tables, too"), key="tables", persist_state="session", help=tr("For screen readers, and for who would rather read numbers.")
    )  # fmt: skip


_spoken = st.components.v2.component("imgrec_spoken", js=scripts.read("camera.js", "spoken.js"))


def _keep() -> None:
    st.query_params["lang"] = st.session_state["language_asked"] = st.session_state["language"]


def _of_the_browser() -> str:
    return _known(st.context.locale or "") or "en"


def _known(locale: str) -> str | None:
    """The language of LANGUAGES that a locale such as zh-CN means, if any."""
    locale = locale.replace("-", "_")
    same = [language for language in LANGUAGES if language.split("_")[0] == locale.split("_")[0].lower()]
    return locale if locale in LANGUAGES else (same or [None])[0]
