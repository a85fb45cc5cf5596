"""Every page opens without an exception, in an empty workspace and in a full one, and shows something useful."""

import base64
import io
import re
import shutil
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import wait_for
from pictures import picture, two_classes, zipped
from PIL import Image
from streamlit.testing.v1 import AppTest

import imgrec
from imgrec import background, jobs, tasks, trainings, worker
from imgrec.__main__ import main
from imgrec.data import (
    Edit,
    Item,
    delete_dataset,
    edit,
    import_dataset,
    list_datasets,
    open_dataset,
    stamps,
    undo,
    uploads,
)
from imgrec.evaluate import amend, kept_answers
from imgrec.explain import METHODS
from imgrec.images import to_png
from imgrec.jobs import Owner
from imgrec.recipe import Recipe
from imgrec.report import printable
from imgrec.runs import create_run, delete_run, list_runs, open_run
from imgrec.weights import load_weights
from pages import parts, pickers, transfers

FOLDER = Path(__file__).parent.parent / "pages"
PAGES = re.findall(r'^    \("(\w+\.py)", ', (FOLDER / "main.py").read_text("utf-8"), re.MULTILINE)


@pytest.fixture(autouse=True)
def one_browser(monkeypatch):
    """The pages are opened by the same visitor again and again; `AppTest` gives each look another cookie."""
    monkeypatch.setattr("pages.visitors.visitor", lambda: Owner("e" * 24, "Teal Seal"))


def open_page(name, query=None, **state):
    test = AppTest.from_file(str(FOLDER / name), default_timeout=60)
    for key, value in state.items():
        test.session_state[key] = value
    for key, value in (query or {}).items():
        test.query_params[key] = value
    return test.run()


def texts(test):
    kinds = ("title", "subheader", "markdown", "caption", "info", "warning", "error")
    said = [element.value for kind in kinds for element in getattr(test, kind)]
    return " ".join([*said, *(element.proto.json for element in test.get("bidi_component"))])


@pytest.mark.parametrize("shape", [(6, 6, 3), (28, 28, 1), (200, 300, 3)])
def test_a_picture_is_shown_with_every_pixel_as_it_is(shape):
    """Teaching that pictures are numbers takes pictures whose numbers are right: Streamlit makes JPEGs of arrays."""
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def page(noise):
        from pages import thumbnails

        thumbnails.image(noise, "noise", 60)

    test = AppTest.from_function(page, kwargs={"noise": noise}).run()
    assert not test.exception
    [shown] = test.get("image")
    content = base64.b64decode(shown.proto.imgs[0].url.removeprefix("data:image/png;base64,"))
    seen, grow = np.asarray(Image.open(io.BytesIO(content))), max(1, 60 // shape[0])
    assert np.array_equal(seen.reshape(*seen.shape[:2], -1), noise.repeat(grow, 0).repeat(grow, 1))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_in_an_empty_workspace_and_says_something(page):
    test = open_page(page)
    assert not test.exception
    assert not test.error
    assert test.title
    assert len(texts(test)) > 100


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_in_a_full_workspace(page, own_copy):
    for phase in ("failed", "stopped", "paused", "training"):  # the last one is lost: nobody holds its lock
        create_run(Recipe()).update(phase=phase, error="<b>bad</b> ![x](http://example.com/x.png)")
    test = open_page(page)
    assert not test.exception


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "query",
    [
        {"dataset": "nothing", "run": "nothing"},
        {"dataset": "<script>", "run": "../../etc"},
        {"dataset": "shapes:size=9999"},
    ],
)
def test_nonsense_in_the_address_breaks_no_page(page, query, own_copy):
    assert not open_page(page, query).exception


@pytest.mark.parametrize(
    "damage", ["state.json", "recipe.json", "classes.json", "best.safetensors", "log.jsonl", "evaluation.json"]
)
@pytest.mark.parametrize("page", ["home.py", "train.py", "predict.py"])
def test_a_damaged_run_breaks_no_page(page, damage, own_copy):
    list_runs()[0].file(damage).write_bytes(b'{"accuracy": ')
    assert not open_page(page, {"run": own_copy}).exception


def test_the_dataset_page_shows_counts_splits_and_statistics():
    test = open_page("dataset.py", {"dataset": "digits"})
    assert {metric.label: metric.value for metric in test.metric}["Pictures"] == "1,797"
    assert "Pictures per class" in texts(test)


def test_difficulty_and_size_of_shapes_go_into_the_name():
    test = open_page("dataset.py", {"dataset": "shapes"})
    test.slider(key="shapes_difficulty").set_value(0.9).run()
    assert not test.exception
    assert test.session_state["dataset"] == "shapes:difficulty=0.9"
    test.select_slider(key="shapes_size").set_value(64).run()
    assert test.session_state["dataset"] == "shapes:size=64,difficulty=0.9"


def test_switching_augmentations_changes_the_command_that_is_shown():
    test = open_page("augment.py")
    test.toggle(key="on_flip_horizontal").set_value(True).run()
    assert not test.exception
    assert "flip_horizontal=0.5" in test.code[0].value
    for toggle in test.toggle:
        if toggle.key.startswith("on_"):
            toggle.set_value(True)
    test.run()
    assert not test.exception
    test.toggle(key="same_draw").set_value(True).run()
    assert not test.exception


def test_every_training_field_has_a_default_and_a_sentence_of_help():
    test = open_page("train.py", more_settings=True)
    fields = [
        w
        for kind in ("selectbox", "number_input", "text_input")
        for w in getattr(test, kind)
        if str(w.key).startswith("recipe_")
    ]
    assert len(fields) >= 15
    for field in fields:
        assert field.value is not None, field.key
        assert field.help, field.key


def test_settings_that_are_folded_away_count_all_the_same(monkeypatch):
    started = []
    monkeypatch.setattr(jobs, "launch", lambda run, *_, **__: started.append(run.recipe))
    test = open_page("train.py", more_settings=True)
    test.selectbox(key="recipe_optimiser").set_value("sgd").run()
    test.session_state["more_settings"] = False
    test.run()
    assert not [box for box in test.selectbox if box.key == "recipe_optimiser"]
    test.button(key="start").click().run()
    assert [recipe.optimiser for recipe in started] == ["sgd"]


def test_who_asks_for_tables_gets_one_with_every_chart(own_copy):
    """Row 25 of the goals."""
    asked = {"run": own_copy, "dataset": "digits"}
    without, tables = (open_page("train.py", asked, **state) for state in ({}, {"tables": True}))
    assert not tables.exception
    assert len(tables.dataframe) == len(without.dataframe) + len(without.get("plotly_chart"))


def test_a_preset_fills_the_fields():
    test = open_page("train.py")
    test.button_group(key="preset").set_value("thorough").run()
    assert test.number_input(key="recipe_epochs").value == 60


def test_a_setting_that_cannot_work_is_refused_in_words_and_starts_nothing():
    test = open_page("train.py", more_settings=True)
    test.text_input(key="recipe_augment").set_value("spin=3").run()
    test.button(key="start").click().run()
    assert not test.exception
    assert "spin" in test.error[0].value
    assert list_runs() == []


def test_several_values_start_as_many_trainings_that_are_compared_and_stopped_together(monkeypatch):
    from pages import visitors

    monkeypatch.setattr(jobs, "launch", lambda *_, **__: None)
    monkeypatch.setattr(visitors, "is_operator", lambda: False)
    monkeypatch.setattr(visitors, "visitor", lambda: Owner("ann", "Blue Otter"))
    test = open_page("train.py", several_values=True, vary=["learning_rate", "optimiser"])
    assert test.text_input(key="several_learning_rate").value == "0.001, 0.003, 0.009"
    test.text_input(key="several_learning_rate").set_value("0.01, x").run()
    assert test.button(key="start").disabled
    assert "learning" in test.error[0].value
    test.text_input(key="several_learning_rate").set_value("0.01, 0.001")
    test.multiselect(key="several_optimiser").set_value(["adamw", "sgd"]).run()
    assert test.button(key="start").label == "Start 4 trainings"
    test.button(key="start").click().run()
    assert not test.exception
    made = {(run.recipe.learning_rate, run.recipe.optimiser) for run in list_runs()}
    assert made == {(rate, optimiser) for rate in (0.01, 0.001) for optimiser in ("adamw", "sgd")}
    test.button(key="stop_all").click().run()
    assert not test.exception
    assert {run.status for run in list_runs()} == {"stopped"}
    trainings.requeue(list_runs()[0].name)
    monkeypatch.setattr(visitors, "visitor", lambda: Owner("ben", "Red Fox"))
    fresh = open_page("train.py", {"run": list_runs()[0].name})  # somebody else may look
    assert "stop_all" not in {button.key for button in fresh.button}
    assert fresh.button(key="compare_all").label == "Compare the 4 trainings"
    fresh.button(key="compare_all").click().run()
    assert sorted(fresh.session_state["runs_picked"]) == sorted(run.name for run in list_runs())


def test_of_many_combinations_some_are_drawn_and_their_time_is_told(monkeypatch):
    from pages import parts

    monkeypatch.setattr(jobs, "launch", lambda *_, **__: None)
    found = {
        "rates": np.ones(2),
        "losses": np.ones(2),
        "suggested": 0.01,
        "seconds": 60.0,
        "memory": 1,
        "precision": "float32",
    }
    monkeypatch.setattr(
        background, "study_result", lambda job: {name: np.array(value) for name, value in found.items()}
    )
    test = open_page("train.py", several_values=True, vary=["learning_rate", "epochs"])
    test.text_input(key="several_learning_rate").set_value("0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001, 0.00003")
    test.text_input(key="several_epochs").set_value("1, 2, 3, 4, 5, 6, 7, 8").run()
    assert test.number_input(key="draw 64").value == 50  # more are not started at once
    test.number_input(key="draw 64").set_value(3).run()
    assert test.button(key="start").label == "Start 3 trainings"
    told = {metric.label: metric.value for metric in test.metric}
    test.button(key="start").click().run()
    assert not test.exception
    made = [run.recipe for run in list_runs()]
    assert len({(recipe.learning_rate, recipe.epochs) for recipe in made}) == 3
    assert told["All 3"] == parts.duration(60 * sum(recipe.epochs for recipe in made) / Recipe().epochs)


def test_for_few_photos_transfer_learning_is_offered_and_one_click_chooses_it():
    photos = [Item(f"{i}.png", to_png(np.full((80, 80, 3), i, np.uint8)), "ab"[i % 2]) for i in range(40)]
    import_dataset(photos, "mine")
    test = open_page("train.py", {"dataset": "mine"})
    assert "few for a network that begins with nothing" in texts(test)
    test.button(key="use_transfer").click().run()
    assert not test.exception
    assert test.session_state["recipe_weights"] == "imagenet"
    assert "few for a network" not in texts(test)
    assert "few for a network" not in texts(open_page("train.py", {"dataset": "digits"}))


def test_classes_that_are_called_nearly_alike_are_noticed():
    script = "from pages import film\nfilm.alike(['Fist', 'palm'], ['fist', 'palm'])"
    test = AppTest.from_string(script, default_timeout=60).run()
    assert [warning.value for warning in test.warning] == [
        "Fist and fist will be two classes; write them alike if they are one."
    ]


def test_what_a_sweep_did_is_drawn_and_how_much_of_it_is_luck(own_copy):
    picked = []
    for number, (rate, accuracy) in enumerate(((0.1, 0.5), (0.1, 0.7), (0.01, 0.9), (0.01, 0.94))):
        run = create_run(Recipe(learning_rate=rate, seed=number))
        run.update(phase="finished", best_validation_accuracy=accuracy)
        picked.append(run.name)
    test = open_page("runs.py", runs_picked=picked)
    assert not test.exception
    said = texts(test)
    assert "One dot is one run" in said
    assert "standard deviation" in said
    [table] = [frame.value for frame in test.dataframe if "runs" in frame.value.columns]
    assert table["validation accuracy"].tolist() == ["92.00% ± 2.83", "60.00% ± 14.14"]
    assert table["runs"].tolist() == [2, 2]


def test_the_train_page_shows_a_lost_run_with_what_to_do_next(own_copy):
    run = create_run(Recipe())
    run.update(phase="training")
    test = open_page("train.py", {"run": run.name})
    assert "lost" in texts(test)
    assert "Resume" in [button.label for button in test.button]


def test_a_silent_worker_is_named(own_copy, monkeypatch):
    monkeypatch.setattr("imgrec.runs.Run.alive", property(lambda run: True))
    run = create_run(Recipe())
    run.write("state.json", {"phase": "training", "updated": 1})
    assert "No news" in texts(open_page("train.py", {"run": run.name}))


def test_predict_in_a_fresh_install_answers_for_an_uploaded_picture():
    """Row 1 of the goals, through the page: a picture in, five probabilities out."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(buffer, "PNG")
    test = open_page("predict.py", predict_source="Files")
    test.file_uploader(key="predict_files").set_value(
        [("red.png", buffer.getvalue(), "image/png"), ("bad.png", b"text", "image/png")]
    ).run()
    assert not test.exception
    assert "red\\.png" in texts(test)
    assert "bad\\.png" in " ".join(e.value for e in test.error)
    assert "add up to 1.0000" in texts(test)


def test_every_method_explains_a_sample_for_any_class():
    test = open_page("predict.py", {"run": "shapes-seed-cnn"})
    test.toggle(key="why_0").set_value(True).run()
    for method in METHODS:
        test.selectbox(key="method_0").set_value(method).run()
        for name in ("ring", "star"):
            test.selectbox(key="class_0").set_value(name).run()
            assert not test.exception
            assert not test.error


def test_the_source_of_the_page_predict_outlasts_a_reload_and_follows_a_link():
    test = open_page("predict.py", {"run": "digits-seed-cnn"})
    test.button_group(key="predict_source").set_value("Live").run()
    assert test.query_params["source"] == "Live"
    again = open_page("predict.py", {"run": "digits-seed-cnn", "source": test.query_params["source"]})
    assert again.session_state["predict_source"] == "Live"
    again.button_group(key="predict_source").set_value("Files").run()
    assert again.query_params["source"] == "Files"
    again.query_params["source"] = "Samples"
    again.run()
    assert again.session_state["predict_source"] == "Samples"
    assert open_page("predict.py", {"run": "digits-seed-cnn", "source": "nowhere"}).query_params["source"] == "Samples"


def test_files_on_the_page_predict_are_still_there_after_a_look_at_samples():
    test = open_page("predict.py", {"run": "digits-seed-cnn"}, predict_source="Files")
    box = test.file_uploader(key="predict_files")
    box.set_value([("mine.png", to_png(open_dataset("digits").images[0]), "image/png")]).run()
    assert "mine" in texts(test)
    for _ in range(2):
        test.button_group(key="predict_source").set_value("Samples").run()
        assert "mine" not in texts(test)
        test.button_group(key="predict_source").set_value("Files").run()
        assert "mine" in texts(test)
    test.run()
    assert "mine" in texts(test)
    test.button(key="predict_out").click().run()
    assert "mine" not in texts(test)
    assert not test.exception


def test_pictures_for_two_named_classes_become_a_data_set():
    """Row 3 of the goals: loose files into named classes; accepted and rejected, with a reason per file."""
    test = open_page("bring.py")
    assert "at least two classes" in texts(test)
    for number, label in enumerate(("cat", "dog")):
        files = [(f"{i}.png", picture(10 * number + i), "image/png") for i in range(6)]
        test.text_input(key=f"bring 0 label {number}").set_value(label)
        test.file_uploader(key=f"bring 0 files {number} 0").set_value([*files, ("bad.png", b"text", "image/png")])
    test.text_input(key="bring 0 name").set_value("pets").run()
    assert not test.exception
    assert texts(test).count(r"bad\.png\: this is not a picture") == 2
    next(button for button in test.button if button.label == "Import").click().run()
    assert not test.exception
    [job] = background.bring_jobs()
    wait_for(lambda: job.status == "finished")
    test.run()
    assert "12 accepted, 0 rejected" in test.success[0].value
    assert not job.read("report.json")["rejected"]
    assert open_dataset("pets").classes == ("cat", "dog")
    assert test.text_input(key="bring 1 label 0").value == ""  # a fresh form


def test_an_import_that_fails_leaves_the_form_as_it_was(monkeypatch):
    monkeypatch.setattr("imgrec.jobs.launch", lambda *_, **__: None)  # nobody works on it
    test = open_page("bring.py")
    for number, label in enumerate(("cat", "dog")):
        test.text_input(key=f"bring 0 label {number}").set_value(label)
        test.file_uploader(key=f"bring 0 files {number} 0").set_value([("a.png", picture(number), "image/png")])
    test.text_input(key="bring 0 name").set_value("pets").run()
    button(test, "Import").click().run()
    assert button(test, "Import").disabled
    background.bring_folder("pets").update(phase="failed", error="no room")
    test.run()
    assert not test.exception
    assert "no room" in test.error[0].value
    assert "Not imported" in test.toast[0].value
    assert test.text_input(key="bring 0 label 1").value == "dog"
    assert texts(test).count("1 picture") == 2
    button(test, "Import").click().run()
    background.bring_folder("pets").update(phase="finished")
    assert test.run().text_input(key="bring 1 label 0").value == ""


def even(number, colour):
    """A picture of about one colour."""
    noise = np.random.default_rng(number).integers(0, 50, (40, 40, 3))
    return to_png((noise + colour).astype(np.uint8))


def test_three_steps_on_one_page_teach_a_network():
    """What people know from Teachable Machine: show two things, train, try."""
    test = open_page("teach.py")
    assert test.button(key="teach_train").disabled
    assert "at least two things" in texts(test)
    for number in range(2):
        files = [(f"{i}.png", even(i, (200, 40, 40) if number else (40, 40, 200)), "image/png") for i in range(20)]
        test.button(key=f"teach_files {number}").click().run()
        test.file_uploader(key=f"teach 0  files new {number} 0").set_value(
            [*files, ("bad.png", b"text", "image/png")]
        ).run()
        assert r"bad\.png\: this is not a picture" in texts(test)
        assert "20 pictures" in texts(test)
    assert "Give every class with pictures a name" in texts(test)
    for number, label in enumerate(("blue", "Blue / red?")):
        test.text_input(key=f"teach 0  label new {number}").set_value(label)
    test.run()
    test.button(key="teach_train").click().run()
    assert not test.exception
    [job] = background.bring_jobs()
    wait_for(lambda: job.status == "finished")
    test.run()  # the training begins by itself
    [run] = list_runs()
    assert run.recipe == Recipe.from_values({"dataset": job.name}, "few")
    assert test.query_params["run"] == run.name
    assert not test.expander
    wait_for(lambda: run.status == "finished")
    test.run()
    assert not test.exception
    assert "pictures right that it never saw" in texts(test)
    assert test.button(key="teach_train").label == "Train again"
    test.file_uploader(key="teach_picture").set_value([("new.png", even(77, (200, 40, 40)), "image/png")]).run()
    assert "add up to 1.0000" in texts(test)
    assert not test.error
    again = open_page("teach.py", {"dataset": job.name, "run": run.name})  # after a reload
    assert "pictures right that it never saw" in texts(again)
    assert "20 pictures" in texts(again)


def test_the_page_teach_takes_nonsense_and_says_what_went_wrong(monkeypatch):
    test = open_page("teach.py", {"dataset": "digits", "run": "../nothing"})  # not one's own, not there
    assert not test.exception
    for number in range(2):
        test.text_input(key=f"teach 0  label new {number}").set_value("ab"[number])
        test.button(key=f"teach_files {number}").click().run()
        test.file_uploader(key=f"teach 0  files new {number} 0").set_value([("bad.png", b"text", "image/png")]).run()
    assert "Show it at least two things" in texts(test)
    assert test.button(key="teach_train").disabled
    monkeypatch.setattr("imgrec.jobs.launch", lambda *_, **__: None)  # nobody works on it
    for number in range(2):
        test.button(key=f"teach_files {number}").click().run()
        test.file_uploader(key=f"teach 0  files new {number} 1").set_value(
            [("a.png", picture(number), "image/png")]
        ).run()
    assert "The smallest class has 1 picture;" in texts(test)
    test.button(key="teach_train").click().run()
    background.bring_jobs()[0].update(phase="failed", error="no <b>room</b>")
    test.run()
    assert not test.exception
    assert "room" in test.error[0].value
    assert "<b>" not in test.error[0].value
    assert not list_runs()


def test_what_was_taught_is_renamed_taken_out_and_taken_back():
    import_dataset([Item(f"{i}.png", picture(i), ("fist", "palm", "thumb")[i % 3]) for i in range(18)], "gestures")
    test = open_page("teach.py", {"dataset": "gestures"})
    assert not any(button.key == "teach_undo" for button in test.button)
    test.button(key="teach_files 0").click().run()
    test.file_uploader(key="teach 0 gestures files fist 0").set_value([("a.png", picture(99), "image/png")]).run()
    test.text_input(key="teach 0 gestures rename fist").set_value(" rock ")
    test.button(key="teach 0 gestures renamed fist").click().run()
    assert set(open_dataset("gestures").classes) == {"palm", "rock", "thumb"}
    assert "7 pictures, 1 of them new" in texts(test)  # what is new goes with it
    test.button(key="teach 0 gestures out thumb").click().run()
    assert set(open_dataset("gestures").classes) == {"palm", "rock"}
    test.button(key="teach 0 gestures out palm").click().run()
    assert "fewer than two classes" in test.error[0].value
    test.button(key="teach_undo").click().run()
    assert set(open_dataset("gestures").classes) == {"palm", "rock", "thumb"}
    assert not test.exception


def test_a_class_is_renamed_as_the_set_writes_it_and_what_is_new_goes_along_also_back():
    import_dataset([Item(f"{i}.png", picture(i), ("fist", "palm")[i % 2]) for i in range(12)], "gestures")
    test = open_page("teach.py", {"dataset": "gestures"})
    test.button(key="teach_files 0").click().run()
    test.file_uploader(key="teach 0 gestures files fist 0").set_value([("a.png", picture(99), "image/png")]).run()
    test.text_input(key="teach 0 gestures rename fist").set_value("e\u0301cole")  # as macOS writes it
    test.button(key="teach 0 gestures renamed fist").click().run()
    assert set(open_dataset("gestures").classes) == {"\u00e9cole", "palm"}
    assert "7 pictures, 1 of them new" in texts(test)
    test.button(key="teach_undo").click().run()
    assert set(open_dataset("gestures").classes) == {"fist", "palm"}
    assert "7 pictures, 1 of them new" in texts(test)
    assert not test.exception


@pytest.mark.parametrize("name", ["name", "first name", "shots", "label x", "extra", "new 0"])
def test_a_set_and_a_class_of_any_name_outlast_a_reload(name, monkeypatch):
    monkeypatch.setattr("pages.visitors.visitor", lambda: Owner("a" * 24, "Amber Fox"))
    monkeypatch.setattr("pages.drafts._drafts", {})
    dataset = name.replace(" ", "-")
    import_dataset([Item(f"{i}.png", picture(i), (name, "palm")[i % 2]) for i in range(12)], dataset)
    test = open_page("teach.py", {"dataset": dataset})
    for number, label in enumerate((name, "palm")):
        test.button(key=f"teach_files {number}").click().run()
        files = [("a.png", picture(99 + number), "image/png")]
        slot = f" {label}" if label == "new 0" else label
        test.file_uploader(key=f"teach 0 {dataset} files {slot} 0").set_value(files).run()
    assert not test.exception
    again = open_page("teach.py", {"dataset": dataset, "draft": test.query_params["draft"]})
    assert not again.exception
    assert texts(again).count("7 pictures, 1 of them new") == 2


def test_drafts_end_after_a_while_and_where_they_are_too_much(monkeypatch):
    from pages import drafts
    from pages.film import Shot

    monkeypatch.setattr(drafts, "MOST_BYTES", 250)
    kept = {("me", str(n)): drafts._Draft({"shots 0": [Shot(b"x" * 100)]}, time.monotonic()) for n in range(4)}
    monkeypatch.setattr(drafts, "_drafts", kept)
    drafts.tidy()
    assert list(kept) == [("me", "2"), ("me", "3")]  # the latest
    kept["her", "0"] = drafts._Draft({"predict_kept": [Shot(b"x" * 240)]}, time.monotonic())
    drafts.tidy()
    assert list(kept) == [("me", "2"), ("me", "3")]  # the largest goes, not everybody else's
    kept["me", "2"] = drafts._Draft({}, time.monotonic() - drafts.LASTS - 1)
    drafts.tidy()
    assert list(kept) == [("me", "3")]


def test_a_photo_of_an_iphone_and_a_nearly_equal_name_on_the_page_teach():
    file = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(file, "HEIF")
    test = open_page("teach.py")
    for number, label in enumerate(("Cat", "cat")):
        test.text_input(key=f"teach 0  label new {number}").set_value(label)
        test.button(key=f"teach_files {number}").click().run()
        photo = ("IMG_0001.HEIC", file.getvalue(), "image/heic")
        test.file_uploader(key=f"teach 0  files new {number} 0").set_value([photo]).run()
    assert not test.exception
    assert "Not taken" not in texts(test)
    assert "will be two classes" in texts(test)


@pytest.mark.parametrize("page", ["teach", "bring"])
def test_names_and_pictures_outlast_a_reload_in_the_same_browser(page, monkeypatch):
    prefix = {"teach": "teach 0  {} new 0", "bring": "bring 0 {} 0"}[page]
    me = [Owner("a" * 24, "Amber Fox")]
    monkeypatch.setattr("pages.visitors.visitor", lambda: me[0])
    monkeypatch.setattr("pages.drafts._drafts", {})
    test = open_page(f"{page}.py")
    assert "draft" not in test.query_params
    test.text_input(key=prefix.format("label")).set_value("cat").run()
    if page == "teach":
        test.button(key="teach_files 0").click().run()
    files = [(f"{i}.png", picture(i), "image/png") for i in range(3)]
    test.file_uploader(key=prefix.format("files") + " 0").set_value(files).run()
    word = test.query_params["draft"]
    again = open_page(f"{page}.py", {"draft": word})
    assert again.text_input(key=prefix.format("label")).value == "cat"
    assert "3 pictures" in texts(again)
    again.button(key=prefix.format("taken") + " out").click().run()
    assert "3 pictures" not in texts(again)
    assert not again.exception
    me[0] = Owner("b" * 24, "Blue Owl")  # who was sent the address sees nothing of it
    other = open_page(f"{page}.py", {"draft": word})
    assert other.text_input(key=prefix.format("label")).value == ""
    assert not other.exception


def test_an_import_on_the_page_teach_is_cancelled_and_nothing_of_what_was_shown_is_lost(monkeypatch):
    monkeypatch.setattr("imgrec.jobs.launch", lambda *_, **__: None)  # nobody works on it
    test = open_page("teach.py")
    for number in range(2):
        test.text_input(key=f"teach 0  label new {number}").set_value("ab"[number])
        test.button(key=f"teach_files {number}").click().run()
        files = [(f"{i}.png", picture(10 * number + i), "image/png") for i in range(3)]
        test.file_uploader(key=f"teach 0  files new {number} 0").set_value(files).run()
    test.button(key="teach_train").click().run()
    assert test.button(key="teach_train").disabled
    [job] = background.bring_jobs()
    test.button(key="teach_cancel").click().run()
    assert job.asked() == "stop"
    job.update(phase="stopped")
    test.run()
    assert not test.exception
    assert not test.error
    assert not test.button(key="teach_train").disabled
    assert [caption.value for caption in test.caption].count("3 pictures") == 2


def test_cancelled_too_late_the_pictures_are_kept_and_nothing_is_trained(monkeypatch):
    monkeypatch.setattr("imgrec.jobs.launch", lambda *_, **__: None)
    test = open_page("teach.py")
    for number in range(2):
        test.text_input(key=f"teach 0  label new {number}").set_value("ab"[number])
        test.button(key=f"teach_files {number}").click().run()
        test.file_uploader(key=f"teach 0  files new {number} 0").set_value(
            [("a.png", picture(number), "image/png")]
        ).run()
    test.button(key="teach_train").click().run()
    test.button(key="teach_cancel").click().run()
    import_dataset([Item(f"{i}.png", picture(i), "ab"[i % 2]) for i in range(12)], "a-b")
    background.bring_jobs()[0].update(phase="finished")  # before it looked whether it shall stop
    test.run()
    assert not test.exception
    assert "they were not learned" in test.info[0].value
    assert not list_runs()
    assert not test.button(key="teach_train").disabled


def test_after_the_back_button_what_was_taught_is_there_whatever_address_the_page_before_left(own_copy):
    for name in ("gestures", "pets"):
        import_dataset([Item(f"{i}.png", picture(i), ("fist", "palm")[i % 2]) for i in range(12)], name)
    run = create_run(Recipe(dataset="gestures"))
    test = open_page("teach.py", {"dataset": "gestures", "run": run.name})
    for stale in ("digits", "pets"):
        test.query_params.clear()
        test.query_params["dataset"] = stale
        test.run()
        assert not test.exception
        assert test.query_params["dataset"] == "gestures"
        assert test.query_params["run"] == run.name


def test_what_is_not_trained_yet_goes_only_after_a_second_click():
    import_dataset([Item(f"{i}.png", picture(i), ("fist", "palm")[i % 2]) for i in range(12)], "gestures")
    test = open_page("teach.py", {"dataset": "gestures"})
    assert "will be gone" not in texts(test)
    test.button(key="teach_files 0").click().run()
    test.file_uploader(key="teach 0 gestures files fist 0").set_value([("a.png", picture(99), "image/png")]).run()
    assert "will be gone" in texts(test)
    test.button(key="teach_anew").click().run()
    assert "dataset" not in test.query_params


def test_what_was_taught_is_still_there_after_a_way_through_the_menu_and_can_be_left():
    import_dataset([Item(f"{i}.png", picture(i), ("fist", "palm")[i % 2]) for i in range(12)], "gestures")
    test = open_page("teach.py", {"dataset": "gestures"})
    test.button(key="teach_files 0").click().run()
    test.file_uploader(key="teach 0 gestures files fist 0").set_value([("a.png", picture(99), "image/png")]).run()
    assert "7 pictures, 1 of them new" in texts(test)
    test.query_params.clear()  # as the menu does
    test.run()
    assert "7 pictures, 1 of them new" in texts(test)
    assert test.query_params["dataset"] == "gestures"
    test.button(key="teach_anew").click().run()
    assert "dataset" not in test.query_params
    assert [field.label for field in test.text_input] == ["Class 1", "Class 2"]


def test_two_who_teach_the_same_things_at_once_do_not_disturb_each_other(monkeypatch):
    monkeypatch.setattr("imgrec.jobs.launch", lambda *_, **__: None)  # nobody works on it
    names = []
    for _ in range(2):
        test = open_page("teach.py")
        for number in range(2):
            test.text_input(key=f"teach 0  label new {number}").set_value(("rock", "paper")[number])
            test.button(key=f"teach_files {number}").click().run()
            test.file_uploader(key=f"teach 0  files new {number} 0").set_value(
                [("a.png", picture(number), "image/png")]
            ).run()
        test.button(key="teach_train").click().run()
        assert not test.error
        names.append(background.bring_jobs()[0].name)
    assert sorted(names) == ["rock-paper", "rock-paper-2"]
    background.bring_folder(names[1]).update(phase="finished", created=1.0)  # another's of the same name
    test.run()
    assert "process vanished" in test.error[0].value
    assert not list_runs()


def test_grey_pictures_are_taught_to_a_network_that_begins_with_nothing(monkeypatch):
    grey = [Item(f"{i}.png", picture(i, mode="L"), "ab"[i % 2]) for i in range(24)]
    import_dataset(grey, "grey")
    monkeypatch.setattr("imgrec.jobs.launch", lambda *_, **__: None)
    test = open_page("teach.py", {"dataset": "grey"})
    test.button(key="teach_train").click().run()
    assert not test.exception
    [run] = list_runs()
    assert (run.recipe.model, run.recipe.weights) == ("seed-cnn", "none")


def test_a_server_path_is_taken_only_inside_an_open_folder(tmp_path, monkeypatch):
    (tmp_path / "open").mkdir()
    zipped(tmp_path / "open" / "pets.zip", two_classes())
    zipped(tmp_path / "secret.zip", two_classes())
    assert "opened no folder" in texts(open_page("bring.py", bring_way="On the server"))
    monkeypatch.setenv("IMGREC_SERVER_FOLDERS", str(tmp_path / "open"))
    test = open_page("bring.py", bring_way="On the server")
    path = next(widget for widget in test.text_input if "on the server" in widget.label)
    test.text_input(key="bring 0 name").set_value("pets")
    for outside in (
        tmp_path / "secret.zip",
        tmp_path / "open" / ".." / "secret.zip",
        "/etc",
        "~no-such/x",
        "x" * 300,
        "\0",
    ):
        path.set_value(str(outside)).run()
        assert "inside an open folder" in texts(test)
        assert next(button for button in test.button if button.label == "Import").disabled
    path.set_value(str(tmp_path / "open" / "pets.zip")).run()
    next(button for button in test.button if button.label == "Import").click().run()
    wait_for(lambda: background.bring_jobs()[0].status == "finished")
    assert (tmp_path / "open" / "pets.zip").exists()


@pytest.fixture
def pets():
    """A stored set of two classes, one picture of it twice."""
    items = [Item(f"{i:02d}.png", picture(i), ("cat", "dog")[i % 2]) for i in range(20)]
    import_dataset([*items, Item("twin.png", picture(3), "dog")], "pets")


def button(test, label):
    return next(button for button in test.button if button.label == label)


def test_a_class_is_renamed_left_out_and_all_of_it_undone_on_the_page(pets):
    test = open_page("mend.py", {"dataset": "pets"})
    test.text_input(key="rename_new").set_value("kitten").run()
    button(test, "Rename").click().run()
    assert open_dataset("pets").classes == ("kitten", "dog")
    button(test, "Leave the class out").click().run()
    assert "fewer than two classes" in test.error[0].value
    assert open_dataset("pets").classes == ("kitten", "dog")
    button(test, "Undo the last change").click().run()
    assert open_dataset("pets").classes == ("cat", "dog")
    assert not test.exception


def test_a_finding_is_left_out_with_a_click(pets):
    test = open_page("mend.py", {"dataset": "pets"})
    assert "2 exact duplicates" in [expander.label for expander in test.expander]
    test.button(key="out duplicates").click().run()
    assert not test.exception
    assert len(open_dataset("pets").kept) == 20
    assert "2 exact duplicates" not in [expander.label for expander in test.expander]


def test_a_data_set_is_deleted_after_a_second_click(pets):
    test = open_page("mend.py", {"dataset": "pets"})
    button(test, "Delete it").click().run()
    assert not test.exception
    assert "pets" not in [row.name for row in list_datasets()]
    assert test.selectbox(key="dataset").value == "digits"


def test_a_set_that_cannot_be_opened_can_be_deleted(pets):
    background.dataset_folder("pets").file("dataset.json").write_text("broken")
    for page in ("dataset.py", "mend.py"):
        test = open_page(page, {"dataset": "pets"})
        assert "pets" in " ".join(error.value for error in test.error)
        assert [box.label for box in test.button if "elete" in box.label] == ["Delete it"]
    button(test, "Delete it").click().run()
    assert not test.exception
    assert not background.dataset_folder("pets").path.exists()


def test_who_brought_a_set_deletes_it_and_cancels_its_import_nobody_else_but_the_operator(monkeypatch, pets):
    ann, ben = Owner("a" * 24, "Ann"), Owner("b" * 24, "Ben")
    background.dataset_folder("pets").give_to(ann)
    job = background.bring_folder("more")
    job.path.mkdir(parents=True)
    job.give_to(ann)
    job.write("state.json", {"phase": "new", "created": time.time(), "updated": time.time()})
    for me, operator, may in ((ann, False, True), (ben, False, False), (None, False, False), (ben, True, True)):
        monkeypatch.setattr("pages.visitors.visitor", lambda me=me: me)
        monkeypatch.setattr("pages.visitors.is_operator", lambda operator=operator: operator)
        job.update(updated=time.time())
        test, imports = open_page("dataset.py", {"dataset": "pets"}), open_page("bring.py")
        assert any(box.label == "Delete it" for box in test.button) is may
        assert any(box.label == "Cancel" for box in imports.button) is may
        assert ("Brought by Ann" in texts(test)) is not may


def test_doubted_labels_are_shown_until_they_are_mended_or_confirmed(pets):
    job = background.study_folder("suspects", "pets")
    job.path.mkdir(parents=True)
    job.write("state.json", {"phase": "finished"})
    doubted = {"positions": [0, 1, 2], "labels": ["cat", "dog", "cat"], "suggested": ["dog", "cat", "dog"]}
    said = {"margin": [-0.9, -0.8, -0.7], "flagged": [True, True, False], "name": "pets"}
    np.savez(job.file("result.npz"), **doubted, **said, stamps=stamps("pets", edits=False))
    assert "2 labels may be wrong" in texts(open_page("mend.py", {"dataset": "pets"}))
    edit("pets", Edit("relabel", (0,), "dog"))
    assert "1 label may be wrong" in texts(open_page("mend.py", {"dataset": "pets"}))
    edit("pets", Edit("confirm", (1,)))
    assert "No label is doubted" in texts(open_page("mend.py", {"dataset": "pets"}))
    undo("pets")
    assert "1 label may be wrong" in texts(open_page("mend.py", {"dataset": "pets"}))


@pytest.fixture
def half():
    """Sixty digits of which forty wait for a label."""
    digits = open_dataset("digits")
    items = [
        Item(f"{i:02d}.png", to_png(digits.images[i]), str(digits.labels[i]), "unlabelled" if i >= 20 else None)
        for i in range(60)
    ]
    import_dataset(items, "half")


def test_a_network_proposes_labels_and_all_that_are_sure_enough_are_accepted_and_undone(half):
    query = {"dataset": "half", "run": "digits-seed-cnn"}
    test = open_page("label.py", query)
    assert "40 more wait" in texts(test)
    test.button(key="start proposals").click().run()
    job = background.study_job("proposals", "half", run="digits-seed-cnn")
    wait_for(lambda: job.status == "finished")
    test = open_page("label.py", query)
    proposed = background.study_result(job)
    sure = int((proposed["confidence"] >= 0.9).sum())
    assert 30 < sure <= 40
    button(test, f"Accept {sure} of 40").click().run()
    assert not test.exception
    dataset, truth = open_dataset("half"), open_dataset("digits").labels
    assert len(dataset.unlabelled) == 40 - sure
    named = [int(dataset.classes[label]) for label in dataset.labels[dataset.kept]]
    assert np.mean(named == truth[:60][dataset.kept]) > 0.95
    assert set(dataset.splits[20:][dataset.labels[20:] >= 0]) == {0}
    test.button(key="undo label").click().run()
    assert len(open_dataset("half").unlabelled) == 40


def test_a_network_with_other_classes_is_named_as_such(half):
    test = open_page("label.py", {"dataset": "half", "run": "shapes-seed-cnn"})
    assert "knows none of the classes" in texts(test)


def test_pictures_without_labels_come_in_and_lead_to_the_label_page():
    test = open_page("bring.py", bring_way="Without labels")
    test.file_uploader(key="bring 0 files_loose 0").set_value([(f"{i}.png", picture(i), "image/png") for i in range(5)])
    test.text_input(key="bring 0 name").set_value("loose").run()
    button(test, "Import").click().run()
    wait_for(lambda: background.bring_jobs() and background.bring_jobs()[0].status == "finished")
    assert len(open_dataset("loose").unlabelled) == 5
    for page in PAGES:
        test = open_page(page, {"dataset": "loose"})
        assert not test.exception
        assert not test.error


def test_pictures_can_be_added_to_a_set_on_the_page(pets):
    test = open_page("bring.py")
    test.selectbox(key="bring 0 into").set_value("pets").run()
    test.text_input(key="bring 0 label 0").set_value("eel")
    test.file_uploader(key="bring 0 files 0 0").set_value(
        [("new.png", picture(777), "image/png"), ("old.png", picture(0), "image/png")]
    ).run()
    button(test, "Import").click().run()
    assert not test.exception
    wait_for(lambda: background.bring_jobs() and background.bring_jobs()[0].status == "finished")
    test.run()
    assert "1 accepted, 1 rejected" in test.success[0].value
    assert open_dataset("pets").classes == ("cat", "dog", "eel")


def test_the_grid_is_filtered_sorted_and_says_how_many_it_shows(pets):
    test = open_page("dataset.py", {"dataset": "pets"})
    assert "21 pictures" in texts(test)
    test.multiselect(key="sample_classes").set_value([1]).run()
    test.selectbox(key="sample_order").set_value("brightness").run()
    test.text_input(key="sample_text").set_value("twin").run()
    assert not test.exception
    assert "1 picture. " in texts(test)
    test.text_input(key="sample_text").set_value("nothing").run()
    assert "No picture is like that" in texts(test)


def test_the_typical_picture_of_a_class_is_its_mean_or_its_deviation():
    test = open_page("dataset.py", {"dataset": "digits"})
    assert "The mean of all pictures" in texts(test)
    test.button_group(key="typical").set_value("Deviation").run()
    assert "standard deviation of each pixel" in texts(test)


def test_a_large_set_is_measured_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr("pages.gallery.MOST_TO_MEASURE", 100)
    test = open_page("mend.py", {"dataset": "digits"})
    test.button(key="start odd").click().run()
    wait_for(lambda: background.study_job("odd", "digits").status == "finished")
    test = open_page("mend.py", {"dataset": "digits"})
    assert "Looked for and not found" in texts(test)


def test_the_map_page_draws_pca_at_once_and_says_how_to_get_umap(pets, monkeypatch):
    test = open_page("map.py", {"dataset": "pets"})
    assert "21 pictures. Point at one" in texts(test)
    monkeypatch.setattr("imgrec.embedding.importlib.util.find_spec", lambda name: None)
    test.button_group(key="map_method").set_value("umap").run()
    assert "pip install umap-learn" in texts(test)
    test.button_group(key="map_method").set_value("tsne").run()
    assert "Draw the map" in [button.label for button in test.button]


def test_a_learning_rate_is_looked_for_and_one_click_puts_it_into_the_form():
    test = open_page("train.py", {"dataset": "digits"})
    test.number_input(key="recipe_epochs").set_value(2).run()
    test.button(key="start preflight").click().run()
    recipe = Recipe(epochs=2, learning_rate=0.001).to_json()
    wait_for(lambda: (job := background.study_job("preflight", "digits", recipe=recipe)) and job.status == "finished")
    test.run()
    assert not test.exception
    assert {"About", "Memory", "Precision"} <= {metric.label for metric in test.metric}
    test.button(key="use_rate").click().run()
    assert test.number_input(key="recipe_learning_rate").value == float(test.button(key="use_rate").label.split()[1])


def test_a_network_of_ones_own_is_shown_with_its_shapes_and_trained():
    test = open_page("train.py", {"dataset": "digits"})
    test.selectbox(key="recipe_model").set_value("custom").run()
    assert "53,002 weights" in texts(test)
    test.button(key="start").click().run()
    assert not test.exception
    [run] = list_runs()
    assert run.recipe.model == "custom:conv 32,relu,max 2,conv 64,relu,max 2,dense 128,relu"
    trainings.stop(run.name)
    wait_for(lambda: run.status == "stopped")


def test_the_networks_page_shows_every_card_that_fits():
    test = open_page("networks.py", {"network": "resnet50"})
    assert "ResNet-50, 2015" in [header.value for header in test.subheader]
    assert {metric.label: metric.value for metric in test.metric}["Weights"] == "23,528,522"


def test_unequal_classes_are_noticed_and_balanced_with_a_click(workspace, tmp_path):
    """Row 22 of the goals: suggested beyond 3 : 1, and the weights are shown."""
    files = {
        f"{name}/{number}.png": picture(hash((name, number)) % 1000)
        for name, count in (("cat", 40), ("dog", 6))
        for number in range(count)
    }
    import_dataset(zipped(tmp_path / "pets.zip", files), "pets")
    test = open_page("train.py", {"dataset": "pets"})
    assert "times the training pictures of the smallest" in texts(test)
    test.button(key="use_balance").click().run()
    assert test.session_state["recipe_balance"] == "loss"
    rows = test.dataframe[0].value.set_index("class")
    assert rows.loc["dog", "weight"] / rows.loc["cat", "weight"] == pytest.approx(
        rows.loc["cat", "pictures"] / rows.loc["dog", "pictures"], rel=0.01
    )
    assert "times the training pictures" not in texts(open_page("train.py", {"dataset": "digits"}))


def test_the_train_page_says_how_many_weights_learn():
    """Row 14 of the goals: trainable parameters are shown."""
    test = open_page("train.py", {"dataset": "digits"}, more_settings=True)
    assert "Weights: 53,002; all of them learn" in texts(test)
    test.selectbox(key="recipe_freeze").set_value("backbone").run()
    assert "1,290 of them learn" in texts(test)
    test.selectbox(key="recipe_freeze").set_value("gradual").run()
    assert "at first 1,290 of them learn" in texts(test)


def test_a_finished_run_is_compared_with_what_came_before_networks(own_copy):
    test = open_page("train.py", {"run": own_copy})
    test.button(key="start baselines").click().run()
    fingerprint = str(open_run(own_copy).read("about.json")["fingerprint"])
    wait_for(
        lambda: (
            (job := background.study_job("baselines", "digits", fingerprint=fingerprint)) and job.status == "finished"
        ),
        60,
    )
    assert "learned from the pixels of 1,259 pictures" in texts(open_page("train.py", {"run": own_copy}))


def test_every_view_of_the_evaluation_shows_something(own_copy):
    test = open_page("evaluate.py", {"run": own_copy})
    assert not test.exception
    assert {"Accuracy", "Macro F1", "Balanced accuracy", "Always the commonest class"} <= {m.label for m in test.metric}
    for view in ("Classes", "Certainty", "Parts", "Worse pictures", "Elsewhere", "Versus", "Report", "Mistakes"):
        test.segmented_control(key="evaluate_view").set_value(view).run()
        assert not test.exception
        assert not test.error


def test_a_cell_of_the_confusion_matrix_lists_exactly_its_pictures(own_copy):
    """Row 7 of the goals; the boxes do what a click on the cell does."""
    test = open_page("evaluate.py", {"run": own_copy})
    counts = np.array(open_run(own_copy).read("evaluation.json")["confusion"])
    for truth, answer in ((3, 3), (8, 1)):
        test.selectbox(key="cell_truth").set_value(truth)
        test.selectbox(key="cell_answer").set_value(answer).run()
        count = counts[truth, answer]
        said = f"{count} picture{'s' if count != 1 else ''}, each with" if count else "No picture is like that"
        assert said in texts(test)


def test_calibrating_changes_how_sure_the_answers_are_but_not_the_answers(own_copy):
    test = open_page("evaluate.py", {"run": own_copy}, evaluate_view="Certainty")
    before = open_run(own_copy).read("evaluation.json")
    test.button(key="calibrate").click().run()
    assert not test.exception
    after = open_run(own_copy).read("evaluation.json")
    assert after["accuracy"] == before["accuracy"]
    assert after["loss"] != before["loss"]
    assert load_weights(open_run(own_copy).file("best.safetensors"))[1].temperature != 1
    assert {m.label: m.value for m in test.metric}["Temperature"] != "1.00"
    assert "0.05 to 20" not in texts(test)
    amend(open_run(own_copy), open_dataset("digits"), temperature=20.0)
    assert "0.05 to 20" in texts(open_page("evaluate.py", {"run": own_copy}, evaluate_view="Certainty"))


def test_the_report_is_one_page_without_script_or_foreign_address(own_copy):
    run = open_run(own_copy)
    digits = open_dataset("digits")
    given = kept_answers(run, digits, "test")
    text = printable(run, given, digits)
    assert f"{given.right.mean():.1%}" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    run.write("recipe.json", {**run.read("recipe.json"), "dataset": "<script>alert(1)</script>"})
    assert "<script" not in printable(run, given, digits)


def test_worse_pictures_are_studied_and_drawn(own_copy):
    test = open_page("evaluate.py", {"run": own_copy}, evaluate_view="Worse pictures")
    test.button(key="start robustness").click().run()
    wait_for(lambda: (job := background.study_job("robustness", "digits", run=own_copy)) and job.status == "finished")
    found = background.study_result(background.study_job("robustness", "digits", run=own_copy))
    noise = found["accuracy"][found["change"] == "noise"]
    assert noise[0] > 0.9
    assert noise[-1] < noise[0]
    assert "marks as none of these" in texts(
        open_page("evaluate.py", {"run": own_copy}, evaluate_view="Worse pictures")
    )


def tick(test, *names):
    """Tick runs in the table, as a visitor does."""
    table = test.dataframe[0]
    rows = [table.value["run"].tolist().index(name) for name in names]
    test.session_state[table.key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    return test.run()


def test_a_network_is_asked_about_pictures_from_elsewhere(own_copy):
    test = open_page("evaluate.py", {"run": own_copy, "view": "Elsewhere"})
    assert not test.exception
    assert "No other data set here has a class that it knows" in texts(test)
    assert not test.expander  # of the shapes none is a digit
    digits = open_dataset("digits")
    names = ("nought", "one", "two")
    import_dataset([Item(f"{i}.png", to_png(digits.images[i]), names[i % 3]) for i in range(9)], "words")
    test = open_page("evaluate.py", {"run": own_copy, "view": "Elsewhere"})
    assert "say above which are the same" in texts(test)
    test.selectbox(key=f"called words {own_copy} nought").set_value(0).run()
    assert test.button(key="start elsewhere").label == "Ask it about these pictures"
    pictures = [Item(f"{i}.png", to_png(255 - digits.images[i]), str(digits.labels[i])) for i in range(60)]
    import_dataset([*pictures, *(Item(f"x{i}.png", picture(i), "elephant") for i in range(5))], "inverted")
    test = open_page("evaluate.py", {"run": own_copy, "view": "Elsewhere"})
    assert test.selectbox(key="on").options[0] == "inverted"
    test.button(key="start elsewhere").click().run()
    wait_for(lambda: (job := background.study_job("elsewhere", "inverted", run=own_copy)) and job.status == "finished")
    test = open_page("evaluate.py", {"run": own_copy, "view": "Elsewhere"})
    assert not test.exception
    assert {"Accuracy on these", "In its own test", "Taken for strange"} <= {metric.label for metric in test.metric}
    assert "worse here than in its own test" in test.warning[0].value
    assert "elephant" in texts(test)
    assert "60 pictures" in texts(test)
    assert not [
        button for button in test.button if button.key == "elsewhere_train"
    ]  # they have colours, which it does not take


def test_what_was_asked_is_trained_further_on(own_copy):
    digits = open_dataset("digits")
    import_dataset(
        [Item(f"{i}.png", to_png(255 - digits.images[i]), str(digits.labels[i])) for i in range(100)], "inverted"
    )
    run = open_run(own_copy)
    tasks.work_study("elsewhere", "inverted", run=own_copy)
    test = open_page("evaluate.py", {"run": own_copy, "view": "Elsewhere"})
    asked = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pages.settings.fill_in", lambda run, **changes: asked.update(changes, run=run))
        test.button(key="elsewhere_train").click().run()
    assert not test.exception
    assert asked == {"run": run, "weights": own_copy, "dataset": "inverted", "image_size": 8}


def test_what_came_along_is_asked_about_pictures_where_its_own_are_not_here():
    names = ("airplane", "bird", "cat", "Dog")
    import_dataset([Item(f"{i}.png", picture(i), names[i % 4]) for i in range(24)], "toys")
    test = open_page("evaluate.py", {"run": "cifar10-fast"})
    assert not test.exception
    assert test.selectbox(key="on").options[0] == "toys"
    background.start_study("elsewhere", "toys", run="cifar10-fast")
    wait_for(lambda: background.study_job("elsewhere", "toys", run="cifar10-fast").status == "finished")
    test = open_page("evaluate.py", {"run": "cifar10-fast"})
    assert not test.exception
    assert "24 pictures" in texts(test)
    assert {"Accuracy on these", "In its own test"} <= {metric.label for metric in test.metric}


def test_the_table_says_who_started_what_where_there_are_several(own_copy):
    create_run(Recipe()).give_to(Owner("a" * 24, "Green Owl"))
    shown = open_page("runs.py").dataframe[0].value
    assert set(shown["owner"]) == {"", "Green Owl"}
    found = open_page("runs.py", runs_find="green owl").dataframe[0].value
    assert list(found["owner"]) == ["Green Owl"]
    delete_run(open_run(own_copy))
    assert "owner" not in open_page("runs.py").dataframe[0].value


def test_runs_are_found_compared_noted_deleted_and_brought_back(own_copy):
    """Row 20 of the goals: only the differing settings, curves overlaid, clone with a change, notes, delete."""
    other = create_run(Recipe(learning_rate=0.0123, epochs=3))
    other.update(phase="stopped")
    other.append("log.jsonl", {"epoch": 1, "validation_loss": 1.0, "validation_accuracy": 0.5, "train_loss": 1.2})
    test = open_page("runs.py")
    assert not test.exception
    assert {own_copy, other.name} <= set(test.dataframe[0].value["run"])
    test.text_input(key="runs_find").set_value("0.0123").run()
    assert own_copy not in set(test.dataframe[0].value["run"])
    test.text_input(key="runs_find").set_value("").run()
    tick(test, own_copy, other.name)
    assert not test.exception
    different = test.dataframe[1].value.set_index("Run")
    assert list(different.columns) == ["Learning rate", "validation accuracy", "test accuracy"]
    assert different.loc[pickers.run_label(other.name), "Learning rate"] == "0.0123"
    other.write("about.json", {"fingerprint": "of other pictures"})
    test.run()
    different = test.dataframe[1].value.set_index("Run")
    assert different.loc[pickers.run_label(other.name), "fingerprint of the pictures"] == "of other pictures"
    tick(test, other.name)
    test.text_input[1].set_value("demo, 7b")
    test.button(key=next(b.key for b in test.button if b.label == "Keep the note")).click().run()
    assert other.notes.tags == ("demo", "7b")
    tick(test, other.name)
    test.multiselect(key="runs_columns").set_value(["optimiser", "test_loss", "best_epoch"]).run()
    shown = test.dataframe[0].value.set_index("run").loc[own_copy]
    assert shown["optimiser"] == "adamw"
    assert 0 < shown["test_loss"] < 1
    assert 1 <= shown["best_epoch"] <= 3
    test.selectbox(key="runs_order").set_value("validation_accuracy").run()
    assert test.dataframe[0].value["validation_accuracy"].dropna().is_monotonic_decreasing
    test.selectbox(key="runs_order").set_value("epochs").run()
    assert test.toggle(key="runs_smallest").set_value(True).run().dataframe[0].value["run"].iloc[0] == other.name
    test.selectbox(key="runs_order").set_value("test_loss").run()
    assert test.dataframe[0].value["run"].iloc[-1] == other.name  # what was never tested comes last
    test.selectbox(key="runs_order").set_value("newest").run()
    tick(test, other.name)
    test.button(key="delete").click().run()
    assert other.name not in set(test.dataframe[0].value["run"])
    test.button(key="undo_delete").click().run()
    assert other.name in set(test.dataframe[0].value["run"])


def test_runs_without_an_epoch_have_no_curves_yet_and_many_settings_stand_below_each_other():
    runs = [create_run(Recipe()), create_run(Recipe(epochs=7, learning_rate=0.5, batch_size=8, optimiser="sgd"))]
    test = open_page("runs.py")
    tick(test, *(run.name for run in runs))
    assert not test.exception
    assert "None of these runs has finished an epoch" in test.info[0].value
    assert len(test.dataframe[1].value) == 6
    assert test.dataframe[1].value.columns[0] == "setting"


def test_a_run_is_called_by_what_it_learned_and_when_to_the_second_where_two_would_look_alike():
    names = ["2026-11-28_202053_seed-cnn_shapes", "2026-11-28_202101_seed-cnn_shapes", "cifar10-fast"]
    assert list(map(pickers.run_labels(names), names)) == [
        "seed-cnn_shapes · 11-28 20:20", "seed-cnn_shapes · 11-28 20:21", "cifar10-fast",
    ]  # fmt: skip
    names[1] = "2025-11-28_202053_seed-cnn_shapes"
    assert list(map(pickers.run_labels(names), names))[1] == "seed-cnn_shapes · 2025-11-28 20:20:53"


def test_a_ticked_run_stays_the_ticked_one_when_another_is_added_above_it(own_copy):
    """The table knows rows by their numbers; Delete must never take the neighbour of what was ticked."""
    test = tick(open_page("runs.py"), own_copy)
    assert test.subheader[0].value.replace("\\", "") == own_copy
    newer = create_run(Recipe())
    test.run()
    assert test.dataframe[0].value["run"].iloc[0] == newer.name
    assert test.subheader[0].value.replace("\\", "") == own_copy


def test_a_finished_run_is_the_start_of_another_with_a_click(own_copy):
    """Its settings fill the form; its weights are where the new one begins."""
    test = open_page("runs.py")
    tick(test, own_copy)
    test.button(key="further").click().run()
    assert test.session_state["recipe_weights"] == own_copy
    assert test.session_state["recipe_epochs"] == open_run(own_copy).recipe.epochs
    tick(test, own_copy)
    test.button(key="again").click().run()
    assert test.session_state["recipe_weights"] == "none"


LESSONS = [page for page in PAGES if page.startswith("learn_")]


@pytest.mark.parametrize("page", LESSONS)
def test_a_lesson_asks_a_question_checks_the_answer_and_has_a_plan_and_code_that_runs(page, capsys):
    test = open_page(page, same_in_pytorch=True, for_teachers=True)
    assert not test.exception
    question = next(box for box in test.radio if box.key.startswith("question_"))
    verdicts = []
    for option in range(len(question.options)):
        next(box for box in test.radio if box.key == question.key).set_value(option).run()
        assert not test.exception
        verdicts.append(any("Right." in box.value for box in test.success))
    assert sum(verdicts) == 1
    assert "**Goal**" in texts(test)
    exec([block.value for block in test.code if block.language == "python"][-1], {})  # the ten lines of PyTorch
    assert "**Time**" in texts(test)


def test_predict_shows_as_many_classes_as_asked_at_the_temperature_asked(trained):
    import numpy as np

    from imgrec.predict import predictor

    test = open_page(
        "predict.py", {"run": trained.name}, predict_source="Samples", predict_temperature=5.0, predict_top=3
    )
    [table] = test.dataframe
    names = [f"p({digit})" for digit in range(10)]
    sums = table.value[names].sum(axis=1)
    assert np.allclose(sums, 1, atol=1e-5)
    sharp = open_page("predict.py", {"run": trained.name}, predict_source="Samples").dataframe[0].value[names]
    assert (table.value[names].max(axis=1) < sharp.max(axis=1)).all()
    assert (table.value[names].idxmax(axis=1) == sharp.idxmax(axis=1)).all()
    assert predictor(trained.name).passport.temperature == 1  # the slider changes nothing that is kept


def test_predict_asks_several_runs_together(trained, full_workspace):
    import numpy as np

    names = [f"p({digit})" for digit in range(10)]
    alone = [
        open_page("predict.py", {"run": name}, predict_source="Samples").dataframe[0].value[names]
        for name in (trained.name, "digits-seed-cnn")
    ]
    test = open_page("predict.py", {"run": trained.name}, predict_source="Samples", predict_others=["digits-seed-cnn"])
    assert np.allclose(test.dataframe[0].value[names], (alone[0] + alone[1]) / 2, atol=1e-5)


def test_a_job_of_many_pictures_is_found_again_by_its_address_and_by_no_other(trained, tmp_path):
    from imgrec import bulk

    (tmp_path / "one.png").write_bytes(to_png(open_dataset("digits").images[3]))
    job = bulk.start(trained.name, tmp_path)
    wait_for(lambda: job.status == "finished")
    test = open_page("predict.py", {"run": trained.name, "answers": job.name})
    assert "1 picture classified" in test.success[0].value
    assert not open_page("predict.py", {"run": trained.name, "answers": "../" + job.name}).success


@pytest.mark.parametrize(
    ("to", "says"), [("onnx", "no probability differs"), ("int8", "what it costs"), ("torch", "no prob")]
)
def test_a_file_to_take_along_is_made_compared_and_offered(trained, to, says):
    test = open_page("export.py", {"run": trained.name}, export_to=to)
    test.button[0].click().run()
    assert "is ready" in test.success[0].value
    assert any(says in caption.value for caption in test.caption)


def test_a_file_that_cannot_be_made_says_why(trained, monkeypatch):
    from imgrec import webpage

    def offline(address, timeout):
        raise OSError("no network")

    monkeypatch.setattr(webpage.urllib.request, "urlopen", offline)
    test = open_page("export.py", {"run": trained.name}, export_to="page")
    test.button[0].click().run()
    assert "could not be fetched" in test.error[0].value


def test_a_run_of_somebody_else_can_be_watched_but_not_changed(own_copy, monkeypatch):
    """Row 12 of the goals."""
    from pages import visitors

    run = open_run(own_copy)
    run.write("owner.json", {"visitor": "ann", "name": "Blue Otter"})
    run.update(phase="stopped")
    keys = lambda test: {button.key for button in test.button}  # noqa: E731
    monkeypatch.setattr(visitors, "is_operator", lambda: False)
    monkeypatch.setattr(visitors, "visitor", lambda: Owner("ben", "Red Fox"))
    test = open_page("train.py", {"run": own_copy})
    assert "resume" not in keys(test)
    assert "Started by Blue Otter" in texts(test)
    monkeypatch.setattr(visitors, "visitor", lambda: Owner("ann", "Blue Otter"))
    assert "resume" in keys(open_page("train.py", {"run": own_copy}))
    monkeypatch.setattr(visitors, "visitor", lambda: None)
    assert "resume" not in keys(open_page("train.py", {"run": own_copy}))
    monkeypatch.setattr(visitors, "is_operator", lambda: True)
    assert "resume" in keys(open_page("train.py", {"run": own_copy}))


def test_the_network_after_each_epoch_is_shown_when_somebody_asks(own_copy):
    test = open_page("train.py", {"run": own_copy, "dataset": "digits"})
    assert "Gradients of" not in " ".join(
        chart.proto.alt for chart in test.get("plotly_chart") if hasattr(chart.proto, "alt")
    )
    test.toggle(key="moments").set_value(True).run()
    assert not test.exception
    assert "gradients that are all near zero" in texts(test)
    layers = next(box for box in test.selectbox if str(box.key).startswith("moment layer"))
    assert "features.0" in layers.options


def test_the_slider_grows_while_a_run_learns_and_stays_where_somebody_put_it(own_copy):
    run = open_run(own_copy)
    run.update(phase="training")
    kept = run.file("snapshots")
    with run.lock:  # it is learning now
        kept.rename(run.file("away"))
        test = open_page("train.py", {"run": own_copy, "dataset": "digits"})
        test.toggle(key="moments").set_value(True).run()
        assert "something to see after its first epoch" in texts(test)
        run.file("away").rename(kept)
        slider = lambda: test.run().select_slider(key=f"moment {own_copy}")  # noqa: E731
        assert slider().value == 3
        shutil.copy(kept / "0003.safetensors", kept / "0004.safetensors")
        assert slider().value == 4  # who looks at the latest sees the next
        slider().set_value(2)
        assert slider().value == 2
        shutil.copy(kept / "0003.safetensors", kept / "0005.safetensors")
        assert slider().value == 2
        assert slider().options == ["1", "2", "3", "4", "5"]
        assert not test.exception


def test_who_waits_for_a_training_is_asked_a_question_and_then_another(own_copy):
    run = open_run(own_copy)
    run.update(phase="training")
    with run.lock:  # it is learning now
        test = open_page("train.py", {"run": own_copy, "dataset": "digits"})
        assert not test.exception
        first = next(box for box in test.radio if box.key.startswith("quiz_"))
        assert len(first.options) > 1
        test.button(key="quiz_next").click().run()
        assert first.key not in [box.key for box in test.radio]
        assert not test.exception


def test_the_maps_of_every_layer_are_shown_for_any_kept_epoch(own_copy):
    """Row 10 of the goals: filters and feature maps of every layer of one's run, with a slider over its epochs."""
    test = open_page("learn_network.py", {"run": own_copy})
    slider = next(box for box in test.select_slider if box.label == "After epoch")
    assert slider.options == ["1", "2", "3", "the best"]
    layer = next(box for box in test.select_slider if box.label == "Layer")
    assert len(layer.options) >= 7
    shown = []
    for epoch in (1, 3):
        next(box for box in test.select_slider if box.label == "After epoch").set_value(epoch).run()
        assert not test.exception
        shown.append([element.proto.json for element in test.get("bidi_component")])
    assert shown[0]
    assert shown[0] != shown[1]


def test_an_archive_of_photos_in_no_folder_is_brought_without_labels(tmp_path):
    archive = zipped(tmp_path / "photos.zip", {f"IMG_{i}.png": picture(i) for i in range(5)}).read_bytes()
    for unlabelled, status in ((False, "failed"), (True, "finished")):
        test = open_page("bring.py", bring_way="Archive")
        test.file_uploader(key="bring 0 archive").set_value([("photos.zip", archive, "application/zip")])
        test.toggle(key="bring 0 unlabelled").set_value(unlabelled)
        test.text_input(key="bring 0 name").set_value("photos").run()
        button(test, "Import").click().run()
        assert not test.exception
        wait_for(lambda status=status: background.bring_jobs()[0].status == status)
        test.run()
        assert unlabelled or "or import them without labels" in texts(test)
    assert len(open_dataset("photos").unlabelled) == 5


def test_a_folder_from_the_browser_is_classified_as_a_whole():
    show = "from pages import many\nmany.show('digits-seed-cnn', 'one', 1.0)"
    test = AppTest.from_string(show, default_timeout=60)
    test.session_state["many_kind"] = "Folder"
    test.run()
    digits = open_dataset("digits")
    test.file_uploader[0].set_value([(f"{i}.png", to_png(digits.images[i]), "image/png") for i in range(5)]).run()
    button(test, "Classify all").click().run()
    assert not test.exception
    wait_for(lambda: "5 pictures classified" in " ".join(done.value for done in test.run().success))


def test_a_run_at_another_picture_size_is_compared_as_it_was_trained():
    shapes = open_dataset("shapes")
    import_dataset(
        [Item(f"{i}.png", to_png(shapes.images[i]), shapes.classes[shapes.labels[i]]) for i in range(120)], "drawn"
    )
    made = {}
    for size in (16, 32):
        run = create_run(Recipe(dataset="drawn", model="softmax-regression", image_size=size, epochs=3, device="cpu"))
        for _ in worker.work(run):
            pass
        run.file("test.npz").unlink()  # as of one that was stopped
        made[size] = run.name
    for mine, other in ((16, 32), (32, 16)):
        test = open_page("evaluate.py", {"run": made[mine], "dataset": "drawn"}, evaluate_view="Versus")
        assert not test.exception
        figures = {metric.label: metric.value for metric in test.metric}
        for label, size in (("This run", mine), ("The other", other)):
            assert figures[label] == f"{open_run(made[size]).read('evaluation.json')['accuracy']:.1%}"


def test_only_its_owner_calibrates_a_run_and_not_while_it_learns(own_copy, monkeypatch):
    from pages import visitors

    calibrate = lambda: open_page("evaluate.py", {"run": own_copy}, evaluate_view="Certainty").button(key="calibrate")  # noqa: E731
    assert not calibrate().disabled
    monkeypatch.setattr(visitors, "may_change", lambda run: False)
    assert calibrate().disabled
    monkeypatch.setattr(visitors, "may_change", lambda run: True)
    monkeypatch.setattr(parts, "live", lambda run: True)
    assert calibrate().disabled


def test_train_shows_runs_of_the_chosen_data_set_only_and_follows_a_link_to_a_run(own_copy):
    other = open_page("train.py", {"dataset": "shapes"})
    assert "No training on this data set yet" in texts(other)
    switched = open_page("train.py", {"dataset": "shapes", "run": own_copy})
    assert not switched.warning
    assert "No training on this data set yet" in texts(switched)
    linked = open_page("train.py", {"run": own_copy})
    assert (linked.selectbox(key="dataset").value, linked.selectbox(key="run").value) == ("digits", own_copy)


def test_few_photos_choose_the_preset_few_until_somebody_chooses_otherwise():
    photos = [Item(f"{i}.png", to_png(np.full((80, 80, 3), i, np.uint8)), "ab"[i % 2]) for i in range(40)]
    import_dataset(photos, "mine")
    test = open_page("train.py", {"dataset": "mine"})
    assert (test.session_state["preset"], test.session_state["recipe_weights"]) == ("few", "cifar10-fast")
    test.selectbox(key="dataset").set_value("digits").run()
    assert (test.session_state["preset"], test.session_state["recipe_weights"]) == ("standard", "none")
    test.selectbox(key="dataset").set_value("mine").run()
    test.button_group(key="preset").set_value("standard").run()
    assert test.session_state["recipe_weights"] == "none"
    assert "few for a network that begins with nothing" in texts(test)
    asked = {name: text if isinstance(text, str) else text[0] for name, text in test.query_params.items()}
    assert asked["preset"] == "standard"
    assert open_page("train.py", asked).session_state["preset"] == "standard"  # after a reload, too
    test.button_group(key="preset").set_value("transfer").run()
    assert "not on this machine yet" in texts(test)


def plain_pictures(name="mine", classes="ab", images=100):
    """A data set of plain greys that a network learns at once."""
    items = [
        Item(f"{i}.png", to_png(np.full((16, 16, 3), 40 + 75 * (i % len(classes)) + i % 30, np.uint8)), classes[i % len(classes)])
        for i in range(images)
    ]  # fmt: skip
    import_dataset(items, name)


def learned(name="mine", seed=0):
    """A finished training on it."""
    run = create_run(Recipe(dataset=name, model="softmax-regression", epochs=4, device="cpu", seed=seed))
    for _ in worker.work(run):
        pass
    return run


def test_a_class_renamed_after_a_training_is_followed_on_every_way_to_its_test(tmp_path):
    plain_pictures(classes="abc")
    run, before = learned(), learned(seed=1)
    said, right = run.read("evaluation.json"), kept_answers(run, open_dataset("mine", 32), "test").right
    edit("mine", Edit("rename", value="z", old="a"))
    edit("mine", Edit("rename", value="a", old="b"))  # another one is called so now
    edit(
        "mine", Edit("relabel", (int(open_dataset("mine").indices("test")[0]),), "new")
    )  # and a class comes in that none learned
    with pytest.raises(ValueError, match="other classes"):
        imgrec.load(run.name).evaluate()
    undo("mine")
    learner = imgrec.load(run.name)
    assert learner.classes == ("z", "a", "c")
    assert learner.predict(open_dataset("mine").images[0], 1)[0]["name"] in "zac"
    assert learner.export(tmp_path / "small.onnx", "int8").exists()
    (tmp_path / "0.png").write_bytes(to_png(open_dataset("mine").images[0]))
    for name, status in (("z", 0), ("b", 2)):
        assert (
            main(
                [
                    "explain",
                    run.name,
                    str(tmp_path / "0.png"),
                    "--class",
                    name,
                    "--method",
                    "saliency",
                    "--out",
                    str(tmp_path / "why.png"),
                ]
            )
            == status
        )
    with pytest.raises(ValueError, match="choose one of"):
        learner.export(tmp_path / "x.onnx", "tflite")
    assert imgrec.load(run.name).evaluate()["accuracy"] == pytest.approx(said["accuracy"])
    test = open_page("evaluate.py", {"run": run.name, "view": "Versus"})
    assert not test.exception
    assert "Renamed since the training: a → z, b → a" in texts(test)
    assert test.selectbox(key="versus").options == [pickers.run_label(before.name)]
    test.button(key="rename_network").click().run()
    assert not test.exception
    assert "Renamed since" not in texts(test)
    assert load_weights(run.file("best.safetensors"))[1].classes == ("z", "a", "c")
    assert [row["name"] for row in run.read("evaluation.json")["classes"]] == ["z", "a", "c"]
    assert test.selectbox(key="versus").options == [pickers.run_label(before.name)]  # which calls them as before
    assert {metric.label: metric.value for metric in test.metric}["This run"] == f"{right.mean():.1%}"
    undo("mine")
    undo("mine")
    assert "Renamed since the training: z → a, a → b" in texts(open_page("evaluate.py", {"run": run.name}))
    study = background.start_study("robustness", "mine", run=run.name)
    wait_for(lambda: background.study_result(study))
    assert background.study_result(study)["accuracy"][0] == pytest.approx(right.mean())


def test_two_classes_that_changed_their_names_are_told_apart():
    plain_pictures()
    run = learned()
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        edit("mine", Edit("rename", value=new, old=old))
    assert imgrec.load(run.name).evaluate()["accuracy"] == pytest.approx(run.read("evaluation.json")["accuracy"])
    assert run.read("evaluation.json")["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("state.json", '{"phase": "new", "updated": "x"}'), ("evaluation.json", '{"accuracy": "x"}'), ("evaluation.json", '{"accuracy": 0.5}'),
        ("recipe.json", '{"dataset": 5}'), ("about.json", "[" * 100_000), ("recipe.json", "[" * 100_000), ("classes.json", '{"classes": null}'), ("changes.jsonl", "{}\n"),
    ],
)  # fmt: skip
def test_a_run_whose_files_hold_something_else_breaks_no_page(own_copy, file, content):
    open_run(own_copy).file(file).write_text(content)
    for page in ("home.py", "train.py", "runs.py", "predict.py", "teach.py", "export.py", "evaluate.py"):
        assert not open_page(page, {"run": own_copy}).exception, page


def test_a_visitor_opens_no_weights_from_just_anywhere_on_the_server(monkeypatch, tmp_path, workspace):
    monkeypatch.setattr("pages.visitors.is_operator", lambda: False)
    asked = {"dataset": "digits", "weights": str(tmp_path / "secret.safetensors")}
    test = open_page("train.py", asked)
    test.button(key="start").click().run()
    assert "cannot be opened here" in texts(test).replace("\\", "")
    assert not list_runs()
    (workspace / "weights").mkdir(exist_ok=True)
    test = open_page("train.py", {**asked, "weights": str(workspace / "weights" / "none.safetensors")})
    test.button(key="start").click().run()
    assert "cannot be opened here" not in " ".join(error.value for error in test.error)


def test_where_an_operator_is_named_only_they_delete_what_is_nobodys_also_after_a_reload(monkeypatch, pets):
    monkeypatch.setenv("IMGREC_OPERATOR", "secret")
    monkeypatch.setattr("pages.visitors.visitor", lambda: Owner("b" * 24, "Blue Owl"))
    monkeypatch.setattr("pages.visitors._remembered", {})
    monkeypatch.setattr("pages.parts.PAGE", {})  # which main.py fills, and other tests find empty
    deletable = lambda: any(box.label == "Delete it" for box in open_page("dataset.py", {"dataset": "pets"}).button)  # noqa: E731
    assert not deletable()
    assert open_page("main.py", {"operator": "wrong"}).query_params.get("operator") is None
    assert not deletable()
    assert open_page("main.py", {"operator": "secret"}).query_params.get("operator") is None
    assert deletable()


def test_a_class_renamed_where_it_is_taught_is_called_so_by_the_network_too():
    plain_pictures()
    run = learned()
    test = open_page("teach.py", {"dataset": "mine", "run": run.name})
    test.text_input(key="teach 0 mine rename a").set_value("apple")
    test.button(key="teach 0 mine renamed a").click().run()
    assert not test.exception
    assert load_weights(run.file("best.safetensors"))[1].classes == ("apple", "b")
    test.button(key="teach_undo").click().run()
    assert load_weights(run.file("best.safetensors"))[1].classes == ("a", "b")


def test_after_a_correction_the_page_says_what_the_run_had_then_and_two_runs_are_compared_on_what_is_now():
    plain_pictures()
    made = []
    for seed in (0, 1):
        run = learned(seed=seed)
        made.append(run.name)
        wrong = int(open_dataset("mine").indices("test")[seed])
        if seed == 0:
            assert "changed since this training" not in texts(open_page("evaluate.py", {"run": run.name}))
            edit("mine", Edit("relabel", (wrong,), "b" if open_dataset("mine").labels[wrong] == 0 else "a"))
    test = open_page("evaluate.py", {"run": made[0], "view": "Versus"})
    assert not test.exception
    said = open_run(made[0]).read("evaluation.json")
    assert f"At its end it had {said['accuracy']:.1%} of {said['images']} pictures right" in texts(test)
    assert test.selectbox(key="versus").options == [pickers.run_label(made[1])]
    assert "was changed since one of the two trainings" in texts(test)
    figures = {metric.label: metric.value for metric in test.metric}
    assert figures["This run"] == f"{said['accuracy'] - 1 / said['images']:.1%}"
    assert test.button(key="train_again").label == "Train again"


def test_too_few_pictures_of_a_class_are_said_at_once_and_names_are_proposed(tmp_path):
    archive = zipped(tmp_path / "hands.zip", {"fist/1.png": picture(1), "palm/1.png": picture(2)}).read_bytes()
    test = open_page("bring.py", bring_way="Archive")
    test.file_uploader(key="bring 0 archive").set_value([("My hands.zip", archive, "application/zip")]).run()
    assert test.text_input(key="bring 0 name").value == "My-hands"
    button(test, "Import").click().run()
    wait_for(lambda: background.bring_jobs()[0].status == "finished")
    test.run()
    assert "Few pictures of fist, palm" in texts(test)


def test_an_archive_without_classes_need_not_be_chosen_again(tmp_path):
    archive = zipped(tmp_path / "all.zip", {f"holiday/{i}.png": picture(i) for i in range(4)}).read_bytes()
    test = open_page("bring.py", bring_way="Archive")
    test.file_uploader(key="bring 0 archive").set_value([("photos.zip", archive, "application/zip")]).run()
    button(test, "Import").click().run()
    wait_for(lambda: background.bring_jobs()[0].status == "failed")
    test.run()
    button(test, "Import it without labels").click().run()
    wait_for(lambda: background.bring_jobs()[0].status == "finished")
    assert open_dataset("photos").classes == ()
    assert len(open_dataset("photos").unlabelled) == 4
    assert not list(background.bring_folder("photos").path.parent.parent.glob(".uploads/*/*"))
    (broken := tmp_path / "broken.zip").write_bytes(archive[:100])
    background.start_import(uploads.keep("broken.zip", broken.read_bytes()), "broken")
    wait_for(lambda: background.bring_folder("broken").status == "failed")
    assert not any(button.label == "Import it without labels" for button in open_page("bring.py").button)
    assert not list(background.bring_folder("photos").path.parent.parent.glob(".uploads/*/*"))


def test_home_tells_what_is_kept_on_the_disk_when_asked(own_copy):
    plain_pictures("pets", images=20)
    test = open_page("home.py")
    assert not test.dataframe
    test.button(key="disk").click().run()
    told = test.dataframe[0].value
    assert set(told["Name"]) >= {"pets", own_copy}
    assert set(told["Kept"]) >= {"Data set", "Run"}
    assert "in the workspace" in texts(test)


def test_label_opens_with_the_set_whose_pictures_wait():
    import_dataset([Item(f"{i}.png", picture(i)) for i in range(5)], "loose", unlabelled=True)
    test = open_page("label.py")
    assert test.selectbox(key="dataset").value == "loose"
    assert "say what it is" in texts(test)


def test_no_box_promises_more_than_the_server_takes(monkeypatch):
    settings = tomllib.loads((FOLDER.parent / ".streamlit" / "config.toml").read_text("utf-8"))
    monkeypatch.setattr("streamlit.get_option", lambda name: settings["server"][name.partition(".")[2]])
    boxes = {"bring.py": ("Archive", "Folder"), "predict.py": ("Files",)}
    for page, ways in boxes.items():
        for way in ways:
            test = open_page(page, bring_way=way, predict_source=way)
            for box in test.file_uploader:
                assert 0 < box.proto.max_upload_size_mb <= settings["server"]["maxUploadSize"], (page, way)
    assert transfers.upload_mb() == 500  # archives of photos


def test_files_on_the_page_predict_outlast_a_reload(monkeypatch):
    monkeypatch.setattr("pages.visitors.visitor", lambda: Owner("a" * 24, "Amber Fox"))
    monkeypatch.setattr("pages.drafts._drafts", {})
    asked = {"run": "digits-seed-cnn", "source": "Files"}
    test = open_page("predict.py", asked)
    assert "draft" not in test.query_params
    test.file_uploader(key="predict_files").set_value(
        [("five.png", to_png(open_dataset("digits").images[5]), "image/png")]
    ).run()
    assert "five.png" in texts(test).replace("\\", "")
    draft = test.query_params["draft"]
    again = open_page("predict.py", {**asked, "draft": draft if isinstance(draft, str) else draft[0]})
    assert "five.png" in texts(again).replace("\\", "")
    next(button for button in again.button if button.key == "predict_out").click().run()
    assert "five.png" not in texts(again).replace("\\", "")
    assert "draft" not in again.query_params


def test_a_run_whose_pictures_are_gone_is_shown_and_can_be_stopped(own_copy, monkeypatch):
    import_dataset([Item(f"{i}.png", picture(i), "ab"[i % 2]) for i in range(40)], "gone")
    run = create_run(Recipe(dataset="gone", epochs=5))
    run.update(phase="training")
    delete_dataset("gone")
    with run.lock:
        test = open_page("train.py", {"run": run.name})
        assert not test.exception
        assert "not on this machine any more" in texts(test)
        assert {"stop", "pause", "finish"} <= {each.key for each in test.button}
    bad = create_run(Recipe(dataset="digits"))
    bad.file("recipe.json").write_text("{")
    broken = open_page("train.py", {"run": bad.name})
    assert not broken.exception
    assert "no readable recipe" in texts(broken)


def test_train_again_brings_the_settings_of_the_run_and_not_what_is_suggested():
    photos = [Item(f"{i}.png", to_png(np.full((80, 80, 3), i, np.uint8)), "ab"[i % 2]) for i in range(40)]
    import_dataset(photos, "mine")
    script = (
        "from imgrec.recipe import Recipe\nfrom imgrec.runs import create_run\nfrom pages import settings\n"
        "import streamlit as st\nst.session_state.setdefault('preset', 'standard')\n"
        "settings.fill_in(create_run(Recipe(dataset='mine')))\nsettings.suggest('few')"
    )
    test = AppTest.from_string(script, default_timeout=60).run()
    assert not test.exception
    assert (test.session_state["preset"], test.session_state["recipe_weights"]) == ("standard", "none")


def test_a_note_about_an_import_can_be_dismissed(workspace):
    path = workspace / "none.zip"
    path.write_bytes(b"no archive")
    job = background.start_import(path, "pets", owner=Owner("e" * 24, "Teal Seal"))
    other = background.start_import(path, "their-pets", owner=Owner("f" * 24, "Red Fox"))
    wait_for(lambda: job.status == other.status == "failed")
    test = open_page("bring.py")
    assert "their" not in texts(test)
    assert "is not a whole ZIP file; download or make it again" in texts(test)
    test.button(key="dismiss pets").click().run()
    assert "is not a whole ZIP file" not in texts(test)
    assert [left.name for left in background.bring_jobs()] == ["their-pets"]
