"""What the classes of a run are called by now, where some were renamed in its data set since it learned them."""

from __future__ import annotations

import numpy as np

from imgrec import arrays
from imgrec.data import Dataset, DatasetError, classes_of, fingers, open_dataset
from imgrec.data.dataset import SPLITS
from imgrec.runs import LEARNED, Run, RunError


def names_by_now(run: Run) -> tuple[str, ...]:
    """`names_now` in the data set of the run; as the run calls them where that is not here."""
    classes = run.classes
    try:
        dataset = run.recipe.dataset
        return classes if classes_of(dataset) == classes else names_now(run, open_dataset(dataset))
    except (DatasetError, RunError):
        return classes


def names_now(run: Run, dataset: Dataset) -> tuple[str, ...]:
    """The classes of a run as they are called by now in a data set: each as most of the run's test pictures are. As the run
    calls them where that does not tell them all apart; nothing of a run without weights."""
    classes = run.classes
    if classes == dataset.classes:
        return classes
    then = arrays.load(run.file("test.npz"))
    positions, labels = (then.get(name, np.zeros(0)) for name in ("positions", "labels"))
    whole = positions.ndim == 1 and positions.shape == labels.shape and positions.dtype.kind == labels.dtype.kind == "i"
    if not (whole and len(positions) and 0 <= positions.min() <= positions.max() < len(dataset.labels)):
        return classes
    tested = arrays.load(run.file(LEARNED)).get("tested", np.zeros(0))
    if tested.shape == positions.shape and (fingers(dataset.name)[positions] == tested).mean() < 0.5:
        return classes  # another set has that name by now
    there = dataset.splits[positions] < len(SPLITS)
    found = np.zeros((len(classes), len(dataset.classes)), np.int64)
    inside = there & (labels >= 0) & (labels < len(classes))
    np.add.at(found, (labels[inside], dataset.labels[positions[inside]]), 1)
    sure = found.max(1) * 2 > found.sum(1)
    names = tuple(dataset.classes[number] for number in found.argmax(1)[sure])
    return names if len(names) == len(classes) and sorted(names) == sorted(dataset.classes) else classes
