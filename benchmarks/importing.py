"""How fast pictures come in: our import of an archive beside torchvision's ImageFolder reading the same files.

``python -m benchmarks.importing pictures.zip`` for a ZIP of class folders, perhaps inside train and test. Every part runs
in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = """
from imgrec.data import import_dataset, open_dataset
summary = import_dataset(sys.argv[1], "set"); done("import", summary.images)
open_dataset("set"); done("pack", summary.images)
"""
OPEN = """
from imgrec.data import open_dataset
started = time.perf_counter()
dataset = open_dataset("set"); done("open again", len(dataset))
"""
THEIRS = """
from pathlib import Path
from torch.utils.data import ConcatDataset, DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
root = Path(sys.argv[1])
parts = [root / part for part in ("train", "test") if (root / part).is_dir()] or [root]
turn = v2.Compose([v2.PILToTensor(), v2.Resize(32), v2.CenterCrop(32)])
folders = ConcatDataset([ImageFolder(part, turn) for part in parts])
started = time.perf_counter()
images = sum(len(labels) for _, labels in DataLoader(folders, 256, num_workers=2)); done("ImageFolder", images)
"""
FRAME = """
import json, resource, sys, time
started = time.perf_counter()
def done(what, images):
    global started
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(one).ru_maxrss for one in who) / 1024
    print(json.dumps([what, images, time.perf_counter() - started, peak]), flush=True)
    started = time.perf_counter()
"""


def measured(code: str, argument: Path) -> dict[str, float]:
    """Run code in a fresh process and print its figures; what was done → seconds."""
    answer = subprocess.run(
        [sys.executable, "-c", FRAME + code, str(argument)], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    seconds = {}
    for line in answer.stdout.splitlines():
        what, images, seconds[what], peak = json.loads(line)
        rate = images / seconds[what]
        print(f"  {what:12} {images:7,} pictures in {seconds[what]:7.3f} s  {rate:9,.0f}/s  peak {peak:5.0f} MiB")
    return seconds


def main() -> int:
    """Run all parts in a workspace of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    archive = parser.parse_args().archive.resolve()
    with tempfile.TemporaryDirectory() as home:
        os.environ["IMGREC_HOME"] = home
        ours = measured(OURS, archive)
        measured(OPEN, archive)
        folder = Path(home) / "unpacked"
        started = time.perf_counter()
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)  # an archive of one's own; the product itself never extracts
        unpacking = time.perf_counter() - started
        top = folder
        while len(inside := [path for path in top.iterdir() if path.is_dir()]) == 1:
            top = inside[0]
        theirs = measured(THEIRS, top)
    once = theirs["ImageFolder"] + unpacking
    print(f"  unpacking for ImageFolder took {unpacking:.1f} s; it decodes again in every epoch, a pack never does")
    print(
        f"  import and pack: {(ours['import'] + ours['pack']) / once:.2f} times as long as unpacking and one ImageFolder epoch"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
