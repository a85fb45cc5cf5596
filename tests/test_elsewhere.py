"""A network on pictures from elsewhere: which classes are the same, which pictures it never saw, what the difference means."""

import json

import numpy as np
import pytest

from imgrec import elsewhere, jobs, tasks
from imgrec.__main__ import main
from imgrec.data import DatasetError, Item, edit, import_dataset, list_datasets, open_dataset
from imgrec.data.edits import Edit
from imgrec.images import to_png
from imgrec.language import speaking
from imgrec.learner import load
from imgrec.runs import open_run

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")


def stored(name, pictures, labels, splits=None):
    """An imported set of pictures with the names of their classes."""
    rows = zip(pictures, labels, splits or [None] * len(labels), strict=True)
    items = [Item(f"{i:04d}.png", to_png(p), str(n), split) for i, (p, n, split) in enumerate(rows)]
    import_dataset(items, name)
    return open_dataset(name)


@pytest.mark.parametrize(
    ("classes", "others", "places"),
    [
        (("cat", "dog"), ("dog", "cat", "hen"), [1, 0, -1]),
        (("ice cream", "T-shirt"), ("Ice_Cream", "t shirt"), [0, 1]),
        (("Cat", "cat"), ("cat", "Cat", "CAT"), [1, 0, 1]),
        (("é", "1"), ("E", "2"), [-1, -1]),
        ((), ("cat",), [-1]),
    ],
)  # fmt: skip
def test_classes_are_the_same_if_they_are_called_the_same(classes, others, places):
    assert elsewhere.shared(classes, others).tolist() == places


def test_the_names_that_a_reader_sees_are_names_too():
    with speaking("zh_CN"):
        assert elsewhere.shared(SHAPES, ("圆形", "ring", "方形"))[1] == 5
        shown = elsewhere.class_names(SHAPES)
        assert elsewhere.shared(SHAPES, shown).tolist() == list(range(6))
        assert elsewhere.shared(shown, SHAPES).tolist() == list(range(6))  # a class may have named them so


def test_the_difference_of_two_shares_is_newcombes():
    """Figures of Newcombe (1998), table II, method 10."""
    for given, expected in {(56, 70, 48, 80): (0.0524, 0.3339), (9, 10, 3, 10): (0.1705, 0.8090)}.items():
        assert elsewhere.difference(*given) == pytest.approx(expected, abs=2e-4)


def test_what_was_learned_from_is_left_out(digits):
    stored("learned", digits.images[:60], digits.labels[:60], [*["train"] * 50, *["validation"] * 9, "test"])
    both = stored("both", digits.images[40:100], digits.labels[40:100], ["test"] * 60)
    assert elsewhere.unseen(both, "learned").tolist() == list(range(19, 60))
    edit("learned", Edit("move", tuple(range(40, 50)), "test"))  # what it is tested on it did not learn from
    assert elsewhere.unseen(both, "learned").tolist() == [*range(10), *range(19, 60)]
    assert np.array_equal(elsewhere.unseen(both, "both"), both.indices("test"))
    assert elsewhere.unseen(both, "gone").tolist() == list(range(60))
    assert np.array_equal(elsewhere.unseen(digits, "digits"), digits.indices("test"))


def test_a_network_is_told_apart_from_itself_at_home(own_copy, digits):
    run, test = open_run(own_copy), digits.indices("test")
    same = stored("same", digits.images[test], digits.labels[test])
    found = tasks.measure_elsewhere(run, same.name)
    own = run.read("evaluation.json")
    assert (found["images"], found["accuracy"]) == (own["images"], own["accuracy"])
    assert (found["own_accuracy"], found["difference"]) == (own["accuracy"], 0)
    assert [row["recall"] for row in found["classes"]] == [row["own_recall"] for row in found["classes"]]
    assert found["difference_interval"][0] < 0 < found["difference_interval"][1]
    inverted = stored("inverted", 255 - digits.images[test], digits.labels[test])
    worse = tasks.measure_elsewhere(run, inverted.name)
    assert worse["accuracy"] < 0.7
    assert worse["difference_interval"][0] > 0
    assert worse["taken_for_known"] < found["taken_for_known"]


def test_classes_it_never_learned_are_strangers(own_copy, digits):
    noise = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), np.uint8)
    labels = [*digits.labels[:40], *["noise"] * 30]
    stored("mixed", [*digits.images[:40], *noise], labels)
    found = tasks.measure_elsewhere(open_run(own_copy), "mixed")
    assert (found["images"], found["strangers"], found["other_classes"]) == (40, 30, ["noise"])
    assert found["strangers_noticed"] > 0.9
    assert found["own_images"] == open_run(own_copy).read("evaluation.json")["images"]


def test_a_class_of_another_name_can_be_said_to_be_the_same(own_copy, digits, capsys):
    names = ["nought" if label == 0 else str(label) for label in digits.labels[:40]]
    stored("spoken", digits.images[:40], names)
    run = open_run(own_copy)
    found = tasks.measure_elsewhere(run, "spoken")
    noughts = names.count("nought")
    assert (found["images"], found["strangers"], found["other_classes"]) == (40 - noughts, noughts, ["nought"])
    also = tasks.measure_elsewhere(run, "spoken", called={"nought": "0"})
    assert (also["images"], also["strangers"], also["other_classes"]) == (40, 0, [])
    assert main(["evaluate", own_copy, "--on", "spoken", "--as", "nought=0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["accuracy"] == also["accuracy"]
    for wrong in ("nought=zero", "zero=0"):
        assert main(["evaluate", own_copy, "--on", "spoken", "--as", wrong]) == 1
        assert "does not fit" in capsys.readouterr().err
    assert main(["evaluate", own_copy, "--as", "nought=0"]) == 2
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", own_copy, "--on", "spoken", "--as", "nought"])
    assert ended.value.code == 2


def test_labels_count_as_they_are_now(own_copy, digits):
    run, few = open_run(own_copy), stored("few", digits.images[:40], digits.labels[:40])
    before = tasks.measure_elsewhere(run, "few")
    right = next(i for i in range(40) if few.classes[few.labels[i]] == "0")
    edit("few", Edit("relabel", (right,), "1"))
    edit("few", Edit("exclude", (next(i for i in range(40) if few.classes[few.labels[i]] == "5"),)))
    job = jobs.study_job("elsewhere", "few", run=run.name)
    network = load(run).network
    there = elsewhere.judge(network, open_dataset("few"), jobs.study_result(job))
    assert len(there.answers.labels) == before["images"] - 1
    assert there.answers.right.sum() <= before["accuracy"] * before["images"] - 1


def test_colour_and_size_are_made_to_fit(own_copy):
    rng = np.random.default_rng(0)
    stored("coloured", rng.integers(0, 256, (8, 30, 20, 3), np.uint8), ["0", "1"] * 4)
    assert tasks.measure_elsewhere(open_run(own_copy), "coloured")["images"] == 8


def test_a_set_without_any_of_its_classes_is_refused_with_the_way_out(own_copy):
    with pytest.raises(DatasetError, match=r"none of the classes that .* knows, which are 0, 1"):
        tasks.measure_elsewhere(open_run(own_copy), "shapes")


def test_on_the_command_line_and_in_python(own_copy, digits, tmp_path, capsys):
    for i in range(0, 60):
        place = tmp_path / "photos" / str(digits.labels[i])
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.png").write_bytes(to_png(digits.images[i]))
    found = load(own_copy).elsewhere(tmp_path / "photos")
    assert found["images"] == 60
    name = next(row.name for row in list_datasets() if row.kind == "imported")
    assert main(["evaluate", own_copy, "--on", name, "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["on"], said["accuracy"]) == (name, found["accuracy"])
    assert main(["evaluate", own_copy, "--on", name]) == 0
    assert f"pictures of {name} that it did not learn from" in capsys.readouterr().out
    assert main(["evaluate", own_copy, "--on", name, "--split", "test"]) == 2
    assert main(["evaluate", own_copy, "--on", str(tmp_path / "photos")]) == 2
    assert "is a place, not the name of a data set" in capsys.readouterr().err
    assert main(["evaluate", own_copy, "--on", "nothing"]) == 1
    assert "nothing" in capsys.readouterr().err
