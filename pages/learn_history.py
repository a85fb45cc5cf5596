"""Lesson: a short history: each idea with its picture, its size and what it reaches on the same pictures."""

from contextlib import suppress

import numpy as np
import streamlit as st

from imgrec import charts, models, run_table, runs, trainings
from imgrec.language import listed, tr
from imgrec.lessons import history
from imgrec.recipe import Recipe
from pages import parts, pickers, teaching, visitors
from pages.study import Study

LENET = "custom:conv 6 kernel=5 padding=0,tanh,avg 2,conv 16 kernel=5 padding=0,tanh,avg 2,conv 120 kernel=5 padding=0,tanh,dense 84,tanh"
CLASSES, SIZE = 10, 224  # that the figures are for; the papers counted for 1,000 classes
QUICK = ("softmax-regression", "seed-cnn-tiny", "seed-cnn", "mobilenet-v3-small", "resnet18", "se-resnet18")


def on_a_plane(method: str) -> None:
    """What a method says of things that were measured twice, everywhere on the plane of these measurements."""
    heaps = {False: tr("Two heaps"), True: tr("Four heaps, crosswise (XOR)")}
    first = method in (history.PERCEPTRON, history.BACKPROPAGATION)  # whose story is about these
    crosswise = st.segmented_control(
        tr("The same for every method"),
        heaps,
        default=first,
        required=True,
        format_func=heaps.get,
        key=f"heaps {method}",
    )
    seen, kind = history.points(crosswise)
    axis = np.linspace(-2, 2, 81)
    places = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    answers = history.says(method, seen, kind, places).reshape(len(axis), len(axis))
    new, theirs = history.points(crosswise, seed=11, count=1000)
    right = float((history.says(method, seen, kind, new) == theirs).mean())
    told = tr("Two kinds of things by two measurements, drawn at random. What lies in the blue is taken for a disc, in the orange for a diamond: {right:.0%} of {n:,} new ones are right.", right=right, n=len(new))  # fmt: skip
    parts.chart(charts.regions(axis, answers, seen, kind), "history_regions", told)
    st.caption(told)
    if method == history.RULES and not crosswise:
        across, up = history.RULE
        st.caption(tr("The rule, written after a look at a few: a diamond if the first measurement is above {across} or the second above {up}.", across=across, up=up))  # fmt: skip


def milestone() -> None:
    """One idea at a time, drawn."""
    steps = history.MILESTONES
    names = [f"{step.year}  {tr(step.title)}" for step in steps]
    lenet = next(number for number, step in enumerate(steps) if step.network == "seed-cnn")
    number = st.select_slider(tr("Year"), range(len(steps)), lenet, format_func=lambda i: names[i], key="history_year")
    step = steps[number]
    st.subheader(f"{tr(step.title)}, {step.year}", anchor=False)
    st.write(tr(step.words or models.card(step.network).idea))
    if step.network:
        drawn = history.SKETCHES[step.sketch or step.network]
        boxes = [(x, y, tr(said)) for x, y, said in drawn.boxes]
        parts.chart(charts.sketch(boxes, drawn.arrows), "history_sketch", " → ".join(said for *_, said in boxes))
        figures(step)
    else:
        on_a_plane(step.title)
    paper = step.paper or models.card(step.network).paper
    st.caption(tr("Source: {paper}.", paper=parts.text(paper, 400)))


@st.cache_data(show_spinner=False, max_entries=64)
def layers(network: str, channels: int, size: int) -> list[dict]:
    return models.layers(network, CLASSES, channels, size)


def figures(step: history.Milestone) -> None:
    """How large the network of a milestone is and how much it computes, what these figures are for, and its layers."""
    network, channels, size = step.network, 3, SIZE
    variant = tr(step.variant or models.card(network).title)
    if network == "seed-cnn":  # the one of 1998 itself, for the pictures that it was made for
        network, channels, size = LENET, 1, 32
    weights = models.parameters(network, CLASSES, channels, size)
    operations = models.operations(network, CLASSES, channels, size)
    parts.metrics(
        (tr("Weights"), f"{weights:,}", tr("Numbers that it learns.")),
        (tr("Multiply-adds"), f"{operations:,}", tr("For one picture.")),
    )
    st.caption(
        tr(
            "{variant}: {classes} classes, {size} px."
            if network == LENET
            else "{variant}: {classes} classes, {size} px; with the 1,000 classes of ImageNet {many:,} weights.",
            variant=variant,
            classes=CLASSES,
            size=size,
            many=models.parameters(network, 1000, channels, size),
        )
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
        charts.network(layers(network, channels, size)),
        "history_network",
        tr("The layers of {title} as boxes", title=variant),
    )


def reached(name: str) -> list[dict]:
    """The best run of every network on this data set: its weights and its test accuracy."""
    best: dict[str, dict] = {}
    for row in sorted(
        (row for row in run_table.rows() if row.get("dataset") == name and row["test_accuracy"] is not None),
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
    study = Study("baselines", dataset.name, fingerprint=dataset.fingerprint)
    found = study.found
    before = dict(zip(found["method"].tolist(), found["accuracy"].tolist(), strict=True)) if found else {}
    if rows:
        parts.chart(charts.sizes(rows, before), "history_sizes", tr("Test accuracy over the number of weights"))
        teaching.rows(
            {"network": row["network"], "weights": row["weights"], "accuracy": f"{row['accuracy']:.1%}"} for row in rows
        )
    missing = [name for name in QUICK if name not in {row["network"] for row in rows}]
    if missing:
        st.caption(tr("Not trained on these pictures yet: {networks}.", networks=listed(missing)))
        if st.button(tr("Train them, five epochs each"), icon=":material/play_arrow:", key="history_train"):
            with parts.refusals():
                size = {name: max(dataset.image_size, models.card(name).smallest) for name in missing}
                for name in missing:
                    trainings.start(
                        Recipe(
                            dataset=dataset.name,
                            model=name,
                            epochs=5,
                            image_size=size[name] if size[name] != dataset.image_size else 0,
                        ),
                        visitors.visitor(),
                    )
                st.success(tr("They train one after the other; come back in some minutes."))
    if not found:
        study.offer(tr("Add a linear SVM, a decision tree and nearest neighbours"))


teaching.begin(
    tr("From rules to networks: a short history"),
    tr(
        "Sixty years of one question: how does a machine know what is in a picture? People wrote rules, machines learned to weigh what people had measured, and at last they learned what to measure as well. Every step is one idea; here they are, drawn, and trained on the same pictures."
    ),
)
milestone()
dataset = pickers.dataset_picker(tr("The pictures that all of them learn from."))
together(dataset)
teaching.question("history")
teaching.in_pytorch(f"""
import torch
from torch import nn

class Block(nn.Module):  # {tr("the idea of 2015 in one line")}
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
        (tr("Why does the perceptron fail at points that the network of 1986 tells apart?"), tr("A single weighted sum draws one straight line. Hidden neurons draw several, and the last layer puts them together.")),
        (tr("ResNet-18 has more layers than AlexNet. Has it more weights, too?"), tr("No, a fifth: nearly all of AlexNet's lie in its dense layers (tap or point at the orange boxes), and ResNet-18 has only a small one.")),
        (tr("Why did it take until 2012?"), tr("Many labelled pictures and fast graphics cards were missing, not the idea.")),
    ),
)  # fmt: skip
teaching.further("learn_history")
