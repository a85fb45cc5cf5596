"""Predictions, evaluation, heat maps and exports agree with torch, with scikit-learn and with each other."""

import copy
import dataclasses
import io
import json
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from imgrec import hardware
from imgrec.data import Dataset, DatasetError, open_dataset
from imgrec.evaluate import evaluate
from imgrec.explain import METHODS, explain, overlay
from imgrec.export import FORMATS, ExportError, export
from imgrec.images import to_png
from imgrec.models import ModelError
from imgrec.predict import Predictor, predictor, shares
from imgrec.recipe import RecipeError
from imgrec.runs import RunError, create_run, delete_run, list_runs, open_run

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def png(picture):
    return to_png(picture)


def test_every_softmax_adds_up_to_one(model):
    """Row 1 of the goals: 1 to 50 pictures, each full softmax sums to 1 ± 1e-5."""
    generator = np.random.default_rng(0)
    files = []
    for i in range(50):
        image = Image.fromarray(generator.integers(0, 256, (20 + i, 31, 3), np.uint8))
        buffer = io.BytesIO()
        image.save(buffer, ("PNG", "JPEG", "BMP")[i % 3])
        files.append((f"{i}", buffer.getvalue()))
    results = model.classify(files)
    assert len(results) == 50
    for result in results:
        assert abs(float(result.probabilities.sum(dtype=np.float64)) - 1) < 1e-5
        top = result.top(model.classes, 5)
        assert len(top) == 5
        assert [row["probability"] for row in top] == sorted((row["probability"] for row in top), reverse=True)


def test_a_bad_file_gets_its_error_in_its_place(model, digits):
    results = model.classify(
        [("good.png", png(digits.images[0])), ("bad.png", b"no picture"), ("also good.png", png(digits.images[1]))]
    )
    assert [result.error is None for result in results] == [True, False, True]
    assert "bad.png" in results[1].error
    assert [r.file for r in results] == ["good.png", "bad.png", "also good.png"]


def test_a_picture_gives_the_same_answer_alone_and_among_others(model, digits):
    files = [(str(i), png(digits.images[i])) for i in range(40)]
    together = np.stack([r.probabilities for r in model.classify(files)])
    alone = np.stack([model.classify([file])[0].probabilities for file in files])
    assert np.allclose(together, alone, atol=1e-6)


def test_a_batch_is_shared_out_among_the_cores_and_its_answers_stay_the_same(model, digits, monkeypatch):
    both, forward, seen = threading.Barrier(2, timeout=20), model.model.forward, digits.images[:37]

    def met(images):
        if len(images) == 16:  # half of 32; the last five stay together
            both.wait()
        return forward(images)

    alone = model._look(seen)
    monkeypatch.setattr(hardware, "THREADS", 2)
    monkeypatch.setattr(model.model, "forward", met)
    monkeypatch.setattr(type(model), "at_once", 32)
    for part, expected in zip(model.look(seen), alone, strict=True):
        assert np.allclose(part, expected, atol=1e-5)
    assert np.allclose(model.logits(seen[:32]), alone[0][:32], atol=1e-5)
    assert [len(part) for part in model.look(seen[:0])] == [0, 0]


@pytest.mark.parametrize(
    ("pictures", "threads", "parts"),
    [(32, 2, 2), (8, 2, 2), (7, 2, 1), (32, 16, 8), (32, 12, 6), (64, 7, 7), (1, 9, 1)],
)
def test_no_core_is_left_out_and_none_gets_too_little(pictures, threads, parts):
    assert shares(pictures, threads) == parts


def test_the_trained_pipeline_and_the_predictor_see_the_same_pixels(model, digits):
    for i in range(10):
        (result,) = model.classify([("x", png(digits.images[i]))])
        assert np.array_equal(result.seen, digits.images[i])


def test_the_probabilities_are_torchs(model, digits):
    images = torch.tensor(digits.images[:5]).permute(0, 3, 1, 2) / 255
    wanted = model.passport.preprocess
    inputs = (images - torch.tensor(wanted.mean).view(1, 1, 1, 1)) / torch.tensor(wanted.std).view(1, 1, 1, 1)
    logits = model.model(inputs.to(model.device)).cpu()
    assert np.allclose(model.probabilities(digits.images[:5]), torch.softmax(logits, 1).numpy(), atol=1e-6)


def test_what_was_asked_before_is_answered_without_asking_the_network_again(model, digits, monkeypatch):
    model = Predictor(model.model, model.passport)
    seen = digits.images[:3]
    first = model.recalled(seen)
    assert np.array_equal(first, model.probabilities(seen))
    asked = []
    monkeypatch.setattr(model, "probabilities", lambda seen: asked.append(len(seen)) or np.zeros((len(seen), 10)))
    assert np.array_equal(model.recalled(seen.copy()), first)
    assert not asked
    changed = seen.copy()
    changed[0, 0, 0] += 1
    for others in (seen[:2], seen[::-1], changed):  # fewer, in another order, one brighter by a step
        assert not model.recalled(others).any()
    assert asked == [2, 3, 3]
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1


def test_a_run_without_weights_says_what_to_wait_for():
    run = create_run(__import__("imgrec.recipe").recipe.Recipe())
    with pytest.raises(RunError, match="no weights yet"):
        predictor(run.name)
    with pytest.raises(RunError, match="no weights yet"):
        Predictor.open(run.name)


def test_the_predictor_is_kept_until_its_weights_change(trained):
    import os

    first = predictor(trained.name)
    assert predictor(trained.name) is first
    path = trained.file("best.safetensors")
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))
    assert predictor(trained.name) is not first


def test_while_a_run_learns_all_are_answered_by_the_same_weights_for_some_seconds(trained, monkeypatch):
    import os

    from imgrec import predict
    from imgrec.runs import Run

    path, status, now = trained.file("best.safetensors"), "training", 1000.0
    monkeypatch.setattr(Run, "status", property(lambda run: status))
    monkeypatch.setattr(predict.time, "monotonic", lambda: now)
    monkeypatch.setattr(predict, "_shown", {})

    def learned():
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))
        return predictor(trained.name)

    first = learned()
    now += predict.STEADY - 1
    assert learned() is first
    now += 2
    second = learned()
    assert second is not first
    assert second.changed > first.changed
    assert learned() is second
    status = "finished"
    assert predictor(trained.name) is not second  # the last weights are shown at once


@pytest.mark.parametrize("method", METHODS)
def test_a_heat_map_has_the_pictures_size_is_not_constant_and_differs_between_classes(model, digits, method):
    seen = digits.images[3]
    one, other = (explain(model, seen, method, name).heat for name in ("3", "8"))
    assert one.shape == seen.shape[:2]
    assert one.min() == 0
    assert one.max() == 1
    assert not np.allclose(one, other, atol=1e-3)
    picture = Image.open(io.BytesIO(overlay(seen, one)))
    assert picture.size[0] >= 224


@pytest.mark.parametrize("method", METHODS)
def test_a_heat_map_lies_on_the_object_and_not_on_the_ground(method):
    """The drawn shapes know where their object is: its border is what a network should look at."""
    shapes, model = open_dataset("shapes:size=32,difficulty=0.1"), predictor("shapes-seed-cnn")
    inside = outside = 0.0
    for position in shapes.indices("test")[:40]:
        heat = explain(model, shapes.images[position], method).heat
        mask = torch.tensor(shapes.masks[position])[None].float()
        near = functional.max_pool2d(mask, 7, 1, 3)[0].bool().numpy()
        inside, outside = inside + heat[near].mean(), outside + heat[~near].mean()
    assert inside > 1.5 * outside


def test_a_wrong_method_or_class_is_refused_in_words(model, digits):
    with pytest.raises(RecipeError, match="gradcam"):
        explain(model, digits.images[0], "magic")
    with pytest.raises(ModelError, match="knows no class"):
        explain(model, digits.images[0], "gradcam", "cat")


def test_explaining_leaves_the_model_as_it_was(model, digits):
    before = model.probabilities(digits.images[:4])
    for method in METHODS:
        explain(model, digits.images[0], method)
    assert np.array_equal(before, model.probabilities(digits.images[:4]))
    assert not any(p.requires_grad for p in model.model.parameters())


def test_an_onnx_export_gives_our_probabilities_and_knows_its_classes(model, digits, tmp_path):
    import onnxruntime

    report = export(model, "onnx", tmp_path / "digits.onnx")
    assert report["largest_difference"] <= 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "digits.onnx"))
    for count in (1, 5):
        theirs = session.run(None, {"pictures": digits.images[:count]})[0]
        assert np.allclose(theirs, model.probabilities(digits.images[:count]), atol=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(model.classes)


def test_a_torch_export_gives_our_probabilities_and_knows_its_classes(model, digits, tmp_path):
    export(model, "torch", tmp_path / "digits.pt2")
    extra = {"classes": ""}
    program = torch.export.load(tmp_path / "digits.pt2", extra_files=extra).module()
    theirs = program(torch.tensor(digits.images[:3])).detach().numpy()
    assert np.allclose(theirs, model.probabilities(digits.images[:3]), atol=1e-4)
    assert json.loads(extra["classes"]) == list(model.classes)


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_the_script_in_the_zip_says_the_same_as_the_product_with_three_packages_alone(trained, tmp_path, resize):
    """Row 24 of the goals. The script runs where only onnxruntime, numpy and Pillow can be imported."""
    model = Predictor.open(trained, "cpu")
    passport = dataclasses.replace(
        model.passport, preprocess=dataclasses.replace(model.passport.preprocess, resize=resize)
    )
    model = Predictor(model.model, passport, trained.name, "cpu")
    export(model, "zip", tmp_path / "take.zip")
    with zipfile.ZipFile(tmp_path / "take.zip") as archive:
        assert set(archive.namelist()) == {"model.onnx", "labels.json", "predict.py", "README.md"}
        archive.extractall(tmp_path)
        assert f"{trained.read('evaluation.json')['accuracy']:.1%}" in archive.read("README.md").decode()
    draws = np.random.default_rng(0)
    photo = Image.fromarray(draws.integers(0, 256, (90, 140, 3), np.uint8)).resize((280, 180))
    photo.save(tmp_path / "a photo.jpg")
    clear = photo.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    clear.save(tmp_path / "clear.png")
    deep = np.linspace(0, 65535, 90 * 140).reshape(90, 140).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    files = ["a photo.jpg", "clear.png", "broken.png", "deep.png"]
    only = """
import sys, runpy
class Only:
    allowed = {"onnxruntime", "numpy", "PIL"}
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {"torch", "imgrec", "torchvision", "streamlit", "onnx", "scipy", "sklearn"}:
            raise ImportError(f"{name} is not one of the three")
sys.meta_path.insert(0, Only())
sys.argv = ["predict.py", *FILES]
runpy.run_path("predict.py", run_name="__main__")
"""
    only = only.replace("*FILES", ", ".join(map(repr, files)))
    done = subprocess.run([sys.executable, "-c", only], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1  # one of them is no picture, and the others are answered
    assert done.stderr.startswith("broken.png: ")
    said = {tuple(row.split("\t")[:2]): float(row.split("\t")[2]) for row in done.stdout.splitlines()}
    for ours in model.classify((name, tmp_path / name) for name in files if name != "broken.png"):
        for row in ours.top(model.classes, 5):
            assert said[ours.file, row["name"]] == pytest.approx(row["probability"], abs=1e-4)


def test_the_script_in_the_zip_takes_folders_and_says_how_it_is_used(model, tmp_path):
    export(model, "zip", tmp_path / "take.zip")
    with zipfile.ZipFile(tmp_path / "take.zip") as archive:
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o644}  # others may read it, too
        archive.extractall(tmp_path)
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    Image.new("L", (9, 9)).save(tmp_path / "in" / "deeper" / "x.PNG")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    (tmp_path / "none").mkdir()

    def script(*words):
        return subprocess.run(
            [sys.executable, "predict.py", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert "usage:" in script("--help").stdout
    assert script().returncode == 2
    done = script("in", "--top", "2")
    assert done.returncode == 0
    assert [row.split("\t")[0] for row in done.stdout.splitlines()] == ["in/deeper/x.PNG"] * 2
    assert script("none").returncode == 1


def test_an_export_is_compared_where_a_wrong_logit_shows(model, digits):
    """On noise a network that has learned is sure, and a softmax of 0 and 1 hides what its logits are."""
    from imgrec.export import _proved, _unsure

    pictures = _unsure(model, digits)
    assert model.probabilities(pictures).max() < 0.9 < np.median(model.probabilities(digits.images).max(1))

    def wrong(portable, pictures, predictor):
        portable.model = copy.deepcopy(portable.model)
        list(portable.model.parameters())[-1].data[0] += 0.01
        return b"", lambda array: portable(torch.from_numpy(array)).detach().numpy()

    with pytest.raises(ExportError, match="nothing was written"):
        _proved(wrong, model, digits)


def test_two_exports_at_once_do_not_disturb_each_other(model, tmp_path):
    """torch's exporter keeps what it does in variables of the whole process; a class presses the button together."""
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda n: export(model, "onnx", tmp_path / f"{n}.onnx"), range(3)))
    assert all(one["largest_difference"] < 1e-4 for one in found)


def test_the_bundled_network_of_cifar_can_be_made_int8(tmp_path, monkeypatch):
    model = Predictor.open("cifar10-fast", "cpu")
    coarse = np.random.default_rng(0).integers(0, 256, (150, 4, 4, 3), np.uint8)
    images = np.stack([np.asarray(Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC)) for one in coarse])
    labels = model.probabilities(images).argmax(1)  # so what is lost is lost by the shorter numbers
    splits = np.repeat([0, 2], [50, 100]).astype(np.uint8)
    dataset = Dataset("cifar10", model.classes, images, labels, splits, np.full((150, 2), 32, np.int32), [""] * 150)
    monkeypatch.setattr(
        "imgrec.export.MOST_LOST", 1
    )  # these are no pictures of CIFAR, on which it loses half a percent
    found = export(model, "int8", tmp_path / "x.onnx", dataset)
    assert found["before"]["accuracy"] == 1
    assert found["after"]["accuracy"] > 0.6  # with sums that overflow 0.5
    assert found["after"]["bytes"] < 0.35 * found["before"]["bytes"]
    with pytest.raises(ExportError, match="not on this machine"):
        export(model, "int8", tmp_path / "x.onnx")
    with pytest.raises(DatasetError, match="has other classes"):
        export(model, "int8", tmp_path / "x.onnx", dataclasses.replace(dataset, classes=("a", "b")))


def test_an_export_that_disagrees_writes_nothing(model, tmp_path, monkeypatch):
    wrong = dataclasses.replace(FORMATS["onnx"], write=lambda *_: (b"x", lambda pictures: np.zeros((8, 10))))
    monkeypatch.setitem(FORMATS, "onnx", wrong)
    with pytest.raises(ExportError, match="nothing was written"):
        export(model, "onnx", tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_an_export_into_no_folder_or_format_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="no folder"):
        export(model, "onnx", tmp_path / "none" / "x.onnx")
    with pytest.raises(ValueError, match="is a folder"):
        export(model, "onnx", tmp_path)
    with pytest.raises(RecipeError, match="choose one of"):
        export(model, "tflite", tmp_path / "x")


@pytest.mark.parametrize("name", [run.name for run in list_runs(bundled=True) if run.bundled])
def test_a_model_that_comes_along_is_as_good_as_it_says_and_cannot_be_changed(name):
    run = open_run(name)
    assert run.status == "finished"
    said = run.read("evaluation.json")["accuracy"]
    assert f"| `{name}` | " in README
    assert f"{said:.1%}".replace("%", " %") in next(line for line in README.splitlines() if f"| `{name}`" in line)
    if run.recipe.dataset in ("digits", "shapes"):  # the others would have to be downloaded
        found = evaluate(Predictor.open(run), open_dataset(run.recipe.dataset))
        assert found["accuracy"] == pytest.approx(said, abs=0.003)
    with pytest.raises(RunError, match="comes with imgrec"):
        delete_run(run)


def test_a_run_that_ended_before_its_first_epoch_is_not_waited_for():
    from imgrec.recipe import Recipe
    from imgrec.runs import RunError, create_run

    run = create_run(Recipe())
    with pytest.raises(RunError, match="wait for its first epoch"):
        Predictor.open(run)
    run.update(phase="failed")
    for opened in (Predictor.open, lambda run: predictor(run.name)):
        with pytest.raises(RunError, match="is failed and has no weights"):
            opened(run)
