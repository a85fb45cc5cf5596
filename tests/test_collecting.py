"""A class collects pictures: a code lets others add photos, which lose their place; only who opened it takes out and ends."""

import base64
import io
import os
import time
import unicodedata
import zipfile

import pytest
import streamlit as st
from conftest import wait_for
from PIL import Image
from test_more_lessons import photo
from test_pages import open_page

from imgrec import background, privacy
from imgrec.data import DatasetError, collecting, import_dataset, open_dataset
from imgrec.data.collecting import collections_of, find_collection, open_collection
from imgrec.home import UnusableName, folder
from imgrec.images import ImageError
from pages import film

ANN, BEN = "a" * 24, "b" * 24


def picture(number):
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (number * 7 % 256, 90, 200 - number)).save(file, "PNG")
    return file.getvalue()


def test_photos_of_many_become_a_data_set_and_tell_no_place():
    leaves = open_collection("leaves", ["oak", " maple ", "", "oak"], ANN)
    assert leaves.classes == ("oak", "maple")
    there = find_collection(f" {leaves.code.upper()} ")
    assert there == leaves
    path = there.add(photo(), "oak", BEN)
    assert privacy.told_by(path.read_bytes()) == {}
    for number in range(12):
        there.add(picture(number), ("oak", "maple")[number % 2], BEN)
    assert [entry.label for entry in there.photos()[:2]] == ["maple", "oak"]
    assert {entry.who for entry in there.photos()} == {BEN}
    job = background.start_import(there.bundle(), there.name)
    there.close()
    wait_for(lambda: job.status == "finished")
    dataset = open_dataset("leaves")
    assert set(dataset.classes) == {"oak", "maple"}
    assert len(dataset) == 13
    with pytest.raises(DatasetError, match="no collection"):
        find_collection(leaves.code)


def test_the_pictures_of_one_second_of_a_film_stay_together():
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    for second in range(10):
        for number in range(5):
            leaves.add(picture(5 * second + number), "oak", BEN, group=f"ab{second}")
    for number in range(20):
        leaves.add(picture(100 + number), "maple", ANN, group="../../x" if number == 3 else "")
    job = background.start_import(leaves.bundle(), leaves.name)
    wait_for(lambda: job.status == "finished")
    dataset = open_dataset("leaves")
    assert dataset.counts()["oak"] == {"train": 35, "validation": 5, "test": 10}
    assert dataset.counts()["maple"] == {"train": 14, "validation": 2, "test": 4}
    seconds = {}
    for name, split in zip(dataset.files, dataset.splits.tolist(), strict=True):
        seconds.setdefault(name.split("-")[-1].split(".")[0], set()).add(split)
    assert all(len(seconds[f"ab{second}"]) == 1 for second in range(10))


def test_what_a_browser_sends_as_a_film_is_bounded_and_checked():
    def sent(content):
        return "data:image/jpeg;base64," + base64.b64encode(content).decode()

    shots = film._shots([sent(picture(number)) for number in range(20)])
    assert [shot.content for shot in shots] == [picture(number) for number in range(20)]
    assert [len({shot.group for shot in shots[start : start + 7]}) for start in (0, 7, 14)] == [1, 1, 1]
    assert len({shot.group for shot in shots}) == 3
    assert len(film._shots([sent(picture(1))] * 5)) == 1  # nothing moved
    assert len(film._shots([sent(b"%d" % number) for number in range(500)])) == film.MOST
    for nonsense in (None, "x", 7, {"a": 1}, [None, 3, "", "data:image/jpeg;base64,!!!"]):
        assert film._shots(nonsense) == []


def test_what_is_no_photo_or_no_class_is_refused_and_nothing_is_kept():
    leaves = open_collection("leaves", ["oak", "maple"])
    with pytest.raises(ImageError, match=r"x\.txt"):
        leaves.add(b"text", "oak", "", "x.txt")
    with pytest.raises(DatasetError, match="choose one of oak, maple"):
        leaves.add(picture(0), "../oak")
    assert leaves.photos() == []
    leaves.add(picture(0), "oak", "../../x")
    assert leaves.photos()[0].path.parent.parent == folder("datasets") / ".collections" / leaves.code
    with pytest.raises(DatasetError, match="two classes"):
        leaves.bundle()


@pytest.mark.parametrize("code", ["", "..", "../..", "nothing", "a/b", "x" * 500, "é"])
def test_a_code_that_is_none_finds_nothing(code):
    open_collection("leaves", ["oak", "maple"])
    with pytest.raises(DatasetError, match="no collection"):
        find_collection(code)


def test_a_collection_needs_a_free_name_and_two_classes_and_has_its_bounds(monkeypatch):
    for name, classes, error in (
        ("digits", ["a", "b"], DatasetError),
        ("x", ["a"], DatasetError),
        ("../x", ["a", "b"], UnusableName),
    ):
        with pytest.raises((error, ValueError)):
            open_collection(name, classes)
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    assert [c.code for c in collections_of(ANN)] == [leaves.code]
    assert collections_of(BEN) == []
    monkeypatch.setattr(collecting, "MOST_OF_ONE", 2)
    for number in range(2):
        leaves.add(picture(number), "oak", BEN)
    with pytest.raises(DatasetError, match="enough photos"):
        leaves.add(picture(3), "oak", BEN)
    leaves.add(picture(3), "oak", ANN)  # another may still
    leaves.remove(leaves.photos()[0])
    assert len(leaves.photos()) == 2


def test_the_page_opens_a_collection_shows_its_code_and_makes_the_data_set(monkeypatch):
    monkeypatch.setattr("pages.visitors.is_operator", lambda: True)
    test = open_page("collect.py")
    test.text_input(key="collect_name").set_value("leaves")
    test.text_area(key="collect_classes").set_value("oak\nmaple").run()
    test.button(key="collect_open").click().run()
    assert not test.exception
    [leaves] = collections_of("")
    assert leaves.code in [title.value for title in test.title]
    assert test.button(key="collect_make").disabled  # there is no photo yet
    for number in range(8):
        leaves.add(picture(number), ("oak", "maple")[number % 2])
    test.run()
    assert [metric.value for metric in test.metric] == ["4", "4"]
    test.button(key="collect_make").click().run()
    assert not test.exception
    wait_for(lambda: background.bring_jobs()[0].status == "finished")
    assert len(open_dataset("leaves")) == 8
    test.run()
    assert "8 accepted" in test.success[0].value
    leaves.add(picture(20), "oak")  # nothing is forgotten: more can come
    test.run()
    test.button(key="collect_make").click().run()
    assert not test.exception
    wait_for(lambda: len(open_dataset("leaves")) == 9)
    test.button(key="collect_end").click().run()
    assert collections_of("") == []


def test_a_pupil_joins_by_code_sees_the_numbers_and_may_not_end_it(monkeypatch):
    monkeypatch.setattr("pages.visitors.is_operator", lambda: False)
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    leaves.add(picture(1), "oak", ANN)
    test = open_page("collect.py")
    test.text_input(key="collect_code").set_value(leaves.code.upper())
    test.button(key="collect_join").click().run()
    assert not test.exception
    assert [metric.value for metric in test.metric] == ["1", "0"]
    assert not [button for button in test.button if button.key == "collect_make"]
    wrong = open_page("collect.py", {"code": "zzzzzz"})
    assert "no collection" in wrong.error[0].value


def test_a_collection_lives_as_long_as_somebody_adds_to_it():
    used, left = (open_collection(name, ["oak", "maple"], ANN) for name in ("used", "left"))
    for old in (used, left):
        for path in (old.path, *old.path.rglob("*")):
            os.utime(path, (time.time() - 35 * 86400,) * 2)
    used.add(picture(1), "oak", BEN)
    os.utime(used.path, (time.time() - 35 * 86400,) * 2)  # a photo changes the folder of its class only
    open_collection("other", ["ash", "elm"], BEN)
    assert [entry.name for entry in collections_of(ANN)] == ["used"]
    assert len(find_collection(used.code).photos()) == 1


def test_nothing_can_be_added_to_a_collection_that_was_just_closed():
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    there = find_collection(leaves.code)
    leaves.close()
    with pytest.raises(DatasetError, match="has been closed"):
        there.add(picture(0), "oak", BEN)
    assert not there.path.exists()


def test_what_a_phone_takes_is_kept_at_a_size_that_training_can_use():
    leaves, file = open_collection("leaves", ["oak", "maple"]), io.BytesIO()
    Image.new("RGB", (4000, 3000), (10, 120, 10)).save(file, "JPEG")
    with Image.open(leaves.add(file.getvalue(), "oak")) as kept:
        assert kept.size == (1280, 960)
    with Image.open(leaves.add(picture(1), "oak")) as kept:
        assert kept.size == (40, 30)


def test_a_collection_can_pause_and_forget_one_visitor():
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    for number in range(6):
        leaves.add(picture(number), ("oak", "maple")[number % 2], (ANN, BEN, "")[number % 3])
    leaves.pause(True)
    with pytest.raises(DatasetError, match="no more photos at the moment"):
        find_collection(leaves.code).add(picture(9), "oak", BEN)
    leaves.pause(False)
    leaves.add(picture(9), "oak", BEN)
    assert leaves.remove_all_of(BEN) == 3
    assert {photo.who for photo in leaves.photos()} == {ANN, ""}
    assert leaves.remove_all_of(BEN) == 0


def test_a_bundle_is_read_file_by_file(monkeypatch):
    """Three thousand photos are not held in memory at once."""
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    for number in range(8):
        leaves.add(picture(number), ("oak", "maple")[number % 2], ANN)
    held, read = [], collecting.Path.read_bytes
    monkeypatch.setattr(collecting.Path, "read_bytes", lambda path: (held.append(path), read(path))[1])
    wrote, write = [], zipfile.ZipFile.writestr
    monkeypatch.setattr(
        zipfile.ZipFile, "writestr", lambda self, name, data: (wrote.append(len(held)), write(self, name, data))[1]
    )
    leaves.bundle()
    assert wrote[:8] == list(range(1, 9))


def test_who_opened_it_takes_out_what_one_visitor_added(monkeypatch):
    monkeypatch.setattr("pages.visitors.is_operator", lambda: True)
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    for number in range(9):
        leaves.add(picture(number), "oak", (ANN, BEN, BEN)[number % 3])
    test = open_page("collect.py", {"code": leaves.code})
    assert not test.exception
    assert test.button(key="collect_out").disabled
    names = test.selectbox(key="collect_who").options
    leaves.add(picture(99), "oak", BEN)
    assert test.run().selectbox(key="collect_who").options == names  # or the box would lose what is chosen
    test.selectbox(key="collect_who").set_value(BEN).run()
    test.button(key="collect_out").click().run()
    assert not test.exception
    assert {photo.who for photo in leaves.photos()} == {ANN}
    test.button(key="collect_pause").click().run()
    assert find_collection(leaves.code).paused
    assert any("no more photos at the moment" in box.value for box in test.info)
    assert not test.get("file_uploader")
    test.button(key="collect_pause").click().run()
    assert not find_collection(leaves.code).paused


def test_two_visitors_of_one_name_are_told_apart(monkeypatch):
    monkeypatch.setattr("pages.visitors.is_operator", lambda: True)
    monkeypatch.setattr("pages.visitors.called", lambda digest: "Green Owl")
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    for number in range(3):
        leaves.add(picture(number), "oak", (ANN, BEN, BEN)[number])
    test = open_page("collect.py", {"code": leaves.code})
    assert test.selectbox(key="collect_who").options == ["Green Owl", "Green Owl #2"]
    test.selectbox(key="collect_who").set_value(BEN).run()
    test.button(key="collect_out").click().run()
    assert {photo.who for photo in leaves.photos()} == {ANN}


def test_a_collection_that_ended_cannot_pause():
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    leaves.close()
    with pytest.raises(DatasetError, match="has been closed"):
        leaves.pause(True)


def test_what_a_film_shows_is_kept(monkeypatch):
    """What the button that is held sends, as the camera sends it."""
    leaves, taken = open_collection("leaves", ["oak", "maple"], ANN), []
    monkeypatch.setattr("pages.film.record", lambda key, take, **more: taken.append(take))
    test = open_page("collect.py", {"code": leaves.code})
    test = open_page("collect.py", {"code": leaves.code}, collect_label="oak")
    assert not test.exception
    taken[-1]([film.Shot(picture(number), "ab1") for number in range(3)])
    assert [(photo.label, photo.group) for photo in leaves.photos()] == [("oak", "ab1")] * 3


def test_what_became_of_a_photo_is_said_above_the_camera_and_counted_in_the_choice(monkeypatch):
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    monkeypatch.setattr("pages.film.record", lambda *_, **__: st.caption("the camera"))
    test = open_page(
        "collect.py", {"code": leaves.code}, collect_label="oak", collect_said=(1, ["It is there already."])
    )
    assert "Added: 1 picture" in test.toast[0].value
    shown = [element.value for element in test.main if element.type in ("alert", "error", "caption")]
    assert shown.index("It is there already.") < shown.index("the camera")
    leaves.add(picture(1), "oak", BEN)
    assert test.run().segmented_control(key="collect_label").options == ["oak · 1", "maple · 0"]
    assert test.segmented_control(key="collect_label").value == "oak"


def test_the_same_photo_is_kept_once():
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    leaves.add(picture(1), "oak", ANN)
    with pytest.raises(DatasetError, match="there already"):
        leaves.add(picture(1), "maple", BEN)
    assert len(leaves.photos()) == 1


def test_the_data_set_does_not_tell_who_took_what_and_what_is_new_is_counted():
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    for number in range(12):
        leaves.add(picture(number), ("oak", "maple")[number % 2], BEN)
    assert (leaves.begun, leaves.new) == (False, 12)
    job = background.start_import(leaves.bundle(), leaves.name)
    leaves.note_made()
    wait_for(lambda: job.status == "finished")
    assert (leaves.made, leaves.new) == (True, 0)
    assert not [name for name in open_dataset("leaves").files if BEN in name]
    time.sleep(0.05)
    leaves.add(picture(99), "oak", BEN)
    assert leaves.new == 1
    job = background.start_import(leaves.bundle(), leaves.name, adding=True)
    leaves.note_made()
    wait_for(lambda: job.status == "finished")
    assert len(open_dataset("leaves")) == 13


def test_a_name_in_letters_and_accents_apart_is_that_of_its_data_set():
    leaves = open_collection(unicodedata.normalize("NFD", "Blätter"), ["oak", "maple"])
    for number in range(4):
        leaves.add(picture(number), ("oak", "maple")[number % 2])
    import_dataset(leaves.bundle(), leaves.name)
    leaves.note_made()
    assert leaves.made
    assert find_collection(leaves.code).made


def test_who_made_the_data_set_sees_at_once_how_it_goes(monkeypatch):
    monkeypatch.setattr("pages.visitors.is_operator", lambda: True)
    leaves = open_collection("leaves", ["oak", "maple"], ANN)
    for number in range(24):
        leaves.add(picture(number), ("oak", "maple")[number % 2], ANN)
    test = open_page("collect.py", {"code": leaves.code})
    test.button(key="collect_make").click().run()
    assert not test.exception
    wait_for(lambda: background.bring_folder("leaves").status == "finished")
    test.run()
    assert "24 accepted" in test.success[0].value
    assert test.button(key="collect_make").disabled  # nothing is new
    time.sleep(0.05)
    leaves.add(picture(99), "oak", BEN)
    assert not test.run().button(key="collect_make").disabled
