"""The frame of the dashboard: its title, its pages and the way between them."""

import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:  # the server puts only this folder there
    sys.path.insert(0, str(ROOT))

from pages import parts  # noqa: E402

# One row is one page: file, title, address, icon, section.
PAGES = (
    ("home.py", "Home", "", ":material/home:", ""),
    ("dataset.py", "Data set", "dataset", ":material/photo_library:", "Lab"),
    ("bring.py", "Bring pictures", "bring", ":material/add_photo_alternate:", "Lab"),
    ("label.py", "Label", "label", ":material/label:", "Lab"),
    ("map.py", "Map", "map", ":material/scatter_plot:", "Lab"),
    ("mend.py", "Mend", "mend", ":material/healing:", "Lab"),
    ("augment.py", "Augment", "augment", ":material/auto_fix_high:", "Lab"),
    ("networks.py", "Networks", "networks", ":material/account_tree:", "Lab"),
    ("train.py", "Train", "train", ":material/model_training:", "Lab"),
    ("runs.py", "Runs", "runs", ":material/compare_arrows:", "Lab"),
    ("evaluate.py", "Evaluate", "evaluate", ":material/analytics:", "Lab"),
    ("predict.py", "Predict", "predict", ":material/image_search:", "Lab"),
    ("export.py", "Take along", "export", ":material/package_2:", "Lab"),
    ("learn_pixels.py", "Pixels", "learn_pixels", ":material/grid_view:", "Learn"),
    ("learn_convolution.py", "Convolution", "learn_convolution", ":material/grid_on:", "Learn"),
    ("learn_pooling.py", "Pooling", "learn_pooling", ":material/compress:", "Learn"),
    ("learn_softmax.py", "Softmax", "learn_softmax", ":material/bar_chart:", "Learn"),
    ("learn_network.py", "Whole network", "learn_network", ":material/lan:", "Learn"),
    ("learn_gradient.py", "Gradient", "learn_gradient", ":material/trending_down:", "Learn"),
    ("learn_optimisers.py", "Optimisers", "learn_optimisers", ":material/sports_score:", "Learn"),
)

st.set_page_config(page_title="imgrec", page_icon=str(ROOT / "pages" / "icon.svg"), layout="wide")
sections: dict[str, list] = {}
for file, title, address, icon, section in PAGES:
    page = st.Page(file, title=title, icon=icon, url_path=address, default=not address)
    sections.setdefault(section, []).append(page)
    parts.PAGE[address or "home"] = page
st.logo(str(ROOT / "pages" / "icon.svg"), size="large")
st.navigation(sections).run()
