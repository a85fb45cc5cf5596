"""Work for who looks at a terminal or a notebook: a bar on standard error, and what Ctrl-C does."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imgrec.language import tr
from imgrec.runs import Run

if TYPE_CHECKING:
    from tqdm import tqdm

    from imgrec.recipe import Recipe
    from imgrec.train import Epoch

ENDINGS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _drawn(unit: str) -> tqdm:
    """A bar, if somebody looks: at a terminal, or at a notebook, which has none."""
    from tqdm import tqdm

    seen = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(unit=unit, unit_scale=True, disable=not seen, file=sys.stderr)


@contextmanager
def bar(unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar, and the function (done, total) that moves it; nothing is drawn where nobody looks."""
    with _drawn(unit) as drawn:

        def progress(done: int, total: int | None) -> None:
            drawn.total = total
            drawn.update(done - drawn.n)

        yield progress


def as_dataset(pictures: str | os.PathLike) -> str:
    """The name of a data set as it is; of a folder, an archive or a table, the set it was imported as, or is now, which is
    told on standard error. Raises DatasetError."""
    from imgrec.data import DatasetError, bring, find, list_datasets

    path, name = Path(pictures).expanduser(), str(pictures)
    if not name.strip():
        raise DatasetError(tr("Name a data set, or the folder, archive or table that the pictures are in."))
    there = path.exists()  # and may have changed since a set of its name was imported from it
    ready = {row.name for row in list_datasets() if row.ready and not (there and row.kind == "imported")}
    is_name = name.partition(":")[0] in ready or not (there or os.sep in name or path.suffix)
    if isinstance(pictures, str) and is_name:  # shapes:size=64 is one
        return name
    if known := find(path):
        return known
    with bar(" pictures") as progress:
        summary = bring(path, progress)
    refused = "".join(f"\n  {entry['file']}: {entry['reason']}" for entry in summary.rejected[:10])
    words = f"{summary.name}: {summary.images} pictures in {summary.classes} classes, {len(summary.rejected)} refused"
    print(words + refused, file=sys.stderr)
    return summary.name


def hint(recipe: Recipe) -> None:
    """Say so if what is frozen has learned nothing, or the pictures are too few for a network from nothing."""
    from imgrec import coach
    from imgrec.data import open_dataset

    if recipe.freeze == "backbone" and recipe.weights == "none":
        words = tr(
            "With freeze=backbone and weights=none only the head learns; what comes before it stays as drawn at random."
        )
        print(words, file=sys.stderr)
    with suppress(ValueError):  # said when the training begins
        dataset = open_dataset(recipe.dataset)
        why = coach.few(len(dataset.indices("train")), len(dataset.classes), dataset.image_size, recipe.weights)
        if why and coach.few_preset(dataset.channels) == "few":
            print(why, tr("The preset few begins with one that comes with imgrec."), file=sys.stderr)


def carry_out(run: Run) -> Iterator[Epoch]:
    """Carry a queued run out in this process behind a bar for each epoch, and give its epochs. Raises what `worker.work`
    raises."""
    from imgrec import worker

    told = 0
    with _drawn(" pictures") as drawn:
        for event in worker.work(run):
            kind = type(event).__name__
            if kind == "Waiting" and event.ahead != told:
                told = event.ahead
                drawn.write(f"{run.name} waits for its turn; before it: {told}", file=sys.stderr)
            elif kind == "Step":
                drawn.set_description(f"epoch {event.epoch}/{run.recipe.epochs}", refresh=False)
                drawn.total = event.images * event.steps // event.step
                drawn.update(event.images - drawn.n)
            elif kind == "Epoch":
                yield event
                drawn.reset()


@contextmanager
def stopping(run: Run) -> Iterator[list[int]]:
    """Within, the first Ctrl-C, SIGTERM or closed terminal asks the run to stop and keep its checkpoint, and is told; a second one does what it
    did before."""
    came: list[int] = []

    def ask(number: int, _: object) -> None:
        came.append(number)
        run.ask("stop")
        signal.signal(number, before[number])

    here = threading.current_thread() is threading.main_thread()  # no other may listen
    heard = [
        number for number in ENDINGS if here and (number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN)
    ]
    before = {number: signal.signal(number, ask) for number in heard}  # `nohup` has the closed terminal ignored
    try:
        yield came
    finally:
        for number, did in before.items():
            signal.signal(number, did)


def write(line: str) -> None:
    """Print a line on standard output, above the bar."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stdout)


def in_a_line(epoch: Epoch) -> str:
    """What an epoch brought."""
    line = f"epoch {epoch.epoch:3d}  train loss {epoch.train_loss:.4f} accuracy {epoch.train_accuracy:.4f}"
    if epoch.validation_loss is not None:
        line += f"  validation loss {epoch.validation_loss:.4f} accuracy {epoch.validation_accuracy:.4f}"
    return line + f"  {epoch.images_per_second:,.0f} pictures/s"
