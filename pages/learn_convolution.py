"""Lesson: what is a convolution? A window slides over a picture; every number of the result can be followed by hand."""

import math
from dataclasses import dataclass

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from torch import nn

from imgrec import snapshots
from imgrec.language import mark, plural, tr
from imgrec.lessons import convolution
from imgrec.lessons.pooling import pool
from imgrec.runs import usable_runs
from pages import pickers, sharing, teaching, thumbnails
from pages.cells import cells

SIDE = 24  # pixels of the lesson's picture: few enough to see each one
LEARNED = mark("Learned by a network")
LARGEST = 11  # pixels of a learned kernel's side; AlexNet has such large ones
FIRST = "shapes-seed-cnn"  # comes along, and learned its first layer; others may have computed theirs
MAPS = 32  # of a layer that a kernel by hand is imagined in
MOST_TERMS = 27  # that a sum is written out with: 3 × 3 in three channels


@dataclass(frozen=True)
class Chosen:
    """A kernel, (k, k), or (3, k, k) for a picture in colour, and the layer it is of: how many maps that makes, whether each
    has a bias, and whether it is a network's."""

    kernel: np.ndarray
    maps: int = MAPS
    bias: bool = True
    learned: bool = False


def chosen_kernel(more: DeltaGenerator) -> Chosen:
    """A kernel to pick or to edit, or a learned one; ``more``: where a control stands that is rarely used."""
    name = st.selectbox(tr("Kernel"), [*convolution.KERNELS, LEARNED], key="kernel_name", format_func=tr)
    if name == LEARNED:
        return learned()
    kernel = edited(name)
    colour = more.toggle(
        tr("In colour"),
        key="in_colour",
        help=tr("The same kernel on each of the three channels; their sums are added up."),
    )
    return Chosen(np.stack([kernel] * 3) if colour else kernel)


def edited(name: str) -> np.ndarray:
    """A kernel's numbers (k, k) in a table where they can be changed; a change outlasts leaving the lesson and is shared."""
    known, table, cells = convolution.KERNELS[name], f"kernel {name}", f"kernel_cells {name}"
    if table not in st.session_state:  # or the table would take its changes for changes of what it began with
        kept = st.session_state.get(cells, ())
        st.session_state["kernel_begun"] = np.reshape(kept, known.shape) if len(kept) == known.size else known
    with st.container(key=cells):
        kernel = st.data_editor(st.session_state["kernel_begun"], key=table, hide_index=True, num_rows="fixed")
    kernel = np.nan_to_num(np.asarray(kernel, float))
    st.session_state[cells] = kernel.flatten().tolist()
    if not np.array_equal(kernel, known):
        st.button(
            tr("Take the changes back"), icon=":material/undo:", key="kernel_back", on_click=forget_edits, args=(name,)
        )
    return kernel


def forget_edits(name: str) -> None:
    """A kernel has its own numbers again."""
    st.session_state["kernel_begun"] = convolution.KERNELS[name]
    for key in (f"kernel {name}", f"kernel_cells {name}"):
        st.session_state.pop(key, None)


def learned() -> Chosen:
    """A kernel of the first layer of a network; grey ones are (k, k)."""
    names = sorted((run.name for run in usable_runs()), key=lambda name: name != FIRST)  # else the newest comes first
    name = st.selectbox(tr("The trained network"), names, key="kernel_run", format_func=pickers.run_labels(names))
    model = (pickers.network(name) or st.stop()).model
    filters = snapshots.first_filters(model)
    if filters is None or filters.shape[1] > LARGEST:
        st.info(tr("The first layer of this network is no convolution; choose another one."))
        st.stop()
    number = st.slider(tr("Which one"), 0, len(filters) - 1, 0, key=f"kernel_filter {len(filters)}") if len(filters) > 1 else 0  # fmt: skip
    thumbnails.image(snapshots.drawn(filters[number]), tr("The kernel; grey is zero"), 120)
    st.caption(
        tr("Nobody wrote it down: training found it. (The network also normalises the picture, and adds a bias.)")
        if snapshots.learned(model)
        else tr(
            "Nobody wrote it down: it was computed from the training pictures, as a direction in which they differ. (The network also normalises the picture, and adds a bias.)"
        )
    )
    kernel = filters[number].transpose(2, 0, 1).astype(float)
    layer = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
    return Chosen(kernel if len(kernel) == 3 else kernel[0], len(layer.weight), layer.bias is not None, learned=True)


def layer_of(chosen: Chosen, inputs: int, places: int) -> None:
    """How many weights a layer of such kernels has, beside a dense one from as many ``inputs`` to its maps of ``places``."""
    shape = chosen.kernel.shape if chosen.kernel.ndim == 3 else (1, *chosen.kernel.shape)
    channels, size, _ = shape
    weights = chosen.maps * math.prod(shape) + chosen.maps * chosen.bias
    counted = (
        f"{chosen.maps} × ({size} × {size} × {channels}){f' + {chosen.maps}' if chosen.bias else ''} = {weights:,}"
    )
    st.caption(
        tr(
            "Each kernel makes a map of its own. The first layer of this network has {maps} kernels, so {maps} maps, and {counted} weights.",
            maps=chosen.maps,
            counted=counted,
        )
        if chosen.learned
        else tr(
            "Each kernel makes a map of its own. A layer of {maps} such kernels makes {maps} maps and has {counted} weights: those of the kernels, and a bias for each.",
            maps=chosen.maps,
            counted=counted,
        )
    )
    outputs = chosen.maps * places
    st.caption(
        tr(
            "All places share these weights. A dense layer from the same {inputs:,} numbers to the same {outputs:,} has a weight for every pair of them: {dense:,}.",
            inputs=inputs,
            outputs=outputs,
            dense=inputs * outputs,
        )
    )


def in_lines(terms: list[str], each: int = 2) -> str:
    """A sum as LaTeX that is broken into lines after so many of its terms, for one that is cut off tells the wrong result."""
    lines = (" + ".join(terms[start : start + each]) for start in range(0, len(terms), each))
    return r" \\[.2em] & \quad + ".join(lines)


def follow(step: convolution.Window, kernel: np.ndarray) -> None:
    """How one number of the result comes about: the window, times the kernel, added up over all channels."""
    st.subheader(tr("Follow one number"), anchor=False)
    layers = zip(*(array.reshape(-1, *kernel.shape[-2:]) for array in (step.seen, kernel, step.products)), strict=True)
    for channel, layer in zip(teaching.COLOURS if kernel.ndim == 3 else ("",), layers, strict=True):
        titles = (tr("Pixels under the window"), tr("times the kernel"), tr("gives"))
        with st.container(horizontal=True, gap="medium"):
            for number, (title, values) in enumerate(zip(titles, layer, strict=True)):
                with st.container(width="content", gap="xxsmall"):
                    st.caption(f"{title} ({tr(channel)})" if channel and not number else title)
                    st.html(teaching.table(values, white=not number))
    added = step.products.flatten() if step.products.size <= MOST_TERMS else step.products.sum((-2, -1)).flatten()
    terms = " ".join(f"{'+' if p >= 0 else '−'} {abs(p):.2f}" for p in added).removeprefix("+ ")
    exact = abs(added.round(2).sum() - round(step.total, 2)) < 0.005
    st.markdown(
        tr(
            "Their sum is the number at row {row}, column {column}: {terms} {equals} **{total:.2f}**",
            row=row,
            column=column,
            terms=terms,
            equals="=" if exact else "≈",
            total=step.total,
        )
    )


teaching.begin(
    tr("What is a convolution?"),
    tr(
        "A convolution slides a small window, the kernel, over a picture. At each place it multiplies the "
        "pixels under it by its own numbers and adds them up. One kernel finds one thing, such as edges; a "
        "CNN learns its kernels by itself."
    ),
)
left, right = st.columns([2, 3])  # what is seen comes first, what is set below: all of it fits a projector
chosen = st.container(horizontal=True, gap="medium")
after = st.container(horizontal=True, gap="medium")
opened = st.session_state.setdefault("convolution_more", st.session_state.get("lesson_source") == sharing.OWN)
more = st.expander(tr("More settings"), icon=":material/tune:", expanded=opened)
with left:
    found = chosen_kernel(more)
kernel = found.kernel
with more:
    dilation = st.slider(tr("Dilation: the kernel's numbers lie so many pixels apart"), 1, 3, 1, key="dilation")
    image = teaching.picture(SIDE, 3)
stride = chosen.slider(tr("Stride: pixels per move"), 1, 3, 1, key="stride")
padding = chosen.slider(tr("Padding: zeros around the picture"), 0, 2, 1, key="padding")
activation = after.toggle(tr("Then ReLU: what is below zero becomes zero"), key="relu")
pooling = after.toggle(tr("Then max pooling 2 × 2"), key="pool")
pixels = (image.mean(2) if kernel.ndim == 2 else image.transpose(2, 0, 1)) / 255
pixels = pixels.round(2)  # so that the numbers on the page are the numbers that are added up
size, wide = kernel.shape[-1], convolution.reach(kernel.shape[-1], dilation)
side = convolution.output_size(SIDE, size, stride, padding, dilation)
if side < 2:
    st.info(tr("The window of {wide} × {wide} pixels hardly fits on the picture; take less dilation.", wide=wide))
    st.stop()
result = convolution.convolve(pixels, kernel, stride, padding, dilation)
with right:
    both = st.container(horizontal=True, gap="small")  # side by side on a phone, too
    seen, made = both.container(), both.container()
    first = convolution.strongest(result)
    places = st.container(horizontal=True, gap="medium")
    row = places.slider(tr("Row of the result"), 0, side - 1, first[0], key=f"row {side}")
    column = places.slider(tr("Column of the result"), 0, side - 1, first[1], key=f"column {side}")
    padded = np.pad(image if kernel.ndim == 3 else teaching.shades(pixels), [(padding, padding)] * 2 + [(0, 0)])
    thumbnails.image(
        teaching.framed(padded, row * stride, column * stride, wide), tr("The picture with the window"), at=seen
    )
    seen.caption(tr("The picture, {side} × {side}, and the window on it", side=SIDE))
    with made:
        cells(
            teaching.framed(teaching.shades(result, signed=True), row, column, 1), result, (row, column),
            (f"row {side}", f"column {side}"), tr("The result; tap or point at a number of it, or use the arrow keys"),
        )  # fmt: skip
    made.caption(tr("The result, {side} × {side}: orange above zero, blue below", side=side))
if padding:
    right.caption(tr("At the rim the window meets the zeros around the picture, and takes them for an edge."))
step = convolution.window(pixels, kernel, row, column, stride, padding, dilation)
follow(step, kernel)
st.caption(
    tr("Strictly speaking this is cross-correlation: the kernel is not flipped. Deep learning calls it convolution.")
)
teaching.formula(
    rf"\text{{{tr('size')}}}", r"\left\lfloor \frac{n + 2p - d\,(k - 1) - 1}{s} \right\rfloor + 1",
    rf"\left\lfloor \frac{{{SIDE} + 2\cdot{padding} - {dilation}\cdot{size - 1} - 1}}{{{stride}}} \right\rfloor + 1", str(side),
)  # fmt: skip
layer_of(found, pixels.size, result.size)
st.caption(
    tr(
        "Where the picture moves by {pixels}, the map moves by one cell, but for its rim: that is equivariance. Invariance, where the answer stays the same wherever the thing is, comes later, from pooling and from training.",
        pixels=plural("{n:,} pixel", "{n:,} pixels", stride),
    )
)
if activation or pooling:
    st.subheader(tr("What comes after"), anchor=False)
    stages = [(tr("Convolution"), result)]
    if activation:
        stages.append(("ReLU", convolution.relu(stages[-1][1])))
    if pooling:
        stages.append((tr("Max pooling"), pool(stages[-1][1])))
    thumbnails.tiles(
        [thumbnails.Tile(teaching.shades(v, signed=True), f"{n}, {v.shape[0]} × {v.shape[1]}") for n, v in stages],
        "stages",
        200,
        clickable=False,
    )
    st.caption(
        tr("ReLU keeps what the kernel was looking for; pooling keeps that it was there and forgets exactly where.")
    )
st.subheader(tr("Receptive field"), anchor=False)
left, right = st.columns([3, 2])
layers = left.slider(tr("Such convolutions, one after another"), 1, 5, 2, key="field_layers")
field = convolution.receptive_field(layers, size, stride, dilation)
with left:
    terms = [rf"{dilation}\cdot{size - 1}\cdot{stride**layer}" for layer in range(layers)]
    teaching.formula("r", rf"1 + \sum_{{l=0}}^{{{layers - 1}}} d\,(k - 1)\,s^l", f"1 + {in_lines(terms)}", str(field))
left.markdown(
    tr(
        "Through all of them one number in the middle sees **{field} × {field}** pixels of the picture. So a deep network "
        "of small kernels sees whole things.",
        field=field,
    )
    if field <= SIDE
    else tr("Through all of them one number sees {field} × {field} pixels: more than the picture has.", field=field)
)
middle = (SIDE - field) // 2
thumbnails.image(teaching.framed(image, middle, middle, field), tr("What one number sees"), 240, at=right)
teaching.question("convolution")
teaching.in_pytorch(
    "import torch\nfrom torch.nn import functional\n\n"
    f"window = torch.tensor({step.seen.round(2).tolist()})  # {tr('the pixels under it')}\n"
    f"picture = torch.rand({', '.join(map(str, pixels.shape))})\n"
    f"kernel = torch.tensor({kernel.round(3).tolist()})\n"
    f"print((window * kernel).sum())  # {tr('one number of the result')}\n"
    f"result = functional.conv2d(picture[{'None' if kernel.ndim == 3 else 'None, None'}], "
    f"kernel[{'None' if kernel.ndim == 3 else 'None, None'}], stride={stride}, padding={padding}, dilation={dilation})"
    + ("\nresult = functional.relu(result)" if activation else "")
    + ("\nresult = functional.max_pool2d(result, 2)" if pooling else "")
    + "\nprint(result.shape)"
)
teaching.plan(
    tr("Pupils can compute one number of a convolution by hand, and say what stride and padding do."), 25,
    (
        (tr("Which kernel finds edges that go up and down?"), tr("Edges, vertical: left and right of such an edge the pixels differ.")),
        (tr("What does the kernel Identity do?"), tr("It hands the picture on: only the pixel in the middle counts, once.")),
        (tr("Why is the result smaller without padding?"), tr("The window must not leave the picture.")),
        (tr("How many numbers does a 3 × 3 kernel have for a picture in colour?"), tr("27: nine for each of the three channels.")),
        (tr("What do two 3 × 3 convolutions see that one does not?"), tr("5 × 5 pixels of the picture instead of 3 × 3.")),
    ),
)  # fmt: skip
teaching.further("learn_convolution")
