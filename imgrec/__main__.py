"""The command line: ``python -m imgrec COMMAND``. Results on standard output, messages on standard error.

Exit status: 0 done, 1 failed, 2 wrong usage. Imports inside the commands keep the light ones quick.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from imgrec import sweep
from imgrec.home import in_words
from imgrec.recipe import FIELDS, PRESETS, Recipe, RecipeError


class Parser(argparse.ArgumentParser):
    """argparse with one clear line for a mistake instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        return 0
    except RecipeError as error:
        return _complain(error, 2)
    except (ValueError, RuntimeError, OSError) as error:  # every error class of imgrec is one of these
        return _complain(error, 1)
    except KeyboardInterrupt:
        return 130


def _complain(error: BaseException, status: int) -> int:
    if os.environ.get("IMGREC_DEBUG"):
        raise error
    print(f"imgrec: {in_words(error)}", file=sys.stderr)
    return status


def datasets(options) -> None:
    from imgrec.data import list_datasets

    rows = [dataclasses.asdict(row) for row in list_datasets()]
    _show(options, rows, ("name", "kind", "images", "classes", "image_size", "ready", "title"))


def models(options) -> None:
    from imgrec.models import SHELF, parameters

    rows = [{key: getattr(card, key) for key in ("name", "title", "year", "idea", "paper")} for card in SHELF.values()]
    for row in rows:
        row["parameters_32px_10_classes"] = parameters(row["name"], 10, 3, 32)
    _show(options, rows, ("name", "year", "parameters_32px_10_classes", "idea"))


def runs(options) -> None:
    from imgrec.runs import list_runs

    columns = ("run", "status", "epoch", "epochs", "validation_accuracy", "test_accuracy")
    _show(options, [run.summary() for run in list_runs(bundled=True)], columns)


def import_(options) -> None:
    from imgrec.data import CATALOGUE, fetch, import_dataset, open_dataset

    download = options.source in CATALOGUE and not Path(options.source).exists()
    with _bar(" bytes" if download else " pictures") as progress:
        if download:
            summary = fetch(options.source, progress)
        else:
            summary = import_dataset(
                Path(options.source), options.name or _stem(options.source), progress,
                unlabelled=options.unlabelled, adding=options.add,
            )  # fmt: skip
    with _bar(" pictures packed") as progress:
        open_dataset(summary.name, progress=progress)  # so that it opens at once
    report = dataclasses.asdict(summary)
    if options.json:
        return _print(report)
    print(f"{summary.name}: {summary.images} pictures in {summary.classes} classes, {len(summary.rejected)} refused")
    for entry in summary.rejected:
        print(f"  {entry['file']}: {entry['reason']}")


def pack(options) -> None:
    from imgrec.data import export_dataset

    with _bar(" pictures") as progress:
        count = export_dataset(options.name, options.out, progress)
    _print({"dataset": options.name, "images": count, "out": str(options.out)})


def inspect(options) -> None:
    from imgrec.data import inspect as look
    from imgrec.data import open_dataset

    report = look(open_dataset(options.name))
    if options.json:
        return _print(report)
    for key, value in report.items():
        print(f"{key}: {json.dumps(value, ensure_ascii=False)}")


def suspects(options) -> None:
    from imgrec.tasks import work_study

    with _bar(" %") as progress:
        found = work_study("suspects", options.name, lambda share: progress(round(100 * share), 100))
    columns = ("positions", "labels", "suggested", "margin", "flagged")
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*(found[c].tolist() for c in columns), strict=True)]
    _show(options, [row for row in rows if row["flagged"]], columns[:4])


def baselines(options) -> None:
    from imgrec.tasks import work_study

    with _bar(" %") as progress:
        found = work_study("baselines", options.name, lambda share: progress(round(100 * share), 100))
    rows = [dict(zip(found, row, strict=True)) for row in zip(*(v.tolist() for v in found.values()), strict=True)]
    _show(options, rows, tuple(found))


def study(options) -> None:
    """The process in which the dashboard studies a data set."""
    from imgrec.tasks import work_study

    work_study(options.kind, options.name, process=True, **json.loads(options.options))


def train(options) -> None:
    from imgrec import jobs

    given = {name: values for name, values in vars(options).items() if name in FIELDS and values is not None}
    recipe = Recipe.from_values({name: values[0] for name, values in given.items()}, options.preset)
    lists = {name: values for name, values in given.items() if len(values) > 1}
    if lists:
        _sweep(options, sweep.recipes(recipe, lists), lists)
    else:
        _work(options, jobs.enqueue(recipe))


def _sweep(options, recipes: list[Recipe], lists: dict[str, list]) -> None:
    """Train with each recipe, one after the other, and say what came out, best first. Ctrl-C ends all of it.

    Where a training breaks down the others go on, for a rate at which nothing can be learned is a result, too.
    """
    from imgrec import jobs
    from imgrec.runs import Notes, rows

    for recipe in recipes:
        jobs.check(recipe)  # all of them before the first has learned for an hour
    tag, names, broken = sweep.tag(), set(), 0
    for recipe in recipes:
        words = sweep.words(recipe, lists)
        print(words, file=sys.stderr)
        run = jobs.enqueue(recipe, notes=Notes(tags=(tag,), text=words))
        names.add(run.name)
        try:
            _work(options, run)
        except (ValueError, RuntimeError) as error:
            _complain(error, 1)
            broken += 1
        if run.status == "stopped":
            break
    groups = sweep.groups(row for row in rows() if row["run"] in names)
    if options.json:
        _print({"sweep": tag, "groups": groups})
    else:
        said = [group | {name: sweep.spread(group, name) for name in sweep.ACCURACIES} for group in groups]
        _show(options, said, tuple(name for name in groups[0] if not name.endswith("_deviation")))
    if broken:
        raise RuntimeError(f"{broken} of {len(names)} trainings broke down.")


def resume(options) -> None:
    from imgrec import jobs

    _work(options, jobs.requeue(options.name))


def _work(options, run) -> None:
    """Carry a run out in this process with a progress bar; one JSON line per epoch and a last one on request."""
    from tqdm import tqdm

    from imgrec import worker

    print(f"run {run.name}", file=sys.stderr)
    _stop_on_signal(run)
    with tqdm(unit=" pictures", unit_scale=True, disable=None, file=sys.stderr) as bar:
        for event in worker.work(run):
            kind = type(event).__name__
            if kind == "Step":
                bar.set_description(f"epoch {event.epoch}/{run.recipe.epochs}", refresh=False)
                bar.total = event.images * event.steps // event.step
                bar.update(event.images - bar.n)
            elif kind == "Epoch":
                if options.json:
                    _print(dataclasses.asdict(event))
                else:
                    bar.write(_epoch_line(event), file=sys.stdout)
                bar.reset()
    found = run.read("evaluation.json")
    figures = {"test_accuracy": "accuracy", "test_interval": "interval", "majority_accuracy": "majority_accuracy"}
    figures["linear_accuracy"] = "linear_accuracy"
    last = {"run": run.name, "status": run.status, **{name: found.get(key) for name, key in figures.items()}}
    if options.json:
        _print(last)
    else:
        print(", ".join(f"{key} {value}" for key, value in last.items() if value is not None))


def _stop_on_signal(run) -> None:
    """The first Ctrl-C or SIGTERM asks the run to stop and keep its checkpoint; a second one ends at once."""

    def ask(number, frame) -> None:
        run.ask("stop")
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)


def _epoch_line(event) -> str:
    line = f"epoch {event.epoch:3d}  train loss {event.train_loss:.4f} accuracy {event.train_accuracy:.4f}"
    if event.validation_loss is not None:
        line += f"  validation loss {event.validation_loss:.4f} accuracy {event.validation_accuracy:.4f}"
    return line + f"  {event.images_per_second:,.0f} pictures/s"


def stop(options) -> None:
    from imgrec import jobs

    run = jobs.stop(options.name, options.how)
    _print({"run": run.name, "status": "stopping"}) if options.json else print(f"{run.name} is asked to {options.how}")


def rate(options) -> None:
    from imgrec import jobs

    run = jobs.set_learning_rate(options.name, options.rate)
    words = f"{run.name} learns at {options.rate:g} from its next step on"
    _print({"run": run.name, "learning_rate": options.rate}) if options.json else print(words)


def first(options) -> None:
    from imgrec import queue

    run = queue.put_first(options.name)
    _print({"run": run.name, "ahead": queue.ahead(run)}) if options.json else print(f"{run.name} comes next")


def evaluate(options) -> None:
    from imgrec.data import open_dataset
    from imgrec.evaluate import evaluate as measure
    from imgrec.predict import Predictor
    from imgrec.runs import open_run

    run = open_run(options.name)
    predictor = Predictor.open(run)
    dataset = open_dataset(run.recipe.dataset, run.recipe.image_size, run.recipe.resize)
    report = measure(predictor, dataset, options.split)
    if options.json:
        return _print({"run": run.name, **report})
    low, high = report["interval"]
    print(
        f"accuracy {report['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}), {report['images']} {options.split} pictures"
    )
    print(f"always guessing the commonest class: {report['majority_accuracy']:.4f}")
    for row in report["classes"]:
        scores = "  ".join(f"{key} {row[key]:.3f}" for key in ("precision", "recall", "f1"))
        print(f"  {row['name']:20} {scores}  n {row['support']}")


def predict(options) -> None:
    from imgrec.bulk import pictures, rows
    from imgrec.home import replaced
    from imgrec.predict import open_network, stream

    network = open_network(options.name)
    network = network.looking(options.views) if options.views else network
    if options.csv:
        counts = {"pictures": 0, "refused": 0}
        with _bar(" pictures") as progress, replaced(options.csv) as file:
            text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
            for _, result in rows(network, options.image, text, told=progress):
                counts["refused" if result.error else "pictures"] += 1
            text.detach()
        return _print({"model": network.name, "out": str(options.csv), **counts})
    said, answered = [], 0
    for result in stream(network, (file for path in options.image for file in pictures(path))):
        answered += not result.error
        if options.json:
            said.append(result.to_dict(network.classes, options.top))
        elif result.error:
            print(f"imgrec: {result.error}", file=sys.stderr)
        else:
            print(result.file + ("  (probably none of these)" if result.known is False else ""))
            for row in result.top(network.classes, options.top):
                print(f"  {row['probability']:8.4%}  {row['name']}")
    if options.json:
        _print({"model": network.name, "results": said})
    if not answered:
        raise ValueError("none of the files could be classified.")


def explain(options) -> None:
    from imgrec.explain import explain as compute
    from imgrec.explain import overlay
    from imgrec.home import write_atomic
    from imgrec.images import open_image
    from imgrec.predict import Predictor

    predictor = Predictor.open(options.name)
    seen = predictor.see(open_image(options.image, at_least=predictor.passport.preprocess.size))
    result = compute(predictor, seen, options.method, options.class_name)
    write_atomic(options.out, overlay(seen, result.heat))
    said = {"class": result.class_name, "probability": result.probability, "out": str(options.out)}
    _print({"run": predictor.name, "method": options.method, **said})


def export(options) -> None:
    from imgrec.data import DatasetError, open_dataset
    from imgrec.export import export as write
    from imgrec.predict import Predictor
    from imgrec.runs import open_run

    predictor, dataset = Predictor.open(options.name, "cpu"), None
    if options.to == "int8":
        wanted = predictor.passport.preprocess
        with contextlib.suppress(DatasetError):
            dataset = open_dataset(open_run(options.name).recipe.dataset, wanted.size, wanted.resize, wanted.channels)
    _print({"run": options.name, **write(predictor, options.to, options.out, dataset)})


def events(options) -> None:
    from imgrec.events import write_events
    from imgrec.runs import open_run

    place = write_events(open_run(options.name))
    _print({"run": options.name, "events": str(place)}) if options.json else print(f"tensorboard --logdir {place}")


def notebook(options) -> None:
    from imgrec.home import write_atomic
    from imgrec.notebook import as_notebook, as_script
    from imgrec.runs import open_run

    script = options.out.suffix == ".py"
    write_atomic(options.out, (as_script if script else as_notebook)(open_run(options.name)))
    _print({"run": options.name, "out": str(options.out)})


def work(options) -> None:
    """The worker process of the dashboard; its messages go to worker.log."""
    from imgrec.runs import open_run
    from imgrec.worker import work as carry_out

    run = open_run(options.name)
    _stop_on_signal(run)
    for _ in carry_out(run, process=True):
        pass


def classify(options) -> None:
    """The process in which the dashboard classifies a folder or an archive."""
    from imgrec.bulk import work as carry_out

    carry_out(options.name)


def bring(options) -> None:
    """The process in which the dashboard imports or downloads a data set."""
    from imgrec.tasks import work_bring

    work_bring(options.name)


def _parser() -> Parser:
    parser = Parser(prog="imgrec", description="An image-recognition lab. Every command knows --json and --help.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    def command(function, help: str, name: str | None = None) -> Parser:
        sub = commands.add_parser(name or function.__name__, help=help, description=help)
        sub.add_argument(
            "--json", action="store_true", help="one JSON document, or one JSON line per event, on standard output"
        )
        sub.set_defaults(run=function)
        return sub

    command(datasets, "list the data sets")
    command(models, "list the models")
    command(runs, "list the runs")
    sub = command(
        import_,
        "import pictures: a folder per class, ZIP, TAR, IDX, CIFAR batches, CSV, or a downloadable set by name",
        "import",
    )
    sub.add_argument("source")
    sub.add_argument("--name", help="what to call it here; default: from the source's name")
    sub.add_argument("--unlabelled", action="store_true", help="no class is told; all pictures wait for a label")
    sub.add_argument("--add", action="store_true", help="add to the data set of that name")
    command(inspect, "class counts, sizes, channel statistics of a data set").add_argument("name")
    command(suspects, "look for labels that may be wrong, by training on parts of the set").add_argument("name")
    command(baselines, "what a linear SVM, a decision tree and nearest neighbours reach on the pixels").add_argument(
        "name"
    )
    sub = command(pack, "write a data set as a ZIP of class folders that imports again")
    sub.add_argument("name")
    sub.add_argument("--out", type=Path, required=True, metavar="F.zip")
    _add_recipe(
        command(
            train,
            "train a model; any setting of the recipe is an option, several values with commas between train as many",
        )
    )
    command(resume, "go on with a run that was stopped, failed or lost").add_argument("name", metavar="RUN")
    sub = command(stop, "ask a run to stop")
    sub.add_argument("name", metavar="RUN")
    sub.add_argument(
        "--how", choices=("stop", "pause", "finish"), default="stop", help="finish: test and keep its best state so far"
    )
    sub = command(rate, "let a live run learn at another rate from its next step on")
    sub.add_argument("name", metavar="RUN")
    sub.add_argument("rate", type=float)
    command(first, "let a waiting run come next").add_argument("name", metavar="RUN")
    command(events, "write what a run logged as event files for TensorBoard").add_argument("name", metavar="RUN")
    sub = command(notebook, "write a run as a notebook, or as a script, that trains it again and compares")
    sub.add_argument("name", metavar="RUN")
    sub.add_argument("--out", type=Path, required=True, metavar="F.ipynb|F.py")
    sub = command(evaluate, "measure a run on the pictures it never saw")
    sub.add_argument("name", metavar="RUN")
    sub.add_argument("--split", choices=("test", "validation", "train"), default="test")
    sub = command(predict, "classify pictures with a run, or with several whose mean is the answer")
    sub.add_argument("name", metavar="RUN[,RUN…]")
    sub.add_argument("image", type=Path, nargs="+", metavar="IMAGE", help="a picture, a folder, a ZIP or a TAR")
    sub.add_argument("--csv", type=Path, metavar="F.csv", help="write all probabilities into a table")
    sub.add_argument(
        "--views", choices=("one", "mirror", "shifted", "six"), help="answer with the mean over several views"
    )
    sub.add_argument("--top", type=_positive, default=5, help="how many classes to show")
    sub = command(explain, "a heat map of what mattered for a class")
    sub.add_argument("name", metavar="RUN")
    sub.add_argument("image", type=Path, metavar="IMAGE")
    sub.add_argument("--method", default="gradcam", help="gradcam, occlusion or saliency")
    sub.add_argument("--class", dest="class_name", help="the class to explain; default: the likeliest")
    sub.add_argument("--out", type=Path, required=True, metavar="F.png")
    sub = command(export, "write the model with its preprocessing and class names")
    sub.add_argument("name", metavar="RUN")
    sub.add_argument(
        "--to",
        choices=("onnx", "int8", "torch", "page", "zip"),
        default="onnx",
        help="zip: ONNX with a script, a card and a page for the browser",
    )
    sub.add_argument("--out", type=Path, required=True, metavar="F")
    command(work, "carry out a queued run (used by the dashboard)").add_argument("name", metavar="RUN")
    command(classify, "classify a folder or an archive (used by the dashboard)").add_argument("name", metavar="JOB")
    sub = command(study, "carry out a study of a data set (used by the dashboard)")
    for argument in ("kind", "name", "options"):
        sub.add_argument(argument)
    command(bring, "carry out an import or a download (used by the dashboard)").add_argument("name")
    return parser


def _add_recipe(parser: Parser) -> None:
    parser.add_argument("--preset", choices=PRESETS, default="standard", help="a named set of settings to start from")
    for field in FIELDS.values():
        kind, about = type(field.default), field.metadata
        words = f"{about['help']} (default {field.default})"
        if "choices" in about:
            words = f"{', '.join(about['choices'])}: {words}"
        names = dict.fromkeys(("--" + field.name.replace("_", "-"), "--" + field.name))
        several = f"{kind.__name__.upper()}[,…]" if field.name in sweep.SEVERAL else kind.__name__.upper()
        parser.add_argument(*names, dest=field.name, metavar=several, type=partial(_values, field.name), help=words)


def _values(name: str, text: str) -> list:
    try:
        return sweep.parse(name, text)
    except RecipeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@contextlib.contextmanager
def _bar(unit: str):
    """A progress bar on a terminal, and the function (done, total) that moves it."""
    from tqdm import tqdm

    with tqdm(unit=unit, unit_scale=True, disable=None, file=sys.stderr) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _stem(source: str) -> str:
    name = Path(source).resolve().name
    for ending in (".tar.gz", ".tgz", ".tar", ".zip", ".csv"):
        name = name.removesuffix(ending)
    return name


def _print(content: Any) -> None:
    print(json.dumps(content, ensure_ascii=False), flush=True)


def _show(options, rows: list[dict], columns: tuple[str, ...]) -> None:
    """Rows as JSON or as an aligned table."""
    if options.json:
        return _print(rows)
    if not rows:
        return print("none yet")
    cells = [columns, *(["" if row.get(c) is None else str(row.get(c)) for c in columns] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `imgrec runs | head` ends quietly
    sys.exit(main())
