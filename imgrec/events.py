"""What a run logged, as event files beside it that TensorBoard opens: curves, settings, weights and first filters."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from imgrec.home import folder
from imgrec.runs import Run
from imgrec.snapshots import at, drawn, first_filters, moments
from imgrec.weights import WeightsError, load_weights

FIGURES = (
    "train_loss",
    "validation_loss",
    "train_accuracy",
    "validation_accuracy",
    "learning_rate",
    "images_per_second",
)


def write_events(run: Run, place: Path | None = None) -> Path:
    """Write ``events/`` into the run's folder, or for one that came with imgrec into the workspace, in place of an older one, or into another empty place; gives it.
    ``tensorboard --logdir`` opens it or the folder of all runs.

    Scalars per epoch are named like "loss/train"; the hyperparameters are the recipe, their metrics the best validation
    and the test accuracy. Raises RunError for an unreadable recipe.
    """
    from tensorboardX import SummaryWriter

    recipe = dataclasses.asdict(run.recipe)
    if place is None:
        place = folder("events") / run.name if run.bundled else run.file("events")
        shutil.rmtree(place, ignore_errors=True)
    began = moment = float(run.state.get("created") or 0.0)
    with SummaryWriter(str(place)) as writer:
        times = {}
        for row in run.epochs:
            moment += row.get("seconds", 0.0)
            times[row["epoch"]] = moment
            for name in FIGURES:
                split, _, quantity = name.partition("_")
                tag = f"{quantity}/{split}" if quantity in ("loss", "accuracy") else name
                if row.get(name) is not None:
                    writer.add_scalar(tag, row[name], row["epoch"], moment)
        _weights(writer, run, times, moment)
        found = {
            "best_validation_accuracy": run.state.get("best_validation_accuracy"),
            "test_accuracy": run.read("evaluation.json").get("accuracy"),
        }
        found = {name: value for name, value in found.items() if value is not None}
        writer.add_hparams(recipe, found or {"epochs_done": len(times)}, name="hyperparameters", global_step=len(times))
        writer.add_text("recipe", f"```\n{run.recipe.to_json()}\n```", 0, began)
    return place


def _weights(writer, run: Run, times: dict[int, float], last: float) -> None:
    """The weights of every layer and the first filters at the moments that were kept."""
    try:
        _, passport = load_weights(run.file("best.safetensors"))
    except WeightsError:
        return
    for epoch in moments(run):
        try:
            model = at(run, passport, epoch).model
        except WeightsError:
            continue
        for name, value in model.named_parameters():
            if value.ndim > 1:
                writer.add_histogram(
                    name.replace(".", "/", 1), value.detach().numpy(), epoch, "auto", times.get(epoch, last)
                )
        if (filters := first_filters(model)) is not None:
            for number, weights in enumerate(filters[:16]):
                writer.add_image(f"first_filters/{number:02d}", drawn(weights), epoch, times.get(epoch, last), "HWC")
