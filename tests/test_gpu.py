"""On a GPU: steps that are replayed are the same steps, whatever the recipe; what does not fit goes in pieces; the numbers
may be short; answers and reasons are those of the CPU."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from test_settings import grey

from imgrec import hardware
from imgrec.explain import METHODS, explain
from imgrec.models import build, fast
from imgrec.models.launch import usable
from imgrec.models.norms import Shift, bent
from imgrec.predict import Predictor
from imgrec.recipe import Recipe
from imgrec.train import Epoch, Step, Training
from imgrec.weights import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, which replays steps")
BASE = Recipe(epochs=2, batch_size=24, device="cuda", precision="float32", augment="rotate=10,shift=0.1,noise=0.05")


def after(training, steps):
    """The weights, in one row, after so many steps."""
    events = training.fit()
    while steps:
        steps -= isinstance(next(events), Step)
    return torch.cat([weight.detach().flatten() for weight in training.model.parameters()]).cpu()


def close(one, other):
    return (one - other).norm() / other.norm() < 1e-4  # sums on a GPU are added up in any order


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


def test_a_resumed_training_replays_what_is_left(tmp_path):
    dataset = grey((60, 60, 60), size=32)
    whole, first, second = (Training(BASE, dataset) for _ in range(3))
    after(first, 4)
    save_checkpoint(tmp_path / "last.ckpt", first.state())
    second.restore(load_checkpoint(tmp_path / "last.ckpt"))
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
    assert training.micro_batches > 1


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_shorter_numbers_learn_and_resume(precision):
    recipe, dataset = replace(BASE, epochs=8, precision=precision, learning_rate=0.01), grey((60, 60, 60), size=32)
    whole, first, second = (Training(recipe, dataset) for _ in range(3))
    assert (whole.replayed is None) == (precision == "float16")  # whose scale the CPU decides
    epochs = [event for event in whole.fit() if isinstance(event, Epoch)]
    assert epochs[-1].train_loss < 0.8 * epochs[0].train_loss
    after(first, 4)
    second.restore(first.state())
    assert (after(second, 4) - after(Training(recipe, dataset), 8)).norm() / after(first, 0).norm() < 1e-2


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(500, 64, 11, 11), (500, 256, 5, 5), (3, 24, 7, 5), (40, 256, 2, 2)])
def test_norm_and_bend_at_once_are_torchs(kind, shape):
    torch.manual_seed(0)
    bend, ours, torchs = torch.nn.GELU(), Shift(shape[1]).cuda(), Shift(shape[1]).cuda()
    images = (torch.randn(shape, device="cuda") + 3).to(kind).contiguous(memory_format=torch.channels_last)
    gradient, found = torch.randn_like(images), []
    assert usable(images)
    for norm, answer in ((ours, bent), (torchs, lambda norm, bend, images: bend(norm(images)))):
        taken = images.clone().requires_grad_()
        said = answer(norm, bend, taken)
        said.backward(gradient)
        found.append((said, taken.grad, norm.bias.grad, *norm.buffers()))
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        assert (one.float() - other.float()).norm() <= (1e-5 if kind == torch.float32 else 1e-2) * other.float().norm()


def test_maps_of_zeros_change_nothing(monkeypatch):
    torch.manual_seed(0)
    network = build("fast", 5, 3, 32, seed=1).cuda().train()
    network.look_at(torch.randn(50, 3, 32, 32, device="cuda"))
    images, found = torch.randn(8, 3, 32, 32, device="cuda"), []
    for _ in range(2):
        network.zero_grad()
        network(images).square().sum().backward()
        found.append([network.whiten.bias.grad.clone(), network.groups[0].first.weight.grad.clone()])
        monkeypatch.setattr(fast, "STACK", 1)
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() < 1e-2 * other.norm()  # TF32


def test_answers_and_reasons_are_those_of_the_cpu():
    dataset = grey((60, 60, 60), size=32)
    training = Training(BASE, dataset)
    after(training, 8)
    there, here = (Predictor(deepcopy(training.model), training.passport, device=device) for device in ("cuda", "cpu"))
    assert abs(there.probabilities(dataset.images) - here.probabilities(dataset.images)).max() < 5e-3  # TF32
    for method in METHODS:
        maps = [explain(predictor, dataset.images[5], method, "b").heat for predictor in (there, here)]
        assert abs(maps[0] - maps[1]).mean() < 0.05, method
