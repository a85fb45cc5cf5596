"""Commands for data sets: list, import, pack, inspect, and look for what is wrong."""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
from pathlib import Path

from imgrec.commands.command import NAME, argument, command, out, print_json, run_name, say, show, wrote
from imgrec.progress import bar
from imgrec.recipe import RecipeError


@command("list the data sets")
def datasets(options) -> None:
    from imgrec.data import list_datasets

    rows = [dataclasses.asdict(row) for row in list_datasets()]
    show(options, rows, ("name", "kind", "images", "classes", "image_size", "ready", "title"))


@command(
    "import pictures: a folder per class, ZIP, TAR, IDX, CIFAR batches, CSV, or a downloadable set by name",
    argument("source"),
    argument("--name", help="what to call it here; default: from the source's name"),
    argument("--unlabelled", action="store_true", help="no class is told; all pictures wait for a label"),
    argument("--add", action="store_true", help="add to the data set of that name"),
    name="import",
)
def import_(options) -> None:
    from imgrec.data import CATALOGUE, DatasetError, called, fetch, import_dataset, open_dataset

    if not options.source.strip():
        raise DatasetError("The source is empty; name a folder, an archive, a table or a downloadable set.")
    if "://" in options.source:
        raise DatasetError(f"{options.source} is an address; download it first, and name the file.")
    download = options.source in CATALOGUE and not Path(options.source).exists()
    near = difflib.get_close_matches(options.source, CATALOGUE, 1, 0.8)
    if near and not download and not Path(options.source).exists():
        raise DatasetError(
            f"There is no file or folder {options.source}, and no set to download; did you mean {near[0]}?"
        )
    if download and (options.name or options.unlabelled or options.add):
        raise DatasetError(
            f"{options.source} is a set to download; --name, --unlabelled and --add are for your own pictures."
        )
    with bar(" bytes" if download else " pictures") as progress:
        if download:
            summary = fetch(options.source, progress)
        else:
            summary = import_dataset(
                Path(options.source), options.name or called(options.source), progress,
                unlabelled=options.unlabelled, adding=options.add,
            )  # fmt: skip
    with bar(" pictures packed") as progress:
        open_dataset(summary.name, progress=progress)  # so that it opens at once
    if options.json:
        return print_json(dataclasses.asdict(summary))
    print(f"{summary.name}: {summary.images} pictures in {summary.classes} classes, {len(summary.rejected)} refused")
    there = _splits(summary.name)
    print(f"{'it has now' if options.add else 'of them'} {there}")
    few = [
        name
        for name, splits in summary.counts.items()
        if not options.add and not (splits["validation"] and splits["test"])
    ]
    if few:
        print(f"too few for a validation and a test picture of each: {', '.join(few[:20])}")
    for entry in summary.rejected:
        print(f"  {entry['file']}: {entry['reason']}")


def _splits(name: str) -> str:
    """How many pictures a set has of each split, in words."""
    from imgrec.data import open_dataset
    from imgrec.data.dataset import SPLITS

    dataset = open_dataset(name)
    counts = [f"{len(dataset.indices(split))} {split}" for split in SPLITS]
    waiting = [f"{len(dataset.unlabelled)} without a label"] * bool(len(dataset.unlabelled))
    return ", ".join(counts + waiting)


@command("write a data set as a ZIP of class folders that imports again", NAME, out("F.zip"))
def pack(options) -> None:
    from imgrec.data import export_dataset

    with bar(" pictures") as progress:
        count = export_dataset(options.name, options.out, progress)
    wrote(options, {"dataset": options.name, "images": count, "out": str(options.out)}, f"{count:,} pictures")


@command(
    "delete a data set for good, or a run, which the page Runs can bring back for a week",
    argument("kind", choices=("dataset", "run")),
    NAME,
)
def delete(options) -> None:
    if options.kind == "run":
        from imgrec.runs import delete_run, open_run

        options.name = run_name(options.name)
        delete_run(open_run(options.name))
    else:
        from imgrec.data import delete_dataset
        from imgrec.run_table import learned_from

        delete_dataset(options.name)
        if names := learned_from(options.name):
            print(f"cannot go on learning or be tested any more: {', '.join(names)}", file=sys.stderr)
    say(options, {"deleted": options.name}, f"{options.name} is deleted")


@command(
    "correct labels and splits of a data set of your own; the last change can be undone",
    NAME,
    argument("file", nargs="*", help="pictures as `suspects` names them; - for a list on standard input, one a line"),
    argument("--relabel", metavar="CLASS", help="an old class, or a new one"),
    argument("--move", choices=("train", "validation", "test")),
    argument("--leave-out", dest="exclude", action="store_true"),
    argument("--take-back", dest="include", action="store_true", help="what was left out"),
    argument("--confirm", action="store_true", help="the label is right; `suspects` asks no more"),
    argument("--undo", action="store_true", help="the last change"),
)
def mend(options) -> None:
    from imgrec.data import Edit, edit, undo

    kinds = ("relabel", "move", "exclude", "include", "confirm", "undo")
    wanted = [kind for kind in kinds if getattr(options, kind) not in (None, False)]
    if len(wanted) != 1 or (options.undo and options.file):
        words = (
            "Give one of --relabel CLASS, --move SPLIT, --leave-out, --take-back, --confirm, with pictures, or --undo."
        )
        raise RecipeError(words)
    if options.undo:
        done = undo(options.name)
    else:
        value = getattr(options, wanted[0])
        done = Edit(wanted[0], _positions(options.name, options.file), value if isinstance(value, str) else "")
        edit(options.name, done)
    words = ("undone: " if options.undo else "") + done.describe()
    say(
        options,
        {"dataset": options.name, "change": done.kind, "pictures": len(done.pictures), "undone": options.undo},
        words,
    )


def _positions(name: str, files: list[str]) -> tuple[int, ...]:
    """Where pictures of these names stand in a set. Raises DatasetError for one that is not there, or there twice."""
    from imgrec.data import DatasetError, history, open_dataset

    history(name)  # it says so where there is none of one's own
    if files == ["-"]:
        files = sys.stdin.read().splitlines()
    if not files:
        raise RecipeError("Name the pictures as `suspects` and the page Data set do.")
    there: dict[str, list[int]] = {}
    for position, file in enumerate(open_dataset(name).files):
        there.setdefault(file, []).append(position)
    for file in files:
        if len(found := there.get(file, ())) > 1:
            raise DatasetError(f"{name} has {len(found)} pictures called {file!r}; correct them on the page Data set.")
        if not found:
            near = difflib.get_close_matches(file, there, 1)
            raise DatasetError(
                f"{name} has no picture called {file!r}" + (f"; did you mean {near[0]!r}?" if near else ".")
            )
    return tuple(dict.fromkeys(there[file][0] for file in files))


@command("class counts, sizes, channel statistics of a data set", NAME)
def inspect(options) -> None:
    from imgrec.data import inspect as look
    from imgrec.data import open_dataset

    report = look(open_dataset(options.name))
    if options.json:
        return print_json(report)
    for key, value in report.items():
        print(f"{key}: {json.dumps(value, ensure_ascii=False)}")


@command("look for labels that may be wrong, by training on parts of the set", NAME)
def suspects(options) -> None:
    from imgrec.data import open_dataset

    rows = _studied("suspects", options.name, ("positions", "labels", "suggested", "margin", "flagged"))
    files = open_dataset(options.name).files
    found = [{"file": files[row["positions"]], **row} for row in rows if row["flagged"]]
    show(options, found, ("file", "labels", "suggested", "margin"), "none found")


@command("what a linear SVM, a decision tree and nearest neighbours reach on the pixels", NAME)
def baselines(options) -> None:
    rows = _studied("baselines", options.name)
    show(options, rows, tuple(rows[0]))


def _studied(kind: str, name: str, columns: tuple[str, ...] = ()) -> list[dict]:
    """What a study of a data set found, by rows."""
    from imgrec.tasks import work_study

    with bar(" %") as progress:
        found = work_study(kind, name, lambda share: progress(round(100 * share), 100))
    columns = columns or tuple(found)
    return [dict(zip(columns, row, strict=True)) for row in zip(*(found[c].tolist() for c in columns), strict=True)]
