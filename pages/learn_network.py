"""Lesson: a whole network, live. Every layer's maps for a picture; where each number comes from, back to the pixels."""

import itertools

import numpy as np
import streamlit as st
import torch

from imgrec import charts, snapshots
from imgrec.augment import to_tensor
from imgrec.data import class_names
from imgrec.language import listed, mark, tr
from imgrec.lessons import network
from imgrec.predict import Predictor
from imgrec.runs import Run
from pages import moments, overview, parts, pickers, teaching, thumbnails
from pages.cells import cells

SHOWN = 32  # maps of a layer that are drawn


def seen_by(model: Predictor) -> np.ndarray:
    """A picture as the network sees it, uint8 (S, S, C): one it never learned from, or the visitor's own."""
    wanted = model.passport.preprocess
    left, right = st.columns(2)
    source = left.segmented_control(
        tr("Picture"),
        (mark("Sample"), mark("My own")),
        default="Sample",
        required=True,
        key="network_source",
        format_func=tr,
    )
    if source == "My own":
        with right:
            return teaching.own(wanted.size, wanted.channels, wanted.resize, "network_file")
    with right:
        return teaching.of_a_run(run, model, "network")[0]


def of_an_epoch(run: Run, model: Predictor) -> Predictor:
    """The network as it was after an epoch of its training, where such moments were kept; else as it is."""
    kept = snapshots.moments(run)
    if len(kept) < 2:
        return model
    last = mark("the best")
    chosen = st.select_slider(tr("After epoch"), [*kept, last], last, key=f"network_epoch {run.name} {len(kept)}", format_func=lambda epoch: tr(str(epoch)),
                              help=tr("Watch the layers learn: the same picture, the network after each epoch."))  # fmt: skip
    try:
        return model if chosen == last else moments.at(run.name, chosen, snapshots.stamp(run, chosen), run)
    except (ValueError, OSError) as error:
        st.info(parts.text(error, 300))
        return model


def drawn(values: np.ndarray) -> np.ndarray:
    return teaching.shades(values, signed=True)


def controls(found: list[network.Layer], index: int) -> tuple[str, str, str]:
    """The keys of the controls of a layer: its map, row and column."""
    maps, height, width = found[index].values.shape
    return f"map {index} {maps}", f"row {index} {height}", f"column {index} {width}"


def show(run: str, found: list[network.Layer], index: int, number: int, row: int, column: int) -> None:
    """Choose a cell of another layer, the nearest one that it has."""
    st.session_state[f"layer {run}"] = index
    for key, place, side in zip(controls(found, index), (number, row, column), found[index].values.shape, strict=True):
        if side > 1:
            st.session_state[key] = min(max(place, 0), side - 1)


def pick(run: str, found: list[network.Layer], index: int, number: int) -> None:
    """Choose a map of a layer, at its middle."""
    st.session_state[f"layer {run}"] = index
    st.session_state[f"unit {index}"] = number
    if found[index].values.ndim > 1:
        show(run, found, index, number, *(side // 2 for side in found[index].values.shape[1:]))


def where(found: list[network.Layer], index: int, place: int) -> str:
    """In which of the maps that come into a layer a window lies; those of the first layer are the picture itself."""
    if index:
        return tr("Window in map {place}", place=place)
    if len(found[0].given) == len(teaching.COLOURS):
        return tr("Window in the picture's {colour}", colour=tr(teaching.COLOURS[place]))
    return tr("Window in the picture")


def pooled_first(found: list[network.Layer]) -> float | None:
    """The share of a map's numbers that is left for ReLU after the first max pooling that comes before it; None if none does."""
    for before, after in itertools.pairwise(found):
        pooled = before.kind in ("MaxPool2d", "AdaptiveMaxPool2d") and after.kind == "ReLU"
        if pooled and np.array_equal(before.values, after.given):
            return before.values[0].size / before.given[0].size
    return None


def follow(run: str, found: list[network.Layer], index: int, picture: np.ndarray) -> None:
    """One number of a layer, back to where it comes from."""
    layer = found[index]
    maps, height, width = layer.values.shape
    map_key, row_key, column_key = controls(found, index)
    st.subheader(tr("Follow one number"), anchor=False)
    first, second, third = st.columns(3)
    number = int(
        first.number_input(
            tr("Feature map"),
            0,
            maps - 1,
            0,
            key=map_key,
        )
    )
    row = second.slider(tr("Row"), 0, height - 1, height // 2, key=row_key) if height > 1 else 0
    column = third.slider(tr("Column"), 0, width - 1, width // 2, key=column_key) if width > 1 else 0
    value = float(layer.values[number, row, column])
    grow = max(1, 240 // max(height, width))
    left, right = st.columns(2)
    with left:
        cells(
            teaching.framed(drawn(layer.values[number]), row, column, 1, grow=grow), layer.values[number], (row, column),
            (row_key, column_key), tr("The map with its cell; tap or point at another one, or use the arrow keys"), 260,
        )  # fmt: skip
    left.caption(
        tr(
            "Map {number} of this layer; at row {row}, column {column} it is **{value:.3f}**.",
            number=number,
            row=row,
            column=column,
            value=value,
        )
    )
    if seen := network.receptive_field(found, index, row, column):
        *_, tall, wide = seen
        window = teaching.framed(picture, *seen, grow=max(1, 240 // picture.shape[0]))
        thumbnails.image(window, tr("What it sees of the picture"), 260, at=right)
        right.caption(
            tr("Of the picture it can see {tall} × {wide} pixels (its receptive field).", tall=tall, wide=wide)
        )
    else:
        right.caption(tr("Several ways lead here from the picture, so what it sees of it is not one window."))
    came, before = network.origin(layer, number, row, column), network.source(found, index)

    def back(place: int, top: int, left: int) -> None:
        if before is not None:
            st.button(
                tr("Go back to that cell"), icon=":material/arrow_back:", key=f"back {place}", on_click=show,
                args=(run, found, before, place, top, left),
            )  # fmt: skip

    if came is None:
        if layer.given.shape == layer.values.shape:
            st.markdown(
                tr(
                    "{kind} makes **{value:.3f}** of **{before:.3f}**, the number at the same place before it.",
                    kind=overview.kind_of(layer),
                    value=value,
                    before=float(layer.given[number, row, column]),
                )
            )
            back(number, row, column)
        elif isinstance(layer.module, torch.nn.Conv2d):
            st.caption(tr("More maps come in than are kept here, so this sum cannot be written out."))
        return
    if came.kernels is None:
        terms = listed(f"{v:.2f}" for v in came.windows[0].flatten())
        st.markdown(
            tr(
                "{kind} takes the window {terms} of the map before it, and gives **{total:.3f}**.",
                kind=overview.kind_of(layer),
                terms=terms,
                total=came.total,
            )
        )
        best = int(came.windows[0].argmax())  # of max pooling the number itself
        down, right = divmod(best, came.windows.shape[-1])
        back(number, came.top + down, came.left + right)
        return
    order = np.argsort(-np.abs(came.sums), kind="stable")
    st.markdown(
        tr(
            "It is a sum over the maps before it, {sums} of them: each window × its kernel, added up, and the bias. "
            "Below it the largest parts:",
            sums=len(came.sums),
        )
        if index
        else tr(
            "It is a sum over the picture's channels, {sums} of them, normalised: each window × its kernel, added up, and the "
            "bias. Below it the largest parts:",
            sums=len(came.sums),
        )
    )
    teaching.formula(
        "y", r"\sum_{c,i,j} w_{cij}\,x_{cij} + b", f"{came.sums.sum():.3f} {came.bias:+.3f}", f"{came.total:.3f}"
    )
    size, dilation = came.windows.shape[-1], layer.module.dilation[0]
    middle = size // 2 * dilation
    first = number // (layer.module.out_channels // layer.module.groups) * len(came.sums)  # map that comes in
    for place in order[:3].tolist():
        one, two, three = st.columns([1, 1, 1])
        one.caption(where(found, index, first + place))
        one.html(teaching.table(came.windows[place]))
        two.caption(tr("× its kernel"))
        two.html(teaching.table(came.kernels[place]))
        with three:
            st.metric(tr("adds"), f"{came.sums[place]:+.3f}")
            back(first + place, came.top + middle, came.left + middle)


teaching.begin(
    tr("A whole network, live"),
    tr(
        "A picture goes in on one side; on the other, probabilities come out. Between them every layer turns "
        "maps into other maps. Choose a layer, then a map and a cell, and follow its number back to the "
        "pixels."
    ),
)
run, model = pickers.model_picker(tr("Network"), first="shapes-seed-cnn")
picture = seen_by(model)
model = of_an_epoch(run, model)
image = to_tensor(picture)
found = network.layers(model.model, model.passport.preprocess.normalise(image.to(model.device)))
probabilities = model.recalled(picture[None])[0]
left, right = st.columns([1, 3])
thumbnails.image(picture, tr("The picture as the network sees it"), 200, at=left)
with right:
    parts.likeliest(model.classes, probabilities)
    if model.passport.temperature != 1:
        st.caption(
            tr(
                "The softmax of the last layer's scores divided by {temperature:.2f}, the temperature that Calibrate found on the page Evaluate.",
                temperature=model.passport.temperature,
            )
        )
at = min(st.session_state.get(f"layer {run.name}", 0), len(found) - 1)
chosen = controls(found, at)[0] if found[at].values.ndim > 1 else f"unit {at}"
overview.show(
    picture, found, class_names(model.classes), probabilities, (at, st.session_state.get(chosen, 0)),
    lambda layer, number: pick(run.name, found, layer, number),
)  # fmt: skip
st.caption(
    tr(
        "The layers side by side, up to {n} maps of each, of plain numbers those farthest from zero. Tap or point at a map to see what feeds it, the thicker a wire the larger its weights; a tap or click chooses it. Orange is above zero, blue below.",
        n=overview.MAPS,
    )
)
if share := pooled_first(found):
    st.caption(
        tr(
            "Here max pooling comes before ReLU. The result is the same as the other way round, for the largest number stays the largest, and ReLU has only {share:.0%} of the numbers to look at.",
            share=share,
        )
    )
titles = [
    f"{i + 1}. {overview.kind_of(layer)}, {' × '.join(map(str, layer.values.shape))}" for i, layer in enumerate(found)
]
index = st.select_slider(tr("Layer"), range(len(found)), 0, format_func=lambda i: titles[i], key=f"layer {run.name}")
layer = found[index]
if layer.values.ndim == 1:
    values = layer.values[:40].tolist()
    names = (
        list(class_names(model.classes)[:40])
        if index == len(found) - 1
        else [tr("unit {i}", i=i) for i in range(len(values))]
    )
    st.html(charts.signed_bars(names, values))
    st.caption(
        tr(
            "{values} numbers: each is a weighted sum of all {size:,} that come in."
            if getattr(layer.module, "bias", None) is None
            else "{values} numbers: each is a weighted sum of all {size:,} that come in, and a bias.",
            values=len(layer.values),
            size=layer.given.size,
        )
        if layer.kind == "Linear"
        else tr("{values} numbers: each is made of the one at the same place before it.", values=len(layer.values))
    )
else:
    shown = layer.values[:SHOWN]
    clicked = thumbnails.tiles(
        [thumbnails.Tile(drawn(values), str(i), tr("Map {i}", i=i), side=96) for i, values in enumerate(shown)],
        f"maps {index}",
        76,
    )
    if clicked is not None:
        st.session_state[controls(found, index)[0]] = clicked
    more = tr(" The first {shown} are shown.", shown=len(shown)) if len(layer.values) > len(shown) else ""
    st.caption(
        tr(
            "Orange is above zero, blue below, white zero. {mean:.0%} of the numbers are zero.{more}",
            mean=(layer.values == 0).mean(),
            more=more,
        )
    )
    follow(run.name, found, index, picture)
teaching.question("network")
teaching.in_pytorch("""
import torch
from torch import nn

network = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1))
maps = []
for layer in network:
    layer.register_forward_hook(lambda layer, given, gave: maps.append(gave))
network(torch.rand(1, 3, 32, 32))
for values in maps:
    print(tuple(values.shape))
""")
teaching.plan(
    tr("Pupils can follow a picture through a network and say what a map, a receptive field and a dense "
"layer are."), 30,
    (
        (tr("What does the first layer look for?"), tr("Edges and colours; several of its maps are outlines.")),
        (tr("Why is so much zero after ReLU?"), tr("Each map looks for one thing, which is in few places.")),
        (tr("Where do the places get lost?"), tr("Pooling forgets the exact place inside each block; what a dense layer gives is no map any more, it has no rows and columns.")),
    ),
)  # fmt: skip
teaching.further("learn_network")
