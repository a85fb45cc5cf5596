"""Classifying pictures with a trained run: one preprocessing, one batch path, for pages, command line, API and evaluation."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import nn

from imgrec import hardware
from imgrec.augment import to_tensor
from imgrec.data import Dataset, DatasetError, open_dataset
from imgrec.data.packs import Progress
from imgrec.data.parallel import in_order
from imgrec.hooks import listening
from imgrec.images import ImageError, Recalled, fit, open_image
from imgrec.jobs import LIVE
from imgrec.language import tr
from imgrec.neighbours import Neighbours
from imgrec.recipe import one_of
from imgrec.renaming import names_by_now
from imgrec.runs import Run, RunError, open_run
from imgrec.weights import VIEWS, Passport, fill, load_weights

MOST_MEMBERS = 5  # of an ensemble
STEADY = 20.0  # seconds
RECALLED = 200  # questions
OWN_CORE = 4  # pictures that are enough to share a batch out among the cores
Said = TypeVar("Said")


@dataclass(frozen=True)
class Classified:
    """What the network says about one file: ``probabilities`` float32 (classes,) sums to 1, ``seen`` is the uint8
    (H, W, C) picture as the network saw it. For a file that is no picture both are None and ``error`` says why.
    ``known``: whether it is probably one of the classes at all; None if the run does not say."""

    file: str
    probabilities: np.ndarray | None = None
    seen: np.ndarray | None = dataclasses.field(default=None, repr=False)
    error: str | None = None
    known: bool | None = None

    @property
    def verdict(self) -> str:
        """``known`` as a word for tables."""
        return {None: "", True: "yes", False: "probably none of these"}[self.known]

    def at_temperature(self, temperature: float) -> Classified:
        """The answer with the logits divided by a temperature more: above 1 less sure, below 1 surer."""
        if self.error or temperature == 1:
            return self
        logits = np.log(np.maximum(self.probabilities.astype(np.float64), 1e-300)) / temperature
        shares = np.exp(logits - logits.max())
        return dataclasses.replace(self, probabilities=(shares / shares.sum()).astype(np.float32))

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
        hardware.keep_memory()
        self.model = model.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)
        self.passport, self.name, self.changed = passport, name, 0
        self._recalled = Recalled(RECALLED)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.passport.classes

    @classmethod
    def open(cls, run: Run | str, device: str = "auto") -> Predictor:
        """The best weights of a run. Raises RunError or WeightsError."""
        run = open_run(run) if isinstance(run, str) else run
        _check_usable(run)
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

    def logits(self, seen: np.ndarray) -> torch.Tensor:
        """Logits float32 (N, classes) on the CPU for pictures from ``see``, uint8 (N, size, size, channels)."""
        return torch.cat(self._shared_out(self._logits, seen))

    @torch.inference_mode()
    def _logits(self, seen: np.ndarray) -> torch.Tensor:
        images = to_tensor(seen, self.device)
        return self.passport.answer(self.model, images).cpu()

    def _shared_out(self, ask: Callable[[np.ndarray], Said], seen: np.ndarray) -> list[Said]:
        """What ``ask`` says of the pictures, in their order: of all at once, or on a CPU of a part for each core.

        Cores that share every layer wait for the slowest at its end, and where others want a core too, as clients and
        decoders do, that is most of the time. Parts of their own they finish alone.
        """
        parts = shares(len(seen), hardware.THREADS) if self.device.type == "cpu" else 1
        if parts == 1:
            return [ask(seen)]

        def alone(part: np.ndarray) -> Said:
            with hardware.threads(hardware.THREADS // parts):
                return ask(part)

        return list(_askers().map(alone, np.array_split(seen, parts)))

    @property
    def at_once(self) -> int:
        """How many pictures go through the network together."""
        return hardware.at_once(self.passport.preprocess.size, self.device, 256)

    def probabilities(self, seen: np.ndarray) -> np.ndarray:
        """Softmax over the classes, float32 (N, classes), for uint8 (N, size, size, channels), possibly a memory map."""
        batch = self.at_once
        parts = [
            self.passport.probabilities(self.logits(seen[i : i + batch])).numpy() for i in range(0, len(seen), batch)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes)), np.float32)

    def recalled(self, seen: np.ndarray) -> np.ndarray:
        """As `probabilities`; of the last questions the answer is still known. For pages, which ask the same with every
        click."""
        found = self._recalled.of(seen, lambda: self.probabilities(seen))
        found.flags.writeable = False
        return found

    def look(self, seen: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Logits float32 (N, classes), and what the last linear layer decides by, float32 (N, features), for uint8
        (N, size, size, channels)."""
        looks = [
            look
            for start in range(0, max(len(seen), 1), self.at_once)
            for look in self._shared_out(self._look, seen[start : start + self.at_once])
        ]
        return torch.cat([logits for logits, _ in looks]), np.concatenate([features for _, features in looks])

    def _look(self, seen: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        last = [layer for layer in self.model.modules() if isinstance(layer, nn.Linear)][-1]
        if not len(seen):
            return torch.zeros(0, len(self.classes)), np.zeros((0, last.in_features), np.float32)
        caught: list[np.ndarray] = []
        with listening([last], lambda _, came, __: caught.append(came[0].flatten(1).float().cpu().numpy())):
            logits = self._logits(seen)
        return logits, caught[0]  # of the first view, which is the picture as it is

    def features(self, seen: np.ndarray) -> np.ndarray:
        """The second of what `look` gives."""
        return self.look(seen)[1]

    def is_known(self, features: np.ndarray) -> np.ndarray | None:
        """Whether pictures are probably one of the classes, bool (N,), by their features; None if the run does not say."""
        if self.neighbours is None or self.passport.threshold is None:
            return None
        return self.neighbours.familiarity(features) >= self.passport.threshold

    @property
    def views(self) -> str:
        """Over which views of a picture an answer is the mean, a key of `weights.VIEWS`."""
        return self.passport.views

    @property
    def at_least(self) -> int:
        """How many pixels of a picture it takes; larger files need not be decoded whole."""
        return self.passport.preprocess.size

    def answer(self, seen: Sequence[np.ndarray]) -> list[Classified]:
        """What the network says about pictures from `see`, without their files' names."""
        logits, features = self.look(np.stack(seen))
        known = self.is_known(features)
        known = [None] * len(seen) if known is None else known.tolist()
        rows = self.passport.probabilities(logits).numpy()
        return [Classified("", row, what, known=sure) for row, what, sure in zip(rows, seen, known, strict=True)]

    def classify(self, files: Iterable[tuple[str, bytes | Path]]) -> list[Classified]:
        """Each (name, bytes or path) in its order; a file that is no picture gets its error, the others their answer."""
        return list(stream(self, files))

    def looking(self, views: str) -> Predictor:
        """The same network, whose answers are the mean over other views of a picture. Raises RecipeError."""
        if one_of("views", views, VIEWS) == self.passport.views:
            return self
        return self._with(views=views)

    def calling(self, classes: tuple[str, ...]) -> Predictor:
        """The same network, its classes called otherwise."""
        other = self._with(classes=classes)
        other._recalled = self._recalled
        return other

    def _with(self, **changes: Any) -> Predictor:
        passport = dataclasses.replace(self.passport, **changes)
        other = Predictor(self.model, passport, self.name, str(self.device), self.neighbours)
        other.changed = self.changed
        return other

    def dataset(self, name: str, progress: Progress | None = None) -> Dataset:
        """The data set of that name as the network takes it: at its size, in its colours. Raises DatasetError."""
        wanted = self.passport.preprocess
        return open_dataset(name, wanted.size, wanted.resize, wanted.channels, progress)

    def columns(self, dataset: Dataset) -> list[int]:
        """Where the outputs for the classes of a data set stand, in their order. Raises DatasetError if it has others."""
        if sorted(dataset.classes) != sorted(self.classes):
            raise DatasetError(
                tr(
                    "{name} has other classes than those that {run} learned; train again if some were added or taken out since.",
                    name=dataset.name,
                    run=self.name,
                )
            )
        return [self.classes.index(name) for name in dataset.classes]


def shares(pictures: int, threads: int) -> int:
    """Among how many cores or groups of them so many pictures are shared out, all of one size: a divisor of ``threads``."""
    return max(n for n in range(1, threads + 1) if threads % n == 0 and (n == 1 or n * OWN_CORE <= pictures))


@lru_cache
def _askers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(hardware.THREADS, thread_name_prefix="ask")


class Ensemble:
    """Several predictors of the same classes as one: their mean probabilities. Used like a Predictor."""

    def __init__(self, members: Sequence[Predictor]) -> None:
        first, self.members = members[0], tuple(members)
        for other in members[1:]:
            if sorted(other.classes) != sorted(first.classes):
                raise RunError(
                    tr(
                        "{name} and {other} know different classes, so they cannot answer together.",
                        name=other.name,
                        other=first.name,
                    )
                )
        self.name, self.classes = ",".join(member.name for member in members), first.classes
        self.views = first.views
        self.at_least = max(member.at_least for member in members)

    def see(self, picture: Image.Image) -> tuple[np.ndarray, ...]:
        """The picture as each member sees it."""
        return tuple(member.see(picture) for member in self.members)

    def answer(self, seen: Sequence[tuple[np.ndarray, ...]]) -> list[Classified]:
        """What the members say together; a picture is known if at least half of those that can tell say so."""
        said = [member.answer(theirs) for member, theirs in zip(self.members, zip(*seen, strict=True), strict=True)]
        order = [[member.classes.index(name) for name in self.classes] for member in self.members]
        together = []
        for rows in zip(*said, strict=True):
            mean = np.mean([row.probabilities[where] for row, where in zip(rows, order, strict=True)], axis=0)
            votes = [row.known for row in rows if row.known is not None]
            known = sum(votes) * 2 >= len(votes) if votes else None
            together.append(Classified("", mean.astype(np.float32), rows[0].seen, known=known))
        return together

    def classify(self, files: Iterable[tuple[str, bytes | Path]]) -> list[Classified]:
        """Like `Predictor.classify`."""
        return list(stream(self, files))

    def looking(self, views: str) -> Ensemble:
        """Like `Predictor.looking`."""
        return Ensemble([member.looking(views) for member in self.members])


def look_into(network: Predictor | Ensemble, name: str, source: bytes | Path | ImageError):
    """What ``network.see`` makes of a file, or the ImageError that says why it is no picture."""
    if isinstance(source, ImageError):
        return source
    try:
        return network.see(open_image(source, name, at_least=network.at_least))
    except ImageError as error:
        return error


def stream(
    network: Predictor | Ensemble, files: Iterable[tuple[str, bytes | Path | ImageError]], batch: int = 32
) -> Iterator[Classified]:
    """What ``network`` says about each (name, bytes or path), in order, while later files are still being decoded.

    A file may also be given by the error for which it cannot be read.
    """

    decoded = in_order(lambda file: (file[0], look_into(network, *file)), files, batch)
    while group := list(islice(decoded, batch)):
        good = [seen for _, seen in group if not isinstance(seen, ImageError)]
        said = iter(network.answer(good) if good else ())
        for name, seen in group:
            if isinstance(seen, ImageError):
                yield Classified(name, error=str(seen))
            else:
                yield dataclasses.replace(next(said), file=name)


def open_network(names: str, views: str = "") -> Predictor | Ensemble:
    """The predictor of a run, or of several joined by commas, which answer together, their classes called as by now; over
    these ``views`` instead of their own, if they are named. Raises RunError or WeightsError."""
    asked = list(dict.fromkeys(name.strip() for name in names.split(",")))
    if len(asked) > MOST_MEMBERS:
        raise RunError(
            tr(
                "{asked} runs were named; at most {most_members} answer together.",
                asked=len(asked),
                most_members=MOST_MEMBERS,
            )
        )
    members = [as_named_now(open_run(name), predictor(name)) for name in asked]
    network = members[0] if len(members) == 1 else Ensemble(members)
    return network.looking(views) if views else network


def as_named_now(run: Run, predictor: Predictor) -> Predictor:
    """The network of a run, its classes called as in its data set by now."""
    names = names_by_now(run)
    return predictor if names in ((), predictor.classes) else predictor.calling(names)


def pictures_of(run: Run, predictor: Predictor) -> Dataset | None:
    """The data set of a run as its network takes it; None where it is not here any more."""
    with suppress(DatasetError):
        return predictor.dataset(run.recipe.dataset)
    return None


def _check_usable(run: Run) -> None:
    """Raises RunError, with the way out, for a run without weights."""
    if run.usable:
        return
    status = tr(run.status)
    raise RunError(
        tr("Run {name} has no weights yet (it is {status}); wait for its first epoch.", name=run.name, status=status)
        if run.status in LIVE
        else tr("Run {name} is {status} and has no weights, for its first epoch did not end; resume it or choose another.", name=run.name, status=status)
    )  # fmt: skip


def predictor(name: str) -> Predictor:
    """The predictor of a run, kept in memory until its weights change. Raises RunError or WeightsError.

    While the run learns, its weights change with every epoch; a class that looks at them gets the same ones for STEADY
    seconds, or each click would have all test pictures asked again, on the cores that the training wants.
    """
    run = open_run(name)
    _check_usable(run)
    changed, now = _changed(run), time.monotonic()
    shown, since = _shown.get(run.path, (0, 0.0))
    if shown != changed and now - since < STEADY and run.status in LIVE:
        changed = shown
    elif shown != changed:
        _shown[run.path] = changed, now
    return _cached(str(run.path), changed)


_shown: dict[Path, tuple[int, float]] = {}  # run → which of its weights are shown, and since when


@lru_cache(maxsize=MOST_MEMBERS + 1)
def _cached(path: str, changed: int) -> Predictor:
    run = Run(Path(path))
    changed = _changed(run)  # by now it may be later than what was asked for
    opened = Predictor.open(run)
    opened.changed = changed
    return opened


def _changed(run: Run) -> int:
    return run.file("best.safetensors").stat().st_mtime_ns
