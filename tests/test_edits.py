"""Edits change what is seen and trained on, never the import; each can be undone, and none leaves a set unusable."""

import json
import threading
import time
from dataclasses import asdict

import numpy as np
import pytest
from pictures import picture

from imgrec import data
from imgrec.data import (
    DatasetError,
    Edit,
    Item,
    edit,
    edits,
    import_dataset,
    inspect,
    list_datasets,
    open_dataset,
    store,
    undo,
)
from imgrec.data.dataset import LEFT_OUT, SPLITS
from imgrec.home import folder

CLASSES = ("ant", "bee", "cat")


@pytest.fixture
def pets():
    """Thirty pictures in three classes, stored; the set's name."""
    import_dataset([Item(f"{i:02d}.png", picture(i), CLASSES[i % 3]) for i in range(30)], "pets")
    return "pets"


def state(name):
    dataset = open_dataset(name)
    return dataset.classes, dataset.labels.tolist(), dataset.splits.tolist(), dataset.fingerprint


def test_a_new_label_is_seen_at_once_and_changes_the_fingerprint(pets):
    before = open_dataset(pets)
    edit(pets, Edit("relabel", (0, 4), "cat"))
    after = open_dataset(pets)
    edit(pets, Edit("exclude", (5,)))
    assert [row.images for row in list_datasets() if row.name == pets] == [29]
    assert [after.classes[after.labels[i]] for i in (0, 4)] == ["cat", "cat"]
    assert after.fingerprint != before.fingerprint
    assert np.array_equal(after.images, before.images)


def test_a_picture_left_out_is_in_no_split_no_count_and_no_report(pets):
    edit(pets, Edit("exclude", (3, 7)))
    dataset = open_dataset(pets)
    assert set(dataset.splits[[3, 7]]) == {LEFT_OUT}
    assert not {3, 7} & set(dataset.kept)
    assert sum(len(dataset.indices(split)) for split in SPLITS) == 28
    report = inspect(dataset)
    assert (report["images"], report["left_out"]) == (28, 2)
    assert sum(sum(row.values()) for row in report["classes"].values()) == 28
    came = state(pets)
    edit(pets, Edit("include", (3, 7)))
    assert open_dataset(pets).splits.tolist() != came[2]
    assert sum(len(open_dataset(pets).indices(split)) for split in SPLITS) == 30


def test_a_class_can_be_renamed_merged_and_emptied(pets):
    edit(pets, Edit("rename", value="wasp", old="bee"))
    assert open_dataset(pets).classes == ("ant", "wasp", "cat")
    edit(pets, Edit("rename", value="cat", old="wasp"))
    merged = open_dataset(pets)
    assert merged.classes == ("ant", "cat")
    assert merged.counts()["cat"] == {
        split: sum(merged.splits == s) - merged.counts()["ant"][split] for s, split in enumerate(SPLITS)
    }
    edit(pets, Edit("relabel", tuple(range(5)), "猫 & <b>dog</b>"))
    assert open_dataset(pets).classes == ("ant", "cat", "猫 & <b>dog</b>")


def test_a_picture_moves_to_another_split(pets):
    position = int(open_dataset(pets).indices("train")[0])
    edit(pets, Edit("move", (position,), "test"))
    assert position in open_dataset(pets).indices("test")


def test_every_edit_can_be_undone_down_to_the_import(pets):
    states, generator = [state(pets)], np.random.default_rng(0)
    for step in range(25):
        some = tuple(generator.integers(0, 30, 3).tolist())
        kind = ("relabel", "exclude", "include", "move", "rename")[step % 5]
        classes = open_dataset(pets).classes
        value = {"relabel": f"new {step}", "move": "test", "rename": f"other {step}"}.get(kind, "")
        edit(pets, Edit(kind, () if kind == "rename" else some, value, classes[0] if kind == "rename" else ""))
        states.append(state(pets))
    assert len(data.history(pets)) == 25
    for expected in states[-2::-1]:
        undo(pets)
        assert state(pets) == expected
    with pytest.raises(DatasetError, match="nothing to undo"):
        undo(pets)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Edit("relabel", (99,), "cat"), "30 pictures"),
        (Edit("relabel", (-1,), "cat"), "30 pictures"),
        (Edit("relabel", (1,), "  "), "cannot be a class"),
        (Edit("relabel", (1,), "x" * 200), "cannot be a class"),
        (Edit("relabel", tuple(range(30)), "all"), "fewer than two classes"),
        (Edit("exclude", tuple(range(30))), "fewer than two classes"),
        (Edit("move", (1,), "exam"), "cannot be 'move'"),
        (Edit("rename", value="x", old="dragon"), "cannot be 'rename'"),
        (Edit("explode", (1,)), "cannot be 'explode'"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_and_changes_nothing(pets, change, words):
    before = state(pets)
    with pytest.raises(DatasetError, match=words):
        edit(pets, change)
    assert state(pets) == before
    assert data.history(pets) == []


def test_built_in_sets_stay_as_they_are():
    with pytest.raises(DatasetError, match="built-in"):
        edit("digits", Edit("exclude", (1,)))


def test_a_damaged_journal_is_named_and_breaks_no_list(pets):
    (folder("datasets") / pets / "edits.jsonl").write_text('{"kind": "exclude", "pictures": "no"}\n')
    with pytest.raises(DatasetError, match=r"edits\.jsonl"):
        open_dataset(pets)
    assert pets in [row.name for row in list_datasets()]


def test_an_edit_says_in_words_what_it_did(pets):
    assert edit(pets, Edit("relabel", (1,), "cat")).describe() == "1 picture relabelled as cat"
    assert edit(pets, Edit("rename", value="wasp", old="bee")).describe() == "class bee renamed to wasp"
    assert data.history(pets)[0].when.startswith("20")


@pytest.mark.parametrize("name", ["big\u2028cat", "big\u2029cat", "big\x85cat", "big\ncat"])
def test_a_name_with_an_end_of_line_in_it_breaks_no_journal(pets, name):
    edit(pets, Edit("rename", value=name, old="cat"))
    [called] = set(open_dataset(pets).classes) - set(CLASSES)
    assert called == "big\ufffdcat"
    (folder("datasets") / pets / "edits.jsonl").write_text(
        json.dumps(asdict(Edit("rename", value=name, old="cat")), ensure_ascii=False) + "\n", "utf-8"
    )  # as it was written before
    assert name in open_dataset(pets).classes
    undo(pets)
    assert open_dataset(pets).classes == CLASSES


def test_a_picture_taken_back_in_is_where_it_was_moved_to(pets):
    moved = int(open_dataset(pets).indices("test")[0])
    edit(pets, Edit("move", (moved,), "train"))
    edit(pets, Edit("exclude", (moved,)))
    edit(pets, Edit("include", (moved,)))
    assert open_dataset(pets).splits[moved] == SPLITS.index("train")
    other = int(open_dataset(pets).indices("test")[0])
    edit(pets, Edit("move", (other,), "train"))
    edit(pets, Edit("include", (other,)))  # it was not out
    assert open_dataset(pets).splits[other] == SPLITS.index("train")


def added(label, count, start=1000):
    return [Item(f"new {label} {start + i}.png", picture(start + i), label) for i in range(count)]


def labels_of(name):
    dataset = open_dataset(name)
    return {label: int((dataset.labels == index).sum()) for index, label in enumerate(dataset.classes)}


def test_pictures_added_after_a_rename_are_called_as_they_came(pets):
    edit(pets, Edit("rename", value="zebra", old="ant"))
    edit(pets, Edit("relabel", (1, 4), "dodo"))
    before = open_dataset(pets).classes
    assert before == ("zebra", "bee", "cat", "dodo")
    summary = import_dataset(added("zebra", 5) + added("dodo", 2, 1100) + added("eel", 3, 1200), pets, adding=True)
    assert {label: sum(row.values()) for label, row in summary.counts.items() if sum(row.values())} == {
        "zebra": 5,
        "dodo": 2,
        "eel": 3,
    }
    assert open_dataset(pets).classes == (*before, "eel")  # in their order, or runs of before would not fit any more
    assert labels_of(pets) == {"zebra": 15, "bee": 8, "cat": 10, "dodo": 4, "eel": 3}
    summary = import_dataset(added("ant", 6, 1300), pets, adding=True)  # as another class was called once
    assert sum(summary.counts["ant"].values()) == 6
    assert labels_of(pets) == {"zebra": 15, "bee": 8, "cat": 10, "dodo": 4, "eel": 3, "ant": 6}
    import_dataset(added("ant", 1, 1400), pets, adding=True)
    assert labels_of(pets)["ant"] == 7
    kinds = [change.kind for change in data.history(pets)]
    for _ in kinds:
        undo(pets)
    assert labels_of(pets)["bee"] == 10
    assert sum(labels_of(pets).values()) == 40
    assert len(open_dataset(pets).unlabelled) == 7  # those that came as ants when no class was called so


def test_pictures_added_after_two_classes_were_merged_stay_apart_from_neither(pets):
    edit(pets, Edit("rename", value="bee", old="ant"))
    import_dataset(added("bee", 4) + added("ant", 3, 1100), pets, adding=True)
    assert labels_of(pets) == {"bee": 24, "cat": 10, "ant": 3}


def test_what_was_added_under_a_name_of_before_waits_for_a_label_if_that_is_undone(pets):
    edit(pets, Edit("rename", value="wolf", old="ant"))
    import_dataset(added("ant", 20, 2000), pets, adding=True)
    after = open_dataset(pets)
    new = np.arange(30, 50)
    assert {after.classes[label] for label in after.labels[new]} == {"ant"}
    assert len({int(split) for split in after.splits[new]}) == 3  # in all three
    while data.history(pets)[-1].kind != "rename":
        undo(pets)
    assert set(open_dataset(pets).unlabelled) == set(new)  # or they would be taken for another class
    assert labels_of(pets)["wolf"] == 10


def test_a_crash_before_the_journal_has_them_leaves_pictures_that_wait(pets, monkeypatch):
    edit(pets, Edit("rename", value="wolf", old="ant"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imgrec.data.edits.note", full)
    with pytest.raises(OSError, match="No space"):
        import_dataset(added("ant", 5, 2000), pets, adding=True)
    assert len(open_dataset(pets).unlabelled) == 5
    assert labels_of(pets) == {"wolf": 10, "bee": 10, "cat": 10}


def test_an_added_class_that_was_merged_away_goes_into_its_own_place(pets):
    edit(pets, Edit("relabel", tuple(range(10)), "puma"))
    edit(pets, Edit("rename", value="bee", old="ant"))  # a merge
    import_dataset(added("bee", 4, 2000), pets, adding=True)
    undo(pets)
    undo(pets)
    assert labels_of(pets) == {"ant": 10, "bee": 14, "cat": 10}


def test_what_was_taken_back_in_before_this_rule_stays_where_it_was(pets):
    moved = int(open_dataset(pets).indices("train")[0])
    edit(pets, Edit("move", (moved,), "test"))
    edit(pets, Edit("exclude", (moved,)))
    path = folder("datasets") / pets / "edits.jsonl"
    path.write_text(path.read_text("utf-8") + json.dumps(asdict(Edit("include", (moved,)))) + "\n", "utf-8")
    assert open_dataset(pets).splits[moved] == SPLITS.index("train")  # a training may go on from it


def test_only_the_edit_that_was_seen_is_undone(pets):
    edit(pets, Edit("relabel", (0,), "cat"))
    [seen] = data.history(pets)
    edit(pets, Edit("exclude", (5,)))
    with pytest.raises(DatasetError, match="another by now: 1 picture left out"):
        undo(pets, seen)
    assert len(data.history(pets)) == 2
    assert undo(pets, data.history(pets)[-1]).kind == "exclude"
    assert undo(pets, seen) == seen
    with pytest.raises(DatasetError, match="nothing to undo"):
        undo(pets, seen)


def test_a_set_deleted_while_pictures_are_added_does_not_come_back(pets):
    with store.Draft(pets, adding=True) as draft:
        data.delete_dataset(pets)
        with pytest.raises(DatasetError, match="pets has been deleted"), draft.lock():
            raise AssertionError
    assert pets not in store.names()


def test_nor_does_one_that_is_deleted_while_somebody_waits_or_writes(pets):
    place, told = folder("datasets") / pets, []

    def waits():
        try:
            with edits.lock(place):
                told.append("held")
        except DatasetError as error:
            told.append(str(error))

    def writes():
        with edits.lock(place):
            other.start()
            time.sleep(0.3)  # until it waits
            data.delete_dataset(pets)
            edits.note(place, Edit("confirm", (0,)))

    other = threading.Thread(target=waits)
    with pytest.raises(DatasetError, match="pets has been deleted"):
        writes()
    other.join(20)
    assert told == ["The data set pets has been deleted."]
    assert pets not in store.names()
