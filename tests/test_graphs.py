"""On a GPU: steps that are replayed are the same steps, whatever the recipe; what does not fit goes in pieces."""

from dataclasses import replace

import pytest
import torch
from test_settings import grey

from imgrec import hardware
from imgrec.recipe import Recipe
from imgrec.train import Step, Training

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, which replays steps")
BASE = Recipe(epochs=2, batch_size=24, device="cuda", precision="float32", augment="rotate=10,shift=0.1,noise=0.05")


def after(training, steps):
    """The weights, in one row, after so many steps."""
    events = training.fit()
    while steps:
        steps -= isinstance(next(events), Step)
    return torch.cat([weight.detach().flatten() for weight in training.model.parameters()]).cpu()


def close(one, other):
    return (one - other).norm() / other.norm() < 1e-5


@pytest.mark.parametrize(
    "changed",
    [
        {}, {"augment": "none"}, {"optimiser": "momentum", "clip": 1.0}, {"optimiser": "adam", "average": 0.9}, {"l1": 1e-4},
        {"model": "fast", "optimiser": "muon", "learning_rate": 0.1, "start_small": 0.5}, {"mix": "mixup"}, {"loss": "mse"},
        {"model": "custom:conv 8,relu,max 2,dropout 0.5,dense 16,relu,dropout 0.3"}, {"balance": "sampling"},
    ],
)  # fmt: skip
def test_replayed_steps_are_the_plain_ones(changed):
    recipe, dataset = replace(BASE, **changed), grey((60, 60, 60), size=32)
    replayed, plain = Training(recipe, dataset), Training(recipe, dataset)
    plain.replayed = None
    assert close(after(replayed, 9), after(plain, 9))
    assert "mix" in changed or replayed.replayed.recorded


def test_a_resumed_training_replays_what_is_left():
    dataset = grey((60, 60, 60), size=32)
    whole, first, second = (Training(BASE, dataset) for _ in range(3))
    after(first, 4)
    second.restore(first.state())
    assert close(after(second, 4), after(whole, 8))


def test_pictures_that_are_streamed_give_the_same_weights(monkeypatch):
    dataset = grey((60, 60, 60), size=32)
    resident = after(Training(BASE, dataset), 8)
    monkeypatch.setattr(hardware, "free_bytes", lambda device: 0)
    streamed = Training(BASE, dataset)
    assert streamed.replayed is None
    assert (after(streamed, 8) - resident).norm() / resident.norm() < 1e-2  # angles are drawn to another last bit


def test_a_batch_that_does_not_fit_goes_in_pieces(monkeypatch):
    dataset = grey((200, 200, 200), size=64)
    training = Training(replace(BASE, model="resnet18", batch_size=512, augment="none"), dataset)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**29) / total)
    try:
        after(training, 1)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert training.pieces > 1
