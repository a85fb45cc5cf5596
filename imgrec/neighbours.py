"""Training pictures as the network sees them: which of them a new picture is like, and whether it is like any at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgrec import arrays

MOST = 1500  # training pictures that are remembered
NEAREST = 5  # the similarity to this one says how familiar a picture is


@dataclass(frozen=True)
class Neighbours:
    """``features`` float32 (n, F), what the last layer decides by, each of length 1; ``positions`` int64 (n,) in the data set.

    Familiarity is the similarity (cosine) to the fifth nearest, from −1 to 1: Y. Sun et al., Out-of-distribution
    detection with deep nearest neighbors, ICML 2022.
    """

    features: np.ndarray
    positions: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, positions: np.ndarray) -> Neighbours:
        return cls(_unit(features), np.asarray(positions, np.int64))

    def familiarity(self, features: np.ndarray) -> np.ndarray:
        """How much each picture is like those learned from, float32 (N,)."""
        if not len(features):
            return np.zeros(0, np.float32)
        place = max(len(self.features) - NEAREST, 0)
        parts = [features[start : start + 1024] for start in range(0, len(features), 1024)]
        return np.concatenate([np.partition(_unit(part) @ self.features.T, place, axis=1)[:, place] for part in parts])

    def nearest(self, features: np.ndarray, count: int = 6) -> tuple[np.ndarray, np.ndarray]:
        """The positions of the training pictures most like one picture, features (F,), and their similarity, best first."""
        likeness = self.features @ _unit(features[None])[0]
        order = np.argsort(-likeness, kind="stable")[:count]
        return self.positions[order], likeness[order]

    def save(self, path: Path) -> None:
        """Write them down, in half precision."""
        arrays.save(path, features=self.features.astype(np.float16), positions=self.positions.astype(np.int32))

    @classmethod
    def load(cls, path: Path) -> Neighbours | None:
        """What ``save`` wrote; None if it is missing or damaged."""
        stored = arrays.load(path)
        if not {"features", "positions"} <= stored.keys():
            return None
        features, positions = stored["features"], stored["positions"]
        sound = features.ndim == 2 and len(features) == len(positions) > 0 and np.isfinite(features).all()
        return cls.of(features.astype(np.float32), positions) if sound else None


def _unit(features: np.ndarray) -> np.ndarray:
    return (features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)).astype(np.float32)
