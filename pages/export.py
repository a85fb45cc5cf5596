"""Take along: how do I use my network elsewhere? As files that prove to say the same before they are handed out."""

import tempfile
from pathlib import Path

import streamlit as st

from imgrec.data import stamps
from imgrec.export import FORMATS, export
from imgrec.language import tr
from imgrec.notebook import as_notebook, as_script
from imgrec.predict import Predictor, as_named_now, pictures_of
from imgrec.runs import Run, RunError
from pages import parts, pickers, transfers


@st.cache_data(max_entries=6, show_spinner=False)
def made(name: str, changed: int, edited: tuple[int, ...], to: str, _run: Run) -> tuple[bytes, dict]:
    """The file, and what was found when it was compared with the network it came from."""
    bar = st.progress(0.0, tr("loading"))
    predictor = as_named_now(_run, Predictor.open(name, "cpu"))
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / f"{name}.{FORMATS[to].ending}"
        found = export(predictor, to, out, pictures_of(_run, predictor), bar.progress)
        bar.empty()
        return out.read_bytes(), found


def proof(found: dict) -> None:
    """Why the file can be trusted."""
    st.caption(
        tr(
            "{bytes:.1f} MB. Compared with the network itself on eight pictures: no probability differs by more "
            "than {largest_difference:.1g} (one ten-thousandth is allowed).",
            bytes=found["bytes"] / 2**20,
            largest_difference=found["largest_difference"],
        )
        if "after" not in found
        else tr("Made with scales per channel from training pictures; the table says what it costs and gains.")
    )
    if "after" in found:
        parts.grid(
            [
                {
                    "": name,
                    tr("size (MB)"): round(found[key]["bytes"] / 2**20, 2),
                    tr("test accuracy"): f"{found[key]['accuracy']:.1%}",
                    tr("one picture (ms)"): round(found[key]["milliseconds"], 2),
                }
                for name, key in (("float32", "before"), ("int8", "after"))
            ]
        )


st.title(tr("How do I take it along?"), anchor=False)
run, model = pickers.model_picker()
st.write(
    tr(
        "Normalisation, softmax and class names travel inside. Every file is compared with the network "
        "before you get it."
    )
)
to = st.radio(
    tr("As"), list(FORMATS), format_func=lambda key: tr(FORMATS[key].title), key="export_to",
    captions=[tr(row.help) for row in FORMATS.values()],
)  # fmt: skip
changed = run.file("best.safetensors").stat().st_mtime_ns
if st.button(tr("Make the file"), type="primary", icon=":material/package_2:"):
    st.session_state["export_made"] = (run.name, changed, to)
if st.session_state.get("export_made") == (run.name, changed, to):
    try:
        content, found = made(run.name, changed, stamps(run.recipe.dataset), to, run)
    except (ValueError, RuntimeError, OSError) as error:
        st.error(parts.text(error, 600))
    else:
        st.success(tr("{title} of {name} is ready.", title=tr(FORMATS[to].title), name=parts.text(run.name)))
        proof(found)
        if found.get("page") is False:
            st.info(
                tr("It holds all but the page for the browser: what that runs on is fetched once, and there is no internet here. Choose Web page to read how to get it."),
                icon=":material/cloud_off:",
            )  # fmt: skip
        file = f"{run.name}.{'int8.onnx' if to == 'int8' else FORMATS[to].ending}"
        transfers.download(tr("Download"), content, file, key="export_file")
with st.expander(tr("On the command line")):
    st.code(f"python -m imgrec export {run.name} --to {to} --out {run.name}.{FORMATS[to].ending}", language="sh")
st.subheader(tr("The training itself"), anchor=False)
st.write(
    tr(
        "A notebook, or the same as a script, that trains this network again step by step, draws its curves, tests it and "
        "compares that with what was recorded here. Change a line, and it is an experiment."
    )
)
try:
    notebook, script = as_notebook(run), as_script(run)
except RunError as error:
    st.info(parts.text(error, 300))
else:
    with st.container(horizontal=True):
        transfers.download(
            tr("As a notebook"), notebook, f"{run.name}.ipynb", "application/x-ipynb+json", icon=":material/book_2:", key="notebook"
        )  # fmt: skip
        transfers.download(
            tr("As a script"), script, f"{run.name}.py", "text/x-python", icon=":material/code:", key="script"
        )
