"""Lesson: loss and gradient. One training step by hand: forward, loss, backward, update."""

import numpy as np
import streamlit as st

from imgrec import charts
from imgrec.language import mark, tr
from imgrec.lessons import gradient
from imgrec.lessons.softmax import squared_error
from pages import parts, teaching

CLASSES = (mark("cat"), mark("dog"), mark("bird"))
FEATURES = (mark("ears"), mark("wings"), mark("fur"))
WEIGHTS = np.array([[0.5, -0.2, 0.3], [0.1, 0.0, 0.4], [-0.3, 0.2, 0.1]])

teaching.begin(
    tr("How a network learns: one step by hand"),
    tr(
        "Forward: the network answers. The loss says how wrong it was. Backward: the gradient says for every "
        "weight which way makes it worse. The update goes the other way, by a small step. That is all of "
        "training; the rest is repetition."
    ),
)
left, right = st.columns(2)
with left:
    inputs = np.array(
        [
            st.slider(
                tr("{feature} in the picture, from none to plenty", feature=tr(name).capitalize()),
                0.0,
                1.0,
                value,
                0.1,
                key=f"feature_{name}",
            )
            for name, value in zip(FEATURES, (0.9, 0.1, 0.8), strict=True)
        ]
    )
with right:
    target = st.segmented_control(
        tr("It is a"), range(3), format_func=lambda i: tr(CLASSES[i]), default=1, required=True, key="gradient_target"
    )
    rate = st.slider(tr("Learning rate"), 0.05, 5.0, 0.5, 0.05, key="gradient_rate")
    taken = st.slider(tr("Steps already taken on this picture"), 0, 30, 0, key="gradient_taken")
weights, biases = WEIGHTS, np.zeros(3)
for _ in range(taken):
    done = gradient.step(inputs, target, weights, biases, rate)
    weights, biases = done.new_weights, done.new_biases
now = gradient.step(inputs, target, weights, biases, rate)
after = gradient.step(inputs, target, now.new_weights, now.new_biases, rate)
st.subheader(tr("1. Forward"), anchor=False)
left, right = st.columns(2)
with left:
    st.caption(tr("Weights (a row per class) and bias"))
    st.dataframe(
        [
            {"class": c, **dict(zip(FEATURES, np.round(w, 3).tolist(), strict=True)), "bias": round(float(b), 3)}
            for c, w, b in zip(CLASSES, weights, biases, strict=True)
        ],
        hide_index=True,
    )
    c = CLASSES[target]
    terms = " + ".join(rf"{w:.2f} \cdot {x:.1f}" for w, x in zip(weights[target], inputs, strict=True))
    st.latex(rf"z_{{\text{{{c}}}}} = {terms} + {biases[target]:.2f} = {now.logits[target]:.3f}".replace("+ -", "- "))
with right:
    parts.likeliest(CLASSES, now.probabilities, "gradient_before")
st.subheader(tr("2. Loss"), anchor=False)
st.latex(rf"L = -\log p_{{\text{{{c}}}}} = -\log {now.probabilities[target]:.4f} = {now.loss:.4f}")
st.caption(
    tr(
        "The mean squared error would be {probabilities:.4f}: it hardly complains about an answer that is "
        "surely wrong, so it learns slower.",
        probabilities=squared_error(now.probabilities, target),
    )
)
st.subheader(tr("3. Backward"), anchor=False)
left, right = st.columns(2)
with left:
    st.markdown(tr("The blame of each class is its probability, minus 1 for the right one:"))
    parts.chart(
        charts.signed_bars(CLASSES, now.blame.tolist()),
        "blame",
        ", ".join(f"{n} {b:+.3f}" for n, b in zip(CLASSES, now.blame, strict=True)),
    )
with right:
    st.markdown(tr("The gradient of a weight is the blame of its class × the input it is multiplied with:"))
    st.dataframe(
        [
            {"class": n, **dict(zip(FEATURES, np.round(g, 4).tolist(), strict=True)), "bias": round(float(b), 4)}
            for n, g, b in zip(CLASSES, now.weights_gradient, now.blame, strict=True)
        ],
        hide_index=True,
    )
st.subheader(tr("4. Update"), anchor=False)
w, g, new = weights[target, 0], now.weights_gradient[target, 0], now.new_weights[target, 0]
st.latex(rf"w_{{\text{{{c}, {FEATURES[0]}}}}} \leftarrow {w:.3f} - {rate:.2f} \cdot ({g:.4f}) = {new:.3f}")
parts.metrics(
    (tr("Loss before"), f"{now.loss:.4f}", None),
    (tr("Loss after"), f"{after.loss:.4f}", None),
    (tr("Probability of {c}", c=c), f"{now.probabilities[target]:.1%} → {after.probabilities[target]:.1%}", None),
)
losses = gradient.steps(inputs, target, WEIGHTS, np.zeros(3), rate, 30)
parts.chart(
    charts.falling({tr("loss"): losses}, tr("step"), tr("loss")),
    "gradient_losses",
    tr("The loss falls from {first:.3f} to {last:.3f} in 30 steps", first=losses[0], last=losses[-1]),
)
teaching.question("gradient")
teaching.in_pytorch(f"""
import torch
from torch.nn import functional

inputs, target = torch.tensor([{inputs.tolist()}]), torch.tensor([{target}])
weights = torch.tensor({np.round(weights, 4).tolist()}, requires_grad=True)
biases = torch.tensor({np.round(biases, 4).tolist()}, requires_grad=True)
loss = functional.cross_entropy(functional.linear(inputs, weights, biases), target)
loss.backward()  # fills weights.grad and biases.grad
with torch.no_grad():
    weights -= {rate} * weights.grad
    biases -= {rate} * biases.grad
print(loss.item(), weights, biases)
""")
teaching.plan(
    tr("Pupils can carry out one step of gradient descent with a pocket calculator."), 30,
    (
        (tr("Which weights change most?"), tr("Those of large inputs, and of the class that got the most blame.")),
        (tr("Why not take huge steps?"), tr("The gradient is only true nearby; try a rate of 5 and move the steps.")),
        (tr("When is the gradient zero?"), tr("When the right class has all the probability.")),
    ),
)  # fmt: skip
teaching.further("learn_gradient")
