"""Uploads become the set that was meant, whatever the names say, and nothing of them stays."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pictures import picture, two_classes, zipped

from imgrec.data import DatasetError, import_dataset, open_dataset, uploads
from imgrec.data.uploads import Loose
from imgrec.home import folder


def waiting():
    return sorted(folder("datasets").glob(".uploads/*/*"))


def test_loose_pictures_get_the_class_of_their_box_whatever_it_is_called():
    names = ("cats/dogs ![x](http://example.com/x.png)", '=1+1, "quoted" 猫')
    pictures = [Loose("same.png", picture(i), names[i % 2]) for i in range(12)]
    summary = import_dataset(uploads.bundle(pictures), "mine")
    assert summary.images == 12
    assert set(summary.counts) == set(names)
    dataset = open_dataset("mine")
    assert len(set(dataset.files)) == 12


def test_the_pictures_of_one_second_of_a_film_are_all_in_one_split():
    """A trap that others fell into: frames of one film on both sides of the split, so that the test is of known pictures."""
    film = [Loose("c.jpg", picture(i), "cat", group=f"cat {i // 7}") for i in range(140)]
    photos = [Loose(f"{i}.jpg", picture(1000 + i), "dog") for i in range(40)]
    copies = [Loose("copy.jpg", picture(1000), "dog"), Loose("again.jpg", picture(1), "cat", group="another film")]
    import_dataset(uploads.bundle([*film, *photos, *copies]), "mine")
    dataset = open_dataset("mine")
    assert dataset.counts()["cat"]["test"] in (28, 29)  # four of twenty seconds
    assert dataset.counts()["dog"]["test"] == 8
    assert dataset.counts()["dog"]["validation"] == 4
    of = {int(name.split("-")[0]): split for name, split in zip(dataset.files, dataset.splits.tolist(), strict=True)}
    for second in range(20):
        assert len({of[number] for number in range(7 * second, 7 * second + 7)}) == 1
    assert of[140] == of[180]


def test_an_uploaded_folder_keeps_its_class_folders():
    pictures = [Loose(name, content) for name, content in two_classes(top="photos/").items()]
    summary = import_dataset(uploads.bundle(pictures), "mine")
    assert sorted(summary.counts) == ["cat", "dog"]


def test_hostile_file_names_land_nowhere_else(workspace):
    pictures = [Loose(f"../../{i}/..\\evil.png", picture(i), "ab"[i % 2]) for i in range(6)]
    path = uploads.bundle(pictures)
    assert import_dataset(path, "mine").images == 6
    assert {entry.name for entry in workspace.iterdir()} == {"datasets"}
    kept = uploads.keep("../../.hidden/../x\x00y.tar.gz", b"content")
    assert kept.parent.parent == folder("datasets") / ".uploads"
    assert kept.name == "xy.tar.gz"


def test_an_archive_keeps_its_name_and_only_an_upload_is_discarded(tmp_path):
    own = zipped(tmp_path / "own.zip", two_classes())
    kept = uploads.keep("Photos 2026.zip", own.read_bytes())
    assert kept.name == "Photos 2026.zip"
    assert kept.read_bytes() == own.read_bytes()
    uploads.discard(own)
    uploads.discard(kept)
    assert own.exists()
    assert not kept.parent.exists()


def test_all_uploads_together_are_bounded(monkeypatch):
    monkeypatch.setenv("IMGREC_MAX_IMPORT_GB", "0.00001")
    uploads.keep("a.zip", b"x" * 8000)
    with pytest.raises(DatasetError, match="try again when others"):
        uploads.keep("b.zip", b"x" * 8000)
    assert len(waiting()) == 1


def test_an_upload_that_nobody_read_is_swept_after_a_day():
    old = uploads.keep("old.zip", b"x")
    os.utime(old.parent, (time.time() - 90_000,) * 2)
    new = uploads.keep("new.zip", b"x")
    assert waiting() == [new]


def test_uploads_that_come_and_go_at_once_take_nothing_from_each_other():
    def often():
        for number in range(150):
            uploads.discard(uploads.keep(f"{number}.zip", b"PK"))

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(often) for _ in range(3)]:
            done.result()
