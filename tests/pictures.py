"""Small drawn pictures and the folders and archives they come in, for the tests of imports."""

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image


def picture(number=0, size=(12, 10), mode="RGB", format="PNG"):
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, format)
    return file.getvalue()


def two_classes(each=5, top=""):
    return {f"{top}{name}/{i}.png": picture(100 * c + i) for c, name in enumerate(("cat", "dog")) for i in range(each)}


def folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def reasons(summary):
    return {entry["file"]: entry["reason"] for entry in summary.rejected}
