"""What pages share about sweeps: several values of a setting at once, and how the trainings that came of it stand."""

from contextlib import suppress
from typing import NamedTuple

import streamlit as st

from imgrec import queue, sweep, trainings
from imgrec.jobs import LIVE
from imgrec.language import tr
from imgrec.recipe import FIELDS, Recipe
from imgrec.run_table import rows
from imgrec.runs import Notes, Run, RunError, open_run
from pages import parts, visitors

FEW = 4  # combinations of which nobody wants a part
LOOK = 5  # seconds between two looks at trainings that are still to end


class Several(NamedTuple):
    """Settings that are to have several values, and these; how many of all combinations are wanted."""

    lists: dict[str, list]
    draw: int = 0  # 0: all

    @property
    def complete(self) -> bool:
        """Whether there is a value wherever one is needed."""
        return [] not in self.lists.values()

    @property
    def trainings(self) -> int:
        return self.draw or sweep.count(self.lists)

    def recipes(self, recipe: Recipe) -> list[Recipe]:
        return sweep.recipes(recipe, self.lists, self.draw)


def form(values: dict, shelves: dict) -> Several:
    """Where settings are given several values.

    ``values``: what the form says now; ``shelves``: setting → what it is chosen from, with titles.
    """
    box = st.expander(tr("Several values at once"), icon=":material/grid_on:", key="several_values", on_change="rerun")
    if not box.open:
        return Several({})
    found: dict[str, list] = {}
    with box:
        st.caption(
            tr(
                "Every combination is a training of its own; they take their turns and are compared afterwards. "
                "Several seeds tell how much is luck."
            )
        )
        chosen = st.multiselect(
            tr("Settings to vary"), sweep.SEVERAL, key="vary", max_selections=3, persist_state="session", format_func=_title,
            placeholder=tr("learning rate, seed, network …"),
        )  # fmt: skip
        for column, name in zip(st.columns(max(1, len(chosen))), chosen, strict=False):
            with column:
                found[name] = _field(name, values[name], shelves.get(name, {}))
        return Several(found, _drawn(sweep.count(found)))


def _drawn(every: int) -> int:
    """How many of all combinations are wanted; 0 for all."""
    if every < FEW:
        return 0
    most = min(every, sweep.MOST)
    wanted = st.number_input(
        tr("How many of the {n:,} combinations", n=every), 1, most, most, key=f"draw {every}", width=260,
        help=tr(
            "Fewer than all are drawn at random. Where one setting matters more than another, that tries more of its "
            "values than a grid (Bergstra and Bengio 2012)."
        ),
    )  # fmt: skip
    return wanted if wanted < every else 0


def _title(name: str) -> str:
    return tr(FIELDS[name].metadata["title"])


def _field(name: str, value: object, shelf: dict) -> list:
    """Where several values of a setting are given; empty, and said why, if it cannot have one of them."""
    key, guess, choices = f"several_{name}", sweep.suggest(name, value), FIELDS[name].metadata.get("choices")
    if not shelf and not choices:
        st.session_state.setdefault(key, ", ".join(f"{each:g}" for each in guess))
        text = st.text_input(_title(name), key=key, help=tr("With commas between."), persist_state="session")
        try:
            return sweep.parse(name, text)
        except ValueError as error:
            st.error(parts.text(error, 300))
            return []
    options = dict.fromkeys([*guess, *shelf])
    options.pop("custom", None)  # the one that is put together in the form is the form's value
    st.session_state.setdefault(key, guess)
    return st.multiselect(
        _title(name), list(options), key=key, persist_state="session",
        format_func=lambda row: tr(shelf[row.partition(":")[0]].title) if shelf else row,
    )  # fmt: skip


def button(wanted: Several) -> str:
    """What the button says that starts them."""
    n = wanted.trainings
    return tr("Start {n} trainings", n=n) if n > 1 else tr("Start training")


def start(recipe: Recipe, wanted: Several) -> list[Run]:
    """Start a training for each combination; if there are several, their notes say what is whose. Raises what
    `trainings.start_all` raises."""
    recipes, tag = wanted.recipes(recipe), sweep.tag()
    notes = [Notes(tags=(tag,), text=sweep.words(each, wanted.lists)) for each in recipes] if len(recipes) > 1 else ()
    return trainings.start_all(recipes, visitors.visitor(), notes)


def together(run: Run) -> None:
    """If the run belongs to a sweep: how many of it have ended, all of them compared, and the others stopped."""
    tag = sweep.tag_among(run.notes.tags)
    if tag:
        alive = any(tag in other.notes.tags for other in queue.live_runs())
        st.fragment(_together, run_every=LOOK if alive else None)(tag, alive)


def _together(tag: str, alive: bool) -> None:
    members = [row for row in rows() if tag in row["tags"]]
    left = [row["run"] for row in members if row["status"] in LIVE]
    if left:
        ended = len(members) - len(left)
        st.progress(ended / len(members), tr("{ended} of {n} trainings that were started together have ended", ended=ended, n=len(members)))  # fmt: skip
    with st.container(horizontal=True):
        if st.button(
            tr("Compare the {n} trainings", n=len(members)), icon=":material/compare_arrows:", key="compare_all"
        ):
            st.session_state["runs_picked"] = [row["run"] for row in members]
            parts.go_to("runs")
        mine = [run for run in map(open_run, left) if visitors.may_change(run)]
        if mine and st.button(tr("Stop all of them"), icon=":material/stop:", key="stop_all"):
            for each in reversed(mine):  # or the next would begin before it is told
                with suppress(RunError):  # it has ended by now
                    trainings.stop(each.name)
            st.rerun()
    if alive and not left:
        st.rerun()  # nothing to look after any more
