"""Lesson: over- and underfitting: two trainings side by side, in seconds, with what helps and what hurts."""

import dataclasses

import streamlit as st
import torch

from imgrec import charts
from imgrec.coach import advise
from imgrec.data.dataset import LEFT_OUT
from imgrec.hardware import one_thread
from imgrec.language import mark, tr
from imgrec.lessons import fitting
from imgrec.models import parameters
from imgrec.recipe import Recipe
from imgrec.train import Epoch, Training
from pages import parts, pickers, teaching

COUNTS = (10, 20, 50, 100, 200, 500, 1000)
EPOCHS = 40
NETWORKS = {
    "custom:conv 4,relu,avg 8": mark("Four filters and their means: very few weights"),
    "softmax-regression": mark("Softmax regression: one weight per pixel and class"),
    "seed-cnn-tiny": mark("A small CNN"),
    "seed-cnn": mark("A larger CNN"),
}
PARTS = {  # where a CNN takes what some remedies put into it
    "seed-cnn-tiny": "conv 32{norm},relu,max 2{dropout}",
    "seed-cnn": "conv 32{norm},relu,max 2,conv 64{norm},relu,max 2{dropout},dense 128,relu{dropout}",
}
WITHIN = {"dropout": {"dropout": ",dropout 0.5", "norm": ""}, "norm": {"dropout": "", "norm": ",norm"}}
REMEDIES: dict[str, tuple[str, dict]] = {
    "none": (mark("nothing"), {}),
    "augment": (mark("augmentation: every picture a little changed"), {"augment": "rotate=15,shift=0.12,scale=0.15"}),
    "decay": (mark("weight decay: all weights shrink at every step"), {"weight_decay": 0.3}),
    "l1": (mark("L1: useless weights to zero"), {"l1": 0.1}),
    "smooth": (mark("label smoothing: never quite sure"), {"label_smoothing": 0.1}),
    "dropout": (mark("dropout: a share of the units pauses"), {}),
    "norm": (mark("batch norm"), {}),
    "early": (mark("stopping early"), {"patience": 10}),
}


def remedied(model: str, remedy: str) -> str:
    """The network with what a remedy puts into it."""
    return f"custom:{PARTS[model].format(**WITHIN[remedy])}" if remedy in WITHIN else model


@st.cache_data(max_entries=300, show_spinner=False)
def trained(model: str, count: int, remedy: str) -> list[dict]:
    """The epochs of such a training: about a second for ten pictures, ten for a thousand."""
    digits = pickers.open_dataset("digits")
    few = dataclasses.replace(
        digits, splits=fitting.fewer(digits.labels, digits.splits, count, LEFT_OUT), known_fingerprint=""
    )
    recipe = Recipe(
        **{
            "model": remedied(model, remedy),
            "epochs": EPOCHS,
            "schedule": "constant",
            "batch_size": min(32, max(4, count // 6)),
            "device": "cpu",
            **REMEDIES[remedy][1],
        }
    )
    bar = st.progress(0.0, tr("It learns …"))
    rows = []
    with one_thread():
        training = Training(recipe, few)
        images = training.pipeline.plain(training.train, torch.arange(len(training.train)))
        for event in training.fit():
            if isinstance(event, Epoch):
                rows.append(dataclasses.asdict(event) | fitting.known(training.model, images, training.train.labels))
                bar.progress(event.epoch / EPOCHS, tr("It learns …"))
    bar.empty()
    return rows


def asked(letter: str, model: str, count: int, remedy: str) -> list[dict]:
    """One training: what it begins with; its epochs."""
    st.subheader(letter, anchor=False)
    model = st.selectbox(
        tr("Network"),
        list(NETWORKS),
        list(NETWORKS).index(model),
        key=f"fit_model_{letter}",
        format_func=lambda name: tr(NETWORKS[name]),
    )
    count = st.select_slider(tr("Training pictures"), COUNTS, count, key=f"fit_count_{letter}")
    fitting_it = [name for name in REMEDIES if name not in WITHIN or model in PARTS]  # others have no place for them
    if st.session_state.get(f"fit_remedy_{letter}", remedy) not in fitting_it:
        st.session_state[f"fit_remedy_{letter}"] = "none"
    remedy = st.selectbox(
        tr("Against overfitting"),
        fitting_it,
        fitting_it.index(remedy),
        key=f"fit_remedy_{letter}",
        format_func=lambda name: tr(REMEDIES[name][0]),
    )
    weights = parameters(remedied(model, remedy), 10, 1, 8)
    st.caption(tr("{weights:,} weights, {count} pictures.", weights=weights, count=count))
    return trained(model, count, remedy)


def highest(rows: list[dict]) -> float:
    return max(row[f"{split}_loss"] for row in rows for split in ("train", "validation"))


def told(letter: str, rows: list[dict], most: float) -> dict:
    """The curves of one training, the loss from 0 to ``most``, and what they say; its best row."""
    best = max(rows, key=lambda row: row["validation_accuracy"])
    curves = charts.curves([], rows, "loss", EPOCHS).update_yaxes(range=[0, 1.05 * most])
    parts.chart(curves, f"fit_loss_{letter}", tr("Loss by epoch, training and validation"))
    last = rows[-1]
    gap = last["train_accuracy"] - last["validation_accuracy"]
    parts.metrics(
        (
            tr("Knows what it learned from"),
            f"{last['train_accuracy']:.1%}",
            tr("Accuracy on the training pictures at the end, as they are: without augmentation, with all units."),
        ),
        (
            tr("Knows others"),
            f"{last['validation_accuracy']:.1%}",
            tr("Accuracy on the validation pictures at the end."),
        ),
        (
            tr("Gap"),
            tr("{points:.1f} points", points=100 * gap),
            tr("Percentage points: the larger, the more it has learned by heart."),
        ),
    )
    teaching.formula(f"{last['train_accuracy']:.1%} - {last['validation_accuracy']:.1%}", teaching.points(gap))
    for advice in [said for said in advise(rows, 0, 10) if said.kind in ("overfitting", "underfitting", "good")][:1]:
        st.caption(tr("**{kind}.** {words}", kind=tr(advice.kind).capitalize(), words=advice.words))
    return best


def learned(model: str, remedy: str) -> None:
    """The accuracies of one network, trained with each number of pictures."""
    bar, ends = st.empty(), []
    for number, count in enumerate(COUNTS):
        bar.progress(number / len(COUNTS), tr("With {count} pictures …", count=count))
        ends.append(trained(model, count, remedy)[-1])
    bar.empty()
    lines = {
        tr(name): (COUNTS, [end[f"{split}_accuracy"] for end in ends])
        for name, split in ((mark("those it learned from"), "train"), (mark("others"), "validation"))
    }
    figure = charts.functions(lines, x_title=tr("training pictures"), y_title=tr("right answers"), shares=True)
    parts.chart(
        figure.update_xaxes(type="log", tickvals=COUNTS, range=[0.95, 3.05]),
        "fit_learned",
        tr("Accuracy by the number of training pictures"),
    )
    st.caption(
        tr(
            "Where the lines are far apart, the network knows its pictures by heart; more of them bring the lines together. "
            "The axis is logarithmic: each step up takes several times as many pictures."
        )
    )


teaching.begin(
    tr("By heart or understood? Over- and underfitting"),
    tr(
        "A network with many weights and few pictures learns them by heart: it knows every one of them, and fails on new ones. A network with too few weights cannot even learn what it sees. Between the two lies learning. Train two side by side; each takes seconds."
    ),
)
left, right = st.columns(2)
with left:
    few = asked("A", "seed-cnn", 20, "none")
with right:
    many = asked("B", "seed-cnn", 500, "none")
most = max(highest(few), highest(many))  # one scale for both, or a small loss looks as high as a large one
with left:
    first = told("A", few, most)
with right:
    second = told("B", many, most)
st.markdown(
    tr(
        "At their best, A knows **{a:.1%}** of the validation pictures and B **{b:.1%}**.",
        a=first["validation_accuracy"],
        b=second["validation_accuracy"],
    )
)
st.subheader(tr("What more pictures are worth"), anchor=False)
if st.toggle(
    tr("Train the network of A with every number of pictures"), key="fit_many", help=tr("Takes up to half a minute.")
):
    learned(st.session_state["fit_model_A"], st.session_state["fit_remedy_A"])
teaching.question("fitting")
teaching.in_pytorch("""
import torch
from torch import nn

network = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
optimiser = torch.optim.AdamW(network.parameters(), lr=0.003, weight_decay=0.3)
pictures, labels = torch.rand(20, 1, 8, 8), torch.randint(0, 10, (20,))
for epoch in range(30):
    optimiser.zero_grad()
    loss = nn.functional.cross_entropy(network(pictures), labels)
    loss.backward()
    optimiser.step()
print(loss.item())
""")
teaching.plan(
    tr("Pupils can tell from two curves whether a network over- or underfits, and name a remedy."), 30,
    (
        (tr("What does A show with 20 pictures?"), tr("Its training loss goes to zero while the validation loss stays high: overfitting.")),
        (tr("How can one see underfitting?"), tr("Four filters and their means, with 1000 pictures: both losses stay high, and there is no gap.")),
        (tr("Which remedy helps most?"), tr("More pictures: A with 500 beats everything else that can be done with 20. Batch norm, label smoothing and dropout add some points, augmentation, too, once there are 50; stopping early costs nothing.")),
    ),
)  # fmt: skip
teaching.further("learn_fitting")
