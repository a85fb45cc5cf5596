"""Commands for trained networks: list the shelf, test, classify, explain, export."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from imgrec.commands.command import (
    RUN,
    argument,
    command,
    out,
    print_json,
    run_names,
    say,
    show,
    writable,
    wrote,
)
from imgrec.progress import as_dataset, bar
from imgrec.recipe import RecipeError

if TYPE_CHECKING:
    from imgrec.data import Dataset
    from imgrec.predict import Predictor
    from imgrec.runs import Run


@command("list the models")
def models(options) -> None:
    from imgrec.models import SHELF, parameters

    rows = [{key: getattr(card, key) for key in ("name", "title", "year", "idea", "paper")} for card in SHELF.values()]
    for row in rows:
        row["parameters_32px_10_classes"] = parameters(row["name"], 10, 3, 32)
    show(options, rows, ("name", "year", "parameters_32px_10_classes", "idea"))


@command(
    "measure a run on the pictures it never saw",
    RUN,
    argument("--split", choices=("test", "validation", "train"), help="of its own data set; default: test"),
    argument("--on", metavar="DATASET", help="another data set with classes of the same names"),
    argument(
        "--as",
        dest="called",
        action="append",
        metavar="THEIRS=ITS",
        help="what a class of that set is, such as car=automobile; once for each",
    ),
)
def evaluate(options) -> None:
    if options.on is not None:
        return _elsewhere(options)
    if options.called:
        raise RecipeError("--as says what classes of another data set are; name that with --on.")
    from imgrec.elsewhere import by_heart, learned_before
    from imgrec.evaluate import evaluate as measure

    run, predictor, dataset = _with_pictures(options.name)
    split = options.split or "test"
    with bar(" pictures") as progress:
        report = measure(predictor, dataset, split, progress)
    learned = len(learned_before(run, dataset)) if split == "test" else 0
    if options.json:
        return print_json({"run": run.name, **report, "learned_before": learned})
    print(_accuracy(report, f"{split} pictures"))
    then = run.read("evaluation.json")
    if split == "test" and then and run.read("about.json").get("fingerprint") != dataset.fingerprint:
        print(f"its data set was changed since: at its end it had {then['accuracy']:.4f} of {then['images']}")
    if learned:
        print(by_heart(learned))
    print(f"always guessing the commonest class: {report['majority_accuracy']:.4f}")
    for row in report["classes"]:
        scores = "  ".join(f"{key} {row[key]:.3f}" for key in ("precision", "recall", "f1"))
        print(f"  {row['name']:20} {scores}  n {row['support']}")


def _accuracy(report: dict, what: str) -> str:
    low, high = report["interval"]
    return f"accuracy {report['accuracy']:.4f} (95% interval {low:.4f} to {high:.4f}), {report['images']} {what}"


def _elsewhere(options) -> None:
    """How a run does on another data set."""
    from imgrec.data import classes_of
    from imgrec.elsewhere import pairs
    from imgrec.runs import open_run
    from imgrec.tasks import measure_elsewhere

    if options.split:
        raise RecipeError("--split is about the run's own data set, and --on about another; give one of them.")
    options.on = as_dataset(options.on)
    run, called = open_run(options.name), pairs(options.called or (), classes_of(options.on))
    with bar(" %") as progress:
        report = measure_elsewhere(run, options.on, lambda share: progress(round(100 * share), 100), called)
    if options.json:
        return print_json({"run": run.name, "on": options.on, **report})
    drawn = f", drawn of {report['drawn_from']}" if report["drawn_from"] > report["images"] else ""
    print(_accuracy(report, f"pictures of {options.on} that it did not learn from{drawn}"))
    if report["own_accuracy"] is not None:
        low, high = report["difference_interval"]
        print(f"on its own test pictures, were its classes as frequent as here: {report['own_accuracy']:.4f}, "
              f"higher by {report['difference']:.4f} (95% interval {low:.4f} to {high:.4f})")  # fmt: skip
    if report["gone"]:
        print(
            f"it also learned from {', '.join(report['gone'])}, which is not here: some of these pictures may be among those"
        )
    for row in report["classes"]:
        own = "" if row["own_recall"] is None else f"  own test {row['own_recall']:.3f}"
        print(f"  {row['name']:20} recall {row['recall']:.3f}{own}  n {row['images']}")
    if report["strangers"]:
        noticed = report["strangers_noticed"]
        said = "" if noticed is None else f", {noticed:.1%} of them marked as none of its classes"
        print(
            f"of classes that it does not know ({', '.join(report['other_classes'][:10])}): {report['strangers']} pictures{said}"
        )


@command("make a run as sure as it is right: fits the temperature on its validation pictures and keeps it", RUN)
def calibrate(options) -> None:
    from imgrec.evaluate import at_the_end
    from imgrec.evaluate import calibrate as fit
    from imgrec.evaluate import evaluate as measure

    run, predictor, dataset = _with_pictures(options.name)
    errors = [measure(predictor, dataset)["calibration_error"]]
    temperature = fit(run, predictor, dataset)
    errors.append(measure(_with_pictures(options.name)[1], dataset)["calibration_error"])
    said = {
        "run": run.name,
        "temperature": temperature,
        "calibration_error_before": errors[0],
        "calibration_error": errors[1],
    }
    words = f"temperature {temperature:.3f}; calibration error on the test pictures {errors[0]:.4f} before, {errors[1]:.4f} after"
    say(options, said, words)
    if end := at_the_end(temperature):
        print(f"imgrec: {end}", file=sys.stderr)


@command("write all that was measured of a run as one printable page", RUN, out("F.html"))
def report(options) -> None:
    from imgrec.evaluate import answers, kept_answers
    from imgrec.home import write_atomic
    from imgrec.report import printable

    run, predictor, dataset = _with_pictures(options.name)
    given = kept_answers(run, dataset, "test", predictor.passport.temperature) or answers(predictor, dataset)
    write_atomic(options.out, printable(run, given, dataset))
    wrote(options, {"run": run.name, "out": str(options.out)})


def _with_pictures(name: str) -> tuple[Run, Predictor, Dataset]:
    """A run, its network and its data set as it takes it. Raises DatasetError where that is not here."""
    from imgrec.predict import open_network
    from imgrec.runs import open_run

    run, predictor = open_run(name), open_network(name)
    return run, predictor, predictor.dataset(run.recipe.dataset)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


@command(
    "classify pictures with a run, or with several whose mean is the answer",
    argument("name", metavar="RUN[,RUN…]", type=run_names),
    argument("image", type=Path, nargs="+", metavar="IMAGE", help="a picture, a folder, a ZIP or a TAR"),
    argument(
        "--csv",
        type=lambda text: text if text == "-" else writable(text, (".csv",)),
        metavar="F.csv",
        help="write all probabilities into a table; - for standard output",
    ),
    argument("--views", choices=("one", "mirror", "shifted", "six"), help="answer with the mean over several views"),
    argument("--top", type=_positive, default=5, help="how many classes to show (a table holds all)"),
)
def predict(options) -> None:
    from imgrec.bulk import pictures
    from imgrec.predict import open_network, stream

    network = open_network(options.name)
    network = network.looking(options.views) if options.views else network
    if options.csv == "-" and options.json:
        raise RecipeError("--csv - and --json both write to standard output; take one, or give the table a file.")
    if options.csv:
        return _into_a_table(options, network)
    said, answered, failed = [], 0, set()
    for result in stream(network, (file for path in options.image for file in pictures(path))):
        answered += not result.error
        if result.error:
            failed.add(result.file)
        if options.json:
            said.append(result.to_dict(network.classes, options.top))
        elif result.error:
            _refused(result)
        else:
            print(result.file + ("  (probably none of these)" if result.known is False else ""))
            for row in result.top(network.classes, options.top):
                print(f"  {row['probability']:8.4%}  {row['name']}")
    if options.json:
        print_json({"model": network.name, "results": said})
    _all_answered(options, answered, failed)


def _all_answered(options, answered: int, failed: set[str]) -> None:
    """Raise ValueError where no file was answered, or one that was named was not; of a folder or archive some may fail."""
    if not answered and not failed:
        raise ValueError("there is no picture in what was named.")
    if not answered:
        raise ValueError("none of the files could be classified.")
    if named := sum(str(path) in failed for path in options.image):
        raise ValueError(f"{named} of {len(options.image)} files could not be classified.")


def _refused(result) -> None:
    """Say why, with the folder, which the reason alone leaves out: pictures of several may be called alike."""
    from imgrec.images import safe_name

    reason = result.error.removeprefix(safe_name(result.file)).lstrip(":： ")
    print(f"imgrec: {result.file}: {reason}", file=sys.stderr)


def _into_a_table(options, network) -> None:
    from imgrec.bulk import rows
    from imgrec.home import replaced

    counts, failed = {"pictures": 0, "refused": 0}, set()
    opened = nullcontext(sys.stdout.buffer) if options.csv == "-" else replaced(options.csv)
    with bar(" pictures") as progress, opened as file:
        for _, result in rows(network, options.image, file, on_progress=progress):
            counts["refused" if result.error else "pictures"] += 1
            if result.error:
                failed.add(result.file)
                _refused(result)
    if options.csv == "-":
        pass  # nothing else stands there
    elif options.json and counts["pictures"]:
        print_json({"model": network.name, "out": str(options.csv), **counts})
    elif counts["pictures"]:
        print(f"{counts['pictures']} classified, {counts['refused']} refused: {options.csv}")
    _all_answered(options, counts["pictures"], failed)


@command(
    "a heat map of what mattered for a class",
    RUN,
    argument("image", type=Path, metavar="IMAGE"),
    argument("--method", default="gradcam", choices=("gradcam", "occlusion", "saliency", "smoothgrad", "integrated")),
    argument("--class", dest="class_name", help="the class to explain; default: the likeliest"),
    out("F.png"),
)
def explain(options) -> None:
    from imgrec.explain import explain as compute
    from imgrec.explain import overlay
    from imgrec.home import write_atomic
    from imgrec.images import open_image
    from imgrec.predict import open_network

    predictor = open_network(options.name)
    seen = predictor.see(open_image(options.image, at_least=predictor.passport.preprocess.size))
    result = compute(predictor, seen, options.method, options.class_name)
    write_atomic(options.out, overlay(seen, result.heat))
    proof = {"reliable": result.reliable, "hidden": result.hidden, "elsewhere": result.elsewhere}
    said = {"class": result.class_name, "probability": result.probability, **proof, "out": str(options.out)}
    what = f"{result.class_name}, {result.probability:.1%}, by {options.method}"
    if not result.reliable:
        what += "; this map is not reliable: covering what it shows lowers the probability no more than covering other places"
    wrote(options, {"run": predictor.name, "method": options.method, **said}, what)


@command(
    "write the model with its preprocessing and class names",
    RUN,
    argument(
        "--to",
        choices=("onnx", "int8", "torch", "page", "zip"),
        help="zip: ONNX with a script, a card and a page for the browser; default: what the file's ending says",
    ),
    out("F.zip|F.onnx|F.pt2|F.html"),
)
def export(options) -> None:
    from imgrec.export import by_ending
    from imgrec.export import export as write
    from imgrec.predict import Predictor, as_named_now, pictures_of
    from imgrec.runs import open_run

    to = by_ending(options.out, options.to)
    run = open_run(options.name)
    predictor = as_named_now(run, Predictor.open(run, "cpu"))
    found = write(predictor, to, options.out, pictures_of(run, predictor))
    proof = f"no probability differs by more than {found['largest_difference']:.1g}"
    if "after" in found:
        proof = f"test accuracy {found['before']['accuracy']:.4f} before, {found['after']['accuracy']:.4f} after"
    if found.get("page") is False:
        proof += "; without the page for the browser, whose runtime could not be fetched (--to page says how to get it)"
    wrote(options, {"run": options.name, **found}, proof)
