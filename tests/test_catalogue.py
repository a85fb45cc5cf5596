"""catalogue: what torchvision fetches is stored like an import; without a network there is one sentence that helps."""

import gzip
import hashlib
import io
import threading
import time
import urllib.error
import urllib.request
import zipfile

import numpy as np
import pytest
from pictures import picture

from imgrec.data import DatasetError, catalogue, fetch, list_datasets, open_dataset
from imgrec.jobs import Cancelled

datasets = pytest.importorskip("torchvision.datasets")


@pytest.fixture
def downloads(workspace):
    return workspace / "datasets" / ".downloads"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def idx(array):
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes())


def tiny_mnist(maker, monkeypatch):
    """Four tiny IDX files, and torchvision told their checksums: {file name: content}."""
    files = {}
    for word, count in (("train", 40), ("t10k", 20)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
        files[f"{word}-images-idx3-ubyte.gz"] = idx(pixels)
        files[f"{word}-labels-idx1-ubyte.gz"] = idx((np.arange(count) % 10).astype(np.uint8))
    sums = [(name, hashlib.md5(content).hexdigest()) for name, content in files.items()]
    monkeypatch.setattr(maker, "resources", sums)
    return files


def place(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


class Response(io.BytesIO):
    """What urlopen gives, as far as torchvision looks; slow answers give a cancel time to arrive."""

    url, slow = None, False

    @property
    def length(self):
        return len(self.getvalue())

    def read(self, size=-1):
        time.sleep(0.05 if self.slow else 0)
        return super().read(min(size, 100) if self.slow else size)


def serve(files, monkeypatch, slow=False):
    def answer(request, *_, **__):
        response = Response(files[request.full_url.rpartition("/")[2]])
        response.slow = slow
        return response

    monkeypatch.setattr(urllib.request, "urlopen", answer)


def test_files_placed_by_hand_are_used_instead_of_the_network(downloads, monkeypatch, capfd):
    place(downloads / "fashion-mnist/FashionMNIST/raw", tiny_mnist(datasets.FashionMNIST, monkeypatch))
    summary = fetch("fashion-mnist")
    assert (summary.images, summary.classes, summary.rejected) == (60, 10, [])
    dataset = open_dataset("fashion-mnist")
    assert dataset.classes[0] == "T-shirt/top"  # in the order of the original labels
    assert len(dataset.indices("test")) == 20
    pixels = np.random.default_rng(40).integers(0, 256, (40, 28, 28), np.uint8)
    assert (dataset.images[:40, :, :, 0] == pixels).all()
    assert "MIT" in dataset.source
    assert not any(downloads.iterdir())
    assert capfd.readouterr() == ("", "")
    [row] = [row for row in list_datasets() if row.name == "fashion-mnist"]
    assert (row.kind, row.ready, row.images) == ("download", True, 60)


def test_a_download_reports_its_bytes_and_prints_nothing(monkeypatch, capfd):
    files, heard = tiny_mnist(datasets.MNIST, monkeypatch), []
    serve(files, monkeypatch)
    assert fetch("mnist", lambda done, total: heard.append((done, total))).images == 60
    assert heard[-1] == (sum(map(len, files.values())), catalogue.CATALOGUE["mnist"].bytes)
    assert capfd.readouterr() == ("", "")


def test_without_a_network_one_sentence_tells_what_to_do(capfd):
    with pytest.raises(DatasetError) as caught:
        fetch("mnist")
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "Name or service not known",
        "train-images-idx3-ubyte.gz",
        "MNIST/raw",
        "python -m imgrec import FILE",
    ):
        assert part in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", list(catalogue.CATALOGUE))
def test_every_row_fails_offline_with_the_files_to_place(name):
    with pytest.raises(DatasetError, match="could not be downloaded") as caught:
        fetch(name)
    assert all(file in str(caught.value) for file in catalogue.CATALOGUE[name].files)
    assert "Name or service" in str(caught.value)


def test_a_damaged_download_says_so(monkeypatch):
    files = tiny_mnist(datasets.MNIST, monkeypatch)
    serve(dict.fromkeys(files, b"something else"), monkeypatch)
    with pytest.raises(DatasetError, match="checksum is wrong"):
        fetch("mnist")


def test_a_cancelled_download_stops_and_leaves_nothing(downloads, monkeypatch):
    serve(tiny_mnist(datasets.MNIST, monkeypatch), monkeypatch, slow=True)
    began = time.monotonic()
    with pytest.raises(Cancelled):
        fetch("mnist", cancelled=lambda: time.monotonic() - began > 0.3)
    assert time.monotonic() - began < 2
    assert not any(downloads.iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("download")]


def test_what_a_broken_try_unpacked_is_not_taken_for_whole(downloads, monkeypatch):
    names = ("AnnualCrop", "Forest")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            for index in range(6):
                archive.writestr(f"2750/{name}/{name}_{index}.jpg", picture(index, (64, 64), format="JPEG"))
    md5 = hashlib.md5(file.getvalue()).hexdigest()
    monkeypatch.setattr(datasets.utils, "check_md5", lambda path, _, **__: datasets.utils.calculate_md5(path) == md5)
    place(downloads / "eurosat/eurosat", {"EuroSAT.zip": file.getvalue()})
    place(downloads / "eurosat/eurosat/2750/Forest", {"Forest_0.jpg": b"half"})
    (downloads / "eurosat/.unfinished").touch()
    summary = fetch("eurosat")
    assert (summary.images, summary.classes, summary.rejected) == (12, 2, [])
    assert open_dataset("eurosat").files[0] == "AnnualCrop/AnnualCrop_0.jpg"


def test_a_stored_or_unknown_name_is_refused(downloads, monkeypatch):
    place(downloads / "mnist/MNIST/raw", tiny_mnist(datasets.MNIST, monkeypatch))
    fetch("mnist")
    with pytest.raises(DatasetError, match="already"):
        fetch("mnist")
    with pytest.raises(DatasetError, match="not in the catalogue"):
        fetch("imagenet")
