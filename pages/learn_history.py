"""Lesson: a short history: each idea with its picture, its size and what it reaches on the same pictures."""

from contextlib import suppress

import numpy as np
import streamlit as st

from imgrec import charts, jobs, models, runs
from imgrec.language import mark, tr
from imgrec.lessons import history
from imgrec.recipe import Recipe
from pages import gallery, parts, teaching, visitors

# Year, title, network of the shelf (or none), what was new. Sources stand with the networks on the page Networks.
MILESTONES = (
    (
        1966,
        history.RULES,
        "",
        mark("People wrote down what an eye, an edge or a corner is. It worked for the pictures they had thought of."),
    ),
    (
        1967,
        history.NEAREST,
        "",
        mark("No rules at all: look for the most similar known picture. No learning, and every pixel counts the same."),
    ),
    (
        1984,
        history.TREE,
        "",
        mark("Questions about single values, chosen by the data. Good for tables, weak for pictures."),
    ),
    (
        1995,
        history.MACHINE,
        "",
        mark("The widest gap between two classes. For fifteen years the best, with features made by hand."),
    ),
    (
        1998,
        "LeNet-5",
        "seed-cnn",
        mark("Convolution and pooling: the same small filter everywhere, learned instead of written."),
    ),
    (2012, "AlexNet", "alexnet", ""),
    (2014, "VGG", "vgg11", ""),
    (2014, "GoogLeNet, Inception", "googlenet", ""),
    (2015, "ResNet", "resnet18", ""),
    (2016, "DenseNet", "densenet121", ""),
    (2017, "SENet", "se-resnet18", ""),
    (2018, "MobileNet v2", "mobilenet-v2", ""),
    (2019, "EfficientNet", "efficientnet-b0", ""),
    (2020, mark("Vision transformer"), "vit-b-16", ""),
)
LENET = "custom:conv 6 kernel=5 padding=0,tanh,avg 2,conv 16 kernel=5 padding=0,tanh,avg 2,conv 120 kernel=5 padding=0,tanh,dense 84,tanh"
SIZE = 96  # pixels that the figures are for
QUICK = ("softmax-regression", "seed-cnn-tiny", "seed-cnn", "mobilenet-v3-small", "resnet18", "se-resnet18")


def before_networks(method: str) -> None:
    """What a method says of things that were measured twice, everywhere on the plane of these measurements."""
    seen, kind = history.points()
    axis = np.linspace(-2, 2, 81)
    places = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    answers = history.says(method, seen, kind, places).reshape(len(axis), len(axis))
    new, theirs = history.points(seed=11)
    right = float((history.says(method, seen, kind, new) == theirs).mean())
    told = tr("Two kinds of things by two measurements. What lies in the blue is taken for a disc, in the orange for a diamond: {right:.0%} of {n} new ones are right.", right=right, n=len(new))  # fmt: skip
    parts.chart(charts.regions(axis, answers, seen, kind), "history_regions", told)
    st.caption(told)


def milestone() -> None:
    """One idea at a time, drawn."""
    names = [f"{year}  {tr(title)}" for year, title, *_ in MILESTONES]
    number = st.select_slider(tr("Year"), range(len(MILESTONES)), 4, format_func=lambda i: names[i], key="history_year")
    year, title, network, words = MILESTONES[number]
    st.subheader(f"{tr(title)}, {year}", anchor=False)
    if not network:
        st.write(tr(words))
        before_networks(title)
        return
    card = models.card(network)
    st.write(tr(words) if words else tr(card.idea))
    drawn = history.SKETCHES[network]
    boxes = [(x, y, tr(said)) for x, y, said in drawn.boxes]
    parts.chart(charts.sketch(boxes, drawn.arrows), "history_sketch", " → ".join(said for *_, said in boxes))
    channels, size = 3, max(SIZE, card.smallest) if network != "vit-b-16" else 224
    if network == "seed-cnn":  # the one of 1998 itself, for the pictures that it was made for
        network, channels, size = LENET, 1, 32
    weights, operations = models.parameters(network, 10, channels, size), models.operations(network, 10, channels, size)
    parts.metrics(
        (tr("Weights"), f"{weights:,}", tr("Numbers that it learns.")),
        (tr("Multiply-adds"), f"{operations:,}", tr("For one picture.")),
    )
    teaching.formula(rf"\frac{{{operations:,}}}{{{weights:,}}}".replace(",", "{,}"), f"{operations / weights:.1f}")
    st.caption(
        tr(
            "So often each weight is used for one picture of {size} × {size} pixels: the dense layers of a transformer are used once for every patch."
            if network == "vit-b-16"
            else "So often each weight is used for one picture of {size} × {size} pixels: a convolution uses the same ones "
            "everywhere, a dense layer once.",
            size=size,
        )
    )
    parts.chart(
        charts.network(models.layers(network, 10, channels, size)),
        "history_network",
        tr("The layers of {title} as boxes", title=tr(title)),
    )
    st.caption(tr("Source: {paper}.", paper=parts.text(card.paper.removeprefix("after "), 300)))


def reached(name: str) -> list[dict]:
    """The best run of every network on this data set: its weights and its test accuracy."""
    best: dict[str, dict] = {}
    for row in sorted(
        (row for row in runs.rows() if row.get("dataset") == name and row["test_accuracy"] is not None),
        key=lambda row: -row["test_accuracy"],
    ):
        network = str(row.get("model")).partition(":")[0]
        if network in best:
            continue
        passport = runs.open_run(row["run"]).read("classes.json")
        given = passport.get("preprocess", {})
        with suppress(KeyError, ValueError, RuntimeError):  # a damaged passport: the next best of that network
            weights = models.parameters(row["model"], len(passport["classes"]), given["channels"], given["size"])
            best[network] = {
                "network": network, "weights": weights, "accuracy": row["test_accuracy"], "run": row["run"],
            }  # fmt: skip
    return sorted(best.values(), key=lambda row: row["weights"])


def together(dataset) -> None:
    """All that was trained on the same pictures: size against accuracy, and what came before networks."""
    st.subheader(tr("All on the same pictures"), anchor=False)
    rows = reached(dataset.name)
    job = jobs.study_job("baselines", dataset.name, fingerprint=dataset.fingerprint)
    found = jobs.study_result(job)
    before = dict(zip(found["method"].tolist(), found["accuracy"].tolist(), strict=True)) if found else {}
    if rows:
        parts.chart(charts.sizes(rows, before), "history_sizes", tr("Test accuracy over the number of weights"))
        teaching.rows(
            {"network": row["network"], "weights": row["weights"], "accuracy": f"{row['accuracy']:.1%}"} for row in rows
        )
    missing = [name for name in QUICK if name not in {row["network"] for row in rows}]
    if missing:
        st.caption(tr("Not trained on these pictures yet: {networks}.", networks=", ".join(missing)))
        if st.button(tr("Train them, five epochs each"), icon=":material/play_arrow:", key="history_train"):
            try:
                size = {name: max(dataset.image_size, models.card(name).smallest) for name in missing}
                for name in missing:
                    jobs.start(
                        Recipe(
                            dataset=dataset.name,
                            model=name,
                            epochs=5,
                            image_size=size[name] if size[name] != dataset.image_size else 0,
                        ),
                        visitors.visitor(),
                    )
            except (ValueError, RuntimeError, OSError) as error:
                st.error(parts.text(error, 300))
            else:
                st.success(tr("They train one after the other; come back in some minutes."))
    if not found:
        gallery.study_progress(
            job, tr("Add a linear SVM, a decision tree and nearest neighbours"),
            lambda: jobs.start_study("baselines", dataset.name, fingerprint=dataset.fingerprint), "baselines",
        )  # fmt: skip


teaching.begin(
    tr("From rules to networks: a short history"),
    tr(
        "Sixty years of one question: how does a machine know what is in a picture? First people wrote rules, then machines learned to weigh what people had measured, and at last they learned what to measure as well. Every step is one idea; here they are, drawn, and trained on the same pictures."
    ),
)
milestone()
dataset = parts.dataset_picker(tr("The pictures that all of them learn from."))
together(dataset)
teaching.question("history")
teaching.in_pytorch("""
import torch
from torch import nn

class Block(nn.Module):  # the idea of 2015 in one line
    def __init__(self, maps):
        super().__init__()
        self.change = nn.Sequential(nn.Conv2d(maps, maps, 3, padding=1), nn.ReLU(), nn.Conv2d(maps, maps, 3, padding=1))

    def forward(self, x):
        return x + self.change(x)

print(Block(8)(torch.randn(1, 8, 16, 16)).shape)
""")
teaching.plan(
    tr("Pupils can put five ideas of image recognition in their order and say what each made better."), 30,
    (
        (tr("What did networks learn that people had written before?"), tr("The features: which edges, parts and textures to look for.")),
        (tr("Are more weights always better?"), tr("No: the chart shows small ones that beat larger ones, above all with few pictures.")),
        (tr("Why did it take until 2012?"), tr("Many labelled pictures and fast graphics cards were missing, not the idea.")),
    ),
)  # fmt: skip
teaching.further("learn_history")
