"""Shared: a study of a data set on a page: what it found, the button that starts it, and how far it is."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import streamlit as st

from imgrec import background
from imgrec.jobs import Job
from imgrec.language import tr
from pages import parts


class Study:
    """A row of `studies.STUDIES`, asked about the data set ``name`` with its options, which are looked up and begun alike."""

    def __init__(self, kind: str, name: str, **options: str) -> None:
        self.kind, self.name, self.options = kind, name, options

    @cached_property
    def job(self) -> Job | None:
        """The last one of that kind, if there was one."""
        return background.study_job(self.kind, self.name, **self.options)

    @cached_property
    def found(self) -> Mapping[str, np.ndarray]:
        """What it found; empty before that, or where the pictures are others by now."""
        return background.study_result(self.job)

    def offer(self, label: str, help: str | None = None) -> None:
        """The button that starts it; while it is under way its progress and Cancel, afterwards what went wrong."""
        job = self.job
        if job and parts.live(job):
            st.fragment(_watch, run_every=1.0)(job, self.kind)
            return
        if job and job.status in ("failed", "lost"):
            st.error(parts.text(job.state.get("error") or tr("It vanished; start it again."), 400))
        if st.button(label, key=f"start {self.kind}", icon=":material/play_arrow:", help=help):
            with parts.refusals():
                background.start_study(self.kind, self.name, **self.options)
                st.rerun()


def _watch(job: Job, key: str) -> None:
    """How far a study is; the page is drawn anew when it has ended."""
    if not parts.live(job):
        st.rerun()
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.progress(min(1.0, float(job.state.get("progress") or 0.0)), parts.text(job.state.get("detail") or "…", 120))
    if right.button(tr("Cancel"), key=f"cancel {key}", disabled=job.asked() is not None):
        job.ask("stop")
