"""Commands for data sets: list, import, pack, inspect, and look for what is wrong."""

from __future__ import annotations

import dataclasses
import difflib
import json
from pathlib import Path

from imgrec.commands.command import NAME, argument, command, out, print_json, run_name, say, show, wrote
from imgrec.progress import bar


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
    for entry in summary.rejected:
        print(f"  {entry['file']}: {entry['reason']}")


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

        delete_dataset(options.name)
    say(options, {"deleted": options.name}, f"{options.name} is deleted")


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
