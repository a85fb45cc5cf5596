"""Layers of ours that take torch's place give what torch's give: convolutions, and those that keep gradients in order."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from imgrec import hardware
from imgrec.models import build, convolution, layout
from imgrec.models.convolution import Conv2d, side_by_side
from imgrec.models.layout import AdaptiveAvgPool2d, Flatten, channels_last
from imgrec.models.relu import ReLU
from imgrec.models.shelf import QUICKER


def gradients(network, images: torch.Tensor) -> list[torch.Tensor]:
    """What a network answers, and the gradients of the pictures and of its weights, for a loss that no value is alike in."""
    images = images.clone(memory_format=torch.preserve_format).requires_grad_()
    answer = network(images)
    loss = (answer.float() * torch.linspace(0, 1, answer.numel()).view(answer.shape)).sum()
    return [answer.detach(), *torch.autograd.grad(loss, [images, *network.parameters()])]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (3, 3, 1), (3, 1, 2), (5, 1, 2), (5, 2, 2), (2, 2, 1)]
)
@pytest.mark.parametrize("shape", [(1, 4, 4), (5, 7, 7), (3, 6, 5), (4, 2, 2), (2, 1, 1)])
def test_side_by_side_is_the_same_convolution(kernel, stride, padding, shape):
    count, height, width = shape
    torchs = nn.Conv2d(6, 8, kernel, stride, padding)
    images = channels_last(torch.randn(count, 6, height, width))

    class Aside(nn.Conv2d):
        def _conv_forward(self, images, weight, bias):
            return side_by_side(images, weight, bias, self.stride, self.padding)

    ours = Aside(6, 8, kernel, stride, padding)
    ours.load_state_dict(torchs.state_dict())
    for mine, theirs in zip(gradients(ours, images), gradients(torchs, images), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    assert ours(images).is_contiguous(memory_format=torch.channels_last)


def learned(layer: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        return gradients(layer, images)


@pytest.mark.parametrize(
    ("options", "aside"),
    [
        ({}, True),
        ({"stride": 2}, True),
        ({"groups": 2}, False),
        ({"dilation": 2}, False),
        ({"padding": 0}, False),
        ({"padding": "same"}, False),
        ({"padding_mode": "reflect"}, False),
    ],
)
def test_small_maps_lie_side_by_side_while_a_processor_with_tiles_learns(options, aside, monkeypatch):
    monkeypatch.setattr(convolution, "LEAST", 8)
    monkeypatch.setattr(hardware, "multiplies_bfloat16", lambda device: True)
    taken = []
    monkeypatch.setattr(convolution, "side_by_side", lambda *parts: taken.append(1) or side_by_side(*parts))
    torchs = nn.Conv2d(8, 16, 3, **{"padding": 1, **options})
    ours = Conv2d(8, 16, 3, **{"padding": 1, **options})
    ours.load_state_dict(torchs.state_dict())
    images = channels_last(torch.randn(4, 8, 7, 7).bfloat16())
    for mine, theirs in zip(learned(ours, images), learned(torchs, images), strict=True):
        torch.testing.assert_close(mine, theirs, atol=0.05, rtol=0.05)
    assert bool(taken) == aside
    taken.clear()
    ours(images.float())  # in float32
    learned(ours, channels_last(torch.randn(4, 8, 8, 15).bfloat16()))  # too wide
    learned(ours, images[:1])  # alone
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(images), torchs(images))  # nothing is learned
    monkeypatch.setattr(hardware, "multiplies_bfloat16", lambda device: False)
    learned(ours, images)
    assert not taken


@pytest.mark.parametrize(("kernel", "stride", "float32"), [(3, 1, False), (3, 2, True), (5, 1, True), (7, 1, True)])
def test_depthwise_filters_learn_in_float32_where_bfloat16_is_slow(kernel, stride, float32, monkeypatch):
    options = {"stride": stride, "padding": kernel // 2, "groups": 12}
    torchs, ours = nn.Conv2d(12, 12, kernel, **options), Conv2d(12, 12, kernel, **options)
    ours.load_state_dict(torchs.state_dict())
    seen = []
    plain = nn.Conv2d._conv_forward
    monkeypatch.setattr(
        nn.Conv2d, "_conv_forward", lambda self, x, *rest: seen.append(x.dtype) or plain(self, x, *rest)
    )
    images = channels_last(torch.randn(3, 12, 9, 9).bfloat16())
    mine = learned(ours, images)
    assert seen == [torch.float32 if float32 else torch.bfloat16]
    assert mine[0].dtype == torch.bfloat16
    for one, other in zip(mine, learned(torchs, images), strict=True):
        torch.testing.assert_close(one, other, atol=0.1, rtol=0.05)


@pytest.mark.parametrize("inplace", [False, True])
def test_relu_in_bfloat16_is_torchs_for_every_number_there_is(inplace):
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.bfloat16).view(256, 2, 16, 8)
    every = channels_last(every)
    came = torch.linspace(-1, 1, every.numel()).bfloat16().view(every.shape)

    def through(layer: nn.Module) -> list[torch.Tensor]:
        numbers = every.clone().requires_grad_()
        answer = layer(numbers + 0)  # what is changed in place is not a leaf
        return [answer, *torch.autograd.grad(answer, numbers, came)]

    (ours, gradient), (torchs, expected) = through(ReLU(inplace)), through(nn.ReLU(inplace))
    torch.testing.assert_close(ours, torchs, rtol=0, atol=0, equal_nan=True)
    assert ours.stride() == torchs.stride()
    sure = ~every.isnan()  # there torch lets the gradient pass; a loss of it is not a number either way
    assert torch.equal(gradient[sure], expected[sure])
    assert gradient.stride() == expected.stride()
    numbers = every.clone()
    with torch.inference_mode():
        assert (ReLU(inplace)(numbers).data_ptr() == numbers.data_ptr()) == inplace
        assert torch.equal(numbers.view(torch.int16), every.view(torch.int16)) != inplace


def test_relu_in_float32_is_torchs_and_keeps_what_comes_back_in_order():
    numbers = torch.linspace(-2, 2, 24).view(2, 3, 2, 2)
    assert torch.equal(ReLU()(numbers), numbers.clamp(min=0))
    short = numbers.bfloat16().requires_grad_()
    (spread,) = torch.autograd.grad(ReLU()(short).sum(), short)  # the gradient is one number, seen 24 times
    assert torch.equal(spread, (short > 0).bfloat16())
    with pytest.raises(RuntimeError, match="leaf"):
        ReLU(inplace=True)(short)


@pytest.mark.parametrize("last", [Flatten(), AdaptiveAvgPool2d(1)])
def test_gradients_come_back_in_the_order_of_their_pictures(last):
    images = channels_last(torch.randn(2, 6, 5, 5)).requires_grad_()
    orders = []

    def through(layer: nn.Module) -> torch.Tensor:
        active = images.relu()
        answer = layer(active)
        active.register_hook(lambda came: orders.append(came.is_contiguous(memory_format=torch.channels_last)))
        return torch.autograd.grad(answer.square().sum(), images)[0]

    torchs = type(last).__mro__[1]
    plain = torchs() if torchs is nn.Flatten else torchs(1)
    assert torch.equal(through(last), through(plain))
    assert orders == [True, False]


def test_nothing_is_hooked_where_nothing_is_learned():
    images = channels_last(torch.randn(2, 6, 5, 5))
    assert layout.steady(images) is images
    assert not images._backward_hooks
    unordered = torch.randn(2, 6, 5, 5, requires_grad=True)
    assert layout.steady(unordered) is unordered
    assert not unordered._backward_hooks


@pytest.mark.parametrize("name", ["seed-cnn", "resnet18", "mobilenet-v2", "fast", "se-resnet18", "custom"])
def test_every_network_is_built_of_the_quicker_layers(name):
    kinds = {type(layer) for layer in build(name, 3, 3, 32).modules()}
    assert not kinds & set(QUICKER)
    assert Conv2d in {kind for whole in kinds for kind in whole.__mro__}


def test_resnet_pools_before_relu_with_torchvisions_results():
    ours, torchs = build("resnet18", 5, 3, 64).backbone.eval(), resnet18().eval()
    torchs.fc = nn.Identity()
    torchs.load_state_dict(ours.state_dict())
    images = channels_last(torch.randn(2, 3, 64, 64))
    for mine, theirs in zip(gradients(ours, images), gradients(torchs, images), strict=True):
        assert torch.equal(mine, theirs)
