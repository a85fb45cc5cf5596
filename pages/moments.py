"""Moments: a network at several epochs of its training; shared by the page that trains."""

import numpy as np
import streamlit as st
import torch

from imgrec import charts, snapshots
from imgrec.augment import to_tensor
from imgrec.data import class_names
from imgrec.evaluate import confusion
from imgrec.language import mark, tr
from imgrec.predict import Predictor
from imgrec.runs import Run
from imgrec.weights import Passport, WeightsError
from pages import parts, pickers, thumbnails

PICTURES, CHECKED = 12, 400  # that are watched; that the confusion matrix counts


@st.cache_resource(max_entries=32, show_spinner=False)
def at(run: str, epoch: int, changed: int, _run: Run) -> Predictor:
    return snapshots.at(_run, Passport.from_dict(_run.read("classes.json")), epoch)


def chosen(kept: list[int], key: str) -> int:
    """The epoch on the slider, which grows while the run learns; who looks at the latest goes on doing so."""
    latest = st.session_state.get(f"{key} latest")
    before = st.session_state.get(key, latest)
    st.session_state[key] = kept[-1] if before == latest or before not in kept else before
    st.session_state[f"{key} latest"] = kept[-1]
    return st.select_slider(tr("After epoch"), kept, key=key) if len(kept) > 1 else kept[0]


def show(run: Run) -> None:
    """A slider over the epochs that were kept: filters, what it thinks of some pictures, and what it confuses."""
    kept = snapshots.moments(run)
    if not kept:
        st.caption(
            tr("There is something to see after its first epoch.")
            if parts.live(run)
            else tr("Nothing was kept along the way: it is too large a network, or from before moments were kept.")
        )
        return
    epoch = chosen(kept, f"moment {run.name}")
    try:
        model = at(run.name, epoch, snapshots.stamp(run, epoch), run)
        wanted = model.passport.preprocess
        dataset = pickers.open_dataset(run.recipe.dataset, wanted.size, wanted.resize)
    except (ValueError, OSError, WeightsError) as error:
        st.info(parts.text(error, 300))
        return
    filters = snapshots.first_filters(model.model)
    if filters is not None:
        st.caption(tr("What the first layer looks for after epoch {epoch}; grey is zero.", epoch=epoch))
        items = [
            thumbnails.Tile(snapshots.drawn(f), title=tr("Filter {i}", i=number), side=72)
            for number, f in enumerate(filters)
        ]
        thumbnails.tiles(items, "filters", 48, clickable=False)
    where = dataset.indices("validation")
    if not len(where):
        return
    watched = where[np.linspace(0, len(where) - 1, min(PICTURES, len(where))).round().astype(int)]
    answers = model.probabilities(dataset.images[watched])
    st.caption(tr("What it takes some validation pictures for; framed are mistakes."))
    items, names = [], class_names(dataset.classes)
    for position, row in zip(watched.tolist(), answers, strict=True):
        said, truth = int(row.argmax()), int(dataset.labels[position])
        items.append(
            thumbnails.Tile(
                dataset.images[position], f"{names[said]} {row[said]:.0%}",
                tr("It is {classes}: {row:.1%}", classes=names[truth], row=row[truth]), said != truth, 96,
            )
        )  # fmt: skip
    thumbnails.tiles(items, "watched", 84, clickable=False)
    checked = where[:: max(1, len(where) // CHECKED)][:CHECKED]
    predicted = model.probabilities(dataset.images[checked]).argmax(1)
    left, right = st.columns([3, 2])
    if len(dataset.classes) <= 20:
        with left:
            matrix = confusion(dataset.labels[checked], predicted, len(dataset.classes))
            parts.chart(
                charts.confusion(matrix, names),
                "moment_confusion",
                tr("Confusion matrix after epoch {epoch}", epoch=epoch),
            )
    with right:
        images = to_tensor(dataset.images[checked[:64]])
        asleep = snapshots.dead(model.model, wanted.normalise(images))
        parts.metrics(
            (
                tr("Right"),
                f"{(predicted == dataset.labels[checked]).mean():.0%}",
                tr("Of {checked} validation pictures.", checked=len(checked)),
            ),
            *(
                [
                    (
                        tr("Dead units"),
                        f"{asleep:.0%}",
                        tr("ReLU units that are zero for all of 64 pictures; many mean the rate was too high."),
                    )
                ]
                if asleep is not None
                else []
            ),
        )
        st.caption(tr("Size of the weights by layer"))
        layers = list(snapshots.sizes(model.model).items())[:12]
        parts.table({"layer": name, mark("root mean square"): round(value, 4)} for name, value in layers)
    found = snapshots.spread(model.model, wanted.normalise(images), torch.from_numpy(dataset.labels[checked[:64]]))
    if found:
        layer = st.selectbox(tr("Layer"), list(found), key=f"moment layer {run.name}")
        left, right = st.columns(2)
        for column, values, words, key in (
            (left, found[layer][0], tr("Weights of {layer}", layer=layer), "moment_weights"),
            (
                right,
                found[layer][1],
                tr("Gradients of {layer}, of 64 validation pictures", layer=layer),
                "moment_gradients",
            ),
        ):
            with column:
                parts.chart(
                    charts.histogram(values[:: max(1, len(values) // 20_000)], words, 40, tr("number")), key, words
                )
        st.caption(
            tr(
                "Weights that spread out are learning; gradients that are all near zero teach this layer nothing any more."
            )
        )
