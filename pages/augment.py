"""Augment: what will the network see? The same random changes that training makes, on pictures of your choice."""

import numpy as np
import streamlit as st
import torch

from imgrec import augment, data
from imgrec.data.dataset import SPLITS
from imgrec.language import listed, tr
from imgrec.recipe import FIELDS, RecipeError, command_line
from pages import parts, pickers, thumbnails

DRAWS = 6
FURTHER = ("image_size", "resize", "start_small", "mix", "weights")  # settings that change what is fed beyond this page


def adopt() -> None:
    """Switch on what the address asks for, or, when the page is first seen, what is to be trained with."""
    asked = st.query_params.get("augment", "")
    new = bool(asked) and pickers.is_new("augment", asked)
    if not new and "augment_seen" in st.session_state:
        return
    st.session_state["augment_seen"] = True
    try:
        plan = augment.parse(asked if new else st.session_state.get("recipe_augment", "none"))
    except RecipeError as error:
        st.warning(parts.text(error, 300))
        return
    for name in augment.AUGMENTATIONS if new else plan:
        st.session_state[f"on_{name}"] = name in plan
        if name in plan:
            st.session_state[f"strength_{name}"] = plan[name]


def switches() -> dict[str, float]:
    """One switch and one strength per row of the shelf; what is on, as a plan."""
    plan = {}
    columns = st.columns(3)
    for number, row in enumerate(augment.AUGMENTATIONS.values()):
        with columns[number % 3]:
            on = st.toggle(
                tr(row.title),
                row.name in ("rotate", "shift"),
                key=f"on_{row.name}",
                help=tr(row.help),
                persist_state="session",
            )
            if on:
                plan[row.name] = st.slider(
                    tr("{title}: strength ({unit})", title=tr(row.title), unit=tr(row.unit)), 0.0, float(row.maximum), float(row.default), float(row.step),
                    key=f"strength_{row.name}", persist_state="session", label_visibility="collapsed",
                )  # fmt: skip
    return {name: value for name, value in plan.items() if value}


def preview(
    dataset: data.Dataset, positions: np.ndarray, plan: dict[str, float], seed: int, first: int, same: bool
) -> None:
    """Each picture with its draws: exactly what training with this seed feeds in the epochs from ``first`` on."""
    pictures = augment.to_tensor(dataset.images[positions])
    keys = torch.full((len(positions),), int(positions[0])) if same else torch.from_numpy(positions)
    drawn = [augment.draw(plan, keys, seed, epoch) for epoch in range(first, first + DRAWS)]
    results = [augment.to_pixels(augment.apply(pictures, draws)) for draws in drawn]
    items = []
    for i, position in enumerate(positions):
        items.append(thumbnails.Tile(dataset.images[position], tr("original"), dataset.files[position]))
        for result, draws in zip(results, drawn, strict=True):
            items.append(thumbnails.Tile(result[i], augment.describe(draws, i) if plan else tr("unchanged")))
    with st.container(key="pinned_augment"):
        thumbnails.tiles(items, "preview", 84, clickable=False, columns=DRAWS + 1)
    normalised(dataset, results, len(positions))


def further(size: int) -> list[str]:
    """What the form of Train changes about pictures of that size beside the augmentation, in its words."""
    asked = {name: st.session_state.get(f"recipe_{name}", FIELDS[name].default) for name in FURTHER}
    if asked["image_size"] in (0, size):
        del asked["image_size"]  # as this page shows them
    differs = {name: value for name, value in asked.items() if value != FIELDS[name].default}
    return [f"{tr(FIELDS[name].metadata['title'])}: {parts.text(str(value), 60)}" for name, value in differs.items()]


def normalised(dataset: data.Dataset, results: list[np.ndarray], count: int) -> None:
    """The last step before the network: minus the mean, divided by the standard deviation."""
    mean, std = dataset.channel_statistics("train")
    with st.expander(tr("After normalisation: what the network is fed")):
        values = [
            (result[i] / 255 - mean) / np.maximum(std, 1 / 255) for i in range(min(count, 2)) for result in results
        ]
        low, high = min(v.min() for v in values), max(v.max() for v in values)
        tiles = [
            thumbnails.Tile(
                ((v - low) / max(high - low, 1e-9) * 255).astype(np.uint8),
                f"{v.min():.2f} … {v.max():.2f}",
            )
            for v in values
        ]
        thumbnails.tiles(tiles, "normalised", 84, clickable=False, columns=DRAWS)
        st.caption(
            tr(
                "Training subtracts the mean ({means}) and divides by the standard deviation ({deviations}). Shown "
                "stretched from the smallest value (black) to the largest (white).",
                means=listed(f"{m:.3f}" for m in mean),
                deviations=listed(f"{s:.3f}" for s in std),
            )
        )


st.title(tr("What will the network see?"), anchor=False)
st.write(
    tr(
        "Every epoch shows each picture a little changed, so the network learns what does not matter. Switch "
        "a change on and look."
    )
)
dataset = pickers.dataset_picker()
adopt()
plan = switches()
st.query_params["augment"] = augment.spell(plan)
pickers.written("augment", augment.spell(plan))
left, right = st.columns(2, vertical_alignment="bottom")
count = left.slider(tr("Pictures"), 1, 8, 3, key="augment_count", persist_state="session")
split = right.segmented_control(
    tr("From"), SPLITS, default="train", required=True, key="augment_split", format_func=tr, persist_state="session"
)
with st.container(horizontal=True, vertical_alignment="center"):
    if st.button(tr("New draw"), icon=":material/casino:"):
        st.session_state["draw"] = st.session_state.get("draw", 0) + DRAWS
    if st.button(tr("Other pictures"), icon=":material/shuffle:"):
        st.session_state["augment_pick"] = st.session_state.get("augment_pick", 0) + 1
    same = st.toggle(
        tr("Same draw on all"), key="same_draw", help=tr("Every picture gets the numbers of the first one.")
    )
pool = dataset.indices(split)
if not len(pool):
    st.info(tr("This data set has no {split} pictures; choose another split.", split=tr(split)))
    st.stop()
positions = np.sort(np.random.default_rng(st.session_state.get("augment_pick", 0)).permutation(pool)[:count])
seed, first = st.session_state.get("recipe_seed", 0), st.session_state.get("draw", 0)
preview(dataset, positions, plan, seed, first, same)
st.caption(
    tr(
        "Each row: the original, then what training with seed {seed} feeds the network in epochs {start} to "
        "{end}, to the pixel. The numbers under a picture are the ones that were drawn for it.",
        seed=seed,
        start=first + 1,
        end=first + DRAWS,
    )
)
if differs := further(dataset.image_size):
    st.caption(
        tr(
            "The form of the page Train changes these pictures further, which this page does not show. {settings}.",
            settings=listed(differs),
        )
    )
spelled = augment.spell(plan)
if st.button(tr("Train with this"), type="primary", icon=":material/arrow_forward:"):
    st.session_state["recipe_augment"] = spelled
    parts.go_to("train", dataset=dataset.name)
st.caption(tr("On the command line:"))
st.code(command_line({"dataset": dataset.name, "augment": spelled}), language="sh", wrap_lines=True)
