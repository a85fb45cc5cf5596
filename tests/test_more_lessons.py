"""Lessons 8 to 12: every number is torch's or scikit-learn's, a photo tells what was planted in it, and an address is signed."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import Ridge
from streamlit.testing.v1 import AppTest
from test_pages import open_page, texts

from imgrec import models, privacy
from imgrec.data import open_dataset
from imgrec.data.dataset import LEFT_OUT
from imgrec.images import ImageError, open_image
from imgrec.language import speaking, tr
from imgrec.lessons import adversarial, fitting, history, invariance, transfer
from imgrec.lessons.convolution import KERNELS
from imgrec.lessons.quiz import QUESTIONS
from imgrec.recipe import Recipe
from imgrec.runs import open_run
from imgrec.train import Epoch, Training
from pages import sharing


@pytest.mark.parametrize("kind", invariance.CHANGES)
def test_a_change_by_nothing_leaves_the_picture_and_all_others_change_it(kind):
    change, picture = invariance.CHANGES[kind], open_dataset("shapes:count=60").images[3]
    changed = invariance.sweep(picture, kind)
    assert changed.shape == (len(change.values), *picture.shape)
    same = [bool((image == picture).all()) for image in changed]
    assert same == [value == change.none for value in change.values]


def test_turning_by_a_right_angle_is_turning_the_array_and_shifting_moves_the_columns():
    picture = open_dataset("shapes:count=60").images[3]
    assert (invariance.CHANGES["rotate"].apply(picture, 90) == np.rot90(picture)).mean() > 0.99
    moved = invariance.CHANGES["shift"].apply(picture, 0.25)
    assert (moved[:, 8:] == picture[:, :24]).all()
    assert (invariance.CHANGES["shift"].apply(picture, -0.25)[:, :24] == picture[:, 8:]).all()
    assert invariance.steady(np.array([[0.9, 0.1], [0.2, 0.8]]), 0) == 0.5


def test_the_first_pictures_of_a_file_are_not_taken_for_a_sample():
    """Those of `digits` come writer by writer: with the first ten of each class pixels do ten points worse than with any."""
    labels, splits = np.repeat(np.arange(2), 50), np.zeros(100, int)
    left = np.flatnonzero(fitting.fewer(labels, splits, 20, LEFT_OUT) == 0)
    assert left.max() > 60
    assert (labels[left] == 0).sum() == 10
    features = np.where(np.arange(100) % 50 < 10, 0.5, labels)[:, None]  # the first ten of each class look the same
    assert transfer.learned(features, labels, np.array([[0.0], [1.0]]), np.arange(2), 10) == 1.0


def test_what_a_network_knows_is_asked_without_what_training_does_to_pictures():
    recipe = Recipe(
        model="custom:dense 32,relu,dropout 0.5",
        epochs=8,
        augment="rotate=30,shift=0.2",
        label_smoothing=0.1,
        device="cpu",
    )
    training = Training(recipe, open_dataset("digits"))
    last = [event for event in training.fit() if isinstance(event, Epoch)][-1]
    images = training.pipeline.plain(training.train, torch.arange(len(training.train)))
    known = fitting.known(training.model, images, training.train.labels)
    assert known["train_accuracy"] > last.train_accuracy + 0.05
    assert known["train_loss"] < last.train_loss
    assert abs(known["train_accuracy"] - last.validation_accuracy) < 0.05


def test_fewer_pictures_are_of_all_classes_and_the_others_are_left_out():
    digits = open_dataset("digits")
    splits = fitting.fewer(digits.labels, digits.splits, 20, LEFT_OUT)
    assert np.bincount(digits.labels[splits == 0]).tolist() == [2] * 10
    assert (splits[digits.splits != 0] == digits.splits[digits.splits != 0]).all()


@pytest.mark.parametrize("count", [15, 200])
def test_the_new_last_layer_is_ridge_regression(count):
    """Both ways to solve it, for fewer and for more pictures than features, are scikit-learn's."""
    chance = np.random.default_rng(0)
    features, labels = chance.normal(size=(count, 40)) * 3 + 1, chance.integers(0, 4, count)
    weights, biases = transfer.head(features, labels, 4, 0.1)
    scaled = (features - features.mean(0)) / (features.std(0) + 1e-6)
    model = Ridge(alpha=0.1 * count).fit(scaled, np.eye(4)[labels])
    assert np.allclose(features @ weights + biases, model.predict(scaled), atol=1e-6)


def test_a_trained_network_learns_another_task_from_ten_pictures_better_than_pixels_do():
    from imgrec.predict import predictor

    shapes = open_dataset("shapes:count=900,difficulty=0.2")
    model = predictor("cifar10-fast").looking("one")
    train, test = shapes.indices("train"), shapes.indices("test")[:150]
    train = np.concatenate([train[shapes.labels[train] == label][:10] for label in range(len(shapes.classes))])
    labels, truth = shapes.labels[train], shapes.labels[test]
    pixels = (shapes.images[where].reshape(len(where), -1) / 255 for where in (train, test))
    a, b = pixels
    plain = transfer.learned(a, labels, b, truth, 10)
    moved = transfer.learned(
        model.features(shapes.images[train]), labels, model.features(shapes.images[test]), truth, 10
    )
    assert moved > plain + 0.3


def test_the_nudge_is_the_sign_of_torchs_gradient_and_makes_the_loss_grow():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    images, labels = torch.rand(3, 3, 4, 4), torch.tensor([0, 1, 2])
    given = images.clone().requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(network(given), labels)
    loss.backward()
    with torch.inference_mode():
        direction = adversarial.nudge(network, images.clone(), labels)
    assert torch.equal(direction, given.grad.sign())
    moved = adversarial.nudged(images, direction, 0.1)
    assert torch.nn.functional.cross_entropy(network(moved), labels) > loss
    assert float((moved - images).abs().max()) <= 0.1 + 1e-6
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1


def photo(place=True, orientation=6, format="JPEG"):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Camera \x00 1" + "x" * 200, orientation
    exif.get_ifd(0x8769)[0x9003] = "2026:11:21 10:00:00"
    if place:
        gps = exif.get_ifd(0x8825)
        gps[1], gps[2], gps[3], gps[4] = "S", (33.0, 51.0, 24.0), "E", (151.0, 12.0, 36.0)
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(
        file, format, exif=exif.tobytes()
    )
    return file.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "HEIF"])
def test_what_was_planted_in_a_photo_is_told_and_then_gone(format):
    told = privacy.told_by(photo(format=format))
    assert told["Place"] == "-33.85667, 151.21000"
    assert told["Camera maker"] == "Maker"
    assert told["Taken at"] == "2026:11:21 10:00:00"
    assert len(told["Camera model"]) == 100
    bare, ending = privacy.stripped(photo(format=format))
    assert ending == "jpg"
    assert privacy.told_by(bare) == {}
    with Image.open(io.BytesIO(bare)) as image:
        assert image.size == (40, 60)  # upright
        assert not image.getexif()
        assert "exif" not in image.info


@pytest.mark.parametrize(
    "gps", [{2: (1.0, 2.0)}, {2: ("x", 0, 0), 4: (1, 1, 1)}, {1: "N", 2: (99.0, 0, 0), 4: (1.0, 0, 0)}]
)
def test_a_place_that_makes_no_sense_is_no_place(gps):
    assert privacy._place(gps) is None


def test_what_is_no_photo_is_refused_by_name():
    for read in (privacy.told_by, privacy.stripped):
        with pytest.raises(ImageError, match="notes"):
            read(b"no picture", "notes.txt")


def test_an_address_holds_what_was_set_and_a_forged_one_is_refused(workspace):
    text = sharing.packed({"stride": 2, "kernel_name": "Blur", "shown": ["a", "b"]}, ["stride"])
    assert sharing.unpacked(text) == ({"stride": 2, "kernel_name": "Blur", "shown": ["a", "b"]}, ["stride"])
    assert (workspace / ".secret").stat().st_mode & 0o077 == 0
    for forged in ("", "x", text[:-3] + "abc", "A" * 5000, "é" * 20, text[2:]):
        assert sharing.unpacked(forged) is None


def test_a_lessons_address_brings_back_its_settings_and_leaves_controls_out():
    """Row 23 of the goals: a URL restores page, data, model and settings and hides named controls."""
    first = open_page("learn_convolution.py", share_lesson=True)
    first.slider(key="stride").set_value(3).run()
    first.selectbox(key="kernel_name").set_value("Emboss").run()
    first.multiselect(key="hide_controls").set_value(["stride"]).run()
    address = next(block.value for block in first.code if "state=" in block.value)
    given = address.partition("state=")[2]
    second = open_page("learn_convolution.py", {"state": given})
    assert not second.exception
    assert (second.slider(key="stride").value, second.selectbox(key="kernel_name").value) == (3, "Emboss")
    assert any(".st-key-stride" in str(element.proto) for element in second.get("html"))
    forged = open_page("learn_convolution.py", {"state": given[:-4] + "AAAA"})
    assert not forged.exception
    assert "not made by this server" in forged.warning[0].value
    assert forged.slider(key="stride").value == 1


def test_an_edited_kernel_travels_with_the_lesson_and_pupils_get_no_answers():
    cells = [0.0, 0, 0, 0, 0.5, 0, 0, 0, 0]
    values = {"kernel_name": "Blur", "kernel_cells Blur": cells, "relu": False}
    test = open_page(
        "learn_convolution.py", {"state": sharing.packed(values, ["kernel_cells Blur"])}, share_lesson=True
    )
    assert not test.exception
    assert test.session_state["kernel_cells Blur"] == cells
    assert any("st-key-kernel_cells-Blur" in str(element.proto) for element in test.get("html"))
    assert {"Numbers of the kernel", "Then ReLU: what is below zero becomes zero"} <= set(
        test.multiselect(key="hide_controls").options
    )
    assert not any(box.label == "For teachers" for box in test.expander)
    test.button(key="kernel_back").click().run()
    assert test.session_state["kernel_cells Blur"] == pytest.approx(KERNELS["Blur"].flatten())
    assert any(box.label == "For teachers" for box in open_page("learn_convolution.py").expander)


@pytest.mark.parametrize("page", [f"{asked.lesson}.py" for asked in QUESTIONS.values()])
def test_every_control_of_a_lesson_can_be_shared_under_its_name(page):
    test = open_page(page, share_lesson=True)
    names = test.multiselect(key="hide_controls").options
    assert names
    assert all(name == "x" or name[0].isupper() for name in names), names  # a key would be in small letters
    for control in (*test.slider, *test.select_slider, *test.selectbox, *test.toggle, *test.multiselect):
        assert sharing.LABELS.get(control.key, control.label) == control.label
    given = next(block.value for block in test.code if "state=" in block.value).partition("state=")[2]
    again = open_page(page, {"state": given})
    assert not again.exception
    assert not again.warning


@pytest.mark.parametrize(
    ("settings", "tables"),
    [({"in_colour": True, "dilation": 3, "stride": 2}, 9), ({"kernel_name": "Learned by a network", "kernel_run": "digits-seed-cnn"}, 3),
     ({"kernel_name": "Learned by a network", "kernel_run": "cifar10-fast", "dilation": 2, "padding": 0}, 9)],
)  # fmt: skip
def test_one_number_of_a_convolution_is_followed_in_every_channel(settings, tables):
    test = open_page("learn_convolution.py", **settings)
    assert not test.exception
    written = [element.proto.body for element in test.get("html") if "<table" in element.proto.body]
    shown = [np.array(re.findall(r">(-?[\d.]+)</td>", table), float) for table in written]
    assert len(shown) == tables
    told = next(block.value for block in test.markdown if "Their sum" in block.value)
    total = float(re.search(r"\*\*(-?[\d.]+)\*\*", told)[1])
    products = sum((seen * kernel).sum() for seen, kernel in zip(shown[::3], shown[1::3], strict=True))
    assert total == pytest.approx(products, abs=0.02 * tables)
    assert total == pytest.approx(sum(product.sum() for product in shown[2::3]), abs=0.02 * tables)


@pytest.mark.parametrize("lesson", ["learn_invariance.py", "learn_transfer.py", "learn_convolution.py"])
def test_a_second_network_that_cannot_be_read_is_said_and_breaks_no_lesson(lesson, own_copy):
    """A run beside the one that is looked at may be damaged; which one it is, and why, is said."""
    run = open_run(own_copy)
    run.file("best.safetensors").write_bytes(b"")
    chosen = {"kernel_name": "Learned by a network", "kernel_run": run.name} | {"invariance_other": run.name}
    test = open_page(lesson, **chosen, transfer_run=run.name, dataset="shapes", run="digits-seed-cnn")
    assert not test.exception
    assert "cannot be read as weights" in test.error[0].value


def test_what_is_no_convolution_is_said_to_be_none(monkeypatch):
    monkeypatch.setattr("imgrec.snapshots.first_filters", lambda model: None)
    test = open_page("learn_convolution.py", kernel_name="Learned by a network", kernel_run="digits-seed-cnn")
    assert not test.exception
    assert "no convolution" in test.info[0].value


def test_a_window_larger_than_the_picture_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr("imgrec.snapshots.first_filters", lambda model: np.ones((4, 11, 11, 3), np.float32))
    learned = {"kernel_name": "Learned by a network", "kernel_run": "cifar10-fast"}
    assert "31 × 31" in open_page("learn_convolution.py", **learned, dilation=3).info[0].value
    for dilation in (1, 2):
        test = open_page("learn_convolution.py", **learned, dilation=dilation, stride=3)
        assert not test.exception
        assert not test.info


def test_softmax_regression_fails_on_shapes_where_a_cnn_does_not():
    test = open_page("learn_softmax.py", softmax_score=4)
    assert not test.exception
    told = [re.search(r"\*\*: ([\d.]+)%", block.value) for block in test.markdown]
    plain, cnn = [float(found[1]) for found in told if found]
    assert plain < 40
    assert cnn > 95
    assert "the score of 4 is" in texts(test)


def test_two_trainings_stand_side_by_side_and_the_one_with_more_pictures_knows_more():
    test = open_page("learn_fitting.py", fit_count_A=10, fit_count_B=200)
    shares = [float(metric.value.rstrip("%")) for metric in test.metric if metric.label == "Knows others"]
    assert shares[0] + 10 < shares[1]
    assert "Overfitting" in texts(test)


def test_a_nudge_changes_the_answer_of_the_network_that_comes_with_imgrec():
    test = open_page("learn_trust.py", {"run": "cifar10-fast"}, trust_strength=24)
    assert not test.exception
    assert "Fooled" in texts(test)


def test_its_reasons_are_shown_beside_those_of_a_network_that_has_learned_nothing():
    test = open_page("learn_trust.py", {"run": "shapes-seed-cnn"})
    assert not test.exception
    told = [re.search(r": ([\d.]+)%\. With the hottest fifth covered ([\d.]+)%", block.value) for block in test.caption]
    (sure, covered), (guess, _) = [tuple(map(float, found.groups())) for found in told if found]
    assert sure > 90
    assert covered < sure - 20
    assert guess < 40


def test_no_answer_for_teachers_is_slanted_in_chinese():
    with speaking("zh_CN"):
        assert "*" not in tr("{asked} *{answer}*", asked="为什么？", answer="因为。")


def test_a_worksheet_has_the_questions_and_the_answers_on_a_page_of_their_own():
    from pages.teaching import worksheet

    page = worksheet("A <b>title</b>", (("Why?", "Because & so"),))
    assert "A &lt;b&gt;title" in page
    assert page.index("Why?") < page.index("class=answers") < page.index("Because")
    assert "Because &amp; so" in page


def test_what_came_before_networks_says_of_points_what_it_should():
    seen, kind = history.points(False)
    asked = np.random.default_rng(0).uniform(-2, 2, (200, 2))
    nearest = torch.cdist(torch.from_numpy(asked), torch.from_numpy(seen)).argmin(1).numpy()
    assert np.array_equal(history.says(history.NEAREST, seen, kind, asked), kind[nearest])
    assert (history.says(history.NEAREST, seen, kind, seen) == kind).all()  # it knows them by heart
    steps = np.stack([np.linspace(-2, 2, 50), np.zeros(50)], 1)
    assert np.abs(np.diff(history.says(history.MACHINE, seen, kind, steps))).sum() == 1  # one straight border


def right_of_new(method, seed=3, crosswise=False):
    (seen, kind), (new, theirs) = history.points(crosswise, seed), history.points(crosswise, seed + 1000, 1000)
    return (history.says(method, seen, kind, new) == theirs).mean()


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_rules_by_hand_are_clearly_worst_and_the_widest_gap_is_best(seed):
    """Of other draws than the one that is shown, too; the heaps lean so that no single measurement suffices."""
    right = {name: right_of_new(name, seed) for name in (history.RULES, history.NEAREST, history.TREE, history.MACHINE)}
    assert right[history.RULES] < min(right[history.NEAREST], right[history.TREE]) - 0.03
    assert right[history.MACHINE] > max(right[history.NEAREST], right[history.TREE])


@pytest.mark.parametrize("seed", range(3, 9))
def test_the_perceptron_fails_at_heaps_laid_crosswise_and_two_layers_do_not(seed):
    assert right_of_new(history.PERCEPTRON, seed, crosswise=True) < 0.75
    assert right_of_new(history.BACKPROPAGATION, seed, crosswise=True) > 0.9
    assert right_of_new(history.PERCEPTRON, seed) > right_of_new(history.RULES, seed)  # on the same heaps


def test_no_straight_line_parts_heaps_laid_crosswise():
    """So it is not for want of training; two measurements, and any weights and threshold."""
    new, kind = history.points(True, 11, 1000)
    angles, borders = np.linspace(0, 2 * np.pi, 72), np.linspace(-2.5, 2.5, 51)
    sums = new @ np.stack([np.cos(angles), np.sin(angles)])  # (1000, 72)
    right = ((sums[..., None] > borders) == (kind == 1)[:, None, None]).mean(0)
    assert 0.7 < right.max() < 0.8  # three heaps of four


def test_the_perceptron_finds_a_straight_line_where_there_is_one():
    points = np.random.default_rng(0).uniform(-2, 2, (80, 2))
    sums = points @ [1, 0.5]
    points, kind = points[abs(sums) > 0.3], (sums[abs(sums) > 0.3] > 0).astype(int)
    assert (history.says(history.PERCEPTRON, points, kind, points) == kind).all()


def test_its_two_layers_learn_what_they_learn_by_torchs_gradients():
    """All steps of the backpropagation that is written by hand, once more by autograd: the same border."""
    seen, kind = history.points(True)
    draws = np.random.default_rng(0)
    first, last = (torch.tensor(draws.normal(size=size), requires_grad=True) for size in ((3, history.HIDDEN), history.HIDDEN + 1))  # fmt: skip

    def sums(points):
        return torch.sigmoid(torch.from_numpy(points) @ first[:2] + first[2]) @ last[:-1] + last[-1]

    learner = torch.optim.SGD([first, last], history.RATE)
    for _ in range(history.STEPS):
        learner.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(sums(seen), torch.from_numpy(kind).double()).backward()
        learner.step()
    asked = np.random.default_rng(1).uniform(-2, 2, (500, 2))
    border = (sums(asked) > 0).numpy()
    assert 0.3 < border.mean() < 0.7
    assert np.array_equal(history.says(history.BACKPROPAGATION, seen, kind, asked), border)


def test_the_history_is_in_order_and_each_of_its_papers_is_named():
    years = [step.year for step in history.MILESTONES]
    assert years == sorted(years)
    assert {step.title for step in history.MILESTONES if not step.network} == set(history.METHODS)
    for step in history.MILESTONES:
        assert step.paper or models.card(step.network).paper
        assert not step.network or (step.sketch or step.network) in history.SKETCHES


@pytest.mark.parametrize("number", range(len(history.MILESTONES)))
def test_every_step_of_the_history_is_drawn_and_its_figures_say_what_they_are_for(number):
    test, step = open_page("learn_history.py", history_year=number), history.MILESTONES[number]
    assert not test.exception
    assert len(test.get("plotly_chart")) >= 2  # beside the one of all on the same pictures
    captions = " ".join(caption.value for caption in test.caption)
    assert "Source: " in captions
    assert (": 10 classes, 224 px; " in captions or ": 10 classes, 32 px." in captions) == bool(step.network)
    assert bool(test.metric) == bool(step.network)


def test_the_figures_of_the_history_are_those_that_teachers_know():
    titles = [step.title for step in history.MILESTONES]
    for title, variant, weights in (("AlexNet", "AlexNet in one column", "61,100,840"), ("VGG", "VGG-11 with batch norm: 10 classes", "132,868,840"),
                                    ("ResNet", "ResNet-18: 10 classes", "11,689,512"), ("SENet", "SE-ResNet-18: 10 classes", "11,778,592")):  # fmt: skip
        said = texts(open_page("learn_history.py", history_year=titles.index(title)))
        assert variant in said
        assert weights in said
    assert "convolution whose stride is its kernel size" in texts(open_page("learn_history.py", history_year=titles.index("Vision transformer")))  # fmt: skip


def test_what_the_plan_asks_of_the_history_is_so():
    found = {}
    for name in ("alexnet", "resnet18"):
        rows = [row for row in models.layers(name, 10, 3, 224) if row["layer"] in ("Conv2d", "Linear")]
        dense = sum(row["parameters"] for row in rows if row["layer"] == "Linear")
        found[name] = len(rows), models.parameters(name, 10, 3, 224), dense
    (few, heavy, dense), (many, light, small) = found["alexnet"], found["resnet18"]
    assert many > few
    assert light / heavy == pytest.approx(0.2, abs=0.01)  # a fifth
    assert dense / heavy > 0.9
    assert small / light < 0.01


def test_the_right_answer_has_no_favourite_place():
    places = [asked.right for asked in QUESTIONS.values()]
    assert all(places.count(place) <= len(places) / 2 for place in range(3))


def test_every_question_has_one_right_answer_and_a_lesson_of_its_own():
    for asked in QUESTIONS.values():
        assert 0 <= asked.right < len(asked.options) == len(set(asked.options))
        assert (Path(__file__).parent.parent / "pages" / f"{asked.lesson}.py").exists()
    assert len({asked.lesson for asked in QUESTIONS.values()}) == len(QUESTIONS) == 12


@pytest.mark.parametrize("mode", ["sixteen", "palette", "gif", "rgb", "grey", "alpha"])
def test_a_photo_without_what_it_tells_has_the_pixels_that_the_gate_sees(mode):
    file = io.BytesIO()
    if mode == "sixteen":
        Image.fromarray(np.linspace(0, 65535, 4096).reshape(64, 64).astype(np.uint16)).save(file, "PNG")
    elif mode in ("palette", "gif"):
        image = Image.new("P", (8, 8), 0)
        image.putpalette([0, 0, 0, 255, 0, 0] + [0] * 762)
        image.putpixel((0, 0), 1)
        image.save(file, "PNG" if mode == "palette" else "GIF", transparency=0)
    elif mode == "alpha":
        Image.new("RGBA", (8, 8), (10, 20, 30, 60)).save(file, "PNG")
    else:
        colour = (1, 2, 3) if mode == "rgb" else 5
        Image.new("RGB" if mode == "rgb" else "L", (8, 8), colour).save(file, "PNG", transparency=colour)
    bare, ending = privacy.stripped(file.getvalue())
    assert ending == "png"
    assert np.array_equal(np.asarray(open_image(bare)), np.asarray(open_image(file.getvalue())))


def test_a_shared_lesson_carries_nothing_of_other_pages():
    state = {"collect_code": "abc234", "teach_dataset": "my-pets", "runs_find": "secret", "map_method": "tsne", "vary": ["seed"],
             "entered": True, "recipe_epochs": 3, "pool_row 3": 1, "stride": 2, "network_epoch r 3": 4, "racers": ["a"]}  # fmt: skip
    script = "import streamlit as st\nfrom pages import sharing\n"
    script += f"st.session_state.update({state!r})\nst.json(sharing.settings())"
    test = AppTest.from_string(script).run()
    assert json.loads(test.json[0].value) == {"pool_row 3": 1, "stride": 2, "network_epoch r 3": 4, "racers": ["a"]}
