"""The layers of the house: a module imports only from lower ones, and a few packages only where they belong."""

import ast
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Lower layers first; modules of one layer do not import each other, but files of one package may.
LAYERS = (
    ("language", "allowance"),
    ("recipe", "images", "home", "spreadsheet", "hooks"),
    ("privacy", "arrays", "hardware", "optimisers", "sweep", "jobs"),
    ("data", "augment", "models", "muon", "graphs", "webpage", "lessons", "coach", "runs"),
    (
        "weights",
        "shelves",
        "precision",
        "neighbours",
        "renaming",
        "notebook",
        "queue",
        "takeaway",
        "run_table",
        "background",
    ),
    ("batches",),
    ("train", "predict"),
    (
        "evaluate",
        "explain",
        "export",
        "suspects",
        "embedding",
        "preflight",
        "baselines",
        "features",
        "robustness",
        "snapshots",
        "charts",
        "serving",
    ),
    ("trainings", "api", "events", "elsewhere"),
    ("studies", "bulk", "report"),
    ("worker",),
    ("tasks", "progress"),
    ("commands", "learner"),
    ("__main__",),
)
# package → the only places that may import it
RESERVED = {
    "streamlit": ("app.py", "pages/"),
    "plotly": ("imgrec/charts/", "pages/parts.py"),
    "orjson": ("pages/",),
    "subprocess": ("imgrec/jobs.py",),
    "fastapi": ("imgrec/api.py",),
    "sklearn": (
        "imgrec/data/",
        "imgrec/evaluate.py",
        "imgrec/embedding.py",
        "imgrec/baselines.py",
        "imgrec/lessons/history.py",
    ),
    "umap": ("imgrec/embedding.py",),
    "pickle": ("imgrec/data/readers.py",),
}
SOURCES = sorted([ROOT / "app.py", *ROOT.glob("pages/*.py"), *ROOT.glob("imgrec/**/*.py")])


def imports(path: Path) -> set[str]:
    """Full dotted names of everything a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def unit(path: Path) -> str:
    """The part of the house a core file belongs to: 'train' for imgrec/train.py, 'data' for imgrec/data/store.py."""
    return path.relative_to(ROOT / "imgrec").parts[0].removesuffix(".py")


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.parts[len(ROOT.parts)] == "imgrec"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_module_imports_only_from_lower_layers(path):
    mine = unit(path)
    if mine == "__init__":
        assert {name for name in imports(path) if name.startswith("imgrec")} <= {
            "imgrec.learner"
        }  # when it is asked for
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "imgrec" or parts[1:2] in ([mine], ["__version__"]):
            continue
        assert layer(parts[1]) < layer(mine), (
            f"{path.name} (layer {layer(mine)}) imports {name} (layer {layer(parts[1])})"
        )


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_reserved_package_is_imported_only_in_its_place(path):
    place = str(path.relative_to(ROOT))
    for name in imports(path):
        allowed = RESERVED.get(name.split(".")[0])
        assert allowed is None or place.startswith(allowed), f"{place} imports {name}"


def test_every_core_module_has_a_layer():
    assert {unit(p) for p in SOURCES if "imgrec" in p.parts and p.name != "__init__.py"} <= {
        n for names in LAYERS for n in names
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_opens_with_a_sentence_on_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), path


def test_the_readme_names_every_file_once():
    tree = (ROOT / "README.md").read_text("utf-8").partition("## The tree")[2]
    said = [name for line in tree.splitlines() for name in re.findall(r"\S+\.py\b", line[:27])]
    whole = ("lessons", "charts", "commands")  # folders of which the tree says what a file of theirs is
    files = [p.name for p in (*SOURCES, *ROOT.glob("benchmarks/*.py")) if p.parent.name not in whole]
    wanted = [name for name in files if name != "__init__.py" and not name.startswith("learn_")]
    assert Counter(said) - Counter(["learn_*.py"]) == Counter(wanted)


@pytest.mark.parametrize("path", sorted(ROOT.glob("pages/browser/*")), ids=lambda p: p.name)
def test_a_script_of_the_browser_is_used_and_can_be_read_by_it(path):
    """The second is asked of Node, where there is one."""
    calls = [
        node
        for p in ROOT.glob("pages/*.py")
        for node in ast.walk(ast.parse(p.read_text("utf-8")))
        if isinstance(node, ast.Call)
    ]
    read = [ast.literal_eval(name) for call in calls if ast.unparse(call.func) == "scripts.read" for name in call.args]
    assert path.name in read
    if path.suffix == ".js" and (node := shutil.which("node")):
        command = [node, "--check", "--input-type=module", "-"]
        result = subprocess.run(command, input=path.read_text("utf-8"), capture_output=True, text=True)
        assert result.returncode == 0, result.stderr


def test_light_modules_import_without_torch_and_streamlit():
    code = "import sys, imgrec.trainings, imgrec.run_table, imgrec.data, imgrec.__main__; print([m for m in ('torch', 'streamlit', 'sklearn') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def test_a_worker_that_waits_for_its_turn_holds_nothing_heavy():
    """Forty may wait at a time."""
    code = (
        "import sys, imgrec.worker, imgrec.__main__; print([m for m in ('numpy', 'PIL', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
