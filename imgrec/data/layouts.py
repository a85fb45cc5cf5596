"""What the names of files say: which class and split a picture belongs to, by its folders or by a CSV table."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from imgrec.data.dataset import DatasetError
from imgrec.data.sources import printable
from imgrec.images import EXTENSIONS
from imgrec.language import mark, tr

EXPECTED = mark(
    "a folder, ZIP or TAR with one folder of pictures per class (cat/1.jpg, dog/2.jpg); the same inside train/, "
    "validation/ and test/; a CSV with the columns file, label and, if you like, split beside the pictures; "
    "the IDX files of MNIST; or the Python batches of CIFAR"
)
HOMELESS = mark("it lies in no class folder")
WAITING = "unlabelled"  # the split of pictures that have no class yet
LONGEST_CLASS = 100  # characters
SPLIT_WORDS = {
    "train": {"train", "training", "train_set", "training_set", "trainset"},
    "validation": {"val", "valid", "validation", "dev", "val_set", "valid_set", "validation_set"},
    "test": {"test", "testing", "test_set", "testing_set", "testset"},
    WAITING: {"unlabelled", "unlabeled", "unlabelled_set", "unlabeled_set", "no_label"},
}
FILE = (
    "file",
    "filename",
    "file_name",
    "image",
    "image_name",
    "img",
    "path",
    "filepath",
    "image_path",
    "image_id",
    "id",
    "fname",  # as fastai writes its tables, with labels
)
LABEL = ("label", "labels", "class", "class_name", "classname", "category", "target", "species", "breed")
SPLIT = ("split", "set", "subset", "partition")
VALID = ("is_valid",)  # fastai's: true means validation, anything else that it is not said


class Place(NamedTuple):
    """Where a picture belongs. ``name`` is its path without the folders that hold everything."""

    name: str
    label: str = ""
    split: str | None = None  # one of SPLITS, or WAITING, which has no label
    refused: str = ""  # why it belongs nowhere, or empty


class Row(NamedTuple):
    """One line of a table: the file as given, its label, one of SPLITS, WAITING or None; why it cannot be followed, or
    empty: a picture that somebody kept apart must not be learned from for a word that is not known."""

    file: str
    label: str
    split: str | None
    refused: str = ""


def split_of(word: str) -> str | None:
    """One of SPLITS or WAITING for the many words people use, None for any other word."""
    word = word.strip().lower().replace("-", "_").replace(" ", "_")
    return next((split for split, words in SPLIT_WORDS.items() if word in words), None)


def class_name(text: str) -> tuple[str, str]:
    """A class's name, printable and composed, and why it cannot be one, or empty."""
    name = printable(text.strip())
    if not name:
        return "", tr("its class has no name")
    if len(name) > LONGEST_CLASS:
        return "", tr("its class's name is longer than {most} characters", most=LONGEST_CLASS)
    return name, ""


def labelled(name: str, label: str, split: str | None = None) -> Place:
    """The place of a picture whose class is told, or that is told to have none yet."""
    if split == WAITING:
        return Place(name, split=split)
    label, refused = class_name(label)
    return Place(name, label, split, refused)


def by_folders(names: list[str]) -> list[Place]:
    """A place per name: class folders, perhaps inside train, validation and test, perhaps inside other folders.

    The first folder below the shared ones is the class, as in torchvision's ImageFolder. Folders are splits if one is
    called like a training set and another like a validation or test set, so that a class may be called train. Pictures
    in a folder called unlabelled wait for a label.
    """
    paths = _without_shared_folders([name.split("/") for name in names])
    inner = {path[0] for path in paths if len(path) > 2}
    splits = {split_of(path[0]) for path in paths if len(path) > 1}
    has_splits = "train" in map(split_of, inner) and bool(splits & {"validation", "test"})
    return [_place(path, has_splits) for path in paths]


def _place(path: list[str], has_splits: bool) -> Place:
    name, split = "/".join(path), None
    if len(path) > 1 and split_of(path[0]) == WAITING:
        return Place(name, split=WAITING)
    if has_splits:
        split, path = split_of(path[0]), path[1:]
        if split is None:
            return Place(name, refused=tr("it lies outside the folders train, validation and test"))
    if len(path) < 2:
        return Place(name, refused=tr(HOMELESS))
    return labelled(name, path[0], split)


def _without_shared_folders(paths: list[list[str]]) -> list[list[str]]:
    """The paths without the folders that all of them lie in, as long as a folder remains for the classes."""
    while True:
        deep = [path for path in paths if len(path) > 1]
        if not deep or len({path[0] for path in deep}) > 1 or all(len(path) < 3 for path in deep):
            return paths
        paths = [path[1:] if len(path) > 1 else path for path in paths]


def by_tables(
    names: list[str], tables: dict[str, bytes], refused: Sequence[str] = ()
) -> tuple[list[Place], list[str]] | None:
    """A place per name as CSV tables (path → content) say, and the files that they list and nobody brought, ``refused`` ones
    aside; or None if they list less than half of the pictures.

    A table names files relative to its own folder; a file name alone, or without its ending, will do if one fits.
    """
    find, known = finder(names), {part for name in refused for part in _called(name)}
    places: dict[int, Place] = {}
    told: dict[int, str] = {}  # by which table
    lost: dict[str, None] = {}
    for table, content in tables.items():
        folder, _, stem = table.rpartition("/")
        whole = split_of(stem.rpartition(".")[0])
        for row in read_table(content) or ():
            paths = (f"{folder}/{row.file}" if folder else row.file, row.file)
            index = find(*paths)
            if index is not None:
                place = labelled(names[index], row.label, row.split or whole)
                if row.refused:
                    place = place._replace(refused=row.refused)
                before = places.get(index)
                if before and told[index] != table:
                    place = _agreed(before, place, (told[index], table))
                places[index], told[index] = place, table
            elif row.file and not known & _called(row.file):
                lost[row.file] = None
    if 2 * len(places) < len(names):
        return None
    return [places.get(i, Place(name, refused=tr("no table lists it"))) for i, name in enumerate(names)], list(lost)


def _agreed(one: Place, other: Place, tables: tuple[str, str]) -> Place:
    """What two tables say of a picture together. Raises DatasetError where they contradict each other."""
    splits = {one.split, other.split} - {None}
    if one.label != other.label or len(splits) > 1:
        raise DatasetError(
            tr("{one} and {other} say different things of {file}; keep one of the tables.", one=tables[0], other=tables[1], file=one.name)
        )  # fmt: skip
    return other._replace(split=next(iter(splits), None))


def read_table(content: bytes) -> list[Row] | None:
    """The rows of a CSV with a file and a label column, None if it has none. Any of , ; and tab may separate.

    Without a heading the columns are file, label and perhaps split, if the first looks like a picture's name.
    """
    rows = _lines(content)
    if not rows:
        return None
    file, label, split, valid = (_column(rows[0], words) for words in (FILE, LABEL, SPLIT, VALID))
    if file is not None and label is not None:
        rows = rows[1:]
    elif len(rows[0]) > 1 and is_picture(rows[0][0].strip()):
        file, label = 0, 1
        split = 2 if any(split_of(_cell(row, 2)) for row in rows) else None  # it may be about anything else
    else:
        return None

    def told(row: list[str]) -> tuple[str | None, str]:
        word = _cell(row, split)
        found = split_of(word) or ("validation" if _cell(row, valid).lower() in ("true", "1") else None)
        known = found or not word
        return found, "" if known else tr(
            "{word!r} is no split; use train, validation or test", word=printable(word)[:40]
        )

    return [Row(_cell(r, file).replace("\\", "/"), _cell(r, label), *told(r)) for r in rows]


def headings(content: bytes) -> list[str]:
    """The first line of a CSV, for messages."""
    return [printable(cell.strip())[:40] for cell in (_lines(content) or [[]])[0][:8]]


def read_columns(content: bytes, names: Sequence[str]) -> dict[str, list[str]]:
    """What a CSV with a file column says about the pictures called ``names``: column → a value per picture, empty where
    the table does not list it. Raises ValueError if it has no such column, or lists none of them."""
    rows = _lines(content)
    file = _column(rows[0], FILE) if rows else None
    if file is None:
        raise ValueError(
            tr("The table has no column for the files; call one of them file and give the others any name.")
        )
    find, places = finder(list(names)), {}
    for row in rows[1:]:
        index = find(_cell(row, file).replace("\\", "/"))
        if index is not None:
            places[index] = row
    if not places:
        raise ValueError(tr("The table lists none of these pictures; its files must be called as they were imported."))
    headings = [printable(cell.strip()) or f"column {n + 1}" for n, cell in enumerate(rows[0])]
    return {
        heading: [printable(_cell(places[i], n)) if i in places else "" for i in range(len(names))]
        for n, heading in enumerate(headings)
        if n != file
    }


def _lines(content: bytes) -> list[list[str]]:
    """The lines of a CSV that hold anything, as cells; none if it is no CSV."""
    text = _text(content)
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        return list(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)))
    except csv.Error:
        return []


def is_picture(name: str) -> bool:
    """Whether a file's ending is one of a picture's."""
    return PurePosixPath(name).suffix.lower().lstrip(".") in EXTENSIONS


def finder(names: list[str]) -> Callable[..., int | None]:
    """A function that finds a picture's position by its path, with or without ending, else by its name, if unique."""
    paths = {name: index for index, name in enumerate(names)}
    short: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        folder, slash, _ = name.rpartition("/")
        for key in {part for called in _called(name) for part in (called, folder + slash + called)}:
            short[key].append(index)

    def find(*candidates: str) -> int | None:
        for candidate in candidates:
            if candidate in paths:
                return paths[candidate]
        keys = (*candidates, candidates[-1].rpartition("/")[2])
        return next((same[0] for key in keys if len(same := short.get(key, ())) == 1), None)

    return find


def _called(path: str) -> set[str]:
    """A file's name with and without its ending."""
    name = path.rpartition("/")[2]
    return {name, name.rpartition(".")[0] or name}


def _column(heading: list[str], words: Iterable[str]) -> int | None:
    lowered = [cell.strip().lower().replace(" ", "_") for cell in heading]
    return next((lowered.index(word) for word in words if word in lowered), None)


def _cell(row: list[str], column: int | None) -> str:
    return row[column].strip() if column is not None and column < len(row) else ""


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "cp1252"):
        try:
            return content.decode(encoding)
        except ValueError:
            continue
    return content.decode("latin-1")
