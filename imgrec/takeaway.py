"""What lies beside an exported network in a ZIP: a script that classifies with it, a card, the class names."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from imgrec.data.archive import add

FIT = {  # how a picture becomes a square, as `images` does it
    "crop": """    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, (left, top, left + side, top + side))""",
    "pad": """    width, height = (max(1, round(s * SIZE / max(image.size))) for s in image.size)
    square = Image.new(image.mode, (SIZE, SIZE))
    square.paste(image.resize((width, height), Image.Resampling.BILINEAR), ((SIZE - width) // 2, (SIZE - height) // 2))
    image = square""",
    "squash": "    image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)",
}

SCRIPT = '''"""Classify pictures with model.onnx, which lies beside this script (needs onnxruntime, numpy and Pillow)."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

SIZE, MODE = {size}, "{mode}"
HERE = Path(__file__).parent
parser = argparse.ArgumentParser(description=__doc__, epilog="Prints file, class and probability, likeliest first, with "
                                 "tabs between; ends with 1 if a file could not be read.")
parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="a picture, or a folder of them")
parser.add_argument("--top", type=int, default=5, help="how many classes to print of each (default 5)")


def files(places):
    """The files named, and of folders those that end like pictures."""
    endings = set(Image.registered_extensions())
    for place in places:
        inside = sorted(place.rglob("*")) if place.is_dir() else ()
        yield from (path for path in inside if path.suffix.lower() in endings and path.is_file())
        if not place.is_dir():
            yield place


def see(path):
    image = Image.open(path)
    image.draft(None, (2 * SIZE, 2 * SIZE))  # large JPEGs open faster
    tags = getattr(image, "tag_v2", {{}})  # of a TIFF; what is turned has none
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers without an agreed white; save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # of 16 bits the upper 8
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"its pixels are numbers from {{values.min()}} to {{values.max()}}; save it with 8 or 16 bits")
        pixels = (values >> (4 if tags.get(258) == (12,) else 8)).astype(np.uint8)
        pixels = 255 - pixels if tags.get(262) == 0 else pixels  # in a TIFF that says so, 0 is white
        pixels[values == image.info.get("transparency", -1)] = 255
        image = Image.fromarray(pixels)
    if image.has_transparency_data:  # what is transparent lies on white
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image.convert("RGB"), mask=image.getchannel("A"))
        image = white
    image = image.convert("RGB").convert(MODE)
{fit}
    return np.asarray(image).reshape(SIZE, SIZE, {channels})


given = parser.parse_args()
sys.stdout.reconfigure(errors="backslashreplace")  # a name may have letters that the terminal's encoding lacks
classes = json.loads((HERE / "labels.json").read_text("utf-8"))
session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])
answered = refused = 0
for path in files(given.pictures):
    try:
        seen = see(path)
    except Exception as error:  # decoders raise many kinds
        print(f"{{path}}: {{error}}", file=sys.stderr)
        refused += 1
        continue
    answered += 1
    [probabilities] = session.run(None, {{"pictures": seen[None]}})[0]
    for i in np.argsort(-probabilities)[: max(1, given.top)]:
        print(f"{{path}}\\t{{classes[i]}}\\t{{probabilities[i]:.6f}}")
if not answered and not refused:
    print("no pictures there", file=sys.stderr)
sys.exit(1 if refused or not answered else 0)
'''

CARD = """# {model}

A network of {weights:,} weights that tells {count} classes apart: {classes}. It knows only these; whatever it is shown,
it answers with one of them.

- Input: `pictures`, uint8 (N, {size}, {size}, {channels}), values from 0 to 255, fitted by {resize}; normalisation and
  softmax are inside.
- Output: `probabilities`, float32 (N, {count}), in the order of `labels.json`.
{figures}
```sh
pip install onnxruntime numpy pillow
python predict.py photo.jpg   # or a folder; --help says more
```
"""


PAGE = """
`page.html` does the same in a browser, without a network: open it and drop pictures on it.
"""


def packed(onnx: bytes, about: dict[str, Any], weights: int, evaluation: dict[str, Any], page: str = "") -> bytes:
    """A ZIP of model.onnx, labels.json, predict.py, README.md and, if one is given, page.html.

    ``about``: the passport as a dict.
    """
    wanted, classes = about["preprocess"], about["classes"]
    channels = wanted["channels"]
    script = SCRIPT.format(
        size=wanted["size"], channels=channels, mode="L" if channels == 1 else "RGB", fit=FIT[wanted["resize"]]
    )
    figures = ""
    if evaluation:
        low, high = evaluation["interval"]
        linear = evaluation.get("linear_accuracy")
        linear = f", a linear classifier {linear:.1%}" if linear else ""
        figures = (
            f"- Accuracy on {evaluation['images']:,} pictures that it never learned from: {evaluation['accuracy']:.1%} "
            f"(95% interval {low:.1%} to {high:.1%}); always naming the commonest class reaches "
            f"{evaluation['majority_accuracy']:.1%}{linear}.\n"
        )
    names = ", ".join(" ".join(name.split()) for name in classes[:30]) + (" …" if len(classes) > 30 else "")
    card = CARD.format(
        model=about["model"], weights=weights, count=len(classes), classes=names, size=wanted["size"], channels=channels,
        resize=wanted["resize"], figures=figures,
    )  # fmt: skip
    file = io.BytesIO()
    files = {
        "model.onnx": onnx,
        "labels.json": json.dumps(list(classes), ensure_ascii=False),
        "predict.py": script,
        "README.md": card + PAGE * bool(page),
        **({"page.html": page} if page else {}),
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            add(archive, name, content)
    return file.getvalue()
