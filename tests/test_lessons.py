"""Every number a lesson shows equals torch's."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_pages import open_page, texts
from torch.nn import functional

from imgrec.lessons import convolution, gradient, invariance, network, optimisers, pixels, pooling, softmax
from imgrec.models import build
from imgrec.predict import Predictor, predictor

PICTURE = np.random.default_rng(0).random((13, 17))


@pytest.mark.parametrize("channels", [0, 1, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_convolution_equals_torch_and_every_window_its_place(channels, size, stride, padding, dilation):
    draws = np.random.default_rng(1)
    shape = (channels,) if channels else ()  # 0: a plain picture without a channel axis
    picture, kernel = draws.random((*shape, 13, 17)), draws.normal(size=(*shape, size, size))
    ours = convolution.convolve(picture, kernel, stride, padding, dilation)
    theirs = functional.conv2d(
        *(torch.tensor(array).reshape(1, max(1, channels), *array.shape[-2:]) for array in (picture, kernel)),
        stride=stride, padding=padding, dilation=dilation,
    )  # fmt: skip
    assert np.allclose(ours, theirs[0, 0].numpy())
    assert ours.shape == tuple(convolution.output_size(n, size, stride, padding, dilation) for n in (13, 17))
    for row, column in ((0, 0), (ours.shape[0] - 1, ours.shape[1] - 1)):
        step = convolution.window(picture, kernel, row, column, stride, padding, dilation)
        assert step.seen.shape == step.products.shape == kernel.shape
        assert step.total == pytest.approx(ours[row, column])
        assert step.products.sum() == pytest.approx(step.total)


@pytest.mark.parametrize(("layers", "size", "stride", "dilation"), [(1, 3, 1, 1), (3, 3, 1, 1), (2, 3, 2, 1), (3, 2, 2, 2), (2, 5, 1, 3)])  # fmt: skip
def test_what_a_number_sees_through_several_convolutions_is_where_its_gradient_can_be(layers, size, stride, dilation):
    seen = convolution.receptive_field(layers, size, stride, dilation)
    picture = torch.rand(1, 1, seen, seen, requires_grad=True)
    result = picture
    for _ in range(layers):
        result = functional.conv2d(result, torch.rand(1, 1, size, size) + 0.1, stride=stride, dilation=dilation)
    assert result.shape[-2:] == (1, 1)  # the least picture that gives one number
    result.sum().backward()
    corners = picture.grad[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners != 0).all()


def test_relu_and_pooling_equal_torch():
    values = torch.tensor(PICTURE - 0.5)
    assert np.array_equal(convolution.relu(values.numpy()), functional.relu(values).numpy())
    for size in (2, 3):
        assert np.array_equal(pooling.pool(values.numpy(), size), functional.max_pool2d(values[None], size)[0].numpy())


def test_a_kernel_larger_than_the_picture_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        convolution.convolve(np.zeros((2, 2)), np.zeros((3, 3)))


# Pixels


def test_normalising_by_its_own_statistics_gives_mean_zero_and_deviation_one():
    picture = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
    mean, deviation = pixels.statistics(picture[None])
    values = torch.from_numpy(picture).double() / 255
    assert np.allclose(mean, values.mean((0, 1)))
    assert np.allclose(deviation, values.std((0, 1), correction=0))
    after = pixels.normalise(picture / 255, mean, deviation)
    assert np.allclose(after.mean((0, 1)), 0)
    assert np.allclose(after.std((0, 1)), 1)


def test_a_channel_alone_and_a_window_that_stays_inside():
    picture = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
    alone = pixels.channel(picture, 1)
    assert np.array_equal(alone[..., 1], picture[..., 1])
    assert not alone[..., [0, 2]].any()
    assert np.array_equal(pixels.cut(picture, 99, -5, 4), picture[8:12, 0:4])


# Softmax


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_softmax_and_losses_equal_torchs(temperature):
    logits = np.array([2.0, -1.0, 0.3, 0.0])
    steps = softmax.softmax(logits, temperature)
    tensor = torch.tensor(logits) / temperature
    assert np.allclose(steps.probabilities, tensor.softmax(0))
    assert np.allclose(steps.exponents / steps.total, steps.probabilities)
    for target in range(4):
        assert softmax.cross_entropy(steps.probabilities, target) == pytest.approx(
            functional.cross_entropy(tensor[None], torch.tensor([target])).item()
        )
        one_hot = functional.one_hot(torch.tensor(target), 4).double()
        assert softmax.squared_error(steps.probabilities, target) == pytest.approx(
            functional.mse_loss(tensor.softmax(0), one_hot).item()
        )
    with pytest.raises(ValueError, match="above 0"):
        softmax.softmax(logits, 0)


# Gradient


@pytest.mark.parametrize("loss", gradient.LOSSES)
def test_one_step_by_hand_is_one_step_of_torch(loss):
    draws = np.random.default_rng(3)
    weights, biases, inputs = draws.normal(size=(3, 4)), draws.normal(size=3), draws.normal(size=4)
    step = gradient.step(inputs, 2, weights, biases, 0.3, loss)
    layer = torch.nn.Linear(4, 3).double()
    layer.weight.data, layer.bias.data = torch.tensor(weights), torch.tensor(biases)
    logits = layer(torch.tensor(inputs)[None])
    theirs = {
        "Cross-entropy": functional.cross_entropy(logits, torch.tensor([2])),
        "Mean squared error": functional.mse_loss(logits.softmax(1), torch.eye(3).double()[2:]),
    }[loss]
    theirs.backward()
    assert step.loss == pytest.approx(theirs.item())
    assert np.allclose(step.weights_gradient, layer.weight.grad)
    assert np.allclose(step.blame, layer.bias.grad)
    torch.optim.SGD(layer.parameters(), 0.3).step()
    assert np.allclose(step.new_weights, layer.weight.detach())
    assert np.allclose(step.new_biases, layer.bias.detach())
    taken = gradient.steps(inputs, 2, weights, biases, 0.3, 10, loss)
    losses = [done.loss for done in taken]
    assert len(losses) == 10
    assert losses[0] == pytest.approx(step.loss)
    assert losses == sorted(losses, reverse=True)
    assert np.array_equal(taken[1].logits, step.new_weights @ inputs + step.new_biases)


def test_an_answer_that_is_surely_wrong_gets_little_blame_from_the_squared_error():
    weights, inputs = np.array([[8.0], [0.0]]), np.ones(1)
    least, most = (abs(gradient.step(inputs, 1, weights, np.zeros(2), 1.0, loss).blame[1]) for loss in reversed(gradient.LOSSES))  # fmt: skip
    assert most > 100 * least


# Optimisers


@pytest.mark.parametrize("surface", optimisers.SURFACES.values(), ids=optimisers.SURFACES)
def test_the_formula_that_a_lesson_gives_is_the_surface_it_shows(surface):
    x, y = np.random.default_rng(0).normal(size=(2, 20))
    assert eval(surface.formula, {"x": x, "y": y}) == pytest.approx(surface.height(x, y))


def test_gradient_descent_on_the_bowl_by_hand_and_every_racer_moves_downhill():
    bowl = optimisers.SURFACES["bowl"]
    path = optimisers.path(bowl, "Gradient descent", 0.1, 5)
    for number in range(6):
        assert np.allclose(path[number, :2], np.array(bowl.start) * 0.8**number)
    for racer in optimisers.RACERS:
        path = optimisers.path(bowl, racer, 0.05, 100)
        assert path[:, 2].min() < 0.05 * path[0, 2]
        assert np.allclose(path[:, 2], bowl.height(path[:, 0], path[:, 1]))


def test_a_rate_too_big_flies_off_a_right_one_arrives_and_the_marked_points_are_the_lowest():
    ravine = optimisers.SURFACES["ravine"]
    assert optimisers.fate(ravine, optimisers.path(ravine, "Gradient descent", 0.8, 60)) == "flew off"
    assert optimisers.fate(ravine, optimisers.path(ravine, "Gradient descent", 0.001, 60)) == "on its way"
    assert optimisers.fate(ravine, optimisers.path(ravine, "Adam", 0.1, 100)) == "arrived"
    for surface in optimisers.SURFACES.values():
        axis, heights = optimisers.heights(surface, 401)
        for x, y in surface.lowest:
            assert surface.height(x, y) == pytest.approx(heights.min(), abs=0.02)
        assert heights[10, 20] == pytest.approx(surface.height(axis[20], axis[10]))


@pytest.mark.parametrize("surface", optimisers.SURFACES.values(), ids=optimisers.SURFACES)
def test_the_limit_of_gradient_descent_is_two_over_the_curvature(surface):
    limit = 2 / optimisers.curvature(surface)
    beside = tuple(np.add(surface.lowest[0], (1e-3, 5e-4)))
    for rate, comes in ((0.95 * limit, True), (1.05 * limit, False)):
        passed = optimisers.path(replace(surface, start=beside), "Gradient descent", rate, 80)
        away = np.linalg.norm(passed[-1, :2] - passed[-2, :2])
        assert (away < 1e-4) == comes


def test_the_share_of_right_answers_is_counted_at_each_value_of_a_change():
    pictures = np.stack([np.full((4, 4, 1), grey, np.uint8) for grey in (60, 100, 200)])
    bright = lambda images: np.eye(2)[(images.mean((1, 2, 3)) > 90).astype(int)]  # noqa: E731
    shares = invariance.right_answers(bright, pictures, np.array([0, 1, 1]), "dim")
    found = dict(zip(invariance.CHANGES["dim"].values, shares, strict=True))
    assert found[1.0] == 1
    assert found[0.4] == pytest.approx(1 / 3)  # 24, 40, 80: all dark
    assert found[0.5] == found[2.0] == pytest.approx(2 / 3)  # 30, 50, 100; 120, 200, 255


def test_noise_is_drawn_from_its_seed():
    bowl = optimisers.SURFACES["bowl"]
    one, again, other = (optimisers.path(bowl, "Momentum", 0.05, 20, 0.5, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_slice_through_a_network_has_its_losses_and_its_lowest_point(model, digits):
    place = digits.indices("validation")[:64]
    images = model.passport.preprocess.normalise(
        torch.from_numpy(digits.images[place]).permute(0, 3, 1, 2).float() / 255
    )
    labels = torch.from_numpy(digits.labels[place]).long()
    untrained = build("seed-cnn", len(digits.classes), 1, 8, seed=1)
    surface = optimisers.slice_of(untrained, model.model, images, labels)
    with torch.no_grad():
        for x, network in ((-1.0, untrained), (1.0, model.model)):
            loss = torch.nn.functional.cross_entropy(network(images), labels).item()
            assert surface.height(np.array(x), np.array(0.0)) == pytest.approx(loss, rel=1e-4)
    axis, heights = optimisers.heights(surface, 21)
    assert heights[5, 8] == pytest.approx(surface.height(axis[8], axis[5]), rel=1e-6)
    assert float(surface.height(*map(np.array, surface.lowest[0]))) == pytest.approx(heights.min(), abs=1e-6)
    raced = optimisers.path(surface, "Adam", 0.1, 60)
    assert tuple(raced[0, :2]) == surface.start
    assert optimisers.fate(surface, raced) == "arrived"
    x = torch.tensor(surface.start, dtype=torch.float64, requires_grad=True)
    surface.height(x[0], x[1]).backward()
    step = 1e-2
    for axis in range(2):
        shift = np.eye(2)[axis] * step
        up, down = (float(surface.height(*(np.array(surface.start) + sign * shift))) for sign in (1, -1))
        assert x.grad[axis].item() == pytest.approx((up - down) / (2 * step), rel=0.05)


# Pooling


@pytest.mark.parametrize("size", [2, 3, 4])
def test_pooling_equals_torchs(size):
    values = np.random.default_rng(0).normal(size=(11, 13))
    tensor = torch.tensor(values)[None, None]
    assert np.allclose(pooling.pool(values, size, "largest (max)"), functional.max_pool2d(tensor, size)[0, 0])
    assert np.allclose(pooling.pool(values, size, "mean (average)"), functional.avg_pool2d(tensor, size)[0, 0])
    assert pooling.pool(values, size)[1, 2] == pooling.block(values, 1, 2, size).max()


def test_activations_equal_torchs():
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    theirs = {
        "relu": functional.relu, "leaky": lambda v: functional.leaky_relu(v, 0.1), "gelu": functional.gelu,
        "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    }  # fmt: skip
    for name, row in pooling.ACTIVATIONS.items():
        assert np.allclose(row.work(x.numpy()), theirs[name](x))


def test_a_shift_moves_and_lets_the_edge_in():
    values = np.arange(1.0, 13).reshape(3, 4)
    assert np.array_equal(pooling.shifted(values, 1, -1)[1:, :3], values[:2, 1:])
    assert np.array_equal(pooling.shifted(values, 1, -1)[0, :3], values[0, 1:])  # the edge comes in
    assert np.array_equal(pooling.shifted(values, -2, 0)[-1], values[-1])
    assert pooling.kept(values, values) == pooling.kept(values, 3 * values + 1) == pytest.approx(1)
    assert pooling.kept(values, np.zeros_like(values)) == 0
    assert pooling.kept(values, -values) == pytest.approx(-1)
    flat = pooling.convolved(np.full((6, 6), 0.7), convolution.KERNELS["Edges, vertical"])
    assert np.allclose(flat, 0)  # an even picture has no edge, at its rim neither


def test_a_score_is_a_row_of_a_dense_layer():
    layer = torch.nn.Linear(64, 10).double()
    x = torch.randn(64, dtype=torch.float64)
    rows = zip(layer(x).tolist(), layer.weight.detach().numpy(), layer.bias.tolist(), strict=True)
    for logit, weights, bias in rows:
        found = softmax.score(x.numpy(), weights, bias)
        assert found.total == pytest.approx(logit)
        assert found.above + found.below + bias == pytest.approx(logit)
        assert found.above >= 0 >= found.below


# A whole network


@pytest.mark.parametrize("name", ["seed-cnn", "se-resnet18", "fast-small", "mobilenet-v3-small"])
def test_every_number_of_a_convolution_is_the_sum_that_the_lesson_shows(name):
    model = build(name, 5, 3, 32, seed=1).eval()
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found, checked = network.layers(model, image), 0
    assert np.allclose(found[-1].values, model(image).detach()[0], atol=1e-5)
    for layer in found:
        if layer.values.ndim != 3:
            continue
        maps, height, width = layer.values.shape
        for number, row, column in ((0, 0, 0), (maps - 1, height - 1, width - 1), (maps // 2, height // 2, width // 2)):
            origin = network.origin(layer, number, row, column)
            if origin is not None:
                assert origin.total == pytest.approx(float(layer.values[number, row, column]), abs=1e-3)
                checked += 1
    assert checked > 5


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v3-small"])
def test_what_a_layer_gave_is_shown_though_a_later_one_writes_over_it(name):
    """torchvision's activations work in place, and so does a shortcut."""
    model = build(name, 5, 3, 64, seed=1).eval()
    found = network.layers(model, torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    followed = 0
    for index, layer in enumerate(found):
        if layer.kind == "BatchNorm2d":
            with torch.no_grad():
                again = (
                    layer.module(torch.from_numpy(layer.given)[None])[0]
                    if len(layer.given) == layer.module.num_features
                    else None
                )
            assert again is None or np.allclose(layer.values, again, atol=1e-4), layer.name
        elif layer.kind in ("ReLU", "Hardswish"):
            assert (layer.given < 0).any(), layer.name
        before = network.source(found, index)
        if before is not None:
            assert np.array_equal(found[before].values, layer.given)
            followed += 1
    assert network.source(found, 0) is None
    assert followed > len(found) // 2


def test_the_wires_of_a_network_are_its_weights():
    model = build("seed-cnn", 5, 3, 32, seed=1).eval()
    found = network.layers(model, torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    kinds = [layer.kind for layer in found]
    first, second = (index for index, kind in enumerate(kinds) if kind == "Conv2d")
    dense = kinds.index("Linear")
    assert network.fed_by(found, first) == -1
    lengths = found[first].module.weight[[1, 4]].detach().flatten(2).norm(dim=2)
    assert np.allclose(network.wires(found, first, [1, 4], 3, range(3)), lengths / lengths.max(), atol=1e-6)
    assert network.fed_by(found, second) == second - 1
    lengths = found[second].module.weight[:5].detach().flatten(2).norm(dim=2)[:, [2, 30]]
    assert np.allclose(network.wires(found, second, range(5), 32, [2, 30]), lengths / lengths.max(), atol=1e-6)
    maps = len(found[network.fed_by(found, dense)].values)  # of what was laid out in a row, map by map
    weights = found[dense].module.weight[[3, 90]].detach()
    lengths = torch.stack([part.norm(dim=1) for part in weights.chunk(maps, 1)], 1)[:, [0, 63]]
    assert np.allclose(network.wires(found, dense, [3, 90], maps, [0, 63]), lengths / lengths.max(), atol=1e-6)
    pool = kinds.index("MaxPool2d")
    assert np.array_equal(network.wires(found, pool, [1, 2], 32, [2, 3]), [[0, 0], [1, 0]])


def test_of_a_convolution_in_groups_only_a_maps_own_group_has_wires():
    layer = torch.nn.Conv2d(6, 4, 3, groups=2)
    found = network.layers(torch.nn.Sequential(layer), torch.randn(1, 6, 8, 8))
    strengths = network.wires(found, 0, range(4), 6, range(6))
    lengths = layer.weight.detach().flatten(2).norm(dim=2).numpy()
    assert np.allclose(strengths[:2, :3], lengths[:2] / lengths.max())
    assert np.allclose(strengths[2:, 3:], lengths[2:] / lengths.max())
    assert not strengths[:2, 3:].any()
    assert not strengths[2:, :3].any()


def test_of_many_numbers_those_that_matter_are_shown_and_the_chosen_one():
    found = network.layers(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU()), torch.tensor([[[[-1.0, 3, 0, 2, 1, 5]]]])
    )
    assert network.shown_of(found[-1], 3) == [1, 3, 5]
    assert network.shown_of(found[-1], 3, also=2) == [1, 2, 5]
    assert network.shown_of(found[-1], 3, also=9) == [1, 3, 5]
    maps = network.layers(torch.nn.Sequential(torch.nn.Conv2d(1, 9, 1)), torch.randn(1, 1, 4, 4))[0]
    assert network.shown_of(maps, 3) == [0, 1, 2]
    assert network.shown_of(maps, 3, also=7) == [0, 1, 7]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v3-small", "googlenet", "vit-b-16"])
def test_wires_lead_to_layers_before(name):
    model = build(name, 5, 3, 64, seed=1).eval()
    found = network.layers(model, torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    for index, layer in enumerate(found):
        before = network.fed_by(found, index)
        assert before is None or -1 <= before < index
        maps = len(found[before].values) if before is not None and before >= 0 else len(layer.given)
        into = network.shown_of(layer, 8)
        strengths = network.wires(found, index, into, maps, range(min(8, maps)))
        assert strengths.shape == (len(into), min(8, maps))
        assert 0 <= strengths.min() <= strengths.max() <= 1 + 1e-6


def test_the_receptive_field_is_where_the_gradient_is_not_zero():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.MaxPool2d(2), torch.nn.Conv2d(1, 1, 3, 2, dilation=2), torch.nn.AvgPool2d(2)
    )  # fmt: skip
    for weights in model.parameters():
        weights.data.uniform_(0.5, 1)
    image = torch.rand(1, 1, 40, 40, requires_grad=True)
    found = network.layers(model, image)
    reached = image
    for index, layer in enumerate(model):
        reached = layer(reached)
        rows = columns = reached.shape[-1] // 2
        seen = torch.autograd.grad(functional.avg_pool2d(reached, 1)[0, 0, rows, columns], image, retain_graph=True)[0][
            0, 0
        ]
        top, left, height, width = network.receptive_field(found, index, rows, columns)
        inside = seen[top : top + height, left : left + width]
        assert (inside != 0).any()
        assert seen.count_nonzero() == inside.count_nonzero()  # max pooling lets only some of it through
    assert (height, width) == (16, 16)  # 2 → 7 → 14 → 16


def test_where_several_ways_meet_no_receptive_field_is_claimed_and_the_largest_of_a_map_sees_it_whole():
    image = torch.rand(1, 3, 64, 64)
    residual = network.layers(build("resnet18", 10, 3, 64).eval(), image)
    fields = [network.receptive_field(residual, i, 0, 0) for i, layer in enumerate(residual) if layer.values.ndim == 3]
    assert fields[0] == (0, 0, 4, 4)  # 7 × 7, cut off at the corner
    assert None in fields
    assert all(field is None or min(field[2:]) > 0 for field in fields)
    fast = network.layers(build("fast", 10, 3, 32).eval(), torch.rand(1, 3, 32, 32))
    pool = next(i for i, layer in enumerate(fast) if isinstance(layer.module, torch.nn.AdaptiveMaxPool2d))
    assert network.receptive_field(fast, pool, 0, 0) == (0, 0, 32, 32)


# What the pages say


def test_a_layer_has_as_many_weights_as_the_lesson_counts_and_shares_them():
    test = open_page("learn_convolution.py", kernel_name="Learned by a network", kernel_run="shapes-seed-cnn")
    first = next(layer for layer in predictor("shapes-seed-cnn").model.modules() if isinstance(layer, torch.nn.Conv2d))
    told = texts(test)
    assert f"32 × (3 × 3 × 3) + 32 = {first.weight.numel() + first.bias.numel()} weights" in told
    dense = torch.nn.Linear(24 * 24 * 3, first.out_channels * 24 * 24, device="meta")
    assert f"the same {dense.out_features:,} has a weight for every pair of them: {dense.weight.numel():,}." in told
    by_hand = texts(open_page("learn_convolution.py", stride=3))
    assert "32 × (3 × 3 × 1) + 32 = 320 weights" in by_hand
    assert "moves by 3 pixels, the map moves by one cell" in by_hand
    assert "cross-correlation" in by_hand
    assert "32 × (3 × 3 × 3) + 32 = 896 weights" in texts(open_page("learn_convolution.py", in_colour=True))


def test_a_learned_kernel_was_learned_whatever_was_trained_last(own_copy, workspace):
    (workspace / "runs" / own_copy).rename(workspace / "runs" / "2099-01-01_0000_fast_mine")
    test = open_page("learn_convolution.py", kernel_name="Learned by a network")
    box = test.selectbox(key="kernel_run")
    assert "2099-01-01_0000_fast_mine" in box.options
    assert box.value == "shapes-seed-cnn"
    assert any("training found it" in caption.value for caption in test.caption)


@pytest.mark.parametrize("layers", [1, 5])
def test_the_sum_of_a_receptive_field_is_broken_into_lines_and_right(layers):
    test = open_page("learn_convolution.py", field_layers=layers, stride=3, dilation=2)
    formula = test.latex[-1].value
    lines = re.split(r"\\\\\[[.\d]+em\]", formula)
    terms = [np.prod([int(number) for number in re.findall(r"\d+", term)]) for term in " ".join(lines[1:-1]).split("+")]
    assert sum(terms) == convolution.receptive_field(layers, 3, 3, 2)
    assert f"= {convolution.receptive_field(layers, 3, 3, 2)} " in lines[-1]
    assert max(line.count("+") for line in lines) <= 2


@pytest.mark.parametrize(
    ("run", "said"),
    [("shapes-seed-cnn", [f"Window in the picture's {colour}" for colour in ("red", "green", "blue")]), ("digits-seed-cnn", ["Window in the picture"])],
)  # fmt: skip
def test_the_maps_before_the_first_layer_are_the_picture(run, said):
    test = open_page("learn_network.py", {"run": run})
    assert sorted(c.value for c in test.caption if "Window" in c.value) == sorted(said)
    second = open_page("learn_network.py", {"run": run}, **{f"layer {run}": 3})
    assert sum("Window in map" in c.value for c in second.caption) == 3


def test_pooling_before_relu_is_named_with_what_it_saves():
    values = torch.randn(1, 4, 8, 8)
    one, other = (functional.max_pool2d(functional.relu(values), 2), functional.relu(functional.max_pool2d(values, 2)))
    assert torch.equal(one, other)
    assert "max pooling comes before ReLU" in texts(open_page("learn_network.py", {"run": "shapes-seed-cnn"}))
    assert "only 25% of the numbers" in texts(open_page("learn_network.py", {"run": "digits-seed-cnn"}))


def kinds_on_the_page(run):
    test = open_page("learn_network.py", {"run": run})
    [layer] = [slider for slider in test.select_slider if slider.key == f"layer {run}"]
    return [re.sub(r"\d+\. |,.*", "", option) for option in layer.options]


def test_layers_are_named_in_words_in_every_language():
    kinds = kinds_on_the_page("shapes-seed-cnn")
    assert kinds == [
        "Convolution",
        "Max pooling",
        "ReLU",
        "Convolution",
        "Max pooling",
        "ReLU",
        "Dense",
        "ReLU",
        "Dense",
    ]
    assert set(kinds_on_the_page("cifar10-fast")) == {"Convolution", "Max pooling", "Batch norm", "GELU", "Dense"}
    chinese = texts(open_page("learn_network.py", {"run": "shapes-seed-cnn"}, language="zh_CN"))
    assert "卷积" in chinese
    assert not re.search("Conv|MaxPool", chinese)


def drawn(test):
    """Of each chart its layout and its lines."""
    specs = [json.loads(chart.proto.spec) for chart in test.get("plotly_chart")]
    return [(spec["layout"], spec["data"]) for spec in specs]


def test_two_networks_are_compared_class_by_class_in_the_same_colours(own_copy, monkeypatch):
    """Although their classes may come in another order, and each is sure of other ones."""

    def recalled(self, images):
        turned = 3 if self.name == "digits-seed-cnn" else 7
        sure = np.array([(turned * int(name) + 1) % 10 for name in self.classes], float)
        return np.tile(sure / sure.sum(), (len(images), 1))

    monkeypatch.setattr(Predictor, "recalled", recalled)
    monkeypatch.setattr(Predictor, "classes", property(lambda self: self.passport.classes[:: -1 if self.name == own_copy else 1]))  # fmt: skip
    test = open_page("learn_invariance.py", {"run": "digits-seed-cnn"})
    assert not test.exception
    assert test.selectbox(key="invariance_other").value == own_copy
    (_, left), (_, right), (_, many) = drawn(test)
    assert [line["name"] for line in many[:2]] == ["digits-seed-cnn", own_copy]
    assert [(line["name"], line["line"]["color"]) for line in left] == [(line["name"], line["line"]["color"]) for line in right]  # fmt: skip
    for lines, turned in ((left, 3), (right, 7)):
        assert [line["y"][0] for line in lines] == pytest.approx([(turned * int(line["name"]) + 1) % 10 / 45 for line in lines])  # fmt: skip


def test_two_trainings_are_drawn_on_one_scale_that_holds_both():
    test = open_page("learn_fitting.py", fit_count_A=10, fit_count_B=10, fit_model_B="softmax-regression")
    (one, few), (other, many) = drawn(test)
    assert one["yaxis"]["range"] == other["yaxis"]["range"]
    most = max(max(line["y"]) for line in few + many)
    assert one["yaxis"]["range"] == pytest.approx([0, 1.05 * most])


def test_one_network_is_trained_with_every_number_of_pictures_when_asked():
    test = open_page("learn_fitting.py", fit_model_A="softmax-regression", fit_count_A=10, fit_count_B=10)
    assert len(drawn(test)) == 2
    test.toggle(key="fit_many").set_value(True).run()
    assert not test.exception
    *_, (axes, (known, others)) = drawn(test)
    assert axes["xaxis"]["type"] == "log"
    assert known["x"] == [10, 20, 50, 100, 200, 500, 1000]
    assert others["y"][-1] > others["y"][0] + 0.1
    assert known["y"][0] == 1


def test_how_alike_a_map_stays_is_drawn_for_every_shift_and_marked_at_this_one():
    test = open_page("learn_pooling.py", shift_right=2)
    *_, (_, (without, behind, here)) = drawn(test)
    assert [without["y"][8], behind["y"][8]] == pytest.approx([1, 1])  # not shifted
    assert here["x"] == [2]
    assert here["y"] == [behind["y"][10]]
    assert f"{behind['y'][10]:.0%}" in [metric.value for metric in test.metric]


def test_the_loss_is_marked_on_its_curve_however_small_the_probability():
    test = open_page("learn_softmax.py", softmax_temperature=0.2, softmax_target=2)
    _, (curve, square, here) = next(chart for chart in drawn(test) if len(chart[1]) == 3)
    assert curve["x"][0] == pytest.approx(here["x"][0])
    assert curve["y"][0] == pytest.approx(here["y"][0])
    assert square["y"][0] == pytest.approx((1 - here["x"][0]) ** 2)
    assert curve["y"][-1] == 0
