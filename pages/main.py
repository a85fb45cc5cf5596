"""The frame of the dashboard: its title, its pages and the way between them."""

import sys
from copy import copy
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:  # the server puts only this folder there
    sys.path.insert(0, str(ROOT))

from imgrec.language import current, mark, speaking, tr  # noqa: E402
from pages import parts, scripts, sharing, tongue, turns, visitors  # noqa: E402

LAB, LEARN = mark("Lab"), mark("Learn")
st.session_state["larger"] = 1.0  # which lessons may change for themselves
# One row is one page: file, title, address, icon, section.
PAGES = (
    ("home.py", mark("Home"), "", ":material/home:", ""),
    ("teach.py", mark("Teach"), "teach", ":material/front_hand:", LAB),
    ("dataset.py", mark("Data set"), "dataset", ":material/photo_library:", LAB),
    ("bring.py", mark("Bring pictures"), "bring", ":material/add_photo_alternate:", LAB),
    ("collect.py", mark("Collect together"), "collect", ":material/groups:", LAB),
    ("label.py", mark("Label"), "label", ":material/label:", LAB),
    ("map.py", mark("Map"), "map", ":material/scatter_plot:", LAB),
    ("mend.py", mark("Mend"), "mend", ":material/healing:", LAB),
    ("augment.py", mark("Augment"), "augment", ":material/auto_fix_high:", LAB),
    ("networks.py", mark("Networks"), "networks", ":material/account_tree:", LAB),
    ("train.py", mark("Train"), "train", ":material/model_training:", LAB),
    ("runs.py", mark("Runs"), "runs", ":material/compare_arrows:", LAB),
    ("evaluate.py", mark("Evaluate"), "evaluate", ":material/analytics:", LAB),
    ("predict.py", mark("Predict"), "predict", ":material/image_search:", LAB),
    ("export.py", mark("Take along"), "export", ":material/package_2:", LAB),
    ("learn_pixels.py", mark("Pixels"), "learn_pixels", ":material/grid_view:", LEARN),
    ("learn_convolution.py", mark("Convolution"), "learn_convolution", ":material/grid_on:", LEARN),
    ("learn_pooling.py", mark("Pooling"), "learn_pooling", ":material/compress:", LEARN),
    ("learn_softmax.py", mark("Softmax"), "learn_softmax", ":material/bar_chart:", LEARN),
    ("learn_network.py", mark("Whole network"), "learn_network", ":material/lan:", LEARN),
    ("learn_gradient.py", mark("Gradient"), "learn_gradient", ":material/trending_down:", LEARN),
    ("learn_optimisers.py", mark("Optimisers"), "learn_optimisers", ":material/sports_score:", LEARN),
    ("learn_fitting.py", mark("Over- and underfitting"), "learn_fitting", ":material/balance:", LEARN),
    ("learn_invariance.py", mark("Invariance"), "learn_invariance", ":material/rotate_right:", LEARN),
    ("learn_transfer.py", mark("Transfer"), "learn_transfer", ":material/swap_horiz:", LEARN),
    ("learn_history.py", mark("History"), "learn_history", ":material/history:", LEARN),
    ("learn_trust.py", mark("Trust"), "learn_trust", ":material/verified_user:", LEARN),
)


st.set_page_config(page_icon=parts.ICON, layout="wide")  # first, or the browser asks another host for a page's icon
with turns.TURNS.turn():
    tongue.choose()
    with speaking(current()):  # asked once, not for every word
        visitors.is_operator()  # on every page: it takes the secret out of the address
        visitors.sign_in()
        sharing.remember()
        sections: dict[str, list] = {}
        for page, (_, _, address, _, section) in zip(map(copy, parts.made(PAGES, current())), PAGES, strict=True):
            sections.setdefault(tr(section) if section else "", []).append(page)
            parts.PAGE[address or "home"] = page
        st.logo(parts.ICON, size="large")
        st.html(f"<style>{scripts.read('main.css')}</style>")
        shown = st.navigation(sections, expanded=True)
        st.set_page_config(f"{shown.title} · imgrec")
        if st.session_state.get("shown") != shown.url_path:
            st.session_state["shown"], st.session_state["entered"] = shown.url_path, True
            sharing.bring_back()
        shown.run()
