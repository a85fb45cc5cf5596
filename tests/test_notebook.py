"""A run as a notebook: valid, safe whatever the names hold, and it reaches what the run reached."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from imgrec import trainings, worker
from imgrec.home import home
from imgrec.notebook import as_notebook, as_script, cells
from imgrec.recipe import Recipe
from imgrec.runs import RunError, create_run
from imgrec.train import Step

ROOT = Path(__file__).parent.parent


def carried_out(run):
    for _ in worker.work(run):
        pass
    return run


def code(run):
    """The code of a run's notebook, as Jupyter would find it in the file."""
    content = json.loads(as_notebook(run))
    return "\n".join("".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code")


def said(text, tmp_path):
    """What a Python program prints, beside imgrec as the notebook asks for."""
    path = tmp_path / "again.py"
    path.write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "IMGREC_HOME": str(home())},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", [code, as_script])
def test_it_trains_again_and_reaches_the_same_to_the_last_picture(form, tmp_path):
    recipe = Recipe(
        model="softmax-regression", epochs=3, augment="rotate=10,shift=0.1", average=0.9, seed=4, device="cpu"
    )
    run = carried_out(trainings.enqueue(recipe))
    assert run.read("evaluation.json")["accuracy"] > 0.5
    assert "the same to the last picture" in said(form(run), tmp_path)


def test_what_was_changed_on_the_way_is_changed_again(tmp_path):
    """Another learning rate in the middle of an epoch, and an end before the last one."""
    recipe = Recipe(model="softmax-regression", epochs=500, optimiser="sgd", schedule="constant", device="cpu")
    run = trainings.enqueue(recipe)
    training = worker.work(run)
    for event in training:
        if isinstance(event, Step) and (event.epoch, event.step) == (2, 5):
            break
    trainings.set_learning_rate(run.name, 0.5)
    for _ in training:
        if run.changes:
            break
    trainings.stop(run.name, "finish")
    for _ in training:
        pass
    assert len(run.changes) == 1
    assert run.status == "finished"
    assert 2 <= len(run.epochs) < 500
    assert "the same to the last picture" in said(as_script(run), tmp_path)


def test_a_run_that_was_never_tested_is_compared_by_its_validation(tmp_path):
    run = trainings.enqueue(Recipe(model="softmax-regression", epochs=5, device="cpu"))
    for event in worker.work(run):
        if type(event).__name__ == "Epoch" and event.epoch == 2:
            trainings.stop(run.name)
    assert run.status == "stopped"
    assert "pictures; recorded" in said(as_script(run), tmp_path)


def test_the_notebook_keeps_to_the_format(trained):
    content = json.loads(as_notebook(trained))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
    for cell in content["cells"]:
        keys = {"cell_type", "id", "metadata", "source"}
        assert set(cell) == keys | ({"outputs", "execution_count"} if cell["cell_type"] == "code" else set())
        assert all(line.endswith("\n") for line in cell["source"][:-1])


def test_names_of_strangers_stay_names(trained):
    evil = "x\r\nimport evil\x0cimport evil\u2028import evil <script>alert(1)</script> `*_[a](http://b)"
    run = create_run(Recipe(dataset=evil, weights=evil, model=f"custom:{evil}"))
    run.update(best_validation_accuracy=0.5)
    run.write("about.json", {"device": evil, "versions": {evil: evil}, "fingerprint": f'{evil}\'""" + evil()'})
    tree = ast.parse(as_script(run))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == set()
    assert "evil" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert (
        ast.literal_eval(next(k.value for k in ast.walk(tree) if isinstance(k, ast.keyword) and k.arg == "dataset"))
        == evil
    )
    text = "\n".join(cell.text for cell in cells(run) if cell.kind == "markdown")
    assert "<" not in text
    assert "](" not in text.replace("\\]", "")


def test_what_has_reached_nothing_cannot_be_reached_again():
    with pytest.raises(RunError, match="nothing yet"):
        as_notebook(create_run(Recipe()))
