"""Lesson: from scores to classes. Softmax step by step, its temperature, and the simplest network there is."""

import numpy as np
import streamlit as st

from imgrec import charts
from imgrec.hardware import one_thread
from imgrec.language import listed, mark, tr
from imgrec.lessons.softmax import cross_entropy, score, softmax
from imgrec.predict import Predictor, predictor
from imgrec.recipe import Recipe
from imgrec.runs import open_run
from imgrec.train import Training
from pages import parts, pickers, teaching, thumbnails

CLASSES = (mark("circle"), mark("square"), mark("star"), mark("heart"))


@st.cache_resource(show_spinner=False)
def simplest(name: str) -> tuple[Predictor, float]:
    """Softmax regression on a data set, trained here and now in a second or two, and its test accuracy."""
    dataset = pickers.open_dataset(name)
    training = Training(Recipe(dataset=name, model="softmax-regression", epochs=8, device="cpu"), dataset)
    with one_thread():
        for _ in training.fit():
            pass
    model, test = Predictor(training.averaged, training.passport), dataset.indices("test")
    right = model.probabilities(dataset.images[test]).argmax(1) == dataset.labels[test]
    return model, float(right.mean())


def by_hand(model: Predictor, seen: np.ndarray) -> None:
    """A digit (8, 8, 1) made flat, and the scores that a dense layer gives it, one of them number by number."""
    weights, bias = (values.detach().numpy() for values in (model.model.head.weight, model.model.head.bias))
    x = (seen.flatten() / 255 - model.passport.preprocess.mean[0]) / model.passport.preprocess.std[0]
    scores = weights @ x + bias
    thumbnails.image(seen.reshape(1, -1, 1), tr("The pixels in one row"), side=12)
    st.caption(tr("Flatten: the rows of the picture one after another, {n} numbers.", n=len(x)))
    left, right = st.columns([1, 3])
    with left:
        digit = st.selectbox(tr("The score of"), range(10), int(scores.argmax()), key="softmax_score")
        found = score(x, weights[digit], bias[digit])
        products = teaching.shades(found.products.reshape(seen.shape[:2]), True)
        thumbnails.image(products, tr("What each pixel adds to the score"), 160)
        st.caption(
            tr("What each pixel adds or takes away: weight times pixel, normalised, so that black counts as well.")
        )
    with right:
        st.html(charts.signed_bars([str(i) for i in range(10)], scores.tolist()))
    st.markdown(
        tr(
            "Dense: the products above zero add up to {above:.2f}, those below to {below:.2f}, and with the bias of "
            "{bias:.2f} the score of {digit} is **{total:.2f}**. Softmax makes {probability:.1%} of it.",
            above=found.above,
            below=found.below,
            bias=bias[digit],
            digit=digit,
            total=found.total,
            probability=softmax(scores).probabilities[digit],
        )
    )


def digits(value: float, count: int = 4) -> str:
    """A number to so many digits that count, so that none that is not 0 reads as 0."""
    return f"{value + 0.0:z.3f}" if 0.001 <= abs(value) < 1000 or not value else f"{value:.{count}g}"


def against_a_cnn() -> None:
    """The simplest network and a small CNN, asked about the same shapes."""
    st.subheader(tr("Against a CNN"), anchor=False)
    st.write(
        tr(
            "Softmax regression cannot know that a thing is the same in another place. Digits lie in the middle, so it "
            "does well. Shapes lie anywhere:"
        )
    )
    shapes, (plain, accuracy) = pickers.open_dataset("shapes"), simplest("shapes")
    cnn = open_run("shapes-seed-cnn")
    number = st.slider(tr("Which one"), 0, 99, 0, key="softmax_shape")
    seen = shapes.images[shapes.indices("test")[number]]
    columns = st.columns([1, 2, 2])
    thumbnails.image(seen, tr("A shape it never saw"), 160, at=columns[0])
    for column, title, model, share in (
        (columns[1], tr("Softmax regression"), plain, accuracy),
        (columns[2], tr("A small CNN"), predictor(cnn.name), cnn.read("evaluation.json")["accuracy"]),
    ):
        with column:
            st.markdown(tr("**{title}**: {share:.1%} of the test pictures right", title=title, share=share))
            parts.likeliest(model.classes, model.recalled(seen[None])[0])


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
    parts.likeliest([tr(name) for name in CLASSES], steps.probabilities, ranked=False)
    teaching.rows(
        {"class": tr(name), mark("score"): z, mark("÷ temperature"): s, "e^z": digits(e), mark("÷ sum"): p}
        for name, z, s, e, p in zip(CLASSES, logits, steps.scaled, steps.exponents, steps.probabilities, strict=True)
    )  # fmt: skip
    st.markdown(
        tr(
            "The powers of e add up to **{total}**, the probabilities to **{sum:.4f}**.",
            total=digits(steps.total),
            sum=steps.probabilities.sum(),
        )
    )
best = int(order[0])
teaching.formula(
    rf"p_{{\text{{{tr(CLASSES[best])}}}}}",
    rf"\frac{{e^{{{steps.scaled[best]:.2f}}}}}{{{' + '.join(f'e^{{{s:.2f}}}' for s in steps.scaled)}}}",
    rf"\frac{{{digits(steps.exponents[best])}}}{{{digits(steps.total)}}}",
    f"{steps.probabilities[best]:.4f}",
)
target = st.selectbox(
    tr("If the right answer is"), range(4), format_func=lambda i: tr(CLASSES[i]), key="softmax_target"
)
probability, loss = float(steps.probabilities[target]), cross_entropy(steps.probabilities, target)
st.markdown(
    tr(
        "then the loss (cross-entropy) is −ln {probability} = **{loss}**: the surprise "
        "about the right answer. Training makes it small.",
        probability=digits(probability, 6),
        loss=digits(loss),
    )
)
axis = np.geomspace(min(probability, 0.005), 1, 200)
parts.chart(
    charts.functions(
        {"−ln p": (axis.tolist(), (-np.log(axis)).tolist()), "(1 − p)²": (axis.tolist(), ((1 - axis) ** 2).tolist())},
        (probability, loss),
        tr("p, the probability of the right answer"),
        tr("loss"),
    ),
    "softmax_loss",
    tr("The loss for every probability of the right answer"),
)
st.caption(
    tr(
        "The surer a network is of something wrong, the higher and the steeper −ln p: there is always a slope that leads "
        "out. A squared error ends at 1, and its slope says little of how wrong it is."
    )
)
st.subheader(tr("The simplest network"), anchor=False)
st.markdown(
    tr(
        "Softmax regression has one weight for each pixel and class and a bias for each class, nothing else. A score is the sum of "
        "all pixels times the weights of the class. So its weights can be looked at: orange speaks for the "
        "class, blue against it."
    )
)
model, accuracy = simplest("digits")
digits = pickers.open_dataset("digits")
thumbnails.tiles(
    [
        thumbnails.Tile(teaching.shades(w.reshape(8, 8), True), str(i), side=96)
        for i, w in enumerate(model.model.head.weight.detach().numpy())
    ],
    "weights",
    84,
    clickable=False,
)
st.caption(tr("Of pictures it never saw it gets {accuracy:.1%} right.", accuracy=accuracy))
left, right = st.columns([1, 3], vertical_alignment="center")
position = int(digits.indices("test")[right.slider(tr("A picture it never saw"), 0, 99, 0, key="softmax_picture")])
thumbnails.image(digits.images[position], tr("A digit"), 120, at=left)
left.caption(tr("Its label is {classes}.", classes=digits.classes[digits.labels[position]]))
by_hand(model, digits.images[position])
against_a_cnn()
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
        (
            tr("Four scores are {scores}, the temperature is {temperature}. How probable is the first class? Use a calculator.", scores=listed(f"{z:.1f}" for z in logits), temperature=temperature),
            f"{steps.probabilities[0]:.3f}",
        ),
        (tr("What does a high temperature do?"), tr("It makes all answers alike; a low one makes the largest win.")),
        (tr("Can a probability be 0?"), tr("Never quite: a power of e is always above 0.")),
        (tr("What is the loss if the network is sure and right?"), tr("Nearly 0: −ln 1 = 0.")),
        (tr("Why does softmax regression fail on shapes?"), tr("Each weight belongs to one place, and a shape may lie in any.")),
    ),
)  # fmt: skip
teaching.further("learn_softmax")
