"""What is taken along says elsewhere what it says here: in a bare environment, in a browser without a network, and as int8."""

import dataclasses
import io
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from browsing import new_context
from conftest import unavailable
from PIL import Image

from imgrec import export as takeaway_export
from imgrec import webpage
from imgrec.__main__ import main
from imgrec.data import open_dataset
from imgrec.data.dataset import sample
from imgrec.export import ExportError, export
from imgrec.home import folder
from imgrec.images import to_png
from imgrec.language import speaking
from imgrec.predict import Predictor
from imgrec.runs import open_run
from imgrec.takeaway import packed

NAME = "shapes-seed-cnn"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The package onnxruntime-web, as npm gives it."""
    place = tmp_path_factory.mktemp("npm")
    program = shutil.which("npm")
    if program is None:
        unavailable("the page for the browser needs npm for its runtime")
    wanted = f"onnxruntime-web@{webpage.VERSION}"
    done = subprocess.run([program, "pack", wanted], cwd=place, capture_output=True, text=True)
    if done.returncode:
        unavailable(f"npm could not fetch {wanted}: {done.stderr[-200:]}")
    return next(place.glob("*.tgz"))


@pytest.fixture
def runtime(package):
    """The package put where a person without internet would put it."""
    folder("weights").mkdir(parents=True)
    shutil.copy(package, folder("weights") / f"{webpage.PACKAGE}.tgz")


def photos(place: Path) -> list[Path]:
    """Pictures of all kinds: wide, tall, tiny, grey, with transparency, turned by EXIF, of the very size."""
    draws = np.random.default_rng(0)

    def smooth(width, height, channels=3):
        small = draws.integers(0, 256, (6, 8, channels), np.uint8).squeeze()
        return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)

    turned = Image.Exif()
    turned[0x0112] = 6
    smooth(140, 90).save(place / "wide.png")
    smooth(61, 177).save(place / "tall.png")
    smooth(9, 7).save(place / "tiny.png")
    smooth(50, 50, 1).save(place / "grey.png")
    smooth(64, 48, 4).save(place / "clear.png")
    smooth(32, 32).save(place / "same.png")
    smooth(120, 80).save(place / "turned.png", exif=turned)
    return sorted(place.glob("*.png"))


@pytest.mark.browser
@pytest.mark.parametrize(("name", "resize"), [(NAME, "pad"), ("digits-seed-cnn", "crop")])
def test_the_page_says_in_a_browser_without_network_what_the_product_says(browser, runtime, tmp_path, name, resize):
    model = Predictor.open(name, "cpu")
    preprocess = dataclasses.replace(model.passport.preprocess, resize=resize)
    model = Predictor(model.model, dataclasses.replace(model.passport, preprocess=preprocess), name, "cpu")
    out = tmp_path / "page.html"
    export(model, "page", out)
    files = photos(tmp_path)
    context = new_context(browser, offline=True)
    page = context.new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(out.as_uri())
    page.get_by_text("Ready.").wait_for()
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    page.locator("input").set_input_files([*files, tmp_path / "broken.jpg"])
    page.locator("article").nth(len(files) - 1).wait_for()
    page.get_by_text("broken.jpg is no picture").wait_for()
    for result in model.classify((path.name, path) for path in files):
        rows = page.locator("article", has_text=result.file).locator(".row")
        said = {row.get_attribute("data-name"): float(row.get_attribute("data-probability")) for row in rows.all()}
        assert (
            len(said) == 5
        )  # below, 0.01: of tall pictures Pillow may shrink the height first, which rounds other pixels
        for top in result.top(model.classes, 5):
            assert said.get(top["name"], 0) == pytest.approx(top["probability"], abs=0.01), result.file
        if result.file == "same.png" and name == NAME:  # nothing is resampled: equal but for rounding
            for top in result.top(model.classes, 5):
                assert said[top["name"]] == pytest.approx(top["probability"], abs=1e-4)
    context.close()
    assert not errors
    assert all(url.startswith(("file:", "blob:", "data:")) for url in asked)


def test_a_class_name_cannot_break_out_of_the_page(runtime):
    passport = Predictor.open(NAME, "cpu").passport
    names = ("</script><img src=x onerror=alert(1)>", "{model}", "{runtime}", "d", "e", "f")
    text = webpage.page(b"onnx", dataclasses.replace(passport, classes=names).to_dict(), "</script>")
    assert "</script><img" not in text
    assert text.count("</script>") == webpage.TEMPLATE.read_text("utf-8").count("</script>")
    assert '"{model}"' in text


def test_without_the_runtime_it_says_what_to_put_where(tmp_path, monkeypatch, capsys):
    def offline(address, timeout):
        raise OSError("Name or service not known")

    monkeypatch.setattr(webpage.urllib.request, "urlopen", offline)
    assert main(["export", NAME, "--to", "page", "--out", str(tmp_path / "page.html")]) == 1
    said = capsys.readouterr().err
    assert "could not be fetched" in said
    assert str(folder("weights")) in said
    assert not (tmp_path / "page.html").exists()
    assert export(Predictor.open(NAME, "cpu"), "zip", tmp_path / "all.zip")["page"] is False
    assert "page.html" not in zipfile.ZipFile(tmp_path / "all.zip").namelist()


def test_a_network_of_a_file_alone_can_be_taken_along(tmp_path, monkeypatch):
    def none():
        raise webpage.NoRuntime("not fetched here")

    monkeypatch.setattr(webpage, "runtime", none)
    model = Predictor.from_file(open_run(NAME).file("best.safetensors"), device="cpu")
    export(model, "zip", tmp_path / "all.zip")
    assert "model.onnx" in zipfile.ZipFile(tmp_path / "all.zip").namelist()


def test_a_runtime_that_was_changed_is_never_used(tmp_path, monkeypatch):
    changed = io.BytesIO(b"alert(1)")
    monkeypatch.setattr(webpage.urllib.request, "urlopen", lambda address, timeout: changed)
    with pytest.raises(webpage.NoRuntime, match="hash does not match"):
        webpage.runtime()
    folder("weights").mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder("weights") / f"{webpage.PACKAGE}.tgz", "w:gz") as package:
        (tmp_path / "x").write_bytes(b"alert(1)")
        for name in webpage.FILES:
            package.add(tmp_path / "x", f"package/dist/{name}")
    with pytest.raises(webpage.NoRuntime):
        webpage.runtime()


def test_the_zip_works_in_a_bare_environment(runtime, tmp_path):
    """Row 24 of the goals: nothing but onnxruntime, numpy and Pillow is installed there."""
    assert export(Predictor.open("digits-seed-cnn", "cpu"), "zip", tmp_path / "take.zip")["page"]
    with zipfile.ZipFile(tmp_path / "take.zip") as archive:
        archive.extractall(tmp_path)
    assert (tmp_path / "page.html").stat().st_size > 4e6
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [python, "-m", "pip", "install", "-q", "onnxruntime", "numpy", "pillow"]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        unavailable(f"pip could not install: {done.stderr[-200:]}")
    assert subprocess.run([python, "-c", "import torch"], capture_output=True).returncode
    picture = tmp_path / "a digit.png"
    picture.write_bytes(to_png(open_dataset("digits").images[11]))
    done = subprocess.run([python, "predict.py", str(picture)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = {row.split("\t")[1]: float(row.split("\t")[2]) for row in done.stdout.splitlines()}
    [ours] = Predictor.open("digits-seed-cnn", "cpu").classify([(picture.name, picture)])
    for row in ours.top(list("0123456789"), 5):
        assert said[row["name"]] == pytest.approx(row["probability"], abs=1e-4)


@pytest.fixture
def both(tmp_path):
    """Call it with a file there: what the product says of it, and how the script that was taken along ends."""
    model = Predictor.open("digits-seed-cnn", "cpu")
    export(model, "onnx", tmp_path / "model.onnx")
    with zipfile.ZipFile(io.BytesIO(packed((tmp_path / "model.onnx").read_bytes(), model.passport.to_dict(), 1, {}))) as archive:  # fmt: skip
        archive.extractall(tmp_path)

    def ask(name):
        [ours] = model.classify([(name, tmp_path / name)])
        return ours, subprocess.run([sys.executable, "predict.py", name], cwd=tmp_path, capture_output=True, text=True)

    return ask


@pytest.mark.parametrize(
    ("pixels", "words"),
    [(np.zeros((9, 9), np.float32), "floating-point"), (np.full((9, 9), 70_000, np.int32), "from 70000 to 70000")],
)
def test_the_script_refuses_what_the_product_refuses(both, tmp_path, pixels, words):
    Image.fromarray(pixels).save(tmp_path / "x.tiff")
    ours, done = both("x.tiff")
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert words in ours.error


def test_the_script_reads_16_bits_as_the_product_does_also_where_0_is_white(both, tmp_path):
    pixels = (65535 - 257 * open_dataset("digits").images[11, ..., 0].astype(int)).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "x.tiff", tiffinfo={262: 0})
    ours, done = both("x.tiff")
    said = {row.split("\t")[1]: float(row.split("\t")[2]) for row in done.stdout.splitlines()}
    for row in ours.top(list("0123456789"), 5):
        assert said[row["name"]] == pytest.approx(row["probability"], abs=1e-4)


def test_int8_is_a_quarter_of_the_size_and_hardly_less_exact(tmp_path):
    import onnxruntime

    shapes, model = open_dataset("shapes"), Predictor.open(NAME, "cpu")
    found = export(model, "int8", tmp_path / "small.onnx", shapes)
    assert found["after"]["bytes"] == (tmp_path / "small.onnx").stat().st_size < 0.35 * found["before"]["bytes"]
    session = onnxruntime.InferenceSession(str(tmp_path / "small.onnx"))
    test = sample(shapes.indices("test"), 500)
    right = (session.run(None, {"pictures": shapes.images[test]})[0].argmax(1) == shapes.labels[test]).mean()
    assert found["after"]["accuracy"] == pytest.approx(right)
    assert abs(found["before"]["accuracy"] - right) < 0.02
    assert found["before"]["accuracy"] == pytest.approx(
        (model.probabilities(shapes.images[test]).argmax(1) == shapes.labels[test]).mean(), abs=0.003
    )
    assert session.get_modelmeta().custom_metadata_map["classes"].startswith('["')


def test_int8_that_loses_too_much_or_has_no_pictures_is_refused(tmp_path, monkeypatch):
    model = Predictor.open(NAME, "cpu")
    with pytest.raises(ExportError, match="not on this machine"):
        export(model, "int8", tmp_path / "x.onnx")
    monkeypatch.setattr("imgrec.export.MOST_LOST", -1)
    with pytest.raises(ExportError, match="nothing was written"):
        export(model, "int8", tmp_path / "x.onnx", open_dataset("shapes"))
    assert not list(tmp_path.iterdir())


def test_int8_is_made_and_tested_with_all_classes_of_a_set_that_lies_class_by_class(tmp_path, monkeypatch):
    shapes, seen = open_dataset("shapes"), []
    order = np.argsort(shapes.labels, kind="stable")
    sorted_by_class = dataclasses.replace(
        shapes, images=shapes.images[order], labels=shapes.labels[order], splits=shapes.splits[order], sizes=shapes.sizes[order],
        files=[shapes.files[i] for i in order],
    )  # fmt: skip
    figures = takeaway_export._figures
    monkeypatch.setattr(takeaway_export, "TESTED", 60)
    monkeypatch.setattr(takeaway_export, "_figures", lambda *given: seen.append(given[2]) or figures(*given))
    export(Predictor.open(NAME, "cpu"), "int8", tmp_path / "small.onnx", sorted_by_class)
    assert len(set(sorted_by_class.labels[seen[0]].tolist())) == len(shapes.classes)


def test_the_page_speaks_the_language_of_who_exports_it(monkeypatch):
    monkeypatch.setattr(webpage, "runtime", lambda: (b"script", b"wasm"))
    model = Predictor.open(NAME, "cpu")
    with speaking("zh_CN"):
        chinese = takeaway_export._as_page(b"onnx", model)
    assert '<html lang="zh-CN">' in chinese
    for english in ("What is in", "Drop pictures", "unpacked", "Nothing leaves", "This network", "Ready.", '"circle"'):
        assert english not in chinese
        assert english in takeaway_export._as_page(b"onnx", model)
