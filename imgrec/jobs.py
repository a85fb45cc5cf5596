"""Starting trainings, their queue, and the worker that carries one out and writes down how it goes.

The queue needs no server: every live run leaves a mark in ``runs/.queue``, named by the time it came, and a worker
begins when fewer than IMGREC_WORKERS (default 1) live marks are older than its own.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from filelock import Timeout

from imgrec import __version__
from imgrec.data import open_dataset
from imgrec.home import folder, home, write_atomic
from imgrec.recipe import Recipe
from imgrec.runs import LIVE, Run, RunError, create_run, open_run

STATE_EVERY = 0.2  # seconds between two writings of state.json
CHECKPOINT_EVERY = 20.0  # seconds at the most between two checkpoints
STOP_WITHIN = 1.5  # seconds a worker process gets to end by itself after a stop

_children: list[subprocess.Popen] = []


def start(recipe: Recipe) -> Run:
    """Check the recipe, queue a run and launch its worker process, which outlives this one. Raises what `check` raises."""
    run = enqueue(recipe)
    _launch(run, "work")
    return run


def enqueue(recipe: Recipe) -> Run:
    """Check the recipe and make a run that waits in the queue; somebody must `work` on it."""
    check(recipe)
    run = create_run(recipe)
    _queue_up(run)
    return run


def check(recipe: Recipe) -> None:
    """Raise RecipeError, ModelError or DatasetError if a training with this recipe could not begin."""
    from imgrec import augment, hardware, models, train
    from imgrec.recipe import one_of

    hardware.pick(recipe.device)
    augment.parse(recipe.augment)
    for name, shelf in (("optimiser", train.OPTIMISERS), ("loss", train.LOSSES), ("schedule", train.SCHEDULES)):
        one_of(name, getattr(recipe, name), shelf)
    models.card(recipe.model)
    dataset = open_dataset(recipe.dataset, recipe.image_size, recipe.resize)
    with train.torch.device("meta"):
        models.build(recipe.model, len(dataset.classes), dataset.channels, dataset.image_size)
    starting_weights(recipe)


def resume(name: str) -> Run:
    """Put a run that ended early back into the queue and launch a worker that goes on from its checkpoint."""
    run = requeue(name)
    _launch(run, "work")
    return run


def requeue(name: str) -> Run:
    """Like `enqueue`, for a run that ended early. Raises RunError if it cannot go on."""
    run = open_run(name)
    if reason := run.resumable():
        raise RunError(reason)
    run.clear_requests()
    run.update(phase="new", error=None)
    _queue_up(run)
    return run


def stop(name: str) -> Run:
    """Ask a run to stop; its worker does so after its current step. Raises RunError if it is not live."""
    run = open_run(name)
    if run.status not in LIVE:
        raise RunError(f"Run {name} is {run.status}; only a live run can be stopped.")
    run.ask("stop")
    return run


def fetch_job(name: str) -> Run | None:
    """The last download of a catalogue data set, with state, status and `ask` like a run's; None if there was none."""
    job = Run(folder("datasets") / ".fetch" / name)
    return job if job.file("state.json").exists() else None


def live_fetches() -> list[Run]:
    """The downloads that are under way."""
    from imgrec.data import CATALOGUE

    return [job for name in CATALOGUE if (job := fetch_job(name)) and job.status in LIVE]


def start_fetch(name: str) -> Run:
    """Download and import a catalogue data set in a process of its own. Does nothing if it is under way already."""
    job = Run(folder("datasets") / ".fetch" / name)
    if job.file("state.json").exists() and job.status in LIVE:
        return job
    job.path.mkdir(parents=True, exist_ok=True)
    job.clear_requests()
    job.write("state.json", {"phase": "new", "created": time.time(), "updated": time.time()})
    _launch(job, "fetch")
    return job


def work_fetch(name: str) -> None:
    """Carry out a download, writing down how far it is. Raises DatasetError; cancelled when the job is asked to stop."""
    from imgrec.data import fetch

    job = Run(folder("datasets") / ".fetch" / name)
    with job.lock.acquire(timeout=5):
        job.update(phase="waiting", detail="connecting")
        last = time.monotonic()

        def progress(done: int, total: int | None) -> None:
            nonlocal last
            if time.monotonic() - last > STATE_EVERY:
                last = time.monotonic()
                job.update(
                    progress=done / total if total else 0.0, detail=f"{done / 1e6:.0f} of {(total or 0) / 1e6:.0f} MB"
                )

        try:
            fetch(name, progress, lambda: job.asked() is not None)
            job.update(phase="finished", detail="")
        except Exception as error:
            stopped = job.asked() is not None
            job.update(phase="stopped" if stopped else "failed", detail="", error=None if stopped else str(error))
            if not stopped:
                raise


def live_runs() -> list[Run]:
    """The runs in the queue whose worker lives, first come first."""
    return [run for _, run in _queue() if run.status in LIVE]


def ahead(run: Run) -> int:
    """How many live runs came before this one."""
    return sum(1 for other in _before(run) if other.status in LIVE)


def work(run: Run, process: bool = False) -> Iterator[object]:
    """Carry a queued run out, yielding the training's Step, Check and Epoch events after they are written down.

    Ends with status finished, stopped, paused or failed; an error is written down and raised again. ``process``: this
    process is the worker's own and may be ended from within if a stop is not heeded in time.
    """
    try:
        with run.lock.acquire(timeout=5):
            requests = _Requests(run, process)
            try:
                yield from _train(run, requests)
            except (KeyboardInterrupt, GeneratorExit):
                run.update(phase="stopped", detail="")
                raise
            except Exception as error:
                run.update(phase="failed", detail="", error=str(error) or type(error).__name__)
                raise
            finally:
                requests.done.set()
                _leave_queue(run)
    except Timeout:
        raise RunError(f"Run {run.name} has a worker already.") from None


def _train(run: Run, requests: _Requests) -> Iterator[object]:
    run.update(phase="waiting", pid=os.getpid(), detail="waiting for its turn")
    while not requests.word and ahead(run) >= int(os.environ.get("IMGREC_WORKERS", "1")):
        run.update(ahead=ahead(run))
        requests.noticed.wait(0.3)
    if not requests.word:
        run.update(detail="loading PyTorch and the pictures", ahead=0)
        from imgrec.train import Epoch, Training  # after the wait: a waiting worker stays small

        recipe = run.recipe
        dataset = open_dataset(recipe.dataset, recipe.image_size, recipe.resize)
        training = Training(recipe, dataset, starting_weights(recipe))
        diary = _Diary(run, training, dataset)
        for event in training.fit():
            diary.note(event)
            yield event
            if requests.word and not (isinstance(event, Epoch) and training.epoch == recipe.epochs):
                diary.checkpoint()
                break
        else:
            diary.finish(dataset)
            return
    run.update(phase={"stop": "stopped", "pause": "paused"}[requests.word], detail="")


def starting_weights(recipe: Recipe) -> tuple[dict, str] | None:
    """The weights a recipe starts from and their name, or None for random ones. Raises RunError, WeightsError, ModelError."""
    from imgrec.models import ModelError, card
    from imgrec.weights import load_weights

    if recipe.weights == "none":
        return None
    if recipe.weights == "imagenet":
        raise ModelError(f"{card(recipe.model).title} has no ImageNet weights; use weights=none, a run or a file.")
    path = Path(recipe.weights)
    if path.suffix != ".safetensors":
        path = open_run(recipe.weights).file("best.safetensors")
    weights, passport = load_weights(path)
    if passport.model != recipe.model:
        raise ModelError(f"{recipe.weights} holds a {passport.model}; it cannot start a {recipe.model}.")
    return weights, recipe.weights


class _Requests:
    """Watches for a stop or pause from a thread, so that the training loop only looks at a variable."""

    def __init__(self, run: Run, process: bool) -> None:
        self.word: str | None = None
        self.noticed, self.done = threading.Event(), threading.Event()
        threading.Thread(target=self._watch, args=(run, process), daemon=True).start()

    def _watch(self, run: Run, process: bool) -> None:
        while not self.word and not self.done.wait(0.1):
            self.word = run.asked()
        self.noticed.set()
        if process and not self.done.wait(
            STOP_WITHIN
        ):  # busy with an import or one huge step: all files are whole anyway
            run.update(phase={"stop": "stopped", "pause": "paused"}[self.word], detail="")
            _leave_queue(run)
            os._exit(0)


class _Diary:
    """Writes a training's events into its run directory, seldom enough not to slow it."""

    def __init__(self, run: Run, training, dataset) -> None:
        from imgrec import hardware
        from imgrec.weights import load_checkpoint

        self.run, self.training, self.hardware = run, training, hardware
        about = {
            "fingerprint": dataset.fingerprint,
            "source": dataset.source,
            "device": hardware.describe(training.device),
        }
        if run.file("last.ckpt").exists():
            self._same_data(about["fingerprint"])
            training.restore(load_checkpoint(run.file("last.ckpt")))
            self._trim_log()
        run.write("classes.json", training.passport.to_dict())
        run.write("about.json", {**about, "versions": _versions(), "images": len(dataset)})
        self.began = self.written = self.saved = self.drawn = time.monotonic()
        self.best_weights = None
        self.best = {"best_validation_accuracy": run.state.get("best_validation_accuracy")} if training.epoch else {}
        self.progress_at_start = self._progress()
        run.update(
            phase="training", detail="", steps=training.steps, device=str(training.device), **self._place(), **self.best
        )

    def note(self, event) -> None:
        from imgrec.train import Epoch, Step

        now = time.monotonic()
        if isinstance(event, Epoch):
            self._note_epoch(event)
        elif now - self.written < STATE_EVERY:
            return
        elif isinstance(event, Step):
            self._note_step(event, now)
        else:
            self.run.update(detail=f"validating, batch {event.batch} of {event.batches}", memory=self._memory())
        self.written = now
        if now - self.saved > CHECKPOINT_EVERY:
            self.checkpoint()

    def _note_step(self, event, now: float) -> None:
        loss, accuracy = self.training.check(float(event.loss)), float(event.accuracy)
        self.run.update(
            detail="",
            loss=loss,
            accuracy=accuracy,
            learning_rate=event.learning_rate,
            memory=self._memory(),
            **self._place(),
        )
        if now - self.drawn > max(0.4, (now - self.began) / 500):  # some hundred points, however long it takes
            at = event.epoch - 1 + event.step / event.steps
            self.run.append("steps.jsonl", {"at": round(at, 4), "loss": loss, "accuracy": accuracy})
            self.drawn = now

    def _note_epoch(self, event) -> None:
        self.run.append("log.jsonl", asdict(event))
        if event.best:
            self.best_weights = {
                name: value.detach().cpu().clone() for name, value in self.training.model.state_dict().items()
            }
            self.best = {"best_epoch": event.epoch, "best_validation_accuracy": event.validation_accuracy}
        self.run.update(
            detail="",
            loss=event.train_loss,
            accuracy=event.train_accuracy,
            memory=self._memory(),
            **self._place(),
            **self.best,
        )
        first = not self.run.file("best.safetensors").exists()
        if first or time.monotonic() - self.saved > 2 or self.training.epoch == self.training.recipe.epochs:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write the best weights, then the state that goes with them."""
        from imgrec.weights import save_checkpoint, save_weights

        if self.best_weights is not None:
            save_weights(self.run.file("best.safetensors"), self.best_weights, self.training.passport)
            self.best_weights = None
        save_checkpoint(self.run.file("last.ckpt"), self.training.state())
        self.saved = time.monotonic()

    def finish(self, dataset) -> None:
        """Test the best weights on pictures never trained on, then say that the run is finished."""
        from imgrec.evaluate import evaluate
        from imgrec.predict import Predictor

        if len(dataset.indices("test")):
            self.run.update(detail="testing on pictures it never saw")
            self.run.write("evaluation.json", evaluate(Predictor.open(self.run, self.training.recipe.device), dataset))
        self.run.update(phase="finished", detail="", seconds_left=0)

    def _progress(self) -> float:
        training = self.training
        return (training.epoch + training.step / training.steps) / training.recipe.epochs

    def _place(self) -> dict:
        """Where the training is and how fast: numbers for bars and lists."""
        training, progress = self.training, self._progress()
        seconds, gone = time.monotonic() - self.began, progress - self.progress_at_start
        images = gone * training.recipe.epochs * len(training.train)
        return {
            "epoch": training.epoch,
            "step": training.step,
            "progress": progress,
            "images_per_second": images / seconds if seconds > 0.05 else None,
            "seconds_left": seconds / gone * (1 - progress) if gone > 0 else None,
        }

    def _memory(self) -> int:
        return self.hardware.used_bytes(self.training.device)

    def _same_data(self, fingerprint: str) -> None:
        known = self.run.read("about.json").get("fingerprint")
        if known and known != fingerprint:
            raise RunError(
                f"The data set {self.run.recipe.dataset} has changed since run {self.run.name} began, so it cannot go on "
                "exactly; start a new run, from its weights if you like."
            )

    def _trim_log(self) -> None:
        """Forget what was logged after the checkpoint; it will happen again."""
        reached = self.training.epoch + self.training.step / self.training.steps
        for name, key in (("log.jsonl", "epoch"), ("steps.jsonl", "at")):
            kept = [entry for entry in self.run.lines(name) if entry.get(key, math.inf) <= reached]
            write_atomic(self.run.file(name), "".join(json.dumps(entry) + "\n" for entry in kept))


def _versions() -> dict[str, str]:
    import torch

    return {"imgrec": __version__, "python": platform.python_version(), "torch": torch.__version__, "commit": _commit()}


def _commit() -> str:
    """The commit of this checkout, or an empty text."""
    head = Path(__file__).parent.parent / ".git" / "HEAD"
    try:
        text = head.read_text().strip()
        return (head.parent / text[5:]).read_text().strip() if text.startswith("ref: ") else text
    except OSError:
        return ""


def _launch(run: Run, command: str) -> None:
    _children[:] = [child for child in _children if child.poll() is None]  # no zombies
    own_session = (
        {"creationflags": 0x8} if os.name == "nt" else {"start_new_session": True}
    )  # Ctrl-C stays with the server
    with run.file("worker.log").open("ab") as log:
        _children.append(
            subprocess.Popen(
                [sys.executable, "-m", "imgrec", command, run.name],
                cwd=Path(__file__).parent.parent,
                env={**os.environ, "IMGREC_HOME": str(home().resolve())},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **own_session,
            )
        )


def _queue() -> list[tuple[str, Run]]:
    marks = sorted(os.listdir(folder("runs") / ".queue")) if (folder("runs") / ".queue").is_dir() else []
    return [(mark, Run(folder("runs") / mark.partition("_")[2])) for mark in marks]


def _before(run: Run) -> list[Run]:
    before = []
    for _, other in _queue():
        if other.name == run.name:
            return before
        before.append(other)
    return before


def _queue_up(run: Run) -> None:
    (folder("runs") / ".queue").mkdir(parents=True, exist_ok=True)
    for mark, other in _queue():
        if other.name == run.name or other.status not in LIVE:
            (folder("runs") / ".queue" / mark).unlink(missing_ok=True)
    (folder("runs") / ".queue" / f"{time.time_ns():020d}_{run.name}").touch()


def _leave_queue(run: Run) -> None:
    for mark, other in _queue():
        if other.name == run.name:
            (folder("runs") / ".queue" / mark).unlink(missing_ok=True)
