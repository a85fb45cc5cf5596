"""Lesson: loss and gradient. One training step by hand: forward, loss, backward, update."""

import numpy as np
import streamlit as st

from imgrec import charts
from imgrec.language import listed, mark, tr
from imgrec.lessons import gradient
from pages import parts, teaching

CLASSES = (mark("cat"), mark("dog"), mark("bird"))
FEATURES = (mark("ears"), mark("wings"), mark("fur"))
STEPS = 30
PLUS = r" \\ & \quad + "  # on a line of its own, so that a phone shows all of a sum
CODE = {
    "Cross-entropy": "functional.cross_entropy(logits, target)",
    mark("Mean squared error"): "functional.mse_loss(logits.softmax(1), functional.one_hot(target, 3).float())",
}
WEIGHTS = np.array([[0.5, -0.2, 0.3], [0.1, 0.0, 0.4], [-0.3, 0.2, 0.1]])


def rows(weights: np.ndarray, biases: np.ndarray, digits: int) -> None:
    """A row for each class: its weights and its bias, or their gradients."""
    teaching.rows(
        ({"class": tr(c), **dict(zip(FEATURES, w, strict=True)), mark("bias"): b}
         for c, w, b in zip(CLASSES, weights, biases, strict=True)),
        digits,
    )  # fmt: skip


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
    taken = st.slider(tr("Steps already taken on this picture"), 0, STEPS, 0, key="gradient_taken")
loss = st.segmented_control(
    tr("Loss"), list(gradient.LOSSES), default="Cross-entropy", required=True, key="gradient_loss", format_func=tr
)
paths = {name: gradient.steps(inputs, target, WEIGHTS, np.zeros(3), rate, STEPS + 2, name) for name in gradient.LOSSES}
now, after = paths[loss][taken : taken + 2]
before = paths[loss][taken - 1] if taken else None
weights, biases = (before.new_weights, before.new_biases) if before else (WEIGHTS, np.zeros(3))
names, features = [tr(name) for name in CLASSES], [tr(name) for name in FEATURES]
c, probability = names[target], now.probabilities[target]
st.subheader(tr("1. Forward"), anchor=False)
left, right = st.columns(2)
with left:
    st.caption(tr("Weights (a row per class) and bias"))
    rows(weights, biases, 3)
    teaching.formula(
        rf"z_{{\text{{{c}}}}}",
        PLUS.join(rf"{w:.3f} \cdot {x:.1f}" for w, x in zip(weights[target], inputs, strict=True))
        + f"{PLUS}{biases[target]:.3f}",
        f"{now.logits[target]:z.2f}",
    )
with right:
    parts.likeliest(names, now.probabilities, ranked=False)
st.subheader(tr("2. Loss"), anchor=False)
if loss == "Cross-entropy":
    teaching.formula("L", rf"-\ln p_{{\text{{{c}}}}}", rf"-\ln {probability:.4f}", f"{now.loss:.4f}")
else:
    squares = (rf"({p:.2f} - {int(i == target)})^2" for i, p in enumerate(now.probabilities))
    teaching.formula(
        "L", r"\tfrac{1}{3} \sum_k (p_k - y_k)^2", rf"\tfrac{{1}}{{3}} ({PLUS.join(squares)})", f"{now.loss:.4f}"
    )
st.subheader(tr("3. Backward"), anchor=False)
left, right = st.columns(2)
with left:
    st.markdown(
        tr("The blame of each class is its probability, minus 1 for the right one:")
        if loss == "Cross-entropy"
        else tr("The blame of each class goes back through the squares and the softmax, which make it small where an answer is sure:")
    )  # fmt: skip
    st.html(charts.signed_bars(names, now.blame.tolist()))
with right:
    st.markdown(tr("The gradient of a weight is the blame of its class × the input it is multiplied with:"))
    rows(now.weights_gradient, now.blame, 4)
st.subheader(tr("4. Update"), anchor=False)
w, g, new = weights[target, 0], now.weights_gradient[target, 0], now.new_weights[target, 0]
teaching.formula(
    rf"w_{{\text{{{c}, {features[0]}}}}}", r"w - \eta \, g", rf"{w:z.4f} - {rate:.2f} \cdot ({g:z.5f})", f"{new:z.3f}"
)
with st.container(key="pinned_gradient"):
    parts.metrics(
        (tr("Loss before"), f"{now.loss:.4f}", None),
        (tr("Loss after"), f"{after.loss:.4f}", None),
        (tr("Probability of {c}", c=c), f"{probability:.1%} → {after.probabilities[target]:.1%}", None),
    )
learned = {tr(name): [done.probabilities[target] for done in path[: STEPS + 1]] for name, path in paths.items()}
parts.chart(
    charts.falling(learned, tr("step"), tr("Probability of {c}", c=c)),
    "gradient_losses",
    listed(tr("{name}: {value}", name=name, value=f"{line[0]:.1%} → {line[-1]:.1%}") for name, line in learned.items()),
)
st.caption(
    tr(
        "That is one step for a network of one layer. With more layers each blame is also multiplied by the weights of its layer and by the slope of the activation before it, and handed to that layer: the chain rule, called backpropagation. Where a ReLU is off its slope is 0, and no blame passes."
    )
)
st.caption(
    tr(
        "The same steps with either loss. The squared error is a mean over the classes, and goes back through the softmax, which is flat where an answer is sure, even of a wrong one: its blame is smaller, so it learns slower."
    )
)
teaching.question("gradient")
teaching.in_pytorch(f"""
import torch
from torch.nn import functional

inputs, target = torch.tensor([{inputs.tolist()}]), torch.tensor([{target}])
weights = torch.tensor({np.round(weights, 4).tolist()}, requires_grad=True)
biases = torch.tensor({np.round(biases, 4).tolist()}, requires_grad=True)
logits = functional.linear(inputs, weights, biases)
loss = {CODE[loss]}
loss.backward()  # {tr("fills weights.grad and biases.grad")}
with torch.no_grad():
    weights -= {rate} * weights.grad
    biases -= {rate} * biases.grad
print(loss.item(), weights, biases)
""")
teaching.plan(
    tr("Pupils can carry out one step of gradient descent with a pocket calculator."), 30,
    (
        (
            tr("A class has the probability {p}, and it is the right one. Its input is {x}, the weight {w}, the learning rate {rate}. With cross-entropy, what are the gradient and the new weight?", p=f"{probability:.3f}", x=f"{inputs[0]:.1f}", w=f"{w:.3f}", rate=f"{rate:.2f}"),
            tr("({p} − 1) × {x} = {g}, and {w} − {rate} × ({g}) = {new}", p=f"{probability:.3f}", x=f"{inputs[0]:.1f}", w=f"{w:.3f}", rate=f"{rate:.2f}", g=f"{(probability - 1) * inputs[0]:.3f}", new=f"{w - rate * (probability - 1) * inputs[0]:.3f}"),
        ),
        (tr("Which weights change most?"), tr("Those of large inputs, and of the class that got the most blame.")),
        (tr("Why not take huge steps?"), tr("For this one picture a huge step is best, and so the network forgets all others. Of many pictures the mean counts; on the page Optimisers too large a rate flies off.")),
        (tr("When is the gradient zero?"), tr("Of a weight, where its input is 0. Otherwise never quite: it fades as the right class nears probability 1, with the squared error also where a wrong answer is sure.")),
    ),
)  # fmt: skip
teaching.further("learn_gradient")
