"""Row 5 of the goals: a heat map for any class, on every family of the shelf, as large as the picture and not constant."""

import numpy as np
import pytest
import torch

from imgrec.data import open_dataset
from imgrec.explain import METHODS, Method, explain, flip
from imgrec.models import SHELF, build
from imgrec.predict import Predictor, predictor
from imgrec.weights import VIEWS, Passport, Preprocess

CLASSES = tuple("abcdefghij")
LARGE = 50_000_000  # weights, beyond which fewer classes are asked about


@pytest.mark.parametrize("name", [name for name, card in SHELF.items() if card.explains])
def test_grad_cam_reads_every_family(name):
    passport = Passport(name, CLASSES, Preprocess(96, 3, "crop", (0.5,) * 3, (0.25,) * 3))
    predictor = Predictor(build(name, len(CLASSES), 3, 96, seed=1), passport, device="cpu")
    seen = open_dataset("shapes:size=96,count=60").images[3]
    weights = sum(values.numel() for values in predictor.model.parameters())
    heats = [explain(predictor, seen, "gradcam", name).heat for name in CLASSES[: 3 if weights > LARGE else 10]]
    assert {heat.shape for heat in heats} == {(96, 96)}
    assert all(np.isfinite(heat).all() for heat in heats)
    varied = [heat for heat in heats if np.ptp(heat) > 0.5]
    assert len(varied) >= 2
    assert any(np.abs(varied[0] - other).max() > 0.05 for other in varied[1:])


@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_the_heat_lies_on_the_object_for_a_trained_network_and_not_for_a_random_one(method):
    """The pointing game (Zhang et al. 2018) on shapes, whose masks are known; the random weights are the sanity check of
    Adebayo et al. 2018."""
    shapes, trained = open_dataset("shapes"), Predictor.open("shapes-seed-cnn", "cpu")
    random = Predictor(build("seed-cnn", 6, 3, 32, seed=9), trained.passport, device="cpu")

    def hits(model):
        found = []
        for position in shapes.indices("test")[:100].tolist():
            name = shapes.classes[shapes.labels[position]]
            heat = explain(model, shapes.images[position], method, name).heat
            row, column = np.unravel_index(heat.argmax(), heat.shape)
            mask = shapes.masks[position]
            found.append(mask[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].any())
        return np.mean(found)

    assert hits(trained) >= 0.9
    assert hits(random) < 0.8


def test_a_map_is_reliable_only_if_covering_what_is_hot_costs_more_than_covering_as_much_elsewhere(monkeypatch):
    """Row 6 of the goals."""
    shapes, trained = open_dataset("shapes"), Predictor.open("shapes-seed-cnn", "cpu")
    positions = [int(p) for p in shapes.indices("test")[:30]]
    honest = [explain(trained, shapes.images[p], "occlusion") for p in positions]
    assert np.mean([found.reliable for found in honest]) > 0.8
    assert np.mean([found.hidden for found in honest]) < np.mean([found.elsewhere for found in honest])

    def wrong(predictor, inputs, target):  # says that the background mattered
        return torch.from_numpy((~shapes.masks[position]).astype(np.float32))

    monkeypatch.setitem(METHODS, "occlusion", Method("wrong", "", wrong))
    misled = []
    for position in positions:
        misled.append(explain(trained, shapes.images[position], "occlusion").reliable)
    assert np.mean(misled) < 0.5


@pytest.mark.parametrize("method", ["smoothgrad", "integrated"])
def test_the_other_methods_agree_with_their_definitions(method):
    """Integrated gradients add up to the change of the class score (completeness); SmoothGrad is the same each time."""
    shapes, trained = open_dataset("shapes"), Predictor.open("shapes-seed-cnn", "cpu")
    seen = shapes.images[int(shapes.indices("test")[0])]
    first, again = (explain(trained, seen, method).heat for _ in range(2))
    assert np.array_equal(first, again)
    assert np.ptp(first) == 1
    if method == "integrated":
        from captum.attr import IntegratedGradients

        from imgrec.explain import _covered

        inputs = trained.passport.preprocess.normalise(torch.from_numpy(seen.copy()).permute(2, 0, 1)[None] / 255)
        target = int(trained.model(inputs).argmax())
        parts = IntegratedGradients(trained.model).attribute(inputs, _covered(inputs), target, n_steps=200)
        change = (trained.model(inputs) - trained.model(_covered(inputs)))[0, target].item()
        assert parts.sum().item() == pytest.approx(change, rel=0.05)


def test_a_map_is_proved_over_the_views_that_the_answer_is_the_mean_of(monkeypatch):
    """What is covered here, the first fifth, is of the mean colour already."""
    others = np.random.default_rng(0).integers(1, 256, 26)
    seen = np.concatenate([np.full(12, 128), others, 256 - others]).astype(np.uint8).reshape(8, 8, 1)
    monkeypatch.setitem(METHODS, "saliency", Method("nothing", "", lambda *_: torch.zeros(8, 8)))
    network = Predictor.open("digits-seed-cnn", "cpu").looking("six")
    found = explain(network, seen, "saliency")
    assert found.hidden == pytest.approx(found.probability, abs=1e-5)
    one = explain(network.looking("one"), seen, "saliency", found.class_name)
    assert abs(one.probability - found.probability) > 1e-3


@pytest.mark.parametrize("views", VIEWS)
def test_a_network_that_sees_one_pixel_answers_and_is_explained(views):
    passport = Passport("softmax-regression", CLASSES, Preprocess(1, 1, "crop", (0.5,), (0.25,)), views=views)
    predictor = Predictor(build("softmax-regression", len(CLASSES), 1, 1), passport, device="cpu")
    for method in METHODS:
        if method != "gradcam":  # there is no map to read
            assert explain(predictor, np.full((1, 1, 1), 9, np.uint8), method).heat.shape == (1, 1)


def test_covering_what_is_hot_flips_the_answer_and_with_less_than_covering_anything():
    shapes, trained = open_dataset("shapes"), Predictor.open("shapes-seed-cnn", "cpu")
    draws, by_heat, by_chance = np.random.default_rng(0), [], []
    for position in shapes.indices("test")[:25].tolist():
        seen = shapes.images[position]
        found = flip(trained, seen, explain(trained, seen, "occlusion").heat)
        before = trained.probabilities(seen[None])[0].argmax()
        after = trained.probabilities(found.covered[None])[0].argmax()
        assert (found.share is None) == (before == after)
        assert trained.classes[after] == found.class_name
        by_heat.append(1.0 if found.share is None else found.share)
        other = flip(trained, seen, draws.random(seen.shape[:2]))
        by_chance.append(1.0 if other.share is None else other.share)
    assert np.median(by_heat) < 0.5
    assert np.mean(by_heat) < np.mean(by_chance)


def test_an_empty_map_proves_nothing(monkeypatch):
    network = predictor("digits-seed-cnn")
    nothing = Method("nothing", "", lambda *_: torch.zeros(7, 7))
    monkeypatch.setitem(METHODS, "nothing", nothing)
    found = explain(network, open_dataset("digits").images[0], "nothing")
    assert found.heat.max() == 0
    assert not found.reliable
