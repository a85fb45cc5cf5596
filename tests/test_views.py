"""Views: filters and orders give the pictures they name, the same ones as the slow way, and quickly for a million."""

from dataclasses import replace

import numpy as np
import pytest

from imgrec.data import Edit, Item, edit, import_dataset, open_dataset
from imgrec.data.dataset import LEFT_OUT, UNLABELLED
from imgrec.data.health import measure
from imgrec.data.views import ORDERS, PLACES, View, select
from imgrec.images import to_png


@pytest.fixture
def pets():
    """Thirty pictures of growing brightness in three classes, one left out; four more wait for a label."""
    items = [
        Item(f"{c}/{i:02d}.png", to_png(np.full((8 + i, 9, 3), 7 * i, np.uint8)), c)
        for i, c in enumerate(["ant", "bee", "cat"] * 10)
    ]
    waiting = [Item(f"w/{i}.png", to_png(np.full((8, 8, 3), 250 - i, np.uint8)), "", "unlabelled") for i in range(4)]
    import_dataset([*items, *waiting], "pets")
    edit("pets", Edit("exclude", (5,)))
    return open_dataset("pets")


def test_every_filter_gives_exactly_the_pictures_it_names(pets):
    every = select(pets, View())
    assert sorted(every) == [i for i in range(34) if i != 5]
    for name, code in PLACES.items():
        assert sorted(select(pets, View(places=(name,)))) == np.flatnonzero(pets.splits == code).tolist()
    bees = select(pets, View(classes=("bee",)))
    assert {pets.classes[pets.labels[i]] for i in bees} == {"bee"}
    assert sorted(select(pets, View(text="CAT/"))) == [
        i for i, name in enumerate(pets.files) if "cat/" in name and pets.splits[i] != LEFT_OUT
    ]
    assert len(select(pets, View(classes=("bee",), places=("unlabelled",)))) == 0
    assert len(select(pets, View(classes=("dragon",)))) == 0
    assert set(select(pets, View(places=("unlabelled", "left out")))) == {5, *np.flatnonzero(pets.splits == UNLABELLED)}


@pytest.mark.parametrize("order", [name for name in ORDERS if name != "mixed"])
def test_every_order_sorts_up_and_down(pets, order):
    measures = measure(pets)
    column = ORDERS[order].column(pets, measures)
    up, down = (column[select(pets, View(order=order, descending=d), measures)] for d in (False, True))
    assert (np.diff(up) >= 0).all()
    assert (np.diff(down) <= 0).all()
    assert len(up) == 33
    if ORDERS[order].measured:
        with pytest.raises(ValueError, match="needs measures"):
            select(pets, View(order=order))


def test_the_mixed_order_comes_from_its_seed(pets):
    assert (select(pets, View(seed=1)) == select(pets, View(seed=1))).all()
    assert (select(pets, View(seed=1)) != select(pets, View(seed=2))).any()


def test_built_in_sets_can_be_searched_too():
    digits = open_dataset("digits")
    assert select(digits, View(text="DIGIT-0003")).tolist() == [3]


def test_a_set_without_any_label_can_be_viewed(pets):
    empty = replace(pets, classes=(), labels=np.full(34, -1), splits=np.full(34, UNLABELLED, np.uint8))
    assert len(select(empty, View())) == 34
