"""Shared: how far a network's answers can be trusted: its certainty, parts of the pictures, worse ones, another run."""

import numpy as np
import streamlit as st

from imgrec import charts
from imgrec.data import Dataset, named, read_columns
from imgrec.evaluate import (
    Answers,
    at_the_end,
    calibrate,
    calibration_error,
    mcnemar,
    reliability,
    slices,
)
from imgrec.language import listed, mark, tr
from imgrec.predict import Predictor
from imgrec.renaming import names_now
from imgrec.robustness import CHANGES
from imgrec.run_table import rows
from imgrec.runs import Run, open_run
from pages import parts, pickers, split_answers, transfers, visitors
from pages.study import Study


def certainty(run: Run, model: Predictor, dataset: Dataset, given: Answers) -> None:
    """Is it right as often as it says? And does it notice what it never learned?"""
    rows = reliability(given)
    left, right = st.columns([3, 2])
    with left:
        parts.chart(charts.reliability(rows), "reliability", tr("How often answers of each confidence are right"))
    with right:
        parts.metrics(
            (
                tr("Calibration error"),
                f"{calibration_error(rows):.1%}",
                tr("How far confidence and accuracy are apart on average."),
            ),
            (
                tr("Temperature"),
                f"{model.passport.temperature:.2f}",
                tr("Above 1: answers are made less sure than the network was."),
            ),
        )
        st.caption(tr("A bar below the line: too sure of itself. Above: better than it thinks."))
        validation = len(dataset.indices("validation")) > 0
        if st.button(
            tr("Calibrate"), icon=":material/thermostat:", key="calibrate",
            disabled=run.bundled or not validation or parts.live(run) or not visitors.may_change(run),
            help=tr("Finds the temperature on the validation pictures and keeps it with the model. The answers stay the "
"same."),
        ):  # fmt: skip
            with parts.refusals():
                calibrate(run, model, dataset)
                st.rerun()
        if said := at_the_end(model.passport.temperature):
            st.warning(said)
        if run.bundled:
            st.caption(tr("This run came with imgrec and stays as it is; one of your own can be calibrated."))
    st.subheader(tr("None of these"), anchor=False)
    if model.passport.threshold is None or given.familiarity is None:
        st.info(
            tr(
                "This run cannot tell when a picture is none of its classes: that takes 40 validation pictures, and it had fewer "
                "(or is from before there was such a thing)."
            )
        )
        return
    known = given.familiarity >= model.passport.threshold
    strange = np.flatnonzero(~known)
    st.caption(
        tr(
            "A picture that is less familiar than 95% of the validation pictures is marked as probably none of "
            "these. Of the test pictures {known:.1%} pass; {right:.1%} of them are answered rightly, of the "
            "others {others:.1%}.",
            known=known.mean(),
            right=given.right[known].mean(),
            others=given.right[~known].mean() if len(strange) else 0,
        )
    )
    with st.expander(tr("Test pictures that are marked ({strange:,})", strange=len(strange))):
        split_answers.pictures(model, dataset, given, strange, "strange", "")


def worse(run: Run, dataset: Dataset) -> None:
    """What noise, blur and turning do to the accuracy, and which strangers are noticed."""
    study = Study("robustness", dataset.name, run=run.name)
    if found := study.found:
        kinds = [kind for kind in CHANGES if kind in found["change"]]
        for start in range(0, len(kinds), 3):
            for column, kind in zip(st.columns(3), kinds[start : start + 3], strict=False):
                chosen = found["change"] == kind
                with column:
                    st.markdown(f"**{tr(CHANGES[kind].title)}**")
                    levels, values = found["level"][chosen].tolist(), found["accuracy"][chosen].tolist()
                    told = listed(
                        tr("{name}: {value}", name=f"{level:g}", value=f"{value:.0%}")
                        for level, value in zip(levels, values, strict=True)
                    )
                    parts.chart(
                        charts.worsening(levels, values, tr(CHANGES[kind].unit)),
                        f"worse_{kind}",
                        tr("{name}: {value}", name=tr(CHANGES[kind].title), value=told),
                    )
        if len(found["strangers"]):
            told = zip(found["strangers"].tolist(), found["rejected"].tolist(), strict=True)
            st.caption(
                tr("Pictures of other things that it marks as none of these: {kinds}.",
                   kinds=listed(f"{tr(name)} {share:.0%}" for name, share in told))
            )  # fmt: skip
    study.offer(tr("Make the test pictures worse, step by step"))


def of_a_table(dataset: Dataset, given: Answers) -> list[str]:
    """What a column of an uploaded CSV says about each test picture; the page ends here until there is one."""
    file = st.file_uploader(
        tr("A CSV with a column file, and others of any kind: camera, place, age …"),
        "csv",
        key="slice_table",
        max_upload_size=transfers.upload_mb(20),
    )
    if file is None:
        st.stop()
    try:
        columns = read_columns(file.getvalue(), [dataset.files[p] for p in given.positions.tolist()])
    except ValueError as error:
        st.error(parts.text(error, 300))
        st.stop()
    if not columns:
        st.info(tr("The table has no other column than the files."))
        st.stop()
    chosen = st.selectbox(tr("Column"), list(columns), key="slice_column")
    missing = columns[chosen].count("")
    if missing:
        st.caption(tr("Of {missing} the table says nothing; they are left out.", missing=parts.pictures(missing)))
    return columns[chosen]


def parts_of_it(dataset: Dataset, given: Answers) -> None:
    """Accuracy of parts of the test pictures: is it fair to all of them?"""
    by = st.segmented_control(
        tr("Cut by"),
        (mark("class"), mark("brightness"), mark("size"), mark("a table of mine")),
        default="class",
        required=True,
        key="slice_by",
        format_func=tr,
    )
    rows = slices(given, dataset, of_a_table(dataset, given) if by == "a table of mine" else by)
    if by == "class":
        rows = sorted(named(rows), key=lambda row: row["accuracy"])[:40]
    parts.chart(
        charts.slices(rows, float(given.right.mean())), "slices",
        listed(f"{row['name']} {row['accuracy']:.0%}" for row in rows[:20]),
    )  # fmt: skip
    st.caption(
        tr(
            "Points are accuracies, bars their 95% intervals, the dashed line is that of all. A bar that misses "
            "the line is worth a look."
        )
    )


def versus(run: Run, model: Predictor, dataset: Dataset, given: Answers) -> None:
    """Another run on the same pictures: who is better, and is that more than chance?"""
    then = {row["run"]: row["fingerprint"] for row in rows() if row.get("dataset") == run.recipe.dataset}
    known = sorted(model.classes)
    others = [
        name
        for name in then
        if name != run.name and open_run(name).usable and sorted(names_now(open_run(name), dataset)) == known
    ]
    if not others:
        st.info(tr("No other finished run learned these classes from this data set; train one more to compare."))
        return
    other = open_run(st.selectbox(tr("Compare with"), others, key="versus", format_func=pickers.run_labels(others)))
    rival = pickers.network(other.name)
    if not rival:
        return
    wanted = rival.passport.preprocess
    pictures = pickers.open_dataset(other.recipe.dataset, wanted.size, wanted.resize)
    theirs = split_answers.of_split(other, rival, pictures, "test")
    if (then[other.name], then.get(run.name)) != (pictures.fingerprint, dataset.fingerprint):
        st.info(
            tr(
                "The data set was changed since one of the two trainings. Both are judged by its pictures and labels as they are now."
            )
        )
    found = mcnemar(given.right, theirs.right)
    parts.metrics(
        (tr("This run"), f"{given.right.mean():.1%}", None),
        (tr("The other"), f"{theirs.right.mean():.1%}", None),
        (tr("Only this one right"), f"{found['only_first']:,}", None),
        (tr("Only the other right"), f"{found['only_second']:,}", None),
        ("p", f"{found['p']:.2g}", tr("McNemar's exact test: how likely so uneven a split is by chance.")),
    )
    together = ((given.probabilities + theirs.probabilities).argmax(1) == given.labels).mean()
    st.caption(
        tr(
            "Asked together (the mean of both, as on the page Predict) they get {together:.1%} right.",
            together=together,
        )
    )
    if not (theirs.right ^ given.right).any():
        st.markdown(tr("Both get the same pictures right."))
        return
    better = (
        tr("**This run is better**, more than chance explains.")
        if found["only_first"] > found["only_second"]
        else tr("**The other is better**, more than chance explains.")
    )
    st.markdown(
        better if found["p"] < 0.05
        else tr("The difference may be chance: more test pictures would tell.")
    )  # fmt: skip
    st.subheader(tr("Only the other got these right"), anchor=False)
    split_answers.pictures(model, dataset, given, np.flatnonzero(theirs.right & ~given.right), "theirs", other.name)
    st.subheader(tr("Only this one got these right"), anchor=False)
    split_answers.pictures(model, dataset, given, np.flatnonzero(given.right & ~theirs.right), "mine", other.name)
