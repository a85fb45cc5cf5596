"""Classifying pictures with a trained run: one preprocessing, one batch path, for pages, command line, API and evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import get_ident

import numpy as np
import torch
from PIL import Image
from torch import nn

from imgrec import hardware
from imgrec.images import ImageError, fit, open_image
from imgrec.neighbours import Neighbours
from imgrec.runs import Run, RunError, open_run
from imgrec.weights import Passport, fill, load_weights


@dataclass(frozen=True)
class Classified:
    """What the network says about one file: ``probabilities`` float32 (classes,) sums to 1, ``seen`` is the uint8
    (H, W, C) picture as the network saw it. For a file that is no picture both are None and ``error`` says why.
    ``known``: whether it is probably one of the classes at all; None if the run does not say."""

    file: str
    probabilities: np.ndarray | None = None
    seen: np.ndarray | None = None
    error: str | None = None
    known: bool | None = None

    def top(self, classes: Sequence[str], count: int = 5) -> list[dict[str, str | float]]:
        """The likeliest classes first: [{"name", "probability"}]."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [{"name": classes[i], "probability": float(self.probabilities[i])} for i in order]

    def to_dict(self, classes: Sequence[str], count: int = 5) -> dict:
        """One entry of the command line's and the API's ``results``."""
        if self.error:
            return {"file": self.file, "error": self.error}
        return {"file": self.file, "classes": self.top(classes, count), "known": self.known}


class Predictor:
    """A network with its class names and preprocessing, ready to classify. Safe to share between threads."""

    def __init__(
        self,
        model: nn.Module,
        passport: Passport,
        name: str = "",
        device: str = "auto",
        neighbours: Neighbours | None = None,
    ) -> None:
        self.device, self.neighbours = hardware.pick(device), neighbours
        self.model = model.to(self.device).eval().requires_grad_(False)
        self.passport, self.name = passport, name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.passport.classes

    @classmethod
    def open(cls, run: Run | str, device: str = "auto") -> Predictor:
        """The best weights of a run. Raises RunError or WeightsError."""
        run = open_run(run) if isinstance(run, str) else run
        if not run.usable:
            raise RunError(f"Run {run.name} has no weights yet (it is {run.status}); wait for its first epoch.")
        opened = cls.from_file(run.file("best.safetensors"), run.name, device)
        opened.neighbours = Neighbours.load(run.file("neighbours.npz"))
        return opened

    @classmethod
    def from_file(cls, path: Path, name: str = "", device: str = "auto") -> Predictor:
        """Weights from a .safetensors file of ours. Raises WeightsError."""
        weights, passport = load_weights(path)
        model = passport.build()
        fill(model, weights, path.name)
        return cls(model, passport, name or path.stem, device)

    def see(self, picture: Image.Image) -> np.ndarray:
        """The picture as the network sees it, before normalisation: uint8 (size, size, channels)."""
        wanted = self.passport.preprocess
        return fit(picture, wanted.size, wanted.channels, wanted.resize)

    @torch.inference_mode()
    def logits(self, seen: np.ndarray) -> torch.Tensor:
        """Logits float32 (N, classes) on the CPU for pictures from ``see``, uint8 (N, size, size, channels)."""
        images = torch.tensor(seen).to(self.device).permute(0, 3, 1, 2).float() / 255
        return self.passport.answer(self.model, images).cpu()

    def probabilities(self, seen: np.ndarray, batch: int = 256) -> np.ndarray:
        """Softmax over the classes, float32 (N, classes), for uint8 (N, size, size, channels), possibly a memory map."""
        parts = [
            self.passport.probabilities(self.logits(seen[i : i + batch])).numpy() for i in range(0, len(seen), batch)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes)), np.float32)

    @torch.inference_mode()
    def look(self, seen: np.ndarray, batch: int = 256) -> tuple[torch.Tensor, np.ndarray]:
        """Logits float32 (N, classes), and what the last linear layer decides by, float32 (N, features), for uint8
        (N, size, size, channels)."""
        last = [layer for layer in self.model.modules() if isinstance(layer, nn.Linear)][-1]
        caught: list[np.ndarray] = []
        mine = get_ident()

        def catch(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            if get_ident() == mine:  # another thread may use the network meanwhile
                caught.append(given[0].flatten(1).float().cpu().numpy())

        hook = last.register_forward_pre_hook(catch)
        logits, features = [torch.zeros(0, len(self.classes))], [np.zeros((0, last.in_features), np.float32)]
        try:
            for start in range(0, len(seen), batch):
                caught.clear()
                logits.append(self.logits(seen[start : start + batch]))
                features.append(caught[0])  # of the first view, which is the picture as it is
        finally:
            hook.remove()
        return torch.cat(logits), np.concatenate(features)

    def features(self, seen: np.ndarray) -> np.ndarray:
        """The second of what `look` gives."""
        return self.look(seen)[1]

    def is_known(self, features: np.ndarray) -> np.ndarray | None:
        """Whether pictures are probably one of the classes, bool (N,), by their features; None if the run does not say."""
        if self.neighbours is None or self.passport.threshold is None:
            return None
        return self.neighbours.familiarity(features) >= self.passport.threshold

    def classify(self, files: Iterable[tuple[str, bytes | Path]]) -> list[Classified]:
        """Each (name, bytes or path) in its order; a file that is no picture gets its error, the others their answer."""
        results: list[Classified] = []
        for name, source in files:
            try:
                picture = open_image(source, name, at_least=self.passport.preprocess.size)
                results.append(Classified(name, seen=self.see(picture)))
            except ImageError as error:
                results.append(Classified(name, error=str(error)))
        good = [i for i, result in enumerate(results) if result.seen is not None]
        if good:
            logits, features = self.look(np.stack([results[i].seen for i in good]))
            known = self.is_known(features)
            known = [None] * len(good) if known is None else known.tolist()
            for i, row, sure in zip(good, self.passport.probabilities(logits).numpy(), known, strict=True):
                results[i] = Classified(results[i].file, row, results[i].seen, known=sure)
        return results


def predictor(name: str) -> Predictor:
    """The predictor of a run, kept in memory until its weights change. Raises RunError or WeightsError."""
    run = open_run(name)
    if not run.usable:
        raise RunError(f"Run {name} has no weights yet (it is {run.status}); wait for its first epoch.")
    return _cached(str(run.path), run.file("best.safetensors").stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _cached(path: str, changed: int) -> Predictor:
    return Predictor.open(Run(Path(path)))
