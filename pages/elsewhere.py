"""Shared: a network on another data set, whose pictures are of the same things and from elsewhere."""

from contextlib import suppress

import numpy as np
import streamlit as st

from imgrec import charts
from imgrec.data import Dataset, DatasetError, class_name, class_names, classes_of, list_datasets, shapes
from imgrec.data.dataset import sample
from imgrec.elsewhere import Elsewhere, judge, own_test, pairs, shared, summary
from imgrec.language import listed, sentences, tr
from imgrec.predict import Predictor
from imgrec.runs import Run
from pages import parts, pickers, settings, split_answers, thumbnails
from pages.study import Study

MOST_CALLED = 20  # classes of other names for which one can say what they are
ALIKE = 0.05  # a difference of shares that is none
BESIDE = 12  # pictures of each set that are shown beside each other


def offered(run: Run, model: Predictor) -> dict[str, int]:
    """The other data sets, each with how many of its classes it knows by name, those with most first, built-in ones
    only if it knows some; of drawn shapes harder ones."""
    own, rows = run.recipe.dataset, list_datasets()
    names, built_in = (
        [row.name for row in rows if row.ready and row.name != own],
        {row.name for row in rows if row.kind == "built-in"},
    )
    if own.partition(":")[0] == "shapes":
        names = [name for name in (shapes.name(difficulty=hard, seed=1) for hard in (0.7, 1.0)) if name != own] + names
    known = {}
    for name in names:
        with suppress(DatasetError):
            known[name] = int((shared(model.classes, classes_of(name)) >= 0).sum())
    found = [(name, count) for name, count in known.items() if count or name not in built_in]
    return dict(sorted(found, key=lambda pair: -pair[1]))


def section(run: Run, model: Predictor) -> None:
    """The choice of a set, and how the network does on it."""
    st.caption(
        tr(
            "The test pictures came from where the others came from: the same cameras, hands and backgrounds. How does it do with "
            "pictures of the same things from somewhere else?"
        )
    )
    known = offered(run, model)
    if not any(known.values()):
        names = listed([parts.text(name) for name in class_names(model.classes)[:12]])
        st.info(
            tr(
                "No other data set here has a class that it knows by name. Bring pictures in folders that are called so: {classes}.",
                classes=names,
            )
        )
        parts.link("bring", "Bring your own pictures", ":material/add_photo_alternate:")
    if not known:
        return
    name = pickers.address_box(
        tr("Pictures from"),
        list(known),
        "on",
        tr(
            "The data sets with most of its classes come first. Capitals, spaces and hyphens in their names do not count."
        ),
    )
    called = calling(run, model, name)
    if not known[name] and not called:
        st.info(tr("None of its classes goes by a name that this network knows; say above which are the same."))
        return
    study = Study("elsewhere", name, run=run.name)
    found = study.found if int(study.found.get("changed", -1)) == model.changed else {}  # it has learned since
    if found:
        with parts.refusals():
            wanted = model.passport.preprocess
            dataset = pickers.open_dataset(name, wanted.size, wanted.resize, wanted.channels)
            if str(found["fingerprint"]) != dataset.fingerprint:
                st.caption(
                    tr(
                        "Labels were changed since it was asked. Pictures that have got one since are missing until it is asked again."
                    )
                )
            told(run, model, dataset, judge(model, dataset, found, called), called)
    study.offer(tr("Ask it again") if found else tr("Ask it about these pictures"))


def calling(run: Run, model: Predictor, name: str) -> dict[str, str]:
    """What the visitor says that classes of other names are; kept in the address, as ?as=car=automobile."""
    classes, shown = classes_of(name), class_names(model.classes)
    others = [other for other, at in zip(classes, shared(model.classes, classes), strict=True) if at < 0]
    if not others:
        return {}
    with st.expander(tr("Classes of other names ({n})", n=len(others)), expanded=len(others) == len(classes)):
        st.caption(
            tr("Is one of them the same as one that it knows, under another name? Then its pictures count, too.")
        )
        places, given = st.columns(2), pairs(st.query_params.get_all("as"), classes)
        for other in others:
            if given.get(other) in model.classes:
                st.session_state.setdefault(f"called {name} {run.name} {other}", model.classes.index(given[other]))
        chosen = {
            other: places[number % 2].selectbox(
                parts.text(class_name(other, classes)), range(len(shown)), None, key=f"called {name} {run.name} {other}",
                format_func=lambda at: " ".join(shown[at].split()), placeholder=tr("none of its classes"), persist_state="session",
            )
            for number, other in enumerate(others[:MOST_CALLED])
        }  # fmt: skip
    called = {other: model.classes[at] for other, at in chosen.items() if at is not None}
    if called:
        st.query_params["as"] = [f"{other}={what}" for other, what in called.items()]
    else:
        st.query_params.pop("as", None)
    return called


def told(run: Run, model: Predictor, dataset: Dataset, there: Elsewhere, called: dict[str, str]) -> None:
    """The figures, what they mean, and the pictures."""
    given, found = there.answers, summary(there, own_test(run, model.classes))
    low, high = found["interval"]
    tiles = [
        (tr("Accuracy on these"), f"{found['accuracy']:.1%}", tr("95% interval {low:.1%} to {high:.1%} (Wilson).", low=low, high=high))
    ]  # fmt: skip
    if found["own_accuracy"] is not None:
        about = tr(
            "{n:,} pictures of the same classes, counted as if these were as frequent as here.", n=found["own_images"]
        )
        tiles.append((tr("In its own test"), f"{found['own_accuracy']:.1%}", about))
    if there.known is not None:
        about = tr("Marked as probably none of its classes, though they are.")
        tiles.append((tr("Taken for strange"), f"{1 - there.known:.1%}", about))
    parts.metrics(*tiles)
    st.caption(sentences(*counted(found, dataset)))
    verdict(found)
    names = dict(zip(model.classes, class_names(model.classes), strict=True))
    parts.chart(
        charts.elsewhere([{**row, "name": names[row["name"]]} for row in found["classes"]]), "elsewhere_classes",
        tr("What is found of each class here and in its own test, the greatest loss first"),
    )  # fmt: skip
    beside(run, model, dataset, given.positions)
    st.subheader(tr("Most confident mistakes"), anchor=False)
    split_answers.pictures(model, dataset, given, given.mistakes, "elsewhere", dataset.name)
    if not there.others and not called:
        further(run, model, dataset)


def further(run: Run, model: Predictor, dataset: Dataset) -> None:
    """A button to go on learning from these pictures, where they have as many channels as it takes; their classes are
    those that the network will know."""
    wanted, kind = model.passport.preprocess, dataset.name.partition(":")[0]
    channels = next((row.channels for row in list_datasets() if row.name == kind), 0)  # its own, not as opened here
    if len(dataset.indices("train")) and wanted.channels == channels and st.button(
        tr("Train further on these"), icon=":material/fast_forward:", key="elsewhere_train",
        help=tr("A new training that starts from the best weights of this one, on these pictures. It may forget the others."),
    ):  # fmt: skip
        settings.fill_in(run, weights=run.name, dataset=dataset.name, image_size=wanted.size)


def counted(found: dict, dataset: Dataset) -> list[str]:
    """Which pictures it was asked about, and which not, in sentences."""
    words = [tr("It was asked about {pictures}.", pictures=parts.pictures(found["images"]))]
    if found["drawn_from"] > found["images"]:
        words.append(tr("They were drawn at random from {n:,}.", n=found["drawn_from"]))
    if found["learned_from"]:
        words.append(
            tr("Left out: {pictures}, since it learned from them.", pictures=parts.pictures(found["learned_from"]))
        )
    if found["gone"]:
        sets = listed([parts.text(name) for name in found["gone"]])
        words.append(tr("It also learned from {sets}, which is not here; some of these may be among those.", sets=sets))
    if found["strangers"]:
        others = listed([parts.text(class_name(name, dataset.classes)) for name in found["other_classes"][:8]])
        words.append(
            tr(
                "Of classes that it never learned ({others}): {pictures}.",
                others=others,
                pictures=parts.pictures(found["strangers"]),
            )
        )
        if found["strangers_noticed"] is not None:
            words.append(tr("{share:.0%} of those it marks as none of its classes.", share=found["strangers_noticed"]))
    return words


def verdict(found: dict) -> None:
    """What the difference to its own test means."""
    if found["difference"] is None:
        return
    low, high = found["difference_interval"]
    if low > 0:
        st.warning(
            tr(
                "**It does worse here than in its own test, by {points:.1f} points** (95% interval {low:.1f} to {high:.1f}). What tells "
                "its classes apart at home does not hold everywhere. Compare the pictures below; then add some like these to what "
                "it learns from, or let the augmentation vary what differs.",
                points=100 * found["difference"], low=100 * low, high=100 * high,
            ),
            icon=":material/trending_down:",
        )  # fmt: skip
    elif high < 0:
        st.success(
            tr("**It does better here than in its own test**, more than chance explains: these pictures are easier."),
            icon=":material/trending_up:",
        )
    elif max(-low, high) < ALIKE:
        st.success(
            tr(
                "**It does as well here as in its own test**, within {points:.0f} points.", points=100 * max(-low, high)
            ),
            icon=":material/check:",
        )
    else:
        st.info(
            tr(
                "**So few pictures cannot tell** whether it does worse here: the difference lies between {low:.0f} and {high:.0f} "
                "points.",
                low=100 * low, high=100 * high,
            ),
            icon=":material/help:",
        )  # fmt: skip


def beside(run: Run, model: Predictor, dataset, positions: np.ndarray) -> None:
    """Pictures that it learned from above those that it was asked about, as the network sees them."""
    wanted = model.passport.preprocess
    try:
        home = pickers.open_dataset(run.recipe.dataset, wanted.size, wanted.resize, wanted.channels)
    except ValueError:  # it is not here any more
        home = None
    if home is not None:
        st.markdown(tr("It learned from pictures like these:"))
        strip(home, home.indices("train"), "elsewhere_home")
        st.markdown(tr("It was asked about pictures like these:"))
        strip(dataset, positions, "elsewhere_there")


def strip(dataset, positions: np.ndarray, key: str) -> None:
    chosen = sample(positions, BESIDE)
    thumbnails.tiles(
        [thumbnails.Tile(dataset.images[i], dataset.classes[dataset.labels[i]], dataset.files[i]) for i in chosen.tolist()],
        key, 84, clickable=False,
    )  # fmt: skip
