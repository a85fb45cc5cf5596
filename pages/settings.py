"""Shared: the settings of the next training, kept in the address in the words of the command line: ?preset=few&epochs=4."""

import dataclasses
from collections.abc import Mapping, Sequence

import streamlit as st

from imgrec import models, shelves, sweep
from imgrec.language import tr
from imgrec.models import custom
from imgrec.recipe import FIELDS, PRESETS, one_of
from imgrec.runs import Run
from pages import layers, parts, pickers

SHELVES = {
    "model": models.SHELF,
    "optimiser": shelves.OPTIMISERS,
    "loss": shelves.LOSSES,
    "schedule": shelves.SCHEDULES,
}
NAMES = tuple(name for name in FIELDS if name != "dataset")


def of_preset(preset: str) -> dict[str, object]:
    """What a preset stands for, every setting."""
    return {**{name: FIELDS[name].default for name in NAMES}, **PRESETS[preset]}


def fill(values: Mapping[str, object], preset: str) -> None:
    """Put settings into the form of the page Train, over those of a preset."""
    every = {**of_preset(preset), **values}
    if every["model"].startswith(custom.PREFIX):
        layers.begin(every["model"])
        every["model"] = "custom"
    st.session_state["preset"] = preset
    for name in NAMES:
        st.session_state[f"recipe_{name}"] = every[name]


def fill_in(run: Run, **changes: object) -> None:
    """Go to the page that trains with this run's settings in its form, some of them changed."""
    values = {**dataclasses.asdict(run.recipe), **changes}
    others = {preset: sum(of_preset(preset)[name] != values[name] for name in NAMES) for preset in PRESETS}
    fill(values, min(PRESETS, key=others.get))  # shown is the preset that it is most like
    st.session_state["preset_suggested"] = ""  # these are chosen
    parts.go_to("train", dataset=str(values["dataset"]))


def suggest(preset: str) -> None:
    """Choose the preset that suits the data set, unless somebody has chosen otherwise."""
    before = st.session_state.get("preset_suggested", "standard")
    fields = of_preset(before or preset)
    untouched = all(st.session_state.get(f"recipe_{name}", fields[name]) == fields[name] for name in NAMES)
    if preset != before and st.session_state["preset"] == before and (untouched or before == "few"):
        fill({}, preset)  # the network of few takes no other pictures
    st.session_state["preset_suggested"] = preset


def adopt() -> None:
    """Take over what the address asks for, unless this form wrote it there; to be called before any of its fields.

    An address that names no settings, as the menu's, leaves them as they were."""
    asked = {name: st.query_params[name] for name in ("preset", *NAMES, "draw") if name in st.query_params}
    st.session_state.setdefault("preset", "standard")
    entered = st.session_state.pop("entered", False)
    if entered and "layers_now" in st.session_state:
        layers.begin(st.session_state["layers_now"])
    if asked and pickers.is_new("settings", asked):
        _take(asked)
        pickers.written("settings", asked)


def _take(asked: Mapping[str, str]) -> None:
    """Fill the form with what is asked for; what cannot be is said and left as it is."""
    preset, values, lists = "standard", {}, {}
    for name, text in asked.items():
        try:
            if name == "preset":
                preset = one_of(name, text, PRESETS)
            elif name != "draw":
                found = sweep.parse(name, text)
                for value in found:
                    if str(value).startswith(custom.PREFIX):
                        custom.parse(value.removeprefix(custom.PREFIX))
                    elif name in SHELVES:
                        one_of(name, value, SHELVES[name])
                values[name] = found[0]
                if len(found) > 1:
                    lists[name] = found
        except ValueError as error:
            st.warning(parts.text(tr("In the address: {error}", error=error), 300))
    fill(values, preset)
    if "preset" in asked:
        st.session_state["preset_suggested"] = ""  # somebody has chosen
    st.session_state["vary"] = list(lists)[:3]
    for name, found in lists.items():
        st.session_state[f"several_{name}"] = found if _chosen(name) else ", ".join(map(str, found))
    if lists:
        st.session_state["several_values"] = True
        every, draw = sweep.count(lists), asked.get("draw", "")
        if draw.isdecimal() and 0 < int(draw) < min(every, sweep.MOST):
            st.session_state[f"draw {every}"] = int(draw)


def _chosen(name: str) -> bool:
    """Whether a setting is chosen from a list instead of typed."""
    return name in SHELVES or "choices" in FIELDS[name].metadata


def differing(values: Mapping[str, object], lists: Mapping[str, Sequence], draw: int) -> dict[str, str]:
    """What the command line has to be told for these settings, beside the data set: option → text."""
    preset = st.session_state["preset"]
    base = of_preset(preset)
    said = {} if preset == "standard" else {"preset": preset}
    for name in NAMES:
        several = [str(value) for value in lists.get(name, ())]
        if any(text.startswith(custom.PREFIX) for text in several):
            several = []  # its commas are its own
        if several or values[name] != base[name]:
            said[name] = ",".join(several) or str(values[name])
    return {**said, "draw": str(draw)} if draw else said


def keep(said: Mapping[str, str]) -> None:
    """Write settings into the address, and leave all else there as it is."""
    if "preset" not in said and st.session_state.get("preset_suggested", "standard") != "standard":
        said = {"preset": "standard", **said}
    others = {name: text for name, text in st.query_params.items() if name not in ("preset", *NAMES, "draw")}
    if st.query_params.to_dict() != {**others, **said}:
        st.query_params.from_dict({**others, **said})
    pickers.written("settings", dict(said))
