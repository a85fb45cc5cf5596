"""The table of a stored set: rows and names are found again, names can be searched, and it only ever grows whole."""

import numpy as np
import pytest
from pictures import folder, picture, reasons, two_classes, zipped

from imgrec import data
from imgrec.data import (
    UNLABELLED,
    DatasetError,
    Edit,
    edit,
    export_dataset,
    import_dataset,
    open_dataset,
    original,
    table,
)
from imgrec.home import folder as home_folder

NAMES = ["cat/1.png", "Cat/2.PNG", "猫/三.jpg", "", "a\nb", "dog/1.png"]


@pytest.fixture
def written(tmp_path):
    table.append(tmp_path, np.zeros(4, table.ITEM), NAMES[:4])
    table.append(tmp_path, np.ones(2, table.ITEM), NAMES[4:])
    return table.read(tmp_path)


def test_rows_and_names_come_back_in_order(written):
    items, names = written
    assert items["label"].tolist() == [0] * 4 + [1] * 2
    assert list(names) == ["cat/1.png", "Cat/2.PNG", "猫/三.jpg", "", "a b", "dog/1.png"]
    assert (names[-1], len(names)) == ("dog/1.png", 6)
    assert names[-2:] == ["a b", "dog/1.png"]
    with pytest.raises(IndexError):
        names[6]


@pytest.mark.parametrize(
    ("text", "positions"), [("cat", [0, 1]), ("1.png", [0, 5]), ("三", [2]), ("x", []), ("g", [0, 1, 2, 5]), ("[", [])]
)
def test_names_are_found_by_a_part_of_them(written, text, positions):
    assert written[1].containing(text).tolist() == positions


def test_what_was_not_finished_never_was(written, tmp_path):
    with open(tmp_path / table.NAMES, "ab") as file:
        file.write(b"half a na")
    items, names = table.read(tmp_path)
    assert len(items) == len(names) == 6
    table.append(tmp_path, np.zeros(1, table.ITEM), ["next.png"])
    assert table.read(tmp_path)[1][6] == "next.png"


# Pictures without a label, and pictures that come later


def test_pictures_without_a_label_wait_and_are_in_no_split(tmp_path):
    files = two_classes() | {f"unlabelled/{i}.png": picture(500 + i) for i in range(4)}
    summary = import_dataset(zipped(tmp_path / "a.zip", files), "a")
    dataset = open_dataset("a")
    assert (summary.images, summary.classes, summary.rejected) == (14, 2, [])
    assert (len(dataset.kept), len(dataset.unlabelled)) == (10, 4)
    assert set(dataset.labels[dataset.unlabelled]) == {-1}
    assert sum(sum(row.values()) for row in dataset.counts().values()) == 10


def test_a_label_given_by_hand_puts_a_waiting_picture_into_training(tmp_path):
    import_dataset(folder(tmp_path / "a", {f"{i}.png": picture(i) for i in range(6)}), "a", unlabelled=True)
    assert (open_dataset("a").classes, len(open_dataset("a").unlabelled)) == ((), 6)
    edit("a", Edit("move", (0,), "test"))
    assert len(open_dataset("a").unlabelled) == 6  # without a label it waits on
    edit("a", Edit("relabel", (0, 1), "cat"))
    edit("a", Edit("relabel", (2,), "dog"))
    edit("a", Edit("exclude", (1, 5)))
    edit("a", Edit("include", (1, 5)))
    dataset = open_dataset("a")
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 0, 1, -1, -1, -1]
    assert dataset.splits.tolist() == [0, 0, 0, UNLABELLED, UNLABELLED, UNLABELLED]
    for _ in range(5):
        data.undo("a")
    assert len(open_dataset("a").unlabelled) == 6


def test_pictures_are_added_to_a_set_but_none_twice(tmp_path):
    import_dataset(folder(tmp_path / "a", two_classes()), "a")
    before = open_dataset("a")
    edit("a", Edit("relabel", (0,), "dog"))
    more = {"cat/0.png": picture(0), "cat/9.png": picture(900), "eel/1.png": picture(901), "eel/2.png": b"text"}
    summary = import_dataset(folder(tmp_path / "b", more), "a", adding=True)
    after = open_dataset("a")
    assert summary.images == 2
    assert "has it already, as cat/0.png" in reasons(summary)["cat/0.png"]
    assert "not a picture" in reasons(summary)["eel/2.png"]
    assert after.classes == ("cat", "dog", "eel")
    assert [after.classes[label] for label in after.labels[[0, 10, 11]]] == ["dog", "cat", "eel"]
    assert (after.images[:10] == before.images).all()
    assert after.fingerprint != before.fingerprint
    assert original("a", 11) == picture(901)
    with pytest.raises(DatasetError, match="Nothing was added"):
        import_dataset(tmp_path / "b", "a", adding=True)
    with pytest.raises(DatasetError, match="no stored data set 'digits'"):
        import_dataset(tmp_path / "b", "digits", adding=True)


def test_an_addition_that_fails_leaves_the_set_as_it_was(tmp_path, monkeypatch):
    import_dataset(folder(tmp_path / "a", two_classes()), "a")
    before = open_dataset("a")
    place = home_folder("datasets") / "a"
    sizes = {file.name: file.stat().st_size for file in place.iterdir() if file.is_file()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imgrec.data.table.shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        import_dataset(folder(tmp_path / "b", {"cat/x.png": picture(77)}), "a", adding=True)
    after = open_dataset("a")
    assert after.fingerprint == before.fingerprint
    assert {name: (place / name).stat().st_size for name in sizes} == sizes
    assert not list(home_folder("datasets").glob(".incoming-*"))


def test_a_set_with_waiting_pictures_imports_again_as_the_same(tmp_path):
    files = two_classes() | {f"unlabelled/{i}.png": picture(500 + i) for i in range(4)}
    import_dataset(zipped(tmp_path / "a.zip", files), "a")
    assert export_dataset("a", tmp_path / "out.zip") == 14
    import_dataset(tmp_path / "out.zip", "b")
    first, second = open_dataset("a"), open_dataset("b")
    assert (len(second.kept), len(second.unlabelled)) == (10, 4)
    assert first.counts() == second.counts()
    assert sorted(map(bytes, first.images[first.unlabelled])) == sorted(map(bytes, second.images[second.unlabelled]))


def test_the_kinds_of_files_are_counted(tmp_path):
    files = two_classes() | {
        "cat/g.png": picture(1, mode="L"),
        "cat/j.jpg": picture(2, format="JPEG"),
        "dog/c.jpg": picture(3, mode="CMYK", format="JPEG"),
    }
    import_dataset(folder(tmp_path / "a", files), "a")
    assert open_dataset("a").modes == {"PNG, RGB": 10, "JPEG, CMYK": 1, "JPEG, RGB": 1, "PNG, L": 1}
