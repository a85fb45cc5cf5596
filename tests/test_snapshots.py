"""Moments of a training: kept while it runs, thinned out, and shown as they were."""

import numpy as np
import pytest
import torch

from imgrec import snapshots, trainings, worker
from imgrec.data import open_dataset
from imgrec.models import build
from imgrec.predict import Predictor
from imgrec.recipe import Recipe
from imgrec.runs import create_run
from imgrec.weights import Passport, WeightsError


def test_a_run_keeps_its_moments_and_each_is_the_network_of_that_epoch():
    run = trainings.enqueue(Recipe(epochs=4, device="cpu"))
    for _ in worker.work(run):
        pass
    assert snapshots.moments(run) == [1, 2, 3, 4]
    passport, digits = Passport.from_dict(run.read("classes.json")), open_dataset("digits")
    where = digits.indices("validation")
    for epoch, row in zip((1, 2, 3, 4), run.epochs, strict=True):
        answers = snapshots.at(run, passport, epoch).probabilities(digits.images[where]).argmax(1)
        right = (answers == digits.labels[where]).mean()
        assert right == pytest.approx(row["validation_accuracy"], abs=0.012)  # they are kept in float16
    snapshots.file(run, 2).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="after epoch 2 cannot be read"):
        snapshots.at(run, passport, 2)


def test_many_moments_are_thinned_out_but_the_first_and_the_last_stay():
    run, weights = create_run(Recipe()), build("softmax-regression", 3, 1, 8).state_dict()
    for epoch in range(1, 101):
        snapshots.keep(run, weights, epoch)
    kept = snapshots.moments(run)
    assert len(kept) <= snapshots.MOST
    assert (kept[0], kept[-1]) == (1, 100)
    assert max(np.diff(kept)) <= 8


def test_a_network_too_large_to_keep_is_not_kept(monkeypatch):
    monkeypatch.setattr(snapshots, "MOST_BYTES", 1000)
    run = create_run(Recipe())
    snapshots.keep(run, build("seed-cnn", 3, 1, 8).state_dict(), 1)
    assert snapshots.moments(run) == []


@pytest.mark.parametrize(
    ("name", "shape"),
    [("seed-cnn", (32, 3, 3, 3)), ("softmax-regression", (5, 16, 16, 3)), ("vit-b-16", (32, 16, 16, 3))],
)
def test_the_first_filters_can_be_drawn(name, shape):
    filters = snapshots.first_filters(build(name, 5, 3, 16))
    assert filters.shape == shape
    picture = snapshots.drawn(filters[0])
    assert picture.shape == (*shape[1:3], 3)
    assert picture.max() == 255 or picture.min() == 0  # grey is zero, and the largest weight reaches one end


def test_dead_units_are_counted():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 1), torch.nn.ReLU())
    model[0].weight.data.zero_()
    model[0].bias.data = torch.tensor([1.0, -1.0, -1.0, 1.0])
    assert snapshots.dead(model, torch.rand(2, 1, 3, 3)) == 0.5
    assert snapshots.dead(torch.nn.Sequential(torch.nn.Flatten()), torch.rand(2, 1, 3, 3)) is None


def test_weights_and_gradients_are_torchs_and_nothing_is_changed_by_looking(trained):
    model = snapshots.at(trained, Predictor.open(trained).passport, snapshots.moments(trained)[0]).model
    images, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.inference_mode():
        found = snapshots.spread(model, images.clone(), labels)
    for weight in model.parameters():
        weight.requires_grad_(True)
    torch.nn.functional.cross_entropy(model(images), labels).backward()
    for name, (weights, gradients) in found.items():
        layer = model.get_submodule(name)
        assert np.array_equal(weights, layer.weight.detach().numpy().flatten())
        assert np.allclose(gradients, layer.weight.grad.numpy().flatten(), atol=1e-6)
    assert {"features.0", "head"} <= found.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
