"""Lesson: what is a convolution? A window slides over a picture; every number of the result can be followed by hand."""

import numpy as np
import streamlit as st

from imgrec.language import tr
from imgrec.lessons import convolution
from pages import parts, teaching

SIDE = 24  # pixels of the lesson's picture: few enough to see each one


teaching.begin(
    tr("What is a convolution?"),
    tr(
        "A convolution slides a small window, the kernel, over a picture. At each place it multiplies the "
        "pixels under it by its own numbers and adds them up. One kernel finds one thing, such as edges; a "
        "CNN learns its kernels by itself."
    ),
)
pixels = teaching.picture(SIDE, 1)[..., 0] / 255
left, right = st.columns([2, 3])
with left:
    name = st.selectbox(tr("Kernel"), list(convolution.KERNELS), key="kernel_name", format_func=tr)
    kernel = st.data_editor(convolution.KERNELS[name], key=f"kernel {name}", hide_index=True, num_rows="fixed")
    kernel = np.nan_to_num(np.asarray(kernel, float))
    stride = st.slider(tr("Stride: pixels per move"), 1, 3, 1, key="stride")
    padding = st.slider(tr("Padding: zeros around the picture"), 0, 2, 1, key="padding")
    activation = st.toggle(tr("Then ReLU: what is below zero becomes zero"), key="relu")
    pooling = st.toggle(tr("Then max pooling 2 × 2"), key="pool")
side = convolution.output_size(SIDE, 3, stride, padding)
with right:
    row = st.slider(tr("Row of the result"), 0, side - 1, side // 2, key="row")
    column = st.slider(tr("Column of the result"), 0, side - 1, side // 2, key="column")
    result = convolution.convolve(pixels, kernel, stride, padding)
    padded = np.pad(pixels, padding)
    pictures = st.columns(2)
    pictures[0].image(
        teaching.framed(teaching.shades(padded), row * stride, column * stride, 3),
        width="stretch",
        alt=tr("The picture with the window"),
    )
    pictures[0].caption(tr("The picture, {side} × {side}, and the window on it", side=SIDE))
    pictures[1].image(
        teaching.framed(teaching.shades(result, signed=True), row, column, 1), width="stretch", alt=tr("The result")
    )
    pictures[1].caption(tr("The result, {side} × {side}: orange above zero, blue below", side=side))
step = convolution.window(pixels, kernel, row, column, stride, padding)
st.subheader(tr("Follow one number"), anchor=False)
seen, times, products = st.columns(3)
for place, title, values in (
    (seen, tr("Pixels under the window"), step.seen),
    (times, tr("times the kernel"), kernel),
    (products, tr("gives"), step.products),
):
    place.caption(title)
    place.dataframe(np.round(values, 2), hide_index=True)
terms = " ".join(f"{'+' if p >= 0 else '−'} {abs(p):.2f}" for p in step.products.flatten()).removeprefix("+ ")
st.markdown(
    tr(
        "Their sum is the number at row {row}, column {column}: {terms} = **{total:.2f}**",
        row=row,
        column=column,
        terms=terms,
        total=step.total,
    )
)
st.latex(
    rf"\text{{size}} = \left\lfloor \frac{{n + 2p - k}}{{s}} \right\rfloor + 1 = "
    rf"\left\lfloor \frac{{{SIDE} + 2\cdot{padding} - 3}}{{{stride}}} \right\rfloor + 1 = {side}"
)
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
teaching.question("convolution")
teaching.in_pytorch(
    "import torch\nfrom torch.nn import functional\n\n"
    f"picture = torch.rand({SIDE}, {SIDE})\n"
    f"kernel = torch.tensor({kernel.tolist()})\n"
    f"result = functional.conv2d(picture[None, None], kernel[None, None], stride={stride}, padding={padding})"
    + ("\nresult = functional.relu(result)" if activation else "")
    + ("\nresult = functional.max_pool2d(result, 2)" if pooling else "")
    + "\nprint(result.shape)"
)
teaching.plan(
    tr("Pupils can compute one number of a convolution by hand, and say what stride and padding do."), 25,
    (
        (tr("Which kernel finds edges that go up and down?"), tr("Edges, vertical: left and right of such an edge the pixels differ.")),
        (tr("What does the kernel Nothing do?"), tr("It hands the picture on: only the pixel in the middle counts, once.")),
        (tr("Why is the result smaller without padding?"), tr("The window must not leave the picture.")),
    ),
)  # fmt: skip
teaching.further("learn_convolution")
