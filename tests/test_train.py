"""The loop learns, is exact about what it averages, resumes to the bit, and feeds what the preview shows."""

import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.nn import functional

from imgrec import augment, hardware
from imgrec.data import Dataset, open_dataset
from imgrec.models import ModelError
from imgrec.recipe import Recipe, RecipeError
from imgrec.shelves import LOSSES, OPTIMISERS, SCHEDULES
from imgrec.train import Check, Epoch, Step, Training, TrainingError, fit
from imgrec.weights import Start, WeightsError


def tiny(count=60, size=8, classes=3, channels=1, seed=0) -> Dataset:
    """Pictures whose class is how bright they are: learnable in a few steps."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    noise = generator.integers(0, 60, (count, size, size, channels))
    images = (noise + labels[:, None, None, None] * 60).astype(np.uint8)
    splits = np.array([0, 0, 0, 1, 2] * (count // 5 + 1))[:count].astype(np.uint8)
    sizes = np.full((count, 2), size, np.int32)
    return Dataset("tiny", tuple("abc"[:classes]), images, labels, splits, sizes, [str(i) for i in range(count)])


SMALL = Recipe(epochs=4, batch_size=8, augment="rotate=20,shift=0.1,noise=0.05", learning_rate=0.01, device="cpu")


def weights(training):
    return {name: value.clone() for name, value in training.model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_events_come_in_order_and_the_last_epoch_has_learned():
    events = list(fit(Recipe(epochs=12, batch_size=8, learning_rate=0.01), tiny()))
    epochs = [event for event in events if isinstance(event, Epoch)]
    assert [event.epoch for event in epochs] == list(range(1, 13))
    assert epochs[-1].train_loss < epochs[0].train_loss / 2
    assert epochs[-1].validation_accuracy > 0.8
    kinds = [type(event) for event in events[: len(events) // 12]]
    assert kinds == [Step] * kinds.count(Step) + [Check] * kinds.count(Check) + [Epoch]


def test_loss_and_accuracy_are_means_over_pictures_not_over_batches():
    dataset = tiny(count=65)  # 39 training pictures: batches of 8 and 7
    recipe = Recipe(epochs=1, batch_size=8, learning_rate=1e-6, optimiser="sgd", device="cpu")
    training = Training(recipe, dataset)
    everything = torch.arange(len(training.train))
    with torch.no_grad():
        logits = training.model(training.inputs(everything, 0))
    expected = functional.cross_entropy(logits, training.train.labels).item()
    (epoch,) = [event for event in training.fit() if isinstance(event, Epoch)]
    assert epoch.train_loss == pytest.approx(expected, rel=1e-4)
    assert epoch.train_accuracy == pytest.approx(
        (logits.argmax(1) == training.train.labels).float().mean().item(), abs=1e-6
    )


def test_every_picture_is_seen_once_an_epoch():
    training = Training(SMALL, tiny())
    seen = []
    original = training.pipeline.inputs
    training.pipeline.inputs = lambda feed, epoch: (seen.append(feed["batch"].tolist()), original(feed, epoch))[1]
    next(event for event in training.fit() if isinstance(event, Epoch))
    assert sorted(itertools.chain(*seen)) == list(range(len(training.train)))


@pytest.mark.parametrize("stop_after", [1, 5, 6, 13, 20])
def test_a_resumed_training_ends_in_the_same_weights_bit_for_bit(stop_after, tmp_path):
    """Row 9 of the goals: stop at step k, resume in a fresh process's state, equal to the uninterrupted one."""
    from imgrec.weights import load_checkpoint, save_checkpoint

    whole = Training(SMALL, tiny())
    log = [event for event in whole.fit() if isinstance(event, Epoch)]
    first = Training(SMALL, tiny())
    for number, _ in enumerate(first.fit(), 1):
        if number == stop_after:
            break
    save_checkpoint(tmp_path / "last.ckpt", first.state())
    torch.manual_seed(12345)  # whatever else happened in between
    second = Training(SMALL, tiny())
    second.restore(load_checkpoint(tmp_path / "last.ckpt"))
    rest = [event for event in second.fit() if isinstance(event, Epoch)]
    assert same(weights(whole), weights(second))
    assert rest[-1].train_loss == log[-1].train_loss
    assert rest[-1].validation_accuracy == log[-1].validation_accuracy


def test_the_same_seed_gives_the_same_training_and_another_seed_another():
    def run(seed):
        training = Training(Recipe(epochs=2, batch_size=8, seed=seed, device="cpu"), tiny())
        list(training.fit())
        return weights(training)

    assert same(run(1), run(1))
    assert not same(run(1), run(2))


def test_building_a_training_leaves_the_callers_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Training(SMALL, tiny())
    assert torch.equal(torch.rand(1), expected)


def test_the_preview_is_the_pipeline():
    """Row 18 of the goals: with one seed the previewed pixels equal the tensor the trainer feeds, before and after normalisation."""
    dataset, recipe = open_dataset("shapes:count=120"), Recipe(
        dataset="shapes:count=120", seed=7, epochs=2, augment="rotate=30,shift=0.2,brightness=0.3,noise=0.1,erase=0.3,blur=1", device="cpu"
    )  # fmt: skip
    training = Training(recipe, dataset)
    fed = {}
    original = training.model.forward

    def watched(inputs):
        if training.model.training:
            fed[training.epoch, training.step] = inputs.detach().clone()
        return original(inputs)

    training.model.forward = watched
    list(training.fit())
    plan = augment.parse(recipe.augment)
    training.epoch, training.step = 1, 0  # look at the second epoch's first batch
    batch = torch.tensor_split(training.order(), training.steps)[0]
    positions = dataset.indices("train")[batch.numpy()]
    pictures = torch.from_numpy(dataset.images[positions]).permute(0, 3, 1, 2).float() / 255
    previewed = augment.apply(
        pictures, augment.draw(plan, torch.from_numpy(positions), recipe.seed, 1)
    )  # as the page does
    assert torch.equal(training.passport.preprocess.normalise(previewed), fed[1, 0])
    mean, std = dataset.channel_statistics("train")
    unfed = fed[1, 0] * torch.tensor(std).float().view(1, 3, 1, 1) + torch.tensor(mean).float().view(1, 3, 1, 1)
    assert torch.allclose(unfed, previewed, atol=1e-5)
    alone = augment.apply(pictures[3:4], augment.draw(plan, torch.from_numpy(positions[3:4]), recipe.seed, 1))
    assert torch.allclose(alone[0], previewed[3], atol=1e-5), "a picture's preview depends on its neighbours"


def test_validation_and_test_pictures_are_never_trained_on_nor_augmented():
    dataset = tiny()
    training = Training(SMALL, dataset)
    assert set(training.train.where.tolist()) == set(dataset.indices("train"))
    assert not set(training.train.where.tolist()) & set(dataset.indices("test"))
    assert not set(training.train.where.tolist()) & set(training.validation.where.tolist())


def test_a_loss_that_is_no_number_stops_with_advice():
    with pytest.raises(TrainingError, match=r"Lower the learning rate"):
        list(
            fit(
                Recipe(epochs=9, learning_rate=10, optimiser="sgd", model="seed-cnn", batch_size=8, device="cpu"),
                _huge(),
            )
        )


def test_weights_that_are_no_numbers_are_noticed():
    training = Training(SMALL, tiny())
    training.check_weights()
    next(training.model.parameters()).data[0] = float("inf")
    with pytest.raises(TrainingError, match=r"A weight stopped being a number in epoch 1\. Lower"):
        training.check_weights()


def _huge():
    dataset = tiny()
    return Dataset(
        **{
            **{f: getattr(dataset, f) for f in ("name", "classes", "labels", "splits", "sizes", "files")},
            "images": dataset.images * 4,
        }
    )


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_optimiser_and_loss_learns(optimiser, loss):
    rate = 0.003 if optimiser.startswith("adam") else 0.3 if loss == "mse" else 0.05
    recipe = Recipe(epochs=15, batch_size=8, optimiser=optimiser, loss=loss, learning_rate=rate, device="cpu")
    epochs = [event for event in fit(recipe, tiny()) if isinstance(event, Epoch)]
    assert epochs[-1].train_loss < 0.8 * epochs[0].train_loss


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_stays_between_zero_and_the_full_rate(schedule):
    values = [SCHEDULES[schedule].make(p / 100) for p in range(101)]
    assert all(0 <= value <= 1.0000001 for value in values)
    assert max(values) == pytest.approx(1, abs=0.01)


def test_the_rates_in_the_events_follow_the_schedule():
    recipe = Recipe(epochs=2, batch_size=8, learning_rate=0.5, schedule="cosine", device="cpu", optimiser="sgd")
    rates = [event.learning_rate for event in fit(recipe, tiny()) if isinstance(event, Step)]
    expected = [0.5 * (0.5 + 0.5 * math.cos(math.pi * (k + 1) / len(rates))) for k in range(len(rates))]
    assert rates == pytest.approx(expected)


def test_freezing_the_backbone_trains_the_head_alone():
    training = Training(Recipe(epochs=1, batch_size=8, freeze="backbone", device="cpu"), tiny())
    before = weights(training)
    list(training.fit())
    changed = {name for name, value in weights(training).items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}


def test_pictures_are_mixed_before_a_frozen_backbone_too():
    heads = []
    for mix in ("none", "mixup"):
        training = Training(Recipe(epochs=1, batch_size=8, freeze="backbone", mix=mix, device="cpu"), tiny())
        list(training.fit())
        heads.append(training.model.head.weight)
    assert not torch.equal(*heads)


def started(donor):
    prepared = donor.passport.preprocess
    return Start(weights(donor), "donor", donor.passport.classes, prepared.mean, prepared.std)


def test_starting_from_weights_of_another_task_keeps_the_backbone():
    donor = Training(Recipe(epochs=1, batch_size=8, device="cpu"), tiny(classes=3))
    list(donor.fit())
    heir = Training(Recipe(seed=5, device="cpu"), tiny(classes=2), start=started(donor))
    assert torch.equal(heir.model.features[0].weight.cpu(), donor.model.features[0].weight)
    assert heir.model.head.out_features == 2
    assert heir.passport.preprocess.mean == donor.passport.preprocess.mean  # as the weights expect it
    again = Training(Recipe(seed=5, device="cpu"), tiny(classes=3), start=started(donor))
    assert torch.equal(again.model.head.weight, donor.model.head.weight)  # the same classes: the head stays


def test_parts_that_do_not_fit_are_refused_in_words():
    with pytest.raises(RecipeError, match="optimiser"):
        Training(Recipe(optimiser="magic"), tiny())
    with pytest.raises(ModelError, match="at least 4 pixels"):
        Training(Recipe(), tiny(size=2))
    with pytest.raises(ModelError, match="did you mean"):
        Training(Recipe(model="seed-cmn"), tiny())
    with pytest.raises(WeightsError, match="does not fit"):
        Training(SMALL, tiny()).restore({"epoch": 1})


def test_pictures_that_do_not_fit_in_memory_are_streamed_and_give_the_same_training(monkeypatch):
    resident = Training(SMALL, tiny())
    list(resident.fit())
    monkeypatch.setattr("imgrec.hardware.free_bytes", lambda device: 0)
    monkeypatch.setattr(Training, "_micro_batches_needed", lambda self: 1)
    streamed = Training(SMALL, tiny())
    assert streamed.train.resident is None
    monkeypatch.setattr("imgrec.batches.MOST_MAPPED", 1000)
    read = streamed.train._read
    by = []
    monkeypatch.setattr(streamed.train, "_read", lambda where: by.append(threading.current_thread()) or read(where))
    list(streamed.fit())
    ahead = [thread is not threading.main_thread() for thread in by]
    assert sum(ahead) == SMALL.epochs * (streamed.steps - 1)  # all but the first batch of each epoch
    assert same(weights(resident), weights(streamed))


def test_who_computes_in_one_thread_leaves_the_others_theirs():
    before, inside = torch.get_num_threads(), []
    assert before == hardware.THREADS
    with ThreadPoolExecutor(4) as visitors:

        def lesson(_: int) -> None:
            with hardware.one_thread():
                inside.append(torch.get_num_threads())

        list(visitors.map(lesson, range(40)))
    assert set(inside) == {1}
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == before == torch.get_num_threads()


def test_a_rate_that_came_with_a_checkpoint_goes_to_the_device(monkeypatch):
    """A recorded step would take a rate on the CPU for a constant, and never hear of another."""
    training = Training(SMALL, tiny())
    training.replayed, training.device, training.sums = object(), torch.device("meta"), training.sums.to("meta")
    for group in training.optimiser.param_groups:
        group["lr"] = torch.tensor(0.1)
    training._set_rates()
    assert {group["lr"].device.type for group in training.optimiser.param_groups} == {"meta"}


def test_validation_goes_in_parts_where_all_at_once_do_not_fit(monkeypatch):
    training, asked = Training(SMALL, tiny()), []
    whole = training._validation_logits(torch.arange(len(training.validation)))
    network = training.averaged.forward

    def tight(images):
        asked.append(len(images))
        if len(images) > 4:
            raise torch.OutOfMemoryError("no room")
        return network(images)

    monkeypatch.setattr(training.averaged, "forward", tight)
    assert torch.allclose(training._validation_logits(torch.arange(len(training.validation))), whole, atol=1e-6)
    assert max(asked) == len(training.validation) > 4
    monkeypatch.setattr(training.averaged, "forward", lambda images: tight(torch.cat([images] * 8)))
    with pytest.raises(torch.OutOfMemoryError):
        training._validation_logits(torch.arange(len(training.validation)))


@pytest.mark.parametrize(
    ("size", "device", "many"), [(8, "cpu", 512), (64, "cpu", 512), (224, "cpu", 41), (224, "cuda", 334)]
)
def test_large_pictures_are_asked_fewer_at_once(size, device, many):
    assert hardware.at_once(size, torch.device(device), 512) == many
