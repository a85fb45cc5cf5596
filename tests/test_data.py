"""data: any set opens at any size, errors show the way, packs are whole or made again, broken sets say so."""

import io
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from pictures import folder, two_classes
from PIL import Image

from imgrec import data
from imgrec.data import DatasetError, list_datasets, open_dataset, original, packs, store
from imgrec.data.dataset import Dataset, stratify
from imgrec.recipe import RecipeError


@pytest.fixture
def datasets(workspace):
    return workspace / "datasets"


@pytest.fixture
def pets(tmp_path, datasets):
    """A stored set of 20 small pictures in two classes; gives its folder."""
    data.import_dataset(folder(tmp_path / "made", two_classes(10)), "pets")
    return datasets / "pets"


# Dataset and stratify


def small(images):
    count = len(images)
    nothing = np.zeros(count, np.uint8)
    return Dataset("s", ("a",), images, nothing.astype(np.int64), nothing, np.ones((count, 2), np.int32), [""] * count)


def test_channel_statistics_equal_numpys_over_several_slices():
    images = np.random.default_rng(0).integers(0, 256, (1500, 3, 3, 3), np.uint8)
    mean, std = small(images).channel_statistics(None)
    np.testing.assert_allclose(mean, images.mean((0, 1, 2)) / 255)
    np.testing.assert_allclose(std, images.std((0, 1, 2)) / 255)


def test_the_fingerprint_tells_every_change():
    images = np.zeros((4, 2, 2, 1), np.uint8)
    changed = images.copy()
    changed[3, 1, 1, 0] = 1
    assert small(images).fingerprint == small(images.copy()).fingerprint != small(changed).fingerprint


def test_stratify_draws_the_shares_in_every_class_and_repeats_itself():
    labels = np.repeat([0, 1, 2], (100, 200, 50))
    splits = stratify(labels, seed=3)
    for label, count in enumerate((100, 200, 50)):
        assert np.bincount(splits[labels == label]).tolist() == [0.7 * count, 0.1 * count, 0.2 * count]
    assert (splits == stratify(labels, seed=3)).all()
    assert (splits != stratify(labels, seed=4)).any()


def test_stratify_keeps_given_splits_and_groups_even_across_classes():
    labels, groups = np.arange(600) % 2, np.arange(600) // 3
    given = np.where(np.arange(600) < 60, 2, 255)
    splits = stratify(labels, groups, given)
    assert (splits[:60] == 2).all()
    assert (splits[60:] != 2).all()
    assert (splits.reshape(-1, 3) == splits.reshape(-1, 3)[:, :1]).all()
    assert (splits[60:] == 1).sum() == 54


# Opening


def test_digits_are_spread_to_the_full_range_and_split():
    digits = open_dataset("digits")
    assert digits.images.shape == (1797, 8, 8, 1)
    assert (digits.images.min(), digits.images.max()) == (0, 255)
    assert digits.classes == tuple("0123456789")
    assert len(digits.indices("test")) == pytest.approx(359, abs=3)
    assert open_dataset("digits") is digits


def test_a_builtin_is_resized_and_recoloured_on_demand():
    digits = open_dataset("digits", 20, channels=3)
    assert digits.images.shape == (1797, 20, 20, 3)
    assert digits.sizes[0].tolist() == [8, 8]
    assert (digits.splits == open_dataset("digits").splits).all()
    with pytest.raises(ValueError, match="read-only"):
        digits.images[0] = 0


def test_shapes_take_options_and_their_masks_follow_the_size():
    shapes = open_dataset("shapes:size=64,count=60,difficulty=easy", 32)
    assert shapes.images.shape == (60, 32, 32, 3)
    assert shapes.masks.shape == (60, 32, 32)
    assert shapes.masks.any((1, 2)).all()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("shapes:colour=red", "Unknown option colour"),
        ("shapes:size", "name=value"),
        ("digits:size=9", "no options"),
        ("digit", "Did you mean digits"),
        ("pet", "Did you mean pets"),
        ("xyzzy", "lists all"),
        ("../pets", "There is no data set"),
        ("", "There is no data set"),
        ("mnist", r"12 MB .* `python -m imgrec import mnist`"),
    ],
)
def test_a_name_that_cannot_be_opened_shows_the_way(pets, name, what):
    with pytest.raises(DatasetError, match=what):
        open_dataset(name)


@pytest.mark.parametrize("wrong", [{"size": -1}, {"size": 9999}, {"resize": "bend"}, {"channels": 2}])
def test_settings_out_of_range_are_refused(pets, wrong):
    with pytest.raises(RecipeError):
        open_dataset("pets", **wrong)


def test_a_stored_set_opens_at_any_size_as_a_memory_map(pets):
    heard = []
    dataset = open_dataset("pets", 16, "pad", 1, lambda done, total: heard.append((done, total)))
    assert dataset.images.shape == (20, 16, 16, 1)
    assert isinstance(dataset.images, np.memmap)
    assert heard[-1] == (20, 20)
    assert open_dataset("pets").images.shape == (20, 10, 10, 3)


def test_pixels_equal_what_the_gate_gives_for_the_original(pets):
    from imgrec.images import fit, open_image

    dataset = open_dataset("pets", 7)
    for index in (0, 19):
        assert (dataset.images[index] == fit(open_image(original("pets", index), at_least=7), 7, 3)).all()


def test_originals_of_builtins_are_pngs():
    pixels = np.asarray(Image.open(io.BytesIO(original("digits", 3))))
    assert (pixels == open_dataset("digits").images[3, :, :, 0]).all()


# What people and accidents do to the files


def test_a_label_changed_in_the_table_changes_labels_and_fingerprint(pets):
    before = open_dataset("pets")
    items = np.load(pets / "items.npy")
    items["label"][0] = 1
    np.save(pets / "items.npy", items)
    after = open_dataset("pets")
    assert (before.labels[0], after.labels[0]) == (0, 1)
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-1], lambda raw: raw[:50], lambda raw: b"", lambda raw: b"x" * len(raw)]
)
def test_a_broken_pack_is_made_again(pets, damage):
    pixels = np.array(open_dataset("pets").images)
    [pack] = (pets / "packed").iterdir()
    pack.write_bytes(damage(pack.read_bytes()))
    assert (open_dataset("pets").images == pixels).all()


def test_a_pack_of_other_originals_or_rules_is_replaced(pets, monkeypatch):
    open_dataset("pets")
    [old] = (pets / "packed").iterdir()
    monkeypatch.setattr(packs, "RULES", "other")
    open_dataset("pets")
    [new] = (pets / "packed").iterdir()
    assert new != old


def test_no_pack_is_made_beyond_what_the_operator_allows(pets, monkeypatch):
    made = open_dataset("pets", 16)
    monkeypatch.setenv("IMGREC_MAX_STORAGE_GB", "0.001")
    assert (open_dataset("pets", 16).images == made.images).all()
    with pytest.raises(DatasetError, match="the operator allows"):
        open_dataset("pets", 512)
    assert len(list((pets / "packed").iterdir())) == 1


def test_the_packs_that_were_used_last_stay(pets, monkeypatch):
    monkeypatch.setattr(packs, "KEPT", 3)
    first = open_dataset("pets", 8)
    pixels = np.array(first.images)
    for size in (10, 12):
        open_dataset("pets", size)
    for number, pack in enumerate(sorted((pets / "packed").iterdir())):
        os.utime(pack, (number, number))
    open_dataset("pets", 10)
    open_dataset("pets", 14)
    kept = {int(pack.name.partition("-")[0]) for pack in (pets / "packed").iterdir()}
    assert kept == {8, 10, 14}  # as text 10 < 12 < 8, so that 12 was used longest ago
    open_dataset("pets", 16)
    assert {int(pack.name.partition("-")[0]) for pack in (pets / "packed").iterdir()} == {10, 14, 16}
    assert (first.images == pixels).all()  # who reads a pack may read on


def test_a_full_disk_while_packing_leaves_no_part(pets, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imgrec.home.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        open_dataset("pets")
    assert not any((pets / "packed").iterdir())


def _open_mean(name):
    return float(open_dataset(name, 24).images.mean())


def test_processes_that_pack_at_once_get_the_same_pixels(pets):
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        means = list(pool.map(_open_mean, ["pets"] * 4))
    assert set(means) == {_open_mean("pets")}
    assert len(list((pets / "packed").iterdir())) == 1


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("dataset.json", "{"),
        ("dataset.json", "[]"),
        ("dataset.json", None),
        ("items.npy", "what,else\n1,2\n"),
        ("items.npy", ""),
        ("items.npy", None),
        ("names.txt", "cat/0.png\n"),
        ("names.txt", None),
        ("originals.bin", "short"),
    ],
)
def test_a_damaged_set_says_so_and_does_not_spoil_the_list(pets, file, content):
    (pets / file).unlink() if content is None else (pets / file).write_text(content)
    with pytest.raises(DatasetError, match=r"pets is damaged .* import it again"):
        open_dataset("pets")
    [row] = [row for row in list_datasets() if row.name == "pets"]
    assert row.ready == (file == "originals.bin")
    assert ("damaged" in row.note) == (file != "originals.bin")


def test_deleting_removes_all_files(pets, datasets):
    data.delete_dataset("pets")
    assert not any(datasets.iterdir())
    with pytest.raises(DatasetError, match="no stored data set 'pets'"):
        data.delete_dataset("pets")


@pytest.mark.parametrize("name", ["..", ".", "", "digits"])
def test_only_stored_sets_can_be_deleted(pets, name):
    with pytest.raises(DatasetError):
        data.delete_dataset(name)
    assert pets.exists()


def test_what_a_killed_import_left_is_swept_after_a_day_and_never_listed(datasets):
    for name, age in (("old", 25), ("young", 1)):
        (datasets / f".incoming-{name}").mkdir(parents=True)
        (datasets / f".incoming-{name}" / "originals.bin").touch()
        for path in (datasets / f".incoming-{name}" / "originals.bin", datasets / f".incoming-{name}"):
            os.utime(path, (time.time() - age * 3600,) * 2)
    (datasets / ".deleted-1").mkdir()
    assert store.names() == []
    store.sweep()
    assert [path.name for path in datasets.iterdir()] == [".incoming-young"]


def test_a_set_of_ones_own_under_a_catalogue_name_is_not_taken_for_the_download(tmp_path):
    data.import_dataset(folder(tmp_path / "made", two_classes()), "mnist")
    [row] = [row for row in list_datasets() if row.name == "mnist"]
    assert (row.kind, row.title, row.images) == ("imported", "mnist", 10)
    with pytest.raises(DatasetError, match=r"Did you mean mnist or kmnist"):
        open_dataset("mnits")


def test_the_list_shows_builtins_stored_sets_and_downloads(pets):
    rows = {row.name: row for row in list_datasets()}
    assert (rows["pets"].kind, rows["pets"].images, rows["pets"].classes, rows["pets"].image_size) == (
        "imported",
        20,
        2,
        10,
    )
    assert not rows["cifar10"].ready
    for name in ("digits", "shapes"):
        dataset, row = open_dataset(name), rows[name]
        found = (len(dataset), len(dataset.classes), dataset.image_size, dataset.channels)
        assert (row.images, row.classes, row.image_size, row.channels) == found
    assert rows.keys() >= {
        "mnist",
        "fashion-mnist",
        "kmnist",
        "flowers102",
        "oxford-pets",
        "eurosat",
        "food101",
        "gtsrb",
    }
