"""Claims over the whole shelf of models, so that a new row is tested by being there."""

import pytest
import torch

from imgrec.models import SHELF, ModelError, build, parameters
from imgrec.models.shelf import card

SIZES = {"smallest": None, "digits": 8, "odd": 33, "photo": 96}


@pytest.mark.parametrize("name", SHELF)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_pictures_go_in_and_logits_come_out(name, channels, size):
    side = SIZES[size] or card(name).smallest
    model = build(name, 7, channels, side)
    logits = model(torch.rand(2, channels, side, side))
    assert logits.shape == (2, 7)
    logits.sum().backward()
    first = next(model.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


@pytest.mark.parametrize("name", SHELF)
def test_one_batch_can_be_learned_by_heart(name):
    images, labels = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 4
    model = build(name, 4, 3, 16)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(150):
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("name", SHELF)
def test_the_card_is_complete_and_true(name):
    row = card(name)
    assert row.title
    assert row.paper
    assert row.idea.endswith(".")
    model = build(name, 4, 3, 16)
    assert isinstance(model.head, torch.nn.Linear)
    assert parameters(name, 4, 3, 16) == sum(p.numel() for p in model.parameters())
    if row.explains:
        model.get_submodule(row.explains)


def test_the_seed_cnn_is_what_the_user_asked_for():
    """conv 3×3-32, pool, conv 3×3-64, pool, fc-128, fc-classes: its size counted by hand for 10 classes of 28×28 grey."""
    convolutions = (9 * 1 * 32 + 32) + (9 * 32 * 64 + 64)
    dense = (7 * 7 * 64 * 128 + 128) + (128 * 10 + 10)
    assert parameters("seed-cnn", 10, 1, 28) == convolutions + dense


def test_a_seed_gives_the_same_weights_every_time():
    one, two, other = (build("seed-cnn", 3, 1, 8, seed) for seed in (1, 1, 2))
    assert torch.equal(one.head.weight, two.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)


def test_an_unknown_model_is_refused_with_what_there_is():
    with pytest.raises(ModelError, match="softmax-regression"):
        build("softmax", 3, 1, 8)
