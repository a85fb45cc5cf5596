"""Studies: what a page cannot wait for is done in a process of its own, written down, cancelled, and known to be stale."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import wait_for

from imgrec import background, embedding, jobs, tasks
from imgrec.data import DatasetError, Edit, Item, edit, import_dataset, open_dataset
from imgrec.data.health import Measures, measure
from imgrec.images import to_png
from imgrec.jobs import Cancelled
from imgrec.learner import fit
from imgrec.predict import predictor


@pytest.fixture
def mine():
    """Two hundred digits, stored; forty of them wait for a label."""
    digits = open_dataset("digits")
    items = [
        Item(f"{i:03d}.png", to_png(digits.images[i]), str(digits.labels[i]), "unlabelled" if i >= 160 else None)
        for i in range(200)
    ]
    import_dataset(items, "mine")
    return "mine"


def test_a_study_is_written_down_and_read_again(mine):
    found = tasks.work_study("suspects", mine)
    job = background.study_job("suspects", mine)
    assert (job.status, job.state["progress"]) == ("finished", 1.0)
    again = background.study_result(job)
    assert again.keys() == found.keys()
    assert all(np.array_equal(again[key], found[key]) for key in found)
    assert sorted(found["positions"]) == list(range(160))


def test_a_study_can_be_cancelled(mine):
    with pytest.raises(Cancelled):
        tasks.work_study("suspects", mine, lambda share: background.study_job("suspects", mine).ask("stop"))
    assert background.study_job("suspects", mine).status == "stopped"
    assert background.study_result(background.study_job("suspects", mine)) == {}


def test_a_study_that_fails_says_why(mine):
    with pytest.raises(ValueError, match="no run named"):
        tasks.work_study("proposals", mine, run="nothing")
    job = background.study_job("proposals", mine, run="nothing")
    assert job.status == "failed"
    assert "no run named" in job.state["error"]


def test_a_study_runs_in_a_process_of_its_own_and_stops_when_asked():
    job = background.start_study("odd", "digits")
    assert background.start_study("odd", "digits").path == job.path  # under way already
    wait_for(lambda: job.status == "finished")
    measures = Measures(**background.study_result(job))
    assert np.array_equal(measures.brightness, measure(open_dataset("digits")).brightness)
    slow = background.start_study("suspects", "shapes")
    wait_for(lambda: slow.state.get("progress", 0) > 0)
    slow.ask("stop")
    wait_for(lambda: slow.status == "stopped", 5)


def test_a_result_stays_valid_after_an_edit_and_not_after_new_pictures(mine):
    tasks.work_study("odd", mine)
    edit(mine, Edit("exclude", (0,)))
    assert len(background.study_result(background.study_job("odd", mine))["brightness"]) == 200
    import_dataset([Item("new.png", to_png(np.zeros((8, 8, 3), np.uint8)), "0")], mine, adding=True)
    assert background.study_result(background.study_job("odd", mine)) == {}


def test_a_network_proposes_labels_for_what_waits(mine):
    found = tasks.work_study("proposals", mine, run="digits-seed-cnn")
    dataset, truth = open_dataset(mine), open_dataset("digits").labels
    order = [int(dataset.files[p].removesuffix(".png")) for p in found["positions"]]
    assert sorted(order) == list(range(160, 200))
    assert np.mean(found["names"].astype(int) == truth[order]) > 0.95
    expected = predictor("digits-seed-cnn").probabilities(dataset.images[found["positions"]])
    assert np.allclose(found["confidence"], expected.max(1), atol=1e-5)
    assert (found["second"] != found["names"]).all()
    edit(mine, Edit("exclude", tuple(dataset.unlabelled.tolist())))
    with pytest.raises(DatasetError, match="nothing to propose"):
        tasks.work_study("proposals", mine, run="digits-seed-cnn")


def test_labels_are_proposed_as_the_classes_are_called_by_now(mine):
    run = fit(mine, model="softmax-regression", epochs=1, device="cpu").run
    for name in "0123456789":
        edit(mine, Edit("rename", value=f"digit {name}", old=name))
    found = tasks.work_study("proposals", mine, run=run.name)
    assert {*found["names"], *found["second"]} <= set(open_dataset(mine).classes)


# Maps


def clusters(each=40):
    generator = np.random.default_rng(0)
    return np.concatenate([generator.normal(m, 0.05, (each, 12)) for m in (0, 1, 2)]).astype(np.float32)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_map_keeps_together_what_is_alike(method):
    points = embedding.place(method, clusters())
    assert (points.min(), points.max()) == (0, 1)
    centres = points.reshape(3, -1, 2).mean(1)
    spread = np.linalg.norm(points.reshape(3, -1, 2) - centres[:, None], axis=2).max()
    distance = min(np.linalg.norm(centres[i] - centres[j]) for i in range(3) for j in range(i))
    assert distance > spread
    assert np.array_equal(points, embedding.place(method, clusters()))


def test_two_components_come_even_from_one_feature_and_three_pictures_are_too_few():
    assert embedding.place("pca", np.arange(5, dtype=np.float32)[:, None]).shape == (5, 2)
    with pytest.raises(DatasetError, match="at least 4"):
        embedding.place("pca", np.zeros((3, 8), np.float32))


def test_umap_says_how_to_install_it_and_is_used_when_it_is_there(monkeypatch):
    monkeypatch.setattr(embedding.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DatasetError, match="pip install umap-learn"):
        embedding.place("umap", clusters())
    monkeypatch.setattr(embedding.importlib.util, "find_spec", lambda name: True)
    fake = SimpleNamespace(
        UMAP=lambda **options: SimpleNamespace(fit_transform=lambda x: x[:, :2] * options["n_neighbors"])
    )
    monkeypatch.setitem(sys.modules, "umap", fake)
    assert embedding.place("umap", clusters()).shape == (120, 2)


def test_shrunk_pictures_are_the_means_of_areas():
    digits, shapes = open_dataset("digits"), open_dataset("shapes")
    assert np.allclose(digits.shrunk(np.arange(3), embedding.SIDE), digits.images[:3].reshape(3, -1) / 255)
    expected = shapes.images[:2].reshape(2, 16, 2, 16, 2, 3).mean((2, 4)).reshape(2, -1) / 255
    assert np.allclose(shapes.shrunk(np.arange(2), embedding.SIDE), expected, atol=1e-6)


def test_a_map_by_a_run_uses_what_its_last_layer_sees(mine):
    found = tasks.work_study("map", mine, method="tsne", run="digits-seed-cnn")
    assert len(found["positions"]) == len(found["points"]) == 200
    network, pictures = predictor("digits-seed-cnn"), open_dataset("digits").images[:5]
    features = network.features(pictures)
    last = [m for m in network.model.modules() if hasattr(m, "in_features")][-1]
    logits = features @ last.weight.numpy().T + last.bias.numpy()
    assert np.allclose(logits, network.logits(pictures).numpy(), atol=1e-4)
    edit(mine, Edit("exclude", (3,)))
    assert 3 not in tasks.work_study("map", mine, method="tsne")["positions"]


def test_a_cancel_before_its_process_is_up_is_heeded(mine, monkeypatch):
    monkeypatch.setattr(jobs, "launch", lambda *_, **__: None)
    job = background.start_study("suspects", mine)
    job.ask("stop")
    with pytest.raises(Cancelled):
        tasks.work_study("suspects", mine, process=True)
    assert job.status == "stopped"
