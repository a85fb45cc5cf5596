"""Several values of a setting at once: each combination is a recipe of its own, and what came out is compared by setting.

Runs that differ in nothing but their seed say together how much of a difference is luck.
"""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from imgrec.language import listed, tr
from imgrec.recipe import FIELDS, Recipe, RecipeError

MOST = 50  # trainings of one sweep
LUCK, TAG = "seed", "sweep "
ACCURACIES = ("validation_accuracy", "test_accuracy")
ONE = ("dataset", "weights", "augment")  # settings in whose text a comma means something else
SEVERAL = [name for name in FIELDS if name not in ONE]
Row = Mapping[str, Any]


def parse(name: str, text: str) -> list[Any]:
    """The values that a text gives a setting, with commas between, each once: "0.01, 0.003" → [0.01, 0.003].

    Raises RecipeError on one that the setting cannot have.
    """
    whole = name in ONE or text.strip().startswith("custom:")
    parts = [text] if whole else [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise RecipeError(tr("{name} has no value; give one, or several with commas between.", name=name))
    return list(dict.fromkeys(_value(name, part) for part in parts))


def _value(name: str, text: str) -> Any:
    """The text as a recipe would keep it."""
    kind = type(FIELDS[name].default)
    try:
        value = kind(text)
    except ValueError:
        value = text  # the recipe says what is wrong with it
    return getattr(Recipe(**{name: value}), name)


def suggest(name: str, value: Any) -> list[Any]:
    """Values worth comparing with the one that is set, which is among them; that alone where none can be guessed."""
    about, kind = FIELDS[name].metadata, type(FIELDS[name].default)
    if "choices" in about:
        return list(about["choices"])
    if name == LUCK:
        around = value, value + 1, value + 2
    elif kind is str or not value:
        return [value]
    elif about.get("log"):
        around = value / 3, value, value * 3
    else:
        around = (
            (value // 2, value, value * 2) if kind is int else (value - about["step"], value, value + about["step"])
        )
    rounded = dict.fromkeys(each if kind is int else float(f"{each:.2g}") if each != value else each for each in around)
    return [each for each in rounded if about["minimum"] <= each <= about["maximum"]]


def count(lists: Mapping[str, Sequence[Any]]) -> int:
    """How many combinations there are of the listed values."""
    return math.prod(map(len, lists.values()))


def recipes(recipe: Recipe, lists: Mapping[str, Sequence[Any]], draw: int = 0) -> list[Recipe]:
    """Every combination of the listed values, the last list turning fastest; ``{}`` gives the recipe alone.

    ``draw``: only so many, drawn at random by the recipe's seed. Where one setting matters more than another, a draw tries
    more values of it than a grid of as many trainings (Bergstra and Bengio, Random search for hyper-parameter
    optimization, JMLR 2012). Raises RecipeError on an unknown setting, and beyond MOST trainings.
    """
    for name in lists:
        if name not in SEVERAL:
            raise RecipeError(tr("{name} takes one value; several can be given to {names}.", name=name, names=listed(SEVERAL)))  # fmt: skip
    chosen: Sequence[int] = range(count(lists))
    if 0 < draw < len(chosen):
        chosen = sorted(random.Random(recipe.seed).sample(chosen, draw))
    if len(chosen) > MOST:
        raise RecipeError(
            tr("That makes {count:,} trainings; {most} at a time are enough.", count=len(chosen), most=MOST)
        )
    return [dataclasses.replace(recipe, **_combination(number, lists)) for number in chosen]


def _combination(number: int, lists: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The values of the combination of that number."""
    values = {}
    for name in reversed(lists):
        number, place = divmod(number, len(lists[name]))
        values[name] = lists[name][place]
    return values


def different(rows: Iterable[Row]) -> list[str]:
    """The settings in which rows of runs are not all the same."""
    rows = list(rows)
    return [name for name in FIELDS if len({str(row.get(name)) for row in rows}) > 1]


def groups(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Runs that differ in nothing but their seed together: the settings in which the groups differ, "runs", and for both
    accuracies their mean and, of two or more, their standard deviation; the best validation first."""
    rows = list(rows)
    settings = [name for name in different(rows) if name != LUCK]
    together: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        together.setdefault(tuple(str(row.get(name)) for name in settings), []).append(row)
    found = [
        {**{name: members[0].get(name) for name in settings}, "runs": len(members), **_figures(members)}
        for members in together.values()
    ]
    return sorted(found, key=lambda group: -(group["validation_accuracy"] or 0))


def _figures(members: Sequence[Row]) -> dict[str, float | None]:
    """Mean and standard deviation of what is known of each accuracy."""
    figures: dict[str, float | None] = {}
    for name in ACCURACIES:
        known = [row[name] for row in members if row.get(name) is not None]
        figures[name] = statistics.mean(known) if known else None
        figures[f"{name}_deviation"] = statistics.stdev(known) if len(known) > 1 else None
    return figures


def spread(group: Mapping[str, Any], name: str) -> str:
    """An accuracy of a group in words: "97.10 % ± 0.30"."""
    mean, deviation = group[name], group[f"{name}_deviation"]
    return "" if mean is None else f"{100 * mean:.2f}%" + (f" ± {100 * deviation:.2f}" if deviation is not None else "")


def tag() -> str:
    """What the runs of a sweep that starts now are tagged with."""
    return f"{TAG}{datetime.now():%Y-%m-%d %H:%M:%S}"


def tag_among(tags: Iterable[str]) -> str | None:
    """The tag of a sweep, if one is there."""
    return next((tag for tag in tags if tag.startswith(TAG)), None)


def words(recipe: Recipe, lists: Mapping[str, Sequence[Any]]) -> str:
    """What a recipe has of the listed values: "learning_rate 0.01, seed 2"."""
    return ", ".join(f"{name} {getattr(recipe, name)}" for name in lists)
