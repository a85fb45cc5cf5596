"""In which numbers a training computes: the faster ones, which lose nothing."""

from dataclasses import replace
from itertools import islice

import pytest
import torch
from test_train import SMALL, same, tiny, weights

from imgrec import hardware
from imgrec.models import operations
from imgrec.precision import Precision, faster
from imgrec.shelves import OPTIMISERS
from imgrec.train import Epoch, Step, Training

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "bfloat16", "gain", "chosen"),
    [
        ("cpu", True, 2, "bfloat16"),
        ("cpu", True, 1.1, "float32"),
        ("cpu", False, 2, "float32"),
        ("cuda", True, 1, "bfloat16"),
        ("cuda", False, 2, "float16"),
        ("cuda", False, 0.1, "float32"),
    ],
)
@pytest.mark.filterwarnings("ignore:torch.cuda.amp.GradScaler is enabled")  # here there may be none
def test_shorter_numbers_are_chosen_where_they_are_faster_and_never_where_they_are_imitated(
    device, bfloat16, gain, chosen, monkeypatch
):
    measured = []
    monkeypatch.setattr(hardware, "knows_bfloat16", lambda device: bfloat16)
    monkeypatch.setattr(
        "imgrec.precision._timed", lambda one, *batch: measured.append(one.name) or (1 if one.name == "float32" else 1 / gain)
    )  # fmt: skip
    monkeypatch.setattr("imgrec.train.WORTH_MEASURING", 1)
    if device == "cpu":
        assert Training(SMALL, tiny()).precision.name == chosen
    assert faster(torch.nn.Identity(), torch.sum, torch.zeros(1), torch.device(device)) == chosen
    assert set(measured) <= {"float32", "float16" if device == "cuda" else "bfloat16"}


def test_a_short_training_stays_float32_and_is_not_measured(monkeypatch):
    monkeypatch.setattr("imgrec.precision._timed", lambda *_: pytest.fail("measured"))
    assert Training(SMALL, tiny()).precision.name == "float32"


@pytest.mark.parametrize("model", ["seed-cnn", "fast-small", "resnet18", "mobilenet-v2"])
def test_what_a_training_has_to_multiply_is_what_the_models_card_says(model):
    training = Training(replace(SMALL, model=model), tiny())
    seen = training.passport.preprocess
    expected = operations(model, len(training.passport.classes), seen.channels, seen.size)
    assert training._multiply_adds() == expected


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_shorter_numbers_take_about_the_steps_of_long_ones(precision, optimiser):
    recipe = replace(SMALL, epochs=1, optimiser=optimiser, learning_rate=0.01, clip=1.0, l1=1e-4, augment="none")
    long, short = (Training(replace(recipe, precision=name), tiny()) for name in ("float32", precision))
    before = weights(long)
    for training in (long, short):
        next(event for event in training.fit() if isinstance(event, Step))
    ways = [
        torch.cat([(after[name] - before[name]).flatten() for name in before if before[name].is_floating_point()])
        for after in (weights(long), weights(short))
    ]
    assert 0 < ways[0].norm() < float("inf")
    alike = 0.8 if optimiser == "muon" else 0.9  # it makes small directions as large as others, and their rounding
    assert torch.nn.functional.cosine_similarity(*ways, dim=0) > alike
    assert float(ways[1].norm() / ways[0].norm()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_shorter_numbers_learn_too(precision):
    recipe = replace(SMALL, epochs=8, batch_size=8, learning_rate=0.01, precision=precision)
    epochs = [event for event in Training(recipe, tiny()).fit() if isinstance(event, Epoch)]
    assert epochs[-1].train_loss < 0.8 * epochs[0].train_loss


def test_gradients_that_float16_would_lose_arrive():
    layer = torch.nn.Linear(4, 2)
    arrived = {}
    for name in ("float32", "float16"):
        precision = Precision(name, CPU)
        layer.zero_grad()
        with precision.autocast():
            loss = 1e-8 * layer(torch.ones(3, 4)).float().sum()
        precision.backward(loss)
        precision.step(torch.optim.SGD(layer.parameters(), 0.0), lambda: None)
        arrived[name] = layer.weight.grad.clone()
    assert float(arrived["float32"].abs().min()) > 0
    assert torch.allclose(arrived["float16"], arrived["float32"], rtol=0.01)
    layer.zero_grad()
    with torch.autocast("cpu", torch.float16):
        loss = 1e-8 * layer(torch.ones(3, 4)).float().sum()
    loss.backward()
    assert not layer.weight.grad.any(), "they would have arrived without being scaled, too"


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_step_too_large_for_float16_is_left_out_and_the_scale_halved(optimiser):
    recipe = replace(SMALL, precision="float16", optimiser=optimiser, augment="none")
    training = Training(recipe, tiny())
    training.precision.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = weights(training)
    next(event for event in training.fit() if isinstance(event, Step))
    assert same(before, weights(training))
    assert training.precision.scaler.get_scale() == 2.0**39


def test_a_training_in_float16_goes_on_exactly_with_its_scale():
    recipe = replace(SMALL, precision="float16", epochs=2)
    whole, first, second = (Training(recipe, tiny()) for _ in range(3))
    for training in (whole, first):
        training.precision.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**36)  # the first steps are left out
    list(whole.fit())
    list(islice((event for event in first.fit() if isinstance(event, Step)), 3))
    second.restore(first.state())
    assert second.precision.scaler.get_scale() < 2.0**36
    list(second.fit())
    assert same(weights(whole), weights(second))
    assert second.precision.scaler.state_dict() == whole.precision.scaler.state_dict()
