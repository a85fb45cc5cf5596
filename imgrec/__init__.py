"""imgrec: an image-recognition lab. See README.md; the work is in the modules, each importable without Streamlit."""

from typing import Any

__version__ = "0.1.0"


def __dir__() -> list[str]:
    return [*globals(), "fit", "load"]


def __getattr__(name: str) -> Any:
    """`imgrec.fit` and `imgrec.load`, which bring PyTorch along when they are asked for, and not before."""
    if name in ("fit", "load"):
        from imgrec import learner

        return getattr(learner, name)
    raise AttributeError(f"module 'imgrec' has no attribute {name!r}")
