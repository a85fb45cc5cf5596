"""Lesson: augmentation and invariance: how the answer moves as a picture is turned, shifted or dimmed."""

import numpy as np
import streamlit as st

from imgrec import charts, trainings
from imgrec.augment import AUGMENTATIONS, parse
from imgrec.data import Dataset, class_names
from imgrec.language import listed, tr
from imgrec.lessons import invariance
from imgrec.predict import Predictor
from imgrec.recipe import Recipe
from imgrec.runs import Run, open_run
from pages import parts, pickers, teaching, thumbnails, visitors

SHOWN = 3  # classes whose probabilities are drawn
CHARTS = ("invariance_first", "invariance_second")
MANY, FEW = 100, 20  # pictures asked about at once; the second where they have more than so many pixels along a side:
SMALL = 64


def leading(probabilities: np.ndarray, middle: int, label: int) -> list[int]:
    """The classes to draw: the label, those that lead without the change (row ``middle``), and those that ever come near."""
    order = [label, *np.argsort(-probabilities[middle])[:SHOWN], *np.argsort(-probabilities.max(0))[:SHOWN]]
    return list(dict.fromkeys(map(int, order)))[: SHOWN + 1]


def moving(name: str, probabilities: np.ndarray, shown: dict[int, str], change: invariance.Change, key: str, label: int) -> None:  # fmt: skip
    """The probabilities (values, classes) of one network over all values of a change, of the classes ``shown``, by number."""
    lines = {words: (list(change.values), probabilities[:, i].tolist()) for i, words in shown.items()}
    share = invariance.steady(probabilities, label)
    parts.chart(
        charts.functions(lines, x_title=tr(change.unit), y_title=tr("probability"), shares=True),
        key,
        tr("Probabilities while the picture changes: right for {share:.0%} of the values", share=share),
    )
    right = int((probabilities.argmax(1) == label).sum())
    teaching.formula(rf"\frac{{{right}}}{{{len(probabilities)}}}", f"{share:.0%}")
    plan = listed(tr(AUGMENTATIONS[change].title) for change in parse(open_run(name).recipe.augment))
    st.caption(
        tr(
            "{name}, trained with {plan}: right for **{share:.0%}** of the values.",
            name=parts.text(name),
            plan=plan,
            share=share,
        )
        if plan
        else tr(
            "{name}, trained without augmentation: right for **{share:.0%}** of the values.",
            name=parts.text(name),
            share=share,
        )
    )


@st.cache_data(show_spinner=False, max_entries=200)
def right_answers(
    _model: Predictor, _dataset: Dataset, known: tuple, positions: tuple[int, ...], kind: str
) -> list[float]:
    """Of these pictures the share that a network has right, for each value of a change; ``known`` tells the network and
    the state of the data set."""
    order, chosen = [_model.classes.index(name) for name in _dataset.classes], np.array(positions)
    classify = lambda pictures: _model.probabilities(pictures)[:, order]  # noqa: E731
    return invariance.right_answers(classify, _dataset.images[chosen], _dataset.labels[chosen], kind)


def of_many(run: Run, models: dict[str, Predictor], kind: str, value: float) -> None:
    """How many pictures, not only the one above, the networks have right at each value of a change."""
    found = teaching.its_pictures(run, models[run.name])
    if found is None or found[0].classes != models[run.name].classes or not len(found[1]):
        return
    (dataset, pool), change = found, invariance.CHANGES[kind]
    count = min(len(pool), MANY if dataset.images.shape[1] <= SMALL else FEW)
    positions = tuple(pool[np.linspace(0, len(pool) - 1, count).astype(int)].tolist())
    with st.spinner(tr("Asking about {photos} …", photos=parts.pictures(count * len(change.values)))):
        shares = {
            name: right_answers(
                model, dataset, (name, model.changed, model.classes, dataset.fingerprint), positions, kind
            )
            for name, model in models.items()
        }
    st.subheader(tr("Not only this one"), anchor=False)
    parts.chart(
        charts.functions(
            {name: (change.values, share) for name, share in shares.items()},
            (value, shares[run.name][change.values.index(value)]),
            tr(change.unit),
            tr("right answers"),
            shares=True,
        ),
        "invariance_many",
        tr("How many of {count} pictures each network has right, for every value of the change", count=count),
    )
    st.caption(
        tr(
            "The share of right answers among {photos} that the network above was not trained on.",
            photos=parts.pictures(count),
        )
    )


teaching.begin(
    tr("What should not matter: invariance"),
    tr(
        "A cat is a cat when it is turned, moved or in the shade. A network does not know that; it learns it from pictures that were turned, moved and shaded. Change a picture and watch when the answer changes, with a network trained without such pictures and with one trained on them."
    ),
)
run, model = pickers.model_picker(first="digits-seed-cnn")
picture, label = teaching.of_a_run(run, model, "invariance", 1)
kind = st.segmented_control(
    tr("Change"), list(invariance.CHANGES), default="rotate", required=True, key="invariance_kind",
    format_func=lambda name: tr(invariance.CHANGES[name].title),
)  # fmt: skip
change = invariance.CHANGES[kind]
value = st.select_slider(tr(change.unit).capitalize(), change.values, change.none, key=f"invariance {kind}")
changed = change.apply(picture, value)
said = model.recalled(changed[None])[0]
left, right = st.columns([1, 2])
thumbnails.image(changed, tr("The picture after the change"), 224, at=left)
with right:
    parts.likeliest(model.classes, said)
st.subheader(tr("All values at once"), anchor=False)
others = [
    name
    for name, given in pickers.alike(run, model)
    if given.get("preprocess", {}).get("size") == model.passport.preprocess.size
]
models, answers = {run.name: model}, {run.name: model.recalled(invariance.sweep(picture, kind))}
columns = st.columns(2, vertical_alignment="bottom")
columns[0].caption(tr("The network chosen above: {name}", name=parts.text(run.name)))
with columns[1]:
    if others:
        other = st.selectbox(tr("Compare with"), others, key="invariance_other", format_func=pickers.run_labels(others))
        if second := pickers.network(other):
            order = [second.classes.index(name) for name in model.classes]  # the same class is the same number in both
            models[other] = second
            answers[other] = second.recalled(invariance.sweep(picture, kind))[:, order]
    elif run.recipe.dataset != "digits":
        st.info(tr("To compare, it takes a second network for the same classes, trained with other augmentation."))
        parts.link("train", "Train one", ":material/model_training:", dataset=run.recipe.dataset)
    else:
        st.info(
            tr(
                "To compare, it takes a second network for the same classes. This button trains two on the digits, a minute in all: one without and one with turned and shifted pictures."
            )
        )
        if st.button(tr("Train both"), icon=":material/play_arrow:", key="invariance_train"):
            with parts.refusals():
                for plan in ("none", "rotate=60,shift=0.2"):
                    started = trainings.start(Recipe(dataset="digits", epochs=15, augment=plan), visitors.visitor())
                st.success(tr("Both are under way; when they have finished, choose one of them above."))
                parts.link("train", "Watch", ":material/model_training:", run=started.name)
middle, names = change.values.index(change.none), class_names(model.classes)
numbers = dict.fromkeys(number for found in answers.values() for number in leading(found, middle, label))
shown = {number: names[number] for number in numbers}  # the same ones in both charts, so that a colour is a class
for column, (name, found), key in zip(st.columns(len(answers)), answers.items(), CHARTS, strict=False):
    with column:
        moving(name, found, shown, change, key, label)
of_many(run, models, kind, value)
teaching.question("invariance")
teaching.in_pytorch(f"""
import torch
from torchvision.transforms import v2

picture = torch.rand(3, 32, 32)
change = v2.Compose([v2.RandomRotation(15), v2.RandomHorizontalFlip(), v2.ColorJitter(0.2)])
print(torch.stack([change(picture) for _ in range(8)]).shape)  # {tr("eight different ones")}
""")
teaching.plan(
    tr("Pupils can say what augmentation is for and choose one that fits their pictures."), 25,
    (
        (tr("Why does it fail beyond some angle?"), tr("It has never seen such pictures; pooling forgives small shifts only.")),
        (tr("Why not turn everything by any angle?"), tr("A turned 6 is a 9.")),
        (tr("Does augmentation make up for missing pictures?"), tr("Partly: it adds what we know does not matter, not what we have never seen.")),
    ),
)  # fmt: skip
teaching.further("learn_invariance")
