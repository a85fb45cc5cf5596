"""A folder or an archive becomes one table, whatever lies in it, in a process that can be watched, cancelled and lost."""

import csv
import io
import os
import signal
import tarfile
import zipfile

import numpy as np
import pytest
from conftest import wait_for
from pictures import picture

from imgrec import bulk
from imgrec.__main__ import main
from imgrec.data import DatasetError, called, uploads
from imgrec.data.sources import ARCHIVES
from imgrec.evaluate import amend
from imgrec.home import folder
from imgrec.images import ImageError, to_png
from imgrec.jobs import LIVE
from imgrec.predict import Ensemble, open_network, predictor, stream
from imgrec.recipe import RecipeError
from imgrec.runs import RunError, open_run
from imgrec.spreadsheet import as_csv

NAME = "digits-seed-cnn"


@pytest.fixture
def archive(digits, tmp_path):
    """Thirty digits, a file that is no picture, one that is none by its name, and a way out."""
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as file:
        for i in range(30):
            file.writestr(f"some/{i:02d}.png", to_png(digits.images[i]))
        file.writestr("some/broken.png", b"no picture")
        file.writestr("some/notes.txt", b"text")
        file.writestr("../out.png", to_png(digits.images[0]))
        file.writestr("some/=cmd.png", to_png(digits.images[0]))
    return path


def table(content: bytes | str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(content.decode() if isinstance(content, bytes) else content)))


def ended(job):
    return wait_for(lambda: job.status not in LIVE and job.status)


def test_every_picture_of_an_archive_gets_a_row_with_all_its_probabilities(archive, digits):
    job = bulk.start(NAME, archive)
    assert ended(job) == "finished"
    rows = table(job.file("answers.csv").read_bytes())
    good = [row for row in rows if not row["error"]]
    assert len(good) == 31
    ours = predictor(NAME).probabilities(digits.images[:30])
    for row, mine in zip([row for row in good if "cmd" not in row["file"]], ours, strict=True):
        theirs = [float(row[f"p({name})"]) for name in digits.classes]
        assert np.allclose(theirs, mine, atol=2e-6)
        assert row["answer"] == digits.classes[mine.argmax()]
    assert {row["file"] for row in rows if row["error"]} == {"some/broken.png", "../out.png"}
    summary, shown = bulk.load(job)
    assert (summary["pictures"], summary["refused"]) == (31, 2)
    assert sum(summary["classes"].values()) == 31
    assert len(summary["why"]) == 2
    assert shown["pictures"].shape == (31, bulk.SIDE, bulk.SIDE, 3)
    job.file("pictures.npz").write_bytes(b"PK\x03\x04" + bytes(40))
    assert bulk.load(job) == ({}, {})


def test_a_folder_and_a_single_file_can_be_given_too(archive, tmp_path):
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist()[:3]:
            file.extract(name, tmp_path / "folder")
    out = io.BytesIO()
    given = [tmp_path / "folder", tmp_path / "folder" / "some" / "00.png", tmp_path / "none.png"]
    rows = [row for row, _ in bulk.rows(predictor(NAME), given, out)]
    assert [bool(row["error"]) for row in rows] == [False, False, False, False, True]
    assert len(table(out.getvalue())) == 5


def test_a_folder_may_be_called_like_a_picture(tmp_path):
    (tmp_path / "x.jpg").mkdir()
    (tmp_path / "x.jpg" / "1.png").write_bytes(picture())
    assert [name for name, _ in bulk.pictures(tmp_path / "x.jpg")] == [str(tmp_path / "x.jpg" / "1.png")]


def test_a_file_whose_name_no_encoding_holds_gets_its_row(tmp_path):
    path, out = tmp_path / os.fsdecode(b"bad\xff.png"), io.BytesIO()
    path.write_bytes(picture())
    list(bulk.rows(predictor(NAME), [path], out))
    [row] = table(out.getvalue())
    assert row["file"].startswith(str(tmp_path / "bad"))
    assert row["answer"]


@pytest.mark.parametrize("ending", [name for name in ARCHIVES if name not in (".zip", ".gz", ".bz2", ".xz")])
def test_every_archive_that_can_be_imported_can_be_classified(tmp_path, digits, ending):
    path = tmp_path / f"a{ending}"
    with tarfile.open(path, {".tgz": "w:gz", ".tbz2": "w:bz2", ".txz": "w:xz"}.get(ending, "w")) as archive:
        content = to_png(digits.images[0])
        info = tarfile.TarInfo("1.png")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    assert [name for name, _ in bulk.pictures(path)] == ["1.png"]
    assert called(path) == "a"


def test_what_was_uploaded_is_removed_afterwards(archive):
    path = uploads.keep("pictures.zip", archive.read_bytes())
    assert ended(bulk.start(NAME, path)) == "finished"
    assert not path.exists()


def test_an_archive_that_is_none_fails_with_its_reason(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK no zip")
    job = bulk.start(NAME, tmp_path / "bad.zip")
    assert ended(job) == "failed"
    assert "bad.zip is not a whole ZIP file" in job.state["error"]


def test_a_job_is_cancelled_within_two_seconds_and_a_killed_one_is_lost(tmp_path, digits):
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w") as file:
        for i in range(20_000):
            file.writestr(f"{i:05d}.png", to_png(digits.images[i % 1000]))
    job, other = bulk.start(NAME, path), bulk.start(NAME, path)
    wait_for(lambda: job.state.get("progress"))
    job.ask("stop")
    wait_for(lambda: job.status == "stopped" and not job.alive, 2)
    assert not job.file("answers.csv").exists()
    wait_for(lambda: other.state.get("progress"))
    os.kill(other.state["pid"], signal.SIGKILL)
    wait_for(lambda: other.status == "lost", 3)


def test_no_more_than_four_at_a_time_and_old_ones_are_swept(archive, monkeypatch):
    monkeypatch.setattr(bulk.jobs, "launch", lambda *_, **__: None)
    first = [bulk.start(NAME, archive) for _ in range(4)]
    with pytest.raises(DatasetError, match="wait until one is done"):
        bulk.start(NAME, archive)
    for job in first:
        job.update(phase="finished")
        os.utime(job.path, (0, 0))
    for job in first[1:]:
        job.update(phase="new")
    bulk.start(NAME, archive)
    with pytest.raises(DatasetError, match="wait until one is done"):
        bulk.start(NAME, upload := uploads.keep("mine.zip", archive.read_bytes()))
    assert not upload.exists()
    assert archive.exists()
    for job in map(bulk.find, os.listdir(folder("answers"))):
        job.update(phase="finished")
        os.utime(job.path, (0, 0))
    new = bulk.start(NAME, archive)
    assert os.listdir(folder("answers")) == [new.name]


@pytest.mark.parametrize("name", ["", "..", "../runs", "a/b", "nothing", "ä", "x" * 300])
def test_only_the_names_of_jobs_lead_to_them(name):
    assert bulk.find(name) is None


def test_the_command_writes_the_same_table(archive, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert main(["predict", NAME, str(archive), "--csv", str(out), "--json"]) == 0
    assert '"pictures": 31' in capsys.readouterr().out
    assert len(table(out.read_bytes())) == 33
    network = predictor(NAME)
    with zipfile.ZipFile(archive) as file:
        few = [(name, file.read(name)) for name in file.namelist()[:3]]
    few = [bulk.row(network.classes, result) for result in network.classify(few)]  # as the page Predict does
    for one, other in zip(table(as_csv(few)), table(out.read_bytes())[:3], strict=True):
        assert list(one) == list(other)
        assert (one["file"], one["answer"]) == (other["file"], other["answer"])
        assert float(one["p(3)"]) == pytest.approx(float(other["p(3)"]), abs=1e-5)
    assert main(["predict", NAME, str(archive), "--top", "1"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("%") == 31
    assert "broken.png" in shown.err


def test_a_cell_from_a_stranger_is_never_a_formula():
    [row] = table(as_csv([{"file": "=HYPERLINK(1)", "n": -1.5, "@col": "x"}]))
    assert row == {"file": "'=HYPERLINK(1)", "n": "-1.5", "'@col": "x"}


def test_the_order_of_a_stream_stays_and_errors_keep_their_place(digits):
    files = [(f"{i}", to_png(digits.images[i]) if i % 7 else ImageError("7: no.")) for i in range(150)]
    found = list(stream(predictor(NAME), iter(files), batch=16))
    assert [result.file for result in found] == [name for name, _ in files]
    assert [bool(result.error) for result in found] == [i % 7 == 0 for i in range(150)]


def test_an_ensemble_answers_with_the_mean_and_matches_classes_by_name(model, digits, monkeypatch):
    import dataclasses

    from imgrec.predict import Predictor

    turned = Predictor.open(NAME, "cpu")
    order = list(reversed(range(10)))
    shuffled = Predictor.open(NAME, "cpu")
    last = [layer for layer in shuffled.model.modules() if hasattr(layer, "out_features")][-1]
    last.weight.data, last.bias.data = last.weight.data[order], last.bias.data[order]
    classes = tuple(shuffled.passport.classes[i] for i in order)
    shuffled.passport = dataclasses.replace(shuffled.passport, classes=classes)
    files = [(f"{i}", to_png(digits.images[i])) for i in range(8)]
    alone = turned.classify(files)
    for together, mine in zip(Ensemble([turned, shuffled]).classify(files), alone, strict=True):
        assert np.allclose(together.probabilities, mine.probabilities, atol=1e-5)
        assert together.known == mine.known
    mean = Ensemble([turned, model]).classify(files)
    for together, first, second in zip(mean, alone, model.classify(files), strict=True):
        assert np.allclose(together.probabilities, (first.probabilities + second.probabilities) / 2, atol=1e-6)
    with pytest.raises(RunError, match="different classes"):
        open_network(f"{NAME},shapes-seed-cnn")
    with pytest.raises(RunError, match="at most"):
        open_network(",".join("abcdef"))


def test_views_change_the_answer_as_the_mean_over_them(digits):
    network = predictor(NAME)
    both = network.looking("mirror").probabilities(digits.images[:5])
    flipped = network.logits(digits.images[:5, :, ::-1].copy())
    mean = (network.logits(digits.images[:5]) + flipped) / 2
    assert np.allclose(both, network.passport.probabilities(mean).numpy(), atol=1e-5)
    with pytest.raises(RecipeError, match="choose one of"):
        network.looking("many")


def test_one_view_is_asked_for_and_got_where_the_run_has_six():
    own = open_network("cifar10-fast")
    assert own.views == "six"
    assert open_network("cifar10-fast", "six") is own
    assert open_network("cifar10-fast", "one").views == "one"
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    assert not np.allclose(
        open_network("cifar10-fast", "one").probabilities(picture), own.probabilities(picture), atol=1e-4
    )


def test_all_of_an_ensemble_look_six_ways_also_where_the_first_does_by_itself(own_copy):
    amend(open_run(own_copy), None, views="six")
    assert [member.views for member in open_network(f"{own_copy},{NAME}").members] == ["six", "one"]
    assert [member.views for member in open_network(f"{own_copy},{NAME}", "six").members] == ["six", "six"]


def test_a_temperature_changes_how_sure_an_answer_is_but_not_which(digits):
    [answer] = predictor(NAME).classify([("x", to_png(digits.images[5]))])
    logits = predictor(NAME).logits(digits.images[5:6]).numpy()[0] / predictor(NAME).passport.temperature
    for temperature in (0.1, 0.5, 2, 10):
        found = answer.at_temperature(temperature)
        expected = np.exp(logits / temperature - np.max(logits / temperature))
        assert np.allclose(found.probabilities, expected / expected.sum(), atol=1e-4)
        assert found.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert found.probabilities.argmax() == answer.probabilities.argmax()
