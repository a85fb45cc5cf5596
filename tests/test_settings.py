"""Settings of the training loop: balance, mixing, clipping, patience, and micro-batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from imgrec import augment, batches, hardware
from imgrec.data import Dataset
from imgrec.data.dataset import stratify
from imgrec.evaluate import evaluate
from imgrec.muon import Muon, orthogonal
from imgrec.predict import Predictor
from imgrec.recipe import Recipe
from imgrec.train import Epoch, Step, Training, TrainingError

BASE = Recipe(epochs=2, batch_size=16, device="cpu", precision="float32")


def grey(counts=(40, 40, 40), size=8, apart=60.0, spread=20.0, seed=0):
    """Even grey pictures; each class has its own mean, from which they stray."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    level = np.clip(generator.normal(60 + apart * labels, spread), 0, 255).astype(np.uint8)
    images = np.broadcast_to(level[:, None, None, None], (len(labels), size, size, 1)).copy()
    return Dataset(
        "grey", tuple("abcdef"[: len(counts)]), images, labels, stratify(labels), np.full((len(labels), 2), size, np.int32),
        [str(i) for i in range(len(labels))],
    )  # fmt: skip


def of_one(training):
    """Bytes that a picture leaves behind for the gradients."""
    preprocess = training.passport.preprocess
    return hardware.activation_bytes(training.model, (preprocess.channels, preprocess.size, preprocess.size))


def trained(recipe, dataset):
    training = Training(recipe, dataset)
    events = list(training.fit())
    return training, events


@pytest.mark.parametrize("balance", ["loss", "sampling"])
def test_balance_raises_the_recall_of_a_class_that_is_ten_times_rarer(balance):
    """Row 22 of the goals, on a planted 10 : 1 set whose classes overlap."""
    dataset = grey((2000, 200), apart=40, spread=25)
    recipe = replace(BASE, model="softmax-regression", epochs=8)

    def recall(recipe):
        training, _ = trained(recipe, dataset)
        return evaluate(Predictor(training.model, training.passport, device="cpu"), dataset)["classes"][1]["recall"]

    assert recall(replace(recipe, balance=balance)) > recall(recipe) + 0.2


def test_balanced_weights_average_to_one_and_sampling_draws_classes_equally():
    dataset = grey((200, 20, 20))
    weighted = Training(replace(BASE, balance="loss"), dataset)
    assert weighted.class_weights[weighted.train.labels].mean().item() == pytest.approx(1)
    assert weighted.class_weights[1] / weighted.class_weights[0] == pytest.approx(10, rel=0.05)
    drawn = Training(replace(BASE, balance="sampling"), grey((2000, 200, 200)))
    counts = np.bincount(drawn.train.labels[drawn.order()].numpy(), minlength=3) / len(drawn.train)
    assert counts == pytest.approx([1 / 3] * 3, abs=0.05)


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixing_keeps_the_share_it_says(mix):
    training = Training(BASE, grey())
    inputs = training.inputs(torch.arange(16), 0)
    for seed in range(20):
        mixed, others, kept = batches.mix(inputs, mix, seed)
        assert 0 <= kept <= 1
        expected = kept * inputs.mean((1, 2, 3)) + (1 - kept) * inputs[others].mean((1, 2, 3))
        assert torch.allclose(mixed.mean((1, 2, 3)), expected, atol=1e-4)  # even pictures: area and blend are the same
        assert torch.equal(batches.mix(inputs, mix, seed)[0], mixed)


@pytest.mark.parametrize(
    "changed",
    [
        {"mix": "mixup"},
        {"mix": "cutmix"},
        {"balance": "sampling"},
        {"clip": 0.5},
        {"optimiser": "muon", "model": "fast"},
        {"average": 0.9},
        {"optimiser": "gradient-descent"},
        {"l1": 0.01, "warmup": 0.5},
    ],
)
def test_every_setting_resumes_to_the_same_weights(changed):
    recipe = replace(BASE, **changed)
    whole, _ = trained(recipe, grey())
    first = Training(recipe, grey())
    for event in first.fit():
        if isinstance(event, Step) and (event.epoch, event.step) == (2, 2):
            break
    second = Training(recipe, grey())
    second.restore(first.state())
    list(second.fit())
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True))


def test_clipping_bounds_the_gradient():
    training = Training(replace(BASE, clip=0.01, optimiser="sgd", learning_rate=1.0, weight_decay=0.0), grey())
    before = [weight.detach().clone() for weight in training.model.parameters()]
    next(training.fit())
    rate = training.optimiser.param_groups[0]["lr"]
    moved = torch.cat([(b - a).flatten() for a, b in zip(training.model.parameters(), before, strict=True)]).norm()
    assert moved.item() == pytest.approx(0.01 * rate, rel=0.01)


def test_patience_ends_a_training_that_gets_no_better():
    training, events = trained(replace(BASE, epochs=50, patience=3, learning_rate=1e-6, optimiser="sgd"), grey())
    epochs = [event for event in events if isinstance(event, Epoch)]
    best = max(event.epoch for event in epochs if event.best)
    assert len(epochs) == min(50, best + 3)
    assert training.over


def test_on_the_cpu_a_batch_goes_in_micro_batches_before_the_memory_is_full(monkeypatch):
    recipe = replace(BASE, optimiser="sgd", learning_rate=0.1, device="cpu")
    whole, _ = trained(recipe, grey())
    one, batch = of_one(whole), min(recipe.batch_size, len(whole.train))
    monkeypatch.setattr(hardware, "free_bytes", lambda device: int(one * 1.5 * batch / 3))
    small, _ = trained(recipe, grey())
    assert (whole.micro_batches, small.micro_batches) == (1, 4)
    with monkeypatch.context() as more:  # there is room again when it goes on
        more.setattr(hardware, "free_bytes", lambda device: 2**40)
        stopped = Training(recipe, grey())
        assert stopped.micro_batches == 1
        stopped.restore(small.state())
        assert stopped.micro_batches == 4
    for a, b in zip(whole.model.parameters(), small.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    monkeypatch.setattr(hardware, "free_bytes", lambda device: one)
    with pytest.raises(TrainingError, match="Not even one picture"):
        Training(recipe, grey())


def test_what_a_picture_keeps_for_the_gradients_is_counted_and_nothing_is_left_of_the_look():
    counted = Training(replace(BASE, model="softmax-regression"), grey())
    assert of_one(counted) == 8 * 8 * 4  # its pixels, float32
    deeper = Training(replace(BASE, model="seed-cnn"), grey(size=32))
    before = {name: value.clone() for name, value in deeper.model.state_dict().items()}
    drawn = torch.get_rng_state()
    assert of_one(deeper) > 32 * 32 * 32 * 4  # the first layer's maps at least
    assert all(torch.equal(value, before[name]) for name, value in deeper.model.state_dict().items())
    assert torch.equal(drawn, torch.get_rng_state())


def test_a_batch_that_does_not_fit_goes_in_pieces_whose_gradients_are_the_same(monkeypatch):
    recipe = replace(BASE, optimiser="sgd", learning_rate=0.1)
    whole, _ = trained(recipe, grey())
    small = Training(recipe, grey())
    piece = small._backward

    def short_of_memory(feed, share):
        if len(feed["batch"]) > 5:
            raise torch.OutOfMemoryError("no room")
        return piece(feed, share)

    monkeypatch.setattr(small, "_backward", short_of_memory)
    list(small.fit())
    assert small.micro_batches == 4
    for a, b in zip(whole.model.parameters(), small.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    monkeypatch.setattr(small, "_backward", lambda feed, share: (_ for _ in ()).throw(torch.OutOfMemoryError("none")))
    small.epoch = 0
    with pytest.raises(TrainingError, match="Not even one picture"):
        list(small.fit())


def test_pictures_grow_until_two_thirds_of_the_training():
    recipe = replace(BASE, model="fast", start_small=0.5, epochs=6, optimiser="muon", learning_rate=0.1)
    training = Training(recipe, grey(size=32))
    sides = [training.inputs(torch.arange(2), epoch).shape[-1] for epoch in range(6)]
    images = augment.as_floats(training.train.images(torch.arange(2)))
    torchs = torch.nn.functional.interpolate(images, (20, 20), mode="bilinear", antialias=True)
    assert torch.allclose(batches.shrunk(images, 20), torchs, atol=1e-6)
    assert sides == [16, 20, 24, 28, 32, 32]
    assert [training.pipeline.side(epoch) for epoch in range(6)] == sides
    list(training.fit())


def test_a_network_for_one_size_cannot_start_small_and_says_so():
    with pytest.raises(TrainingError, match="one size only, 8 pixels; set start_small to 1"):
        Training(replace(BASE, start_small=0.5), grey())


def test_averaged_weights_are_what_is_judged_and_kept():
    plain, _ = trained(replace(BASE, optimiser="sgd", learning_rate=0.3, epochs=3), grey())
    training, events = trained(replace(BASE, optimiser="sgd", learning_rate=0.3, epochs=3, average=0.9), grey())
    assert all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), training.model.parameters(), strict=True))
    kept = training.weights()
    assert any(not torch.equal(kept[name], value) for name, value in training.model.state_dict().items())
    training.model.load_state_dict(kept)
    training.model.eval()
    with torch.no_grad():
        logits = training.model(training.pipeline.plain(training.validation, torch.arange(len(training.validation))))
    right = (logits.argmax(1) == training.validation.labels).float().mean().item()
    assert right == pytest.approx([e for e in events if isinstance(e, Epoch)][-1].validation_accuracy)


@pytest.mark.parametrize(("optimiser", "rate", "l1"), [("sgd", 0.05, 0.1), ("adamw", 0.003, 0.5)])
def test_l1_takes_weights_to_zero_whatever_the_optimiser_makes_of_gradients(optimiser, rate, l1):
    recipe = replace(
        BASE, model="softmax-regression", epochs=30, optimiser=optimiser, learning_rate=rate, weight_decay=0.0
    )
    zero = []
    for strength in (0.0, l1 / 10, l1):
        training, _ = trained(replace(recipe, l1=strength), grey())
        zero.append((training.model.head.weight == 0).float().mean().item())
        assert training.model.head.bias.abs().min() > 0  # biases are left alone
    assert zero[0] == 0
    assert zero[0] <= zero[1] < zero[2] < 1


def test_a_step_of_l1_is_the_proximal_one():
    plain, pulled = (Training(replace(BASE, optimiser="sgd", learning_rate=0.1, l1=l1), grey()) for l1 in (0.0, 0.5))
    for training in (plain, pulled):
        next(training.fit())
    rate = plain.optimiser.param_groups[0]["lr"]
    for a, b in zip(plain.model.parameters(), pulled.model.parameters(), strict=True):
        expected = torch.nn.functional.softshrink(a, 0.5 * rate) if a.ndim > 1 else a
        assert torch.allclose(b, expected, atol=1e-7)


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_a_mixed_picture_counts_as_much_of_either_class_as_there_is_of_it(mix):
    """A network that names every whole picture reaches the mean of the larger share at least, not of the first one's."""
    _, events = trained(replace(BASE, epochs=12, mix=mix, optimiser="adam", learning_rate=0.01), grey(spread=2.0))
    last = [event for event in events if isinstance(event, Epoch)][-1]
    assert last.validation_accuracy == 1
    assert last.train_accuracy > 0.6


def test_warming_up_begins_low_and_reaches_the_schedule():
    recipe = replace(BASE, optimiser="sgd", schedule="constant", learning_rate=0.1, epochs=4, warmup=0.5)
    training = Training(recipe, grey())
    rates = []
    for event in training.fit():
        if isinstance(event, Step):
            rates.append(training.optimiser.param_groups[0]["lr"])
    half = len(rates) // 2
    assert rates[:half] == sorted(rates[:half])
    assert 0 < rates[0] < 0.03
    assert rates[half:] == pytest.approx([0.1] * (len(rates) - half))


def test_gradient_descent_takes_one_step_per_epoch_down_the_gradient_of_all_pictures():
    dataset = grey()
    recipe = replace(
        BASE, optimiser="gradient-descent", learning_rate=0.5, weight_decay=0.0, epochs=1, schedule="constant"
    )
    training = Training(recipe, dataset)
    before = training.model.head.bias.detach().clone()
    everything = torch.arange(len(training.train))
    training.model.train()
    loss = torch.nn.functional.cross_entropy(training.model(training.inputs(everything, 0)), training.train.labels)
    [gradient] = torch.autograd.grad(loss, [training.model.head.bias])
    steps = [event for event in training.fit() if isinstance(event, Step)]
    assert len(steps) == 1
    assert torch.allclose(training.model.head.bias, before - 0.5 * gradient, atol=1e-5)


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_muons_steps_are_nearly_orthogonal_and_weights_keep_their_length(shape, short, monkeypatch):
    monkeypatch.setattr(hardware, "multiplies_bfloat16", lambda device: short)
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.4
    assert values.max() < 1.4
    weight = torch.nn.Parameter(matrix.clone())
    optimiser = Muon([{"params": [weight, torch.nn.Parameter(torch.zeros(3))]}], 0.1, 0.6, 0.0, None)
    weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    optimiser.step()
    assert weight.norm().item() == pytest.approx(matrix.norm().item(), rel=1e-4)
    moved = (weight - matrix).norm() / matrix.norm()
    assert 0.05 < moved < 0.12


@pytest.mark.parametrize(("short", "apart"), [(False, 1e-5), (True, 4e-3)])
def test_muon_turns_every_weight_as_if_it_were_alone(short, apart, monkeypatch):
    monkeypatch.setattr(hardware, "multiplies_bfloat16", lambda device: short)
    shapes = ((8, 3, 3, 3), (8, 40), (40, 8), (16, 8, 1, 1))  # the shorter side is 8 in all: one stack
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=generator)
    expected = []
    for weight in weights:
        step = orthogonal(weight.grad.flatten(1)).view_as(weight)
        moved = weight - step * (0.1 * weight.norm() / step.norm())
        expected.append((moved * weight.norm() / moved.norm()).detach())
    Muon([{"params": weights}], 0.1, 0.6, 0.0).step()
    for weight, alone in zip(weights, expected, strict=True):
        assert (weight - alone).norm() < apart * alone.norm()


@pytest.mark.parametrize("views", ["one", "mirror", "shifted", "six"])
def test_an_answer_is_the_mean_over_its_views(views):
    training, _ = trained(replace(BASE, views=views), grey())
    predictor = Predictor(training.model, training.passport, device="cpu")
    seen = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
    shown = {
        "one": [(1, 0, 0)],
        "mirror": [(0.5, 0, 0), (0.5, 1, 0)],
        "shifted": [(0.5, 0, 0), (0.25, 0, 1), (0.25, 0, -1)],
    }
    shown["six"] = [(share / 2, flip, move) for share, _, move in shown["shifted"] for flip in (0, 1)]
    single = Predictor(training.model, replace(training.passport, views="one"), device="cpu")
    expected = 0
    for share, flip, move in shown[views]:
        padded = np.pad(seen, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
        moved = padded[:, 1 - move : 9 - move, 1 - move : 9 - move]
        expected = expected + share * single.logits(moved[:, :, ::-1].copy() if flip else moved)
    assert torch.allclose(predictor.logits(seen), expected, atol=1e-4)
