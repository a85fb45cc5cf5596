"""How a network does on another data set: pictures of the same things from elsewhere, none of which it learned from."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgrec.data import Dataset, DatasetError, class_names, fingers
from imgrec.data.dataset import evenly
from imgrec.evaluate import Answers, looked, scores, wilson
from imgrec.language import tr
from imgrec.predict import Predictor
from imgrec.runs import Run

MOST = 20_000  # pictures that it is asked about, evenly drawn


@dataclass(frozen=True)
class Elsewhere:
    """``answers`` about the pictures whose class the network learned; ``others`` are the set's classes that it did not,
    with ``strangers`` pictures, the share ``noticed`` of which it marks as none of its classes, if it can. Another
    ``learned`` pictures were left out, since it learned from them; of the rest, ``there``, MOST at most were drawn."""

    answers: Answers
    others: tuple[str, ...]
    strangers: int
    noticed: float | None
    known: float | None  # the same of the answers: which share of the pictures it takes for one of its classes
    learned: int
    there: int


Names = Mapping[str, str]  # classes of another set → what they are among those of a network


def shared(classes: Sequence[str], others: Sequence[str], called: Names | None = None) -> np.ndarray:
    """Where each class of another set stands among ``classes``, int64 (others,); -1 for what is not among them.

    Capitals, spaces, hyphens and underscores do not count; a class that the reader's language calls otherwise, see
    `class_names`, goes by both names; ``called`` says what others are, such as {"car": "automobile"}. Raises DatasetError
    where that names what there is not.
    """
    for other, name in (called or {}).items():
        if other not in others or name not in classes:
            raise DatasetError(
                tr(
                    "{other} = {name} does not fit: on the left stands one of {others}, on the right one of {classes}.",
                    other=other,
                    name=name,
                    others=", ".join(others[:20]),
                    classes=", ".join(classes[:20]),
                )
            )
    places: dict[str, int] = {}
    for names in (classes, map(_plain, classes), map(_plain, class_names(classes))):
        for place, name in enumerate(names):
            places.setdefault(name, place)
    shown = class_names(others)
    found = [
        next((places[name] for name in (other, _plain(other), _plain(also)) if name in places), -1)
        for other, also in zip(others, shown, strict=True)
    ]
    told = [called.get(other) if called else None for other in others]
    return np.array([classes.index(name) if name else place for name, place in zip(told, found, strict=True)], np.int64)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()


def unseen(dataset: Dataset, learned: str) -> np.ndarray:
    """The positions of a set's pictures with a label that a training on the set named ``learned`` neither learned from nor
    was chosen by, int64: of the same set its test pictures, of another what is not, byte for byte, in the rest of that one."""
    if dataset.name == learned:
        return dataset.indices("test")
    mine, (theirs, splits) = fingers(dataset.name)[0], fingers(learned)
    if mine is None or theirs is None:
        return dataset.kept
    return dataset.kept[~np.isin(mine[dataset.kept], theirs[splits < 2])]


def ask(
    predictor: Predictor, dataset: Dataset, learned: str, told: Callable[[float, str], None] | None = None
) -> dict[str, np.ndarray]:
    """What a network that learned from the set named ``learned`` says of the `unseen` pictures of another: positions
    int64 (n,), logits float32 (n, classes), familiarity float32 (n,) or empty, how many were ``learned``, and of how many
    others, ``there``, these n are.

    ``told`` hears the share done; what it raises ends it. Raises DatasetError where there is nothing to be asked.
    """
    positions = unseen(dataset, learned)
    if not len(positions):
        raise DatasetError(
            tr("{name} has no picture that {run} did not learn from.", name=dataset.name, run=predictor.name)
        )
    there, positions = len(positions), evenly(positions, MOST)
    logits, familiarity = looked(
        predictor, dataset, positions,
        told and (lambda done, total: told(done / total, tr("the network looks at them"))),
    )  # fmt: skip
    return {
        "positions": positions,
        "logits": logits,
        "familiarity": np.zeros(0, np.float32) if familiarity is None else familiarity,
        "learned": np.array(len(dataset.kept) - there),
        "there": np.array(there),
    }


def fitting(predictor: Predictor, dataset: Dataset, called: Names | None = None) -> np.ndarray:
    """`shared` of both; raises DatasetError if that is nothing."""
    found = shared(predictor.classes, dataset.classes, called)
    if (found < 0).all():
        raise DatasetError(
            tr(
                "{name} has none of the classes that {run} knows, which are {classes}; call its classes so, or take another set.",
                name=dataset.name,
                run=predictor.name,
                classes=", ".join(predictor.classes[:20]),
            )
        )
    return found


def judge(
    predictor: Predictor, dataset: Dataset, found: Mapping[str, np.ndarray], called: Names | None = None
) -> Elsewhere:
    """What `ask` found, by the labels that the pictures have now. Raises DatasetError where none of the classes are there."""
    places, positions = fitting(predictor, dataset, called), found["positions"]
    labels = dataset.labels[positions]
    kept = (labels >= 0) & (dataset.splits[positions] < 3)
    place = np.where(kept, places[labels], -1)
    mine, strange = np.flatnonzero(place >= 0), np.flatnonzero(kept & (place < 0))
    if not len(mine):
        raise DatasetError(
            tr("{name} has no pictures of the classes that {run} knows.", name=dataset.name, run=predictor.name)
        )
    familiarity, threshold = found["familiarity"], predictor.passport.threshold
    can_tell = len(familiarity) == len(positions) and threshold is not None
    share = lambda where: float((familiarity[where] < threshold).mean()) if can_tell and len(where) else None  # noqa: E731
    noticed, missed = share(strange), share(mine)
    return Elsewhere(
        Answers(
            "elsewhere", predictor.classes, positions[mine], place[mine], found["logits"][mine],
            predictor.passport.temperature, familiarity[mine] if can_tell else None,
        ),
        tuple(name for name, at in zip(dataset.classes, places, strict=True) if at < 0),
        len(strange),
        noticed,
        None if missed is None else 1 - missed,
        int(found["learned"]),
        int(found["there"]),
    )  # fmt: skip


def own_test(run: Run, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What a run reached on its own test pictures, by class, whose names are ``classes`` by now; empty if it had no test."""
    called = dict(zip(run.read("classes.json").get("classes", ()), classes, strict=False))
    return {called.get(row["name"], row["name"]): row for row in run.read("evaluation.json").get("classes", ())}


def summary(found: Elsewhere, own: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The figures, JSON-able, beside those of the network's `own_test`.

    ``own_accuracy`` is that of its test pictures of the same classes; ``difference`` is how much lower the accuracy is
    here, in shares, with its 95 % interval (Newcombe 1998, his method 10).
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
    theirs = [own[row["name"]] for row in classes if row["own_recall"] is not None]
    many = sum(row["support"] for row in theirs)
    right = round(sum(row["recall"] * row["support"] for row in theirs))
    compared = len(theirs) == len(classes)
    return {
        "images": total,
        "accuracy": hits / total,
        "interval": wilson(hits, total),
        "balanced_accuracy": float(np.mean([row["recall"] for row in classes])),
        "own_accuracy": right / many if compared else None,
        "own_images": many if compared else None,
        "difference": right / many - hits / total if compared else None,
        "difference_interval": difference(right, many, hits, total) if compared else None,
        "classes": classes,
        "other_classes": list(found.others),
        "strangers": found.strangers,
        "strangers_noticed": found.noticed,
        "taken_for_known": found.known,
        "learned_from": found.learned,
        "drawn_from": found.there,
    }


def difference(hits: int, total: int, other_hits: int, others: int) -> tuple[float, float]:
    """The 95 % interval of the difference of two independent shares (Newcombe, Statistics in Medicine 1998, method 10)."""
    one, two = hits / total, other_hits / others
    (low, high), (lower, higher) = wilson(hits, total), wilson(other_hits, others)
    return one - two - math.hypot(one - low, higher - two), one - two + math.hypot(high - one, two - lower)
