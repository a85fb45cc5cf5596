"""Evaluate: how good is a network, and where does it fail? Its answers to the pictures it never saw, looked at from all sides."""

import tempfile
from pathlib import Path

import numpy as np
import streamlit as st

from imgrec import charts, jobs
from imgrec.data import Dataset, DatasetError
from imgrec.evaluate import (
    Answers,
    amend,
    answers,
    bootstrap,
    calibration_error,
    curves,
    fit_temperature,
    kept_answers,
    mcnemar,
    reliability,
    report,
    slices,
)
from imgrec.explain import explain, overlay
from imgrec.export import export
from imgrec.predict import Predictor, predictor
from imgrec.report import printable
from imgrec.robustness import CHANGES
from imgrec.runs import Run, list_runs, open_run
from imgrec.spreadsheet import as_csv
from pages import editing, gallery, parts


def of_split(run: Run, model: Predictor, dataset: Dataset, split: str) -> Answers:
    """What the run said at its end; asked now if that is not known or the pictures have changed."""
    kept = kept_answers(run, dataset, split, model.passport.temperature)
    return kept or asked(run.name, id(model), split, dataset.fingerprint, model, dataset)


@st.cache_resource(max_entries=8, show_spinner="The network looks at the pictures …")
def asked(run: str, changed: int, split: str, fingerprint: str, _model: Predictor, _dataset: Dataset) -> Answers:
    return answers(_model, _dataset, split)


@st.dialog("Picture", width="large")
def picture(model: Predictor, dataset: Dataset, given: Answers, index: int) -> None:
    """A test picture, what the network took it for, and what mattered for that."""
    position = int(given.positions[index])
    seen = dataset.images[position]
    left, right = st.columns(2)
    truth, said = given.classes[given.labels[index]], given.classes[given.predicted[index]]
    left.image(parts.enlarge(seen, 260), width=260, alt="The picture as the network saw it")
    try:
        heat = overlay(seen, explain(model, seen, "gradcam", said).heat)
    except ValueError as error:
        left.caption(parts.text(error, 200))
    else:
        left.image(heat, width=260, alt=f"What mattered for {said}")
        left.caption(f"What mattered for {parts.text(said)} (Grad-CAM).")
    with right:
        st.markdown(
            f"**Label** {parts.text(truth)} · **Answer** {parts.text(said)} · {parts.text(dataset.files[position])}"
        )
        row = given.probabilities[index]
        top = [{"name": given.classes[i], "probability": float(row[i])} for i in np.argsort(-row)[:5]]
        words = ", ".join(f"{entry['name']} {entry['probability']:.1%}" for entry in top)
        parts.chart(charts.probability_bars(top), "evaluate_bars", words)
        if editing.editable(dataset):
            st.caption("Is the label wrong? Change it here; the run keeps what it said until it is trained anew.")
            editing.correct(dataset, (position,), "evaluated", said if said != truth else None)


def pictures(model: Predictor, dataset: Dataset, given: Answers, chosen: np.ndarray, key: str, what: str) -> None:
    """A grid of some of the answers, by index into them; a click opens one."""
    if not len(chosen):
        st.info("No picture is like that.")
        return
    by_position = {int(given.positions[index]): int(index) for index in chosen}

    def caption(position: int) -> str:
        index = by_position[position]
        return f"{given.classes[given.predicted[index]]} {given.confidence[index]:.0%}"

    clicked = gallery.grid(dataset, given.positions[chosen], key, set(), f"{key} {what}", caption)
    st.caption(f"{parts.pictures(len(chosen))}, each with the answer and its probability. Click one to see why.")
    if clicked is not None:
        picture(model, dataset, given, by_position[clicked])


def mistakes(model: Predictor, dataset: Dataset, given: Answers) -> None:
    """The confusion matrix, whose cells open their pictures, and the mistakes that surprise most."""
    names = given.classes
    if len(names) <= 40:
        event = parts.chart(
            charts.confusion(given.confusion, names, clickable=True), "evaluate_confusion",
            "Confusion matrix: truth against answer", select=True,
        )  # fmt: skip
        st.caption("Each row is one true class, each column an answer. Click a number to see its pictures.")
        cells = [tuple(point["customdata"]) for point in event.selection.points if point.get("customdata")]
        if cells and cells[0] != st.session_state.get("last_cell"):
            st.session_state["last_cell"] = cells[0]
            st.session_state["cell_truth"], st.session_state["cell_answer"] = map(int, cells[0])
    show = lambda i: " ".join(names[i].split())  # noqa: E731
    wrong = given.confusion.copy()
    np.fill_diagonal(wrong, 0)
    worst = np.unravel_index(wrong.argmax(), wrong.shape)
    for box, value in zip(("cell_truth", "cell_answer"), map(int, worst), strict=True):
        if not 0 <= st.session_state.get(box, value) < len(names):
            del st.session_state[box]
        st.session_state.setdefault(box, value)
    left, right = st.columns(2)
    truth = left.selectbox("Pictures of", range(len(names)), format_func=show, key="cell_truth")
    answer = right.selectbox("taken for", range(len(names)), format_func=show, key="cell_answer")
    chosen = np.flatnonzero((given.labels == truth) & (given.predicted == answer))
    pictures(model, dataset, given, chosen, "cell", f"{truth} {answer}")
    wrong, right = np.flatnonzero(~given.right), np.flatnonzero(given.right)
    st.subheader("Most confident mistakes", anchor=False)
    pictures(model, dataset, given, wrong[np.argsort(-given.confidence[wrong], kind="stable")], "confident", "")
    st.subheader("Least certain hits", anchor=False)
    pictures(model, dataset, given, right[np.argsort(given.confidence[right], kind="stable")][:200], "uncertain", "")


def classes(model: Predictor, dataset: Dataset, given: Answers) -> None:
    """Precision and recall of each class, and the curves behind them."""
    found = report(given, dataset)
    parts.chart(
        charts.class_scores(found["classes"]), "class_scores", "Precision and recall of each class, worst first"
    )
    st.caption(
        "Precision: how many of its answers were right. Recall: how many of its pictures were found. Far apart: the class "
        "is named too often or too seldom."
    )
    rows = [*found["classes"], *({"name": f"({kind} mean)", **found[kind]} for kind in ("macro", "weighted"))]
    with st.expander("As a table"):
        st.dataframe(rows, hide_index=True)
    names = given.classes
    target = st.selectbox(
        "One class against all others",
        range(len(names)),
        format_func=lambda i: " ".join(names[i].split()),
        key="curve_class",
    )
    if not (given.labels == target).any() or (given.labels == target).all():
        st.info("It takes pictures of this class and of others to draw its curves.")
        return
    lines = curves(given, target)
    left, right = st.columns(2)
    with left:
        parts.chart(
            charts.curve(lines["roc"], "false alarms", "found", (0, 1)),
            "roc",
            f"ROC curve, area {lines['roc_area']:.3f}",
        )
        st.caption(f"ROC: area {lines['roc_area']:.3f}; 0.5 is chance, 1 is perfect.")
    with right:
        share = lines["share"]
        parts.chart(
            charts.curve(lines["pr"], "recall", "precision", (share, share)), "pr",
            f"Precision-recall curve, average precision {lines['pr_area']:.3f}",
        )  # fmt: skip
        st.caption(f"Precision against recall: average precision {lines['pr_area']:.3f}; {share:.3f} is chance.")


def certainty(run: Run, model: Predictor, dataset: Dataset, given: Answers) -> None:
    """Is it right as often as it says? And does it notice what it never learned?"""
    rows = reliability(given)
    left, right = st.columns([3, 2])
    with left:
        parts.chart(charts.reliability(rows), "reliability", "How often answers of each confidence are right")
    with right:
        parts.metrics(
            (
                "Calibration error",
                f"{calibration_error(rows):.1%}",
                "How far confidence and accuracy are apart on average.",
            ),
            (
                "Temperature",
                f"{model.passport.temperature:.2f}",
                "Above 1: answers are made less sure than the network was.",
            ),
        )
        st.caption("A bar below the line: too sure of itself. Above: better than it thinks.")
        validation = len(dataset.indices("validation")) > 0
        if st.button(
            "Calibrate", icon=":material/thermostat:", disabled=run.bundled or not validation, key="calibrate",
            help="Finds the temperature on the validation pictures and keeps it with the model. The answers stay the same.",
        ):  # fmt: skip
            amend(run, dataset, temperature=fit_temperature(of_split(run, model, dataset, "validation")))
            st.rerun()
        if run.bundled:
            st.caption("This run came with imgrec and stays as it is; one of your own can be calibrated.")
    st.subheader("None of these", anchor=False)
    if model.passport.threshold is None or given.familiarity is None:
        st.info(
            "This run has no threshold for strange pictures: it had no validation pictures, or is from before there was one."
        )
        return
    known = given.familiarity >= model.passport.threshold
    strange = np.flatnonzero(~known)
    st.caption(
        f"A picture that is less familiar than 95 % of the validation pictures is marked as probably none of these. "
        f"Of the test pictures {known.mean():.1%} pass; {given.right[known].mean():.1%} of them are answered rightly, of "
        f"the others {given.right[~known].mean() if len(strange) else 0:.1%}."
    )
    with st.expander(f"Test pictures that are marked ({len(strange):,})"):
        pictures(model, dataset, given, strange, "strange", "")


def worse(run: Run, dataset: Dataset) -> None:
    """What noise, blur and turning do to the accuracy, and which strangers are noticed."""
    job = jobs.study_job("robustness", dataset.name, run=run.name)
    found = jobs.study_result(job)
    if found:
        kinds = [kind for kind in CHANGES if kind in found["change"]]
        for start in range(0, len(kinds), 3):
            for column, kind in zip(st.columns(3), kinds[start : start + 3], strict=False):
                chosen = found["change"] == kind
                with column:
                    st.markdown(f"**{CHANGES[kind].title}**")
                    levels, values = found["level"][chosen].tolist(), found["accuracy"][chosen].tolist()
                    told = ", ".join(f"{level:g}: {value:.0%}" for level, value in zip(levels, values, strict=True))
                    parts.chart(
                        charts.worsening(levels, values, CHANGES[kind].unit), f"worse_{kind}", f"{kind}: {told}"
                    )
        if len(found["strangers"]):
            told = zip(found["strangers"].tolist(), found["rejected"].tolist(), strict=True)
            st.caption(
                "Pictures of other things that it marks as none of these: "
                + ", ".join(f"{name} {share:.0%}" for name, share in told) + "."
            )  # fmt: skip
    gallery.study_progress(
        job, "Make the test pictures worse, step by step",
        lambda: jobs.start_study("robustness", dataset.name, run=run.name), "robustness",
    )  # fmt: skip


def parts_of_it(dataset: Dataset, given: Answers) -> None:
    """Accuracy of parts of the test pictures: is it fair to all of them?"""
    by = st.segmented_control("Cut by", ("class", "brightness", "size"), default="class", required=True, key="slice_by")
    rows = slices(given, dataset, by)
    if by == "class":
        rows = sorted(rows, key=lambda row: row["accuracy"])[:40]
    parts.chart(
        charts.slices(rows, float(given.right.mean())), "slices",
        ", ".join(f"{row['name']} {row['accuracy']:.0%}" for row in rows[:20]),
    )  # fmt: skip
    st.caption(
        "Points are accuracies, bars their 95 % intervals, the dashed line is that of all. A bar that misses the line is worth a look."
    )


def versus(run: Run, model: Predictor, dataset: Dataset, given: Answers) -> None:
    """Another run on the same pictures: who is better, and is that more than chance?"""
    print_ = dataset.fingerprint
    others = [
        r.name
        for r in list_runs(bundled=True)[:300]
        if r.usable and r.name != run.name and r.read("about.json").get("fingerprint") == print_
    ]
    if not others:
        st.info("No other finished run learned from these pictures; train one more to compare.")
        return
    other = open_run(st.selectbox("Compare with", others, key="versus"))
    rival = predictor(other.name)
    theirs = of_split(other, rival, dataset, "test")
    found = mcnemar(given.right, theirs.right)
    parts.metrics(
        ("This run", f"{given.right.mean():.1%}", None),
        ("The other", f"{theirs.right.mean():.1%}", None),
        ("Only this one right", f"{found['only_first']:,}", None),
        ("Only the other right", f"{found['only_second']:,}", None),
        ("p", f"{found['p']:.2g}", "McNemar's exact test: how likely so uneven a split is by chance."),
    )
    better = "this run" if found["only_first"] > found["only_second"] else "the other"
    st.markdown(
        f"**{better.capitalize()} is better**, more than chance explains." if found["p"] < 0.05
        else "The difference may be chance: more test pictures would tell."
    )  # fmt: skip
    st.subheader("Only the other got these right", anchor=False)
    pictures(model, dataset, given, np.flatnonzero(theirs.right & ~given.right), "theirs", other.name)
    st.subheader("Only this one got these right", anchor=False)
    pictures(model, dataset, given, np.flatnonzero(given.right & ~theirs.right), "mine", other.name)


def summary(given: Answers, dataset: Dataset) -> None:
    """The figures, each with what it means."""
    found, spread = report(given, dataset), spreads(given.positions.tobytes() + given.logits.tobytes(), given)
    low, high = found["interval"]
    f1_low, f1_high = spread["macro_f1"]
    rows = [
        ("Accuracy", f"{found['accuracy']:.1%}", f"The share of right answers; 95 % interval {low:.1%} to {high:.1%} (Wilson)."),
        ("Balanced accuracy", f"{found['balanced_accuracy']:.1%}", "The mean of the classes' recalls: each class counts the same."),
        ("Macro F1", f"{found['macro']['f1']:.1%}", f"Precision and recall in one, mean over the classes; 95 % interval {f1_low:.1%} to {f1_high:.1%} (bootstrap)."),
        ("Always the commonest class", f"{found['majority_accuracy']:.1%}", "What guessing reaches without looking."),
    ]  # fmt: skip
    if len(given.classes) > 5:
        rows.insert(1, ("Among the top 5", f"{found['top5']:.1%}", "The right class is among the five likeliest."))
    parts.metrics(*rows)
    st.caption(
        f"{len(given.labels):,} test pictures, none of them learned from. The accuracy lies between {low:.1%} and {high:.1%}."
    )


def without_pictures(run: Run, why: str) -> None:
    """What is written down of the test, where the pictures themselves are not here."""
    found = run.read("evaluation.json")
    st.info(
        f"{parts.text(why, 300)} Without its pictures only the figures of its test are known.",
        icon=":material/image_not_supported:",
    )
    if found:
        parts.metrics(
            ("Accuracy", f"{found['accuracy']:.1%}", "The share of right answers."),
            ("Balanced accuracy", f"{found['balanced_accuracy']:.1%}", "The mean of the classes' recalls."),
            ("Test pictures", f"{found['images']:,}", None),
        )
        names = [row["name"] for row in found["classes"]]
        if len(names) <= 40:
            parts.chart(
                charts.confusion(found["confusion"], names), "confusion", "Confusion matrix: truth against answer"
            )
        parts.chart(
            charts.class_scores(found["classes"]), "class_scores", "Precision and recall of each class, worst first"
        )


@st.cache_data(max_entries=16, show_spinner=False)
def spreads(key: bytes, _given: Answers) -> dict[str, tuple[float, float]]:
    return bootstrap(_given)


def taken(name: str) -> bytes:
    """The run as a ZIP that works elsewhere."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "take.zip"
        export(Predictor.open(name, "cpu"), "zip", out)
        return out.read_bytes()


def every(given: Answers, dataset: Dataset) -> list[dict]:
    rows = zip(given.positions.tolist(), given.labels, given.predicted, given.confidence, strict=True)
    return [
        {
            "file": dataset.files[p],
            "label": given.classes[label],
            "answer": given.classes[said],
            "probability": round(float(sure), 5),
        }
        for p, label, said, sure in rows
    ]


VIEWS = ("Mistakes", "Classes", "Certainty", "Parts", "Worse pictures", "Versus", "Take along")

st.title("How good is it, and where does it fail?", anchor=False)
run, model = parts.model_picker()
try:
    wanted = model.passport.preprocess
    dataset = parts.open_dataset(run.recipe.dataset, wanted.size, wanted.resize)
    given = of_split(run, model, dataset, "test")
except DatasetError as error:
    without_pictures(run, str(error))
    st.stop()
except (ValueError, OSError) as error:
    st.error(parts.text(error, 400))
    st.stop()
summary(given, dataset)
view = st.segmented_control(
    "Look at", VIEWS, default=VIEWS[0], required=True, key="evaluate_view", label_visibility="collapsed"
)
if view == "Mistakes":
    mistakes(model, dataset, given)
elif view == "Classes":
    classes(model, dataset, given)
elif view == "Certainty":
    certainty(run, model, dataset, given)
elif view == "Parts":
    parts_of_it(dataset, given)
elif view == "Worse pictures":
    worse(run, dataset)
elif view == "Versus":
    versus(run, model, dataset, given)
else:
    st.caption(
        "One page that prints well, with all figures, the recipe and the worst mistakes; it needs nothing else to be read."
    )
    st.download_button(
        "The network as a ZIP: ONNX, a script, a card",
        lambda: taken(run.name),
        f"{run.name}.zip",
        "application/zip",
        icon=":material/package_2:",
        key="take",
        help="Classifies pictures with nothing but onnxruntime, numpy and Pillow. Proved equal to this network first; takes some seconds.",
    )
    st.download_button(
        "Report as HTML", lambda: printable(run, given, dataset), f"{run.name}.html", "text/html", icon=":material/description:", key="report",
    )  # fmt: skip
    st.download_button(
        "All answers as CSV", lambda: as_csv(every(given, dataset)), f"{run.name}.csv", "text/csv",
        icon=":material/download:", key="answers",
    )  # fmt: skip
