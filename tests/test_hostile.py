"""Hostile archives and full disks: each is refused or cleaned in one sentence, and nothing is left or written elsewhere."""

import io
import resource
import signal
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from contextlib import ExitStack, contextmanager, nullcontext, suppress

import numpy as np
import pytest
from conftest import small_disk
from pictures import folder, picture, reasons, tarred, two_classes, zipped
from PIL import Image

from imgrec.data import (
    DatasetError,
    Edit,
    Item,
    edit,
    export_dataset,
    import_dataset,
    list_datasets,
    open_dataset,
    uploads,
)
from imgrec.home import in_words


def tree(place):
    """Every file below a folder with its content."""
    return {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}


# Archives


def test_an_archive_inside_an_archive_is_never_opened(tmp_path):
    inner = zipped(tmp_path / "inner.zip", {f"dog/{i}.png": bytes(100_000) for i in range(50)}).read_bytes()
    tar = tarred(tmp_path / "inner.tar.gz", two_classes()).read_bytes()
    summary = import_dataset(zipped(tmp_path / "a.zip", two_classes() | {"dog/x.zip": inner, "y.tar.gz": tar}), "a")
    assert summary.images == 10
    assert set(reasons(summary)) == {"dog/x.zip", "y.tar.gz"}
    assert "archive inside of another" in reasons(summary)["dog/x.zip"]


def overlapping(path, content, count):
    """A ZIP in which many entries share one file's bytes, after D. Fifield's bomb of 2019."""
    packed = zlib.compress(content, 9)[2:-4]
    common = struct.pack("<HHHHHIII", 20, 0, 8, 0, 33, zlib.crc32(content), len(packed), len(content))
    name = b"cat/0000.png"
    local = b"PK\3\4" + common + struct.pack("<HH", len(name), 0) + name + packed
    directory = b""
    for number in range(count):
        each = f"{('cat', 'dog')[number % 2]}/{number:04d}.png".encode()
        head = b"PK\1\2" + struct.pack("<H", 20) + common
        directory += head + struct.pack("<HHHHHII", len(each), 0, 0, 0, 0, 0, 0) + each
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(directory), len(local), 0)
    path.write_bytes(local + directory + end)
    return path


def test_entries_that_lie_over_each_other_are_refused_as_a_whole(tmp_path, workspace):
    with pytest.raises(DatasetError, match=r"a\.zip holds files that lie over each other"):
        import_dataset(overlapping(tmp_path / "a.zip", picture(1), 1000), "a")
    assert not any((workspace / "datasets").glob("*"))


def test_a_name_that_the_directory_and_the_file_disagree_about_is_refused_alone(tmp_path):
    path = zipped(tmp_path / "a.zip", two_classes())
    path.write_bytes(path.read_bytes().replace(b"cat/3.png", b"cat/X.png", 1))
    summary = import_dataset(path, "a")
    assert summary.images == 9
    assert "cannot be read" in reasons(summary)["cat/3.png"]


def test_a_size_that_is_a_lie_is_refused_alone(tmp_path):
    path = zipped(tmp_path / "a.zip", two_classes())
    content = bytearray(path.read_bytes())
    entry = content.find(b"PK\1\2")
    content[entry + 24 : entry + 28] = struct.pack("<I", 10)  # the directory claims ten bytes
    path.write_bytes(content)
    assert list(reasons(import_dataset(path, "a"))) == ["cat/0.png"]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_comes_twice_counts_once(tmp_path, pack):
    files = two_classes() | {"./cat/0.png": picture(900), "cat//1.png": picture(901), "caf\u00e9/1.png": picture(902)}
    summary = import_dataset(
        pack(tmp_path / ("a" + (".zip" if pack is zipped else ".tar.gz")), files | {"cafe\u0301/1.png": picture(903)}),
        "a",
    )
    assert summary.images == 11
    assert {name: "of that name" in reason for name, reason in reasons(summary).items()} == {
        "cat/0.png": True, "cat/1.png": True, "caf\u00e9/1.png": True,
    }  # fmt: skip


def test_long_reserved_and_odd_names_come_in_and_go_out_and_come_in_again(tmp_path):
    stems = ["x" * 300, "long." + "y" * 250, "CON", "nul.txt", "dot.", "space ", "a:b|c?", "猫" * 80, "%s%n", "-rf"]
    files = {f"CON/{stem}.png": picture(i) for i, stem in enumerate(stems)} | {
        f"aux. /{i}.png": picture(100 + i) for i in range(5)
    }
    summary = import_dataset(zipped(tmp_path / "a.zip", files), "a")
    assert (summary.images, summary.rejected) == (15, [])
    export_dataset("a", tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert all(len(part.encode()) < 256 for name in archive.namelist() for part in name.split("/"))
    again = import_dataset(tmp_path / "out.zip", "b")
    assert (again.images, again.rejected, again.counts) == (15, [], summary.counts)


def test_a_class_name_of_300_characters_is_refused_with_the_bound(tmp_path):
    files = two_classes() | {f"{'z' * 300}/1.png": picture(50)}
    [reason] = reasons(import_dataset(zipped(tmp_path / "a.zip", files), "a")).values()
    assert "longer than 100 characters" in reason


def test_a_bomb_takes_neither_memory_nor_disk(tmp_path, workspace, monkeypatch):
    monkeypatch.setenv("IMGREC_MAX_IMPORT_GB", "0.02")
    bomb = tmp_path / "a.tar.gz"
    with tarfile.open(bomb, "w:gz", compresslevel=9) as archive:
        for number in range(40):
            info = tarfile.TarInfo(f"cat/{number}.png")
            info.size = 10_000_000
            archive.addfile(info, io.BytesIO(bytes(10_000_000)))
    assert bomb.stat().st_size < 2**20
    tracemalloc.start()
    with pytest.raises(DatasetError, match="IMGREC_MAX_IMPORT_GB"):
        import_dataset(bomb, "a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20
    assert not any((workspace / "datasets").glob("*"))


def test_folders_a_thousand_deep_are_read(tmp_path):
    files = two_classes() | {"cat/" + "d/" * 1000 + "1.png": picture(70)}
    assert import_dataset(zipped(tmp_path / "a.zip", files), "a").images == 11


# Corrupt files


def saved(format, number):
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def huge_png():
    """The header of a PNG that claims 30,000 × 30,000 pixels."""
    whole = bytearray(picture(1))
    whole[16:24] = struct.pack(">II", 30_000, 30_000)
    whole[29:33] = struct.pack(">I", zlib.crc32(whole[12:29]))
    return bytes(whole)


def test_every_planted_corrupt_file_is_found_and_no_sound_one(tmp_path):
    sound = {f"{name}/{i}.{f.lower()}": saved(f, 100 * c + i) for c, name in enumerate(("cat", "dog"))
             for i, f in enumerate(("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP") * 3)}  # fmt: skip
    corrupt = {
        f"cat/cut.{f.lower()}": saved(f, 7)[: len(saved(f, 7)) * 2 // 3]
        for f in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
    }
    corrupt |= {
        "cat/empty.png": b"",
        "dog/text.png": b"hello",
        "dog/zeros.jpg": bytes(5000),
        "dog/huge.png": huge_png(),
    }
    flipped = bytearray(saved("PNG", 8))
    flipped[len(flipped) // 2] ^= 255
    corrupt["dog/flipped.png"] = bytes(flipped)
    found = set(reasons(import_dataset(folder(tmp_path / "a", sound | corrupt), "a")))
    recall, precision = len(found & set(corrupt)) / len(corrupt), len(found & set(corrupt)) / len(found)
    assert (recall, precision) == (1.0, 1.0), found ^ set(corrupt)


# A full disk


@contextmanager
def small_files(size):
    """No file can grow beyond ``size`` bytes: fails in the middle of writing as a full disk does, and needs no root."""
    before, heard = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)


class Workspace:
    """A place for a workspace where 3 MB are too many; ``bound`` is the largest file that can be written, if files are
    what is bounded."""

    def __init__(self, home, source, bound):
        self.home, self.source, self.bound = home, source, bound

    def fill(self):
        """Leave no room at all."""
        if self.bound:
            self.bound = 64
            return
        with suppress(OSError), open(self.home / "filler", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    def refuses(self, act):
        """Check that an act fails because the disk is full, in one sentence, and that nothing is left of it."""
        before = tree(self.home)
        with pytest.raises((OSError, DatasetError)) as caught, small_files(self.bound) if self.bound else nullcontext():
            act()
        words = in_words(caught.value)
        assert "disk" in words.lower(), words
        left = {path: content for path, content in tree(self.home).items() if path in before or path.suffix != ".lock"}
        assert left == before
        assert [row.name for row in list_datasets() if row.kind == "imported" and row.ready] == ["mine"]
        assert len(open_dataset("mine").kept) == 60


@pytest.fixture(params=["small disk", "small files"])
def full(request, tmp_path, monkeypatch):
    """A workspace with one small set; the source of a large one lies elsewhere."""
    large = {f"{name}/{i}.bmp": picture(i, (200, 150), format="BMP") for name in ("cat", "dog") for i in range(40)}
    source = folder(tmp_path / "large", large)
    home = tmp_path / "small"
    monkeypatch.setenv("IMGREC_HOME", str(home))
    with ExitStack() as stack:
        small = request.param == "small disk" and stack.enter_context(small_disk(home, 3 * 2**20))
        import_dataset([Item(f"{i}.png", picture(i), ("cat", "dog")[i % 2]) for i in range(60)], "mine")
        open_dataset("mine")
        yield Workspace(home, source, None if small else 3 * 2**20)


def test_an_import_onto_a_full_disk_leaves_the_workspace_as_it_was(full):
    full.refuses(lambda: import_dataset(full.source, "large"))


def test_pictures_that_do_not_fit_are_not_added(full):
    full.refuses(lambda: import_dataset(full.source, "mine", adding=True))


def test_an_upload_that_does_not_fit_leaves_nothing(full):
    pictures = [uploads.Loose(f"{i}.png", bytes(200_000), "cat") for i in range(40)]
    full.refuses(lambda: uploads.bundle(pictures))
    full.refuses(lambda: uploads.keep("a.zip", bytes(8_000_000)))


def test_packing_on_a_full_disk_leaves_the_set_as_it_was(full):
    full.refuses(lambda: open_dataset("mine", 256))


def test_an_export_onto_a_full_disk_leaves_no_half_archive(full):
    full.fill()
    full.refuses(lambda: export_dataset("mine", full.home / "out.zip"))


def test_an_edit_on_a_full_disk_changes_nothing(full):
    edit("mine", Edit("relabel", (0,), "dog"))
    before = open_dataset("mine").fingerprint
    full.fill()
    full.refuses(lambda: edit("mine", Edit("relabel", tuple(range(1, 59)), "cat")))
    assert open_dataset("mine").fingerprint == before
