"""Shared: how an import goes, how it went, and what comes next."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from imgrec import background
from imgrec.jobs import Job
from imgrec.language import listed, tr
from pages import parts, visitors

ENOUGH = 10  # pictures of a class, two of which are tested with


def follow(latest: Callable[[], list[Job]], key: str = "importing") -> None:
    """The ``latest`` imports, drawn anew while one is under way; then the page once more, which has a new data set. Where a
    page follows two kinds of them, each has its ``key``."""
    st.fragment(_follow, run_every=1.0 if any(map(parts.live, latest())) else None)(latest, key)


def _follow(latest: Callable[[], list[Job]], key: str) -> None:
    found = latest()
    for job in found:
        report(job)
    busy = any(map(parts.live, found))
    if st.session_state.get(key) and not busy:
        st.session_state[key] = False
        st.rerun()
    st.session_state[key] = busy


def report(job: Job) -> None:
    """How an import went: accepted, refused and why, or how far it is."""
    status, state = job.status, job.state
    name = parts.text(job.name)
    if parts.live(job):
        mine = visitors.may_change(job)
        left, right = st.columns([4, 1], vertical_alignment="center") if mine else (st.container(), None)
        detail = parts.text(state.get("detail") or tr("starting"), 120)
        left.progress(min(1.0, float(state.get("progress") or 0.0)), tr("**{name}**: {words}", name=name, words=detail))
        if mine and right.button(tr("Cancel"), key=f"cancel {job.name}", disabled=job.asked() is not None):
            job.ask("stop")
    elif status == "finished":
        said = job.read("report.json")
        refused = said.get("rejected", [])
        st.success(
            tr(
                "**{name}**: {images:,} accepted, {refused:,} rejected, {classes}.",
                name=name,
                images=said.get("images", 0),
                refused=len(refused),
                classes=parts.classes(said.get("classes", 0)),
            )
        )
        counts = said.get("counts", {})
        scarce = [label for label, row in counts.items() if 0 < sum(row.values()) < ENOUGH]
        if scarce and not job.read("job.json").get("options", {}).get("adding"):
            st.warning(
                tr(
                    "Few pictures of {classes}: with fewer than {n} of a class hardly any are left to test with, so nobody can say "
                    "how good a network is. Bring more of them into the same set.",
                    classes=parts.text(
                        tr("{words} …", words=listed(scarce[:5])) if len(scarce) > 5 else listed(scarce), 200
                    ),
                    n=ENOUGH,
                )
            )
        if refused:
            with st.expander(tr("Rejected: {refused:,}", refused=len(refused))):
                parts.table(refused)
        with st.container(horizontal=True):
            if said.get("classes", 0):
                parts.link("dataset", tr("Look at {name}", name=name), ":material/photo_library:", dataset=job.name)
            if said.get("classes", 0) > 1:
                parts.link("train", "Train a network with it", ":material/model_training:", dataset=job.name)
            dismiss(job)
        if said.get("images", 0) > sum(sum(row.values()) for row in said.get("counts", {}).values()):
            parts.link("label", "Say what they are", ":material/label:", dataset=job.name)
    elif status == "stopped":
        st.info(tr("**{name}** was cancelled; nothing of it was kept.", name=name))
        dismiss(job)
    else:
        reason = state.get("error") or tr("its process vanished; nothing of it was kept. Start it again.")
        st.error(tr("**{name}**: {words}", name=name, words=parts.text(reason, 700)))
        asked = job.read("job.json")
        kept = Path(str(asked.get("source")))
        if asked.get("again") and kept.exists() and st.button(
            tr("Import it without labels"), icon=":material/label_off:", key=f"again {job.name}",
            help=tr("All of them wait on the page Label, where a network proposes what they are."),
        ):  # fmt: skip
            with parts.refusals():
                background.start_import(kept, job.name, unlabelled=True, owner=visitors.visitor())
                st.rerun()
        dismiss(job)


def dismiss(job: Job) -> None:
    """A button that takes the note about an ended import away."""
    if visitors.may_change(job) and st.button(
        tr("Dismiss"), icon=":material/close:", key=f"dismiss {job.name}", type="tertiary"
    ):
        background.forget_bring(job.name)
        st.rerun()
