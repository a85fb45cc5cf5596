"""Lesson: optimisers race. Four ways down a landscape; the learning rate too small, right, and too big."""

import streamlit as st

from imgrec import charts
from imgrec.language import tr
from imgrec.lessons import optimisers
from pages import parts, teaching

teaching.begin(
    tr("Four ways down: optimisers race"),
    tr(
        "The loss of a network is a landscape over all its weights. Here are landscapes with two weights, so "
        "that they can be seen. Each racer knows only the slope under its feet."
    ),
)
left, right = st.columns([1, 2])
with left:
    name = st.selectbox(
        tr("Landscape"),
        list(optimisers.SURFACES),
        1,
        format_func=lambda key: tr(optimisers.SURFACES[key].title),
        key="surface",
    )
    surface = optimisers.SURFACES[name]
    st.caption(tr(surface.help))
    rate = st.select_slider(
        tr("Learning rate"), (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.5), 0.1, key="race_rate"
    )
    steps = st.slider(tr("Steps"), 1, 100, 30, key="race_steps")
    noise = st.slider(
        tr("Noise of small batches"),
        0.0,
        2.0,
        0.0,
        0.1,
        key="race_noise",
        help=tr("A batch sees only some pictures, so its slope is a little wrong."),
    )
    racers = st.multiselect(
        tr("Who runs"), list(optimisers.RACERS), list(optimisers.RACERS), key="racers", format_func=tr
    )
paths = {racer: optimisers.path(surface, racer, rate, steps, noise) for racer in racers}
axis, heights = optimisers.heights(surface)
with right:
    fates = {racer: optimisers.fate(surface, passed) for racer, passed in paths.items()}
    told = ", ".join(f"{tr(racer)}: {tr(fate)}" for racer, fate in fates.items())
    parts.chart(
        charts.race(axis, heights, paths, surface.lowest),
        "race",
        tr("After {steps} steps: {told}", steps=steps, told=told),
    )
st.dataframe(
    [
        {tr("racer"): tr(racer), tr("after"): tr(fates[racer]), "x": round(float(p[-1, 0]), 3), "y": round(float(p[-1, 1]), 3), tr("height"): round(float(p[-1, 2]), 4)}
        for racer, p in paths.items()
    ],
    hide_index=True,
)  # fmt: skip
if paths:
    low = min(float(p[:, 2].min()) for p in paths.values())
    lines = {racer: (p[:, 2] - min(low, 0)).clip(1e-6, 1e6).tolist() for racer, p in paths.items()}
    parts.chart(
        charts.falling(lines, "step", "height", logarithmic=True), "race_heights", tr("Height by step for each racer")
    )
st.latex(
    r"\text{gradient descent: } w \leftarrow w - \eta \, g \qquad \text{momentum: } v \leftarrow 0.9\,v + g, \; w \leftarrow w - \eta\, v"
)
st.latex(
    r"\text{Adam: } m \leftarrow 0.9\,m + 0.1\,g,\; s \leftarrow 0.999\,s + 0.001\,g^2,\; w \leftarrow w - \eta \, \frac{\hat m}{\sqrt{\hat s} + \varepsilon}"
)
teaching.question("optimisers")
teaching.in_pytorch(f"""
import torch

place = torch.tensor({list(surface.start)}, requires_grad=True)
optimiser = torch.optim.Adam([place], lr={rate})
for step in range({steps}):
    x, y = place
    height = 0.1 * x**2 + 2.5 * y**2  # the ravine
    optimiser.zero_grad()
    height.backward()
    optimiser.step()
    print(step, place.tolist(), height.item())
""")
teaching.plan(
    tr("Pupils can say what the learning rate does and why momentum helps."), 20,
    (
        (tr("What does a rate that is too small do?"), tr("It arrives, but late; after the steps it is still on its way.")),
        (tr("And too big?"), tr("It jumps over the valley, higher each time, and flies off.")),
        (tr("Why does Adam move equally fast on flat and steep ground?"), tr("It divides by the size of the slopes it has seen.")),
    ),
)  # fmt: skip
teaching.further("learn_optimisers")
