"""The shelf of models: importing this package fills it, one row per network, ours first, then by year."""

from imgrec.models import custom, fast, imagenet, senet, small  # noqa: F401  fill the shelf
from imgrec.models.shelf import SHELF, Card, ModelError, build, card, layers, operations, parameters

__all__ = ["SHELF", "Card", "ModelError", "build", "card", "layers", "operations", "parameters"]

for _name in sorted(SHELF, key=lambda name: (SHELF[name].pretrained, name != "seed-cnn", SHELF[name].year)):
    SHELF[_name] = SHELF.pop(_name)
