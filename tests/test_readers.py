"""readers: tables, IDX files and CIFAR batches give their pixels, names and splits, or one clear sentence."""

import gzip
import io
import pickle

import numpy as np
import pytest
from pictures import folder, picture, reasons, tarred, two_classes, zipped
from PIL import Image

from imgrec.data import DatasetError, open_dataset, original
from imgrec.data.importing import import_dataset


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_beside_pictures_gives_labels_and_splits(tmp_path, split, delimiter):
    pictures = {f"pictures/{i}.png": picture(i) for i in range(12)}
    rows = [["file", "label", "split"][: 2 + split]]
    rows += [
        [f"pictures\\{i}.png", "odd" if i % 2 else "even", "test" if i < 4 else "train"][: 2 + split] for i in range(12)
    ]
    table = "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows)
    files = pictures | {"labels.csv": table.encode()}
    path = folder(tmp_path / "a", files)
    for index, source in enumerate((path / "labels.csv", path, zipped(tmp_path / "b.zip", files))):
        summary = import_dataset(source, f"set{index}")
        assert (summary.images, summary.classes, summary.rejected) == (12, 2, [])
        assert summary.counts["odd"]["test"] == (2 if split else 1)


def test_a_csv_that_lists_missing_outside_or_unlabelled_files_names_them(tmp_path):
    (tmp_path / "secret.png").write_bytes(picture(9))
    table = f"image,class\n1.png,a\n2.png,b\nnone.png,a\n../secret.png,b\n{tmp_path}/secret.png,b\n3.png,\n"
    path = folder(tmp_path / "a", {f"{i}.png": picture(i) for i in (1, 2, 3)} | {"t.csv": table.encode()})
    summary = import_dataset(path / "t.csv", "a")
    assert summary.images == 2
    assert [entry["reason"].split(";")[0] for entry in summary.rejected] == [
        "there is no such file",
        "its path leads out of the data set",
        "its path is absolute",
        "its class has no name",
    ]


def test_what_a_table_inside_a_folder_lists_and_nobody_brought_is_named_once(tmp_path):
    table = "file,label\n1.png,a\n2.png,b\ngone.png,a\nsub/lost.png,b\n../../etc/passwd,a\nbroken.png,a\ngone.png,a\n"
    files = {f"{i}.png": picture(i) for i in (1, 2)} | {"broken.png": b"text", "labels.csv": table.encode()}
    for index, source in enumerate((folder(tmp_path / "a", files), zipped(tmp_path / "b.zip", files))):
        summary = import_dataset(source, f"set{index}")
        assert summary.images == 2
        assert sorted(entry["file"] for entry in summary.rejected) == [
            "../../etc/passwd",
            "broken.png",
            "gone.png",
            "sub/lost.png",
        ]
        assert "there is no such file" in reasons(summary)["gone.png"]
        assert "not a picture" in reasons(summary)["broken.png"]


@pytest.mark.parametrize("named", ["bare", "without ending", "path without ending", "absolute"])
def test_a_table_finds_its_pictures_by_what_fits_only_one(tmp_path, named):
    files = {f"in/{name}/{name}{i}.png": picture(10 * c + i) for c, name in enumerate("ab") for i in range(4)}
    path = folder(tmp_path / "p", files)
    said = {
        "bare": lambda file: file.rpartition("/")[2],
        "without ending": lambda file: file.rpartition("/")[2][:-4],
        "path without ending": lambda file: file[:-4],
        "absolute": lambda file: str(path / file),
    }[named]
    rows = [f"{said(file)},{file.split('/')[1]},{file.endswith('0.png')}" for file in files]
    (path / "t.csv").write_text("\n".join(["fname,labels,is_valid", *rows, "gone/a1.png,a,False"]))
    for source in (path / "t.csv", path):
        summary = import_dataset(source, f"set-of-{source.name.replace('.', '-')}")
        assert (summary.images, summary.classes) == (8, 2)
        assert [summary.counts[name]["validation"] for name in "ab"] == [1, 1]
        if source.name == "t.csv":  # another folder is not guessed
            assert reasons(summary) == {"gone/a1.png": "there is no such file"}


def test_pictures_called_alike_are_told_apart_without_ending_and_not_guessed(tmp_path):
    path = folder(tmp_path / "p", {f"{name}/1.png": picture(c) for c, name in enumerate("abcd")})
    (path / "t.csv").write_text("file,label\na/1,x\nb/1,x\nc/1,y\nd/1,y\n1,x\n1.png,y\n")
    summary = import_dataset(path / "t.csv", "alike")
    assert summary.counts["x"].keys() == summary.counts["y"].keys()
    assert summary.images == 4
    assert set(reasons(summary)) == {"1", "1.png"}


def test_what_was_kept_apart_under_a_word_that_is_not_known_is_never_learned_from(tmp_path):
    path = folder(tmp_path / "p", {f"{i}.png": picture(i) for i in range(24)})
    words = ("train", "", "holdout", "TEST")
    rows = [f"{i}.png,{'ab'[i % 2]},{words[i // 6]}" for i in range(24)]
    (path / "t.csv").write_text("\n".join(["file,label,split", *rows]))
    for source in (path, path / "t.csv"):
        summary = import_dataset(source, f"from-{source.suffix[1:] or 'folder'}")
        assert summary.images == 18
        assert set(reasons(summary)) == {f"{i}.png" for i in range(12, 18)}
        assert all("'holdout' is no split" in reason for reason in reasons(summary).values())


def test_a_table_with_other_headings_names_those_it_has(tmp_path):
    path = folder(tmp_path / "p", two_classes() | {"t.csv": b"day,weather\n1,fine\n"})
    with pytest.raises(DatasetError, match="but day, weather; give them these headings"):
        import_dataset(path / "t.csv", "a")


def test_a_csv_about_something_else_does_not_hide_the_class_folders(tmp_path):
    files = two_classes() | {"notes.csv": b"day,weather\n1,fine\n"}
    summary = import_dataset(folder(tmp_path / "a", files), "a")
    assert summary.images == 10
    assert list(reasons(summary)) == ["notes.csv"]


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


def idx_files(train=30, test=10, pack=gzip.compress, ending=".gz"):
    files = {}
    for word, count in (("train", train), ("t10k", test)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 9, 7), np.uint8)
        files[f"{word}-images-idx3-ubyte{ending}"] = pack(idx(pixels))
        files[f"{word}-labels-idx1-ubyte{ending}"] = pack(idx((np.arange(count) % 10).astype(np.uint8)))
    return files


def test_idx_files_come_with_their_splits_from_folder_zip_and_tar(tmp_path):
    made = [folder(tmp_path / "raw", idx_files()), folder(tmp_path / "bare", idx_files(pack=bytes, ending=""))]
    made += [zipped(tmp_path / "a.zip", idx_files()), tarred(tmp_path / "a.tar.gz", idx_files())]
    for index, source in enumerate(made):
        summary = import_dataset(source, f"set{index}")
        assert (summary.images, summary.classes, summary.rejected) == (40, 10, [])
    dataset = open_dataset("set0", 9, "squash")
    assert dataset.sizes[0].tolist() == [7, 9]
    first = dataset.files.index("train-00000")
    pixels = np.random.default_rng(30).integers(0, 256, (30, 9, 7), np.uint8)[0]
    assert (np.asarray(Image.open(io.BytesIO(original("set0", first)))) == pixels).all()
    assert dataset.splits[first] in (0, 1)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda f: f.pop("train-labels-idx1-ubyte.gz"), "comes without its labels"),
        (
            lambda f: f.update({"train-labels-idx1-ubyte.gz": gzip.compress(idx(np.zeros(29, np.uint8)))}),
            "labels are 29",
        ),
        (lambda f: f.update({"train-images-idx3-ubyte.gz": f["train-images-idx3-ubyte.gz"][:-40]}), "get it again"),
        (lambda f: f.update({"train-images-idx3-ubyte.gz": b"hello, world"}), "not an IDX file"),
        (
            lambda f: f.update({"t10k-images-idx3-ubyte.gz": gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12)}),
            "but its labels",
        ),
    ],
)
def test_idx_files_that_do_not_fit_are_refused_in_one_sentence(tmp_path, workspace, change, what):
    change(files := idx_files())
    with pytest.raises(DatasetError, match=what):
        import_dataset(folder(tmp_path / "raw", files), "a")
    assert not any((workspace / "datasets").iterdir())


def batch(count, key, protocol=2, **more):
    data = np.random.default_rng(count).integers(0, 256, (count, 3072), np.uint8)
    return pickle.dumps({"data": data, key: [i % 3 for i in range(count)]} | more, protocol)


def cifar_files(protocol=4):
    meta = pickle.dumps({b"label_names": ["cat", "dog", "eel"]}, protocol)
    batches = {f"data_batch_{i}": batch(30 + i, "labels", protocol) for i in (1, 2)} | {
        "test_batch": batch(9, "labels", protocol)
    }
    return {f"cifar-10-batches-py/{name}": content for name, content in (batches | {"batches.meta": meta}).items()}


@pytest.mark.parametrize("protocol", [4, 5])
def test_cifar_batches_keep_pixels_names_and_splits(tmp_path, protocol):
    files = cifar_files(protocol)
    for index, source in enumerate((folder(tmp_path / "a", files), tarred(tmp_path / "a.tar.gz", files))):
        summary = import_dataset(source, f"set{index}")
        assert (summary.images, summary.classes) == (72, 3)
        assert sum(counts["test"] for counts in summary.counts.values()) == 9
    dataset = open_dataset("set0")
    assert dataset.classes == ("cat", "dog", "eel")
    expected = np.random.default_rng(31).integers(0, 256, (31, 3072), np.uint8)[0].reshape(3, 32, 32).transpose(1, 2, 0)
    assert (dataset.images[dataset.files.index("data_batch_1-00000")] == expected).all()


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_a_batch_that_would_run_code_is_refused_and_runs_nothing(tmp_path, capsys):
    files = cifar_files() | {"cifar-10-batches-py/data_batch_1": pickle.dumps({"data": Evil()})}
    with pytest.raises(DatasetError, match=r"builtins\.print"):
        import_dataset(folder(tmp_path / "a", files), "a")
    assert "code ran" not in capsys.readouterr().out
