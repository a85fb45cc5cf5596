"""Claims over the whole shelf of models, so that a new row is tested by being there."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from imgrec.hardware import knows_bfloat16
from imgrec.hooks import listening
from imgrec.models import SHELF, ModelError, build, card, fast, layers, operations, parameters
from imgrec.models.custom import EXAMPLE
from imgrec.optimisers import Adam
from imgrec.weights import Passport, Preprocess, fill, load_weights, save_weights

ROOT = Path(__file__).parent.parent
SIZES = {"smallest": None, "digits": 8, "odd": 33, "photo": 96}
LARGE = (
    "vit-b-16",
    "swin-t",
    "convnext-tiny",
    "inception-v3",
    "vgg11",
    "alexnet",
    "densenet121",
    "googlenet",
    "resnet50",
)


@pytest.mark.parametrize("name", SHELF)
@pytest.mark.parametrize("size", SIZES)
def test_pictures_go_in_and_logits_come_out(name, size):
    side = SIZES[size] or card(name).smallest
    for channels in (3,) if name in LARGE and size != "digits" else (1, 3):
        model = build(name, 7, channels, side)
        logits = model(torch.rand(2, channels, side, side))
        assert logits.shape == (2, 7)
        logits.sum().backward()
        first = next(model.parameters())
        assert first.grad is not None
        assert first.grad.abs().sum() > 0


@pytest.mark.parametrize("name", SHELF)
def test_one_batch_can_be_learned_by_heart(name):
    generator = torch.Generator().manual_seed(0)
    count = 2 if name in LARGE else 8  # pictures
    images = torch.randn(count, 3, 1, 1, generator=generator) + 0.3 * torch.randn(count, 3, 16, 16, generator=generator)
    labels = torch.arange(count) % 4
    model = build(name, 4, 3, 16)
    rate = 0.0002 if name in LARGE else 0.001 if card(name).pretrained else 0.01
    optimiser = Adam(model.parameters(), rate, fused=True)
    quick = knows_bfloat16(torch.device("cpu"))
    for _ in range(200):
        with torch.autocast("cpu", torch.bfloat16, enabled=name in LARGE and quick):
            loss = torch.nn.functional.cross_entropy(model(images).float(), labels)
        if loss.item() < 0.1:
            return
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    raise AssertionError(f"the loss is still {loss.item():.2f}")


@pytest.mark.parametrize("name", SHELF)
def test_what_is_saved_and_loaded_answers_the_same(name, tmp_path):
    passport = Passport(name, ("a", "b", "c"), Preprocess(32, 3, "crop", (0.5,) * 3, (0.5,) * 3))
    model = build(name, 3, 3, 32, seed=1).eval()
    save_weights(tmp_path / "w.safetensors", model.state_dict(), passport)
    weights, loaded = load_weights(tmp_path / "w.safetensors")
    again = loaded.build().eval()
    fill(again, weights, "w")
    images = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(model(images), again(images))


@pytest.mark.parametrize("name", SHELF)
def test_the_card_is_complete_and_true(name):
    row = card(name)
    assert row.title
    assert row.paper
    assert row.idea.endswith(".")
    assert 1950 < row.year < 2030
    model = build(name, 4, 3, 16)
    assert isinstance(model.head, torch.nn.Linear)
    assert parameters(name, 4, 3, 16) == sum(p.numel() for p in model.parameters())
    assert operations(name, 4, 3, 16) > 0
    assert [row["shape"] for row in layers(name, 4, 3, 16)][-1] == [4]
    if row.explains:
        model.get_submodule(row.explains)


@pytest.mark.parametrize(
    ("name", "millions", "billions"),
    [
        ("alexnet", 61.1, 0.71), ("googlenet", 6.6, 1.5), ("inception-v3", 23.8, None), ("resnet18", 11.7, 1.81),
        ("resnet50", 25.6, 4.09), ("densenet121", 8.0, 2.83), ("mobilenet-v2", 3.5, 0.30), ("mobilenet-v3-small", 2.5, 0.06),
        ("efficientnet-b0", 5.3, 0.39), ("convnext-tiny", 28.6, 4.46), ("vit-b-16", 86.6, 17.56), ("swin-t", 28.3, 4.49),
    ],
)  # fmt: skip
def test_parameters_and_multiply_adds_are_those_that_torchvision_publishes(name, millions, billions):
    assert parameters(name, 1000, 3, 224) / 1e6 == pytest.approx(millions, abs=0.1)
    if billions:
        assert operations(name, 1000, 3, 224) / 1e9 == pytest.approx(billions, abs=0.02)


@pytest.mark.parametrize(("name", "kind", "many"), [("vit-b-16", "MultiheadAttention", 12), ("swin-t", "ShiftedWindowAttention", 12)])  # fmt: skip
def test_a_transformers_attention_is_among_its_layers_with_all_its_weights(name, kind, many):
    rows = layers(name, 10, 3, 224)
    found = [row for row in rows if row["layer"] == kind]
    assert len(found) == many
    squares = [4 * row["shape"][-1] ** 2 for row in found]  # queries, keys, values and what is made of them
    assert all(row["parameters"] > square for row, square in zip(found, squares, strict=True))
    model = build(name, 10, 3, 224)
    loose = (
        weights.numel() for key, weights in model.named_parameters() if key.endswith(("class_token", "pos_embedding"))
    )
    assert sum(row["parameters"] for row in rows) + sum(loose) == parameters(name, 10, 3, 224)


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "mobilenet-v3-small", "se-resnet18", "convnext-tiny"])
def test_a_network_without_attention_has_no_layers_but_its_innermost(name):
    inner = {type(layer).__name__ for layer in build(name, 10, 3, 64).modules() if not list(layer.children())}
    assert {row["layer"] for row in layers(name, 10, 3, 64)} <= inner


# A network of one's own


def test_a_network_is_put_together_from_its_layers_and_traced():
    rows = layers(f"custom:{EXAMPLE}", 10, 1, 28)
    pooled = [row["shape"] for row in rows if row["layer"] in ("MaxPool2d", "Linear")]
    assert pooled == [[32, 14, 14], [64, 7, 7], [128], [10]]
    assert (
        sum(row["parameters"] for row in rows) == parameters("seed-cnn", 10, 1, 28) == parameters("custom", 10, 1, 28)
    )
    deep = "custom:conv 8 kernel=5 stride=2 padding=0,norm,silu,avg 3 stride=2,dropout 0.2,global,dense 16,tanh"
    assert build(deep, 5, 3, 33)(torch.rand(2, 3, 33, 33)).shape == (2, 5)
    assert card(deep).explains == "layers.0"
    assert card("custom:dense 8").explains is None


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("spam 3", "layer 1 .* none of conv, max"), ("conv x", "maps is 'x'; give a whole number from 1 to 2048"),
        ("conv 8 kernel=99", "kernel is '99'"), ("conv 8 size=3", "no option 'size'; it knows kernel"), ("relu 3", "no option"),
        ("max 2," * 9, "layer 6 .* window of 2 pixels, but its maps are 1 × 1"), ("dense 9,conv 3", "a dense layer came before"),
        ("conv 8 padding=3", "less than the kernel"), ("dropout 2", "from 0 to 0.95"), ("relu," * 101, "at most 100"),
        ("conv 2048 kernel=31,conv 2048 kernel=31", "weights; use fewer maps"), ("dense 16384,dense 16384", "weights; use"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_is_refused_with_the_layer_and_the_reason(written, words):
    with pytest.raises(ModelError, match=words):
        build(f"custom:{written}", 10, 3, 32)


def test_the_last_layer_of_a_network_put_together_counts_too():
    with torch.device("meta"):  # five billion weights, if they were made
        with pytest.raises(ModelError, match=r"last layer, from 536,870,912 features to 10 .* 5,368,7.* weights"):
            build("custom:conv 2048", 10, 1, 512)
        build("custom:conv 2048,global", 10, 1, 512)


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


def test_networks_of_torchvision_come_without_torchs_compiler_which_is_there_when_somebody_calls_it():
    code = """
import sys, torch
from imgrec import models
models.build("resnet18", 3, 3, 64)(torch.zeros(2, 3, 64, 64))
print([name for name in ("torch._dynamo", "torch._dynamo.utils", "sympy") if name in sys.modules])
from torchvision.ops import roi_align
import torchvision
print(torchvision.__name__, roi_align(torch.ones(1, 1, 8, 8), torch.tensor([[0.0, 0, 0, 4, 4]]), 2).sum().item())
print(sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu"), "torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split("\n")[:3] == ["[]", "torchvision 4.0", "True True"], done.stdout + done.stderr


@pytest.mark.parametrize("name", [name for name, card in SHELF.items() if card.pretrained])
def test_a_network_for_photos_takes_smaller_ones_as_they_are(name):
    """Which is what makes a training quicker that begins with them; they were enlarged again, once."""
    with torch.device("meta"):
        network = SHELF[name].build(10, 3, 224).eval()
        seen = []
        with listening([network.backbone], lambda _, came, __: seen.append(came[0].shape[-1])):
            for side in (224, 192, 40):
                assert network(torch.empty(1, 3, side, side)).shape == (1, 10)
    assert seen == ([224, 224, 224] if network.fixed else [224, 192, max(40, network.least)])


def test_the_first_layer_of_fast_sees_the_same_in_parts(monkeypatch):
    """Patches of five thousand photos would take many gigabytes."""
    images, networks = torch.rand(30, 3, 32, 32), [build("fast-small", 10, 3, 32) for _ in range(2)]
    networks[0].look_at(images)
    monkeypatch.setattr(fast, "AT_ONCE", 7 * 32**2)
    networks[1].look_at(images)
    made = []
    for network in networks:
        [filters] = [value for value in network.state_dict().values() if value.shape == (24, 3, 2, 2)]
        made.append(filters.flatten(1).T @ filters.flatten(1))  # whichever signs and order the directions have
    assert torch.allclose(*made, rtol=1e-2)
