"""Augmentation: the same numbers for the same picture wherever it appears, and pixels that are what the numbers say."""

import dataclasses
import math

import pytest
import torch
from torchvision.transforms.v2 import functional as vision

from imgrec import augment
from imgrec.augment import AUGMENTATIONS, Augmentation, apply, describe, draw, parse, spell
from imgrec.recipe import RecipeError

FULL = {row.name: row.default for row in AUGMENTATIONS.values()}  # everything at once, as switched on
ROWS = pytest.mark.parametrize("name", AUGMENTATIONS)


def pictures(count=6, channels=3, height=12, width=12, low=0.0, high=1.0):
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(4)) * (high - low) + low


def by_hand(images, **values):
    """The images after the same given draws for all of them; a number or a tuple for each row."""
    draws = {name: torch.tensor(value).float().reshape(1, -1) for name, value in values.items()}
    return apply(images, {name: value.repeat(len(images), 1) for name, value in draws.items()})


def numbers(plan=FULL, count=10_000, seed=0, epoch=0):
    return draw(plan, torch.arange(count), seed, epoch)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# The numbers


def test_the_hash_is_splitmix64():
    counters = 1234567 + torch.arange(1, 4) * augment.GOLDEN
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]  # of its reference implementation
    assert [value % 2**64 for value in augment._hash(counters).tolist()] == expected


def test_the_numbers_stay_what_they_are_so_that_old_runs_can_be_repeated():
    drawn = draw({"rotate": 15, "shift": 0.1}, torch.tensor([17]), seed=0, epoch=3)
    assert drawn["rotate"].item() == pytest.approx(3.632558584)
    assert drawn["shift"][0].tolist() == pytest.approx([0.0842762366, 0.0905789360])


def test_seed_epoch_and_position_decide_and_nothing_else():
    torch.manual_seed(0)
    first = numbers(count=50, seed=1, epoch=2)
    torch.manual_seed(1)
    assert equal(first, numbers(count=50, seed=1, epoch=2))
    for other in (numbers(count=50, seed=2, epoch=2), numbers(count=50, seed=1, epoch=3)):
        assert not torch.isclose(first["rotate"], other["rotate"]).any()
    assert equal(numbers(count=2, seed=-5), numbers(count=2, seed=-5))


def test_a_pictures_numbers_and_pixels_do_not_depend_on_its_batch():
    images, indices = pictures(8), torch.tensor([90, 3, 77, 12, 5, 60_000, 1, 0])
    whole, order = draw(FULL, indices, 7, 3), torch.tensor([5, 0, 2])
    part = draw(FULL, indices[order], 7, 3)
    assert equal({name: values[order] for name, values in whole.items()}, part)
    assert torch.allclose(apply(images, whole)[order], apply(images[order], part), atol=1e-5)


@ROWS
def test_one_more_row_leaves_the_other_rows_numbers_alone(name):
    assert torch.equal(numbers({name: FULL[name]}, 20)[name], numbers(FULL, 20)[name])


def test_a_new_row_on_the_shelf_is_drawn_described_and_applied(monkeypatch):
    before = numbers(FULL, 20)
    negative = Augmentation(
        "negative", "Negative", "Black to white.", "probability", 0.5, 1, 0.1, 1,
        draw=lambda uniform, strength: (uniform < strength).float(), say=lambda on: "negative" if on else "",
        kind="pixels", work=lambda images, drawn: torch.where(drawn[:, :, None, None] == 1, 1 - images, images),
    )  # fmt: skip
    monkeypatch.setattr(augment, "AUGMENTATIONS", {"negative": negative, **AUGMENTATIONS})
    after = numbers(parse("negative=1") | FULL, 20)
    assert torch.equal(after.pop("negative"), torch.ones(20, 1))
    assert equal(before, after)
    images, alone = pictures(2), numbers({"negative": 1.0}, 2)
    assert describe(alone, 1) == "negative"
    assert torch.allclose(apply(images, alone), 1 - images)


@ROWS
def test_draws_fill_their_range_evenly(name):
    row = AUGMENTATIONS[name]
    received = []
    spy = dataclasses.replace(row, draw=lambda uniform, strength: received.append(uniform) or uniform)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(AUGMENTATIONS, name, spy)
        numbers({name: row.maximum})
    (uniform,) = received
    assert uniform.shape == (10_000, row.columns)
    for column in uniform.T:
        assert column.min() >= 0
        assert column.max() < 1
        assert torch.histc(column, 10, 0, 1).sub(1000).abs().max() < 150  # 5 standard deviations
    near = torch.cat([uniform[:-1], uniform[1:]], 1)  # other columns, next picture: nothing in common
    assert (torch.corrcoef(near.T) - torch.eye(near.shape[1])).abs().max() < 0.05


def test_strengths_are_the_largest_draws():
    drawn = numbers({name: row.maximum for name, row in AUGMENTATIONS.items()})
    expected = {
        "rotate": (-180, 180), "shear": (-45, 45), "scale": (1 / 1.9, 1.9), "shift": (-0.5, 0.5), "hue": (-180, 180),
        "brightness": (0.1, 1.9), "contrast": (0.1, 1.9), "saturation": (0, 2), "blur": (0, 4),
    }  # fmt: skip
    for name, (low, high) in expected.items():
        assert low <= drawn[name].min() < low + 0.01 * (high - low), name
        assert high >= drawn[name].max() > high - 0.01 * (high - low), name
    assert 0.49 < drawn["noise"][:, 0].max() <= 0.5
    assert 0.79 < drawn["erase"][:, :2].max() <= 0.8
    assert 0.1 <= drawn["crop"][:, 0].min() < 0.11


def test_scale_enlarges_as_often_as_it_shrinks():
    logarithms = numbers({"scale": 0.5})["scale"].log()
    assert (logarithms > 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert logarithms.mean().item() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_flips_happen_with_their_probability(probability):
    drawn = numbers({"flip_horizontal": probability, "flip_vertical": probability})
    for values in drawn.values():
        assert set(values.unique().tolist()) <= {0, 1}
        assert values.mean().item() == pytest.approx(probability, abs=0.02 if 0 < probability < 1 else 0)


@pytest.mark.parametrize("name", ["crop", "erase"])
def test_windows_and_rectangles_stay_inside_the_picture(name):
    drawn = numbers({name: AUGMENTATIONS[name].maximum})[name]
    sides = drawn[:, [0, 0]] if name == "crop" else drawn[:, :2]
    assert drawn.min() >= 0
    assert (drawn[:, -2:] + sides).max() <= 1 + 1e-6


def test_no_two_pictures_are_treated_alike_unless_their_positions_are():
    images = pictures(1).repeat(5, 1, 1, 1)
    different = augment.augment(images, FULL, torch.arange(5), 0, 0)
    alike = augment.augment(images, FULL, torch.full((5,), 3), 0, 0)
    distances = torch.cdist(different.flatten(1), different.flatten(1))
    assert (distances + torch.eye(5) * 99).min() > 0.1
    assert torch.allclose(alike, different[3].expand(5, -1, -1, -1), atol=1e-5)


# The pixels


def test_an_empty_plan_returns_the_same_object():
    images = pictures()
    assert augment.augment(images, {}, torch.arange(6), 0, 0) is images
    assert apply(images, draw({}, torch.arange(6), 0, 0)) is images


@ROWS
@pytest.mark.parametrize("shape", [(3, 12, 12), (1, 12, 12), (3, 7, 15), (1, 2, 3)], ids=str)
def test_every_row_keeps_shape_range_and_its_input(name, shape):
    images = pictures(5, *shape)
    before = images.clone()
    strongest = augment.augment(images, {name: AUGMENTATIONS[name].maximum}, torch.arange(5), 0, 0)
    assert strongest.shape == images.shape
    assert strongest.dtype == torch.float32
    assert torch.equal(images, before)
    assert strongest.min() >= 0
    assert strongest.max() <= 1
    grey = shape[0] == 1 and name in ("saturation", "hue")
    assert torch.allclose(strongest, images, atol=1e-6) == grey


def test_memory_order_does_not_matter():
    images, drawn = pictures(), numbers(count=6)
    assert torch.allclose(
        apply(images.contiguous(memory_format=torch.channels_last), drawn), apply(images, drawn), atol=1e-5
    )


@ROWS
def test_a_draw_that_means_nothing_changes_nothing(name):
    nothing = {"scale": 1, "crop": (1, 0, 0), "brightness": 1, "contrast": 1, "saturation": 1, "shift": (0, 0),
               "noise": (0, 0.3, 0.3), "erase": (0, 0, 0.5, 0.5)}  # fmt: skip
    images = pictures(2, 3, 9, 16)
    assert torch.allclose(by_hand(images, **{name: nothing.get(name, 0)}), images, atol=1e-5)


@pytest.mark.parametrize(("row", "axis"), [("flip_horizontal", 3), ("flip_vertical", 2)])
@pytest.mark.parametrize("side", [7, 32, 225])
def test_flips_are_exact(row, axis, side):
    images = pictures(2, 3, side, side + 4)
    assert torch.equal(by_hand(images, **{row: 1}), images.flip(axis))
    assert torch.allclose(by_hand(images, rotate=0, **{row: 1}), images.flip(axis), atol=1e-4)  # interpolated


def test_flips_and_shifts_only_copy_pixels():
    images = pictures(64, 1, 10, 10)
    after = augment.augment(images, parse("flip_horizontal=0.5,flip_vertical=0.5,shift=0.3"), torch.arange(64), 0, 0)
    assert all(set(new.unique().tolist()) <= set(old.unique().tolist()) for new, old in zip(after, images, strict=True))


@pytest.mark.parametrize(
    "text", ["none", "flip_horizontal=0.5,shift=0.3", "flip_vertical=1,rotate=15,hue=10,noise=0.1"]
)
def test_bytes_become_what_their_floats_would_to_the_bit(text):
    images = torch.randint(0, 256, (16, 3, 9, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plan, kept = parse(text), images.clone()
    after = augment.augment(images, plan, torch.arange(16), 0, 0)
    assert after.dtype == torch.float32
    assert torch.equal(after, augment.augment(images.float() / 255, plan, torch.arange(16), 0, 0))
    assert torch.equal(images, kept)


def test_a_shift_by_whole_pixels_is_a_roll_inside():
    images = pictures(2, 3, 10, 20)
    for extra in ({}, {"rotate": 0}):  # copied, interpolated
        after = by_hand(images, shift=(3 / 20, -2 / 10), **extra)  # right and up
        rolled = images.roll((3, -2), (3, 2))
        assert torch.allclose(after[:, :, :-2, 3:], rolled[:, :, :-2, 3:], atol=1e-5)
        assert torch.allclose(
            after[:, :, :-2, :3], images[:, :, 2:, :3].flip(3), atol=1e-5
        )  # what comes in is mirrored


def test_rotation_is_against_the_clock_and_equals_rot90():
    images = pictures(2, 3, 9, 9)
    for quarters in (1, 2, 3):
        assert torch.allclose(by_hand(images, rotate=90 * quarters), images.rot90(quarters, (2, 3)), atol=1e-4)


def test_rotation_does_not_distort_a_picture_that_is_not_square():
    images = pictures(2, 3, 8, 20)
    square = images[:, :, :, 6:14]
    assert torch.allclose(by_hand(images, rotate=90)[:, :, :, 6:14], square.rot90(1, (2, 3)), atol=1e-4)
    assert torch.allclose(by_hand(images, rotate=180), images.flip(2, 3), atol=1e-4)


def test_shear_leans_to_the_right_by_its_angle():
    images = torch.zeros(1, 1, 21, 41)
    images[..., 20] = 1  # an upright line
    (after,) = by_hand(images, shear=45)[0]
    assert [row.argmax().item() for row in after] == [30 - y for y in range(21)]


def test_scale_enlarges_around_the_centre():
    images = torch.zeros(1, 1, 16, 16)
    images[..., 6:10, 6:10] = 1
    assert by_hand(images, scale=1.5)[0, 0, 8].sum().item() == pytest.approx(6, abs=0.1)
    assert by_hand(images, scale=0.75)[0, 0, 8].sum().item() == pytest.approx(3, abs=0.1)


def test_a_crop_is_the_window_enlarged_and_nothing_from_outside_it():
    ramp = torch.linspace(0, 1, 24).expand(200, 1, 24, 24)
    drawn = numbers({"crop": 0.9}, 200)
    cropped = apply(ramp, drawn)
    side, left, _ = drawn["crop"][:, :, None].unbind(1)
    centres = left + side * (torch.arange(24) + 0.5) / 24  # where the pixels of the window lie: no mirror needed
    expected = ((centres * 24 - 0.5) / 23).clamp(0, 1)
    assert torch.allclose(cropped[:, 0, 5], expected, atol=1e-4)


def test_moves_compose_in_the_order_of_the_shelf():
    images = pictures(2, 3, 9, 9)
    at_once = by_hand(images, rotate=90, flip_horizontal=1, shift=(2 / 9, 0), scale=1, crop=(1, 0, 0))
    turned = images.flip(3).rot90(1, (2, 3))
    assert torch.allclose(at_once[..., 2:], turned[..., :-2], atol=1e-4)


COLOURS = {
    "brightness": vision.adjust_brightness,
    "contrast": vision.adjust_contrast,
    "saturation": vision.adjust_saturation,
}


@pytest.mark.parametrize("factor", [0.3, 0.9, 1.6])
@pytest.mark.parametrize(("name", "truth"), COLOURS.items(), ids=COLOURS)
@pytest.mark.parametrize("channels", [1, 3])
def test_colours_equal_torchvision(name, truth, factor, channels):
    images = pictures(4, channels)  # a factor of 1 changes nothing, 0 is black, mean grey or grey
    assert torch.allclose(by_hand(images, **{name: factor}), truth(images, factor), atol=1e-3)


def test_colours_together_equal_torchvision_one_after_the_other():
    images = pictures(4, low=0.3, high=0.6)  # nothing is clipped on the way
    one_by_one = images
    for truth, factor in zip(COLOURS.values(), (1.2, 0.7, 1.3), strict=True):
        one_by_one = truth(one_by_one, factor)
    assert torch.allclose(by_hand(images, brightness=1.2, contrast=0.7, saturation=1.3), one_by_one, atol=1e-3)


def test_hue_goes_around_the_colour_circle_and_keeps_luma_and_grey():
    images, luma = pictures(4, low=0.4, high=0.6), torch.tensor(augment.LUMA)
    turned = by_hand(images, hue=70)
    assert torch.allclose(torch.einsum("nchw,c->nhw", turned - images, luma), torch.zeros(4, 12, 12), atol=1e-5)
    assert torch.allclose(by_hand(turned, hue=-70), images, atol=1e-5)
    assert not torch.allclose(turned, images, atol=0.02)
    reddish = torch.tensor([0.6, 0.4, 0.4]).view(1, 3, 1, 1)
    assert [by_hand(reddish, hue=angle).argmax().item() for angle in (0, 120, 240)] == [0, 1, 2]
    grey = pictures(2, 1).expand(-1, 3, -1, -1)
    assert torch.allclose(by_hand(grey, hue=100, saturation=0.2), grey, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5])
def test_blur_equals_torchvision_inside(sigma):
    images, reach = pictures(2, 3, 40, 48), int(4 * sigma)
    after, truth = by_hand(images, blur=sigma), vision.gaussian_blur(images, 2 * reach + 1, sigma)
    inside = (..., slice(reach, -reach), slice(reach, -reach))
    assert torch.allclose(after[inside], truth[inside], atol=1e-5)
    assert torch.allclose(by_hand(torch.full((1, 1, 5, 6), 0.7), blur=sigma), torch.tensor(0.7), atol=1e-5)


def test_every_picture_is_blurred_with_its_own_sigma():
    images, drawn = pictures(3), {"blur": torch.tensor([[0.0], [1.0], [3.0]])}
    rough = [picture.std().item() for picture in apply(images, drawn)]
    assert rough[0] == pytest.approx(images[0].std().item())
    assert rough[0] > 2 * rough[1] > 3 * rough[2]


def test_noise_is_normal_and_has_the_drawn_deviation():
    images = torch.full((4, 3, 65, 65), 0.5)
    noise = by_hand(images[:2], noise=(0.05, 0.25, 0.75)) - 0.5
    assert torch.equal(noise[0], noise[1])  # the same key
    assert noise.mean().item() == pytest.approx(0, abs=0.002)
    assert noise.std().item() == pytest.approx(0.05, rel=0.03)
    assert (noise.abs() < 0.05).float().mean().item() == pytest.approx(math.erf(0.5**0.5), abs=0.02)  # 68 %
    assert (noise.abs() > 0.15).float().mean().item() == pytest.approx(0.0027, abs=0.0015)
    drawn = {"noise": numbers({"noise": 0.05}, 4)["noise"]}
    drawn["noise"][:, 0] = 0.05
    values = apply(images, drawn).view(12, -1)  # every picture and channel has noise of its own
    assert (torch.corrcoef(values) - torch.eye(12)).abs().max() < 0.08


def test_erase_covers_exactly_the_drawn_rectangle():
    images = torch.zeros(1, 3, 10, 20)
    after = by_hand(images, erase=(0.25, 0.5, 0.1, 0.3))
    expected = torch.zeros_like(images)
    expected[:, :, 3:8, 2:7] = augment.GREY
    assert torch.equal(after, expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device to compare with the CPU")
def test_the_gpu_draws_the_same_numbers_and_makes_the_same_pixels():
    images, indices = pictures(6, 3, 24, 32), torch.arange(6)
    here, there = draw(FULL, indices, 1, 2), draw(FULL, indices.cuda(), 1, 2)
    assert all(values.is_cuda for values in there.values())
    assert equal(here, {name: values.cpu() for name, values in there.items()})
    truth = apply(images, here)
    for drawn in (here, there):
        assert torch.allclose(apply(images.cuda(), drawn).cpu(), truth, atol=1e-3)


# The words


@pytest.mark.parametrize("text", ["none", "", "  none ", "rotate=0", " , "])
def test_nothing_is_the_empty_plan(text):
    assert parse(text) == {}


def test_spell_is_the_inverse_of_parse():
    assert parse(" shift = 0.1, rotate=15") == {"rotate": 15.0, "shift": 0.1}
    assert spell({"shift": 0.1, "rotate": 15.0, "blur": 0}) == "rotate=15,shift=0.1"
    assert spell({}) == "none"
    for plan in ({}, FULL, {"noise": 0.1 / 3, "crop": 1e-5, "rotate": 180}):
        assert parse(spell(plan)) == plan


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spin=3", ("'spin'", "rotate", "erase")),
        ("rotate=181", ("rotate is 181", "0 to 180")),
        ("shift=-0.1", ("shift is -0.1", "0 to 0.5")),
        ("noise=nan", ("noise is nan", "0 to 0.5")),
        ("blur=much", ("blur is 'much'", "0 to 4")),
        ("rotate", ("'rotate' is not an option", "name=value")),
        ("rotate=", ("'rotate=' is not an option",)),
    ],
)
def test_a_bad_plan_is_refused_with_the_way_to_mend_it(text, words):
    with pytest.raises(RecipeError) as caught:
        parse(text)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("use", [spell, lambda plan: draw(plan, torch.arange(1), 0, 0)])
def test_an_unknown_row_in_a_plan_is_not_passed_over(use):
    with pytest.raises(RecipeError, match="spin"):
        use({"spin": 3.0})


def test_a_picture_is_described_by_its_numbers():
    drawn = {
        "shift": torch.tensor([[0.02, -0.051], [0.0, -0.001]]), "flip_horizontal": torch.tensor([[1.0], [0.0]]),
        "rotate": torch.tensor([[-7.31], [0.01]]), "scale": torch.tensor([[1.1], [1.0]]),
    }  # fmt: skip
    assert describe(drawn, 0) == "flipped · rotate −7.3° · scale ×1.10 · shift +2%, −5%"
    assert describe(drawn, 1) == "rotate +0.0° · scale ×1.00 · shift +0%, +0%"
    assert describe({"flip_vertical": torch.zeros(1, 1)}, 0) == "unchanged"
    assert describe({}, 0) == "unchanged"


@ROWS
def test_every_row_can_be_shown_in_a_form(name):
    row = AUGMENTATIONS[name]
    assert row.name == name
    assert 0 < row.step <= row.default <= row.maximum
    assert row.help.endswith(".")
    assert row.title
    assert row.unit
    assert row.kind in ("copy", "move", "colour", "pixels")
    assert describe(numbers({name: row.maximum}, 1), 0)


@pytest.mark.parametrize("name", ["flip_horizontal", "flip_vertical"])
def test_flips_alternate_so_that_two_epochs_show_both_sides(name):
    where = torch.arange(1000)
    even, odd, next_even = (draw({name: 0.5}, where, 7, epoch)[name][:, 0] for epoch in (4, 5, 6))
    assert torch.equal(odd, 1 - even)
    assert not torch.equal(next_even, even)
    assert all(draw({name: 1.0}, where, 7, epoch)[name].all() for epoch in (0, 1))
    assert draw({name: 0.2}, where, 7, 1)[name].mean().item() == pytest.approx(0.2, abs=0.04)
