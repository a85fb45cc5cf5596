"""A network on pictures from elsewhere: which classes are the same, which pictures it never saw, what the difference means."""

import json

import numpy as np
import pytest

from imgrec import background, elsewhere, tasks, trainings, worker
from imgrec.__main__ import main
from imgrec.data import (
    DatasetError,
    Item,
    delete_dataset,
    edit,
    export_dataset,
    import_dataset,
    list_datasets,
    open_dataset,
)
from imgrec.data.edits import Edit
from imgrec.evaluate import Answers
from imgrec.images import to_png
from imgrec.language import speaking
from imgrec.learner import load
from imgrec.recipe import Recipe
from imgrec.renaming import names_by_now
from imgrec.runs import create_run, delete_run, open_run

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
        (("0", "1", "2"), ("-1", "1"), [-1, 1]),
        (("+", "-"), ("_", "+"), [-1, 0]),
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


def alike(digits):
    """The digits in files of their own: no pixel is quite black."""
    return np.maximum(digits.images, 1)


def learner_of(name, weights="none"):
    """A run that says it learned from a data set as it is now."""
    run = create_run(Recipe(dataset=name, weights=weights))
    run.write("about.json", {"fingerprint": open_dataset(name).fingerprint})
    run.update(phase="stopped")
    return run


def left(dataset, run):
    positions, gone = elsewhere.unseen(open_dataset(dataset), run)
    return positions.tolist(), gone


def test_what_was_learned_from_is_left_out_also_by_what_it_began_with(digits):
    stored("learned", digits.images[:60], digits.labels[:60], [*["train"] * 50, *["validation"] * 9, "test"])
    stored("both", digits.images[40:100], digits.labels[40:100])
    run = learner_of("learned")
    assert left("both", run) == (list(range(19, 60)), ())
    stored("more", digits.images[90:120], digits.labels[90:120], [*["train"] * 28, "validation", "test"])
    further = learner_of("more", run.name)
    assert left("both", further) == (list(range(19, 50)), ())
    assert left("learned", further) == ([59], ())
    edit("learned", Edit("exclude", tuple(range(45))))  # what it learned from it has learned all the same
    edit("learned", Edit("move", (46, 47), "test"))
    answered = Answers("test", ("0",), np.array([59]), np.array([0]), np.zeros((1, 1), np.float32))
    answered.save(run.file("test.npz"), "as it was")
    assert left("both", run) == (list(range(19, 60)), ())
    delete_dataset("learned")
    assert left("both", further) == (list(range(50)), ("learned",))
    delete_run(run)
    assert left("both", further) == (list(range(50)), ())


def test_a_training_ends_well_although_the_run_it_began_with_is_damaged_by_then(own_copy, digits):
    run = trainings.enqueue(Recipe(epochs=1, weights=own_copy, device="cpu"))
    open_run(own_copy).file("recipe.json").write_text("{ damaged")
    for _ in worker.work(run):
        pass
    assert run.status == "finished"
    assert elsewhere.unseen(digits, run)[1] == (own_copy,)


def test_drawn_shapes_of_one_seed_are_the_same_and_a_copy_of_what_is_built_in_is_known(digits, tmp_path):
    run, drawn = learner_of("shapes:count=120,size=48"), open_dataset("shapes:count=120,size=48")
    free = set(drawn.indices("test").tolist())
    assert set(left("shapes:count=120,size=32", run)[0]) == free
    assert set(left("shapes:count=180", run)[0]) == free | set(range(120, 180))
    assert len(left("shapes:count=120,seed=1", run)[0]) == 120
    export_dataset("digits", tmp_path / "copy.zip")
    import_dataset(tmp_path / "copy.zip", "copy")
    assert len(left("copy", learner_of("digits"))[0]) == len(digits.indices("test"))
    assert len(left("copy", run)[0]) == len(digits)


def test_what_it_can_be_compared_by_is_drawn_before_strangers(own_copy, digits, monkeypatch):
    monkeypatch.setattr(elsewhere, "MOST", 20)
    monkeypatch.setattr(elsewhere, "STRANGERS", 5)
    test = digits.indices("test")[:70]
    noise = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1), np.uint8)
    stored("rare", [*digits.images[test], *noise], [*digits.labels[test], *["noise"] * 200])
    found = tasks.measure_elsewhere(open_run(own_copy), "rare")
    assert (found["images"], found["drawn_from"], found["strangers"]) == (20, 70, 5)


def test_another_mix_of_classes_is_no_other_skill():
    """Recalls of 1.0 and 0.5 are 95 % of nine to one, and 55 % of one to nine."""
    own = {"a": {"recall": 1.0, "support": 900}, "b": {"recall": 0.5, "support": 100}}
    labels = np.repeat([0, 1], [100, 900])
    said = np.where((labels == 1) & (np.arange(1000) % 2 == 0), 0, labels)
    given = Answers("elsewhere", ("a", "b"), np.arange(1000), labels, np.eye(2, dtype=np.float32)[said])
    found = elsewhere.summary(elsewhere.Elsewhere(given, 1000, (), 0, None, None, 0, ()), own)
    assert found["accuracy"] == found["own_accuracy"] == pytest.approx(0.55)
    low, high = found["difference_interval"]
    assert low < -0.05 < 0.05 < high  # of b there were only a hundred
    assert elsewhere.standardised([(1, own["a"])])[1] == pytest.approx(900, rel=0.01)
    assert elsewhere.standardised([(900, own["a"]), (100, own["b"])])[1] == pytest.approx(1800, rel=0.2)


def test_a_network_is_told_apart_from_itself_at_home(own_copy, digits):
    run, test = open_run(own_copy), digits.indices("test")
    same = stored("same", digits.images[test], digits.labels[test])
    found = tasks.measure_elsewhere(run, same.name)
    own = run.read("evaluation.json")
    assert (found["images"], found["accuracy"]) == (own["images"], own["accuracy"])
    assert (found["own_accuracy"], found["difference"]) == (pytest.approx(own["accuracy"]), pytest.approx(0))
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
    stored("mixed", [*alike(digits)[:40], *noise], labels)
    found = tasks.measure_elsewhere(open_run(own_copy), "mixed")
    assert (found["images"], found["strangers"], found["other_classes"]) == (40, 30, ["noise"])
    assert found["strangers_noticed"] > 0.9
    assert found["own_images"] == open_run(own_copy).read("evaluation.json")["images"]


def test_a_class_of_another_name_can_be_said_to_be_the_same(own_copy, digits, capsys):
    names = ["nought" if label == 0 else str(label) for label in digits.labels[:40]]
    stored("spoken", alike(digits)[:40], names)
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
    assert main(["evaluate", own_copy, "--on", "spoken", "--as", "nought"]) == 1


def test_a_class_may_have_commas_and_signs_in_its_name():
    texts = ["salt, pepper=0", "a=b=1", " car = automobile "]
    assert elsewhere.pairs(texts, ("a=b", "car")) == {"salt, pepper": "0", "a=b": "1", "car": "automobile"}
    assert elsewhere.pairs(["a=b=1"], ()) == {"a": "b=1"}


def test_labels_count_as_they_are_now(own_copy, digits):
    run, few = open_run(own_copy), stored("few", alike(digits)[:40], digits.labels[:40])
    before = tasks.measure_elsewhere(run, "few")
    right = next(i for i in range(40) if few.classes[few.labels[i]] == "0")
    edit("few", Edit("relabel", (right,), "1"))
    edit("few", Edit("exclude", (next(i for i in range(40) if few.classes[few.labels[i]] == "5"),)))
    job = background.study_job("elsewhere", "few", run=run.name)
    network = load(run).network
    there = elsewhere.judge(network, open_dataset("few"), background.study_result(job))
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
        (place / f"{i}.png").write_bytes(to_png(alike(digits)[i]))
    found = load(own_copy).elsewhere(tmp_path / "photos")
    assert found["images"] == 60
    name = next(row.name for row in list_datasets() if row.kind == "imported")
    assert main(["evaluate", own_copy, "--on", name, "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["on"], said["accuracy"]) == (name, found["accuracy"])
    assert main(["evaluate", own_copy, "--on", name]) == 0
    assert f"pictures of {name} that it did not learn from" in capsys.readouterr().out
    assert main(["evaluate", own_copy, "--on", name, "--split", "test"]) == 2
    assert main(["evaluate", own_copy, "--on", str(tmp_path / "photos"), "--json"]) == 0  # the set that it is already
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["on"] == name
    assert main(["evaluate", own_copy, "--on", "nothing"]) == 1
    assert "nothing" in capsys.readouterr().err


@pytest.fixture
def learned_pets(tmp_path):
    """A set of two kinds of pets, and a run that learned from it."""
    digits = open_dataset("digits")
    chosen = np.flatnonzero(digits.labels < 2)[:120].tolist()
    items = [Item(f"{i:03}.png", to_png(digits.images[i]), ("cat", "dog")[digits.labels[i]]) for i in chosen]
    import_dataset(items, "pets")
    run = trainings.enqueue(Recipe(dataset="pets", epochs=1, device="cpu"))
    for _ in worker.work(run):
        pass
    return run


def test_another_set_of_that_name_gives_a_run_no_names(learned_pets):
    delete_dataset("pets")
    digits = open_dataset("digits")
    chosen = np.flatnonzero(digits.labels > 7)[:120].tolist()
    import_dataset([Item(f"{i:03}.png", to_png(digits.images[i]), ("apple", "pear")[i % 2]) for i in chosen], "pets")
    assert names_by_now(learned_pets) == ("cat", "dog")


def test_pictures_moved_into_the_test_were_learned_from(learned_pets):
    pets = open_dataset("pets")
    moved = pets.indices("train")[:7].tolist()
    edit("pets", Edit("move", tuple(moved), "test"))
    assert elsewhere.learned_before(learned_pets, open_dataset("pets")).tolist() == moved


def test_what_a_run_before_learned_from_is_known_when_that_is_gone(learned_pets):
    pets = open_dataset("pets")
    train = [Item(f"new{i}.png", to_png(pets.images[i]), pets.classes[pets.labels[i]]) for i in pets.indices("train")]
    import_dataset(train, "again")
    further = trainings.enqueue(Recipe(dataset="again", epochs=1, weights=learned_pets.name, device="cpu"))
    for _ in worker.work(further):
        pass
    test = open_dataset("again").indices("test")
    for gone in (lambda: None, lambda: delete_run(learned_pets), lambda: delete_dataset("pets")):
        gone()
        assert elsewhere.learned_before(further, open_dataset("again")).tolist() == test.tolist()
