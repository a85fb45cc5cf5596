"""Row 21 of the goals: one batch tried, time and memory told, and a learning rate found that then trains well."""

from dataclasses import replace

import numpy as np
import pytest

from imgrec.data import open_dataset
from imgrec.models import ModelError
from imgrec.preflight import STEPS, cost, growing, look_ahead, smooth, suggest
from imgrec.recipe import Recipe
from imgrec.train import Epoch, Training


def test_the_suggested_rate_trains_and_the_time_is_about_right():
    recipe, digits = Recipe(epochs=3, device="cpu"), open_dataset("digits")
    told = []
    found = look_ahead(recipe, digits, progress=told.append)
    assert 0.0005 < found.suggested < 0.1
    assert told == sorted(told)
    training = Training(Recipe(epochs=3, device="cpu", learning_rate=found.suggested), digits)
    epochs = [event for event in training.fit() if isinstance(event, Epoch)]
    assert epochs[-1].validation_accuracy > 0.9
    seconds = sum(event.seconds for event in epochs)
    assert seconds / 8 < found.seconds < seconds * 8  # the machine may be busy with something else meanwhile
    assert found.memory > 2**20
    assert found.precision == "float32"


def test_the_search_ends_where_the_loss_breaks_down():
    found = look_ahead(Recipe(optimiser="momentum", model="softmax-regression", device="cpu"), open_dataset("shapes"))
    assert len(found.rates) <= STEPS
    assert len(found.rates) == len(found.losses)
    assert np.isfinite(found.losses).all()
    assert found.suggested < found.rates[-1]


def test_a_third_of_the_rate_of_the_lowest_loss_is_suggested():
    rates = np.geomspace(1e-5, 1, 51)
    losses = (np.log10(rates) + 1.5) ** 2  # lowest at 10 to the power of −1.5
    assert suggest(rates, losses) == pytest.approx(10**-1.5 / 3, rel=0.2)


def test_smoothing_keeps_a_constant_and_follows_a_step():
    assert smooth([2.0] * 30) == pytest.approx([2.0] * 30)
    stepped = smooth([1.0] * 20 + [0.0] * 20)
    assert 0 < stepped[-1] < 0.1
    assert (np.diff(stepped[20:]) < 0).all()


def test_what_the_training_would_refuse_is_refused_here():
    with pytest.raises(ModelError, match="at least 8 pixels"):
        look_ahead(Recipe(model="seed-cnn-photo", image_size=4), open_dataset("digits", 4))


def test_for_large_pictures_it_is_said_what_beginning_with_smaller_ones_saves():
    shapes = open_dataset("shapes:size=96,count=72")
    recipe = Recipe(dataset=shapes.name, model="resnet18", image_size=96, epochs=6, device="cpu")
    sides = [48, 60, 72, 84, 96, 96]
    assert cost(96, 0.5, 6) == pytest.approx(np.mean(np.square(sides)) / 96**2)
    assert growing(Training(recipe, shapes)) == pytest.approx(np.mean(np.square([64, 64, *sides[2:]])) / 96**2)
    assert cost(96, 1.0, 6) == 1
    assert growing(Training(replace(recipe, model="seed-cnn"), shapes)) == 1  # its dense layer is for one size
    assert growing(Training(replace(recipe, start_small=0.5), shapes)) == 1
    assert growing(Training(Recipe(model="fast", epochs=2, device="cpu"), open_dataset("digits"))) == 1


def test_the_time_of_a_training_that_begins_small_counts_all_its_pictures(monkeypatch):
    monkeypatch.setattr("imgrec.preflight.STEPS", 8)
    shapes = open_dataset("shapes:size=64,count=72")
    recipe = Recipe(dataset=shapes.name, model="fast", epochs=6, batch_size=8, start_small=0.5, device="cpu")
    small, whole = look_ahead(recipe, shapes), look_ahead(replace(recipe, start_small=1.0), shapes)
    assert small.growing == whole.growing == 1
    assert 0.2 < small.seconds / whole.seconds < 3


def test_a_warm_up_does_not_make_rates_look_smaller_than_they_are():
    digits = open_dataset("digits")
    plain, warmed = (
        look_ahead(Recipe(dataset="digits", model="softmax-regression", warmup=warmup, device="cpu"), digits)
        for warmup in (0.0, 0.3)
    )
    assert warmed.suggested == plain.suggested
