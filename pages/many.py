"""Shared: a whole folder or archive classified by a process of its own, which goes on when the browser is closed."""

import numpy as np
import streamlit as st

from imgrec import bulk
from imgrec.data import class_name, uploads
from imgrec.images import EXTENSIONS
from imgrec.jobs import Job
from imgrec.language import mark, tr
from pages import parts, thumbnails, transfers


def show(names: str, views: str, temperature: float) -> None:
    """The form, or the job in the address: how far it is, or what it found."""
    job = bulk.find(st.query_params.get("answers", ""))
    if job is not None:
        st.fragment(_watch, run_every=1.0 if parts.live(job) else None)(job)
        return
    turn = st.session_state.setdefault("many_turn", 0)
    kind = st.segmented_control(
        tr("From"), (mark("Archive"), mark("Folder")), default="Archive", required=True, key="many_kind", format_func=tr
    )
    if kind == "Archive":
        file = st.file_uploader(
            tr("ZIP or TAR with pictures"),
            transfers.ARCHIVES,
            key=f"many {turn}",
            max_upload_size=transfers.upload_mb(),
        )
        keep = (lambda: uploads.keep(file.name, file.getvalue())) if file else None
    else:
        files = st.file_uploader(
            tr("A folder with pictures"), EXTENSIONS, accept_multiple_files="directory", key=f"many folder {turn}",
            max_upload_size=transfers.upload_mb(20),
        )  # fmt: skip
        keep = (lambda: uploads.bundle([uploads.Loose(f.name, f.getvalue()) for f in files])) if files else None
    if keep is None and transfers.server_roots():
        path = transfers.server_path(tr("Or a folder or archive on the server"), "many_path")
        keep = (lambda: path) if path else None
    if st.button(
        tr("Classify all"), type="primary", icon=":material/play_arrow:", disabled=keep is None,
        help=None if keep else tr("Choose an archive or a folder first."),
    ):  # fmt: skip
        try:
            job = bulk.start(names, keep(), views, temperature)
        except (ValueError, OSError) as error:
            st.error(parts.text(error, 400))
            return
        st.session_state["many_turn"] = turn + 1
        st.query_params["answers"] = job.name
        st.rerun()


def _watch(job: Job) -> None:
    status, state = job.status, job.state
    if parts.live(job):
        left, right = st.columns([4, 1], vertical_alignment="center")
        left.progress(min(1.0, float(state.get("progress") or 0.0)), parts.text(state.get("detail") or "…", 120))
        if right.button(tr("Cancel"), key="cancel many", disabled=job.asked() is not None):
            job.ask("stop")
        st.session_state["many_live"] = job.name
        return
    if st.session_state.pop("many_live", None) == job.name:
        st.rerun()
    if status == "finished":
        _found(job)
    elif status == "stopped":
        st.info(tr("Cancelled; nothing was kept."))
    else:
        st.error(parts.text(state.get("error") or tr("Its process vanished; start it again."), 400))
    if st.button(tr("Classify another"), icon=":material/restart_alt:", key="many again"):
        del st.query_params["answers"]
        st.rerun()


def _found(job: Job) -> None:
    """How many of what, the first pictures by their answer, and the table of all to take along."""
    summary, shown = bulk.load(job)
    if not summary:
        st.error(tr("What it found cannot be read any more; classify the pictures again."))
        return
    rate = summary["pictures"] / max(summary["seconds"], 1e-9)
    st.success(
        tr(
            "{pictures} classified in {seconds} ({rate:,.0f}/s), {refused:,} refused, {unknown:,} probably none "
            "of the classes."
            if summary["unknown"]
            else "{pictures} classified in {seconds} ({rate:,.0f}/s), {refused:,} refused.",
            pictures=parts.pictures(summary["pictures"]),
            seconds=parts.duration(summary["seconds"]),
            rate=rate,
            refused=summary["refused"],
            unknown=summary["unknown"],
        )
    )
    transfers.download(
        tr("All probabilities as CSV"), lambda: job.file("answers.csv").read_bytes(), "predictions.csv", "text/csv",
        key="many csv",
    )  # fmt: skip
    if summary["why"]:
        with st.expander(tr("Why {refused:,} were refused", refused=summary["refused"])):
            parts.table(summary["why"])
    counts = summary["classes"]
    names, classes = sorted(counts, key=counts.get, reverse=True), summary.get("knows", list(counts))
    if not names:
        return
    chosen = st.selectbox(
        tr("Pictures taken for"),
        names,
        format_func=lambda name: f"{' '.join(class_name(name, classes).split())} ({counts[name]:,})",
        key="many class",
    )
    where = np.flatnonzero(shown["names"] == chosen)
    where = where[np.argsort(-shown["sure"][where], kind="stable")][:120]
    thumbnails.tiles(
        [
            thumbnails.Tile(shown["pictures"][i], f"{shown['sure'][i]:.0%}", str(shown["files"][i]))
            for i in where.tolist()
        ],
        "many tiles", 64, clickable=False,
    )  # fmt: skip
    if len(where) < counts[chosen]:
        st.caption(
            tr("{where:,} of {counts:,} are shown; the table holds all.", where=len(where), counts=counts[chosen])
        )
