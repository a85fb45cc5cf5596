"""The recipe keeps out what cannot be trained, in words that say how to mend it."""

import dataclasses
import math

import pytest

from imgrec.recipe import FIELDS, OTHER_NAMES, PRESETS, Recipe, RecipeError, parse_options


def test_a_recipe_survives_json():
    recipe = Recipe(dataset="shapes:size=64", epochs=3, learning_rate=0.1, augment="rotate=15")
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0), ("epochs", 1001), ("epochs", 2.5), ("epochs", True), ("epochs", "many"), ("epochs", math.nan), ("epochs", math.inf), ("learning_rate", math.nan),
        ("learning_rate", math.inf), ("learning_rate", 0), ("batch_size", -1), ("resize", "stretch"), ("model", 3), ("seed", None),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(field, value):
    with pytest.raises(RecipeError, match=field):
        Recipe(**{field: value})


def test_the_message_says_what_to_give():
    with pytest.raises(RecipeError, match=r"epochs is 0; give a whole number from 1 to 1000\."):
        Recipe(epochs=0)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"epoch": 3}', '{"epochs": "x"}', "null", "3"])
def test_json_that_is_no_recipe_is_refused(text):
    with pytest.raises(RecipeError):
        Recipe.from_json(text)


def test_given_values_win_over_the_preset():
    assert Recipe.from_values({"epochs": 2}, "quick").epochs == 2
    assert Recipe.from_values({}, "quick").epochs == PRESETS["quick"]["epochs"]
    with pytest.raises(RecipeError, match="preset"):
        Recipe.from_values({}, "magic")


def test_every_setting_tells_people_what_it_is():
    for field in dataclasses.fields(Recipe):
        assert field.metadata["title"], field.name
        assert field.metadata["help"].endswith("."), field.name


def test_options_are_read_and_refused():
    assert parse_options(" a=1, b = x ,") == {"a": "1", "b": "x"}
    for text in ("a", "=1", "a="):
        with pytest.raises(RecipeError, match="name=value"):
            parse_options(text)


@pytest.mark.parametrize(("wrong", "meant"), [("lr", "learning_rate"), ("epoch", "epochs"), ("batchsize", "batch_size"), ("optimizer", "optimiser")])  # fmt: skip
def test_a_setting_by_another_name_is_told_its_own(wrong, meant):
    with pytest.raises(RecipeError, match=rf"Unknown setting {wrong}\. Did you mean {meant}\?"):
        Recipe.from_values({wrong: 1})
    with pytest.raises(RecipeError, match=r"Unknown setting zzz\. The settings are"):
        Recipe.from_values({"zzz": 1})
    assert all(name in FIELDS for name in OTHER_NAMES.values())
