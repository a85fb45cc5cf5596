"""Lesson: activation and pooling. What is lost, and what a shift does to it."""

import re

import numpy as np
import streamlit as st

from imgrec import charts
from imgrec.language import listed, tr
from imgrec.lessons import convolution, pooling
from pages import parts, teaching, thumbnails
from pages.cells import cells

SIDE = 24
FAR = tuple(range(-8, 9))  # pixels of a shift that are drawn

teaching.begin(
    tr("Keep what matters: activation and pooling"),
    tr(
        "A convolution says how strongly its pattern is there, with a number for each place, also below "
        "zero. The activation drops what is not there; pooling keeps one number of each small block, so the "
        "map shrinks and small shifts matter less."
    ),
)
picture = teaching.picture(SIDE, 1)[..., 0] / 255
name = st.selectbox(tr("Kernel before it"), list(convolution.KERNELS), key="pool_kernel", format_func=tr)
found = pooling.convolved(picture, convolution.KERNELS[name])
st.subheader(tr("Activation"), anchor=False)
left, right = st.columns([2, 3])
with left:
    chosen = st.selectbox(
        tr("Function"),
        list(pooling.ACTIVATIONS),
        format_func=lambda key: tr(pooling.ACTIVATIONS[key].title),
        key="activation",
    )
    row = pooling.ACTIVATIONS[chosen]
    at = st.slider("x", -4.0, 4.0, -1.5, 0.1, key="activation_at")
    st.caption(tr(row.help))
    value = float(row.work(np.array(at)))
    teaching.formula("f(x)", row.formula)
    teaching.formula(rf"f({at:.1f})", f"{value:.3f}")
with right:
    x = np.linspace(-4, 4, 161)
    lines = {tr("x itself"): (x.tolist(), x.tolist()), row.title: (x.tolist(), row.work(x).tolist())}
    parts.chart(
        charts.functions(lines, (at, value), "x", "f(x)"),
        "activation_curve",
        tr("{title} from −4 to 4", title=row.title),
    )
active = row.work(found)
st.subheader(tr("Pooling, number by number"), anchor=False)
left, right = st.columns(2)
size = left.segmented_control(tr("Block"), (2, 3, 4), default=2, required=True, key="pool_size")
kind = right.segmented_control(
    tr("Keep the"), list(pooling.POOLS), default="largest (max)", required=True, key="pool_kind", format_func=tr
)
result = pooling.pool(active, size, kind)
side, first = result.shape[0], convolution.strongest(result, 1)
left, right = st.columns(2)
with left:
    down = st.slider(tr("Row of the result"), 0, side - 1, first[0], key=f"pool_row {size}")
with right:
    across = st.slider(tr("Column of the result"), 0, side - 1, first[1], key=f"pool_column {size}")
beside = st.container(horizontal=True, wrap=False, gap="small", key="pool_stages")  # on a phone, too
stages = [beside.container() for _ in range(3)]
for stage, values, words in (
    (stages[0], found, tr("After the convolution")),
    (stages[1], active, tr("After the activation")),
):
    thumbnails.image(teaching.framed(teaching.shades(values, True), down * size, across * size, size), words, at=stage)
stages[0].caption(tr("After the convolution, {side} × {side}", side=SIDE))
stages[1].caption(tr("After {title}: {mean:.0%} of it are zero", title=row.title, mean=(active == 0).mean()))
with stages[2]:
    cells(
        teaching.framed(teaching.shades(result, True), down, across, 1, grow=12 * size), result, (down, across),
        (f"pool_row {size}", f"pool_column {size}"), tr("After pooling; tap or point at a number of it, or use the arrow keys"),
    )  # fmt: skip
stages[2].caption(
    tr("After pooling, {side} × {side}: {size:.0%} of the numbers are left", side=side, size=result.size / active.size)
)
seen = pooling.block(active, down, across, size)
terms = listed(f"{v:.2f}" for v in seen.flatten())
st.markdown(
    tr(
        "Row {down}, column {across}: of {terms} the {kind} is **{result:.2f}**.",
        down=down,
        across=across,
        terms=terms,
        kind=re.split(" ?[(（]", tr(kind))[0],
        result=result[down, across],
    )
)
st.subheader(tr("Shift the picture"), anchor=False)
left, right = st.columns(2)
down_by = left.slider(tr("Pixels down"), -4, 4, 0, key="shift_down")
right_by = right.slider(tr("Pixels to the right"), -4, 4, 1, key="shift_right")
alike = {}
for by in FAR:
    moved = row.work(pooling.convolved(pooling.shifted(picture, down_by, by), convolution.KERNELS[name]))
    alike[by] = pooling.kept(active, moved), pooling.kept(result, pooling.pool(moved, size, kind))
before, after = alike[right_by]
parts.metrics(
    (
        tr("Alike without pooling"),
        f"{before:.0%}",
        tr(
            "How alike the map is before and after the shift: the correlation, 0% for maps that have nothing in common."
        ),
    ),
    (tr("Alike with pooling"), f"{after:.0%}", tr("The same after pooling.")),
)
if down_by % size == right_by % size == 0:
    words = tr(
        "This shift moves whole blocks: the map after pooling moves along by whole cells, and holds the same numbers."
    )
elif after > before:
    words = tr("Pooling forgets exactly where something was; that is why this shift changes less after it.")
else:
    words = tr("Pooling forgets where something was within a block; this shift moved it into other blocks.")
if down_by or right_by:
    st.caption(words)
without, behind = zip(*alike.values(), strict=True)
parts.chart(
    charts.functions(
        {tr("without pooling"): (FAR, without), tr("with pooling"): (FAR, behind)},
        (right_by, after),
        tr("pixels to the right"),
        tr("alike"),
        shares=True,
    ).update_yaxes(range=[min(0, *without, *behind) - 0.02, 1.04]),
    "alike",
    tr("How alike the map stays for every shift, without and with pooling"),
)
teaching.question("pooling")
teaching.in_pytorch(f"""
import torch
from torch.nn import functional

maps = torch.tensor([[{pooling.block(found, down, across, size).round(4).tolist()}]])  # {tr("the block, after the convolution")}
active = functional.{ {"relu": "relu(maps)", "leaky": "leaky_relu(maps, 0.1)", "gelu": "gelu(maps)", "tanh": "tanh(maps)", "sigmoid": "sigmoid(maps)"}[chosen] }
smaller = functional.{"max_pool2d" if "max" in kind else "avg_pool2d"}(active, {size})
print(active, smaller)
""")
teaching.plan(
    tr("Pupils can compute ReLU and max pooling by hand and say what pooling forgets."), 20,
    (
        (
            tr("A block is {numbers} after the convolution. What do {activation} and pooling ({kind}) make of it?", numbers=listed(f"{v:.2f}" for v in pooling.block(found, down, across, size).flatten()), activation=tr(row.title), kind=tr(kind)),
            f"{result[down, across]:.2f}",
        ),
        (tr("Why is something needed between two convolutions?"), tr("Two convolutions in a row are only one larger convolution; the bend in the activation makes more "
"possible.")),
        (tr("What gets lost by pooling?"), tr("The exact place, and with max pooling all values of a block but one.")),
        (tr("When would that be bad?"), tr("When the place matters, as in measuring a distance.")),
    ),
)  # fmt: skip
teaching.further("learn_pooling")
