"""The public data sets that can be downloaded: torchvision fetches and checks them, the import stores them.

One row in CATALOGUE adds one. Needs torchvision only while it downloads.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
from PIL import Image

from imgrec.data.dataset import DatasetError
from imgrec.data.importing import Import, Summary
from imgrec.data.packs import Progress
from imgrec.data.readers import Item
from imgrec.data.sources import ARCHIVES
from imgrec.data.store import check_free
from imgrec.home import folder
from imgrec.images import to_png
from imgrec.jobs import Cancelled
from imgrec.language import listed, mark, tr

PACKED = (*ARCHIVES, ".mat")
UNFINISHED = ".unfinished"  # a mark in a download's folder: what is unpacked there may be a part

TRAIN_TEST = (("train", {"train": True}), ("test", {"train": False}))
WORDS = (("train", {"split": "train"}), ("test", {"split": "test"}))
DIGITS = tuple("0123456789")
IDX_FILES = tuple(
    f"{part}-ubyte.gz" for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
)
TRAFFIC_SIGNS = (
    *(f"speed limit {limit}" for limit in (20, 30, 50, 60, 70, 80)),
    *("end of speed limit 80", "speed limit 100", "speed limit 120", "no passing", "no passing for trucks"),
    *("right of way at the next crossing", "priority road", "yield", "stop", "no vehicles", "no trucks", "no entry"),
    *("danger", "curve left", "curve right", "double curve", "bumpy road", "slippery road", "road narrows right"),
    *("road work", "traffic signals", "pedestrians", "children crossing", "bicycles crossing", "ice or snow"),
    *("wild animals", "end of all limits", "turn right ahead", "turn left ahead", "ahead only", "straight or right"),
    *("straight or left", "keep right", "keep left", "roundabout", "end of no passing", "end of no passing for trucks"),
)


@dataclass(frozen=True)
class Download:
    """A row of the catalogue. ``image_size`` is in pixels, the suggested one where the pictures differ."""

    title: str
    bytes: int  # of the download, about
    images: int
    classes: int
    image_size: int
    channels: int
    makers: str
    licence: str
    maker: str  # the class in torchvision.datasets
    splits: tuple[tuple[str | None, dict[str, Any]], ...]  # our split (None: to be drawn) and the maker's arguments
    folder: str  # where torchvision looks for the files, below the download's folder
    files: tuple[str, ...]
    names: tuple[str, ...] = ()  # of the classes, where torchvision has none or clumsy ones


CATALOGUE: dict[str, Download] = {
    "mnist": Download(
        mark("Handwritten digits (MNIST)"), 11_594_722, 70_000, 10, 28, 1, "LeCun, Cortes, Burges", "CC BY-SA 3.0",
        "MNIST", TRAIN_TEST, "MNIST/raw", IDX_FILES, DIGITS,
    ),
    "fashion-mnist": Download(
        mark("Clothes (Fashion-MNIST)"), 30_878_645, 70_000, 10, 28, 1, "Zalando Research", "MIT",
        "FashionMNIST", TRAIN_TEST, "FashionMNIST/raw", IDX_FILES,
    ),
    "kmnist": Download(
        mark("Old Japanese letters (Kuzushiji-MNIST)"), 21_240_888, 70_000, 10, 28, 1, "CODH, NIJL", "CC BY-SA 4.0",
        "KMNIST", TRAIN_TEST, "KMNIST/raw", IDX_FILES,
    ),
    "cifar10": Download(
        mark("Animals and vehicles (CIFAR-10)"), 170_498_071, 60_000, 10, 32, 3, "Krizhevsky, Toronto", mark("no licence stated"),
        "CIFAR10", TRAIN_TEST, "", ("cifar-10-python.tar.gz",),
    ),
    "cifar100": Download(
        mark("A hundred things (CIFAR-100)"), 169_001_437, 60_000, 100, 32, 3, "Krizhevsky, Toronto", mark("no licence stated"),
        "CIFAR100", TRAIN_TEST, "", ("cifar-100-python.tar.gz",),
    ),
    "svhn": Download(
        mark("House numbers (SVHN)"), 246_316_178, 99_289, 10, 32, 3, mark("Netzer and others, Stanford"), mark("non-commercial use"),
        "SVHN", WORDS, "", ("train_32x32.mat", "test_32x32.mat"), DIGITS,
    ),
    "gtsrb": Download(
        mark("German traffic signs (GTSRB)"), 276_568_468, 39_270, 43, 43, 3, mark("Stallkamp and others, Bochum"), mark("no licence stated"),
        "GTSRB", WORDS, "gtsrb",
        ("GTSRB-Training_fixed.zip", "GTSRB_Final_Test_Images.zip", "GTSRB_Final_Test_GT.zip"), TRAFFIC_SIGNS,
    ),
    "eurosat": Download(
        mark("The ground from space (EuroSAT)"), 94_280_567, 27_000, 10, 64, 3, mark("Helber and others, DFKI"), "MIT",
        "EuroSAT", ((None, {}),), "eurosat", ("EuroSAT.zip",),
    ),
    "imagenette": Download(
        mark("Ten easy ImageNet classes (Imagenette, 160 px)"), 99_003_388, 13_394, 10, 160, 3, "fast.ai", mark("research use"),
        "Imagenette", (("train", {"split": "train", "size": "160px"}), ("test", {"split": "val", "size": "160px"})),
        "", ("imagenette2-160.tgz",),
    ),
    "stl10": Download(
        mark("Animals and vehicles, larger (STL-10)"), 2_640_397_119, 13_000, 10, 96, 3, "Coates, Lee, Ng", mark("no licence stated"),
        "STL10", WORDS, "", ("stl10_binary.tar.gz",),
    ),
    "flowers102": Download(
        mark("Flowers (Oxford 102)"), 344_877_000, 8_189, 102, 224, 3, "Nilsback, Zisserman, Oxford", mark("no licence stated"),
        "Flowers102", (("train", {"split": "train"}), ("validation", {"split": "val"}), ("test", {"split": "test"})),
        "flowers-102", ("102flowers.tgz", "imagelabels.mat", "setid.mat"),
    ),
    "oxford-pets": Download(
        mark("Cats and dogs by breed (Oxford-IIIT Pet)"), 811_092_049, 7_349, 37, 224, 3, mark("Parkhi and others"), "CC BY-SA 4.0",
        "OxfordIIITPet", (("train", {"split": "trainval"}), ("test", {"split": "test"})),
        "oxford-iiit-pet", ("images.tar.gz", "annotations.tar.gz"),
    ),
    "food101": Download(
        mark("Dishes (Food-101)"), 4_996_278_331, 101_000, 101, 224, 3, "Bossard, Guillaumin, Van Gool, ETH", mark("research use"),
        "Food101", WORDS, "", ("food-101.tar.gz",),
    ),
}  # fmt: skip


def fetch(name: str, progress: Progress | None = None, cancelled: Callable[[], bool] | None = None) -> Summary:
    """Download a set of the catalogue and store it under its name. ``progress`` hears (bytes so far, about all bytes).

    Files already in datasets/.downloads/NAME are used instead of the network; the folder goes when the set is stored.
    Raises DatasetError, one sentence with the way out, and Cancelled.
    """
    if name not in CATALOGUE:
        raise DatasetError(
            tr(
                "{name!r} is not in the catalogue; choose one of {catalogue}.",
                name=name,
                catalogue=listed(CATALOGUE),
            )
        )
    check_free(name)
    row, root = CATALOGUE[name], folder("datasets") / ".downloads" / name
    _prepare(root)
    try:
        parts = _download(name, row, root, progress, cancelled)
        names = row.names or tuple(c if isinstance(c, str) else c[0] for c in parts[0][1].classes)
        job = Import(f"{row.title}. {row.makers}; {row.licence}.", None, cancelled, lambda: row.images, order=names)
        summary = job.run(name, (item for split, part in parts for item in _items(part, split, names)))
    except Cancelled:
        shutil.rmtree(root, ignore_errors=True)
        raise
    shutil.rmtree(root, ignore_errors=True)
    return summary


def _prepare(root: Path) -> None:
    """Make the folder; after a broken try keep only archives: torchvision takes any unpacked folder for whole."""
    if (root / UNFINISHED).exists():
        for path in sorted(root.rglob("*"), reverse=True):  # files before their folders
            if path.is_dir():
                with suppress(OSError):  # it holds an archive
                    path.rmdir()
            elif not path.name.endswith(PACKED):
                path.unlink()
    root.mkdir(parents=True, exist_ok=True)
    (root / UNFINISHED).touch()


def _download(name: str, row: Download, root: Path, progress: Progress | None, cancelled: Callable | None) -> list:
    """torchvision's data set of every split, fetched and checked in a thread, so a dead network can be cancelled."""
    transfer = _Transfer(row, root)
    thread = threading.Thread(target=transfer.run, daemon=True, name=f"download {name}")
    thread.start()
    lives = True
    while lives:
        thread.join(0.1)
        lives = thread.is_alive()
        if progress:
            progress(min(transfer.bytes, row.bytes), row.bytes)
        if lives and cancelled and cancelled():
            transfer.stopped = True
            thread.join(2)
            raise Cancelled(tr("The download of {title} was cancelled; nothing was kept.", title=row.title))
    if transfer.error:
        raise DatasetError(
            tr(
                "{title} could not be downloaded ({reason}); try later, or put {files} into {folder} and try again, or import "
                "a ZIP of it with `python -m imgrec import FILE --name {name}`.",
                title=row.title,
                reason=_reason(transfer.error),
                files=listed(row.files),
                folder=root / row.folder,
                name=name,
            )
        ) from transfer.error
    return transfer.parts


class _Stopped(Exception):
    """Ends a download from within."""


class _Transfer:
    """One download in its thread; counts the bytes and stops when asked."""

    def __init__(self, row: Download, root: Path) -> None:
        self.row, self.root = row, root
        self.bytes, self.stopped = 0, False
        self.parts: list[tuple[str | None, Any]] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            from torchvision import datasets

            datasets.utils.tqdm = _Meter  # its progress bar is the one place that sees every chunk
            _Meter.here.transfer = self
            for split, arguments in self.row.splits:
                self.parts.append(
                    (split, getattr(datasets, self.row.maker)(str(self.root), download=True, **arguments))
                )
        except BaseException as error:  # a thread has nobody else to tell
            self.error = error

    def count(self, chunk: int) -> None:
        self.bytes += chunk
        if self.stopped:
            raise _Stopped


class _Meter:
    """Stands in for torchvision's progress bar: silent, and tells this thread's transfer."""

    here = threading.local()

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> _Meter:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, chunk: int = 1) -> None:
        transfer = getattr(self.here, "transfer", None)
        if transfer:
            transfer.count(chunk)


def _items(part: Any, split: str | None, names: tuple[str, ...]) -> Iterator[Item]:
    """The pictures of a torchvision data set without decoding them: the bytes of its files or its bare pixels."""
    pairs = _first(part, "_samples", "samples")
    if pairs is None:
        pairs = zip(
            _first(part, "_image_files", "_images", "data"), _first(part, "targets", "labels", "_labels"), strict=True
        )
    for index, (content, label) in enumerate(pairs):
        name = names[int(label)]
        if isinstance(content, str | Path):
            path = Path(content)
            yield Item("/".join(filter(None, (split, name, path.name))), _file(path), name, split)
        else:
            yield Item(f"{split}-{index:05d}", _pixels(np.asarray(content)), name, split)


def _file(path: Path) -> bytes:
    """The picture file; GTSRB's PPMs, which the gate does not read, as PNGs of the same pixels."""
    return path.read_bytes() if path.suffix != ".ppm" else to_png(np.asarray(Image.open(path, formats=["PPM"])))


def _first(part: Any, *attributes: str) -> Any:
    return next((getattr(part, name) for name in attributes if getattr(part, name, None) is not None), None)


def _pixels(content: np.ndarray) -> np.ndarray:
    """(H, W), (H, W, 3) or (3, H, W) as (H, W, C)."""
    if content.ndim == 2:
        return content[:, :, None]
    return content if content.shape[2] == 3 else content.transpose(1, 2, 0)


def _reason(error: BaseException) -> str:
    """A download's failure in a few words; torchvision packs several errors and addresses into one text."""
    text = " ".join(str(error).split())
    if "corrupted" in text:
        return tr("a file is damaged, its checksum is wrong")
    if network := re.search(r"<urlopen error (?:\[[^]]*\] )?([^>]*)>", text):
        return tr("no connection: {reason}", reason=network[1])
    if isinstance(error, URLError):
        return tr("no connection: {reason}", reason=error.reason)
    return text[:200] or type(error).__name__
