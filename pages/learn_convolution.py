"""Lesson: what is a convolution? A window slides over a picture; every number of the result can be followed by hand."""

import numpy as np
import streamlit as st

from imgrec.images import fit, open_image
from imgrec.lessons import convolution
from pages import parts

SIDE = 24  # pixels of the lesson's picture: few enough to see each one


def picture() -> np.ndarray:
    """The lesson's picture as grey values 0..1, (SIDE, SIDE)."""
    left, right = st.columns(2)
    source = left.segmented_control(
        "Picture", ("Shape", "Digit", "My own"), default="Shape", required=True, key="lesson_source"
    )
    if source == "My own":
        with right:
            file = parts.upload_box("A picture", "lesson_file", many=False)
        if file is None:
            st.info("Choose a picture to go on.")
            st.stop()
        try:
            return fit(open_image(file.getvalue(), file.name), SIDE, 1)[..., 0] / 255
        except ValueError as error:
            st.error(parts.text(error, 300))
            st.stop()
    name = "shapes:difficulty=0.2" if source == "Shape" else "digits"
    dataset = parts.open_dataset(name, SIDE)
    number = right.slider("Which one", 0, 29, 3, key="lesson_number")
    return dataset.images[number].mean(2) / 255


def grid(values: np.ndarray, signed: bool = False) -> np.ndarray:
    """Values as a picture: 0..1 grey, or signed with blue below and orange above zero."""
    if not signed:
        return (np.clip(values, 0, 1) * 255).astype(np.uint8)[..., None]
    share = (values / max(np.abs(values).max(), 1e-9))[..., None]
    below, above, white = np.array([0, 114, 178]), np.array([230, 159, 0]), np.array([255, 255, 255])
    return (
        np.where(share < 0, white + (below - white) * -share, white + (above - white) * share).round().astype(np.uint8)
    )


def framed(image: np.ndarray, row: int, column: int, size: int, grow: int = 12) -> np.ndarray:
    """The picture enlarged, with a frame around size×size pixels at (row, column)."""
    image = np.broadcast_to(image, (*image.shape[:2], 3)).repeat(grow, 0).repeat(grow, 1).copy()
    top, left, bottom, right = (max(0, grow * v) for v in (row, column, row + size, column + size))
    frame = image[top:bottom, left:right]
    for edge in (frame[:3], frame[-3:], frame[:, :3], frame[:, -3:]):
        edge[:] = (213, 94, 0)
    return image


st.title("What is a convolution?", anchor=False)
st.write(
    "A convolution slides a small window, the kernel, over a picture. At each place it multiplies the pixels under it by its own "
    "numbers and adds them up. One kernel finds one thing, such as edges; a CNN learns its kernels by itself."
)
pixels = picture()
left, right = st.columns([2, 3])
with left:
    name = st.selectbox("Kernel", list(convolution.KERNELS), key="kernel_name")
    kernel = st.data_editor(convolution.KERNELS[name], key=f"kernel {name}", hide_index=True, num_rows="fixed")
    kernel = np.nan_to_num(np.asarray(kernel, float))
    stride = st.slider("Stride: pixels per move", 1, 3, 1, key="stride")
    padding = st.slider("Padding: zeros around the picture", 0, 2, 1, key="padding")
    activation = st.toggle("Then ReLU: what is below zero becomes zero", key="relu")
    pooling = st.toggle("Then max pooling 2 × 2", key="pool")
side = convolution.output_size(SIDE, 3, stride, padding)
with right:
    row = st.slider("Row of the result", 0, side - 1, side // 2, key="row")
    column = st.slider("Column of the result", 0, side - 1, side // 2, key="column")
    result = convolution.convolve(pixels, kernel, stride, padding)
    padded = np.pad(pixels, padding)
    pictures = st.columns(2)
    pictures[0].image(
        framed(grid(padded), row * stride, column * stride, 3), width="stretch", alt="The picture with the window"
    )
    pictures[0].caption(f"The picture, {SIDE} × {SIDE}, and the window on it")
    pictures[1].image(framed(grid(result, signed=True), row, column, 1), width="stretch", alt="The result")
    pictures[1].caption(f"The result, {side} × {side}: orange above zero, blue below")
step = convolution.window(pixels, kernel, row, column, stride, padding)
st.subheader("Follow one number", anchor=False)
seen, times, products = st.columns(3)
for place, title, values in (
    (seen, "Pixels under the window", step.seen),
    (times, "times the kernel", kernel),
    (products, "gives", step.products),
):
    place.caption(title)
    place.dataframe(np.round(values, 2), hide_index=True)
terms = " ".join(f"{'+' if p >= 0 else '−'} {abs(p):.2f}" for p in step.products.flatten()).removeprefix("+ ")
st.markdown(f"Their sum is the number at row {row}, column {column}: {terms} = **{step.total:.2f}**")
st.latex(
    rf"\text{{size}} = \left\lfloor \frac{{n + 2p - k}}{{s}} \right\rfloor + 1 = "
    rf"\left\lfloor \frac{{{SIDE} + 2\cdot{padding} - 3}}{{{stride}}} \right\rfloor + 1 = {side}"
)
if activation or pooling:
    st.subheader("What comes after", anchor=False)
    stages = [("Convolution", result)]
    if activation:
        stages.append(("ReLU", convolution.relu(stages[-1][1])))
    if pooling:
        stages.append(("Max pooling", convolution.max_pool(stages[-1][1])))
    parts.tiles(
        [parts.Tile(grid(v, signed=True), f"{n}, {v.shape[0]} × {v.shape[1]}") for n, v in stages],
        "stages",
        200,
        clickable=False,
    )
    st.caption("ReLU keeps what the kernel was looking for; pooling keeps that it was there and forgets exactly where.")
with st.expander("The same in PyTorch"):
    st.code(
        "import torch\nfrom torch.nn import functional\n\n"
        f"kernel = torch.tensor({kernel.tolist()})\n"
        f"result = functional.conv2d(picture[None, None], kernel[None, None], stride={stride}, padding={padding})"
        + ("\nresult = functional.relu(result)" if activation else "")
        + ("\nresult = functional.max_pool2d(result, 2)" if pooling else ""),
        language="python",
    )
