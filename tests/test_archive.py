"""A data set written as a ZIP comes back as the same set, also after edits and with any class name."""

import zipfile

import numpy as np
import pytest
from pictures import picture

from imgrec.data import Edit, Item, edit, export_dataset, import_dataset, open_dataset
from imgrec.data.archive import folder_name

NAMES = ("cats/dogs", "..", "猫 <b>", "con")


def as_set(name):
    """What makes a set: per picture its pixels, label and split."""
    dataset = open_dataset(name)
    rows = zip(dataset.images[dataset.kept], dataset.labels[dataset.kept], dataset.splits[dataset.kept], strict=True)
    return sorted((pixels.tobytes(), dataset.classes[label], int(split)) for pixels, label, split in rows)


def test_an_edited_set_comes_back_the_same(tmp_path):
    import_dataset([Item(f"a/{i}.png", picture(i), NAMES[i % 4]) for i in range(60)], "mine")
    edit("mine", Edit("exclude", (3, 9)))
    edit("mine", Edit("relabel", (5, 8), "brand new"))
    edit("mine", Edit("move", (11, 12), "test"))
    assert export_dataset("mine", tmp_path / "out.zip") == 58
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        folders = {name.partition("/")[0] for name in archive.namelist() if "/" in name}
        assert folders == {folder_name(name) for name in (*NAMES, "brand new")}
    summary = import_dataset(tmp_path / "out.zip", "again")
    assert summary.rejected == []
    assert as_set("again") == as_set("mine")


@pytest.mark.parametrize("name", ["digits", "shapes:count=60"])
def test_a_built_in_set_can_be_taken_along_pixel_for_pixel(tmp_path, name):
    export_dataset(name, tmp_path / "out.zip")
    import_dataset(tmp_path / "out.zip", "copy")
    assert as_set("copy") == as_set(name)


def test_a_set_of_bare_pixels_comes_back_in_its_order(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 9, 9, 3), np.uint8)
    import_dataset([Item(f"{i}", pixels[i], "ab"[i // 20], ("train", "test")[i % 2]) for i in range(40)], "bare")
    export_dataset("bare", tmp_path / "out.zip")
    import_dataset(tmp_path / "out.zip", "again")
    assert np.array_equal(open_dataset("again").images, open_dataset("bare").images)
    assert np.array_equal(open_dataset("again").splits, open_dataset("bare").splits)


def test_whoever_unpacks_a_set_lets_others_read_it(tmp_path):
    export_dataset("shapes:count=60", tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o644}
