"""Several values of a setting: what they are read as, which recipes come of them, and what the runs say together."""

import itertools
from dataclasses import replace

import pytest

from imgrec import jobs, queue, runs, sweep, trainings
from imgrec.recipe import Recipe, RecipeError
from imgrec.runs import Notes, RunError, list_runs


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("learning_rate", "0.01, 1e-3,,0.01", [0.01, 0.001]),
        ("epochs", "5", [5]),
        ("freeze", "none, gradual", ["none", "gradual"]),
        ("model", "seed-cnn,fast", ["seed-cnn", "fast"]),
        ("model", "custom:conv 32,relu,dense 8", ["custom:conv 32,relu,dense 8"]),
        ("augment", "rotate=15,shift=0.1", ["rotate=15,shift=0.1"]),
        ("dataset", "shapes:size=64,difficulty=hard", ["shapes:size=64,difficulty=hard"]),
    ],
)
def test_commas_part_values_except_where_they_mean_something_else(name, text, values):
    assert sweep.parse(name, text) == values


@pytest.mark.parametrize(("name", "text"), [("epochs", "5,x"), ("epochs", "1.5"), ("epochs", "0,1"), ("learning_rate", ","), ("freeze", "all"), ("learning_rate", "nan")])  # fmt: skip
def test_a_value_that_cannot_be_is_named(name, text):
    with pytest.raises(RecipeError, match=name):
        sweep.parse(name, text)


@pytest.mark.parametrize("name", sweep.SEVERAL)
def test_what_is_suggested_for_a_setting_can_be_given_to_it_and_holds_the_value_there_is(name):
    for value in dict.fromkeys([getattr(Recipe(), name), *sweep.suggest(name, getattr(Recipe(), name))]):
        found = sweep.suggest(name, value)
        assert value in found
        assert len(set(found)) == len(found)
        assert [getattr(Recipe(**{name: each}), name) for each in found] == found


def test_every_combination_is_a_recipe_and_nothing_else_changes():
    recipe = Recipe(epochs=3, batch_size=64)
    lists = {"learning_rate": [0.1, 0.01], "seed": [0, 1, 2]}
    found = sweep.recipes(recipe, lists)
    assert [(r.learning_rate, r.seed) for r in found] == list(itertools.product(*lists.values()))
    assert {replace(r, learning_rate=recipe.learning_rate, seed=recipe.seed) for r in found} == {recipe}
    assert sweep.recipes(recipe, {}) == [recipe]
    assert sweep.words(found[-1], lists) == "learning_rate 0.01, seed 2"


def test_a_draw_is_a_part_of_all_combinations_and_the_same_for_the_same_seed():
    lists = {"learning_rate": [0.1, 0.01, 0.001], "seed": list(range(10)), "batch_size": [32, 64]}
    every = sweep.recipes(Recipe(), {**lists, "seed": lists["seed"][:5]})
    assert len(every) == 30
    drawn = sweep.recipes(Recipe(seed=3), lists, draw=20)
    assert drawn == sweep.recipes(Recipe(seed=3), lists, draw=20)
    assert drawn != sweep.recipes(Recipe(seed=4), lists, draw=20)
    assert len(set(drawn)) == 20
    assert all(r.learning_rate in lists["learning_rate"] and r.seed in lists["seed"] for r in drawn)
    assert len({r.seed for r in drawn}) > 5  # a grid of 20 would have three or four of them
    assert sweep.recipes(Recipe(), {"seed": [0, 1]}, draw=5) == sweep.recipes(Recipe(), {"seed": [0, 1]})
    huge = {"seed": range(1000), "epochs": range(1, 1001), "batch_size": range(1, 1001)}
    assert len(sweep.recipes(Recipe(), huge, draw=50)) == 50


def test_too_many_combinations_and_settings_of_one_value_are_refused():
    with pytest.raises(RecipeError, match=r"100 trainings"):
        sweep.recipes(Recipe(), {"seed": range(10), "epochs": range(1, 11)})
    with pytest.raises(RecipeError, match="augment takes one value"):
        sweep.recipes(Recipe(), {"augment": ["none", "rotate=5"]})


def test_runs_that_differ_only_in_their_seed_count_together():
    rows = [
        {"run": f"{rate} {seed}", "learning_rate": rate, "seed": seed, "validation_accuracy": accuracy, "test_accuracy": test}
        for rate, seed, accuracy, test in ((0.1, 0, 0.5, 0.4), (0.1, 1, 0.7, None), (0.01, 0, 0.9, 0.8))
    ]  # fmt: skip
    best, other = sweep.groups(rows)
    assert (best["learning_rate"], best["runs"], best["validation_accuracy"]) == (0.01, 1, 0.9)
    assert best["validation_accuracy_deviation"] is None  # of one run nothing is known of luck
    assert other["validation_accuracy"] == pytest.approx(0.6)
    assert other["validation_accuracy_deviation"] == pytest.approx(0.2 / 2**0.5)  # of a sample
    assert other["test_accuracy"] == 0.4
    assert "seed" not in best
    assert sweep.spread(other, "validation_accuracy") == "60.00% ± 14.14"
    assert sweep.spread(best, "test_accuracy") == "80.00%"


def test_trainings_that_start_together_do_or_none_does(monkeypatch):
    monkeypatch.setattr(jobs, "launch", lambda *_, **__: None)
    with pytest.raises(RecipeError, match="nonsense"):
        trainings.start_all([Recipe(epochs=1), Recipe(epochs=1, optimiser="nonsense")])
    monkeypatch.setenv("IMGREC_MAX_QUEUED", "1")
    with pytest.raises(RunError, match="0 trainings wait already, and 1 may"):
        trainings.start_all([Recipe(epochs=1), Recipe(epochs=2)])
    assert list_runs() == []
    monkeypatch.setenv("IMGREC_MAX_QUEUED", "2")
    runs = trainings.start_all(
        [Recipe(epochs=1), Recipe(epochs=2)], notes=[Notes(tags=("a",), text="one"), Notes(text="two")]
    )
    assert [run.recipe.epochs for run in runs] == [1, 2]
    assert [run.notes.text for run in runs] == ["one", "two"]
    assert [run.name for run in queue.live_runs()] == [run.name for run in runs]


def test_a_disk_that_gets_full_between_two_of_them_leaves_none(monkeypatch):
    made, create = [], runs.create_run

    def create_run(*given):
        if made:
            raise OSError(28, "No space left on device")
        made.append(create(*given))
        return made[0]

    monkeypatch.setattr(trainings, "create_run", create_run)
    with pytest.raises(OSError, match="No space"):
        trainings.start_all([Recipe(epochs=1), Recipe(epochs=2)])
    assert len(made) == 1
    assert list_runs() == []
    assert not list(queue._marks().iterdir())
