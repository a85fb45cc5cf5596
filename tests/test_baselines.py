"""What came before networks, on the same pictures."""

import numpy as np
import pytest

from imgrec.baselines import METHODS, baselines, linear
from imgrec.data import Dataset, DatasetError, open_dataset


def test_every_method_beats_chance_on_digits_by_far_and_says_what_it_learned_from():
    digits = open_dataset("digits")
    heard = []
    found = baselines(digits, lambda share, words: heard.append((share, words)))
    assert [row.method for row in found] == list(METHODS)
    for row in found:
        assert 0.75 < row.accuracy < 1
        assert 0.75 < row.balanced_accuracy < 1
        assert (row.tested, row.pictures) == (len(digits.indices("test")), len(digits.indices("train")))
    assert heard[0][0] == 0
    assert METHODS["linear-svm"].title in heard[0][1]


def test_the_same_pictures_give_the_same_answer():
    digits = open_dataset("digits")
    first, second = (baselines(digits, methods=("linear-svm", "decision-tree")) for _ in range(2))
    assert [row.accuracy for row in first] == [row.accuracy for row in second]


def test_the_linear_baseline_is_what_scikit_learn_finds_and_stands_beside_every_result(trained):
    """Row 15 of the goals."""
    from sklearn.linear_model import RidgeClassifier

    digits = open_dataset("digits")
    train, test = digits.indices("train"), digits.indices("test")
    known, asked = (digits.images[where].reshape(len(where), -1) / 255 for where in (train, test))
    strength = 0.01 * np.trace(np.cov(known.T, bias=True)) / known.shape[1] * len(known)
    theirs = RidgeClassifier(alpha=strength).fit(known, digits.labels[train]).score(asked, digits.labels[test])
    assert linear(digits) == pytest.approx(theirs, abs=0.006)
    found = trained.read("evaluation.json")
    assert found["linear_accuracy"] == linear(digits)
    assert 0.8 < found["linear_accuracy"] < found["accuracy"]
    assert {"majority_accuracy", "balanced_accuracy", "interval", "images"} <= set(found)
    assert linear(open_dataset("shapes:count=200")) is not None


def six(labels, images=None):
    """Three pictures to learn from and three to be tested on, black unless they are given."""
    images = np.zeros((6, 4, 4, 1), np.uint8) if images is None else images
    splits, sizes = np.array([0, 0, 0, 2, 2, 2], np.uint8), np.full((6, 2), 4, np.int32)
    return Dataset("one", ("a", "b"), images, np.array(labels), splits, sizes, list("abcdef"))


def test_pictures_that_are_all_the_same_have_no_linear_baseline():
    assert linear(six([0, 1, 0, 1, 0, 1])) is None


def test_three_pictures_are_enough_to_learn_from():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), np.uint8)
    assert [row.pictures for row in baselines(six([0, 1, 0, 1, 0, 1], images))] == [3] * len(METHODS)


def test_an_empty_split_and_a_single_class_are_refused():
    one = six([0] * 6)
    with pytest.raises(DatasetError, match="only one class"):
        baselines(one)
    one.splits[:] = 0
    with pytest.raises(DatasetError, match="no test pictures"):
        baselines(one)
