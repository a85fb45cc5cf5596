"""The coach names what synthetic curves show, from which epoch, and says what to try (row 17 of the goals)."""

import numpy as np
import pytest

from imgrec import trainings, worker
from imgrec.coach import advise, few
from imgrec.recipe import Recipe


def epochs(train, validation=None, accuracy=None, score=None):
    train = list(train)
    accuracy = np.exp(-np.array(train)) if accuracy is None else accuracy
    validation = train if validation is None else validation
    score = np.exp(-np.array(validation)) if score is None else score
    rows = zip(train, accuracy, validation, score, strict=True)
    return [
        {"epoch": n, "train_loss": t, "train_accuracy": a, "validation_loss": v, "validation_accuracy": s}
        for n, (t, a, v, s) in enumerate(rows, 1)
    ]


N = np.arange(20)
NOISE = np.random.default_rng(0).normal(0, 0.01, 20)
FALLING = 2 * np.exp(-N / 3) + 0.02


def only(rows, **more):
    [advice] = advise(rows, **more)
    assert len(advice.words) > 20
    assert len(advice.attempt) > 20
    assert f"epoch {advice.epoch}" in advice.words or advice.kind in (
        "underfitting",
        "rate too low",
        "good",
        "unchecked",
        "hardly checked",
    )
    return advice


def test_overfitting_is_named_with_its_epoch():
    rising = np.where(N < 8, 2 * np.exp(-N / 3) + 0.3, 2 * np.exp(-8 / 3) + 0.3 + 0.04 * (N - 8)) + NOISE / 4
    advice = only(epochs(FALLING, rising))
    assert advice.kind == "overfitting"
    assert advice.epoch in (8, 9, 10)
    assert "augmentation" in advice.attempt


def test_knowing_only_what_it_learned_from_is_overfitting_even_where_both_losses_fall():
    rows = epochs(FALLING, FALLING + 0.6, accuracy=np.linspace(0.3, 1, 20), score=np.linspace(0.3, 0.65, 20))
    advice = advise(rows)[0]
    assert advice.kind == "overfitting"
    assert "100%" in advice.words
    assert "65%" in advice.words
    assert 5 <= advice.epoch <= 9  # from where on they are far apart
    assert advise(rows[:15], planned=20) == []  # what only the end can tell


def test_a_loss_that_rises_a_little_while_new_pictures_are_named_as_well_is_no_overfitting():
    rising = np.where(N < 8, FALLING + 0.05, 0.2 + 0.01 * (N - 8))
    rows = epochs(FALLING, rising, accuracy=np.full(20, 1.0), score=np.full(20, 0.97))
    assert "overfitting" not in [advice.kind for advice in advise(rows)]


def test_a_network_that_is_too_simple_underfits():
    flat = 1.2 + np.exp(-N) + NOISE / 4
    advice = only(epochs(flat, flat + 0.02), classes=10)
    assert advice.kind == "underfitting"
    assert "larger network" in advice.attempt


def test_one_that_was_stopped_while_it_learned_should_go_on():
    slow = 2.3 - 0.06 * N
    advice = only(epochs(slow, slow + 0.02), classes=10)
    assert advice.kind == "underfitting"
    assert "longer" in advice.attempt


def test_a_rate_too_high_is_seen_by_its_jumps():
    jumping = 1.5 + 0.6 * np.random.default_rng(1).random(20)
    advice = only(epochs(jumping), classes=10)
    assert advice.kind == "rate too high"
    assert advice.epoch <= 4
    once = np.concatenate([2 * np.exp(-np.arange(8) / 4), np.full(12, 2.3)])
    assert only(epochs(once)).kind == "rate too high"
    assert only(epochs(once)).epoch == 9
    broken = FALLING.copy()
    broken[6:] = np.nan
    assert only(epochs(broken)).epoch == 7


def test_a_plateau_is_named_with_its_epoch():
    level = np.maximum(2 * np.exp(-N / 2), 0.15) + NOISE / 20
    advice = only(epochs(level))
    assert advice.kind == "plateau"
    assert advice.epoch in (6, 7)


def test_dead_units_are_named_with_the_epoch_of_their_death_and_explain_why_nothing_is_learned():
    still = 2.302 + NOISE / 10
    rows = epochs(still, accuracy=np.full(20, 0.1), score=np.full(20, 0.1))
    shares = [None, 0.1, 0.7, 0.3, *[0.8] * 16]  # it woke up once
    advice = only([row | {"dead_units": share} for row, share in zip(rows, shares, strict=True)], classes=10)
    assert (advice.kind, advice.epoch) == ("dead units", 5)
    assert "80%" in advice.words
    assert "learning rate 3 to 10 times lower" in advice.attempt
    well = [row | {"dead_units": 0.31} for row in epochs(FALLING, FALLING + 0.03)]
    assert only(well).kind == "good"


def test_a_real_training_at_far_too_high_a_rate_ends_with_dead_units():
    run = trainings.enqueue(Recipe(epochs=5, optimiser="adam", learning_rate=0.3, device="cpu"))
    for _ in worker.work(run):
        pass
    assert run.epochs[-1]["dead_units"] > 0.5
    assert "dead units" in [advice.kind for advice in advise(run.epochs, classes=10)]
    well = trainings.enqueue(Recipe(epochs=4, device="cpu"))
    for _ in worker.work(well):
        pass
    assert 0 <= well.epochs[-1]["dead_units"] < 0.5
    assert "dead units" not in [advice.kind for advice in advise(well.epochs, classes=10)]


def test_a_rate_so_low_that_nothing_moves():
    still = 2.302 + NOISE / 10
    advice = only(epochs(still, accuracy=np.full(20, 0.1), score=np.full(20, 0.1)), classes=10)
    assert advice.kind == "rate too low"


def test_a_good_training_is_called_good_and_nothing_is_said_too_soon():
    assert only(epochs(FALLING, FALLING + 0.03)).kind == "good"
    assert advise(epochs(FALLING[:2])) == []
    assert advise(epochs(FALLING[:6], FALLING[:6] + 0.03), planned=20) == []
    slow = 2.3 - 0.06 * N
    assert advise(epochs(slow), planned=40, classes=10) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_little_noise_at_the_bottom_is_no_overfitting(seed):
    noise = np.random.default_rng(seed).normal(0, 0.004, 20)
    assert only(epochs(FALLING, FALLING + 0.08 + noise)).kind == "good"


def test_without_validation_pictures_the_training_curve_speaks_alone():
    rows = [{**row, "validation_loss": None, "validation_accuracy": None} for row in epochs(FALLING)]
    assert only(rows).kind == "unchecked"


def test_a_verdict_on_few_pictures_is_none_and_the_test_has_the_last_word():
    rows = epochs(FALLING, FALLING, accuracy=np.full(20, 1.0), score=np.full(20, 1.0))
    assert only(rows).kind == only(rows, checked_with=200).kind == "good"
    few_said = only(rows, checked_with=8)
    assert few_said.kind == "hardly checked"
    assert "100% of 8 pictures" in few_said.words
    assert "81% of 16 pictures" in only(rows, checked_with=8, test={"accuracy": 0.8125, "images": 16}).words
    assert only(rows, checked_with=100, test={"accuracy": 0.98, "images": 200}).kind == "good"
    [last] = advise(rows, checked_with=100, test={"accuracy": 0.7, "images": 200})
    assert (last.kind, "70% of the others" in last.words) == ("overfitting", True)


def test_few_photos_call_for_a_network_that_has_seen_others():
    assert "18 training pictures of a class are few" in few(180, 10, 100, "none")
    assert not few(180, 10, 100, "cifar10-fast")
    assert not few(180, 10, 8, "none")  # tiny drawings: digits
    assert not few(5000, 10, 100, "none")


def test_mixed_turned_and_covered_pictures_are_no_sign_of_a_small_network_or_of_large_steps():
    jumpy = np.where(N % 2, 1.2, 0.9)  # what is mixed differs from epoch to epoch
    rows = epochs(jumpy, 0.1 + 0.01 * np.exp(-N), accuracy=np.full(20, 0.6), score=np.full(20, 0.998))
    assert only(rows).kind == "good"


@pytest.mark.parametrize(
    "train",
    [
        2.35 + 0.02 * (N % 2),  # above what guessing costs, up and down
        np.concatenate([[30.0], np.full(19, 2.33)]),  # it flew off in the first epoch
        0.5 * 1.08**N,
    ],
)
def test_steps_that_are_too_big_are_not_told_to_be_bigger(train):
    advice = only(epochs(train, accuracy=np.full(20, 0.1), score=np.full(20, 0.1)), classes=10)
    assert advice.kind == "rate too high"
    assert "Divide" in advice.attempt


def test_seventy_percent_of_two_classes_is_more_than_guessing():
    level = np.full(20, 0.7)
    advice = only(epochs(0.6 + NOISE / 100, accuracy=level, score=level), classes=2)
    assert advice.kind == "underfitting"


def test_no_lower_rate_is_advised_where_it_has_fallen_already():
    rows = epochs(0.9 + NOISE / 1000, accuracy=np.full(20, 0.93), score=np.full(20, 0.93))
    falling = [row | {"learning_rate": 0.01 * (1 - i / 20)} for i, row in enumerate(rows)]
    assert "Lower the learning rate" in only([row | {"learning_rate": 0.01} for row in rows]).attempt
    assert "Lower the learning rate" not in only(falling).attempt
