"""What is read off a network's answers agrees with scikit-learn, with textbooks and with numbers worked out by hand."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn import metrics

from imgrec.data import open_dataset, read_columns
from imgrec.evaluate import (
    Answers,
    amend,
    answers,
    at_the_end,
    bootstrap,
    calibration_error,
    confusion,
    curves,
    evaluate,
    fit_temperature,
    mcnemar,
    reliability,
    scores,
    slices,
    softmax,
    threshold,
    wilson,
)
from imgrec.hardware import in_words
from imgrec.images import to_png
from imgrec.language import speaking
from imgrec.neighbours import Neighbours
from imgrec.report import _curves, printable
from imgrec.runs import open_run
from imgrec.weights import load_weights


def test_evaluation_agrees_with_scikit_learn(model, digits):
    report = evaluate(model, digits)
    where = digits.indices("test")
    answers = model.probabilities(digits.images[where]).argmax(1)
    assert report["accuracy"] == pytest.approx(metrics.accuracy_score(digits.labels[where], answers))
    assert report["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(digits.labels[where], answers))
    assert np.array(report["confusion"]).sum() == report["images"] == len(where)
    assert report["majority_accuracy"] < 0.2 < report["accuracy"]
    low, high = report["interval"]
    assert low < report["accuracy"] < high
    json.dumps(report)


def test_wilson_against_its_textbook_value():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == 1


def test_evaluating_on_other_classes_is_refused(model):
    with pytest.raises(ValueError, match="other classes"):
        evaluate(model, open_dataset("shapes:count=60"))


EVEN = Answers(
    "test", ("a", "b", "c"), np.arange(6), np.array([0, 0, 1, 1, 2, 2]),
    np.log(np.array([[8, 1, 1], [1, 8, 1], [1, 8, 1], [1, 8, 1], [1, 1, 8], [4, 3, 3]], np.float32) / 10),
)  # fmt: skip


def test_scores_agree_with_scikit_learn_also_for_a_class_that_nobody_answers():
    labels, predicted = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 0, 1])
    rows = scores(confusion(labels, predicted, 3))
    expected = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0)
    for number, name in enumerate(("precision", "recall", "f1", "support")):
        assert [row[name] for row in rows] == pytest.approx(expected[number].tolist())


def test_reliability_and_calibration_error_by_hand():
    rows = reliability(EVEN)
    assert [(row["count"], row["accuracy"]) for row in rows] == [(1, 0.0), (5, 0.8)]
    assert calibration_error(rows) == pytest.approx((1 * 0.4 + 5 * 0.0) / 6, abs=1e-6)


def test_the_temperature_is_found_that_the_logits_were_divided_by():
    draws = np.random.default_rng(0)
    logits = draws.normal(0, 2, (20_000, 5)).astype(np.float32)
    labels = (softmax(logits).cumsum(1) > draws.random((20_000, 1))).argmax(1)
    given = Answers("validation", tuple("abcde"), np.arange(len(labels)), labels, logits * 3)
    assert fit_temperature(given) == pytest.approx(3, rel=0.03)
    cooled = Answers("validation", given.classes, given.positions, labels, given.logits, 3.0)
    assert calibration_error(reliability(cooled)) < 0.02 < calibration_error(reliability(given))


def test_a_temperature_at_the_end_of_what_is_tried_is_told():
    draws = np.random.default_rng(0)
    logits, labels = draws.normal(0, 9, (2000, 5)).astype(np.float32), draws.integers(0, 5, 2000)
    guessed = fit_temperature(Answers("validation", tuple("abcde"), np.arange(2000), labels, logits))
    assert "0.05 to 20" in at_the_end(guessed)
    assert at_the_end(0.05)
    assert not at_the_end(19)
    assert not at_the_end(0.06)


def test_a_few_answers_that_are_all_right_make_none_too_sure():
    sure = np.array([[2, 0], [0, 2]] * 3, np.float32)
    few = Answers("validation", ("a", "b"), np.arange(6), sure.argmax(1), sure)
    assert fit_temperature(few) > 0.1
    draws = np.random.default_rng(0)
    logits = draws.normal(0, 4, (2000, 5)).astype(np.float32)
    labels = (softmax(logits / 2).cumsum(1) > draws.random((2000, 1))).argmax(1)
    many = Answers("validation", tuple("abcde"), np.arange(2000), labels, logits)
    rates = np.geomspace(0.5, 8, 200)
    losses = [-np.log(softmax(logits / rate)[np.arange(2000), labels]).mean() for rate in rates]
    assert fit_temperature(many) == pytest.approx(rates[np.argmin(losses)], rel=0.02)


def test_the_threshold_lets_the_share_pass_and_keeps_strangers_out(model, digits):
    """Row 19 of the goals: chosen on validation pictures."""
    limit = threshold(answers(model, digits, "validation"))
    assert limit == pytest.approx(model.passport.threshold, abs=1e-3)
    assert 0.85 < (answers(model, digits, "test").familiarity >= limit).mean() <= 1
    shapes = open_dataset("shapes:count=60", 8, channels=1)
    for strangers in (np.full((3, 8, 8, 1), 128, np.uint8), shapes.images):
        assert model.is_known(model.features(strangers)).mean() < 0.35
    [result] = model.classify([("grey.png", to_png(np.full((8, 8, 3), 128, np.uint8)))])
    assert result.known is False
    assert result.to_dict(model.classes)["known"] is False


def test_the_nearest_training_pictures_are_those_most_alike(model, digits):
    train = digits.indices("train")
    positions, likeness = model.neighbours.nearest(model.features(digits.images[train[:1]])[0])
    assert positions[0] == train[0]
    assert likeness[0] == pytest.approx(1, abs=1e-3)
    assert list(likeness) == sorted(likeness, reverse=True)
    test = digits.indices("test")[:50]
    near = [model.neighbours.nearest(row, 1)[0][0] for row in model.features(digits.images[test])]
    assert (digits.labels[near] == digits.labels[test]).mean() > 0.85


def test_neighbours_that_cannot_be_read_are_none(model, tmp_path):
    model.neighbours.save(tmp_path / "n.npz")
    assert np.array_equal(Neighbours.load(tmp_path / "n.npz").positions, model.neighbours.positions)
    (tmp_path / "n.npz").write_bytes(b"damaged")
    assert Neighbours.load(tmp_path / "n.npz") is None
    assert Neighbours.load(tmp_path / "none.npz") is None


def test_bootstrap_intervals_hold_the_value_and_shrink_with_more_pictures():
    draws = np.random.default_rng(1)
    widths = []
    for count in (100, 2500):
        labels = draws.integers(0, 3, count)
        logits = np.eye(3, dtype=np.float32)[np.where(draws.random(count) < 0.8, labels, (labels + 1) % 3)] * 4
        given = Answers("test", ("a", "b", "c"), np.arange(count), labels, logits)
        low, high = bootstrap(given)["accuracy"]
        assert low < given.right.mean() < high
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(5, rel=0.35)  # the root of 25


def test_curves_agree_with_scikit_learn():
    found = curves(EVEN, 0)
    assert found["roc_area"] == pytest.approx(metrics.roc_auc_score(EVEN.labels == 0, EVEN.probabilities[:, 0]))
    assert found["roc"][0][0] == 0
    assert found["roc"][1][-1] == 1


def test_mcnemar_by_hand():
    first, second = np.array([1] * 9 + [0] * 11, bool), np.array([1] * 8 + [0] * 4 + [1] * 8, bool)
    found = mcnemar(first, second)
    assert (found["only_first"], found["only_second"]) == (1, 8)
    assert found["p"] == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar(first, first)["p"] == 1


@pytest.mark.parametrize("by", ["class", "brightness", "size"])
def test_slices_hold_every_picture_once(model, digits, by):
    given = answers(model, digits)
    rows = slices(given, digits, by)
    assert sum(row["images"] for row in rows) == len(given.labels)
    assert sum(row["images"] * row["accuracy"] for row in rows) == pytest.approx(given.right.sum())


def test_slices_by_a_column_of_a_table(model, digits):
    """Words make groups, many numbers make quarters, and a picture of which nothing is said is left out."""
    given = answers(model, digits)
    names = [digits.files[p] for p in given.positions.tolist()]
    lines = [f"{name}.png;{'old' if i % 3 else 'new'};{i / 7}" for i, name in enumerate(names[1:])]
    table = "file;camera;age\n" + "\n".join(lines) + "\nstranger.png;x;1\n"
    columns = read_columns(table.replace(".png", "").encode(), names)
    assert set(columns) == {"camera", "age"}
    assert columns["camera"][:3] == ["", "new", "old"]
    by_camera = {row["name"]: row for row in slices(given, digits, columns["camera"])}
    old = np.array(columns["camera"]) == "old"
    assert by_camera["old"]["images"] == old.sum()
    assert by_camera["old"]["accuracy"] == pytest.approx(given.right[old].mean())
    by_age = slices(given, digits, columns["age"])
    assert len(by_age) == 4
    assert sum(row["images"] for row in by_age) == len(names) - 1
    for empty in ("nan", "inf", "-Infinity"):  # as programs write an empty cell
        ages = [empty if i % 5 == 0 else age for i, age in enumerate(columns["age"])]
        rows = slices(given, digits, ages)
        assert len(rows) == 4
        assert sum(row["images"] for row in rows) == sum(i % 5 > 0 for i in range(len(names)))
    for bad in (b"a,b\n1,2\n", b"", b"file,x\nnobody,1\n"):
        with pytest.raises(ValueError, match="The table"):
            read_columns(bad, names)


def test_answers_are_kept_and_not_taken_for_those_about_other_pictures(model, digits, tmp_path):
    given = answers(model, digits)
    given.save(tmp_path / "test.npz", "abc")
    again = Answers.load(tmp_path / "test.npz", "abc")
    assert np.array_equal(again.logits, given.logits)
    assert again.classes == given.classes
    assert Answers.load(tmp_path / "test.npz", "other") is None
    (tmp_path / "test.npz").write_bytes(b"damaged")
    assert Answers.load(tmp_path / "test.npz", "abc") is None


@pytest.mark.parametrize(
    "change",
    [
        {"labels": np.zeros(3, np.int64)}, {"labels": np.full(6, 9)}, {"positions": np.full(6, -1)}, {"logits": np.zeros((6, 2), np.float32)},
        {"logits": np.full((6, 3), np.nan, np.float32)}, {"positions": np.zeros(6)}, {"labels": np.array(list("abcabc"))}, {"familiarity": np.zeros(2)},
    ],
)  # fmt: skip
def test_damaged_answers_are_as_if_they_were_not_there(tmp_path, change):
    EVEN.save(tmp_path / "a.npz", "x")
    assert Answers.load(tmp_path / "a.npz", "x") is not None
    with np.load(tmp_path / "a.npz") as stored:
        np.savez(tmp_path / "a.npz", **{**stored, **change})
    assert Answers.load(tmp_path / "a.npz", "x") is None


def test_two_changes_of_a_network_at_the_same_moment_are_both_kept(own_copy):
    run = open_run(own_copy)
    named = tuple(f"digit {name}" for name in run.read("classes.json")["classes"])
    with ThreadPoolExecutor(2) as both:
        for _ in range(5):
            changes = {"temperature": 2.5}, {"classes": named}
            list(both.map(lambda change: amend(run, None, **change), changes))
            _, passport = load_weights(run.file("best.safetensors"))
            assert (passport.temperature, passport.classes) == (2.5, named)
            assert run.read("classes.json") == json.loads(json.dumps(passport.to_dict()))
            amend(run, None, temperature=1.0, classes=tuple("0123456789"))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_only_a_report_of_test_pictures_says_that_they_were_never_learned_from(trained, model, digits, split):
    text = printable(trained, answers(model, digits, split), digits)
    assert ("never learned from" in text) == (split == "test")
    assert ("no test" in text) == (split != "test")


def test_a_report_speaks_the_language_of_who_reads_it_not_that_of_the_training(trained, model, digits):
    about = trained.read("about.json")
    with speaking("zh_CN"):
        text = printable(trained, answers(model, digits, "test"), digits)
    assert "GiB 空闲" in text
    assert "<td>学习率<td>" in text
    assert "GiB free" in in_words(about["device"])
    assert in_words("CPU (of an older run)") == "CPU (of an older run)"
    assert in_words(None) == ""


def drawn(*losses):
    """How far down each point of both curves of a report is, for the losses of training and validation by epoch."""
    epochs = [{"epoch": i, "train_loss": one, "validation_loss": other} for i, (one, other) in enumerate(losses, 1)]
    points = re.findall('points="(.*?)"', _curves(SimpleNamespace(epochs=epochs)))
    return [[float(point.partition(",")[2]) for point in line.split()] for line in points]


def test_a_report_draws_a_validation_loss_above_every_training_loss_and_losses_of_nothing():
    assert drawn((0.5, 0.6), (0.1, 2.0)) == [[130, 162], [122, 10]]
    assert drawn((0.0, 0.0), (0.0, 0.0)) == [[170, 170]] * 2


def test_a_report_without_validation_pictures_claims_no_accuracy_on_them():
    epochs = [{"epoch": i, "train_loss": 1 / i, "validation_loss": None, "validation_accuracy": None} for i in (1, 2)]
    told = _curves(SimpleNamespace(epochs=epochs))
    assert "there were no validation pictures" in told
    assert "accuracy" not in told
