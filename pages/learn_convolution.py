"""Lesson: what is a convolution? A window slides over a picture; every number of the result can be followed by hand."""

import numpy as np
import streamlit as st

from imgrec import snapshots
from imgrec.language import mark, tr
from imgrec.lessons import convolution
from imgrec.runs import usable_runs
from pages import parts, teaching
from pages.cells import cells

SIDE = 24  # pixels of the lesson's picture: few enough to see each one
LEARNED = mark("Learned by a network")
LARGEST = 11  # pixels of a learned kernel's side; AlexNet has such large ones
MOST_TERMS = 27  # that a sum is written out with: 3 × 3 in three channels


def chosen_kernel() -> np.ndarray:
    """A kernel to pick or to edit, (3, 3), or (3, 3, 3) for a picture in colour; or a learned one, (k, k) or (3, k, k)."""
    name = st.selectbox(tr("Kernel"), [*convolution.KERNELS, LEARNED], key="kernel_name", format_func=tr)
    if name == LEARNED:
        return learned()
    kernel = st.data_editor(convolution.KERNELS[name], key=f"kernel {name}", hide_index=True, num_rows="fixed")
    kernel = np.nan_to_num(np.asarray(kernel, float))
    colour = st.toggle(
        tr("In colour"),
        key="in_colour",
        help=tr("The same kernel on each of the three channels; their sums are added up."),
    )
    return np.stack([kernel] * 3) if colour else kernel


def learned() -> np.ndarray:
    """A kernel of the first layer of a network; grey ones are (k, k)."""
    name = st.selectbox(tr("The trained network"), [run.name for run in usable_runs()], key="kernel_run")
    model = (parts.network(name) or st.stop()).model
    filters = snapshots.first_filters(model)
    if filters is None or filters.shape[1] > LARGEST:
        st.info(tr("The first layer of this network is no convolution; choose another one."))
        st.stop()
    number = st.slider(tr("Which one"), 0, len(filters) - 1, 0, key=f"kernel_filter {len(filters)}") if len(filters) > 1 else 0  # fmt: skip
    parts.image(snapshots.drawn(filters[number]), tr("The kernel; grey is zero"), 120)
    st.caption(
        tr("Nobody wrote it down: training found it. (The network also normalises the picture, and adds a bias.)")
        if snapshots.learned(model)
        else tr(
            "Nobody wrote it down: it was computed from the training pictures, as a direction in which they differ. (The network also normalises the picture, and adds a bias.)"
        )
    )
    kernel = filters[number].transpose(2, 0, 1).astype(float)
    return kernel if len(kernel) == 3 else kernel[0]


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
image = teaching.picture(SIDE, 3)
left, right = st.columns([2, 3])
with left:
    kernel = chosen_kernel()
    stride = st.slider(tr("Stride: pixels per move"), 1, 3, 1, key="stride")
    padding = st.slider(tr("Padding: zeros around the picture"), 0, 2, 1, key="padding")
    dilation = st.slider(tr("Dilation: the kernel's numbers lie so many pixels apart"), 1, 3, 1, key="dilation")
    activation = st.toggle(tr("Then ReLU: what is below zero becomes zero"), key="relu")
    pooling = st.toggle(tr("Then max pooling 2 × 2"), key="pool")
pixels = (image.mean(2) if kernel.ndim == 2 else image.transpose(2, 0, 1)) / 255
pixels = pixels.round(2)  # so that the numbers on the page are the numbers that are added up
size, wide = kernel.shape[-1], convolution.reach(kernel.shape[-1], dilation)
side = convolution.output_size(SIDE, size, stride, padding, dilation)
if side < 2:
    st.info(tr("The window of {wide} × {wide} pixels hardly fits on the picture; take less dilation.", wide=wide))
    st.stop()
result = convolution.convolve(pixels, kernel, stride, padding, dilation)
with right:
    first = convolution.strongest(result)
    row = st.slider(tr("Row of the result"), 0, side - 1, first[0], key=f"row {side}")
    column = st.slider(tr("Column of the result"), 0, side - 1, first[1], key=f"column {side}")
    padded = np.pad(image if kernel.ndim == 3 else teaching.shades(pixels), [(padding, padding)] * 2 + [(0, 0)])
    pictures = st.columns(2)
    parts.image(
        teaching.framed(padded, row * stride, column * stride, wide), tr("The picture with the window"), at=pictures[0]
    )
    pictures[0].caption(tr("The picture, {side} × {side}, and the window on it", side=SIDE))
    with pictures[1]:
        cells(
            teaching.framed(teaching.shades(result, signed=True), row, column, 1), result, (row, column),
            (f"row {side}", f"column {side}"), tr("The result; point at a number of it, or use the arrow keys"),
        )  # fmt: skip
    pictures[1].caption(tr("The result, {side} × {side}: orange above zero, blue below", side=side))
    if padding:
        st.caption(tr("At the rim the window meets the zeros around the picture, and takes them for an edge."))
step = convolution.window(pixels, kernel, row, column, stride, padding, dilation)
follow(step, kernel)
teaching.formula(
    rf"\text{{{tr('size')}}}", r"\left\lfloor \frac{n + 2p - d\,(k - 1) - 1}{s} \right\rfloor + 1",
    rf"\left\lfloor \frac{{{SIDE} + 2\cdot{padding} - {dilation}\cdot({size} - 1) - 1}}{{{stride}}} \right\rfloor + 1", str(side),
)  # fmt: skip
if activation or pooling:
    st.subheader(tr("What comes after"), anchor=False)
    stages = [(tr("Convolution"), result)]
    if activation:
        stages.append(("ReLU", convolution.relu(stages[-1][1])))
    if pooling:
        stages.append((tr("Max pooling"), convolution.max_pool(stages[-1][1])))
    parts.tiles(
        [parts.Tile(teaching.shades(v, signed=True), f"{n}, {v.shape[0]} × {v.shape[1]}") for n, v in stages],
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
    teaching.formula(
        rf"1 + \sum_{{l=0}}^{{{layers - 1}}} d\,(k - 1)\,s^l",
        "1 + " + " + ".join(rf"{dilation}\cdot{size - 1}\cdot{stride**layer}" for layer in range(layers)),
        str(field),
    )
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
parts.image(teaching.framed(image, middle, middle, field), tr("What one number sees"), 240, at=right)
teaching.question("convolution")
teaching.in_pytorch(
    "import torch\nfrom torch.nn import functional\n\n"
    f"window = torch.tensor({step.seen.round(2).tolist()})  # the pixels under it\n"
    f"picture = torch.rand({', '.join(map(str, pixels.shape))})\n"
    f"kernel = torch.tensor({kernel.round(3).tolist()})\n"
    "print((window * kernel).sum())  # one number of the result\n"
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
