"""The drawn shapes: the same seed draws the same, at every size and count; the mask is where the object is."""

import dataclasses

import numpy as np
import pytest

from imgrec.data import open_dataset, shapes
from imgrec.data.dataset import SPLITS
from imgrec.recipe import RecipeError, parse_options

EVERY = range(len(shapes.SHAPES))


def test_a_shorter_set_is_the_beginning_of_a_longer_one():
    few, many = shapes.draw(7), shapes.draw(200)
    for column in dataclasses.fields(shapes.Drawn):
        np.testing.assert_array_equal(getattr(few, column.name), getattr(many, column.name)[:7])


def test_the_same_seed_draws_the_same_and_another_seed_something_else():
    np.testing.assert_array_equal(shapes.draw(12, seed=3).images, shapes.draw(12, seed=3).images)
    first, other = shapes.draw(12, seed=3), shapes.draw(12, seed=4)
    assert all((a != b).mean() > 0.5 for a, b in zip(first.images, other.images, strict=True))


@pytest.mark.parametrize("difficulty", [0.0, 0.4, 1.0])
def test_the_object_lies_whole_inside_the_picture_around_its_centre(difficulty):
    drawn = shapes.draw(120, 64, difficulty)
    y, x = np.mgrid[:64, :64] / 64 + 1 / 128
    for mask, centre, radius in zip(drawn.masks, drawn.centres, drawn.radii, strict=True):
        assert mask.any()
        assert mask[1:-1, 1:-1].sum() == mask.sum()
        assert np.hypot(x - centre[0], y - centre[1])[mask].max() <= radius + 1 / 64


def test_on_an_easy_ground_the_colour_inside_the_mask_is_the_objects():
    drawn = shapes.draw(60, 64, 0.0)
    for image, mask, colour in zip(drawn.images, drawn.masks, drawn.colours, strict=True):
        inside, outside = image[mask].mean(0) / 255, image[~mask].mean(0) / 255
        assert np.abs(inside - colour).max() < 0.05
        assert np.abs(outside - colour).max() > 0.1


def test_another_size_shows_the_same_scene():
    small, large = shapes.draw(60, 32), shapes.draw(60, 96)
    np.testing.assert_array_equal(small.labels, large.labels)
    np.testing.assert_allclose(small.centres, large.centres)
    shrunk = large.masks.reshape(60, 32, 3, 32, 3).mean((2, 4)) > 0.5
    overlap = (shrunk & small.masks).sum((1, 2)) / (shrunk | small.masks).sum((1, 2))
    assert overlap.min() > 0.9
    blurred = large.images.reshape(60, 32, 3, 32, 3, 3).mean((2, 4))
    assert np.abs(blurred - small.images).mean() < 6  # grey levels


def test_harder_means_smaller_paler_and_more_cluttered():
    def contrast(drawn):
        pairs = zip(drawn.images / 255, drawn.masks, strict=True)
        return np.mean([np.abs(image[mask].mean(0) - image[~mask].mean(0)).max() for image, mask in pairs])

    def clutter(drawn):
        return np.mean(
            [image[~mask].std(0).mean() for image, mask in zip(drawn.images / 255, drawn.masks, strict=True)]
        )

    easy, middle, hard = (shapes.draw(120, 48, difficulty) for difficulty in (0.0, 0.5, 1.0))
    assert easy.masks.mean() > 1.3 * middle.masks.mean() > 1.3**2 * hard.masks.mean()
    assert contrast(easy) > 1.1 * contrast(middle) > 1.1**2 * contrast(hard)
    assert clutter(easy) < clutter(middle) < clutter(hard)


def test_every_class_has_its_equal_share_in_every_split():
    dataset = open_dataset("shapes")
    assert len(dataset) == 3000
    assert {int((dataset.labels == label).sum()) for label in EVERY} == {500}
    for split in SPLITS:
        counts = np.bincount(dataset.labels[dataset.indices(split)])
        assert counts.max() - counts.min() <= 1


def test_each_picture_differs_from_every_other():
    images = open_dataset("shapes").images
    assert len({image.tobytes() for image in images}) == len(images)


def test_the_name_is_short_ordered_and_opens_the_same_set():
    assert shapes.name() == "shapes"
    assert shapes.name(difficulty=0.4, size=32, seed=0) == "shapes"
    name = shapes.name(seed=5, size=48, count=60)
    assert name == "shapes:size=48,count=60,seed=5"
    np.testing.assert_array_equal(open_dataset(name).images, shapes.dataset(48, count=60, seed=5).images)
    assert shapes.parse(parse_options(name.partition(":")[2])) == {
        "size": 48,
        "difficulty": 0.4,
        "count": 60,
        "seed": 5,
    }


@pytest.mark.parametrize(("word", "value"), shapes.DIFFICULTIES.items())
def test_difficulty_may_be_a_word(word, value):
    assert shapes.parse({"difficulty": word})["difficulty"] == value


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("size", 16, "size is 16"),
        ("size", "large", "size is 'large'"),
        ("size", 999, "from 32 to 128"),
        ("difficulty", 1.5, "from 0 to 1"),
        ("difficulty", "nan", "difficulty is nan"),
        ("difficulty", "brutal", "difficulty is 'brutal'"),
        ("count", 10**9, "from 60 to 10000"),
        ("seed", -1, "seed is -1"),
        ("colour", "red", "Unknown option colour"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_its_range(option, value, words):
    with pytest.raises(RecipeError, match=words):
        shapes.parse({option: value})
