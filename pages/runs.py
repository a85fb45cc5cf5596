"""Runs: which training was best, and what made the difference? All of them in a table, some of them side by side."""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from zlib import crc32

import streamlit as st

from imgrec import charts, sweep
from imgrec.events import write_events
from imgrec.jobs import LIVE
from imgrec.language import listed, mark, sentences, tr
from imgrec.recipe import FIELDS
from imgrec.run_table import METRICS, SETTINGS, matching, rows
from imgrec.runs import Notes, Run, RunError, delete_run, open_run, restore_run
from imgrec.spreadsheet import as_csv
from pages import parts, pickers, settings, transfers, visitors

SHOWN = (
    "star",
    "test_accuracy",
    "called",
    "validation_accuracy",
    "status",
    "model",
    "dataset",
    "epochs",
    "tags",
    "note",
)
MOST_SHOWN, MOST_COMPARED = 300, 12
FEW = 5  # columns of a comparison, two of which are accuracies
TITLES = {name: field.metadata["title"] for name, field in FIELDS.items()} | {
    "star": "★", "called": mark("Run"), "status": mark("Status"), "validation_accuracy": mark("validation accuracy"),
    "test_accuracy": mark("test accuracy"), "tags": mark("Tags"), "note": mark("Note"), "owner": mark("Started by"), "best_epoch": mark("best epoch"),
    "epoch": mark("epochs learned"), "images_per_second": mark("pictures per second"),
    "balanced_accuracy": mark("balanced accuracy"), "top5": mark("among the first five"), "test_loss": mark("test loss"),
    "calibration_error": mark("calibration error"), "linear_accuracy": mark("a linear classifier's accuracy"),
    "learned_before": mark("test pictures that it may know by heart"),
    "fingerprint": mark("fingerprint of the pictures"),
}  # fmt: skip


def wanted(table: list[dict]) -> tuple[list[dict], list[str]]:
    """The rows that are asked for, and the columns."""
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    words = left.text_input(
        tr("Find"), key="runs_find", max_chars=100, placeholder=tr("a model, a data set, a tag, a word of a note")
    )
    chosen = (st.session_state.get(f"runs_{name}") for name in ("columns", "starred"))
    first = st.session_state.get("runs_dataset", "all"), st.session_state.get("runs_order", "newest")
    active = any(chosen) or first != ("all", "newest")
    with right.popover(  # folded away, for three more kinds of controls would make the page stand a tenth later
        tr("Filter, columns"), icon=":material/filter_alt:", type="primary" if active else "secondary", width="stretch"
    ):
        sets = sorted({row.get("dataset", "") for row in table})
        dataset = st.selectbox(
            tr("Data set"),
            ["all", *sets],
            key="runs_dataset",
            format_func=lambda name: " ".join(name.split()) if name != "all" else tr("all"),
        )
        starred = st.toggle(tr("Only starred"), key="runs_starred")
        columns = st.multiselect(
            tr("More columns"),
            [*SETTINGS, *METRICS],
            key="runs_columns",
            placeholder=tr("any setting or figure"),
            format_func=lambda name: tr(TITLES[name]),
        )
        order = st.selectbox(
            tr("Order of all"),
            [
                "newest",
                *(name for name in dict.fromkeys((*sweep.ACCURACIES, *METRICS, *SETTINGS)) if name != "fingerprint"),
            ],
            key="runs_order",
            format_func=lambda name: tr(TITLES[name]) if name != "newest" else tr("newest first"),
            help=tr("A click on a heading sorts what is shown; this sorts all runs, also those that are not shown."),
        )
        smallest = order != "newest" and st.toggle(tr("Smallest first"), key="runs_smallest")
    found = [row for row in table if dataset in ("all", row.get("dataset")) and (row["star"] or not starred)]
    found = matching(found, words, visitors.spoken)
    if order != "newest":
        columns = [*columns, order]
        known = [row for row in found if row.get(order) is not None]
        known.sort(key=lambda row: _rank(row[order]), reverse=not smallest)
        found = known + [row for row in found if row.get(order) is None]
    several = len({row["owner"] for row in table if not row["bundled"]}) > 1
    return found, [*SHOWN[:4], *["owner"] * several, *SHOWN[4:], *columns]


def _rank(value: object) -> tuple[bool, float, str]:
    """What a column is ordered by: numbers by their size, all else by how it is written."""
    number = isinstance(value, int | float) and value == value
    return number, value if number else 0.0, str(value)


def pick(found: list[dict], columns: list[str]) -> list[str]:
    """The table; gives the names of the runs that are picked in it."""
    if not found:
        st.info(tr("No run is like that; look for another word, or choose another filter."))
        return []
    st.caption(
        sentences(
            tr(
                "{n:,} runs, newest first; a click on a heading sorts. Tick one to work with it, several to compare."
                if st.session_state.get("runs_order", "newest") == "newest"
                else "{n:,} runs; a click on a heading sorts. Tick one to work with it, several to compare.",
                n=len(found),
            ),
            tr("The first {n:,} are shown; find, filter or order to see others.", n=MOST_SHOWN)
            if len(found) > MOST_SHOWN
            else "",
        )
    )
    called = pickers.run_labels([row["run"] for row in found[:MOST_SHOWN]])
    shown = [
        {name: row.get(name) for name in dict.fromkeys([*columns, "run"])}
        | {"called": called(row["run"])}
        | {"star": "★" if row["star"] else "", "status": tr(row["status"])}
        | ({"owner": visitors.spoken(row["owner"])} if "owner" in columns else {})
        for row in found[:MOST_SHOWN]
    ]
    names = [row["run"] for row in shown]
    ticked = [names.index(name) for name in st.session_state.get("runs_picked", ()) if name in names]
    event = parts.grid(  # it keeps the numbers of rows, which are other runs as soon as one is added: then it is a new one
        shown, key=f"runs_table {crc32(repr(names).encode())}", on_select="rerun", selection_mode="multi-row",
        selection_default={"selection": {"rows": ticked}}, placeholder="",
        column_config={
            **{name: tr(TITLES[name]) for name in columns},
            "run": None,  # the whole name is there for who takes the table along
            "star": st.column_config.TextColumn(TITLES["star"], width=30),
            "validation_accuracy": st.column_config.NumberColumn(tr(TITLES["validation_accuracy"]), format="percent"),
            "test_accuracy": st.column_config.NumberColumn(tr(TITLES["test_accuracy"]), format="percent"),
            "owner": st.column_config.TextColumn(tr(TITLES["owner"]), width=110),
            "tags": st.column_config.ListColumn(tr(TITLES["tags"])),
        },
    )  # fmt: skip
    st.session_state["runs_picked"] = picked = [names[number] for number in event.selection.rows if number < len(names)]
    return picked


def one(name: str, table: dict[str, dict]) -> None:
    """What can be done with a run."""
    run = open_run(name)
    st.subheader(parts.text(name, 100), anchor=False)
    with st.container(horizontal=True):
        parts.link("train", "Watch", ":material/model_training:", run=name)
        if run.usable:
            parts.link("evaluate", "Evaluate", ":material/analytics:", run=name)
            parts.link("predict", "Predict", ":material/image_search:", run=name)
            parts.link("export", "Take along", ":material/package_2:", run=name)
        transfers.download(
            tr("For TensorBoard"), lambda: events(run), f"{name}-events.zip", "application/zip", key="events",
            help=tr("Event files; unpack them and open the folder with tensorboard --logdir."),
        )  # fmt: skip
        if st.button(tr("Train again with changes"), icon=":material/content_copy:", key="again"):
            settings.fill_in(run)
        if run.usable and st.button(
            tr("Train further from it"), icon=":material/fast_forward:", key="further",
            help=tr("A new training with the same settings that starts from the best weights of this one."),
        ):  # fmt: skip
            settings.fill_in(run, weights=name)
    if run.bundled:
        st.caption(tr("It came with imgrec and stays as it is."))
        return
    if not visitors.may_change(run):
        st.caption(
            tr("Started by {owner}; only they or the operator can change it.", owner=parts.text(owner))
            if (owner := visitors.whose(run))
            else tr("Started on the command line; only the operator can change it.")
        )
        return
    notes = run.notes
    with st.form(f"notes {name}", border=False):
        left, right = st.columns(2)
        tags = left.text_input(tr("Tags, with commas between"), ", ".join(notes.tags), max_chars=300)
        text = right.text_area(tr("Note"), notes.text, max_chars=2000, height=68)
        star = st.checkbox(tr("Star"), notes.star)
        if st.form_submit_button(tr("Keep the note"), icon=":material/save:"):
            with parts.refusals():
                run.annotate(Notes(star, tuple(tags.split(",")), text))
                st.rerun()
    if table[name]["status"] not in LIVE and st.button(tr("Delete"), icon=":material/delete:", key="delete"):
        with parts.refusals():
            delete_run(run)
            st.session_state["deleted"] = name
            st.rerun()


def events(run: Run) -> bytes:
    """The event files of a run as a ZIP."""
    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in write_events(run, Path(place)).rglob("*"):
            if file.is_file():
                archive.write(file, Path(run.name) / file.relative_to(place))
    return content.getvalue()


def compare(names: list[str], table: dict[str, dict]) -> None:
    """Several runs: their curves, the settings in which they differ, and what these did."""
    every = [table[name] for name in names]
    if len(names) > MOST_COMPARED:
        st.info(
            tr("Of {n} runs the curves and settings of the first {most} are shown.", most=MOST_COMPARED, n=len(names))
        )
    different = sweep.different(every)
    every.sort(key=lambda row: [_rank(row.get(name)) for name in different])
    called = calling(every[:MOST_COMPARED], different)
    overlaid({called[name]: epochs for name in called if (epochs := open_run(name).epochs)})
    st.subheader(tr("What differs"), anchor=False)
    if len({row["fingerprint"] for row in every} - {None}) > 1:  # None before it has begun
        different.append("fingerprint")
    if different:
        parts.grid(side_by_side([table[name] for name in called], [*different, *sweep.ACCURACIES]))
    else:
        st.caption(tr("All their settings are the same; what differs is the machine, or the data set by now."))
    scored = [row for row in every if row.get("validation_accuracy") is not None]
    if len({str(row.get("dataset")).partition(":")[0] for row in every}) > 1:
        st.caption(
            tr(
                "They learned from different data sets; their accuracies are of different pictures and cannot be compared."
            )
        )
    elif scored:
        best = max(scored, key=lambda row: row["validation_accuracy"])
        st.caption(
            tr(
                "Best on the validation pictures: {run}. Choose by that; the test is for the very end.",
                run=parts.text(best["run"], 100),
            )
        )
        did([name for name in different if name not in ("dataset", "fingerprint", sweep.LUCK)][:8], scored)


def overlaid(lines: dict[str, list[dict]]) -> None:
    """The curves of runs, {name: epochs}."""
    if not lines:
        st.info(tr("None of these runs has finished an epoch, so there are no curves yet."))
        return
    for column, quantity in zip(st.columns(2), (mark("loss"), mark("accuracy")), strict=True):
        with column:
            parts.chart(
                charts.overlaid(lines, quantity),
                f"over_{quantity}",
                tr("Validation {quantity} of {n} runs by epoch", quantity=tr(quantity), n=len(lines)),
            )


def side_by_side(every: list[dict], columns: list[str]) -> list[dict]:
    """Rows of a table: a run each where the ``columns`` are few, which fits a phone, else a setting each."""
    label, titles = pickers.run_labels([row["run"] for row in every]), [tr(TITLES[name]) for name in columns]
    said = {label(row["run"]): [_said(row.get(name), name in sweep.ACCURACIES) for name in columns] for row in every}
    if len(columns) <= FEW:
        return [{tr("Run"): run, **dict(zip(titles, values, strict=True))} for run, values in said.items()]
    return [
        {tr("setting"): title, **{run: values[number] for run, values in said.items()}}
        for number, title in enumerate(titles)
    ]


def calling(rows: list[dict], different: list[str]) -> dict[str, str]:
    """What runs are called in a legend: by one or two settings in which they differ, if that tells them apart, else by name."""
    told = {row["run"]: listed(f"{tr(TITLES[name])} {_said(row.get(name))}" for name in different) for row in rows}
    if 1 <= len(different) <= 2 and len(set(told.values())) == len(rows):
        return told
    label = pickers.run_labels(list(told))
    return {name: label(name) for name in told}


def did(settings: list[str], scored: list[dict]) -> None:
    """What the settings in which runs differ did to their validation accuracy, and how much of it may be luck."""
    settings = sorted(settings, key=lambda name: -len({str(row.get(name)) for row in scored}))  # most values first
    titles = {name: tr(TITLES[name]) for name in (*settings, "validation_accuracy")}
    several = len(scored) > 2
    if several and 1 <= len(settings) <= 2:
        parts.chart(
            charts.effect(scored, titles, "log" in FIELDS[settings[0]].metadata),
            "effect",
            tr("Validation accuracy by {setting}", setting=titles[settings[0]]),
        )
        st.caption(tr("One dot is one run; the line goes through the means of those that differ only in their seed."))
    elif several and settings:
        parts.chart(
            charts.parallel(scored, titles), "parallel", tr("Settings of the runs and their validation accuracy")
        )
        st.caption(tr("One line is one run; the darker, the better. Drag along an axis to pick some."))
    groups = sweep.groups(scored) if sweep.LUCK in sweep.different(scored) else []
    if groups and max(group["runs"] for group in groups) > 1:
        parts.grid(
            {**{tr(TITLES[name]): _said(value) for name, value in group.items() if name in FIELDS}, tr("runs"): group["runs"],
             **{tr(TITLES[name]): sweep.spread(group, name) for name in sweep.ACCURACIES}} for group in groups
        )  # fmt: skip
        st.caption(
            tr("Means of runs that differ only in their seed, ± their standard deviation: a difference no larger than that may be luck.")
        )  # fmt: skip


def _said(value: object, share: bool = False) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if share else f"{value:.4g}" if isinstance(value, float) else str(value)


def undo() -> None:
    """What was deleted last can come back."""
    if name := st.session_state.get("deleted"):
        left, right = st.columns([4, 1], vertical_alignment="center")
        left.success(tr("Deleted {name}.", name=parts.text(name, 100)))
        if right.button(tr("Undo"), icon=":material/undo:", key="undo_delete"):
            try:
                restore_run(name)
            except (RunError, OSError) as error:
                st.error(parts.text(error, 300))
            st.session_state["deleted"] = None
            st.rerun()


st.title(tr("Which training was best?"), anchor=False)
undo()
every = rows()
if not every:
    st.info(tr("No training yet."))
    parts.link("train", "Train a network", ":material/arrow_forward:")
    st.stop()
found, columns = wanted(every)
names, table = pick(found, columns), {row["run"]: row for row in every}
if len(names) == 1:
    one(names[0], table)
elif names:
    compare(names, table)
with st.container(horizontal=True):
    transfers.download(
        tr("As CSV"), lambda: as_csv({**row, "tags": " ".join(row["tags"])} for row in found), "runs.csv", "text/csv",
        key="runs_csv",
    )  # fmt: skip
    transfers.download(
        tr("As JSON"), lambda: json.dumps(found, indent=2, ensure_ascii=False), "runs.json", "application/json",
        key="runs_json",
    )  # fmt: skip
