"""Evaluate: how good is a network, and where does it fail? Its answers to the pictures it never saw, looked at from all sides."""

import numpy as np
import streamlit as st

from imgrec import charts
from imgrec.data import Dataset, DatasetError, class_names, named
from imgrec.elsewhere import by_heart, learned_before
from imgrec.evaluate import Answers, amend, bootstrap, curves, report
from imgrec.language import listed, mark, sentences, tr
from imgrec.predict import Predictor
from imgrec.report import printable
from imgrec.runs import Run
from imgrec.spreadsheet import as_csv
from pages import doubts, elsewhere, exam, matrix, parts, pickers, settings, split_answers, transfers, visitors

HITS, MOST_HITS, SURE = 12, 200, 0.9  # of right answers: shown at least, at most, and below which confidence
MOST_CLASSES = 40  # in a confusion matrix that can be read


def mistakes(model: Predictor, dataset: Dataset, given: Answers) -> None:
    """The confusion matrix, whose cells open their pictures, and the mistakes that surprise most."""
    names = class_names(given.classes)
    show = lambda i: " ".join(names[i].split())  # noqa: E731
    wrong = given.confusion.copy()
    np.fill_diagonal(wrong, 0)
    worst = np.unravel_index(wrong.argmax(), wrong.shape)
    for box, value in zip(("cell_truth", "cell_answer"), map(int, worst), strict=True):
        if not 0 <= st.session_state.get(box, value) < len(names):
            del st.session_state[box]
        st.session_state.setdefault(box, value)
    if len(names) <= MOST_CLASSES:
        counted(given, names)
        st.caption(tr("Each row is one true class, each column an answer. Tap or click a number to see its pictures."))
    left, right = st.columns(2)
    truth = left.selectbox(tr("Pictures of"), range(len(names)), format_func=show, key="cell_truth")
    answer = right.selectbox(tr("taken for"), range(len(names)), format_func=show, key="cell_answer")
    chosen = np.flatnonzero((given.labels == truth) & (given.predicted == answer))
    split_answers.pictures(model, dataset, given, chosen, "cell", f"{truth} {answer}")
    right = np.flatnonzero(given.right)
    st.subheader(tr("Most confident mistakes"), anchor=False)
    split_answers.pictures(model, dataset, given, given.mistakes, "confident", "")
    st.subheader(tr("Least certain hits"), anchor=False)
    unsure = right[np.argsort(given.confidence[right], kind="stable")]
    few = max(HITS, min(MOST_HITS, int((given.confidence[unsure] < SURE).sum())))
    split_answers.pictures(model, dataset, given, unsure[:few], "uncertain", "")


def counted(given: Answers, names: list[str]) -> None:
    """The confusion matrix; a cell that is pressed goes into the boxes below it."""

    def choose(truth: int, answer: int) -> None:
        st.session_state["cell_truth"], st.session_state["cell_answer"] = truth, answer

    alt = tr("Confusion matrix: truth against answer")
    if len(names) <= matrix.MOST:
        matrix.matrix(given.confusion, names, (st.session_state["cell_truth"], st.session_state["cell_answer"]), choose)
        parts.as_table(charts.confusion(given.confusion, names), alt)
        return
    event = parts.chart(
        charts.confusion(given.confusion, names, clickable=True), "evaluate_confusion", alt, select=True
    )
    cells = [tuple(point["customdata"]) for point in event.selection.points if point.get("customdata")]
    if cells and cells[0] != st.session_state.get("last_cell"):
        st.session_state["last_cell"] = cells[0]
        choose(*map(int, cells[0]))


def classes(model: Predictor, dataset: Dataset, given: Answers) -> None:
    """Precision and recall of each class, and the curves behind them."""
    found, names = report(given, dataset), class_names(given.classes)
    scores = named(found["classes"])
    parts.chart(charts.class_scores(scores), "class_scores", tr("Precision and recall of each class, worst first"))
    st.caption(
        tr(
            "Precision: how many of its answers were right. Recall: how many of its pictures were found. Far "
            "apart: the class is named too often or too seldom."
        )
    )
    rows = [
        *scores,
        *({"name": f"({tr(kind)})", **found[kind]} for kind in (mark("macro"), mark("weighted"))),
    ]
    with st.expander(tr("As a table")):
        parts.table(rows)
    target = st.selectbox(
        tr("One class against all others"),
        range(len(names)),
        format_func=lambda i: " ".join(names[i].split()),
        key="curve_class",
    )
    if not (given.labels == target).any() or (given.labels == target).all():
        st.info(tr("It takes pictures of this class and of others to draw its curves."))
        return
    lines = curves(given, target)
    left, right = st.columns(2)
    with left:
        parts.chart(
            charts.curve(lines["roc"], tr("false alarms"), tr("found"), (0, 1)),
            "roc",
            tr("ROC curve, area {roc_area:.3f}", roc_area=lines["roc_area"]),
        )
        st.caption(tr("ROC: area {roc_area:.3f}; 0.5 is chance, 1 is perfect.", roc_area=lines["roc_area"]))
    with right:
        share = lines["share"]
        parts.chart(
            charts.curve(lines["pr"], tr("recall"), tr("precision"), (share, share)), "pr",
            tr("Precision-recall curve, average precision {pr_area:.3f}", pr_area=lines['pr_area']),
        )  # fmt: skip
        st.caption(
            tr(
                "Precision against recall: average precision {pr_area:.3f}; {share:.3f} is chance.",
                pr_area=lines["pr_area"],
                share=share,
            )
        )


def summary(given: Answers, dataset: Dataset) -> None:
    """The figures, each with what it means."""
    found, spread = report(given, dataset), spreads(given.positions.tobytes() + given.logits.tobytes(), given)
    low, high = found["interval"]
    f1_low, f1_high = spread["macro_f1"]
    rows = [
        (tr("Accuracy"), f"{found['accuracy']:.1%}", tr("The share of right answers; 95% interval {low:.1%} to {high:.1%} (Wilson).", low=low, high=high)),
        (tr("Balanced accuracy"), f"{found['balanced_accuracy']:.1%}", tr("The mean of the classes' recalls: each class counts the same.")),
        (tr("Macro F1"), f"{found['macro']['f1']:.1%}", tr("Precision and recall in one, mean over the classes; 95% interval {f1_low:.1%} to {f1_high:.1%} "
"(bootstrap).", f1_low=f1_low, f1_high=f1_high)),
        *parts.floors({**found, "linear_accuracy": run.read("evaluation.json").get("linear_accuracy")}),
    ]  # fmt: skip
    if len(given.classes) > 5:
        rows.insert(
            1, (tr("Among the top 5"), f"{found['top5']:.1%}", tr("The right class is among the five likeliest."))
        )
    parts.metrics(*rows)
    st.caption(
        tr(
            "{images} test pictures; with so many, the true accuracy lies between {low:.1%} and {high:.1%} (95% "
            "interval).",
            images=len(given.labels),
            low=low,
            high=high,
        )
    )


def since_then(run: Run, dataset: Dataset, given: Answers) -> None:
    """If the data set was changed since the training: what it got then, and the way to train again."""
    said = run.read("evaluation.json")
    if not said or run.read("about.json").get("fingerprint") == dataset.fingerprint:
        return
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.info(
        tr(
            "The data set was changed since this training, and its answers are judged by the pictures and labels as they are "
            "now. At its end it had {accuracy:.1%} of {images} right.",
            accuracy=said["accuracy"],
            images=parts.pictures(said["images"]),
        ),
        icon=":material/history:",
    )
    if right.button(tr("Train again"), icon=":material/restart_alt:", key="train_again", width="stretch"):
        settings.fill_in(run)


@st.cache_data(max_entries=100, show_spinner=False)
def known_before(run: str, fingerprint: str, _run: Run, _dataset: Dataset) -> np.ndarray:
    return learned_before(_run, _dataset)


def not_new(run: Run, dataset: Dataset, given: Answers) -> None:
    """If a run that this one began with learned from some of the test pictures: how many, and how it does without them."""
    learned = np.isin(given.positions, known_before(run.name, dataset.fingerprint, run, dataset))
    if learned.any():
        rest = given.right[~learned]
        st.warning(
            sentences(
                by_heart(int(learned.sum())),
                tr("Of the others it has {accuracy:.1%} right.", accuracy=rest.mean()) if len(rest) else "",
            ),
            icon=":material/warning:",
        )  # fmt: skip


def renamed(run: Run, called: dict[str, str]) -> None:
    """If classes were renamed since the training: which, and the way to have the network say so, too."""
    left, right = st.columns([4, 1], vertical_alignment="center")
    pairs = [f"{parts.text(old)} → {parts.text(new)}" for old, new in called.items() if old != new]
    left.info(tr("Renamed since the training: {names}.", names=listed(pairs)), icon=":material/label:")
    if right.button(
        tr("Use the new names"), icon=":material/label:", key="rename_network", width="stretch",
        disabled=run.bundled or parts.live(run) or not visitors.may_change(run),
    ):  # fmt: skip
        with parts.refusals():
            amend(run, None, classes=tuple(called.values()))
            st.rerun()


def without_pictures(run: Run, why: Exception) -> None:
    """What is written down of the test, where the pictures themselves are not here."""
    found = run.read("evaluation.json")
    st.info(
        tr("{why} Without its pictures only the figures of its test are known.", why=parts.text(why, 300)),
        icon=":material/image_not_supported:",
    )
    if found:
        exam.figures(found)
        exam.matrix(found)
        parts.chart(
            charts.class_scores(named(found["classes"])),
            "class_scores",
            tr("Precision and recall of each class, worst first"),
        )


@st.cache_data(max_entries=16, show_spinner=False)
def spreads(key: bytes, _given: Answers) -> dict[str, tuple[float, float]]:
    return bootstrap(_given)


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


VIEWS = (
    mark("Mistakes"),
    mark("Classes"),
    mark("Certainty"),
    mark("Parts"),
    mark("Worse pictures"),
    mark("Elsewhere"),
    mark("Versus"),
    mark("Report"),
)

st.title(tr("How good is it, and where does it fail?"), anchor=False)
run, model = pickers.model_picker(here=True)
try:
    wanted = model.passport.preprocess
    dataset = pickers.open_dataset(run.recipe.dataset, wanted.size, wanted.resize)
    given = split_answers.of_split(run, model, dataset, "test")
except DatasetError as error:
    without_pictures(run, error)
    st.subheader(tr("Elsewhere"), anchor=False)
    elsewhere.section(run, model)
    st.stop()
except (ValueError, OSError) as error:
    st.error(parts.text(error, 400))
    st.stop()
summary(given, dataset)
since_then(run, dataset, given)
not_new(run, dataset, given)
if len(run.classes) == len(model.classes) and model.classes != run.classes:
    renamed(run, dict(zip(run.classes, model.classes, strict=True)))
view = pickers.address_choice(tr("Look at"), VIEWS, "evaluate_view", "view", VIEWS[0])
if view == "Mistakes":
    mistakes(model, dataset, given)
elif view == "Classes":
    classes(model, dataset, given)
elif view == "Certainty":
    doubts.certainty(run, model, dataset, given)
elif view == "Parts":
    doubts.parts_of_it(dataset, given)
elif view == "Worse pictures":
    doubts.worse(run, dataset)
elif view == "Elsewhere":
    elsewhere.section(run, model)
elif view == "Versus":
    doubts.versus(run, model, dataset, given)
else:
    st.caption(
        tr(
            "One page that prints well, with all figures, the recipe and the worst mistakes; it needs nothing "
            "else to be read."
        )
    )
    transfers.download(
        tr("Report as HTML"), lambda: printable(run, given, dataset), f"{run.name}.html", "text/html",
        icon=":material/description:", key="report",
    )  # fmt: skip
    transfers.download(
        tr("All answers as CSV"), lambda: as_csv(every(given, dataset)), f"{run.name}.csv", "text/csv", key="answers"
    )
    parts.link("export", "Take the network itself along", ":material/package_2:", run=run.name)
