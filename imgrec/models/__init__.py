"""The shelf of models: importing this package fills it, one @register per network."""

from imgrec.models import small  # noqa: F401  fills the shelf
from imgrec.models.shelf import SHELF, Card, ModelError, build, card, parameters

__all__ = ["SHELF", "Card", "ModelError", "build", "card", "parameters"]
