"""Shared: what a network says about one picture, with its reasons."""

import numpy as np
import streamlit as st

from imgrec.charts import percent
from imgrec.data import class_name, class_names
from imgrec.explain import METHODS, Explanation, explain, flip, overlay
from imgrec.language import tr
from imgrec.predict import Classified, Ensemble, Predictor, predictor
from pages import parts, pickers, thumbnails

CLOSE = 0.15  # of probability between the first two, up to which it is not sure


@st.cache_data(max_entries=64, show_spinner=False)
def heat(
    run: str, changed: int, picture: bytes, shape: tuple, method: str, target: str, learned: bool = True
) -> tuple[bytes, Explanation]:
    """The heat map of a class over a picture, and what it says; not ``learned``: by the same network with fresh weights."""
    seen, model = np.frombuffer(picture, np.uint8).reshape(shape), predictor(run)
    model = model if learned else Predictor(model.passport.build(), model.passport)
    found = explain(model, seen, method, target)
    return overlay(seen, found.heat), found


def first(network: Predictor | Ensemble) -> Predictor:
    """The one whose reasons are shown."""
    return network.members[0] if isinstance(network, Ensemble) else network


def card(network: Predictor | Ensemble, result: Classified, number: int, count: int, trained_on: str) -> None:
    """One picture: as uploaded and as the network saw it, and its ``count`` likeliest classes."""
    with st.container(border=True):
        st.markdown(f"**{parts.text(result.file, 80)}**" + ("" if result.error else f" · {answer(network, result)}"))
        if result.error:
            st.error(parts.text(result.error, 300))
            return
        left, right = st.columns([1, 2])
        thumbnails.image(result.seen, f"{result.file}, {tr('The picture as the network saw it')}", 200, at=left)
        left.caption(
            tr("As the network saw it: {width} × {height} px", width=result.seen.shape[1], height=result.seen.shape[0])
        )
        with right:
            bars(network, result, count)
        why(first(network), result, number)
        alike(first(network), result, number, trained_on)


def answer(network: Predictor | Ensemble, result: Classified) -> str:
    """The likeliest class and how likely it is: on a phone all else is below the picture."""
    [found] = result.top(network.classes, 1)
    return f"{parts.text(class_name(found['name'], network.classes))} {percent(found['probability'])}"


def bars(network: Predictor | Ensemble, result: Classified, count: int) -> None:
    """The likeliest classes as a chart."""
    if result.known is False:
        st.warning(
            tr("Probably none of these: it is less familiar than 95% of the pictures it was checked with."),
            icon=":material/help:",
        )
    elif unsure := undecided(network, result):
        st.info(unsure, icon=":material/balance:")
    parts.likeliest(network.classes, result.probabilities, count)
    total = float(result.probabilities.sum(dtype=np.float64))
    st.caption(
        tr("Softmax: the {classes} probabilities add up to {total:.5f}.", classes=len(network.classes), total=total)
    )


def undecided(network: Predictor | Ensemble, result: Classified) -> str:
    """That the first two classes are hardly apart, in words; or empty."""
    first, second = ([*result.top(network.classes, 2), None])[:2]
    if second is None or first["probability"] - second["probability"] > CLOSE:
        return ""
    names = [parts.text(class_name(row["name"], network.classes)) for row in (first, second)]
    return tr("It is not sure: it may as well be {second} as {first}.", first=names[0], second=names[1])


@st.fragment
def why(model: Predictor, result: Classified, number: int) -> None:
    """A heat map for a class, on demand, and what it would take to change the answer."""
    with st.expander(tr("Why?")):
        if not st.toggle(tr("Show what mattered"), key=f"why_{number}"):
            return
        left, right = st.columns([1, 2])
        method = right.selectbox(
            tr("Method"), list(METHODS), format_func=lambda m: tr(METHODS[m].title), key=f"method_{number}"
        )
        order = [row["name"] for row in result.top(model.classes, len(model.classes))]
        shown = lambda name: class_name(name, model.classes)  # noqa: E731
        target = right.selectbox(tr("For the class"), order, format_func=shown, key=f"class_{number}")
        right.caption(tr(METHODS[method].help))
        try:
            image, found = heat(
                model.name, predictor(model.name).changed, result.seen.tobytes(), result.seen.shape, method, target
            )
        except ValueError as error:
            right.info(parts.text(error, 300))
            return
        alt = f"{result.file}, {tr('Heat map for {target}', target=shown(target))}"
        left.image(image, width=224, output_format="PNG", alt=alt)
        proof = tr(
            "With the hottest fifth covered the probability of {target} goes from {probability:.1%} to "
            "{hidden:.1%}; covered elsewhere, to {elsewhere:.1%}.",
            target=parts.text(shown(target)),
            probability=found.probability,
            hidden=found.hidden,
            elsewhere=found.elsewhere,
        )
        if found.reliable:
            right.caption(proof)
        else:
            right.warning(tr("Not reliable here. {proof}", proof=proof), icon=":material/warning:")
        if target == order[0]:
            covered(model, result, found)
        parts.link(
            "learn_network", "Its filters and what every layer makes of a picture", ":material/lan:", run=model.name
        )


def covered(model: Predictor, result: Classified, found: Explanation) -> None:
    """The picture with as little covered, hottest first, as makes the network change its mind."""
    turned = flip(model, result.seen, found.heat)
    left, right = st.columns([1, 2])
    thumbnails.image(turned.covered, f"{result.file}, {tr('The picture with the hottest part covered')}", 224, at=left)
    name = parts.text(class_name(turned.class_name, model.classes))
    if turned.share is None:
        right.caption(
            tr("Even with the hottest {tried:.0%} covered it still says {name}.", tried=turned.tried, name=name)
        )
    else:
        right.caption(
            tr(
                "Cover the hottest {share:.0%} of the picture, and the answer flips to **{name}**.",
                share=turned.share,
                name=name,
            )
        )


@st.fragment
def alike(model: Predictor, result: Classified, number: int, trained_on: str) -> None:
    """The training pictures that the network takes for most like this one, on demand."""
    if model.neighbours is None:
        return
    with st.expander(tr("Because it looks like these")):
        if not st.toggle(tr("Show the training pictures most alike"), key=f"alike_{number}"):
            return
        wanted = model.passport.preprocess
        try:
            dataset = pickers.open_dataset(trained_on, wanted.size, wanted.resize)
        except ValueError:
            st.caption(tr("Its training pictures are not on this machine."))
            return
        names = class_names(dataset.classes)
        positions, likeness = model.neighbours.nearest(model.features(result.seen[None])[0])
        thumbnails.tiles(
            [
                thumbnails.Tile(dataset.images[p], f"{names[dataset.labels[p]]} {share:.2f}", side=96)
                for p, share in zip(positions.tolist(), likeness, strict=True)
                if p < len(dataset.labels) and dataset.labels[p] >= 0
            ],
            f"alike_tiles_{number}", 84, clickable=False,
        )  # fmt: skip
        st.caption(tr("The number says how alike they are for the network, at most 1."))
