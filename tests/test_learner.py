"""The few lines of Python: pictures by their place, a training that can be interrupted, and what can be asked of it."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pictures import folder, picture, two_classes, zipped
from PIL import Image

import imgrec
from imgrec.data import DatasetError, find, open_dataset
from imgrec.home import home
from imgrec.images import ImageError, to_png
from imgrec.learner import load
from imgrec.progress import as_dataset
from imgrec.recipe import Recipe, RecipeError
from imgrec.runs import RunError, create_run, list_runs, open_run
from imgrec.weights import load_weights

ROOT = Path(__file__).parent.parent
SMALL = {"model": "softmax-regression", "epochs": 2, "device": "cpu"}


def names():
    return sorted(path.name for path in (home() / "datasets").iterdir() if not path.name.startswith("."))


def test_the_lines_in_the_readme_do_what_they_say(tmp_path, capsys):
    code = re.search(r"```python\n(.+?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)[1]
    folder(tmp_path / "photos", two_classes(20))
    folder(tmp_path / "other-photos", {name: picture(900 + i) for i, name in enumerate(two_classes(5))})
    (tmp_path / "photo.png").write_bytes(picture(1))
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "IMGREC_HOME": str(home())},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "photos: 40 pictures in 2 classes, 0 refused" in run.stderr
    assert "epoch   1  train loss" in run.stdout
    assert {"why.png", "photos.onnx"} <= set(os.listdir(tmp_path))


def test_pictures_that_come_again_keep_their_splits(tmp_path):
    """Or a training that goes on from the one before would be tested on what that had learned."""
    place = folder(tmp_path / "photos", two_classes(60))
    before = open_dataset(as_dataset(place))
    folder(place, {f"cat/new {i}.png": picture(700 + i) for i in range(20)})
    (place / "dog" / "first of all.png").write_bytes(picture(800))
    after = open_dataset(as_dataset(place))
    assert (before.name, after.name, len(after)) == ("photos", "photos-2", len(before) + 21)
    then = dict(zip(before.files, before.splits.tolist(), strict=True))
    now = dict(zip(after.files, after.splits.tolist(), strict=True))
    assert all(now[file] == split for file, split in then.items())
    new = [now[file] for file in now if file not in then]
    assert [new.count(split) for split in range(3)] == [15, 2, 4]


def test_pictures_are_imported_once_and_again_when_they_change(tmp_path):
    place = folder(tmp_path / "My photos", two_classes(8))
    first = imgrec.fit(place, **SMALL)
    assert first.run.recipe.dataset == "My-photos"
    assert imgrec.fit(f"{place}/", **SMALL).run.recipe.dataset == "My-photos"
    (place / "dog" / "one more.png").write_bytes(picture(500))
    (place / "dog" / "broken.png").write_bytes(b"no picture")
    other = imgrec.fit(place, **SMALL)
    assert other.run.recipe.dataset == "My-photos-2"
    assert len(open_dataset("My-photos-2")) == len(open_dataset("My-photos")) + 1
    assert names() == ["My-photos", "My-photos-2"]


def test_a_folder_that_changed_is_imported_again_although_a_set_is_called_like_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "photos", two_classes(8))
    assert imgrec.fit("photos", **SMALL).run.recipe.dataset == "photos"
    folder(tmp_path / "photos", {"cat/new.png": picture(500)})
    assert len(imgrec.fit("photos", **SMALL).dataset) == 17


def test_every_change_of_the_files_is_noticed(tmp_path):
    place = folder(tmp_path / "a", two_classes(3))
    as_dataset(place)
    assert find(place) == "a"
    for change in (
        lambda: (place / "cat" / "0.png").write_bytes(picture(77)),
        lambda: (place / "cat" / "0.png").rename(place / "dog" / "x.png"),
        lambda: (place / "dog" / "x.png").unlink(),
    ):
        change()
        assert find(place) is None
        as_dataset(place)
        assert find(place)
    assert names() == ["a", "a-2", "a-3", "a-4"]


def test_pictures_behind_a_table_are_noticed_too(tmp_path):
    folder(tmp_path / "t", two_classes(3))
    table = tmp_path / "t" / "labels.csv"
    table.write_text("file,label\n" + "".join(f"{name}/{i}.png,{name}\n" for name in ("cat", "dog") for i in range(3)))
    assert as_dataset(table) == "labels"
    assert find(table) == "labels"
    (tmp_path / "t" / "cat" / "1.png").write_bytes(picture(700))
    assert find(table) is None


def test_a_set_without_labels_is_refused_before_anything_starts(tmp_path):
    from imgrec.data import import_dataset

    import_dataset(folder(tmp_path / "a", two_classes(3)), "waiting", unlabelled=True)
    with pytest.raises(DatasetError, match="no training pictures"):
        imgrec.fit("waiting", **SMALL)
    assert list_runs() == []


def test_who_waits_is_told_behind_how_many(capfd, monkeypatch):
    from imgrec import queue, trainings

    first = trainings.enqueue(Recipe(**SMALL))
    with first.lock.acquire():
        first.update(phase="training")
        later = threading.Timer(
            2, lambda: (first.update(phase="finished"), queue.leave(first), first.lock.release(force=True))
        )
        later.start()
        imgrec.fit("digits", **SMALL)
    assert "waits for its turn; before it: 1" in capfd.readouterr().err


def test_a_set_to_which_pictures_were_added_is_no_longer_what_lies_there(tmp_path):
    from imgrec.data import import_dataset

    place = folder(tmp_path / "a", two_classes(3))
    as_dataset(place)
    import_dataset(folder(tmp_path / "b", {"cat/new.png": picture(900)}), "a", adding=True)
    assert find(place) is None


def test_the_newest_is_loaded_where_no_name_is_given(own_copy):
    assert imgrec.load().run.name == own_copy
    assert imgrec.load("last").run.name == own_copy
    newer = create_run(Recipe())
    assert imgrec.load().run == newer


def test_without_a_run_there_is_no_newest():
    with pytest.raises(RunError, match="no run yet"):
        imgrec.load()


def test_the_options_of_a_built_in_set_are_no_ending_of_a_file():
    learner = imgrec.fit("shapes:count=60,difficulty=0.3", **SMALL)
    assert len(learner.dataset) == 60


def test_confidence_is_the_calibrated_one(own_copy):
    from imgrec.evaluate import amend

    before = load(own_copy).answers().confidence.mean()
    amend(load(own_copy).run, load(own_copy).dataset, temperature=3.0)
    after = load(own_copy).answers()
    assert after.temperature == 3.0
    assert after.confidence.mean() < before - 0.1


def test_an_archive_a_name_and_a_built_in_name(tmp_path, monkeypatch):
    imgrec.fit(zipped(tmp_path / "some.zip", two_classes(8)), **SMALL)
    assert imgrec.fit("some", **SMALL).run.recipe.dataset == "some"
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "digits", two_classes(8))
    assert imgrec.fit("./digits", **SMALL).run.recipe.dataset == "digits-2"


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"pictures": "no/such/folder"}, DatasetError, "There is no file or folder no/such/folder"),
        ({"pictures": "photos.zip"}, DatasetError, "There is no file or folder photos.zip"),
        ({"pictures": "digitz"}, DatasetError, "Did you mean digits"),
        ({"pictures": " "}, DatasetError, "Name a data set"),
        ({"dataset": "digits"}, RecipeError, "first argument"),
        ({"epochs": 0}, RecipeError, "epochs is 0"),
        ({"epoch": 3}, RecipeError, "epoch"),
        ({"preset": "fastest"}, RecipeError, "fastest"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(wrong, error, words):
    with pytest.raises(error, match=re.escape(words)):
        imgrec.fit(**{**SMALL, **wrong})
    assert list_runs() == []


def test_a_run_that_is_not_there():
    with pytest.raises(RunError, match="nothing"):
        imgrec.load("nothing")
    with pytest.raises(RunError, match="not a run of this workspace"):
        imgrec.load("/no/such/place/digits-seed-cnn")
    assert imgrec.load(open_run("digits-seed-cnn").path).run.name == "digits-seed-cnn"
    with pytest.raises(AttributeError, match="has no attribute 'fits'"):
        imgrec.fits  # noqa: B018


def test_a_picture_may_be_given_in_any_form(trained, tmp_path, digits):
    learner = load(trained.name)
    pixels = digits.images[5]
    path = tmp_path / "five.png"
    path.write_bytes(to_png(pixels))
    given = (path, str(path), path.read_bytes(), Image.open(path), pixels, pixels[..., 0])
    said = [learner.predict(one) for one in given]
    assert all(one == said[0] for one in said)
    assert len(said[0]) == 5
    assert sum(row["probability"] for row in learner.predict(path, top=10)) == pytest.approx(1, abs=1e-5)
    assert [one.file for one in learner.classify(tmp_path)] == [str(path)]
    with pytest.raises(ImageError, match=r"floating-point.*\.$"):
        learner.predict(Image.new("F", (9, 9)))
    with pytest.raises(ImageError, match="no pixels"):
        learner.predict(Image.new("L", (0, 0)))
    with pytest.raises(ImageError, match="not a picture"):
        learner.predict(b"no picture")
    with pytest.raises(ValueError, match="uint8"):
        learner.predict(pixels / 255)
    for nonsense in (None, [pixels], 7):
        with pytest.raises(ImageError, match=f"A {type(nonsense).__name__} is no picture"):
            learner.predict(nonsense)
    assert load(trained).predict(path) == load(trained.path).predict(path) == said[0]


def test_a_photo_that_was_opened_with_pillow_is_turned_like_its_file(trained, tmp_path):
    """Phones save photos lying down, with a note on how to turn them."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 24, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "phone.png", exif=exif)
    learner = load(trained.name)
    assert learner.predict(Image.open(tmp_path / "phone.png")) == learner.predict(tmp_path / "phone.png")


def test_what_can_be_asked_of_it(trained, tmp_path, digits):
    learner = load(trained.name)
    found = learner.evaluate()
    assert found["accuracy"] == trained.read("evaluation.json")["accuracy"]
    assert f"{found['accuracy']:.1%}" in repr(learner)
    assert learner.confusion().to_dict()["data"]
    assert len(learner.curves("accuracy").to_dict()["data"][1]["x"]) == 3
    wrong = round((1 - found["accuracy"]) * found["images"])
    assert learner.mistakes(1000)._repr_html_().count("<figure>") == wrong
    assert learner.mistakes(1).count("<figure>") == 1
    assert learner.explain(digits.images[0], "3").size == learner.explain(digits.images[0]).size
    assert learner.report(tmp_path / "r.html").read_text("utf-8").startswith("<!doctype html>")
    assert learner.export(tmp_path / "m.onnx").stat().st_size > 1000
    for wrong in (lambda: learner.evaluate("foo"), lambda: learner.curves("foo"), lambda: learner.export(tmp_path / "m.x"),
                  lambda: learner.report(tmp_path), lambda: learner.export(tmp_path / "none" / "m.onnx")):  # fmt: skip
        with pytest.raises((ValueError, RuntimeError), match=r"choose one of|endings|is a folder|no folder"):
            wrong()


def test_a_wrong_format_ending_or_number_is_told(trained, tmp_path, digits):
    learner = load(trained.name)
    for wrong, words in (
        (lambda: learner.export(tmp_path / "e.onnx", "tflite"), "to is 'tflite'; choose one of"),
        (lambda: learner.report(tmp_path / "rep.pdf"), "another ending than .html"),
        (lambda: learner.predict(digits.images[0], top=0), "top is 0"),
        (lambda: learner.predict(digits.images[0], top="3"), "top is '3'"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    assert not list(tmp_path.iterdir())


def test_it_calls_its_classes_as_its_data_set_does_by_now_and_as_it_did_once_that_is_gone(tmp_path):
    from imgrec.data import Edit, delete_dataset, edit

    learner = imgrec.fit(folder(tmp_path / "pets", two_classes(20)), **SMALL)
    assert learner.classes == ("cat", "dog")
    edit("pets", Edit("rename", value="hound", old="dog"))
    again = load(learner.run.name)
    assert again.classes == ("cat", "hound")
    assert {row["name"] for row in again.predict(picture(1))} == {"cat", "hound"}
    assert "hound" in [row["name"] for row in again.evaluate()["classes"]]
    again.export(tmp_path / "small.onnx", "int8")
    delete_dataset("pets")
    assert load(learner.run.name).classes == ("cat", "dog")


def test_names_from_strangers_stay_text(tmp_path):
    files = {name.replace("cat", "<img src=x onerror=alert(1)>"): content for name, content in two_classes(20).items()}
    learner = imgrec.fit(zipped(tmp_path / "a.zip", files), **SMALL)
    shown = learner.mistakes()._repr_html_() + learner._repr_html_()
    assert "<img src=x" not in shown


def test_interrupted_it_is_kept_and_goes_on_to_the_same_weights(monkeypatch):
    recipe = {"model": "softmax-regression", "epochs": 60, "device": "cpu", "augment": "shift=0.1"}
    whole = imgrec.fit("digits", **recipe)
    real = imgrec.learner.in_a_line

    def interrupt_once(epoch):
        if epoch.epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return real(epoch)

    monkeypatch.setattr("imgrec.learner.in_a_line", interrupt_once)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="resume"):
        imgrec.fit("digits", **recipe)
    assert signal.getsignal(signal.SIGINT) is before
    run = next(run for run in list_runs() if run.status == "stopped")
    assert 1 <= len(run.epochs) < 60
    resumed = load(run.name).resume()
    assert resumed.run.status == "finished"
    ours, theirs = (load_weights(run.run.file("best.safetensors"))[0] for run in (whole, resumed))
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_it_trains_in_a_thread_that_no_signal_reaches():
    done = []
    thread = threading.Thread(target=lambda: done.append(imgrec.fit("digits", **SMALL)))
    thread.start()
    thread.join()
    assert done[0].run.status == "finished"


def test_the_package_alone_loads_nothing_heavy():
    code = "import sys, imgrec; print([m for m in ('torch', 'numpy', 'streamlit', 'plotly') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"


def test_a_notebook_shows_a_chart_as_what_it_is(trained):
    drawn = io.StringIO()
    load(trained.name).curves().write_html(drawn, include_plotlyjs=False)
    assert "Plotly.newPlot" in drawn.getvalue()
