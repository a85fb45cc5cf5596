"""Studies: questions about a data set that take too long for a page; the worker answers each in a process of its own.

A row in STUDIES is ``study(name, on_progress, **options)``: it opens data set ``name``, calls ``on_progress(share, words)`` with the
share done, which may raise to end it, and gives arrays by name, in the order of the pictures or of ``positions``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from imgrec.data import LEFT_OUT, Dataset, DatasetError, open_dataset
from imgrec.data.dataset import sample
from imgrec.data.health import measure
from imgrec.language import tr
from imgrec.recipe import Recipe
from imgrec.runs import open_run

MOST_SUSPECTS = 2000  # labels that are kept of a search, the least believable first
OnProgress = Callable[..., None]  # (share, words)


def suspects(name: str, on_progress: OnProgress) -> dict[str, np.ndarray]:
    """Labels that may be wrong, worst first: positions, labels and suggested (names), margin, flagged."""
    from imgrec.suspects import find, recipe_for
    from imgrec.trainings import starting_weights

    on_progress(0.0, tr("loading PyTorch and the pictures"))
    recipe = recipe_for(open_dataset(name))
    dataset = open_dataset(name, recipe.image_size, recipe.resize)
    found, first = find(dataset, recipe, on_progress, starting_weights(recipe)), slice(0, MOST_SUSPECTS)
    names = np.array(dataset.classes)
    return {
        "positions": found.positions[first],
        "labels": names[dataset.labels[found.positions[first]]],
        "suggested": names[found.suggested[first]],
        "margin": found.margin[first].round(4),
        "flagged": found.flagged[first],
    }


def odd(name: str, on_progress: OnProgress) -> dict[str, np.ndarray]:
    """The columns of `Measures`, by which odd pictures are found."""
    dataset = open_dataset(name)
    return asdict(
        measure(
            dataset,
            lambda done, total: on_progress(done / total, tr("{done:,} of {total:,} pictures", done=done, total=total)),
        )
    )


def map_(name: str, on_progress: OnProgress, method: str, run: str = "") -> dict[str, np.ndarray]:
    """A map: positions, and points (N, 2) from 0 to 1, by pixels or by the features of a run."""
    from imgrec.embedding import METHODS, SIDE, place

    on_progress(0.0, tr("reading the pictures"))
    dataset = open_dataset(name)
    positions = sample(np.flatnonzero(dataset.splits != LEFT_OUT), METHODS[method].most)
    features = _as_seen(name, run, positions, on_progress, "features") if run else dataset.shrunk(positions, SIDE)
    on_progress(
        0.3,
        tr(
            "{title} places {positions:,} pictures; this takes a while",
            title=METHODS[method].title,
            positions=len(positions),
        ),
    )
    return {"positions": positions, "points": place(method, features)}


def proposals(name: str, on_progress: OnProgress, run: str) -> dict[str, np.ndarray]:
    """What a run takes the pictures without a label for: positions, names, confidence and second (names)."""
    waiting = open_dataset(name).unlabelled
    if not len(waiting):
        raise DatasetError(tr("Every picture of {name} has a label; there is nothing to propose.", name=name))
    probabilities = _as_seen(name, run, waiting, on_progress, "probabilities")
    from imgrec.predict import open_network

    names, order = np.array(open_network(run).classes), np.argsort(-probabilities, axis=1, kind="stable")
    first, second = order[:, 0], order[:, min(1, order.shape[1] - 1)]
    confidence = probabilities[np.arange(len(waiting)), first]
    return {"positions": waiting, "names": names[first], "second": names[second], "confidence": confidence}


def preflight(name: str, on_progress: OnProgress, recipe: str) -> dict[str, np.ndarray]:
    """A look ahead at a training with a recipe, given as JSON: what `Preflight` holds."""
    from imgrec.preflight import look_ahead
    from imgrec.trainings import starting_weights

    on_progress(0.0, tr("loading PyTorch and the pictures"))
    wanted = Recipe.from_json(recipe)
    dataset = open_dataset(name, wanted.image_size, wanted.resize)
    found = look_ahead(
        wanted, dataset, starting_weights(wanted), lambda share: on_progress(share, tr("trying learning rates"))
    )
    return {key: np.array(value) for key, value in asdict(found).items()}


def baselines(name: str, on_progress: OnProgress, fingerprint: str = "") -> dict[str, np.ndarray]:
    """How the methods from before networks do: the columns of `Baseline`. ``fingerprint``: of the data set meant."""
    from imgrec.baselines import baselines as measured

    rows = [asdict(row) for row in measured(open_dataset(name), on_progress)]
    return {column: np.array([row[column] for row in rows]) for column in rows[0]}


def robustness(name: str, on_progress: OnProgress, run: str) -> dict[str, np.ndarray]:
    """How a run bears worse pictures: change, level, accuracy; and how many strangers it rejects."""
    from imgrec.predict import open_network
    from imgrec.robustness import rejected
    from imgrec.robustness import robustness as measured

    on_progress(0.0, tr("loading PyTorch and the network"))
    network = open_network(run)
    dataset = _fitted(name, network, on_progress)
    rows = measured(network, dataset, on_progress)
    found = {column: np.array([row[column] for row in rows]) for column in rows[0]}
    strangers = rejected(network) if network.neighbours and network.passport.threshold is not None else []
    return {
        **found,
        "strangers": np.array([r["pictures"] for r in strangers]),
        "rejected": np.array([r["rejected"] for r in strangers]),
    }


def elsewhere(name: str, on_progress: OnProgress, run: str) -> dict[str, np.ndarray]:
    """What a run says of the pictures of a data set that it did not learn from; see `elsewhere.ask`."""
    from imgrec.elsewhere import ask
    from imgrec.predict import open_network

    on_progress(0.0, tr("loading PyTorch and the network"))
    network = open_network(run)
    return ask(network, _fitted(name, network, on_progress), open_run(run), on_progress)


def _fitted(name: str, network, on_progress: OnProgress) -> Dataset:
    """A data set as a network takes it."""
    return network.dataset(
        name, lambda done, total: on_progress(0.0, tr("{done:,} of {total:,} pictures read", done=done, total=total))
    )


def _as_seen(name: str, run: str, positions: np.ndarray, on_progress: OnProgress, what: str) -> np.ndarray:
    """``what``, a method of Predictor, of the pictures at the size and in the colours that a run was trained with."""
    from imgrec.predict import predictor

    on_progress(0.0, tr("loading PyTorch and the network"))
    network = predictor(run)
    dataset, parts = _fitted(name, network, on_progress), []
    for start in range(0, len(positions), 512):
        parts.append(getattr(network, what)(dataset.images[positions[start : start + 512]]))
        on_progress(
            0.3 * start / len(positions) if what == "features" else start / len(positions),
            tr("the network looks at them"),
        )
    return np.concatenate(parts)


STUDIES: dict[str, Callable[..., dict[str, np.ndarray]]] = {
    "suspects": suspects,
    "odd": odd,
    "map": map_,
    "proposals": proposals,
    "preflight": preflight,
    "baselines": baselines,
    "robustness": robustness,
    "elsewhere": elsewhere,
}
