"""What the curves of a training say, in plain words: what happened, from which epoch on, and what to try next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgrec.language import mark, tr

FEWEST = 3  # epochs before anything is said
PATIENCE = 5  # epochs without anything better that make a plateau
DEAD = 0.5  # share of the ReLU units; networks that learn well leave up to a third of them at zero
NOTICEABLE = 0.02  # a loss or an accuracy that changes by less has not changed
PERFECT = 0.995  # validation accuracy, to which nothing can be added
CLOSE, FAR = 0.05, 0.12  # accuracies on training and on new pictures: nearly the same, and not the same any more
FEW, PHOTO = 200, 64  # training pictures of a class, and pixels of a side, that leave a network from nothing behind
CHECKS = 30  # pictures it was checked with, of fewer of which an accuracy says little
OPEN = {"unchecked", "hardly checked"}  # neither good nor bad
EXPLAINS = {"overfitting", "rate too high", "dead units"}  # a plateau or a low accuracy


@dataclass(frozen=True)
class Advice:
    """One thing that the curves show. ``kind``: overfitting, underfitting, rate too high, dead units, rate too low,
    plateau, good, unchecked, hardly checked."""

    kind: str
    epoch: int  # from which on it shows
    words: str
    attempt: str  # what to try


def few_preset(channels: int) -> str:
    """The preset for few pictures that needs no download: "few", whose network has seen colours, or for grey ones "standard"."""
    return "few" if channels == 3 else "standard"


def few(pictures: int, classes: int, side: int, weights: str) -> str:
    """Why so few training pictures call for a network that has seen others before, in one sentence; or empty, also if the
    recipe's ``weights`` are one's. ``side``: of the data set's pictures, in pixels."""
    each = pictures / max(1, classes)
    if each > FEW or side < PHOTO or weights != "none":
        return ""
    return tr("{each:.0f} training pictures of a class are few for a network that begins with nothing.", each=each)


def advise(
    epochs: Sequence[Mapping[str, Any]],
    planned: int = 0,
    classes: int = 0,
    checked_with: int | None = None,
    test: Mapping[str, Any] | None = None,
) -> list[Advice]:
    """What these epochs show, the most important first; empty if there are too few to say.

    ``epochs``: rows with train_loss, train_accuracy and, if there are validation pictures, validation_loss and
    validation_accuracy, and dead_units, the share of the ReLU units that are zero for every picture. ``planned``: how many there will be; what only the end can tell is said at the end.
    ``classes``: to know what guessing reaches. ``checked_with``: how many validation pictures there are, if that is known.
    ``test``: accuracy and images of the test, once there was one.
    """
    if len(epochs) < FEWEST:
        return []
    train = np.array([row["train_loss"] for row in epochs], float)
    accuracy = np.array([row["train_accuracy"] for row in epochs], float)
    checked = all(row.get("validation_loss") is not None for row in epochs)
    loss = np.array([row["validation_loss"] for row in epochs], float) if checked else train
    score = np.array([row["validation_accuracy"] for row in epochs], float) if checked else accuracy
    rates = [float(row.get("learning_rate") or 0.0) for row in epochs]
    numbers = [int(row["epoch"]) for row in epochs]
    over = not planned or len(epochs) >= planned
    by_heart = _overfitting(train, loss, accuracy, score, numbers) if checked else None
    if checked and over:
        by_heart = by_heart or _far_apart(accuracy, score, numbers)
    dead = _dead_units([row.get("dead_units") or 0.0 for row in epochs], numbers)
    outdone = checked and score[-1] > accuracy[-1] + CLOSE and score[-1] > score.max() - NOTICEABLE
    found = [
        None if outdone and np.isfinite(train).all() else _rate_too_high(train, numbers),
        dead,
        by_heart,
        _underfitting(train, accuracy, score, numbers, classes) if over and not dead else None,
        _plateau(loss, np.maximum(accuracy, score), rates, numbers),
    ]
    said = [advice for advice in found if advice]
    kinds = {advice.kind for advice in said}
    if kinds & EXPLAINS:
        said = [advice for advice in said if advice.kind in EXPLAINS]
    elif "underfitting" in kinds or "rate too low" in kinds:
        said = [advice for advice in said if advice.kind != "plateau"]
    if not said and over:
        share, count = (test["accuracy"], test["images"]) if test else (score[-1], checked_with)
        said = [_verdict(numbers[-1], float(accuracy[-1]), float(share), count if checked or test else 0)]
    return said


def _verdict(epoch: int, learned: float, share: float, count: int | None) -> Advice:
    """Of curves that show nothing bad: the accuracy on the pictures it learned from, on others, and how many these are."""
    if count == 0:
        return Advice(mark("unchecked"), epoch, tr("Nobody can say how good it is: there was no picture to check it with."),
            tr("Bring a dozen pictures of each class or more; some of them are then kept apart for that."),
        )  # fmt: skip
    if count is not None and count < CHECKS:
        return Advice(mark("hardly checked"), epoch, tr("It names {share:.0%} of {count} pictures rightly that it did not learn from; with so few that may be luck.", share=share, count=count),
            tr("Bring more pictures of each class, and train again."),
        )  # fmt: skip
    if learned - share > FAR:
        return _by_heart(epoch, tr("It names {train:.0%} of the training pictures and {score:.0%} of the others: it has learned them by heart.",
            train=learned, score=share,
        ))  # fmt: skip
    return Advice(mark("good"), epoch, tr("It knows new pictures nearly as well as those it learned from: at the end their accuracies are {gap:.1f} percentage points apart.", gap=100 * max(0.0, learned - share)),
        tr("A larger network, larger pictures or more epochs may add a little.")
        if share < PERFECT
        else tr("Try it on pictures of another place or day."),
    )  # fmt: skip


def _rate_too_high(train: np.ndarray, numbers: list[int]) -> Advice | None:
    """The training loss jumps up again and again, or by a lot: with a sensible rate it hardly ever does."""
    steps, lowest = np.diff(train), int(train.argmin())
    jumps = np.flatnonzero(steps > np.maximum(0.1 * train[:-1], NOTICEABLE))
    if not np.isfinite(train).all():
        first = int(np.flatnonzero(~np.isfinite(train))[0])
    elif (len(jumps) >= 2 and len(jumps) >= 0.2 * len(steps)) or (
        len(jumps) and train[jumps[0] + 1 :].min() > 1.2 * train[: jumps[0] + 1].min() and len(train) - jumps[0] > 2
    ):
        first = int(jumps[0]) + 1
    elif len(train) - 1 - lowest >= 3 and np.median(train[-2:]) > 1.2 * train[lowest]:
        words = tr("The training loss rises since epoch {numbers}: the steps are too big.", numbers=numbers[lowest])
        return _too_big(numbers[lowest], words)
    else:
        return None
    return _too_big(
        numbers[first], tr("The training loss jumps up, first in epoch {numbers}: the steps are too big.", numbers=numbers[first]),
    )  # fmt: skip


def _too_big(epoch: int, words: str) -> Advice:
    return Advice(
        mark("rate too high"), epoch, words, tr("Divide the learning rate by 3 to 10, or clip the gradients at 1.")
    )


def _dead_units(shares: Sequence[float], numbers: list[int]) -> Advice | None:
    """At the end so many ReLU units are zero for every picture that it is no choice of the network any more."""
    alive = [place for place, share in enumerate(shares) if share < DEAD]
    first = alive[-1] + 1 if alive else 0
    if first == len(shares):
        return None
    return Advice(
        mark("dead units"), numbers[first], tr("Since epoch {epoch} most ReLU units are zero for every picture, now {share:.0%} of them: such units learn nothing any more.", epoch=numbers[first], share=shares[-1]),
        tr("Start again with a learning rate 3 to 10 times lower, or with a warm-up, for what is dead stays dead; or take a network with batch normalisation or GELU."),
    )  # fmt: skip


def _overfitting(
    train: np.ndarray, loss: np.ndarray, accuracy: np.ndarray, score: np.ndarray, numbers: list[int]
) -> Advice | None:
    """The validation loss has risen since its best while the training loss went on falling; not where new pictures are named
    as well as ever, and nearly as well as those."""
    if accuracy[-1] - score[-1] < CLOSE and score[-1] > score.max() - NOTICEABLE:
        return None
    best = int(loss.argmin())
    after = len(loss) - 1 - best
    rises = loss[-1] > loss[best] * 1.05 + 0.5 * NOTICEABLE
    falls = train[-1] < train[best] * 0.97
    lasting = after >= 2 and (loss[best + 1 :] > loss[best]).all() and np.median(loss[-2:]) > loss[best] * 1.05
    if not (rises and falls and lasting):
        return None
    return _by_heart(numbers[best],
        tr("Since epoch {numbers} the validation loss rises while the training loss still falls: the network "
"learns the training pictures by heart.", numbers=numbers[best]),
    )  # fmt: skip


def _far_apart(accuracy: np.ndarray, score: np.ndarray, numbers: list[int]) -> Advice | None:
    """At the end it knows what it learned from much better than what it did not."""
    gap = accuracy - score
    if not (gap[-1] > FAR and accuracy[-1] > 0.9):
        return None
    near = np.flatnonzero(gap <= FAR)
    first = int(near[-1]) + 1 if len(near) else 0
    return _by_heart(numbers[first],
        tr("It names {train:.0%} of the training pictures and {score:.0%} of the others: it has learned them by heart.",
           train=accuracy[-1], score=score[-1]),
    )  # fmt: skip


def _by_heart(epoch: int, words: str) -> Advice:
    return Advice(mark("overfitting"), epoch, words,
        tr("Switch augmentation on or make it stronger, bring more pictures, raise the weight decay, or stop earlier (patience 3). "
"The best epoch is the one that was kept."),
    )  # fmt: skip


def _underfitting(
    train: np.ndarray, accuracy: np.ndarray, score: np.ndarray, numbers: list[int], classes: int
) -> Advice | None:
    """At the end it still cannot tell the training pictures apart; nor others, which nobody mixes, turns or covers."""
    if max(accuracy[-1], score[-1]) >= 0.9 or (score[-1] - accuracy[-1] < -0.1):
        return None
    last = max(2, len(train) // 4)
    falling = train[-last] - train[-1] > 0.03 * train[-last]
    guessing = classes > 1 and accuracy[-1] < 0.1 + 0.9 / classes
    lost = guessing and train[-1] > 1.005 * np.log(classes)  # it knows less than one who knows nothing
    first = numbers[-last]
    if falling:
        return Advice(mark("underfitting"), first, tr("At {accuracy:.0%} of the training pictures it stopped while the loss was still falling.", accuracy=accuracy[-1]),
            tr("Train longer, twice the epochs; or raise the learning rate a little."),
        )  # fmt: skip
    if lost and (train[0] > 3 * np.log(classes) or np.diff(train).max() > NOTICEABLE / 10):
        return _too_big(numbers[0], tr("Since epoch {epoch} its loss is no lower than that of guessing: the steps are too big.", epoch=numbers[0]))  # fmt: skip
    if guessing:
        return Advice(
            mark("rate too low"), numbers[0], tr("It hardly learned anything; its answers are as good as guessing."),
            tr("Raise the learning rate tenfold; the search before the start finds one. If that changes nothing, "
"look at the labels."),
        )  # fmt: skip
    if accuracy[-1] < 0.8:
        return Advice(mark("underfitting"), first, tr("It gets no further than {accuracy:.0%} of the training pictures: the network is too simple for them.", accuracy=accuracy[-1]),
            tr("Take a larger network or larger pictures, or less augmentation and weight decay."),
        )  # fmt: skip
    return None


def _plateau(loss: np.ndarray, accuracy: np.ndarray, rates: list[float], numbers: list[int]) -> Advice | None:
    """Nothing has become better for a while, and there is room left."""
    best = 0
    for place in range(1, len(loss)):
        if loss[place] < loss[best] * (1 - NOTICEABLE):
            best = place
    if len(loss) - 1 - best < PATIENCE or accuracy[-1] > 0.99:
        return None
    return Advice(mark("plateau"), numbers[best], tr("Since epoch {numbers} nothing has become noticeably better.", numbers=numbers[best]),
        tr("Change the network or its pictures; neither more epochs nor a lower learning rate will help, for that has fallen already.")
        if rates[-1] * 10 <= rates[best]
        else tr("Lower the learning rate tenfold from there on (a schedule that falls does it), or change the "
"network; more of the same will not help."),
    )  # fmt: skip
