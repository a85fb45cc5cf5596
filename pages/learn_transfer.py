"""Lesson: transfer learning: a trained network's features and a new last layer learn from a handful of pictures."""

import numpy as np
import streamlit as st
import torch

from imgrec import charts
from imgrec.data.dataset import sample
from imgrec.language import mark, sentences, tr
from imgrec.lessons import transfer
from imgrec.predict import Predictor, predictor
from imgrec.runs import usable_runs
from pages import parts, pickers, teaching

BEST = "cifar10-fast"  # knows most of those that come with imgrec
COUNTS = (1, 2, 5, 10, 20, 50)
MOST_TRAIN, MOST_TEST = 50, 400  # pictures of each class to learn from, and of all to be tested on
DRAWS = 5  # of the pictures to learn from, over which is averaged: with one of each class much depends on which


@st.cache_data(max_entries=12, show_spinner=False)
def curves(run: str, changed: int, name: str, fingerprint: str) -> tuple[dict[str, np.ndarray], list[int]]:
    """Accuracies (numbers of pictures per class, DRAWS): of a linear layer on the pixels, on features of the same network with
    random weights, and on the run's features."""
    model = predictor(run).looking("one")
    wanted = model.passport.preprocess
    dataset = pickers.open_dataset(name, wanted.size, wanted.resize)
    train, test = dataset.indices("train"), sample(dataset.indices("test"), MOST_TEST)
    train = np.concatenate(
        [sample(train[dataset.labels[train] == label], MOST_TRAIN) for label in range(len(dataset.classes))]
    )
    labels, truth = dataset.labels[train], dataset.labels[test]
    counts = [count for count in COUNTS if count <= np.bincount(labels).max()]
    torch.manual_seed(0)
    blank = Predictor(model.passport.build().eval(), model.passport, "blank", "cpu")

    def pixels(where: np.ndarray) -> np.ndarray:
        return dataset.images[where].reshape(len(where), -1).astype(np.float32) / 255

    def seen(network: Predictor, where: np.ndarray) -> np.ndarray:
        images = dataset.images[where]
        images = np.repeat(images, 3, 3) if images.shape[3] < wanted.channels else images
        return network.features(images)

    given = {
        mark("the pixels"): (pixels(train), pixels(test)),
        mark("a network that learned nothing"): (seen(blank, train), seen(blank, test)),
        mark("the trained network"): (seen(model, train), seen(model, test)),
    }
    return {
        who: np.array([[transfer.learned(a, labels, b, truth, n, draw) for draw in range(DRAWS)] for n in counts])
        for who, (a, b) in given.items()
    }, counts


teaching.begin(
    tr("Learn from few pictures: transfer"),
    tr(
        "Much of what a network learns is not about its classes alone: edges, corners, textures, parts. So take a trained network, freeze it, throw its last layer away, and let only a new last layer learn your classes. What is frozen is called the backbone; what comes out of it, features."
    ),
)
dataset = pickers.dataset_picker(tr("The new task: pictures that the network has never seen."))
same = pickers.runs_of(dataset.name)
names = [run.name for run in usable_runs() if run.name not in same]
if not names:
    st.info(tr("It takes a network that was trained on other pictures; choose another data set."))
    st.stop()
name = st.selectbox(
    tr("The trained network"),
    names,
    names.index(BEST) if BEST in names else 0,
    key="transfer_run",
    format_func=pickers.run_labels(names),
)
model = pickers.network(name) or st.stop()
if model.passport.preprocess.channels < dataset.channels:
    st.info(tr("This network sees grey pictures only, and these are in colour; choose another one."))
    st.stop()
if not len(dataset.indices("test")):
    st.info(tr("This data set has no test pictures, so nobody could say how well it learns; choose another one."))
    st.stop()
with st.spinner(tr("The network looks at the pictures …")):
    lines, counts = curves(name, model.changed, dataset.name, dataset.fingerprint)
shown = {tr(who): (counts, values.mean(1).tolist()) for who, values in lines.items()}
st.subheader(tr("A new last layer on …"), anchor=False)
parts.chart(
    charts.functions(shown, x_title=tr("pictures of each class"), y_title=tr("test accuracy"), shares=True),
    "transfer_curves",
    tr("Test accuracy by pictures per class"),
)
each = st.select_slider(
    tr("Pictures of each class to learn from"), counts, counts[min(3, len(counts) - 1)], key="transfer_each"
)
at = counts.index(each)
parts.metrics(
    *(
        (
            tr(who).capitalize(),
            f"{values[at].mean():.1%}",
            tr(
                "From {low:.1%} to {high:.1%}, with which pictures it learns from.",
                low=values[at].min(),
                high=values[at].max(),
            ),
        )
        for who, values in lines.items()
    )
)
with_it, without = float(lines["the trained network"][at].mean()), float(lines["the pixels"][at].mean())
gain = with_it - without
teaching.formula(f"{with_it:.1%} - {without:.1%}", teaching.points(gain))
st.caption(
    sentences(
        tr("Nothing but the last layer learns here, in one step."),
        tr("Each point is the mean of {n} draws of pictures.", n=DRAWS),
        tr(
            "With {n} pictures of each class the trained network's features are right about {gain:.0f} more of a hundred "
            "pictures than the pixels.",
            n=each,
            gain=100 * gain,
        )
        if gain > 0
        else tr(
            "Here the trained network's features do not help: what it learned has too little in common with these pictures."
        ),
    )
)
parts.link(
    "train", "Train the last layer alone with it", ":material/model_training:", dataset=dataset.name, weights=name,
    model=model.passport.model, freeze="backbone",
)  # fmt: skip
teaching.question("transfer")
teaching.in_pytorch(f"""
import torch
from torch import nn
from torchvision.models import mobilenet_v2

network = mobilenet_v2(weights=None)  # {tr('weights="DEFAULT" downloads those of ImageNet')}
for weight in network.parameters():
    weight.requires_grad = False
network.classifier[1] = nn.Linear(1280, 5)  # {tr("new, so it learns")}
print(sum(w.numel() for w in network.parameters() if w.requires_grad), "weights learn")
""")
teaching.plan(
    tr("Pupils can say what a backbone, features and a head are, and why few pictures suffice."), 25,
    (
        (tr("Where does the trained network help most?"), tr("Where the lines are furthest apart. With one picture of each nobody knows much; with very many the others may catch up.")),
        (tr("When would it not help?"), tr("When the new pictures have nothing in common with the old ones.")),
        (tr("Why does a network that learned nothing still do something?"), tr("Random filters keep much of the picture; a linear layer can use it.")),
    ),
)  # fmt: skip
teaching.further("learn_transfer")
