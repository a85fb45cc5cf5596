"""How a network does on another data set: pictures of the same things from elsewhere, none of which it learned from."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgrec import arrays
from imgrec.data import Dataset, DatasetError, class_names, fingers, is_builtin, open_dataset, shapes_options
from imgrec.data.dataset import SPLITS, sample
from imgrec.evaluate import Answers, looked, scores, wilson
from imgrec.language import listed, plural, tr
from imgrec.predict import Predictor
from imgrec.runs import LEARNED, Run, RunError, lineage

MOST, STRANGERS = 20_000, 5_000  # pictures of its classes, and of others, that it is asked about, drawn at random

Names = Mapping[str, str]  # classes of another set → what they are among those of a network


@dataclass(frozen=True)
class Elsewhere:
    """``answers`` about the pictures whose class the network learned, ``there`` are so many of them, of which MOST at most
    were drawn; ``others`` are the set's classes that it did not learn, with ``strangers`` pictures. It marks the share
    ``noticed`` of these as none of its classes, and takes ``known`` of the others for one of them, if it can tell. Another
    ``learned`` pictures were left out, since it learned from them; what it learned from ``gone`` sets is not known."""

    answers: Answers
    there: int
    others: tuple[str, ...]
    strangers: int
    noticed: float | None
    known: float | None
    learned: int
    gone: tuple[str, ...]


def shared(classes: Sequence[str], others: Sequence[str], called: Names | None = None) -> np.ndarray:
    """Where each class of another set stands among ``classes``, int64 (others,); -1 for what is not among them.

    Capitals do not count, nor which of space, hyphen and underscore stands between words; a class that the reader's
    language calls otherwise, see `class_names`, goes by both names; ``called`` says what others are, such as
    {"car": "automobile"}. Raises DatasetError where that names what there is not.
    """
    for other, name in (called or {}).items():
        if other not in others or name not in classes:
            raise DatasetError(
                tr(
                    "{other} = {name} does not fit: on the left stands one of {others}, on the right one of {classes}.",
                    other=other,
                    name=name,
                    others=listed(others[:20]),
                    classes=listed(classes[:20]),
                )
            )
    places: dict[str, int] = {}
    for names in (classes, map(_plain, classes), map(_plain, class_names(classes))):
        for place, name in enumerate(names):
            places.setdefault(name, place)
    told = [(called or {}).get(other) for other in others]
    found = [
        classes.index(name) if name else next((places[n] for n in (o, _plain(o), _plain(also)) if n in places), -1)
        for name, o, also in zip(told, others, class_names(others), strict=True)
    ]
    return np.array(found, np.int64)


def _plain(name: str) -> str:
    return re.sub(r"(?<=[^\W_])[\s_-]+(?=[^\W_])", " ", unicodedata.normalize("NFKC", name).strip()).casefold()


def pairs(texts: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """What ``car=automobile`` and its like say; of several signs the one counts before which a class of the set stands."""
    found = {}
    for text in texts:
        cuts = [place for place, sign in enumerate(text) if sign == "="]
        cut = next((place for place in cuts if text[:place].strip() in others), cuts[0] if cuts else len(text))
        found[text[:cut].strip()] = text[cut + 1 :].strip()
    return found


def fitting(predictor: Predictor, name: str, others: Sequence[str], called: Names | None = None) -> np.ndarray:
    """`shared` of a network and the classes ``others`` of the set ``name``; raises DatasetError if that is nothing."""
    found = shared(predictor.classes, others, called)
    if (found < 0).all():
        raise DatasetError(
            tr(
                "{name} has none of the classes that {run} knows, which are {classes}; call its classes so, or take another set.",
                name=name,
                run=predictor.name,
                classes=listed(predictor.classes[:20]),
            )
        )
    return found


def unseen(dataset: Dataset, run: Run) -> tuple[np.ndarray, tuple[str, ...]]:
    """The positions, int64, of a set's pictures with a label that neither a run nor those it began with learned from or were
    chosen by, and the names of the sets they learned from that are not here, so that this cannot be told of them."""
    learned, gone = np.zeros(len(dataset), bool), []
    for one in lineage(run):
        if len(known := remembered(one)):
            learned |= np.isin(_fingers(dataset), known)
            continue
        try:
            recipe = one.recipe
            theirs = open_dataset(recipe.dataset, recipe.image_size, recipe.resize)
        except DatasetError:
            gone.append(recipe.dataset)
        except RunError:  # its recipe is damaged
            gone.append(one.name)
        else:
            learned |= _among(dataset, theirs, _learned(one, theirs))
    return dataset.kept[~learned[dataset.kept]], tuple(dict.fromkeys(gone))


def learned_before(run: Run, dataset: Dataset) -> np.ndarray:
    """The positions, int64, of a run's own test pictures that it learned from itself, for they were moved or are there twice,
    or that a run it began with had learned from: they test nothing."""
    test = dataset.indices("test")
    can_tell = len(remembered(run)) or len(list(lineage(run))) > 1
    return np.setdiff1d(test, unseen(dataset, run)[0]) if can_tell else test[:0]


def remember(run: Run, dataset: Dataset) -> None:
    """Write down which pictures of an own set a run learns from or is chosen by, and those of the runs it begins with, so that
    it is known when their sets have changed or are gone; and which it is tested on, in their order. Built-in sets stay."""
    if is_builtin(dataset.name):
        return
    mine, before = fingers(dataset.name), [remembered(one) for one in lineage(run)]
    learned = np.unique(np.concatenate([mine[dataset.splits < SPLITS.index("test")], *before]))
    arrays.save(run.file(LEARNED), learned=learned, tested=mine[dataset.indices("test")])


def remembered(run: Run) -> np.ndarray:
    """The pictures that `remember` wrote down as learned from, as `fingers`, uint64; empty if it did not."""
    found = arrays.load(run.file(LEARNED)).get("learned", np.zeros(0))
    return found if found.dtype == np.uint64 and found.ndim == 1 else np.zeros(0, np.uint64)


def _fingers(dataset: Dataset) -> np.ndarray:
    """`fingers` of a set as it is opened; zeros where it is none that has any."""
    found = np.zeros(0, np.uint64)
    with suppress(DatasetError):  # deleted meanwhile
        found = fingers(dataset.name)
    return found if len(found) == len(dataset) else np.zeros(len(dataset), np.uint64)


def by_heart(learned: int) -> str:
    """What is to be said where ``learned`` test pictures are of that kind."""
    return tr(
        "{pictures} of the test were learned from, by this run or one that it began with; it may know them by heart.",
        pictures=plural("{n:,} picture", "{n:,} pictures", learned),
    )


def _learned(run: Run, dataset: Dataset) -> np.ndarray:
    """Which pictures of its set a run learned from or was chosen by, bool (N,). Where the set was changed since, all but
    those that it was tested on."""
    if run.read("about.json").get("fingerprint") == dataset.fingerprint:
        return dataset.splits < SPLITS.index("test")
    tested = Answers.load(run.file("test.npz"), None)
    if tested is None:
        return dataset.splits != SPLITS.index("test")
    found = np.ones(len(dataset), bool)
    found[tested.positions[tested.positions < len(dataset)]] = False
    return found


def _among(dataset: Dataset, theirs: Dataset, learned: np.ndarray) -> np.ndarray:
    """Which pictures of a set are among the ``learned`` ones, bool (N,), of another: by their files, byte for byte; drawn
    ones of the same seed by their number, for they show the same things at any size."""
    found, one, other = np.zeros(len(dataset), bool), shapes_options(dataset.name), shapes_options(theirs.name)
    if dataset.name == theirs.name or (one and other and one["seed"] == other["seed"]):
        both = min(len(dataset), len(theirs))
        found[:both] = learned[:both]
        return found
    return found if one and other else np.isin(fingers(dataset.name), fingers(theirs.name)[learned])


def ask(
    predictor: Predictor, dataset: Dataset, run: Run, on_progress: Callable[[float, str], None] | None = None
) -> dict[str, np.ndarray]:
    """What a network, of a run, says of the `unseen` pictures of another set: positions int64 (n,), logits float32
    (n, classes), familiarity float32 (n,) or empty, how many were ``learned``, the sets that are ``gone``, how many are
    unseen of each class (``names``, ``counts``), and when the weights had ``changed``.

    ``on_progress`` hears the share done; what it raises ends it. Raises DatasetError where there is nothing to be asked.
    """
    free, gone = unseen(dataset, run)
    if not len(free):
        raise DatasetError(
            tr("{name} has no picture that {run} did not learn from.", name=dataset.name, run=predictor.name)
        )
    known = shared(predictor.classes, dataset.classes)[dataset.labels[free]] >= 0
    mine, most = sample(free[known], MOST), STRANGERS if known.any() else MOST  # perhaps all go by other names
    positions = np.sort(np.concatenate([mine, sample(free[~known], most)]))
    logits, familiarity = looked(
        predictor, dataset, positions,
        on_progress and (lambda done, total: on_progress(done / total, tr("the network looks at them"))),
    )  # fmt: skip
    return {
        "positions": positions,
        "logits": logits,
        "familiarity": np.zeros(0, np.float32) if familiarity is None else familiarity,
        "learned": np.array(len(dataset.kept) - len(free)),
        "gone": np.array(gone, str),
        "names": np.array(dataset.classes, str),
        "counts": np.bincount(dataset.labels[free], minlength=len(dataset.classes)),
        "changed": np.array(predictor.changed),
        "fingerprint": np.array(dataset.fingerprint),
    }


def judge(
    predictor: Predictor, dataset: Dataset, found: Mapping[str, np.ndarray], called: Names | None = None
) -> Elsewhere:
    """What `ask` found, by the labels that the pictures have now. Raises DatasetError where none of the classes are there."""
    places, positions = fitting(predictor, dataset.name, dataset.classes, called), found["positions"]
    if positions.max() >= len(dataset):
        raise DatasetError(tr("{name} was changed meanwhile; ask again.", name=dataset.name))
    labels = dataset.labels[positions]
    kept = (labels >= 0) & (dataset.splits[positions] < len(SPLITS))
    place = np.where(kept, places[labels], -1)
    mine, strange = np.flatnonzero(place >= 0), np.flatnonzero(kept & (place < 0))
    if not len(mine):
        raise DatasetError(
            tr("{run} learned from all the pictures of {name} whose classes it knows; none is left to test it.", name=dataset.name, run=predictor.name)
            if int(found["learned"])
            else tr("{name} has no pictures of the classes that {run} knows.", name=dataset.name, run=predictor.name)
        )  # fmt: skip
    familiarity, threshold = found["familiarity"], predictor.passport.threshold
    can_tell = len(familiarity) == len(positions) and threshold is not None
    share = lambda where: float((familiarity[where] < threshold).mean()) if can_tell and len(where) else None  # noqa: E731
    noticed, missed = share(strange), share(mine)
    counts = dict(zip(found["names"].tolist(), found["counts"].tolist(), strict=True))
    there = sum(counts.get(name, 0) for name, at in zip(dataset.classes, places, strict=True) if at >= 0)
    return Elsewhere(
        Answers(
            "elsewhere", predictor.classes, positions[mine], place[mine], found["logits"][mine],
            predictor.passport.temperature, familiarity[mine] if can_tell else None,
        ),
        max(there, len(mine)),
        tuple(name for name, at in zip(dataset.classes, places, strict=True) if at < 0),
        len(strange),
        noticed,
        None if missed is None else 1 - missed,
        int(found["learned"]),
        tuple(found["gone"].tolist()),
    )  # fmt: skip


def own_test(run: Run, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What a run reached on its own test pictures, by class, whose names are ``classes`` by now; empty if it had no test."""
    called = dict(zip(run.classes, classes, strict=False))
    return {called.get(row["name"], row["name"]): row for row in run.read("evaluation.json").get("classes", ())}


def summary(found: Elsewhere, own: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The figures, JSON-able, beside those of the network's `own_test`.

    ``own_accuracy`` is what that would be if its classes were as frequent as here (direct standardisation); ``difference``
    is how much lower the accuracy is here, in shares, with its 95 % interval.
    """
    given = found.answers
    hits, total = int(given.right.sum()), len(given.labels)
    classes = [
        {
            "name": name,
            "images": row["support"],
            "recall": row["recall"],
            "own_recall": own[name]["recall"] if own.get(name, {}).get("support") else None,
        }
        for name, row in zip(given.classes, scores(given.confusion), strict=True)
        if row["support"]
    ]
    compared = all(row["own_recall"] is not None for row in classes)
    before = standardised([(row["images"], own[row["name"]]) for row in classes]) if compared else None
    return {
        "images": total,
        "accuracy": hits / total,
        "interval": wilson(hits, total),
        "balanced_accuracy": float(np.mean([row["recall"] for row in classes])),
        "own_accuracy": before and before[0],
        "own_images": sum(own[row["name"]]["support"] for row in classes) if compared else None,
        "difference": before and before[0] - hits / total,
        "difference_interval": before and difference(before[0] * before[1], before[1], hits, total),
        "classes": classes,
        "other_classes": list(found.others),
        "strangers": found.strangers,
        "strangers_noticed": found.noticed,
        "taken_for_known": found.known,
        "drawn_from": found.there,
        "learned_from": found.learned,
        "gone": list(found.gone),
    }


def standardised(rows: Sequence[tuple[int, Mapping[str, Any]]]) -> tuple[float, float]:
    """An accuracy from recalls, as if the classes were as frequent as the first of each pair says, and of how many pictures
    a plain accuracy would be as certain. Each variance is that of one hit and one miss more than there were, so that of
    few pictures that are all right it is not nothing."""
    total = sum(count for count, _ in rows)
    share = variance = middle = 0.0
    for count, row in rows:
        weight, images = count / total, row["support"]
        likely = (row["recall"] * images + 1) / (images + 2)
        share += weight * row["recall"]
        middle += weight * likely
        variance += weight**2 * likely * (1 - likely) / images
    return min(share, 1.0), middle * (1 - middle) / variance


def difference(hits: float, total: float, other_hits: float, others: float) -> tuple[float, float]:
    """The 95 % interval of the difference of two independent shares (Newcombe, Statistics in Medicine 1998, method 10)."""
    one, two = hits / total, other_hits / others
    (low, high), (lower, higher) = wilson(hits, total), wilson(other_hits, others)
    return one - two - math.hypot(one - low, higher - two), one - two + math.hypot(high - one, two - lower)
