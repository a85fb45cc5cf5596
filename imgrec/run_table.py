"""All runs as one table, quick at ten thousand, and looking things up in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgrec import __version__
from imgrec.home import folder, write_atomic
from imgrec.jobs import ENDED
from imgrec.recipe import FIELDS
from imgrec.runs import Run, paths

SETTINGS = list(FIELDS)
METRICS = {  # more figures of a run: the file and the name there
    **{name: ("state.json", name) for name in ("epoch", "best_epoch", "images_per_second")},
    **{
        name: ("evaluation.json", name)
        for name in ("balanced_accuracy", "top5", "calibration_error", "linear_accuracy", "learned_before")
    },
    "test_loss": ("evaluation.json", "loss"),
    "fingerprint": ("about.json", "fingerprint"),  # of the pictures
}
_rows: dict[str, tuple[int, dict[str, Any]]] = {}  # folder → when it changed, what `rows` says of a run that has ended
ROWS, WORTH = ".rows.json", 50  # where those are kept for the next server, and how many new ones make that worth while


def rows(bundled: bool = True) -> list[dict[str, Any]]:
    """All runs as rows of a table, newest first: what `Run.summary` tells, the star, tags and note, its owner's name, all
    METRICS, then every setting.

    What has ended is read once and then only when something in its folder has changed: ten thousand take a moment.
    """
    if not _rows:
        _rows.update(_kept_rows())
    found, fresh = [], 0
    for path in paths(bundled):
        try:
            changed = os.stat(path).st_mtime_ns
        except OSError:
            continue
        known, row = _rows.get(path, (None, {}))
        if known != changed:
            row = _row(Run(Path(path)))
            if row["status"] in ENDED:
                _rows[path] = changed, row
                fresh += 1
        found.append(row)
    if fresh > WORTH:
        _keep_rows({row["run"] for row in found})
    return found


def learned_from(dataset: str) -> list[str]:
    """The names of the runs that need a data set to go on or to be tested."""
    return [row["run"] for row in rows(bundled=False) if row.get("dataset") == dataset]


def matching(rows: Iterable[dict[str, Any]], words: str, spoken: Callable[[str], str] = str) -> list[dict[str, Any]]:
    """The rows in which each of the words, with spaces between, stands somewhere, capitals or not; ``spoken`` gives what
    an owner is called."""
    wanted = words.lower().split()
    return [
        row
        for row in rows
        if all(word in f"{' '.join(map(str, row.values()))} {spoken(row['owner'])}".lower() for word in wanted)
    ]


def _form() -> list[str]:
    """What a kept row must have been made of, or it is read anew."""
    return [__version__, "owner", *METRICS, *SETTINGS]


def _kept_rows() -> dict[str, tuple[int, dict[str, Any]]]:
    """What an earlier server kept of `rows`; empty if there is nothing of use."""
    place = folder("runs")
    try:
        kept = json.loads((place / ROWS).read_bytes())
        return {f"{place}/{row['run']}": (changed, row) for changed, row in kept["rows"] if kept["form"] == _form()}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _keep_rows(there: set[str]) -> None:
    """Keep what is known of the runs in this workspace, and forget those that are gone."""
    place = str(folder("runs"))
    for path in [path for path in _rows if os.path.dirname(path) == place and os.path.basename(path) not in there]:
        del _rows[path]
    known = [pair for path, pair in _rows.items() if os.path.dirname(path) == place]
    with suppress(OSError):  # it only saves time
        write_atomic(folder("runs") / ROWS, json.dumps({"form": _form(), "rows": known}))


def _row(run: Run) -> dict[str, Any]:
    """One row of `rows`, read with as few looks at the disk as it takes; a damaged recipe leaves its settings out."""
    state, settings, notes = run.state, run.read("recipe.json"), run.notes
    phase = state.get("phase")
    files = {"state.json": state} | {name: run.read(name) for name in ("evaluation.json", "about.json")}
    return {
        "star": notes.star,
        "run": run.name,
        "status": phase if phase in ENDED else run.status,
        "validation_accuracy": state.get("best_validation_accuracy"),
        "test_accuracy": files["evaluation.json"].get("accuracy"),
        "created": state.get("created"),
        "bundled": run.bundled,
        "tags": list(notes.tags),
        "note": notes.text,
        "owner": owner.name if (owner := run.owner) else "",
        **{name: files[file].get(key) for name, (file, key) in METRICS.items()},
        **{name: settings[name] for name in SETTINGS if name in settings},
    }
