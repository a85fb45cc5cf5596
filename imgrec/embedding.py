"""Maps of pictures: points in the plane that lie close together where pictures are alike, in their pixels or to a network."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgrec.data import DatasetError
from imgrec.language import mark, tr

SIDE = 16  # pixels: pictures are shrunk to this before their pixels are compared
KEPT = 50  # principal components that t-SNE and UMAP begin from


@dataclass(frozen=True)
class Method:
    """A row of METHODS: ``place(features, seed)`` takes float32 (N, F) and gives (N, 2)."""

    title: str
    help: str
    place: Callable[[np.ndarray, int], np.ndarray]
    most: int  # pictures it takes; more are drawn from
    quick: bool = False  # whether a page may wait for it
    package: str = ""  # what has to be installed for it, besides what imgrec needs


def place(method: str, features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Points float32 (N, 2) in one scale, the longer axis from 0 to 1. Raises DatasetError if there are too few or the package is missing."""
    row = METHODS[method]
    if len(features) < 4:
        raise DatasetError(tr("A map needs at least 4 pictures; there are {features}.", features=len(features)))
    if hint := missing(method):
        raise DatasetError(hint)
    points = row.place(features, seed)
    low, reach = points.min(0), np.ptp(points, axis=0)
    return ((points - low) / max(float(reach.max()), 1e-12)).astype(np.float32)


def missing(method: str) -> str:
    """How to install what a method lacks, or empty."""
    package = METHODS[method].package
    if not package or importlib.util.find_spec(package.partition("-")[0]):
        return ""
    return tr(
        "{method} needs a package that is not installed; `pip install {package}` brings it.",
        method=tr(METHODS[method].title),
        package=package,
    )


def principal(features: np.ndarray, seed: int, components: int = 2) -> np.ndarray:
    """The coordinates along the directions of the largest variance."""
    from sklearn.decomposition import PCA

    most = min(components, *features.shape)
    points = PCA(most, random_state=seed).fit_transform(features)
    return np.pad(points, ((0, 0), (0, components - most)))


def _tsne(features: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(principal(features, seed, KEPT))


def _umap(features: np.ndarray, seed: int) -> np.ndarray:
    import umap

    neighbours = min(15, len(features) - 1)
    return umap.UMAP(n_neighbors=neighbours, random_state=seed).fit_transform(principal(features, seed, KEPT))


METHODS = {
    "pca": Method(
        "PCA", mark("The two directions in which the pictures differ most. At once; what is far apart in it is far apart, what is near may only look so."),
        principal, 4000, quick=True,
    ),
    "tsne": Method(
        "t-SNE", mark("Keeps neighbours together; distances between clusters mean little (van der Maaten and Hinton, 2008)."),
        _tsne, 4000,
    ),
    "umap": Method(
        "UMAP", mark("Like t-SNE, and keeps more of the whole (McInnes, Healy and Melville, 2018)."), _umap, 4000,
        package="umap-learn",
    ),
}  # fmt: skip
