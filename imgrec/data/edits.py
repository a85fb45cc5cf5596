"""Edits: what people change about a stored set, one line each in a journal beside it.

The table of the import is never touched: the journal is replayed when the set is opened, and its last line can be undone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from filelock import FileLock

from imgrec.data.dataset import LEFT_OUT, SPLITS, UNLABELLED, DatasetError
from imgrec.data.layouts import class_name
from imgrec.home import write_atomic
from imgrec.language import mark, plural, tr

JOURNAL, LOCK = "edits.jsonl", "edits.lock"
BACK = "where it was"  # what is taken back in; entries without it are of a time when all came back to where the import had it
KINDS = {
    "relabel": mark("{n} relabelled as {value}"),
    "accept": mark("{n} labelled as proposed"),
    "move": mark("{n} moved to {value}"),
    "exclude": mark("{n} left out"),
    "include": mark("{n} taken back in"),
    "confirm": mark("label of {n} confirmed"),
    "rename": mark("class {old} renamed to {value}"),
}


@dataclass(frozen=True)
class Edit:
    """One change. ``pictures`` are positions in the set; ``value`` is a class or a split; ``old`` the class renamed;
    ``values`` are a class for each picture, where they differ."""

    kind: str
    pictures: tuple[int, ...] = ()
    value: str = ""
    old: str = ""
    when: str = ""
    values: tuple[str, ...] = ()

    def describe(self) -> str:
        """What was done, in a few words."""
        count = plural("{n:,} picture", "{n:,} pictures", len(self.pictures))
        return tr(KINDS[self.kind], n=count, value=self.value, old=self.old)


def read(folder: Path) -> list[Edit]:
    """The journal of a stored set, oldest first. Raises DatasetError if it cannot be read."""
    try:
        entries = map(json.loads, filter(None, (folder / JOURNAL).read_text("utf-8").split("\n")))
        return [
            Edit(**{**entry, "pictures": tuple(map(int, entry["pictures"])), "values": tuple(entry.get("values", ()))})
            for entry in entries
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            tr(
                "{journal} of {name} is damaged ({error}); mend or remove that file.",
                journal=JOURNAL,
                name=folder.name,
                error=error,
            )
        ) from None


def replay(
    classes: Sequence[str], labels: np.ndarray, splits: np.ndarray, edits: Iterable[Edit]
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Classes, labels and splits after all edits; classes without a picture are gone. Raises DatasetError on nonsense."""
    names, labels, came, edits = list(classes), labels.copy(), splits, list(edits)
    splits = came.copy()
    before = came.copy()  # where each picture was when it was left out
    for edit in edits:
        where = np.array(edit.pictures, np.int64)
        if len(where) and not (where.min() >= 0 and where.max() < len(labels)):
            raise DatasetError(
                tr(
                    "There are {labels:,} pictures; the edit is about picture {max:,}.",
                    labels=len(labels),
                    max=where.max(),
                )
            )
        if edit.kind == "relabel" or (edit.kind == "accept" and len(edit.values) == len(where)):
            values = edit.values or (edit.value,)
            _name(names, values)
            number = {name: index for index, name in enumerate(names)}
            labels[where] = [number[name] for name in values] if edit.values else number[edit.value]
            splits[where[splits[where] == UNLABELLED]] = SPLITS.index("train")
        elif edit.kind == "move" and edit.value in SPLITS:
            splits[where[labels[where] >= 0]] = SPLITS.index(edit.value)  # without a label it must wait
        elif edit.kind == "exclude":
            there = where[splits[where] != LEFT_OUT]
            before[there] = splits[there]
            splits[where] = LEFT_OUT
        elif edit.kind == "include":
            back, there = (where[splits[where] == LEFT_OUT], before) if edit.value == BACK else (where, came)
            splits[back] = np.where((there[back] == UNLABELLED) & (labels[back] >= 0), 0, there[back])
        elif edit.kind == "confirm":
            pass  # looked at and found right: nothing changes, but nobody asks again
        elif edit.kind == "rename" and edit.old in names:
            _rename(names, labels, edit)
        else:
            raise DatasetError(
                tr("An edit cannot be {kind!r} {old!r} {value!r}.", kind=edit.kind, old=edit.old, value=edit.value)
            )
    return _without_empty(names, labels, splits)


def ends(classes: Sequence[str], edits: Iterable[Edit]) -> tuple[list[str], list[str]]:
    """All names there are after the edits, also those of no picture; and for each class of the import what it is called then."""
    names, labels = list(classes), np.arange(len(classes))
    for edit in edits:
        if edit.kind in ("relabel", "accept"):
            _name(names, edit.values or (edit.value,))
        elif edit.kind == "rename" and edit.old in names:
            _rename(names, labels, edit)
    return names, [names[label] for label in labels]


def room(classes: Sequence[str], edits: Sequence[Edit], wanted: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """Classes of the import for pictures that are added to an edited set: the old ones and some behind them, so that what is
    edited already stays as it is and in its order; and under which number a picture must come to be called as it is
    wanted. A name is missing where no number leads to it, because a class that was called so has been renamed."""
    classes = list(classes)
    names, called = ends(classes, edits)
    made = names[len(classes) :]  # by relabelling
    for name in [*made, *(name for name in wanted if name not in made)]:
        if name not in called and name not in classes:  # two of one name could not be told apart
            found, calls = ends([*classes, name], edits)
            if calls == [*called, name] and [other for other in found if other in names] == names:
                classes, called = [*classes, name], calls
    numbers = dict(zip(called[::-1], range(len(called))[::-1], strict=True))  # the first of several that were merged,
    own = {name: number for number, name in enumerate(called) if classes[number] == name}  # but the one that is its own
    return classes, {name: own.get(name, numbers[name]) for name in dict.fromkeys(called)}


def _name(names: list[str], values: Iterable[str]) -> None:
    """Classes that get their first picture come behind the others."""
    names += [name for name in dict.fromkeys(values) if name not in names]


def _rename(names: list[str], labels: np.ndarray, edit: Edit) -> None:
    """Give a class another name; a name that is there already merges the two."""
    index = names.index(edit.old)
    if edit.value in names:
        labels[labels == index] = names.index(edit.value)
    else:
        names[index] = edit.value


def _without_empty(names: list[str], labels: np.ndarray, splits: np.ndarray) -> tuple:
    used = np.bincount(labels[splits < len(SPLITS)], minlength=len(names)) > 0
    number = np.append(np.where(used, np.cumsum(used) - 1, 0), -1)  # a picture left out may lose its class
    return tuple(name for name, keep in zip(names, used, strict=True) if keep), number[labels], splits


def record(folder: Path, base: tuple[Sequence[str], np.ndarray, np.ndarray], edit: Edit) -> Edit:
    """Add an edit to the journal of the set in ``folder``, whose import gave ``base``: classes, labels, splits.

    Raises DatasetError if it cannot be done, or would leave fewer than two classes or nothing to train on.
    """
    if edit.kind in ("relabel", "rename"):
        edit = replace(edit, value=_class(edit.value))
    if edit.kind == "include":
        edit = replace(edit, value=BACK)
    if edit.values:
        mended = {value: _class(value) for value in set(edit.values)}
        edit = replace(edit, values=tuple(mended[value] for value in edit.values))
    edit = _dated(edit)
    with lock(folder):
        edits = [*read(folder), edit]
        if _trainable(replay(*base, edits[:-1])) and not _trainable(replay(*base, edits)):
            raise DatasetError(tr("That would leave fewer than two classes, or no training picture; keep some more."))
        _write(folder, edits)
    return edit


def note(folder: Path, edit: Edit) -> None:
    """Add an edit of one's own to the journal, for who holds the `lock`."""
    _write(folder, [*read(folder), _dated(edit)])


def _dated(edit: Edit) -> Edit:
    return replace(edit, when=datetime.now().astimezone().isoformat(timespec="seconds"))


def _class(text: str) -> str:
    name, reason = class_name(text)
    if reason:
        raise DatasetError(tr("{text!r} cannot be a class: {reason}.", text=text[:40], reason=reason))
    return name


def undo(folder: Path, expected: Edit | None = None) -> Edit:
    """Take the last edit back and return it. Raises DatasetError if there is none, or it is not the ``expected`` one."""
    with lock(folder):
        edits = read(folder)
        if not edits:
            raise DatasetError(tr("There is nothing to undo."))
        if expected and edits[-1] != expected:
            raise DatasetError(
                tr("The last edit is another by now: {edit}; look at it before you undo it.", edit=edits[-1].describe())
            )
        _write(folder, edits[:-1])
    return edits[-1]


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Held by whoever changes the set in ``folder``. Raises DatasetError if the set is gone, or goes meanwhile."""
    gone = DatasetError(tr("The data set {name} has been deleted.", name=folder.name))
    if not folder.is_dir():
        raise gone
    try:
        with FileLock(folder / LOCK):
            if os.listdir(folder) != [LOCK]:
                yield
                return
    except FileNotFoundError:
        if folder.is_dir():
            raise
        raise gone from None
    with suppress(OSError):  # it was deleted while we waited, and the lock made a folder of its own
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
    raise gone


def _trainable(edited: tuple[Sequence[str], np.ndarray, np.ndarray]) -> bool:
    classes, _, splits = edited
    return len(classes) > 1 and bool((splits == SPLITS.index("train")).any())


def _write(folder: Path, edits: list[Edit]) -> None:
    write_atomic(folder / JOURNAL, "".join(json.dumps(asdict(edit), ensure_ascii=False) + "\n" for edit in edits))
