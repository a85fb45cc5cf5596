"""home: where files go, that a file is whole or not there, and which names are refused with what advice."""

from pathlib import Path

import pytest

from imgrec import home


def test_home_follows_the_environment_at_call_time(monkeypatch, tmp_path):
    monkeypatch.setenv("IMGREC_HOME", str(tmp_path))
    assert home.home() == tmp_path
    assert home.folder("runs") == tmp_path / "runs"
    monkeypatch.delenv("IMGREC_HOME")
    assert home.home() == Path(home.__file__).parent.parent / "workspace"


def test_a_relative_home_becomes_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGREC_HOME", "here")
    assert home.home() == tmp_path / "here"


def test_what_is_held_is_told_by_set_and_run_and_sums_to_all(monkeypatch, tmp_path):
    monkeypatch.setenv("IMGREC_HOME", str(tmp_path))
    assert home.held() == {}
    for place, size in (
        ("datasets/pets/a", 5),
        ("datasets/.uploads/x/b", 7),
        ("runs/r/c/d", 11),
        ("runs/.rows.json", 2),
        ("weights/w", 3),
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(bytes(size))
    (tmp_path / "runs" / "r" / "link").symlink_to("/")
    found = home.held()
    assert found.pop("runs/r") == 11  # what a link leads to is not here
    assert found == {"datasets/pets": 5, "datasets": 7, "runs": 2, "weights": 3}


def test_only_known_folders_exist():
    with pytest.raises(ValueError, match="datasets, runs, weights"):
        home.folder("secrets")


@pytest.mark.parametrize("content", ["Grüße", b"\x00\xff"])
def test_an_atomic_write_replaces_the_file_and_leaves_nothing_else(tmp_path, content):
    path = tmp_path / "state.json"
    path.write_text("old")
    home.write_atomic(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_sweeps_its_own(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(home.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        home.write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["digits", "my-cats_2.0", "Blümchen", "花", "कक्षा", "a" * 80])
def test_usable_names_stay_as_they_are(name):
    assert home.check_name(name, "data set name") == name


def test_a_decomposed_name_is_composed():
    assert home.check_name("Blu\u0308te") == "Blüte"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("", "empty"),
        ("my cats", "such as my-cats"),
        ("../etc", "letters, digits"),
        ("a/b", "such as a-b"),
        ("a\\b", "such as a-b"),
        ("a:b", "such as a-b"),
        ("tab\there", "such as tab-here"),
        (".hidden", "such as hidden"),
        ("-rf", "such as rf"),
        ("end.", "such as end"),
        ("..", "begin and end"),
        ("a" * 81, "at most 80"),
        ("𠀀" * 60, "200 bytes"),
        ("CON", "Windows"),
        ("nul.txt", "Windows"),
        ("\ud800", "letters"),
    ],
)
def test_unusable_names_are_refused_with_advice(name, advice):
    with pytest.raises(home.UnusableName, match=advice):
        home.check_name(name, "data set name")


def test_what_an_operator_allows_to_be_kept_bounds_runs_imports_and_uploads(monkeypatch, workspace):
    from imgrec import background, home, trainings
    from imgrec.data import DatasetError, uploads
    from imgrec.recipe import Recipe
    from imgrec.runs import RunError, list_runs

    assert home.no_room(10**15) is None
    (workspace / "runs").mkdir()
    (workspace / "runs" / "big").write_bytes(bytes(3_000_000))
    monkeypatch.setenv("IMGREC_MAX_STORAGE_GB", "0.004")
    home._size.cache_clear()
    assert home.no_room(900_000) is None
    assert "holds 0.00 GB and the operator allows 0.004 GB" in home.no_room(1_100_000)
    with pytest.raises(DatasetError, match=r"operator allows 0\.004 GB"):
        uploads.keep("a.zip", bytes(1_100_000))
    monkeypatch.setenv("IMGREC_MAX_STORAGE_GB", "0.002")
    with pytest.raises(RunError, match="delete runs or data sets"):
        trainings.enqueue(Recipe())
    with pytest.raises(DatasetError, match="delete runs or data sets"):
        background.start_fetch("cifar10")
    assert list_runs() == []
    home._size.cache_clear()
