"""The worker: carries a queued training out and writes down how it goes. `jobs` launches it.

What is heavy comes in only when a run's turn has come, so that a waiting worker stays small.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import Timeout

from imgrec import __version__
from imgrec.home import in_words, setting, write_atomic
from imgrec.jobs import REQUESTS, Job
from imgrec.language import tr
from imgrec.queue import ahead, keep_place, leave_ended, may_begin, take_gpu
from imgrec.runs import CHECKPOINT, RATE, Run, RunError

LOOK_EVERY = 0.5  # seconds for each run before it, between two looks of a waiting worker at its place
STATE_EVERY = 0.2  # seconds between two writings of state.json
CHECKPOINT_EVERY = 20.0  # seconds at the most between two checkpoints
STOP_WITHIN = 1.5  # seconds a worker process gets to end by itself after a stop
ENOUGH = 40  # validation pictures that tell from where on a picture is probably none of the classes
WARM = 3.0  # seconds; the first steps take longer than those after them, and would promise minutes for a training of seconds
LOOKED_AT = 64  # pictures that tell which units are dead
RESERVE = 2**16  # bytes kept back, so that even on a full disk the end can be written down


@dataclass(frozen=True)
class Waiting:
    """So many runs come before this one; told after every look."""

    ahead: int


def work(run: Job, process: bool = False) -> Iterator[object]:
    """Carry a queued run out, yielding Waiting until its turn comes, then the training's Step, Check and Epoch events, after they are written down.

    Ends with status finished, stopped, paused or failed; an error is written down and raised again. ``process``: this
    process is the worker's own and may be ended from within if a stop is not heeded in time.
    """
    try:
        with run.lock.acquire(timeout=5):
            requests, reserve = Requests(run, process), run.file("reserve")
            try:
                reserve.write_bytes(bytes(RESERVE))
                keep_place(run)
                yield from _train(run, requests)
            except (KeyboardInterrupt, GeneratorExit):
                run.update(phase="stopped", detail="")
                raise
            except Exception as error:
                reserve.unlink(missing_ok=True)
                run.update(phase="failed", detail="", error=in_words(error))
                raise
            finally:
                reserve.unlink(missing_ok=True)
                requests.done.set()
                leave_ended(run)
    except Timeout:
        raise RunError(tr("Run {name} has a worker already.", name=run.name)) from None


def _train(run: Run, requests: Requests) -> Iterator[object]:
    run.update(phase="waiting", pid=os.getpid(), detail=tr("waiting for its turn"))
    place, looked = 0, 0.0
    while requests.word in (None, "finish") and not may_begin(run):
        if time.monotonic() - looked > LOOK_EVERY * place:  # the farther back, the longer a look takes
            place, looked = max(1, ahead(run)), time.monotonic()
            run.update(ahead=place)
            yield Waiting(place)
        patience = min(0.3 * place, 2.0)  # forty that wait should leave the cores to the one that trains
        requests.every = patience / 2
        requests.noticed.wait(patience)
    requests.every = 0.1
    if requests.word in (None, "finish"):
        run.update(detail=tr("loading PyTorch and the pictures"), ahead=0)
        if "torch" not in sys.modules and (gpu := take_gpu(run)):
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # torch will see this one only
        from imgrec import features, hardware
        from imgrec.data import open_dataset
        from imgrec.train import Epoch, Training
        from imgrec.trainings import starting_weights

        recipe = run.recipe
        dataset = open_dataset(recipe.dataset, recipe.image_size, recipe.resize)
        run.update(detail=tr("reading the weights to start from"))
        training = Training(recipe, dataset, starting_weights(recipe))
        diary = _Diary(run, training, dataset)
        kept, stopped = features.recall(training, dataset.fingerprint), False
        with hardware.SharedCores() as shared:
            for event in training.fit():
                diary.note(event)
                shared.look()
                if not kept and event.epoch:  # epoch 0 is the frozen network's look at every picture
                    features.keep(training, dataset.fingerprint)
                    kept = True
                yield event
                if requests.new_rate and (rate := run.take_rate()):
                    diary.turn(rate)
                if diary.minutes > setting("IMGREC_MAX_MINUTES", math.inf) and not requests.word:
                    requests.word = "finish"  # what it has learned in the time it was given is tested and kept
                    run.update(note=tr("It had learned for as long as the operator allows; its best state was kept."))
                enough = requests.word and (requests.word != "finish" or run.usable)  # nothing can be kept before that
                if enough and not (isinstance(event, Epoch) and training.over):
                    diary.checkpoint()
                    stopped = requests.word != "finish"
                    break
        if not stopped:
            diary.examine(dataset)
            requests.end()
            diary.finish()
            return
    run.update(phase=REQUESTS[requests.word], detail="")


class Requests:
    """Watches for requests from a thread, so that the training loop only looks at a variable."""

    def __init__(self, run: Job, process: bool) -> None:
        self.word: str | None = None
        self.new_rate, self.every = False, 0.1  # seconds between two looks
        self.noticed, self.done, self.ending = threading.Event(), threading.Event(), threading.Lock()
        threading.Thread(target=self._watch, args=(run, process), daemon=True).start()

    def _watch(self, run: Job, process: bool) -> None:
        while not self.done.wait(self.every):
            self.new_rate = run.file(RATE).exists()
            if (word := run.asked()) in (None, self.word):
                continue
            self.word = word
            if word == "finish":  # that takes its time, and may still be stopped
                continue
            self.noticed.set()
            if process and not self.done.wait(STOP_WITHIN):
                with self.ending:
                    if self.done.is_set():  # it ended by itself just now
                        return
                    run.update(phase=REQUESTS[word], detail="")  # busy with one huge step; all files are whole anyway
                    run.file("reserve").unlink(missing_ok=True)
                    leave_ended(run)
                    os._exit(0)

    def end(self) -> None:
        """From now on nothing stops the run any more."""
        with self.ending:
            self.done.set()


class _Diary:
    """Writes a training's events into its run directory, seldom enough not to slow it."""

    def __init__(self, run: Run, training, dataset) -> None:
        from imgrec import hardware
        from imgrec.elsewhere import remember
        from imgrec.weights import latest_checkpoint

        self.run, self.training, self.hardware = run, training, hardware
        about = {
            "fingerprint": dataset.fingerprint,
            "source": dataset.source,
            "device": hardware.measured(training.device),
        }
        for leftover in run.path.glob(".*.tmp"):  # of a worker killed while it wrote
            leftover.unlink(missing_ok=True)
        kept, wrong = latest_checkpoint(run.file(CHECKPOINT))
        if kept:
            self._same_data(about["fingerprint"])
            training.restore(kept)
        self._trim_log()  # also without a checkpoint: a worker may have died between its first epoch and that
        run.write("classes.json", training.passport.to_dict())
        counts = {"images": len(dataset.kept), "validation": len(dataset.indices("validation"))}
        run.write("about.json", {**about, **counts, "versions": _versions()})
        remember(run, dataset)
        self.began = self.written = self.saved = self.drawn = time.monotonic()
        self.best_weights = None
        self.best = {"best_validation_accuracy": run.state.get("best_validation_accuracy")} if training.epoch else {}
        self.progress_at_start = self._progress()
        self.learned_before = float(run.state.get("learned_seconds") or 0.0) if training.epoch or training.step else 0.0
        run.update(
            phase="training", detail="", steps=training.steps, device=str(training.device), **self._place(), **self.best
        )
        if wrong:
            run.update(note=tr("{wrong} It went on from the checkpoint before that one.", wrong=wrong))

    @property
    def minutes(self) -> float:
        """How long the run has been training, by this worker and by those before it."""
        return (self.learned_before + time.monotonic() - self.began) / 60

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
            what = tr("validating") if event.epoch else tr("the frozen network looks at every picture once")
            self.run.update(
                detail=tr("{what}, batch {batch} of {batches}", what=what, batch=event.batch, batches=event.batches),
                memory=self._memory(),
            )
        self.written = now
        if now - self.saved > CHECKPOINT_EVERY:
            self.checkpoint()

    def _note_step(self, event, now: float) -> None:
        loss, accuracy = self.training.check(float(event.loss)), float(event.accuracy)
        pieces = self.training.micro_batches
        self.run.update(
            detail=tr("batches go in {pieces} pieces, for whole ones do not fit into the memory", pieces=pieces)
            if pieces > 1
            else "",
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
        from imgrec.snapshots import keep

        if event.best:
            self.best_weights = {name: value.detach().cpu().clone() for name, value in self.training.weights().items()}
            self.best = {"best_epoch": event.epoch, "best_validation_accuracy": event.validation_accuracy}
        self.run.update(
            detail="",
            loss=event.train_loss,
            accuracy=event.train_accuracy,
            memory=self._memory(),
            **self._place(),
            **self.best,
        )
        entry = {**asdict(event), "dead_units": self._dead_units()}
        self.run.append("log.jsonl", entry)  # after the state: who sees the epoch finds its figures there
        keep(self.run, self.training.weights(), event.epoch)
        first = not self.run.file("best.safetensors").exists()
        if first or time.monotonic() - self.saved > 2 or self.training.over:
            self.checkpoint()

    def turn(self, rate: float) -> None:
        """Learn at another rate from now on, and write that down."""
        self.training.learning_rate = rate
        at = round(self._progress() * self.training.recipe.epochs, 4)
        self.run.append("changes.jsonl", {"at": at, "learning_rate": rate})
        self.checkpoint()

    def checkpoint(self) -> None:
        """Write the best weights, then the state that goes with them; but nothing that is not numbers any more."""
        from imgrec.weights import save_checkpoint, save_weights

        self.training.check_weights()
        if self.best_weights is not None:
            save_weights(self.run.file("best.safetensors"), self.best_weights, self.training.passport)
            self.best_weights = None
        save_checkpoint(self.run.file(CHECKPOINT), self.training.state())
        self.saved = time.monotonic()

    def examine(self, dataset) -> None:
        """Test the best weights on pictures never trained on."""
        from imgrec.baselines import linear
        from imgrec.elsewhere import learned_before
        from imgrec.evaluate import amend, answers, remember, report, threshold
        from imgrec.predict import Predictor

        predictor, given = Predictor.open(self.run, self.training.recipe.device), {}
        self.run.update(detail=tr("remembering some training pictures"))
        predictor.neighbours = remember(predictor, dataset)
        predictor.neighbours.save(self.run.file("neighbours.npz"))
        for split in ("validation", "test"):
            if len(dataset.indices(split)):
                self.run.update(detail=tr("the last look at the {split} pictures", split=tr(split)))
                given[split] = answers(predictor, dataset, split)
                given[split].save(self.run.file(f"{split}.npz"), dataset.fingerprint)
        if "test" in given:
            known = len(learned_before(self.run, dataset))
            beside = {"linear_accuracy": linear(dataset), "learned_before": known or None}
            self.run.write("evaluation.json", {**report(given["test"], dataset), **beside})
        if "validation" in given and len(given["validation"].labels) >= ENOUGH:
            amend(self.run, dataset, threshold=threshold(given["validation"]))

    def finish(self) -> None:
        """Say that the run is finished, and keep no more of it than is needed."""
        from imgrec.weights import earlier

        self.run.update(phase="finished", detail="", seconds_left=0)
        for whole in (self.run.file(CHECKPOINT), earlier(self.run.file(CHECKPOINT))):
            with suppress(OSError):  # nobody resumes what is over, and they are most of what it takes on the disk
                whole.unlink(missing_ok=True)

    def _progress(self) -> float:
        training = self.training
        return (training.epoch + training.step / training.steps) / training.recipe.epochs

    def _place(self) -> dict:
        """Where the training is and how fast: numbers for bars and lists."""
        training, progress = self.training, self._progress()
        seconds, gone = time.monotonic() - self.began, progress - self.progress_at_start
        images = gone * training.recipe.epochs * len(training.train)
        return {
            "learned_seconds": self.learned_before + seconds,
            "epoch": training.epoch,
            "step": training.step,
            "progress": progress,
            "images_per_second": images / seconds if seconds > 0.05 else None,
            "seconds_left": seconds / gone * (1 - progress) if gone > 0.05 or seconds > WARM else None,
        }

    def _dead_units(self) -> float | None:
        """The share of ReLU units that are zero for each of some validation pictures; None where nothing can tell."""
        import torch

        from imgrec.snapshots import dead

        training, count = self.training, len(self.training.validation)
        if training.features or not count:  # only the head learns, or there are no pictures
            return None
        some = torch.linspace(0, count - 1, min(LOOKED_AT, count)).long()
        return dead(training.averaged, training.pipeline.plain(training.validation, some))

    def _memory(self) -> int:
        return self.hardware.used_bytes(self.training.device)

    def _same_data(self, fingerprint: str) -> None:
        known = self.run.read("about.json").get("fingerprint")
        if known and known != fingerprint:
            raise RunError(
                tr(
                    "The data set {dataset} has changed since run {name} began, so it cannot go on exactly; start a new "
                    "run, from its weights if you like.",
                    dataset=self.run.recipe.dataset,
                    name=self.run.name,
                )
            )

    def _trim_log(self) -> None:
        """Forget what was logged after the checkpoint; it will happen again."""
        whole = self.training.epoch  # after the last step of an epoch its end is still to come, and to be logged
        reached = whole + self.training.step / self.training.steps
        for name, key, last in (
            ("log.jsonl", "epoch", whole),
            ("steps.jsonl", "at", reached),
            ("changes.jsonl", "at", reached),
        ):
            kept = [entry for entry in self.run.lines(name) if entry.get(key, math.inf) <= last + 1e-4]
            if kept or self.run.file(name).exists():
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
