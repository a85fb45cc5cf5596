"""What classes are called in the reader's language: those of sets that everybody has. Names that people gave are theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imgrec.language import mark, tr

KNOWN = (
    # shapes
    (mark("circle"), mark("square"), mark("triangle"), mark("star"), mark("cross"), mark("ring")),
    # CIFAR-10
    (
        mark("airplane"), mark("automobile"), mark("bird"), mark("cat"), mark("deer"), mark("dog"), mark("frog"),
        mark("horse"), mark("ship"), mark("truck"),
    ),
    # STL-10
    (
        mark("airplane"), mark("bird"), mark("car"), mark("cat"), mark("deer"), mark("dog"), mark("horse"),
        mark("monkey"), mark("ship"), mark("truck"),
    ),
    # Fashion-MNIST
    (
        mark("T-shirt/top"), mark("Trouser"), mark("Pullover"), mark("Dress"), mark("Coat"), mark("Sandal"),
        mark("Shirt"), mark("Sneaker"), mark("Bag"), mark("Ankle boot"),
    ),
    # EuroSAT
    (
        mark("AnnualCrop"), mark("Forest"), mark("HerbaceousVegetation"), mark("Highway"), mark("Industrial"),
        mark("Pasture"), mark("PermanentCrop"), mark("Residential"), mark("River"), mark("SeaLake"),
    ),
    # Imagenette
    (
        mark("tench"), mark("English springer"), mark("cassette player"), mark("chain saw"), mark("church"),
        mark("French horn"), mark("garbage truck"), mark("gas pump"), mark("golf ball"), mark("parachute"),
    ),
)  # fmt: skip


def class_names(classes: Sequence[str]) -> tuple[str, ...]:
    """The names to show for a set's classes, in their order; the classes themselves stay what files and answers say."""
    known = any(len(classes) == len(names) and set(classes) == set(names) for names in KNOWN)
    return tuple(tr(name) if known else name for name in classes)


def class_name(name: str, classes: Sequence[str]) -> str:
    """One of them, or a name that may become one."""
    return class_names(classes)[classes.index(name)] if name in classes else name


def named(rows: Sequence[Mapping]) -> list[dict]:
    """Rows of a report, one for each class and called so under "name", with the names to show."""
    names = class_names([row["name"] for row in rows])
    return [{**row, "name": name} for row, name in zip(rows, names, strict=True)]
