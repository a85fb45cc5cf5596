"""Lesson: from scores to classes. Softmax step by step, its temperature, and the simplest network there is."""

import numpy as np
import streamlit as st

from imgrec import charts
from imgrec.hardware import one_thread
from imgrec.language import mark, tr
from imgrec.lessons.softmax import cross_entropy, softmax
from imgrec.recipe import Recipe
from imgrec.train import Epoch, Training
from pages import parts, teaching

CLASSES = (mark("circle"), mark("square"), mark("star"), mark("heart"))


@st.cache_resource(show_spinner=False)
def simplest():
    """Softmax regression on the digits: trained here and now, in a second or two."""
    digits = parts.open_dataset("digits")
    training = Training(Recipe(model="softmax-regression", epochs=8, device="cpu"), digits)
    with one_thread():
        accuracy = [event.validation_accuracy for event in training.fit() if isinstance(event, Epoch)]
    return training.model.head.weight.detach().numpy().copy(), training.passport, training.model.eval(), accuracy[-1]


teaching.begin(
    tr("From scores to classes"),
    tr(
        "The last layer gives one score per class, the logit: any number. Softmax makes probabilities of "
        "them: none below zero, and together exactly 1."
    ),
)
left, right = st.columns([2, 3])
with left:
    logits = np.array(
        [
            st.slider(tr("Score of {name}", name=tr(name)), -5.0, 5.0, value, 0.1, key=f"logit_{name}")
            for name, value in zip(CLASSES, (2.0, 1.0, -0.5, 0.1), strict=True)
        ]
    )
    temperature = st.slider(tr("Temperature"), 0.2, 5.0, 1.0, 0.1, key="softmax_temperature")
steps = softmax(logits, temperature)
order = np.argsort(-steps.probabilities, kind="stable")
with right:
    parts.likeliest([tr(name) for name in CLASSES], steps.probabilities, "softmax_bars")
    st.dataframe(
        [
            {tr("class"): tr(name), tr("score"): round(float(z), 2), tr("÷ temperature"): round(float(s), 3), tr("exponent"): round(float(e), 3), tr("÷ sum"): round(float(p), 4)}
            for name, z, s, e, p in zip(CLASSES, logits, steps.scaled, steps.exponents, steps.probabilities, strict=True)
        ],
        hide_index=True,
    )  # fmt: skip
    st.markdown(
        tr(
            "The exponents add up to **{total:.3f}**, the probabilities to **{sum:.4f}**.",
            total=steps.total,
            sum=steps.probabilities.sum(),
        )
    )
best = int(order[0])
st.latex(
    rf"p_{{\text{{{CLASSES[best]}}}}} = \frac{{e^{{{steps.scaled[best]:.2f}}}}}{{{' + '.join(f'e^{{{s:.2f}}}' for s in steps.scaled)}}}"
    rf" = \frac{{{steps.exponents[best]:.3f}}}{{{steps.total:.3f}}} = {steps.probabilities[best]:.4f}"
)
target = st.selectbox(
    tr("If the right answer is"), range(4), format_func=lambda i: tr(CLASSES[i]), key="softmax_target"
)
st.markdown(
    tr(
        "then the loss (cross-entropy) is −log {probability:.4f} = **{loss:.3f}**: the surprise "
        "about the right answer. Training makes it small.",
        probability=steps.probabilities[target],
        loss=cross_entropy(steps.probabilities, target),
    )
)
st.subheader(tr("The simplest network"), anchor=False)
st.markdown(
    tr(
        "Softmax regression has one weight for each pixel and class, and nothing else. A score is the sum of "
        "all pixels times the weights of the class. So its weights can be looked at: orange speaks for the "
        "class, blue against it."
    )
)
weights, passport, network, accuracy = simplest()
digits = parts.open_dataset("digits")
parts.tiles(
    [parts.Tile(parts.enlarge(teaching.shades(w.reshape(8, 8), True), 96), str(i)) for i, w in enumerate(weights)],
    "weights",
    84,
    clickable=False,
)
number = st.slider(tr("A picture it never saw"), 0, 99, 0, key="softmax_picture")
position = int(digits.indices("test")[number])
seen = digits.images[position]
x = (seen[..., 0].flatten() / 255 - passport.preprocess.mean[0]) / passport.preprocess.std[0]
bias = network.head.bias.detach().numpy()
scores = weights @ x + bias
left, right = st.columns([1, 3])
left.image(parts.enlarge(seen, 160), width=160, alt=tr("A digit"))
left.caption(tr("Its label is {classes}.", classes=digits.classes[digits.labels[position]]))
with right:
    parts.chart(
        charts.signed_bars([str(i) for i in range(10)], scores.tolist()), "scores",
        ", ".join(f"{i}: {s:+.2f}" for i, s in enumerate(scores)),
    )  # fmt: skip
answer = int(scores.argmax())
st.markdown(
    tr(
        "It says **{answer}**, with {probabilities:.1%}. Of all such pictures it gets {accuracy:.1%} right. "
        "But it cannot know that a thing is the same in another place: on `shapes`, where objects lie "
        "anywhere, it reaches 21 %, where a small CNN reaches 98.7 %.",
        answer=answer,
        probabilities=softmax(scores).probabilities[answer],
        accuracy=accuracy,
    )
)
teaching.question("softmax")
teaching.in_pytorch(f"""
import torch
from torch.nn import functional

logits = torch.tensor({logits.tolist()})
probabilities = (logits / {temperature}).softmax(0)
print(probabilities, probabilities.sum())
print(functional.cross_entropy(logits[None] / {temperature}, torch.tensor([{target}])))
""")
teaching.plan(
    tr("Pupils can compute a softmax, and say what a temperature and a logit are."), 20,
    (
        (tr("What does a high temperature do?"), tr("It makes all answers alike; a low one makes the largest win.")),
        (tr("Can a probability be 0?"), tr("Never quite: an exponent is always above 0.")),
        (tr("What is the loss if the network is sure and right?"), tr("Nearly 0: −log 1 = 0.")),
    ),
)  # fmt: skip
teaching.further("learn_softmax")
