"""A network in a few lines of Python, for notebooks and scripts: ``imgrec.fit("photos/")`` gives a Learner.

What it trains is a run like any other; the dashboard shows it, and `load` opens what was trained there.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imgrec import trainings
from imgrec.bulk import pictures as files_in
from imgrec.charts import Figure, confusion, curves
from imgrec.data import Dataset, class_names, open_dataset
from imgrec.evaluate import Answers, answers, calibrate, kept_answers, report
from imgrec.explain import explain, overlay
from imgrec.export import by_ending, export
from imgrec.home import check_writable, home, write_atomic
from imgrec.images import ImageError, of_pillow, open_image, to_png
from imgrec.language import tr
from imgrec.predict import Classified, Predictor, as_named_now, open_network, pictures_of, stream
from imgrec.progress import as_dataset, bar, carry_out, hint, in_a_line, stopping, write
from imgrec.recipe import RecipeError, one_of
from imgrec.report import mistakes, printable
from imgrec.runs import Run, RunError, newest, open_run
from imgrec.tasks import measure_elsewhere

Picture = str | os.PathLike | bytes | Image.Image | np.ndarray


def fit(pictures: str | os.PathLike = "digits", preset: str = "standard", **settings: Any) -> Learner:
    """Train a network with a progress bar and test it.

    ``pictures``: a folder with one folder per class, an archive of one, a CSV table, or the name of a data set; files are
    imported once and again when they change. ``settings``: those of the command line, such as ``model="resnet18"``,
    ``weights="imagenet"``, ``epochs=5``. Interrupted, the training is kept: ``load(run).resume()`` goes on.
    Raises DatasetError, RecipeError, and what a training raises.
    """
    if "dataset" in settings:
        raise RecipeError(tr("The data set is the first argument: fit({name!r}, …).", name=settings["dataset"]))
    recipe = trainings.recipe_from({"dataset": as_dataset(pictures), **settings}, preset)
    hint(recipe)
    return Learner(trainings.enqueue(recipe))._train()


def load(run: str | os.PathLike | Run = "last") -> Learner:
    """What was trained before, here or in the dashboard, by the run's name or folder; the newest by default. Raises RunError
    if there is none."""
    if isinstance(run, Run) or run == "last":
        return Learner(newest() if run == "last" else run)
    found, folder = open_run(Path(run).name), Path(run).expanduser()
    if len(folder.parts) > 1 and folder.resolve() != found.path.resolve():
        raise RunError(tr("{folder} is not a run of this workspace, {home}.", folder=folder, home=home()))
    return Learner(found)


class Learner:
    """A run, and what can be asked of its network."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def _train(self) -> Learner:
        with stopping(self.run) as signals:
            for epoch in carry_out(self.run):
                write(in_a_line(epoch))
        if signals and self.run.status == "stopped":
            raise KeyboardInterrupt(f"The training is kept: imgrec.load({self.run.name!r}).resume() goes on.")
        return self

    def resume(self) -> Learner:
        """Go on with a training that was interrupted. Raises RunError if it cannot."""
        self.run = trainings.requeue(self.run.name)
        return self._train()

    @property
    def network(self) -> Predictor:
        """Its best weights with preprocessing and class names, those of by now where classes were renamed since. Raises
        RunError before the first epoch has ended."""
        return open_network(self.run.name)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.network.classes

    @property
    def dataset(self) -> Dataset:
        """What it learned from, as the network takes it. Raises DatasetError if it is not here any more."""
        recipe = self.run.recipe
        return open_dataset(recipe.dataset, recipe.image_size, recipe.resize)

    def answers(self, split: str = "test") -> Answers:
        """What it says of every picture of a split: "test", "validation" or "train"."""
        dataset, network = self.dataset, self.network
        kept = kept_answers(self.run, dataset, split, network.passport.temperature)
        return kept or answers(network, dataset, split)

    def evaluate(self, split: str = "test") -> dict[str, Any]:
        """Accuracy with its interval, precision and recall of each class, calibration; see `evaluate.report`."""
        return report(self.answers(split), self.dataset)

    def calibrate(self) -> float:
        """Make it as sure as it is right: the temperature that fits its validation pictures, kept with its weights. Raises
        RunError for a run that comes with imgrec, DatasetError if there are no such pictures."""
        return calibrate(self.run, self.network, self.dataset)

    def elsewhere(self, pictures: str | os.PathLike, called: dict[str, str] | None = None) -> dict[str, Any]:
        """How it does on other pictures of its classes, those of a folder, archive, table or data set as `fit` takes them,
        beside its own test; see `elsewhere.summary`. ``called`` says what classes of other names are, such as {"car":
        "automobile"}. Raises DatasetError where it knows none of them."""
        name = as_dataset(pictures)
        with bar(" %") as progress:
            return measure_elsewhere(self.run, name, lambda share: progress(round(100 * share), 100), called)

    def curves(self, quantity: str = "loss") -> Figure:
        """The ``quantity``, "loss" or "accuracy", by epoch."""
        one_of("quantity", quantity, ("loss", "accuracy"))
        return curves([], self.run.epochs, quantity, self.run.recipe.epochs)

    def confusion(self, split: str = "test") -> Figure:
        """Which classes are taken for which."""
        given = self.answers(split)
        return confusion(given.confusion.tolist(), class_names(given.classes))

    def mistakes(self, count: int = 12, split: str = "test") -> Shown:
        """The pictures that it is surest and wrong about, each with its class and what it was taken for."""
        return Shown(mistakes(self.answers(split), self.dataset, count))

    def predict(self, picture: Picture, top: int = 5) -> list[dict[str, Any]]:
        """The likeliest classes of one picture, [{"name", "probability"}]: a file, its bytes, a PIL image, or uint8 (H, W) or
        (H, W, 3). Raises ImageError if it is none, ValueError for another array or a ``top`` below 1."""
        if isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1:
            raise ValueError(tr("top is {top!r}; give a whole number from 1 on.", top=top))
        return self.answer(picture).top(self.classes, top)

    def answer(self, picture: Picture) -> Classified:
        """All it says of one picture: every class's probability, and whether it is probably one of the classes at all."""
        network = self.network
        return network.answer([network.see(_opened(picture, network.at_least))])[0]

    def classify(self, *places: str | os.PathLike) -> Iterator[Classified]:
        """What it says of every picture in files, folders, ZIPs and TARs; one that cannot be read has an ``error``."""
        return stream(self.network, (file for place in places for file in files_in(Path(place).expanduser())))

    def explain(self, picture: Picture, class_name: str | None = None, method: str = "gradcam") -> Image.Image:
        """The picture with what speaks for a class, by default the likeliest, in warm colours; see `explain.METHODS`.
        Raises ImageError, RecipeError for an unknown method and ModelError for an unknown class."""
        network = self.network
        seen = network.see(_opened(picture, network.at_least))
        found = explain(network, seen, method, class_name)
        if not found.reliable:
            warnings.warn(
                tr("This map is not reliable: covering what it shows lowers the probability no more than covering other places."),
                stacklevel=2,
            )  # fmt: skip
        return Image.open(io.BytesIO(overlay(seen, found.heat)))

    def report(self, out: str | os.PathLike, split: str = "test") -> Path:
        """Write all of it as one printable page, .html, without a network to fetch from."""
        if Path(out).suffix.lower() not in (".html", ".htm", ""):
            raise ValueError(tr("{out} has another ending than .{ending}, which {wanted} has.", out=out, ending="html", wanted="report"))  # fmt: skip
        return _written(out, printable(self.run, self.answers(split), self.dataset))

    def export(self, out: str | os.PathLike, to: str | None = None) -> Path:
        """Write the network with its preprocessing and class names, proved to answer alike; ``to``: a key of
        `export.FORMATS`, by default what the file's ending says. Raises ExportError, and RecipeError for another ending."""
        path = check_writable(Path(out).expanduser())
        to = by_ending(path, to)
        network = as_named_now(self.run, Predictor.open(self.run, "cpu"))
        export(network, to, path, pictures_of(self.run, network))
        return path

    def __repr__(self) -> str:
        found = self.run.read("evaluation.json")
        tested = f", {found['accuracy']:.1%} of {found['images']} test pictures" if found else ""
        return f"<Learner {self.run.name}: {self.run.title}, {self.run.status}{tested}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self)[1:-1])}</p>"


class Shown(str):
    """HTML that a notebook shows as what it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self):,} letters of HTML, for a notebook or a file>"

    def _repr_html_(self) -> str:
        return str(self)


def _opened(picture: Picture, at_least: int) -> Image.Image:
    if isinstance(picture, Image.Image):
        return of_pillow(picture)
    if isinstance(picture, np.ndarray):
        return open_image(to_png(picture))
    if isinstance(picture, bytes):
        return open_image(picture, at_least=at_least)
    if isinstance(picture, str | os.PathLike):
        return open_image(Path(picture).expanduser(), at_least=at_least)
    kind = type(picture).__name__
    raise ImageError(tr("A {kind} is no picture; give a file, its bytes, a PIL image or an array of uint8.", kind=kind))


def _written(out: str | os.PathLike, content: str) -> Path:
    write_atomic(path := check_writable(Path(out).expanduser()), content)
    return path
