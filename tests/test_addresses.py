"""Settings in the address: of a training as on the command line, of augmentations as a recipe has them."""

import time

import pytest
from streamlit.testing.v1 import AppTest
from test_pages import PAGES, open_page, texts

from imgrec import jobs
from imgrec.home import FOLDERS, folder
from imgrec.recipe import Recipe
from imgrec.runs import list_runs
from pages import pickers


def asked_of(test):
    """What the address says, beside which run is looked at."""
    return {
        name: text if isinstance(text, str) else text[0] for name, text in test.query_params.items() if name != "run"
    }


def test_the_settings_of_a_training_are_in_the_address_as_on_the_command_line(monkeypatch):
    """Row 23 of the goals goes on: a reload, a link and the back button open the form as it was."""
    started = []
    monkeypatch.setattr(jobs, "launch", lambda run, *_, **__: started.append(run.recipe))
    test = open_page("train.py", {"dataset": "digits"})
    test.button_group(key="preset").set_value("quick").run()
    test.number_input(key="recipe_epochs").set_value(4).run()
    asked = asked_of(test)
    assert asked == {"dataset": "digits", "preset": "quick", "epochs": "4"}
    line = "python -m imgrec train --dataset digits --preset quick --epochs 4"
    assert line in [code.value for code in test.code]
    again = open_page("train.py", {**asked, "optimiser": "sgd", "augment": "shift=0.1,rotate=5"})
    assert not again.exception
    assert not again.warning
    again.button(key="start").click().run()
    wanted = {"epochs": 4, "optimiser": "sgd", "augment": "shift=0.1,rotate=5"}
    assert [recipe.to_json() for recipe in started] == [Recipe.from_values(wanted, "quick").to_json()]
    before, now = asked_of(again), time.monotonic()
    again.number_input(key="recipe_epochs").set_value(6).run()
    for late, epochs in ((0, 6), (2 * pickers.ON_THE_WAY, 4)):
        monkeypatch.setattr(pickers.time, "monotonic", lambda late=late: now + late)
        again.query_params["epochs"] = before["epochs"]
        again.run()  # from a browser that had not heard of the last change yet; by the back button
        assert again.number_input(key="recipe_epochs").value == epochs


def test_several_values_and_a_network_of_ones_own_are_in_the_address_too(monkeypatch):
    layers = "custom:conv 8 kernel=5,relu,max 2,dropout 0.25,dense 16"
    asked = {"dataset": "digits", "model": layers, "learning_rate": "0.01,0.003", "seed": "0,1,2", "draw": "4"}
    test = open_page("train.py", asked)
    assert not test.exception
    assert not test.warning
    assert test.button(key="start").label == "Start 4 trainings"
    assert asked_of(test) == asked
    monkeypatch.setattr(jobs, "launch", lambda *_, **__: None)
    test.button(key="start").click().run()
    assert [run.recipe.model for run in list_runs()] == [layers] * 4


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochs", "many", "epochs is 'many'"),
        ("epochs", "1e9", "give a whole number from 1 to 1000"),
        ("model", "resnet19", "resnet18"),
        ("model", "custom:conv 8,rulu", "layer 2 (rulu)"),
        ("preset", "best", "thorough"),
        ("freeze", "head", "backbone"),
        ("optimiser", "<b>sgd</b>", "sgd"),
    ],
)
def test_what_an_address_asks_for_and_no_training_can_have_is_said_and_left_as_it_was(name, value, words):
    test = open_page("train.py", {"dataset": "digits", name: value, "batch_size": "16"})
    assert not test.exception
    assert words in test.warning[0].value.replace("\\", "")
    assert test.number_input(key="recipe_batch_size").value == 16
    assert name not in test.query_params
    assert not test.button(key="start").disabled


def test_the_augmentations_looked_at_are_in_the_address_and_a_plan_that_cannot_be_is_said():
    test = open_page("augment.py", {"dataset": "digits", "augment": "rotate=20,blur=1"})
    assert [toggle.key for toggle in test.toggle if toggle.value and toggle.key.startswith("on_")] == [
        "on_rotate",
        "on_blur",
    ]
    test.toggle(key="on_blur").set_value(False).run()
    assert test.query_params["augment"] == "rotate=20"
    for state in ({"query": {"augment": "spin=3"}}, {"query": None, "recipe_augment": "spin=3"}):
        broken = open_page("augment.py", **state)
        assert not broken.exception
        assert "spin" in broken.warning[0].value


def test_a_run_of_a_network_of_ones_own_is_trained_again_with_its_layers():
    model = "custom:conv 8 kernel=5,relu,max 2,dense 16"
    again = (
        "import streamlit as st\nfrom imgrec.data import open_dataset\nfrom pages import layers, settings\n"
        f"settings.fill({{'model': '{model}'}}, 'standard')\n"
        "st.write(st.session_state['recipe_model'], layers.table(open_dataset('digits')))"
    )
    test = AppTest.from_string(again, default_timeout=60).run()
    assert not test.exception
    assert f"custom {model}" in texts(test)


ASKED = [
    "answers",
    "augment",
    "code",
    "dataset",
    "draft",
    "draw",
    "epochs",
    "evaluate_view",
    "model",
    "network",
    "preset",
    "run",
    "state",
    "tried",
    "weights",
]


@pytest.mark.parametrize("page", PAGES)
def test_an_address_that_asks_for_nonsense_is_no_error(page):
    for name in FOLDERS:  # whatever is looked for is looked for there
        folder(name).mkdir(parents=True, exist_ok=True)
    for nonsense in ("x" * 300, "\0", "~no-such/x", "[1,2]", "😀" * 80):  # names, paths, codes, numbers
        for keys in (ASKED, set(ASKED) - {"dataset", "run", "code"}):  # which end a page before it looks at the others
            assert not open_page(page, dict.fromkeys(keys, nonsense)).exception, (nonsense, keys)
