"""Networks: which one shall it be? The shelf with the story, the size and the layers of each."""

import time

import streamlit as st

from imgrec import charts, models
from imgrec.language import large, mark, tr
from pages import parts, pickers

SIZES = (28, 32, 64, 96, 128, 224)


def figures(size: int, channels: int, classes: int) -> list[dict]:
    """A row per network that takes such pictures; the first time they are counted, which a bar shows."""
    cards, rows = [card for card in models.SHELF.values() if size >= card.smallest], []
    bar, started = st.empty(), time.monotonic()
    for number, card in enumerate(cards):
        if time.monotonic() - started > 0.2:
            bar.progress(number / len(cards), tr("Counting what each needs: {title}", title=tr(card.title)))
        asked = (card.name, classes, channels, size)
        rows.append(
            {
                "network": tr(card.title), "year": card.year, "weights": models.parameters(*asked),
                "multiply-adds": models.operations(*asked), mark("ImageNet weights"): card.pretrained,
            }
        )  # fmt: skip
    bar.empty()
    return rows


@st.cache_data(show_spinner=False, max_entries=64)
def layers(name: str, size: int, channels: int, classes: int) -> list[dict]:
    return models.layers(name, classes, channels, size)


def counts(*columns: str) -> dict[str, object]:
    """Columns of large whole numbers, with the reader's separators."""
    return {tr(name): st.column_config.NumberColumn(format="localized") for name in columns}


def about(name: str, size: int, channels: int, classes: int) -> None:
    """One network: its story, its figures and its layers."""
    card = models.card(name)
    st.subheader(tr("{title}, {year}", title=tr(card.title), year=card.year), anchor=False)
    st.write(tr(card.idea))
    found = layers(name, size, channels, classes)
    parts.metrics(
        (tr("Weights"), f"{models.parameters(name, classes, channels, size):,}", tr("Numbers that it learns.")),
        (
            tr("Multiply-adds"),
            large(models.operations(name, classes, channels, size)),
            tr("For one picture."),
        ),
        (tr("Layers"), f"{len(found):,}", tr("Everything that turns numbers into others.")),
    )
    parts.chart(charts.network(found), "layers", tr("The layers of {title} as boxes", title=tr(card.title)))
    st.caption(
        tr(
            "From left to right, without activations; the higher a box, the wider its maps in pixels, and the broader, the more "
            "of them there are, both on a logarithmic scale. Tap or point at one."
        )
    )
    st.caption(tr("After: {paper}.", paper=parts.text(card.paper.removeprefix("after "), 300)))
    with st.expander(tr("As a table")):
        parts.table(
            ({**row, "shape": " × ".join(map(str, row["shape"]))} for row in found), column_config=counts("parameters")
        )
    if card.pretrained:
        st.caption(
            tr("It can start from ImageNet weights: on the page Train, preset transfer, or Start from: imagenet.")
        )
    parts.link("train", "Train a network", ":material/model_training:")


st.title(tr("Which network shall it be?"), anchor=False)
st.write(tr("From one weight per pixel to transformers, each with the idea that made it. All of them train here."))
left, middle, right = st.columns(3)
size = left.select_slider(tr("Picture size in pixels"), SIZES, 224, key="network_size", persist_state="session")
colours = middle.segmented_control(
    tr("Pictures"),
    (mark("colour"), mark("grey")),
    default="colour",
    required=True,
    format_func=tr,
    key="network_colour",
)
classes = right.number_input(tr("Classes"), 2, 1000, 10, key="network_classes", persist_state="session")
channels = 3 if colours == "colour" else 1
names = [card.name for card in models.SHELF.values() if size >= card.smallest]
name = pickers.address_box(tr("Network"), names, "network", tr("Each is a row of the shelf."))
about(name, size, channels, int(classes))
st.subheader(tr("All of them"), anchor=False)
rows = figures(size, channels, int(classes))
parts.chart(
    charts.networks([row for row in rows if row["network"] != "Your own CNN"]),
    "shelf",
    tr("Weights and multiply-adds of all networks"),
)
parts.table(rows, column_config=counts("weights", "multiply-adds"))
