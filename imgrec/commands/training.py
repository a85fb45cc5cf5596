"""Commands for runs: train, resume, stop and steer, list, and take the training along."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from imgrec import sweep
from imgrec.commands.command import RUN, Argument, argument, command, out, print_json, say, show, wrote
from imgrec.home import in_words
from imgrec.progress import as_dataset, carry_out, hint, in_a_line, stopping, write
from imgrec.recipe import FIELDS, PRESETS, Recipe, RecipeError, command_line

if TYPE_CHECKING:
    from imgrec.runs import Notes, Run

FIGURES = {
    "test_accuracy": "accuracy",
    "test_interval": "interval",
    "majority_accuracy": "majority_accuracy",
    "linear_accuracy": "linear_accuracy",
    "learned_before": "learned_before",
}  # said at the end → in evaluation.json


@command(
    "list the runs, or those with some words, such as a data set or a tag, and the settings in which they differ",
    argument("word", nargs="*", help="in its name, settings, tags or note; of several each must be there"),
)
def runs(options) -> None:
    from imgrec.run_table import matching, rows

    found = matching(rows(), " ".join(options.word))
    columns = ("run", "model", "dataset", "status", "epoch", "epochs", "validation_accuracy", "test_accuracy")
    varied = [name for name in sweep.different(found) if name not in columns] if options.word else []
    show(options, found, (*columns, *varied), "none like that" if options.word else "none yet")


def _settings() -> list[Argument]:
    """An argument for every setting of a recipe."""
    found = [argument("--preset", choices=PRESETS, default="standard", help="a named set of settings to start from")]
    for field in FIELDS.values():
        kind, about = type(field.default).__name__.upper(), field.metadata
        words = f"{about['help']} (default {field.default})"
        if "choices" in about:
            words = f"{', '.join(about['choices'])}: {words}"
        names = dict.fromkeys(("--" + field.name.replace("_", "-"), "--" + field.name))
        several = f"{kind}[,…]" if field.name in sweep.SEVERAL else kind
        found.append(argument(*names, dest=field.name, metavar=several, type=partial(_values, field.name), help=words))
    return found


def _values(name: str, text: str) -> list:
    try:
        return sweep.parse(name, text)
    except RecipeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@command(
    "train a model; any setting of the recipe is an option, several values with commas between train as many",
    *_settings(),
    argument(
        "--draw", type=int, default=0, metavar="N", help="of all combinations of several values N, drawn at random"
    ),
    argument(
        "--missing",
        action="store_true",
        help="leave out what a finished run has learned with the same settings from the same pictures, and go on with what was stopped",
    ),
)
def train(options) -> None:
    from imgrec import trainings

    given = {name: values for name, values in vars(options).items() if name in FIELDS and values is not None}
    if "dataset" in given:
        given["dataset"] = [as_dataset(given["dataset"][0])]
    recipe = trainings.recipe_from({name: values[0] for name, values in given.items()}, options.preset)
    lists = {name: values for name, values in given.items() if len(values) > 1}
    if options.draw < 0 or (options.draw and not lists):
        raise RecipeError(
            f"draw is {options.draw}; give a setting several values, and draw how many of their combinations."
        )
    trainings.check(recipe)
    hint(recipe)
    if lists:
        return _sweep(options, sweep.recipes(recipe, lists, options.draw), lists)
    run = _begun(options, recipe)
    return _last(options, run) if run.status == "finished" else _follow(options, run)


def _begun(options, recipe: Recipe, notes: Notes | None = None) -> Run:
    """A run for a recipe: a new one, or with ``--missing`` what is `_there`, which goes on where it was stopped."""
    from imgrec import trainings

    run = _there(recipe) if options.missing else None
    if run is None:
        return trainings.enqueue(recipe, notes=notes)
    return run if run.status == "finished" else trainings.requeue(run.name)


def _there(recipe: Recipe) -> Run | None:
    """The newest run that learned with these settings from the pictures as they are now: a finished one, or one that can go
    on."""
    from imgrec.data import open_dataset
    from imgrec.jobs import LIVE
    from imgrec.run_table import rows
    from imgrec.runs import open_run

    now = open_dataset(recipe.dataset, recipe.image_size, recipe.resize).fingerprint
    same = [
        row
        for row in rows(bundled=False)
        if all(row.get(name) == getattr(recipe, name) for name in FIELDS)
        and row["status"] not in LIVE
        and row["fingerprint"] in (now, None)  # None of one that had not begun
    ]
    same.sort(key=lambda row: row["status"] != "finished")
    return open_run(same[0]["run"]) if same else None


def _sweep(options, recipes: list[Recipe], lists: dict[str, list]) -> None:
    """Train with each recipe, one after the other, and say what came out, best first. Ctrl-C ends all of it.

    Where a training breaks down the others go on, for a rate at which nothing can be learned is a result, too.
    """
    from imgrec import trainings
    from imgrec.run_table import rows
    from imgrec.runs import Notes

    for recipe in recipes:
        trainings.check(recipe)  # all of them before the first has learned for an hour
    tag, names, broken, interrupted = sweep.tag(), set(), 0, False
    for recipe in recipes:
        words = sweep.words(recipe, lists)
        print(words, file=sys.stderr)
        run = _begun(options, recipe, Notes(tags=(tag,), text=words))
        names.add(run.name)
        if run.status == "finished":
            print(f"run {run.name} is there", file=sys.stderr)
            continue
        try:
            _follow(options, run)
        except KeyboardInterrupt:
            interrupted = True
            break
        except (ValueError, RuntimeError) as error:
            complain(error)
            broken += 1
        if run.status == "stopped":
            break
    groups = sweep.groups(row for row in rows() if row["run"] in names)
    if options.json:
        print_json({"sweep": tag, "groups": groups})
    else:
        said = [group | {name: sweep.spread(group, name) for name in sweep.ACCURACIES} for group in groups]
        show(options, said, tuple(name for name in groups[0] if not name.endswith("_deviation")))
    if interrupted:
        left = len(recipes) - len(names)
        words = f"imgrec: {left} of {len(recipes)} trainings were not begun; the same command with --missing goes on"
        print(words, file=sys.stderr)
        raise KeyboardInterrupt
    if broken:
        raise RuntimeError(f"{broken} of {len(names)} trainings broke down.")


def complain(error: BaseException) -> None:
    """Say what went wrong, in one line; with IMGREC_DEBUG, raise it."""
    if os.environ.get("IMGREC_DEBUG"):
        raise error
    print(f"imgrec: {in_words(error)}", file=sys.stderr)


@command("how a run was made: its settings as a command, what it began with, what it reached", RUN, name="show")
def show_run(options) -> None:
    from imgrec.runs import lineage, open_run

    run = open_run(options.name)
    settings, usual = dataclasses.asdict(run.recipe), dataclasses.asdict(Recipe())
    chosen = {name: value for name, value in settings.items() if name == "dataset" or value != usual[name]}
    told = {
        "began_with": [one.name for one in lineage(run)][1:],
        "path": str(run.path),
        "tags": list(run.notes.tags),
        "note": run.notes.text,
        "command": command_line(chosen),
    }
    figures = {**run.summary(), **{name: run.read("evaluation.json").get(key) for name, key in FIGURES.items()}}
    if options.json:
        return print_json({**figures, **told, "settings": settings})
    figures["created"] = time.strftime("%Y-%m-%d %H:%M", time.localtime(figures["created"]))
    for name, value in {**figures, **told}.items():
        if value not in (None, "", []):
            print(f"{name.replace('_', ' ')}: {', '.join(value) if name in ('began_with', 'tags') else _short(value)}")


@command("go on with a run that was stopped, failed or lost", RUN)
def resume(options) -> None:
    from imgrec import trainings

    _follow(options, trainings.requeue(options.name))


def _follow(options, run) -> None:
    """Carry a run out in this process; one line per epoch, in JSON on request, and a last one."""
    print(f"run {run.name}", file=sys.stderr)
    with stopping(run) as signals:
        try:
            for epoch in carry_out(run):
                print_json({"run": run.name, **dataclasses.asdict(epoch)}) if options.json else write(in_a_line(epoch))
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or it would be said again at the end
            words = "nobody reads what it prints any more; it is stopped, and `python -m imgrec resume {run}` goes on"
            raise RuntimeError(words.format(run=run.name)) from None
    _last(options, run)
    if run.status in ("stopped", "paused"):
        print(f"imgrec: {run.status}; `python -m imgrec resume {run.name}` goes on", file=sys.stderr)
    if signals and run.status == "stopped":
        raise KeyboardInterrupt


def _last(options, run: Run) -> None:
    """The last line about a run: what it reached."""
    from imgrec.elsewhere import by_heart

    found = run.read("evaluation.json")
    last = {"run": run.name, "status": run.status, **{name: found.get(key) for name, key in FIGURES.items()}}
    say(options, last, ", ".join(f"{key} {_short(value)}" for key, value in last.items() if value is not None))
    if learned := last["learned_before"]:
        print(f"imgrec: {by_heart(learned)}", file=sys.stderr)


def _short(value) -> str:
    """Figures in four digits."""
    if isinstance(value, list):
        return f"{_short(value[0])} to {_short(value[1])}"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


@command(
    "ask a run to stop",
    RUN,
    argument(
        "--how", choices=("stop", "pause", "finish"), default="stop", help="finish: test and keep its best state so far"
    ),
)
def stop(options) -> None:
    from imgrec import trainings

    run = trainings.stop(options.name, options.how)
    if options.how == "finish":  # which takes a test, and perhaps minutes
        say(options, {"run": run.name, "status": run.status}, f"{run.name} is asked to finish")
        return
    trainings.see_out(run)
    say(options, {"run": run.name, "status": run.status}, f"{run.name}: {run.status}")


@command("let a live run learn at another rate from its next step on", RUN, argument("rate", type=float))
def rate(options) -> None:
    from imgrec import trainings

    run = trainings.set_learning_rate(options.name, options.rate)
    words = f"{run.name} learns at {options.rate:g} from its next step on"
    say(options, {"run": run.name, "learning_rate": options.rate}, words)


@command("let a waiting run come next", RUN)
def first(options) -> None:
    from imgrec import queue

    run = queue.put_first(options.name)
    say(options, {"run": run.name, "ahead": queue.ahead(run)}, f"{run.name} comes next")


@command("write what a run logged as event files for TensorBoard", RUN)
def events(options) -> None:
    from imgrec.events import write_events
    from imgrec.runs import open_run

    place = write_events(open_run(options.name))
    say(options, {"run": options.name, "events": str(place)}, f"tensorboard --logdir {place}")


@command("write a run as a notebook, or as a script, that trains it again and compares", RUN, out("F.ipynb|F.py"))
def notebook(options) -> None:
    from imgrec.home import write_atomic
    from imgrec.notebook import as_notebook, as_script
    from imgrec.runs import open_run

    script = options.out.suffix.lower() == ".py"
    write_atomic(options.out, (as_script if script else as_notebook)(open_run(options.name)))
    wrote(options, {"run": options.name, "out": str(options.out)})
