"""How good a trained network is on pictures it never learned from: its answers, and everything that is read off them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from imgrec import arrays
from imgrec.data import Dataset, DatasetError
from imgrec.data.dataset import sample
from imgrec.language import tr
from imgrec.neighbours import MOST, Neighbours
from imgrec.predict import Predictor
from imgrec.runs import Run, RunError
from imgrec.weights import load_weights, save_weights

ACCEPTED = 0.95  # share of the validation pictures that the threshold for "none of these" lets pass
BINS = 10  # of the reliability diagram
RESAMPLES = 500  # of the bootstrap
TEMPERATURES = (0.05, 20.0)  # from, to: what calibrating tries


@dataclass(frozen=True)
class Answers:
    """What a network said about one split. ``logits`` float32 (N, classes), ``positions`` and ``labels`` int64 (N,);
    ``familiarity`` float32 (N,), if it is known, see `neighbours`."""

    split: str
    classes: tuple[str, ...]
    positions: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    temperature: float = 1.0
    familiarity: np.ndarray | None = None

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits divided by the temperature, float32 (N, classes)."""
        return softmax(self.logits, self.temperature)

    @cached_property
    def predicted(self) -> np.ndarray:
        return self.logits.argmax(1)

    @cached_property
    def right(self) -> np.ndarray:
        """bool (N,)"""
        return self.predicted == self.labels

    @cached_property
    def confidence(self) -> np.ndarray:
        """The probability of the answer that was given, float32 (N,)."""
        return self.probabilities.max(1)

    @cached_property
    def mistakes(self) -> np.ndarray:
        """Rows of what it got wrong, the surest first, int64."""
        wrong = np.flatnonzero(~self.right)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")]

    @cached_property
    def confusion(self) -> np.ndarray:
        """int64 (classes, classes): row i, column j counts pictures of class i taken for class j."""
        return confusion(self.labels, self.predicted, len(self.classes))

    def save(self, path: Path, fingerprint: str) -> None:
        """Write them down beside the fingerprint of the data set."""
        arrays.save(
            path, positions=self.positions, labels=self.labels, logits=self.logits, split=self.split,
            classes=np.array(self.classes), fingerprint=fingerprint,
            familiarity=np.zeros(0, np.float32) if self.familiarity is None else self.familiarity,
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path, fingerprint: str | None, temperature: float = 1.0) -> Answers | None:
        """What ``save`` wrote; None if it is missing, damaged, or about other pictures than those of ``fingerprint``."""
        stored = arrays.load(path)
        try:
            if fingerprint not in (None, str(stored["fingerprint"])):
                return None
            classes = tuple(map(str, stored["classes"].tolist()))
            familiarity = stored["familiarity"].astype(np.float32)
            known = familiarity if len(familiarity) else None
            wanted = (("positions", np.int64), ("labels", np.int64), ("logits", np.float32))
            found = (stored[name].astype(kind, casting="same_kind") for name, kind in wanted)
            return cls(str(stored["split"]), classes, *found, temperature, known)._sound()
        except (KeyError, TypeError, ValueError):
            return None

    def _sound(self) -> Answers | None:
        """These, if they fit together: a file may be damaged."""
        count, familiar = len(self.positions), self.familiarity
        shapes = self.labels.shape == (count,) and self.logits.shape == (count, len(self.classes))
        fits = shapes and (familiar is None or familiar.shape == (count,)) and bool(np.isfinite(self.logits).all())
        inside = fits and (self.positions >= 0).all() and ((self.labels >= 0) & (self.labels < len(self.classes))).all()
        return self if inside else None


OnProgress = Callable[[int, int], None]  # (pictures done, of how many); what it raises ends the asking


def answers(
    predictor: Predictor, dataset: Dataset, split: str = "test", on_progress: OnProgress | None = None
) -> Answers:
    """Ask a network about a split. Raises DatasetError if it is empty or of other classes."""
    where = dataset.indices(split)
    if not len(where):
        raise DatasetError(tr("{name} has no {split} pictures to evaluate on.", name=dataset.name, split=tr(split)))
    columns = predictor.columns(dataset)
    logits, familiarity = looked(predictor, dataset, where, on_progress)
    temperature = predictor.passport.temperature
    return Answers(split, dataset.classes, where, dataset.labels[where], logits[:, columns], temperature, familiarity)


def looked(
    predictor: Predictor, dataset: Dataset, where: np.ndarray, on_progress: OnProgress | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Logits float32 (n, classes) of the pictures at these positions, and how familiar they are, float32 (n,), if the
    network can tell."""
    logits, familiar = [np.zeros((0, len(predictor.classes)), np.float32)], [np.zeros(0, np.float32)]
    for number, part in enumerate(_parts(where)):
        if on_progress:
            on_progress(256 * number, len(where))
        said, features = predictor.look(dataset.images[part])
        logits.append(said.numpy())
        if predictor.neighbours:
            familiar.append(predictor.neighbours.familiarity(features))
    dataset.let_go()
    return np.concatenate(logits), np.concatenate(familiar) if predictor.neighbours else None


def remember(predictor: Predictor, dataset: Dataset) -> Neighbours:
    """Training pictures as a network sees them, drawn at random."""
    where = sample(dataset.indices("train"), MOST)
    return Neighbours.of(np.concatenate([predictor.features(dataset.images[part]) for part in _parts(where)]), where)


def _parts(positions: np.ndarray, size: int = 256) -> list[np.ndarray]:
    return [positions[start : start + size] for start in range(0, len(positions), size)]


def kept_answers(run: Run, dataset: Dataset, split: str, temperature: float = 1.0) -> Answers | None:
    """What a run said at the end of its training; None if that is not known, or the data set is another by now."""
    return Answers.load(run.file(f"{split}.npz"), dataset.fingerprint, temperature)


def amend(run: Run, dataset: Dataset | None, **changes: Any) -> None:
    """Change the temperature, the threshold or the names of the classes that travel with a run's weights, and its figures
    with them, where its ``dataset`` is given.

    Raises RunError for a run that came with imgrec, WeightsError.
    """
    if run.bundled:
        raise RunError(tr("Run {name} comes with imgrec and stays as it is.", name=run.name))
    with FileLock(run.file("amend.lock")):
        weights, passport = load_weights(run.file("best.safetensors"))
        names, passport = passport.classes, replace(passport, **changes)
        save_weights(run.file("best.safetensors"), weights, passport)
        run.write("classes.json", passport.to_dict())
        said, called = run.read("evaluation.json"), dict(zip(names, passport.classes, strict=True))
        if names != passport.classes and said:
            rows = [{**row, "name": called.get(row["name"], row["name"])} for row in said["classes"]]
            run.write("evaluation.json", {**said, "classes": rows})
        if dataset and (given := kept_answers(run, dataset, "test", passport.temperature)):
            run.write("evaluation.json", {**run.read("evaluation.json"), **report(given, dataset)})


def calibrate(run: Run, predictor: Predictor, dataset: Dataset, on_progress: OnProgress | None = None) -> float:
    """Find the temperature on a run's validation pictures and keep it with its weights; gives it. Raises DatasetError if
    there are none, and what `amend` raises."""
    given = kept_answers(run, dataset, "validation") or answers(predictor, dataset, "validation", on_progress)
    temperature = fit_temperature(given)
    amend(run, dataset, temperature=temperature)
    return temperature


def evaluate(
    predictor: Predictor, dataset: Dataset, split: str = "test", on_progress: OnProgress | None = None
) -> dict[str, Any]:
    """`report` on one split, JSON-able. Raises DatasetError."""
    return report(answers(predictor, dataset, split, on_progress), dataset)


def report(given: Answers, dataset: Dataset) -> dict[str, Any]:
    """Accuracy and its kin, JSON-able.

    ``interval`` is Wilson's 95 % interval (1927) of the accuracy; ``majority_accuracy`` is what always naming the
    commonest training class would reach; ``classes`` holds precision, recall, F1 and support of each; ``macro`` and
    ``weighted`` their means; ``calibration_error`` is the expected one over ten bins.
    """
    rows = scores(given.confusion)
    classes = [{"name": name, **row} for name, row in zip(given.classes, rows, strict=True)]
    present = [row for row in rows if row["support"]]
    total, hits = len(given.labels), int(given.right.sum())
    true_probability = given.probabilities[np.arange(total), given.labels]
    commonest = np.bincount(dataset.labels[dataset.indices("train")], minlength=len(given.classes)).argmax()
    top = min(5, len(given.classes))
    among = (np.argpartition(-given.logits, top - 1, axis=1)[:, :top] == given.labels[:, None]).any(1)
    quantities = ("precision", "recall", "f1")
    return {
        "split": given.split,
        "images": total,
        "accuracy": hits / total,
        "interval": wilson(hits, total),
        "top5": float(among.mean()),
        "balanced_accuracy": float(np.mean([row["recall"] for row in present])),
        "majority_accuracy": float((given.labels == commonest).mean()),
        "loss": float(-np.log(np.maximum(true_probability, 1e-12)).mean()),
        "calibration_error": calibration_error(reliability(given)),
        "macro": {name: float(np.mean([row[name] for row in present])) for name in quantities},
        "weighted": {name: float(sum(row[name] * row["support"] for row in rows) / total) for name in quantities},
        "classes": classes,
        "confusion": given.confusion.tolist(),
    }


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int64 (classes, classes): true class by row, answer by column."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def scores(matrix: np.ndarray) -> list[dict[str, float]]:
    """Precision, recall, F1 and support of each class of a confusion matrix; 0 where nothing could be counted."""
    hits, answered, there = matrix.diagonal(), matrix.sum(0), matrix.sum(1)
    precision, recall = hits / np.maximum(answered, 1), hits / np.maximum(there, 1)
    f1 = 2 * hits / np.maximum(answered + there, 1)
    rows = zip(precision.tolist(), recall.tolist(), f1.tolist(), there.tolist(), strict=True)
    return [dict(zip(("precision", "recall", "f1", "support"), row, strict=True)) for row in rows]


def bootstrap(given: Answers, seed: int = 0) -> dict[str, tuple[float, float]]:
    """95 % intervals of accuracy, balanced accuracy and macro F1, by drawing the pictures anew (Efron 1979)."""
    draws, classes = np.random.default_rng(seed), len(given.classes)
    found: dict[str, list[float]] = {"accuracy": [], "balanced_accuracy": [], "macro_f1": []}
    for _ in range(RESAMPLES):
        chosen = draws.integers(0, len(given.labels), len(given.labels))
        matrix = confusion(given.labels[chosen], given.predicted[chosen], classes)
        there = matrix.sum(1) > 0
        rows = [row for row, present in zip(scores(matrix), there, strict=True) if present]
        found["accuracy"].append(matrix.trace() / matrix.sum())
        found["balanced_accuracy"].append(np.mean([row["recall"] for row in rows]))
        found["macro_f1"].append(np.mean([row["f1"] for row in rows]))
    return {name: tuple(np.quantile(values, (0.025, 0.975)).tolist()) for name, values in found.items()}


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """float32 (N, classes); rows add up to 1."""
    scaled = (logits - logits.max(1, keepdims=True)) / temperature
    exponents = np.exp(scaled, dtype=np.float64)
    return (exponents / exponents.sum(1, keepdims=True)).astype(np.float32)


def threshold(given: Answers, accepted: float = ACCEPTED) -> float:
    """The familiarity that this share of (validation) pictures reaches; below it a picture is probably none of these."""
    return float(np.quantile(given.familiarity, 1 - accepted))


def reliability(given: Answers, bins: int = BINS) -> list[dict[str, float]]:
    """How often answers of a confidence are right: [{"low", "high", "count", "confidence", "accuracy"}], empty bins left out."""
    place = np.minimum((given.confidence * bins).astype(int), bins - 1)
    rows = []
    for number in range(bins):
        chosen = place == number
        if chosen.any():
            confidence, accuracy = float(given.confidence[chosen].mean()), float(given.right[chosen].mean())
            rows.append(
                {"low": number / bins, "high": (number + 1) / bins, "count": int(chosen.sum()), "confidence": confidence, "accuracy": accuracy}
            )  # fmt: skip
    return rows


def calibration_error(rows: list[dict[str, float]]) -> float:
    """How far confidence and accuracy are apart on average (expected calibration error; Naeini et al., AAAI 2015)."""
    total = sum(row["count"] for row in rows)
    return sum(row["count"] * abs(row["confidence"] - row["accuracy"]) for row in rows) / total


def at_the_end(temperature: float) -> str:
    """What it says that a temperature is the least or the largest that is tried; "" if it is neither."""
    lowest, highest = TEMPERATURES
    if 1.01 * lowest < temperature < highest / 1.01:
        return ""
    return tr(
        "The temperature is at the end of what is tried, {lowest:g} to {highest:g}: how sure this network is says little "
        "about how often it is right.",
        lowest=lowest,
        highest=highest,
    )


def fit_temperature(given: Answers) -> float:
    """The temperature at which the answers' log loss is least (Guo et al., ICML 2017); to be found on validation pictures.

    As if one answer more had been wrong, whatever it was: with a few answers, all of them right, none could be too sure
    (the prior of J. Platt, Probabilistic outputs for support vector machines, 1999).
    """
    from scipy.optimize import minimize_scalar

    shifted = given.logits.astype(np.float64) - given.logits.max(1, keepdims=True)
    own = shifted[np.arange(len(given.labels)), given.labels]

    doubt = 1 / (len(own) + 2)
    aimed = (1 - doubt) * own + doubt * (shifted.sum(1) - own) / max(1, shifted.shape[1] - 1)

    def loss(log_temperature: float) -> float:
        scaled = shifted / math.exp(log_temperature)
        return float((np.log(np.exp(scaled).sum(1)) - aimed / math.exp(log_temperature)).mean())

    return math.exp(minimize_scalar(loss, bounds=tuple(map(math.log, TEMPERATURES)), method="bounded").x)


def curves(given: Answers, target: int) -> dict[str, Any]:
    """ROC and precision-recall of one class against all others, thinned: x and y of each, and the areas under them."""
    from sklearn import metrics

    truth, score = given.labels == target, given.probabilities[:, target]
    false, true, _ = metrics.roc_curve(truth, score)
    precision, recall, _ = metrics.precision_recall_curve(truth, score)
    return {
        "roc": (_thin(false), _thin(true)),
        "roc_area": float(metrics.auc(false, true)),
        "pr": (_thin(recall), _thin(precision)),
        "pr_area": float(metrics.average_precision_score(truth, score)),
        "share": float(truth.mean()),
    }


def _thin(values: np.ndarray, most: int = 300) -> list[float]:
    return values[np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))].tolist()


def slices(given: Answers, dataset: Dataset, by: str | Sequence[str]) -> list[dict[str, Any]]:
    """Accuracy of parts of the split: [{"name", "images", "accuracy", "interval"}], by "class", "brightness", "size", or
    by a value for each of its pictures, where an empty one leaves the picture out.

    Brightness (mean of all values), size (pixels of the file) and numbers are cut into four equally large parts.
    """
    if by == "class":
        groups = {name: given.labels == number for number, name in enumerate(given.classes)}
    elif by in ("brightness", "size"):
        groups = _quarters(_measured(given, dataset, by), by)
    else:
        groups = _by_values(np.array(by, str))
    rows = []
    for name, chosen in groups.items():
        if count := int(chosen.sum()):
            hits = int(given.right[chosen].sum())
            rows.append({"name": name, "images": count, "accuracy": hits / count, "interval": wilson(hits, count)})
    return rows


def _by_values(values: np.ndarray) -> dict[str, np.ndarray]:
    """Groups of equal values, the most frequent first; of more than eight different numbers four equally large parts."""
    told = values != ""
    names, counts = np.unique(values[told], return_counts=True)
    if len(names) > 8:
        with contextlib.suppress(ValueError):
            numbers = np.full(len(values), np.nan)
            numbers[told] = values[told].astype(float)
            told = np.isfinite(numbers)  # "nan" and "inf" are what programs write for an empty cell
            found = _quarters(numbers[told], "number") if told.any() else {}
            return {name: np.isin(np.arange(len(values)), np.flatnonzero(told)[where]) for name, where in found.items()}
    return {str(names[i]): values == names[i] for i in np.argsort(-counts, kind="stable")[:40]}


def _measured(given: Answers, dataset: Dataset, by: str) -> np.ndarray:
    if by == "size":
        return np.asarray(dataset.sizes)[given.positions].max(1)
    parts = _parts(given.positions, 1024)
    return np.concatenate([dataset.images[part].mean((1, 2, 3)) for part in parts]) / 255


def _quarters(values: np.ndarray, by: str) -> dict[str, np.ndarray]:
    edges = np.unique(np.quantile(values, (0, 0.25, 0.5, 0.75, 1)))
    show = {"brightness": "{:.0%}", "size": "{:,.0f} px", "number": "{:.4g}"}[by].format
    if len(edges) < 2:
        return {f"all {show(values[0])}": values == values[0]}
    place = np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2)
    return {f"{show(edges[i])} to {show(edges[i + 1])}": place == i for i in range(len(edges) - 1)}


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Whether two networks differ on the same pictures, given who was right, bool (N,): how many only one got right, and
    the exact two-sided probability of so uneven a split by chance (McNemar 1947)."""
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    total = only_first + only_second
    chance = binomtest(only_first, total).pvalue if total else 1.0
    return {"only_first": only_first, "only_second": only_second, "p": float(chance)}


def wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share; z 1.96 gives 95 %."""
    share, spread = hits / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, middle - half), min(1.0, middle + half)
