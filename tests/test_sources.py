"""sources: every trap in a folder or an archive is refused, alone or with the whole, and nothing lands outside."""

import stat
import tarfile
import zipfile

import pytest
from pictures import folder, picture, reasons, tarred, two_classes, zipped

from imgrec.data import DatasetError, sources
from imgrec.data.importing import import_dataset


def test_unsafe_zip_entries_are_refused_one_by_one_and_nothing_lands_outside(tmp_path):
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    unsafe = {name: picture(1) for name in ("../../up.png", "/etc/abs.png", "C:\\abs.png", "cat/..\\..\\up.png")}
    path = zipped(tmp_path / "a.zip", two_classes() | unsafe | {link: b"/etc/passwd"})
    before = set(tmp_path.rglob("*"))
    summary = import_dataset(path, "a")
    assert summary.images == 10
    assert set(reasons(summary)) == {"../../up.png", "/etc/abs.png", "C:/abs.png", "cat/../../up.png", "cat/link.png"}
    assert set(tmp_path.rglob("*")) == before


def test_links_and_devices_in_a_tar_are_refused_one_by_one(tmp_path):
    path = tarred(tmp_path / "a.tar", two_classes() | {"../up.png": picture(1)}, "w")
    with tarfile.open(path, "a") as archive:
        for name, kind in (
            ("sym", tarfile.SYMTYPE),
            ("hard", tarfile.LNKTYPE),
            ("dev", tarfile.CHRTYPE),
            ("fifo", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(f"cat/{name}.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    summary = import_dataset(path, "a")
    assert summary.images == 10
    assert set(reasons(summary)) == {"../up.png", "cat/sym.png", "cat/hard.png", "cat/dev.png", "cat/fifo.png"}


def test_links_in_a_folder_are_not_followed(tmp_path):
    path = folder(tmp_path / "a", two_classes())
    outside = folder(tmp_path / "outside", {"x.png": picture(3)})
    (path / "cat" / "link.png").symlink_to(outside / "x.png")
    (path / "eel").symlink_to(outside)
    assert set(reasons(import_dataset(path, "a"))) == {"cat/link.png", "eel"}


def test_empty_class_folders_do_not_vanish_without_a_word(tmp_path):
    path = folder(tmp_path / "a", two_classes())
    (path / "eel").mkdir()
    (path / ".git").mkdir()
    assert reasons(import_dataset(path, "a")) == {"eel": "it is an empty folder"}


def test_an_unknown_file_is_no_damaged_tar(tmp_path):
    (tmp_path / "notes.txt").write_text("a note")
    with pytest.raises(DatasetError, match="no folder, no ZIP, no TAR and no table"):
        import_dataset(tmp_path / "notes.txt", "a")
    (tmp_path / "cut.tar").write_bytes(b"x")
    with pytest.raises(DatasetError, match="not a whole TAR"):
        import_dataset(tmp_path / "cut.tar", "a")
    tarred(tmp_path / "photos.1", two_classes())
    assert import_dataset(tmp_path / "photos.1", "a").images == 10


def test_an_encrypted_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"cat/1.png": b""})
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.zip is encrypted"):
        import_dataset(path, "a")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_an_archive_that_was_cut_short_is_refused_and_leaves_nothing(tmp_path, workspace, kind, share):
    files = two_classes(30)
    path = tmp_path / f"a.{kind}"
    zipped(path, files) if kind == "zip" else tarred(path, files, "w" + kind[3:].replace(".", ":"))
    whole = path.read_bytes()
    length = int(len(whole) * share) if kind != "tar" else int((len(whole) - 10240) * share) // 512 * 512
    path.write_bytes(whole[:length])
    with pytest.raises(DatasetError, match=r"not a whole (ZIP|TAR) file"):
        import_dataset(path, "a")
    assert not list((workspace / "datasets").glob("*"))


def test_a_damaged_entry_in_a_whole_zip_is_refused_alone(tmp_path):
    path = zipped(tmp_path / "a.zip", two_classes())
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)
    summary = import_dataset(path, "a")
    assert summary.images == 9
    assert "cat/0.png" in reasons(summary)


def test_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "FILE_BYTES", 10_000)
    summary = import_dataset(zipped(tmp_path / "a.zip", two_classes() | {"cat/big.png": bytes(10_001)}), "a")
    assert "bigger than" in reasons(summary)["cat/big.png"]
    monkeypatch.setattr(sources, "RATIO_FROM", 50_000)
    monkeypatch.setattr(sources, "RATIO", 10)
    blank = {f"{name}/{i}.bmp": bytes(9000) for name in ("cat", "dog") for i in range(50)}
    for path in (zipped(tmp_path / "b.zip", blank), tarred(tmp_path / "b.tar.gz", blank)):
        with pytest.raises(DatasetError, match="unpacks to over 10 times"):
            import_dataset(path, "b")
    monkeypatch.setattr(sources, "ENTRIES", 99)
    with pytest.raises(DatasetError, match="more than 99 files"):
        import_dataset(tmp_path / "b.zip", "b")


def test_a_tar_header_that_claims_gigabytes_is_not_read_into_memory(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**31
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(DatasetError, match="claims"):
        import_dataset(tmp_path / "a.tar", "a")


def test_the_total_is_bounded_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGREC_MAX_IMPORT_GB", "0.000001")
    with pytest.raises(DatasetError, match="IMGREC_MAX_IMPORT_GB"):
        import_dataset(folder(tmp_path / "a", two_classes()), "a")
