"""What a frozen backbone says of a data set, kept on disk, so that another head on it trains in seconds."""

from __future__ import annotations

import contextlib
from pathlib import Path

import safetensors
import safetensors.torch

from imgrec.home import folder, write_atomic
from imgrec.train import Training
from imgrec.weights import digest

MOST_BYTES = 2**30  # of all that is kept; the oldest goes first


def place(training: Training, fingerprint: str) -> Path:
    """Where the features are kept for these pictures, this preprocessing and this backbone."""
    backbone = {name: value for name, value in training.model.state_dict().items() if not name.startswith("head.")}
    about = [fingerprint, training.recipe.model, repr(training.passport.preprocess), training.precision.name, backbone]
    return folder("features") / f"{digest(about)[:32]}.safetensors"


def recall(training: Training, fingerprint: str) -> bool:
    """Give a training the features that an earlier one kept; whether there were any."""
    if not training.fixed_features:
        return False
    try:
        known = safetensors.torch.load_file(place(training, fingerprint), str(training.device))
    except (OSError, safetensors.SafetensorError):
        return False
    counts = {"train": len(training.train), "validation": len(training.validation)}
    if {split: len(values) for split, values in known.items()} != counts:
        return False
    training.features = known
    return True


def keep(training: Training, fingerprint: str) -> None:
    """Write a training's features down for the next one, if there are any; without room for them, nothing happens."""
    path = place(training, fingerprint)
    if not training.features or path.exists():
        return
    content = {split: values.cpu().contiguous() for split, values in training.features.items()}
    size = sum(values.nbytes for values in content.values())
    if size > MOST_BYTES:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, safetensors.torch.save(content))
        kept = sorted(path.parent.glob("*.safetensors"), key=lambda file: -file.stat().st_mtime)
        held = 0
        for file in kept:
            held += file.stat().st_size
            if held > MOST_BYTES:
                file.unlink()
