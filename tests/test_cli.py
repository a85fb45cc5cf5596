"""The command line keeps its contract: JSON on standard output, messages on standard error, exit 0, 1 or 2."""

import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from conftest import PATIENCE
from pictures import folder, picture, two_classes
from test_pages import open_page

from imgrec import worker
from imgrec.__main__ import main
from imgrec.data import Item, import_dataset, open_dataset
from imgrec.images import to_png
from imgrec.runs import RunError, create_run, open_run


def call(capsys, *arguments):
    """Exit status, lines of standard output, standard error."""
    try:
        status = main([str(a) for a in arguments])
    except SystemExit as exit:
        status = exit.code
    out, err = capsys.readouterr()
    return status, out.splitlines(), err


def test_training_prints_a_line_per_epoch_and_a_last_one(capsys):
    status, lines, _ = call(
        capsys, "train", "--dataset", "digits", "--model", "softmax-regression", "--epochs", 2, "--json"
    )
    assert status == 0
    rows = [json.loads(line) for line in lines]
    assert [row.get("epoch") for row in rows] == [1, 2, None]
    assert rows[-1]["status"] == "finished"
    assert 0.5 < rows[-1]["test_accuracy"] <= 1
    assert rows[-1]["run"].endswith("softmax-regression_digits")


def test_several_values_are_as_many_trainings_and_what_they_did(capsys):
    status, lines, said = call(
        capsys, "train", "--epochs", 1, "--model", "softmax-regression", "--learning-rate", "0.01,0.001", "--seed", "0,1", "--json"
    )  # fmt: skip
    assert status == 0
    rows = [json.loads(line) for line in lines]
    names = list(dict.fromkeys(row["run"] for row in rows if "run" in row))
    assert len(names) == 4
    assert [row["run"] for row in rows if row.get("epoch")] == names  # each line says of which training it is
    groups = rows[-1]["groups"]
    assert [group["runs"] for group in groups] == [2, 2]
    assert {group["learning_rate"] for group in groups} == {0.01, 0.001}
    assert groups[0]["validation_accuracy"] > groups[1]["validation_accuracy"]
    notes = [open_run(name).notes for name in names]
    assert {note.tags for note in notes} == {(rows[-1]["sweep"],)}
    assert [note.text for note in notes] == [
        f"learning_rate {rate}, seed {seed}" for rate in (0.01, 0.001) for seed in (0, 1)
    ]
    assert all(note.text in said for note in notes)


def test_a_sweep_is_completed_without_learning_anything_twice(capsys):
    base = "train", "--epochs", 3, "--model", "softmax-regression", "--json"
    first = json.loads(call(capsys, *base, "--seed", 0)[1][-1])["run"]
    half = create_run(dataclasses.replace(open_run(first).recipe, seed=1))
    events = worker.work(half)
    next(event for event in events if type(event).__name__ == "Epoch")
    half.ask("stop")
    time.sleep(1)  # until its worker, which looks ten times a second, has noticed
    list(events)
    assert half.status == "stopped"
    status, lines, said = call(capsys, *base, "--seed", "0,1,2", "--missing")
    rows = [json.loads(line) for line in lines]
    assert status == 0
    assert f"run {first} is there" in said
    learned = [(row["run"], row["epoch"]) for row in rows if "epoch" in row]
    third = learned[-1][0]
    assert learned == [(half.name, 2), (half.name, 3), *((third, epoch) for epoch in (1, 2, 3))]
    assert rows[-1]["groups"][0]["runs"] == 3
    again = call(capsys, *base, "--seed", 2, "--missing")
    assert json.loads(again[1][-1])["run"] == third


def test_runs_are_found_by_words_and_told_apart_by_their_settings(capsys, own_copy):
    call(capsys, "train", "--epochs", 1, "--model", "softmax-regression", "--learning-rate", "0.01,0.001")
    heading, *rows = call(capsys, "runs", "Softmax", "digits")[1]
    assert heading.split()[-1] == "learning_rate"
    assert {row.split()[-1] for row in rows} == {"0.01", "0.001"}
    assert call(capsys, "runs", "softmax", "no such word")[1] == ["none like that"]
    found = json.loads(call(capsys, "runs", own_copy, "--json")[1][0])
    assert [row["run"] for row in found] == [own_copy]


def test_labels_are_mended_and_changes_undone(capsys, monkeypatch):
    import_dataset([Item(name, content, name.split("/")[0]) for name, content in two_classes().items()], "things")
    file, other = open_dataset("things").files[:2]
    assert call(capsys, "mend", "things", file, "--relabel", "new thing")[0] == 0
    dataset = open_dataset("things")
    assert dataset.classes[dataset.labels[0]] == "new thing"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{file}\n{other}\n"))
    said = json.loads(call(capsys, "mend", "things", "-", "--leave-out", "--json")[1][-1])
    assert said == {"dataset": "things", "change": "exclude", "pictures": 2, "undone": False}
    assert len(open_dataset("things").kept) == len(dataset) - 2
    assert call(capsys, "mend", "things", "--undo")[1] == ["undone: 2 pictures left out"]
    assert len(open_dataset("things").kept) == len(dataset)
    for words, status, reason in (
        (["things", file[:-1], "--leave-out"], 1, f"did you mean '{file}'?"),
        (["things", file], 2, "Give one of"),
        (["things", file, "--undo"], 2, "Give one of"),
        (["things", "--leave-out"], 2, "Name the pictures"),
        (["digits", "0.png", "--leave-out"], 1, "built-in ones stay as they are"),
    ):
        found, lines, err = call(capsys, "mend", *words)
        assert (found, lines, reason in err) == (status, [], True), err


def test_a_run_is_calibrated_and_reported_from_the_command_line(capsys, own_copy, tmp_path):
    found = json.loads(call(capsys, "calibrate", own_copy, "--json")[1][-1])
    assert found["temperature"] == pytest.approx(open_run(own_copy).read("classes.json")["temperature"])
    after = json.loads(call(capsys, "evaluate", own_copy, "--json")[1][-1])["calibration_error"]
    assert found["calibration_error"] == pytest.approx(after)
    assert call(capsys, "calibrate", "digits-seed-cnn")[0] == 1
    assert call(capsys, "report", own_copy, "--out", tmp_path / "r.html")[0] == 0
    assert own_copy in (tmp_path / "r.html").read_text("utf-8")


def test_weights_of_a_run_bring_its_network_and_the_size_of_its_pictures(capsys, own_copy):
    digits = open_dataset("digits")
    large = [np.kron(digits.images[i], np.ones((3, 3, 1), np.uint8)) for i in range(60)]
    import_dataset(
        [Item(f"{i}.png", to_png(picture), str(digits.labels[i])) for i, picture in enumerate(large)], "large"
    )
    first = json.loads(call(capsys, "train", "--model", "softmax-regression", "--epochs", 1, "--json")[1][-1])["run"]
    lines = call(capsys, "train", "--dataset", "large", "--weights", first, "--epochs", 1, "--json")[1]
    taught = open_run(json.loads(lines[-1])["run"]).recipe
    assert (taught.model, taught.image_size) == ("softmax-regression", digits.image_size)
    broken = create_run(taught)  # it has no weights, so it is not the last that has
    status, lines, _ = call(capsys, "train", "--weights", "last", "--epochs", 1, "--json")
    assert status == 0
    assert open_run(json.loads(lines[-1])["run"]).recipe.weights not in ("last", broken.name)
    other = "train", "--model", "softmax-regression", "--weights", own_copy, "--epochs", 1
    assert "cannot start a softmax-regression" in call(capsys, *other)[2]  # what is said counts


def test_a_folder_can_be_named_where_a_data_set_is(capsys, tmp_path):
    place = folder(tmp_path / "pets", two_classes(12))
    status, lines, said = call(capsys, "train", "--dataset", place, "--epochs", 1, "--json")
    assert (status, len(lines)) == (0, 2)
    assert "pets: 24 pictures in 2 classes" in said
    assert "pets:" not in call(capsys, "train", "--dataset", place, "--epochs", 1, "--json")[2]


def test_a_table_can_go_to_standard_output_and_never_replaces_a_device(capfdbinary, trained, tmp_path):
    (tmp_path / "five.png").write_bytes(to_png(open_dataset("digits").images[5]))
    assert main(["predict", trained.name, str(tmp_path / "five.png"), "--csv", "-"]) == 0
    heading, row = capfdbinary.readouterr().out.decode().splitlines()
    assert (heading[:5], row.split(",")[0]) == ("file,", str(tmp_path / "five.png"))
    os.mkfifo(tmp_path / "pipe.csv")
    for device in ("/dev/null", tmp_path / "pipe.csv"):
        with pytest.raises(SystemExit):
            main(["predict", trained.name, str(tmp_path / "five.png"), "--csv", str(device)])
    assert not (tmp_path / "pipe.csv").is_file()
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    assert main(["predict", trained.name, str(tmp_path / "five.png"), "--csv", str(tmp_path / "link.csv")]) == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text().startswith("file,")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("train", "--preset", "fats"), "did you mean fast?"),
        (("train", "--optimiser", "adm"), "Did you mean adam?"),
        (("train", "--model", "softmax"), "did you mean softmax-regression?"),
        (("evaluate", "digits-seed-cnn", "--split", "val"), "did you mean validation?"),
        (("val", "digits-seed-cnn"), "did you mean evaluate?"),
        (("evaluate", "digits-seed"), "did you mean digits-seed-cnn?"),
    ],
)
def test_a_slip_is_met_with_the_word_that_was_meant(capsys, words, meant):
    status, lines, said = call(capsys, *words)
    assert (status in (1, 2), lines) == (True, [])
    assert meant in said
    assert "few for a network" not in said  # advice comes once all is right


def test_ctrl_c_keeps_the_training_says_how_it_goes_on_and_is_no_success(tmp_path):
    run = subprocess.Popen(
        [sys.executable, "-m", "imgrec", "train", "--epochs", "500", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    first = json.loads(run.stdout.readline())
    assert first["epoch"] == 1
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 130
    last = json.loads(out.splitlines()[-1])
    assert last["status"] == "stopped"
    assert f"python -m imgrec resume {last['run']}" in err


def test_pictures_of_folders_are_told_apart_and_refused_ones_named(capsys, tmp_path, trained):
    folder(tmp_path / "red", {"0.png": picture(0)})
    folder(tmp_path / "blue", {"0.png": picture(1), "bad.png": b"no picture"})
    status, lines, err = call(capsys, "predict", trained.name, tmp_path / "red", tmp_path / "blue", "--json")
    assert status == 0
    assert [row["file"] for row in json.loads(lines[0])["results"]] == [
        str(tmp_path / place) for place in ("red/0.png", "blue/0.png", "blue/bad.png")
    ]
    table = tmp_path / "t.csv"
    status, lines, err = call(capsys, "predict", trained.name, tmp_path / "blue" / "bad.png", "--csv", table)
    assert (status, lines) == (1, [])
    assert "bad.png" in err
    for wrong in (tmp_path, tmp_path / "none" / "t.csv", ""):
        assert call(capsys, "predict", trained.name, tmp_path / "red", "--csv", wrong)[0] == 2


def test_sets_and_runs_are_deleted_but_not_what_came_along(capsys, tmp_path, own_copy):
    import_dataset(folder(tmp_path / "a", two_classes(3)), "pets")
    assert call(capsys, "delete", "dataset", "pets")[:2] == (0, ["pets is deleted"])
    assert call(capsys, "inspect", "pets")[0] == 1
    assert call(capsys, "delete", "run", own_copy, "--json")[:2] == (0, [json.dumps({"deleted": own_copy})])
    assert open_run_or_none(own_copy) is None
    assert "comes with imgrec" in call(capsys, "delete", "run", "digits-seed-cnn")[2]
    for wrong in (("dataset", "digits"), ("dataset", "../x"), ("run", "..")):
        assert call(capsys, "delete", *wrong)[0] == 1


def open_run_or_none(name):
    try:
        return open_run(name)
    except ValueError:
        return None


def test_an_import_says_what_is_wrong_with_its_source(capsys, tmp_path, monkeypatch):
    (tmp_path / "one.png").write_bytes(picture(0))
    assert "one picture; put pictures into a folder" in call(capsys, "import", tmp_path / "one.png")[2]
    assert "The source is empty" in call(capsys, "import", "")[2]
    place = folder(tmp_path / "pets", two_classes(3))
    assert call(capsys, "import", place)[0] == 0
    status, _, said = call(capsys, "import", place, "--add", "--name", "pets")
    assert status == 1
    assert "Nothing was added to pets: the data set has it already" in said
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert "There is no file in it" in call(capsys, "train", "--dataset", "photos")[2]
    assert "is an address" in call(capsys, "import", "https://example.org/a.zip")[2]
    assert "for your own pictures" in call(capsys, "import", "mnist", "--add")[2]
    assert "did you mean mnist?" in call(capsys, "import", "mnis")[2]


def test_a_reader_that_goes_away_does_not_lose_the_training(workspace):
    run = subprocess.Popen(
        [sys.executable, "-m", "imgrec", "train", "--epochs", "500"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    run.stdout.readline()
    run.stdout.close()
    assert run.wait(PATIENCE) == 1
    [left] = [place for place in (workspace / "runs").iterdir() if not place.name.startswith(".")]
    assert open_run(left.name).status == "stopped"


def test_what_an_export_is_is_told_by_its_ending(capsys, tmp_path, trained):
    assert call(capsys, "export", trained.name, "--out", tmp_path / "d.zip")[0] == 0
    assert zipfile.is_zipfile(tmp_path / "d.zip")
    for wrong in (["m.pt"], ["m.xyz"], ["m"], ["m.zip", "--to", "onnx"], ["m.onnx", "--to", "zip"]):
        status, _, said = call(capsys, "export", trained.name, "--out", tmp_path / wrong[0], *wrong[1:])
        assert (status, (tmp_path / wrong[0]).exists()) == (2, False)
        assert "ending" in said or "does not end in" in said


def test_the_endings_of_an_export_are_those_of_its_formats():
    from imgrec.commands import COMMANDS
    from imgrec.export import FORMATS

    [out] = [argument for argument in COMMANDS["export"].arguments if "--out" in argument.names]
    assert set(out.settings["metavar"].split("|")) == {f"F.{row.ending}" for row in FORMATS.values()}
    [to] = [argument for argument in COMMANDS["export"].arguments if "--to" in argument.names]
    assert set(to.settings["choices"]) == set(FORMATS)


def test_the_commands_call_a_class_as_its_data_set_does_by_now(capsys, tmp_path):
    from imgrec.data import Edit, delete_dataset, edit

    import_dataset(folder(tmp_path / "pets", two_classes(20)), "pets")
    train = ("train", "--dataset", "pets", "--model", "softmax-regression", "--epochs", 1, "--json")
    run = json.loads(call(capsys, *train)[1][-1])["run"]
    edit("pets", Edit("rename", value="hound", old="dog"))
    (tmp_path / "a.png").write_bytes(picture(1))
    assert "hound" in call(capsys, "predict", run, tmp_path / "a.png", "--json")[1][0]
    assert '"hound"' in call(capsys, "predict", run, tmp_path / "a.png", "--json", "--views", "mirror")[1][0]
    asked = ("explain", run, tmp_path / "a.png", "--method", "saliency", "--out", tmp_path / "why.png", "--json")
    status, lines, said = call(capsys, *asked, "--class", "hound")
    assert (status, said) == (0, "")
    assert json.loads(lines[0])["class"] == "hound"
    status, _, said = call(capsys, "export", run, "--to", "int8", "--out", tmp_path / "m.onnx")
    assert (status, said) == (0, "")
    delete_dataset("pets")
    assert '"dog"' in call(capsys, "predict", run, tmp_path / "a.png", "--json")[1][0]


def test_what_is_frozen_before_it_has_learned_is_told(capsys):
    frozen = ("train", "--model", "softmax-regression", "--epochs", 1, "--freeze", "backbone")
    assert "stays as drawn at random" in call(capsys, *frozen)[2]
    assert "stays as drawn at random" not in call(capsys, *frozen[:-2])[2]


def test_names_that_the_terminal_cannot_write_do_not_end_a_command(tmp_path, trained):
    folder(tmp_path / "写真", {"猫.png": picture(0)})
    command = [sys.executable, "-m", "imgrec", "predict", trained.name, str(tmp_path / "写真"), "--json"]
    for encoding in ("ascii", "cp1252", "utf-8"):
        done = subprocess.run(
            command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        )
        assert done.returncode == 0, done.stderr
        [row] = json.loads(done.stdout.decode(encoding))["results"]
        assert row["file"].endswith("猫.png")


def test_a_refusal_names_the_whole_path_once(capsys, tmp_path, trained):
    place = folder(tmp_path / "red", {"bad.png": b"no picture"})
    for more in ((), ("--csv", tmp_path / "t.csv")):
        said = call(capsys, "predict", trained.name, place / "bad.png", *more)[2]
        assert said.startswith(f"imgrec: {place / 'bad.png'}: this is not a picture")
        assert said.count("bad.png") == 1


def test_no_file_is_written_that_is_something_else_than_it_is_called(capsys, tmp_path):
    for arguments in (
        ["explain", "digits-seed-cnn", "a.png"],
        ["notebook", "digits-seed-cnn"],
        ["pack", "x"],
    ):
        status, _, said = call(capsys, *arguments, "--out", tmp_path / "w.txt")
        assert status == 2
        assert "does not end in ." in said
        assert not (tmp_path / "w.txt").exists()


def test_a_name_from_elsewhere_is_translated(capsys):
    status, _, said = call(capsys, "train", "--lr", "0.1")
    assert status == 2
    assert "did you mean --learning-rate?" in said


def test_events_of_a_run_that_came_along_are_written_into_the_workspace(capsys, workspace):
    status, lines, _ = call(capsys, "events", "digits-seed-cnn", "--json")
    assert status == 0
    assert json.loads(lines[0])["events"].startswith(str(workspace))


def test_some_of_all_combinations_are_drawn(capsys):
    asked = ("train", "--epochs", "1,2,3", "--model", "softmax-regression", "--seed", "0,1,2", "--json", "--draw")
    status, lines, _ = call(capsys, *asked, 2)
    assert status == 0
    assert len({row["run"] for row in map(json.loads, lines) if "run" in row}) == 2
    for wrong in (("train", "--epochs", 1, "--draw", 2), (*asked, "-1")):
        status, lines, said = call(capsys, *wrong)
        assert (status, lines) == (2, [])
        assert "draw is" in said


def test_of_several_trainings_one_may_break_down_and_the_others_go_on(capsys, monkeypatch):
    from imgrec.train import Training

    rate = Training._rate
    monkeypatch.setattr(Training, "_rate", lambda self: rate(self) if self.recipe.learning_rate < 1 else 1e30)
    status, lines, said = call(capsys, "train", "--epochs", 1, "--optimiser", "sgd", "--learning-rate", "10,0.05")
    assert status == 1
    assert "1 of 2 trainings broke down" in said
    assert "stopped being a number" in said
    heading, good, bad = lines[-3:]
    assert heading.split() == ["learning_rate", "runs", "validation_accuracy", "test_accuracy"]
    assert good.split()[0] == "0.05"
    assert "%" in good
    assert bad.split() == ["10.0", "1"]  # it has reached nothing


def test_lists_are_one_json_document_each(capsys, trained):
    for command in ("datasets", "models", "runs"):
        status, lines, err = call(capsys, command, "--json")
        assert status == 0, err
        assert len(lines) == 1
        assert json.loads(lines[0])
        assert call(capsys, command)[0] == 0


def test_predict_equals_the_predictor_and_names_bad_files(capsys, trained, tmp_path):
    from imgrec.predict import predictor

    picture = open_dataset("digits").images[5]
    (tmp_path / "five.png").write_bytes(to_png(picture))
    (tmp_path / "bad.png").write_text("text")
    status, lines, err = call(
        capsys, "predict", trained.name, tmp_path / "five.png", tmp_path / "bad.png", "--top", 10, "--json"
    )
    assert (status, "1 of 2 files" in err) == (1, True)  # it was asked for by name
    good, bad = json.loads(lines[0])["results"]
    assert "bad.png" in bad["error"]
    ours = predictor(trained.name).probabilities(picture[None])[0]
    assert {row["name"]: row["probability"] for row in good["classes"]} == pytest.approx(
        dict(zip("0123456789", ours.tolist(), strict=True)), abs=1e-6
    )
    assert call(capsys, "predict", trained.name, tmp_path / "bad.png")[0] == 1


def test_evaluate_explain_and_export_leave_what_they_promise(capsys, trained, tmp_path):
    status, lines, _ = call(capsys, "evaluate", trained.name, "--json")
    assert status == 0
    assert json.loads(lines[0])["accuracy"] == pytest.approx(trained.read("evaluation.json")["accuracy"])
    (tmp_path / "x.png").write_bytes(to_png(open_dataset("digits").images[5]))
    status, lines, err = call(
        capsys, "explain", trained.name, tmp_path / "x.png", "--method", "occlusion", "--out", tmp_path / "heat.png"
    )
    assert status == 0, err
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")
    status, lines, err = call(capsys, "export", trained.name, "--to", "onnx", "--out", tmp_path / "m.onnx", "--json")
    assert status == 0, err
    assert json.loads(lines[-1])["largest_difference"] < 1e-4


def test_inspect_reports_counts_sizes_and_statistics(capsys):
    status, lines, _ = call(capsys, "inspect", "digits", "--json")
    assert status == 0
    report = json.loads(lines[0])
    assert report["images"] == 1797
    assert sum(sum(row.values()) for row in report["classes"].values()) == 1797
    assert len(report["channel_mean"]) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "COMMAND"),
        (("fly",), 2, "fly"),
        (("train", "--epochs", "0"), 2, "epochs is 0"),
        (("train", "--epochs", "x"), 2, "epochs"),
        (("train", "--speed", "9"), 2, "--speed"),
        (("train", "--augment", "spin=3"), 2, "spin"),
        (("train", "--dataset", "cats"), 1, "cats"),
        (("train", "--model", "resnet"), 2, "resnet"),
        (("train", "--weights", "imagenet"), 1, "ImageNet"),
        (("predict", "nothing", "x.png"), 1, "nothing"),
        (("predict",), 2, "RUN"),
        (("stop", "nothing"), 1, "nothing"),
        (("resume", "../x"), 1, "x"),
        (("import", "/nowhere/at/all"), 1, "nowhere"),
        (("evaluate", "nothing"), 1, "nothing"),
        (("classify", "nothing"), 1, "nothing"),
        (("inspect", "nothing"), 1, "nothing"),
        (("export", "nothing", "--out", "x.onnx"), 1, "nothing"),
    ],
)
def test_a_mistake_gets_one_clear_line_and_the_right_exit_status(capsys, arguments, status, words):
    got, lines, err = call(capsys, *arguments)
    assert got == status
    assert lines == []
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_import_train_and_predict_one_after_the_other(capsys, tmp_path):
    dataset = open_dataset("digits")
    for i in range(60):
        place = tmp_path / "photos" / str(dataset.labels[i] % 2)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.png").write_bytes(to_png(dataset.images[i]))
    (tmp_path / "photos" / "0" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    status, lines, err = call(capsys, "import", tmp_path / "photos", "--name", "mine", "--json")
    assert status == 0, err
    summary = json.loads(lines[0])
    assert summary["images"] == 60
    assert summary["rejected"][0]["file"].endswith("broken.jpg")
    status, lines, err = call(capsys, "train", "--dataset", "mine", "--epochs", 2, "--json")
    assert status == 0, err
    run = json.loads(lines[-1])["run"]
    status, lines, err = call(capsys, "predict", run, tmp_path / "photos" / "0" / "0.png", "--json")
    assert status == 0, err
    assert sum(row["probability"] for row in json.loads(lines[0])["results"][0]["classes"]) == pytest.approx(
        1, abs=1e-5
    )


def test_the_module_runs_as_a_command():
    done = subprocess.run([sys.executable, "-m", "imgrec", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for command in (
        "datasets",
        "models",
        "runs",
        "import",
        "inspect",
        "train",
        "resume",
        "stop",
        "evaluate",
        "predict",
        "explain",
        "export",
    ):
        assert command in done.stdout


def test_the_defaults_learn_digits_and_shapes_and_a_linear_model_cannot_learn_shapes(capsys):
    def accuracy(*arguments):
        status, lines, err = call(capsys, "train", *arguments, "--json")
        assert status == 0, err
        return json.loads(lines[-1])["test_accuracy"]

    assert accuracy("--dataset", "digits", "--model", "seed-cnn") >= 0.975
    assert accuracy("--dataset", "shapes", "--model", "seed-cnn") >= 0.95
    assert accuracy("--dataset", "shapes", "--model", "softmax-regression") < 0.6


def test_commands_and_runs_are_guessed_and_those_of_the_dashboard_not_shown(capsys, trained):
    for wrong, near in (("trian", "train"), ("predikt", "predict")):
        with pytest.raises(SystemExit) as ended:
            main([wrong])
        assert ended.value.code == 2
        assert f"did you mean {near}?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert {"train", "predict", "export"} <= set(listed)
    assert not {"work", "study", "bring", "classify"} & set(listed)
    assert "did you mean digits-seed-cnn?" in call(capsys, "evaluate", "digits-seed-cn")[2]
    table = call(capsys, "runs")[1]
    assert table[0].split()[:4] == ["run", "model", "dataset", "status"]
    assert not re.search(r"\d\.\d{5}", "".join(table))  # no more digits than anybody reads
    with pytest.raises(SystemExit) as ended:
        main(["explain", trained.name, "x.png", "--method", "lime", "--out", "why.png"])
    assert ended.value.code == 2


def test_what_was_written_is_told_in_words_or_as_json(capsys, trained, tmp_path):
    for command, more, proof in (
        ("export", ("--out", "m.onnx"), "no probability differs"),
        ("notebook", ("--out", "a.py"), "kB"),
    ):
        out = tmp_path / more[1]
        [words] = call(capsys, command, trained.name, more[0], out)[1]
        assert words.startswith(f"{out} written, ")
        assert proof in words
        [document] = call(capsys, command, trained.name, more[0], out, "--json")[1]
        assert json.loads(document)["out"] == str(out)


@pytest.mark.parametrize(("name", "heading"), [("t.csv", "fname,labels"), ("t.tsv", "file\tlabel")])
def test_tables_are_read_as_others_write_them(capsys, tmp_path, name, heading):
    place = folder(tmp_path / "p", {f"{i}.png": picture(i) for i in range(6)})
    mark = "\t" if name.endswith("tsv") else ","
    lines = [heading, *(f"{i}.png{mark}{'ab'[i % 2]}" for i in range(6))]
    (place / name).write_text("\n".join(lines))
    for source in (place, place / name):
        status, said, err = call(capsys, "import", source, "--name", f"from-{source.name.replace('.', '-')}", "--json")
        assert status == 0, err
        assert json.loads(said[-1])["images"] == 6
        assert set(json.loads(said[-1])["counts"]) == {"a", "b"}


def test_last_is_the_newest_run_of_any_command(capsys, workspace, own_copy):
    status, lines, _ = call(capsys, "evaluate", "last", "--json")
    assert (status, json.loads(lines[-1])["run"]) == (0, own_copy)
    place = workspace / "x.png"
    place.write_bytes(to_png(open_dataset("digits").images[0]))
    status, lines, _ = call(capsys, "predict", "last", place, "--json")
    assert (status, json.loads(lines[-1])["model"]) == (0, own_copy)


def test_a_run_shows_how_it_was_made(capsys, own_copy):
    status, lines, _ = call(capsys, "show", own_copy, "--json")
    said = json.loads(lines[-1])
    assert (status, said["run"], said["settings"]["epochs"]) == (0, own_copy, 3)
    assert said["command"] == "python -m imgrec train --dataset digits --epochs 3"
    status, lines, _ = call(capsys, "train", "--epochs", 1, "--weights", "last", "--json")
    further = json.loads(lines[-1])["run"]
    status, lines, _ = call(capsys, "show", further)
    assert f"began with: {own_copy}" in lines
    assert f"command: python -m imgrec train --dataset digits --weights {own_copy} --epochs 1" in lines
    assert call(capsys, "delete", "run", "last")[0] == 0
    assert open_run(own_copy)
    with pytest.raises(RunError):
        open_run(further)


def test_who_was_learned_from_before_is_said_to_test_nothing(capsys, own_copy):
    """A set that was made anew has other test pictures, which the run before may have learned from."""
    digits = open_dataset("digits")
    items = [Item(f"{i:03}.png", to_png(digits.images[i]), str(digits.labels[i])) for i in range(200)]
    import_dataset(items, "again")
    known = {int(i) for i in np.flatnonzero(digits.splits[:200] < 2)}
    expected = len(known & set(open_dataset("again").indices("test").tolist()))
    lines = call(capsys, "train", "--dataset", "again", "--epochs", 1, "--weights", own_copy, "--json")[1]
    further = json.loads(lines[-1])["run"]
    status, lines, _ = call(capsys, "evaluate", further, "--json")
    assert (status, json.loads(lines[-1])["learned_before"]) == (0, expected)
    assert expected > 20
    assert open_run(further).read("evaluation.json")["learned_before"] == expected
    assert f"{expected} pictures of the test were learned from" in " ".join(call(capsys, "evaluate", further)[1])
    assert json.loads(call(capsys, "evaluate", own_copy, "--json")[1][-1])["learned_before"] == 0
    page = open_page("evaluate.py", {"run": further})
    assert not page.exception
    assert "may know them by heart" in page.warning[0].value


def test_a_training_that_nobody_reads_stops_and_says_how_to_go_on(workspace):
    command = [sys.executable, "-m", "imgrec", "train", "--epochs", "400", "--model", "softmax-regression"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait(PATIENCE) == 1
    assert "nobody reads what it prints any more" in said
    assert "Broken pipe" not in said
    assert "Traceback" not in said


def test_a_workspace_that_is_no_folder_is_named(workspace, monkeypatch):
    file = workspace / "file"
    file.write_text("no folder")
    monkeypatch.setenv("IMGREC_HOME", str(file))
    done = subprocess.run([sys.executable, "-m", "imgrec", "train", "--epochs", "1"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "set IMGREC_HOME to another folder" in done.stderr
    assert str(file) in done.stderr


def test_without_a_run_there_is_no_last_one(capsys):
    status, _, said = call(capsys, "evaluate", "last")
    assert status == 2
    assert "no run yet" in said
