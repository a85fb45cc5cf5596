"""Transfer learning: weights from ImageNet, a file or a run; a frozen backbone looks once; gradual thaws after the head."""

import urllib.error
from dataclasses import replace

import numpy as np
import pytest
import torch

from imgrec import trainings, worker
from imgrec.data import Dataset
from imgrec.data.dataset import stratify
from imgrec.home import folder
from imgrec.models import build
from imgrec.models.imagenet import MEAN, STD
from imgrec.recipe import Recipe
from imgrec.train import Check, Epoch, Training
from imgrec.weights import Start, WeightsError

NAME, FILE = "mobilenet-v3-small", "mobilenet_v3_small-047dcff4.pth"


def coloured(size=32, count=60, classes=3):
    """Pictures whose colour tells the class."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % classes
    images = generator.integers(0, 90, (count, size, size, 3), np.uint8)
    images[np.arange(count), :, :, labels] += 120
    return Dataset(
        "coloured", tuple("abcdef"[:classes]), images, labels, stratify(labels), np.full((count, 2), size, np.int32),
        [str(i) for i in range(count)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def published():
    """A file as torchvision publishes it, with weights drawn from a seed."""
    from torchvision.models import get_model

    torch.manual_seed(3)
    return get_model("mobilenet_v3_small").state_dict()


def test_weights_that_lie_where_the_download_would_land_are_used(published):
    place = folder("weights") / "checkpoints"
    place.mkdir(parents=True)
    torch.save(published, place / FILE)
    start = trainings.starting_weights(Recipe(model=NAME, weights="imagenet"))
    assert len(start.classes) == 1000
    assert torch.equal(start.weights["backbone.features.0.0.weight"], published["features.0.0.weight"])
    assert torch.equal(start.weights["head.weight"], published["classifier.3.weight"])
    training = Training(Recipe(model=NAME, batch_size=16), coloured(), start)
    assert (training.passport.preprocess.mean, training.passport.preprocess.std) == (MEAN, STD)
    assert torch.equal(training.model.backbone.features[0][0].weight.cpu(), published["features.0.0.weight"])
    assert training.model.head.out_features == 3


def test_without_internet_it_says_which_file_to_put_where(monkeypatch):
    def offline(*_, **__):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(WeightsError) as caught:
        trainings.starting_weights(Recipe(model=NAME, weights="imagenet"))
    words = str(caught.value)
    assert FILE in words
    assert "https://download.pytorch.org/" in words
    assert str(folder("weights") / "checkpoints") in words
    trainings.check(
        Recipe(model=NAME, weights="imagenet", image_size=32)
    )  # nothing is downloaded before the run begins
    with pytest.raises(WeightsError, match="no ImageNet weights"):
        trainings.check(Recipe(weights="imagenet"))


def test_a_file_of_torchvisions_layout_starts_its_network_and_no_other(published, tmp_path):
    path = tmp_path / "mine.pth"
    torch.save(published, path)
    start = Start.from_file(path, NAME)
    assert torch.equal(start.weights["backbone.features.0.0.weight"], published["features.0.0.weight"])
    with pytest.raises(WeightsError, match=r"mine\.pth does not hold the weights of a resnet18"):
        Start.from_file(path, "resnet18")
    with pytest.raises(WeightsError, match="is not one of its networks"):
        Start.from_file(path, "seed-cnn")


class Trap:
    def __reduce__(self):
        return (print, ("the trap went off",))


def test_a_file_that_would_run_code_is_refused(tmp_path, capsys):
    torch.save({"features.0.0.weight": Trap()}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=r"bad\.pth does not hold"):
        Start.from_file(tmp_path / "bad.pth", NAME)
    assert "trap" not in capsys.readouterr().out


def weights(training):
    return {name: value.detach().clone() for name, value in training.model.state_dict().items()}


FROZEN = Recipe(
    model=NAME, freeze="backbone", epochs=3, batch_size=16, device="cpu", optimiser="sgd", learning_rate=0.1
)  # not Adam, which makes rounding large where gradients are tiny


def test_a_frozen_backbone_looks_once_and_the_head_learns_the_same(monkeypatch):
    once, always = Training(FROZEN, coloured()), Training(FROZEN, coloured())
    before = weights(once)
    events = list(once.fit())
    assert {event.epoch for event in events if isinstance(event, Check)} == {0, 1, 2, 3}
    monkeypatch.setattr(always, "extract_features", lambda: iter(()))
    list(always.fit())
    assert torch.allclose(once.model.head.weight, always.model.head.weight, atol=1e-4)
    changed = {name for name, value in weights(once).items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}
    augmented = Training(replace(FROZEN, augment="flip_horizontal=0.5"), coloured())
    list(augmented.fit())
    assert not augmented.features  # every picture is another one each time


def test_gradual_trains_the_head_first_and_then_all_at_a_tenth_of_the_rate():
    training = Training(replace(FROZEN, freeze="gradual", epochs=5), coloured())
    before, statistics = weights(training), []
    for event in training.fit():
        if isinstance(event, Epoch):
            now = weights(training)
            learned = {
                name for name, _ in training.model.named_parameters() if not torch.equal(now[name], before[name])
            }
            assert ("backbone.features.0.0.weight" in learned) == (event.epoch > 1)
            statistics.append(now["backbone.features.0.1.running_mean"])
    assert all(torch.equal(found, before["backbone.features.0.1.running_mean"]) for found in statistics)
    head, rest = training.optimiser.param_groups
    assert rest["lr"] == pytest.approx(0.1 * head["lr"])


def test_a_frozen_training_resumes_to_the_same_weights():
    whole = Training(FROZEN, coloured())
    list(whole.fit())
    first = Training(FROZEN, coloured())
    for event in first.fit():
        if isinstance(event, Epoch) and event.epoch == 2:
            break
    second = Training(FROZEN, coloured())
    second.restore(first.state())
    list(second.fit())
    assert torch.equal(second.model.head.weight, whole.model.head.weight)


def test_grey_pictures_and_small_ones_start_from_colour_weights(published, tmp_path):
    torch.save(published, tmp_path / "mine.pth")
    grey = coloured(8)
    grey = replace(grey, images=grey.images[..., :1])
    training = Training(Recipe(model=NAME, batch_size=16, epochs=1), grey, Start.from_file(tmp_path / "mine.pth", NAME))
    assert training.passport.preprocess.mean == pytest.approx((sum(MEAN) / 3,))
    list(training.fit())
    assert build(NAME, 3, 1, 8)(torch.rand(2, 1, 8, 8)).shape == (2, 3)


def test_features_are_kept_for_the_next_training_and_forgotten_when_anything_about_them_differs(published, monkeypatch):
    (folder("weights") / "checkpoints").mkdir(parents=True)
    torch.save(published, folder("weights") / "checkpoints" / FILE)
    recipe = Recipe(model=NAME, weights="imagenet", freeze="backbone", image_size=32, epochs=2, device="cpu")

    def looks(recipe):
        run = trainings.enqueue(recipe)
        events = list(worker.work(run))
        return sum(isinstance(event, Check) and event.epoch == 0 for event in events), run

    first, run = looks(recipe)
    assert first > 0
    again, same = looks(recipe)
    assert again == 0
    assert [row["validation_loss"] for row in run.epochs] == [row["validation_loss"] for row in same.epochs]
    assert looks(replace(recipe, learning_rate=0.01, seed=1))[0] == 0
    assert looks(replace(recipe, image_size=48))[0] > 0
    for file in folder("features").iterdir():
        file.write_bytes(b"damaged")
    assert looks(recipe)[0] == first


def test_a_network_that_comes_with_imgrec_learns_from_few_pictures_what_one_from_nothing_does_not():
    accuracies = {}
    for preset in ("few", "standard"):
        run = trainings.enqueue(Recipe.from_values({"dataset": "shapes:count=120", "device": "cpu"}, preset))
        list(worker.work(run))
        accuracies[preset] = run.read("evaluation.json")["accuracy"]
    assert accuracies["few"] > 0.8  # seen: 0.96 and 0.38, of six shapes
    assert accuracies["standard"] < 0.6


def test_grey_pictures_are_told_that_a_network_has_seen_colours_only():
    with pytest.raises(WeightsError, match=r"cifar10-fast learned from colour pictures, and those of digits are grey"):
        trainings.check(Recipe.from_values({"dataset": "digits"}, "few"))
    trainings.check(Recipe(dataset="digits", weights="digits-seed-cnn"))
    trainings.check(Recipe(dataset="shapes:count=60", weights="cifar10-fast", model="fast", image_size=32))
