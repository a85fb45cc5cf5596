"""A run as a notebook, or the same as a script: it trains the network again, step by step, and compares what comes out.

Nothing in it is hidden in a command: who changes a line has an experiment of their own.
"""

from __future__ import annotations

import dataclasses
import json
from html import escape
from typing import Any, NamedTuple

from imgrec.hardware import in_words
from imgrec.language import listed, tr
from imgrec.recipe import Recipe
from imgrec.runs import Run, RunError

NEARLY = 0.02  # how far validation accuracies of other machines may be apart


class Cell(NamedTuple):
    """A part of a notebook: Markdown for people, or code."""

    kind: str  # "markdown" or "code"
    text: str


RECIPE = """from imgrec.recipe import Recipe

recipe = Recipe(
{settings}
)
recorded = {accuracy!r}  # its accuracy on the {split} pictures"""

DATA = """from imgrec.data import open_dataset

dataset = open_dataset(recipe.dataset, recipe.image_size, recipe.resize)
for split in ("train", "validation", "test"):
    print(split, len(dataset.indices(split)), "pictures")
if dataset.fingerprint != {fingerprint!r}:
    print("These are not quite the pictures of that training, so expect other figures.")"""

TRAINING = """from imgrec.trainings import starting_weights
from imgrec.train import Training

training = Training(recipe, dataset, starting_weights(recipe))
print(training.model)
print(sum(weights.numel() for weights in training.model.parameters()), "weights, on", training.device)"""

LEARN = """from dataclasses import asdict

from imgrec.train import Epoch

changes = {changes!r}  # (epochs done, another learning rate from there)
last = {last}  # epoch
epochs, best = [], None
for event in training.fit():  # an event for each step, and one for each epoch
    if changes and training.epoch + training.step / training.steps >= changes[0][0] - 1e-4:
        training.learning_rate = changes.pop(0)[1]
    if isinstance(event, Epoch):
        epochs.append(asdict(event))
        print(f"epoch {{event.epoch:3}}  train {{event.train_accuracy:.2%}}  validation {{event.validation_accuracy or 0:.2%}}")
        if event.best:  # by the validation pictures, never by the test
            best = {{name: values.clone() for name, values in training.weights().items()}}
        if event.epoch == last:
            break"""

CURVES = """from imgrec import charts

charts.curves([], epochs, "loss", len(epochs))"""

TEST = """from imgrec.evaluate import evaluate
from imgrec.predict import Predictor

training.averaged.load_state_dict(best)
network = Predictor(training.averaged, training.passport, device=recipe.device)
report = evaluate(network, dataset, {split!r})
print(f"{{report['accuracy']:.2%}} of {{report['images']}} pictures; recorded: {{recorded:.2%}}")"""

CONFUSION = """from imgrec.data import class_names

charts.confusion(report["confusion"], class_names(network.classes))"""

CHECK = """apart = abs(report["accuracy"] - recorded)
print("the same to the last picture" if apart == 0 else f"{{apart:.2%}} apart")
low, high = {interval}  # what is within luck
assert low <= report["accuracy"] <= high, "That is another result: other pictures, other settings or another version?\""""


def cells(run: Run) -> list[Cell]:
    """The notebook of a run, from its recipe to its test. Raises RunError if it has reached nothing yet, or its recipe cannot
    be read."""
    recipe, about = run.recipe, run.read("about.json")
    split, found = "test", run.read("evaluation.json")
    if not found:  # it was never tested
        split, best = "validation", run.state.get("best_validation_accuracy")
        if best is None:
            raise RunError(tr("Run {name} has reached nothing yet that could be reached again.", name=run.name))
        found = {"accuracy": best, "interval": (best - NEARLY, best + NEARLY)}
    accuracy, (low, high) = float(found["accuracy"]), map(float, found["interval"])
    changes = [(float(row["at"]), float(row["learning_rate"])) for row in run.changes]
    said = tr(
        "A training, again: {model} on {dataset}. Run {run} reached {accuracy:.2%} on the {split} pictures. On the same "
        "machine, with the same versions and nothing else running, the same comes out to the last picture; elsewhere nearly.",
        model=_words(recipe.model), dataset=_words(recipe.dataset), run=_words(run.name), accuracy=accuracy, split=tr(split),
    )  # fmt: skip
    versions = about.get("versions") if isinstance(about.get("versions"), dict) else {}
    made = [_words(in_words(about.get("device"))), *(f"{_words(k)} {_words(v)}" for k, v in versions.items() if v)]
    where = tr(
        "Put this file into imgrec's folder, beside app.py, install what requirements.txt names, and run one cell after the other."
    )
    return [
        Cell("markdown", f"# {_words(run.title)}\n\n{said}\n\n{where}\n\n{listed(filter(None, made))}"),
        Cell("markdown", "## " + tr("The recipe: everything the training needs. Change a line, and it is your experiment.")),
        Cell("code", RECIPE.format(settings=_settings(recipe), accuracy=accuracy, split=split)),
        Cell("markdown", "## " + tr("The pictures")),
        Cell("code", DATA.format(fingerprint=str(about.get("fingerprint", "")))),
        Cell("markdown", "## " + tr("The network")),
        Cell("code", TRAINING),
        Cell("markdown", "## " + tr("The training: the weights that do best on the validation pictures are kept")),
        Cell("code", LEARN.format(changes=changes, last=len(run.epochs) or recipe.epochs)),
        Cell("code", CURVES),
        Cell("markdown", "## " + tr("The test, on pictures it never saw") if split == "test" else "## " + tr("The best weights")),
        Cell("code", TEST.format(split=split)),
        Cell("code", CONFUSION),
        Cell("markdown", "## " + tr("Is it the same?")),
        Cell("code", CHECK.format(interval=(low, high))),
    ]  # fmt: skip


def as_notebook(run: Run) -> str:
    """A Jupyter notebook (nbformat 4.5) as JSON. Raises RunError."""
    found = [
        {"cell_type": cell.kind, "id": f"cell-{number}", "metadata": {}, "source": cell.text.splitlines(keepends=True)}
        | ({"outputs": [], "execution_count": None} if cell.kind == "code" else {})
        for number, cell in enumerate(cells(run))
    ]
    about = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    return json.dumps(
        {"cells": found, "metadata": about, "nbformat": 4, "nbformat_minor": 5}, ensure_ascii=False, indent=1
    )


def as_script(run: Run) -> str:
    """The same for Python, with the marks at which editors part it into cells. Raises RunError."""
    return "\n\n".join(
        "# %%\n" + cell.text
        if cell.kind == "code"
        else "# %% [markdown]\n" + "\n".join(f"# {line}".rstrip() for line in cell.text.split("\n"))
        for cell in cells(run)
    ) + "\n"  # fmt: skip


def _settings(recipe: Recipe) -> str:
    """Every setting of a recipe as an argument, with what it is in a comment."""
    fields: list[tuple[str, Any, str]] = [
        (field.name, getattr(recipe, field.name), tr(field.metadata["title"])) for field in dataclasses.fields(recipe)
    ]
    return "\n".join(f"    {name}={value!r},  # {title.lower()}" for name, value, title in fields)


def _words(name: object) -> str:
    """A name from a stranger in one line of Markdown, without formatting."""
    line = escape(" ".join(str(name).split())[:200])
    return "".join("\\" + sign if sign in "\\`*_[]#!|~$" else sign for sign in line)
