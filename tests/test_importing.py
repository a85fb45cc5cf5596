"""importing: every layout becomes the same set, every bad file is named, and nothing half is left behind."""

import re
import threading

import pytest
from pictures import folder, picture, reasons, tarred, two_classes, zipped

from imgrec.data import DatasetError, Item, importing, open_dataset, original
from imgrec.data.importing import import_dataset
from imgrec.jobs import Cancelled
from imgrec.language import speaking


@pytest.fixture
def datasets(workspace):
    return workspace / "datasets"


# Layouts


@pytest.mark.parametrize("top", ["", "wrapped/", "a/b/"])
def test_folder_zip_and_tars_give_the_same_set(tmp_path, top):
    files = two_classes(top=top)
    made = [
        folder(tmp_path / "plain", files),
        zipped(tmp_path / "a.zip", files),
        tarred(tmp_path / "a.tar", files, "w"),
    ]
    made += [tarred(tmp_path / f"a.tar.{kind}", files, f"w:{kind}") for kind in ("gz", "bz2", "xz")]
    summaries = [import_dataset(source, f"set{i}") for i, source in enumerate(made)]
    assert {(s.images, s.classes, len(s.rejected)) for s in summaries} == {(10, 2, 0)}
    opened = [open_dataset(f"set{i}") for i in range(len(made))]
    assert len({dataset.fingerprint for dataset in opened}) == 1
    assert opened[0].classes == ("cat", "dog")
    assert opened[0].files[0] == "cat/0.png"
    assert opened[0].images.shape == (10, 10, 10, 3)
    assert opened[0].sizes[0].tolist() == [12, 10]
    assert original("set0", 0) == files[f"{top}cat/0.png"]


def test_given_splits_are_kept_and_validation_is_drawn_from_training(tmp_path):
    files = {
        f"set/{split}/{name}": content for split in ("Training", "test") for name, content in two_classes(20).items()
    }
    files = {name: picture(i) for i, name in enumerate(files)}
    summary = import_dataset(zipped(tmp_path / "a.zip", files), "a")
    assert summary.counts == {name: {"train": 18, "validation": 2, "test": 20} for name in ("cat", "dog")}
    dataset = open_dataset("a")
    assert all(dataset.files[i].startswith("test/") for i in dataset.indices("test"))


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_a_validation_folder_is_found_under_its_usual_names(tmp_path, word):
    files = {f"train/{name}": picture(i) for i, name in enumerate(two_classes(10))}
    files |= {f"{word}/cat/x.png": picture(77), f"{word}/dog/x.png": picture(78), "test/x.png": picture(79)}
    summary = import_dataset(folder(tmp_path / "a", files), "a")
    assert summary.counts["cat"] == {"train": 8, "validation": 1, "test": 2}  # a test was drawn, for there was none
    assert reasons(summary) == {"test/x.png": "it lies in no class folder"}


def test_a_class_may_be_called_train(tmp_path):
    files = {f"{name}/{i}.png": picture(i + ord(name[0])) for name in ("bus", "train") for i in range(3)}
    import_dataset(folder(tmp_path / "a", files), "a")
    assert open_dataset("a").classes == ("bus", "train")


def test_class_names_are_composed_and_numbers_sort_as_numbers(tmp_path):
    names = ("10", "9", "Blu\u0308te", "猫")
    import_dataset(zipped(tmp_path / "a.zip", {f"{n}/{i}.png": picture(i) for i, n in enumerate(names)}), "a")
    assert open_dataset("a").classes == ("9", "10", "Blüte", "猫")


def test_windows_separators_and_names_without_the_unicode_mark_are_understood(tmp_path):
    path = zipped(tmp_path / "a.zip", {"set\\Kxtzchen\\1.png": picture(1), "set\\Hund\\1.png": picture(2)})
    path.write_bytes(path.read_bytes().replace(b"Kxtzchen", "Kätzchen".encode()[:8]))
    assert import_dataset(path, "a").classes == 2
    assert open_dataset("a").classes == ("Hund", "Kätzche")


def test_what_systems_leave_behind_is_skipped_silently(tmp_path):
    junk = ("__MACOSX/cat/._0.png", ".DS_Store", "cat/.hidden.png", ".git/config", "dog/Thumbs.db", "desktop.ini")
    for source in (
        folder(tmp_path / "a", files := two_classes() | dict.fromkeys(junk, b"x")),
        zipped(tmp_path / "b.zip", files),
    ):
        summary = import_dataset(source, source.stem)
        assert (summary.images, summary.classes, summary.rejected) == (10, 2, [])


def test_uploaded_files_are_placed_by_label_or_by_their_folder():
    labelled = [Item(f"{i}.png", picture(i), ("a", "b", "")[i % 3]) for i in range(6)]
    summary = import_dataset(labelled, "labelled")
    assert summary.counts.keys() == {"a", "b"}
    assert set(reasons(summary).values()) == {"its class has no name"}
    by_folder = [Item(name, content) for name, content in two_classes().items()]
    assert import_dataset(by_folder, "folders").counts.keys() == {"cat", "dog"}


def test_names_that_no_encoding_holds_are_made_printable(tmp_path):
    source = tmp_path / "set\udcff"
    folder(source, {"a\udcfe/1\n.png": picture(1), "b/\u202egnp.exe.png": picture(2)})
    import_dataset(source, "a")
    assert open_dataset("a").classes == ("a\ufffd", "b")
    assert open_dataset("a").files[1] == "b/\ufffdgnp.exe.png"


# Bad files are named, the rest goes on


def test_bad_pictures_are_listed_with_a_reason_and_the_rest_is_kept(tmp_path):
    bad = {
        "cat/broken.jpg": picture(1, (64, 64), format="JPEG")[:900],
        "cat/text.png": b"this is no picture",
        "cat/empty.png": b"",
        "dog/notes.txt": b"hello",
        "stray.png": picture(5),
        "x" * 101 + "/1.png": picture(6),
    }
    summary = import_dataset(zipped(tmp_path / "a.zip", two_classes() | bad), "a")
    assert summary.images == 10
    assert set(reasons(summary)) == set(bad)
    assert all(len(reason) > 5 and "Traceback" not in reason for reason in reasons(summary).values())
    assert "longer than 100" in reasons(summary)["x" * 101 + "/1.png"]


def test_grey_alpha_and_palette_pictures_are_read_and_grey_sets_stay_grey(tmp_path):
    files = {f"{mode}/1.png": picture(1, mode=mode) for mode in ("L", "LA", "1")}
    import_dataset(folder(tmp_path / "grey", files), "grey")
    assert open_dataset("grey").channels in (1, 3)  # the gate decides what LA is
    import_dataset(folder(tmp_path / "mixed", {f"{m}/1.png": picture(1, mode=m) for m in ("L", "RGBA", "P")}), "mixed")
    assert open_dataset("mixed").channels == 3


def test_a_grey_set_has_colours_as_soon_as_a_picture_with_colours_is_added(tmp_path):
    grey = {f"{name}/{i}.png": picture(i, mode="L") for name in ("cat", "dog") for i in range(3)}
    import_dataset(folder(tmp_path / "grey", grey), "a")
    assert open_dataset("a").channels == 1
    import_dataset(folder(tmp_path / "coloured", {"cat/new.png": picture(50)}), "a", adding=True)
    assert open_dataset("a").channels == 3


def test_exact_duplicates_never_straddle_splits_even_under_other_labels(tmp_path):
    files = {f"{name}/{i}-{copy}.png": picture(i) for name in ("cat", "dog") for i in range(40) for copy in range(3)}
    import_dataset(zipped(tmp_path / "a.zip", files), "a")
    dataset = open_dataset("a")
    splits = {}
    for index, file in enumerate(dataset.files):
        splits.setdefault(file.split("/")[1].split("-")[0], set()).add(int(dataset.splits[index]))
    assert len(splits) == 40
    assert {len(found) for found in splits.values()} == {1}


# Clear errors


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "There is no file in it; expected a folder, ZIP or TAR"),
        ({"cat/1.png": picture(1)}, "There is only one class, cat; a network needs two"),
        ({"cat/1.png": picture(1), "cat/2.txt": b"x"}, "1 usable pictures in 1 class"),
        ({"1.png": picture(1), "2.png": picture(2)}, "None of the 2 pictures lies in a folder"),
        ({"a/1.txt": b"x", "b/1.txt": b"x"}, "0 usable pictures in 0 classes"),
    ],
)
def test_fewer_than_two_classes_say_what_was_expected(tmp_path, datasets, files, words):
    (tmp_path / "a").mkdir()
    with pytest.raises(DatasetError, match=words):
        import_dataset(folder(tmp_path / "a", files), "a")
    assert not any(datasets.iterdir())


def test_why_a_file_is_refused_is_said_in_the_language_that_is_spoken(tmp_path):
    files = two_classes() | {"loose.png": picture(90), "cat/a.txt": b"x", "cat/b.png": b"x", "../up.png": picture(91)}
    with speaking("zh_CN"):
        summary = import_dataset(zipped(tmp_path / "a.zip", files), "a")
    assert len(summary.rejected) == 4
    for reason in reasons(summary).values():
        assert re.search("[\u4e00-\u9fff]", reason), reason
        assert not re.search("[a-z]+ [a-z]+ [a-z]+", reason), reason


@pytest.mark.parametrize(
    ("name", "what"), [("digits", "built-in"), ("my cats", "such as my-cats"), ("taken", "already"), ("../up", "up")]
)
def test_names_that_cannot_be_used_are_refused_first(tmp_path, name, what):
    path = folder(tmp_path / "a", two_classes())
    import_dataset(path, "taken")
    with pytest.raises(DatasetError, match=what):
        import_dataset(path, name)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("none.zip", None, "no file or folder"),
        ("a.zip", b"x", "ZIP"),
        ("a.jpg", b"x" * 999, "one picture"),
        ("a.xy", b"x" * 999, "TAR"),
    ],
)
def test_sources_that_are_none_are_refused(tmp_path, name, content, what):
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=what):
        import_dataset(tmp_path / name, "a")


# Progress, cancelling, interruption


def test_progress_ends_at_all_files(tmp_path):
    heard = []
    import_dataset(zipped(tmp_path / "a.zip", two_classes(50)), "a", lambda done, total: heard.append((done, total)))
    assert heard[0][1] == 100
    assert heard[-1] == (100, 100)


def test_a_cancelled_import_leaves_nothing_and_no_thread(tmp_path, datasets):
    path = folder(tmp_path / "a", two_classes(100))
    with pytest.raises(Cancelled, match="nothing was kept"):
        import_dataset(path, "a", cancelled=lambda: True)
    assert not any(datasets.iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
    assert import_dataset(path, "a").images == 200


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(28, "No space left on device")])
def test_an_interrupted_import_leaves_nothing(tmp_path, datasets, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(importing, "stratify", fail)
    with pytest.raises(error if isinstance(error, type) else OSError):
        import_dataset(folder(tmp_path / "a", two_classes()), "a")
    assert not any(datasets.iterdir())


def test_two_imports_of_one_name_give_one_set_and_one_error(tmp_path, datasets):
    path, outcomes = folder(tmp_path / "a", two_classes(30)), []

    def attempt():
        try:
            outcomes.append(import_dataset(path, "a").images)
        except DatasetError as error:
            outcomes.append("already" in str(error))

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(outcomes) == [True, True, True, 60]
    assert [path.name for path in datasets.iterdir()] == ["a"]


def test_an_archive_inside_of_an_archive_is_called_that(tmp_path):
    inner = zipped(tmp_path / "inner.zip", two_classes()).read_bytes()
    with pytest.raises(DatasetError, match="it is an archive inside of another; unpack it first"):
        import_dataset(zipped(tmp_path / "a.zip", {"inner.zip": inner}), "a")


def test_tables_that_contradict_each_other_are_refused_and_others_complete_each_other(tmp_path):
    files = {f"{i}.png": picture(i) for i in range(20)}
    rows = [f"{i}.png,{['cat', 'dog'][i % 2]}" for i in range(20)]
    whole = {"labels.csv": "\n".join(["file,label", *rows]).encode()}
    tests = {"test.csv": "\n".join(["file,label", *rows[:4]]).encode()}
    import_dataset(folder(tmp_path / "a", files | whole | tests), "a")
    dataset = open_dataset("a")
    assert sorted(dataset.files[i] for i in dataset.indices("test")) == ["0.png", "1.png", "2.png", "3.png"]
    wrong = {"other.csv": b"file,label\n5.png,cat\n"}
    with pytest.raises(DatasetError, match=r"say different things of 5\.png"):
        import_dataset(folder(tmp_path / "b", files | whole | wrong), "b")
