"""Lesson: optimisers race. Four ways down a landscape; the learning rate too small, right, and too big."""

import copy

import numpy as np
import streamlit as st
import torch

from imgrec import charts
from imgrec.augment import to_tensor
from imgrec.language import listed, mark, tr
from imgrec.lessons import optimisers
from imgrec.runs import open_run
from pages import parts, pickers, teaching

NETWORK, PICTURES, MOST_STEPS = "network", 64, 100
FLOOR = 1e-6  # so near to the lowest nothing more is drawn
FORMULAS = {
    mark("Gradient descent"): r"w - \eta\,g",
    "Momentum": r"w - \eta\,v \\ v &= 0.9\,v + g",
    "RMSprop": r"w - \frac{\eta\,g}{\sqrt{s}} \\ s &= 0.99\,s + 0.01\,g^2",
    "Adam": r"w - \frac{\eta\,\hat m}{\sqrt{\hat s}} \\ m &= 0.9\,m + 0.1\,g, \quad \hat m = \frac{m}{1 - 0.9^t} \\ s &= 0.999\,s + 0.001\,g^2 \\ \hat s & = \frac{s}{1 - 0.999^t}",
}


@st.cache_resource(max_entries=4, show_spinner=False)
def of_network(name: str, changed: int) -> optimisers.Surface:
    """The landscape of a run's network, on pictures it was not trained on, computed on the CPU. Raises ValueError where its
    data set is not here, or has other classes by now."""
    from imgrec.predict import predictor

    model, recipe = predictor(name), open_run(name).recipe
    wanted = model.passport.preprocess
    dataset = pickers.open_dataset(recipe.dataset, wanted.size, wanted.resize)
    place = dataset.indices("validation")[:PICTURES]
    if dataset.classes != model.classes or not len(place):
        raise ValueError(tr("The data set of this run has no validation pictures of its classes any more."))
    images = wanted.normalise(to_tensor(dataset.images[place]))
    untrained = model.passport.build()
    trained = copy.deepcopy(model.model).cpu()
    return optimisers.slice_of(untrained, trained, images, torch.from_numpy(dataset.labels[place]).long())


def landscape(name: str) -> optimisers.Surface:
    """The surface that was chosen; for a network's the visitor chooses a run, or the page says why it cannot be drawn."""
    if name != NETWORK:
        return optimisers.SURFACES[name]
    run, model = pickers.model_picker(tr("Network"), first="digits-seed-cnn")
    weights = sum(values.numel() for values in model.model.parameters())
    if weights > optimisers.MOST_WEIGHTS:
        st.info(tr("This network has {n:,} weights; drawing its landscape would take too long. Choose one of fewer than {most:,}.", n=weights, most=optimisers.MOST_WEIGHTS))  # fmt: skip
        st.stop()
    try:
        with st.spinner(tr("Computing the loss at {n} places …", n=optimisers.POINTS**2)):
            return of_network(run.name, model.changed)
    except ValueError as error:
        st.error(parts.text(error, 400))
        st.stop()


teaching.begin(
    tr("Four ways down: optimisers race"),
    tr(
        "The loss of a network is a landscape over all its weights. Here are landscapes with two weights, so "
        "that they can be seen. Each racer knows only the slope under its feet, and what it remembers of those before."
    ),
)
left, right = st.columns([1, 2])
with left:
    name = st.selectbox(
        tr("Landscape"),
        [*optimisers.SURFACES, NETWORK],
        1,
        format_func=lambda key: tr(optimisers.REAL if key == NETWORK else optimisers.SURFACES[key].title),
        key="surface",
    )
    surface = landscape(name)
    st.caption(tr(surface.help))
    rate = st.select_slider(
        tr("Learning rate"), (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.5), 0.1, key="race_rate"
    )
    steps = st.slider(tr("Number of steps"), 1, MOST_STEPS, 60, key="race_steps")
    noise = st.slider(
        tr("Noise of small batches"),
        0.0,
        2.0,
        0.0,
        0.1,
        key="race_noise",
        help=tr("A batch sees only some pictures, so its slope is a little wrong."),
    )
    racers = st.pills(
        tr("Who runs"), list(optimisers.RACERS), selection_mode="multi", default=list(optimisers.RACERS), key="racers",
        format_func=tr, wrap=True,
    )  # fmt: skip
paths = {racer: optimisers.path(surface, racer, rate, -(-steps // 30) * 30, noise)[: steps + 1] for racer in racers}
axis, heights = optimisers.heights(surface, optimisers.POINTS if name == NETWORK else 81)
with right:
    fates = {racer: optimisers.fate(surface, passed) for racer, passed in paths.items()}
    told = listed(tr("{name}: {value}", name=tr(racer), value=fate) for racer, fate in fates.items())
    parts.chart(
        charts.race(axis, heights, {tr(racer): passed for racer, passed in paths.items()}, surface.lowest),
        "race",
        tr("After {steps} steps: {told}", steps=steps, told=told),
    )
if surface.formula:  # a network's lowest place is nowhere exactly
    steepest = optimisers.curvature(surface)
    teaching.formula(
        rf"\frac{{2}}{{\text{{{tr('curvature')}}}}}", rf"\frac{{2}}{{{steepest:.2f}}}", f"{2 / steepest:.2f}"
    )
    st.caption(
        tr(
            "The limit for plain gradient descent: at the lowest place the slope grows by {curvature:.2f} with each step of "
            "length 1 in the steepest direction. At a higher rate every step there lands higher on the other side. Yours is {rate}.",
            curvature=steepest,
            rate=rate,
        )
    )
teaching.rows(
    {mark("racer"): tr(racer), mark("how it ended"): fates[racer], "x": p[-1, 0], "y": p[-1, 1], mark("height"): p[-1, 2]}
    for racer, p in paths.items()
)  # fmt: skip
if paths:
    lowest = min(0.0, *(float(surface.height(*map(np.array, place))) for place in surface.lowest))
    lowest = min(lowest, *(float(p[:, 2].min()) for p in paths.values()))
    above = {tr(racer): np.minimum(p[:, 2] - lowest, 1e6) for racer, p in paths.items()}
    lines = {racer: np.where(values < FLOOR, np.nan, values).tolist() for racer, values in above.items()}
    parts.chart(
        charts.falling(lines, tr("step"), tr("height above the lowest"), logarithmic=True),
        "race_heights",
        tr("Height by step for each racer"),
    )
st.markdown(tr("The last step of each along x, with η = {rate} and the gradient g:", rate=rate))
for racer, passed in paths.items():
    if len(passed) > 1 and np.isfinite(passed[-2:]).all():
        before, x = passed[-2:, 0]
        teaching.formula(rf"\text{{{tr(racer)}: }} w'", FORMULAS[racer])
        teaching.formula("x'", f"{before:z.3f} {x - before:+z.3f}", f"{x:z.3f}")
if "RMSprop" in paths:
    st.caption(
        tr(
            "RMSprop begins with s = 0, and nothing corrects that, so its first step is ten times the learning rate, whatever the slope. Adam's m̂ and ŝ are that correction."
        )
    )
teaching.question("optimisers")
teaching.in_pytorch(
    f"""
import torch
from torch import nn
from torch.func import functional_call

network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
images, labels = torch.rand(128, 1, 8, 8), torch.randint(10, (128,))
start = {{name: weights.detach().clone() for name, weights in network.named_parameters()}}
along, across = ({{name: torch.randn_like(weights) for name, weights in start.items()}} for _ in range(2))

place = torch.tensor({list(surface.start)}, requires_grad=True)
optimiser = torch.optim.Adam([place], lr={rate})
for step in range({steps} + 1):
    x, y = place
    weights = {{name: start[name] + x * along[name] + y * across[name] for name in start}}
    loss = nn.functional.cross_entropy(functional_call(network, weights, (images,)), labels)
    print(step, place.tolist(), loss.item())
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
"""
    if name == NETWORK
    else f"""
import torch

place = torch.tensor({list(surface.start)}, requires_grad=True)
optimiser = torch.optim.Adam([place], lr={rate})
for step in range({steps} + 1):
    x, y = place
    height = {surface.formula}
    print(step, place.tolist(), height.item())
    optimiser.zero_grad()
    height.backward()
    optimiser.step()
"""
)
teaching.plan(
    tr("Pupils can say what the learning rate does and why momentum helps."), 20,
    (
        (tr("Why does momentum help in the ravine?"), tr("Slopes that change their side cancel each other; those that always point the same way add up, so it gets along the valley faster.")),
        (tr("What does a rate that is too small do?"), tr("It arrives, but late; after the steps it is still on its way.")),
        (tr("And too big?"), tr("It jumps over the valley, higher each time, and flies off.")),
        (tr("Why does Adam move equally fast on flat and steep ground?"), tr("It divides by the size of the slopes it has seen.")),
    ),
)  # fmt: skip
teaching.further("learn_optimisers")
