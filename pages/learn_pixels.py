"""Lesson: a picture is numbers. Channels, values, and what normalisation does to them."""

import streamlit as st

from imgrec import charts
from imgrec.language import tr
from imgrec.lessons import pixels
from pages import parts, teaching, thumbnails

SIDE, WINDOW = 32, 8

teaching.begin(
    tr("A picture is numbers"),
    tr(
        "A computer sees no cat and no circle, only numbers: how red, how green and how blue each small "
        "square is, from 0 to 255. All that a network will ever know of a picture is in them."
    ),
)
picture = teaching.picture(SIDE)
thumbnails.tiles(
    [thumbnails.Tile(picture, tr("the picture, {side} × {side}", side=SIDE), side=192)]
    + [thumbnails.Tile(pixels.channel(picture, c), tr("{name} alone", name=tr(name)), side=192) for c, name in enumerate(teaching.COLOURS)],
    "channels", 130, clickable=False,
)  # fmt: skip
st.subheader(tr("Read the numbers"), anchor=False)
left, right = st.columns([1, 2])
with left:
    name = st.segmented_control(
        tr("Channel"), teaching.COLOURS, default="red", required=True, key="pixel_channel", format_func=tr
    )
    row = st.slider(tr("Down"), 0, SIDE - WINDOW, (SIDE - WINDOW) // 2, key="pixel_row")
    column = st.slider(tr("Across"), 0, SIDE - WINDOW, (SIDE - WINDOW) // 2, key="pixel_column")
    framed = teaching.framed(picture, row, column, WINDOW, grow=8)
    thumbnails.image(framed, tr("The picture with the window"), 256)
number = teaching.COLOURS.index(name)
with right:
    seen = pixels.cut(picture, row, column, WINDOW)[..., number]
    st.html(teaching.table(seen.astype(float), 0, white=255))
    st.caption(
        tr(
            "How {name} each of the {window} pixels in the frame is: 0 is none, 255 is all there can be.",
            name=tr(name),
            window=WINDOW * WINDOW,
        )
    )
    total = picture.size
    st.markdown(
        tr(
            "{side} rows × {side} columns × 3 channels = **{total:,} numbers** for this small picture.",
            side=SIDE,
            total=total,
        )
    )
st.subheader(tr("Normalise"), anchor=False)
st.markdown(
    tr(
        "Networks learn best from numbers around 0. So every value x is divided by 255, then the mean is "
        "taken off, then the result is divided by the standard deviation of the channel. Here these are the picture's own; "
        "in training they are those of all training pictures."
    )
)
values = picture[..., number] / 255
mean, spread = (float(v[number]) for v in pixels.statistics(picture[None]))  # another picture begins with its own
left, right = st.columns(2)
mean = left.slider(tr("Mean"), 0.0, 1.0, round(mean, 2), 0.01, key=f"pixel_mean {name} {mean:.2f}")
deviation = right.slider(
    tr("Standard deviation"),
    0.05,
    1.0,
    min(1.0, max(0.05, round(spread, 2))),
    0.01,
    key=f"pixel_deviation {name} {spread:.2f}",
)
after = pixels.normalise(values, mean, deviation)
with left:
    parts.chart(
        charts.histogram(values.flatten().tolist(), tr("before, 0 to 1")),
        "before",
        tr("Histogram of the values before"),
    )
with right:
    parts.chart(
        charts.histogram(after.flatten().tolist(), tr("after normalising")),
        "after",
        tr("Histogram of the values after"),
    )
first = float(seen[0, 0])
teaching.formula(
    "x'", rf"\frac{{x / 255 - \text{{{tr('mean')}}}}}{{\text{{{tr('standard deviation')}}}}}",
    rf"\frac{{{first:.0f} / 255 - {mean:.2f}}}{{{deviation:.2f}}}", f"{(first / 255 - mean) / deviation:.2f}",
)  # fmt: skip
st.caption(
    tr("After: mean {mean:+.2f}, standard deviation {std:.2f}.", mean=round(after.mean(), 2) + 0.0, std=after.std())
)
teaching.question("pixels")
teaching.in_pytorch(f"""
import torch

picture = torch.randint(0, 256, ({SIDE}, {SIDE}, 3), dtype=torch.uint8)  # {tr("rows, columns, channels")}
values = picture.float() / 255
mean, deviation = values.mean((0, 1)), values.std((0, 1), correction=0)
normalised = (values - mean) / deviation
batch = normalised.permute(2, 0, 1)[None]  # {tr("PyTorch wants (pictures, channels, rows, columns)")}
print(batch.shape, batch.mean(), batch.std())
""")
teaching.plan(
    tr("Pupils can say what a pixel, a channel and normalisation are, and count the numbers of a picture."), 15,
    (
        (tr("How many numbers is a colour photo of 224 × 224 pixels?"), tr("224 × 224 × 3 = 150,528: one for each pixel and channel.")),
        (tr("Which channel of a ripe tomato is brightest?"), tr("Red; blue is nearly black.")),
        (tr("Which three numbers are white?"), "255, 255, 255."),
        (tr("Why take the mean off?"), tr("If all inputs are positive, the gradients of a unit's weights all have the same sign, and it learns slowly; around 0 they do not.")),
    ),
)  # fmt: skip
teaching.further("learn_pixels")
