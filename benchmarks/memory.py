"""Whether training stays small on a set that is larger than the memory: pictures of 224 px from one packed file.

``python -m benchmarks.memory`` makes a file of 1.2 times the machine's memory in a temporary folder (``--folder``; it is
sparse and takes hardly any room), trains softmax regression on it for ``--seconds``, and says how much memory the
process held at the most beyond what it held before. Exit status 1: more than a GiB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

SIZE, CHANNELS = 224, 3
MOST = 2**30


def main() -> int:
    from imgrec.data import Dataset
    from imgrec.recipe import Recipe
    from imgrec.train import Step, Training

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--share", type=float, default=1.2, help="size of the file, in memories of this machine")
    parser.add_argument("--folder", type=Path, help="where the file is made")
    options = parser.parse_args()
    process, memory = psutil.Process(), psutil.virtual_memory().total
    count = int(options.share * memory / (SIZE * SIZE * CHANNELS))
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        shape = (count, SIZE, SIZE, CHANNELS)
        images = np.memmap(Path(place) / "pixels", np.uint8, "w+", shape=shape)
        labels, splits = np.arange(count) % 10, np.zeros(count, np.uint8)
        sizes = np.broadcast_to(np.int32(SIZE), (count, 2))
        dataset = Dataset("large", tuple("abcdefghij"), images, labels, splits, sizes, range(count))
        recipe = Recipe(model="softmax-regression", batch_size=64, epochs=1, precision="float32", device="cpu")
        training = Training(recipe, dataset)
        before, most, seen, began = process.memory_info().rss, 0, 0, time.perf_counter()
        for event in training.fit():
            if isinstance(event, Step):
                seen = event.images
                if event.step % 20 == 0:
                    most = max(most, process.memory_info().rss)
            if time.perf_counter() - began > options.seconds:
                break
        rate = seen / (time.perf_counter() - began)
    print(f"  the file: {images.nbytes / 2**30:.1f} GiB, {count:,} pictures; the memory: {memory / 2**30:.1f} GiB")
    print(f"  {seen:,} pictures learned from, {rate:,.0f}/s, {rate * SIZE * SIZE * CHANNELS / 2**20:,.0f} MiB/s")
    print(f"  held beyond the start: at the most {(most - before) / 2**20:,.0f} MiB  (target: {MOST / 2**20:,.0f})")
    return 0 if most - before < MOST else 1


if __name__ == "__main__":
    sys.exit(main())
