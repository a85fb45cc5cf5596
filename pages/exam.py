"""Shared: the exam of a run: what it reached on pictures that were kept apart, beside what guessing and others would reach."""

import streamlit as st

from imgrec import baselines, charts, run_table
from imgrec.data import named
from imgrec.elsewhere import by_heart
from imgrec.language import plural, sentences, tr
from imgrec.runs import Run
from pages import parts
from pages.study import Study


def result(run: Run) -> None:
    """How it did, if it was tested, and where to go from here."""
    evaluation = run.read("evaluation.json")
    if not evaluation:
        return
    st.subheader(tr("On pictures it never saw"), anchor=False)
    figures(evaluation)
    compared(run, evaluation)
    matrix(evaluation)
    with st.expander(tr("Per class, as a table")):
        parts.table(named(evaluation["classes"]))
    with st.container(horizontal=True):
        if wrong := round(evaluation["images"] * (1 - evaluation["accuracy"])):
            look = plural("See the {n:,} picture that it got wrong", "See the {n:,} pictures that it got wrong", wrong)
            parts.link("evaluate", look, ":material/analytics:", run=run.name)
        parts.link(
            "predict", "Classify your own pictures with it", ":material/image_search:", run=run.name, source="Files"
        )


def figures(evaluation: dict) -> None:
    """The accuracy, with what it must be compared with and how sure it is."""
    low, high = evaluation["interval"]
    parts.metrics(
        (tr("Test accuracy"), f"{evaluation['accuracy']:.1%}", tr("The share of right answers.")),
        (tr("Balanced accuracy"), f"{evaluation['balanced_accuracy']:.1%}", tr("The mean of the classes' recalls.")),
        *parts.floors(evaluation),
    )
    st.caption(
        tr(
            "{images} test pictures; with so many, the true accuracy lies between {low:.1%} and {high:.1%} (95% "
            "interval).",
            images=evaluation["images"],
            low=low,
            high=high,
        )
    )
    if learned := evaluation.get("learned_before"):
        st.warning(by_heart(learned), icon=":material/warning:")


def matrix(evaluation: dict) -> None:
    """Which classes were taken for which, where they are not too many to be read."""
    names = [row["name"] for row in named(evaluation["classes"])]
    if len(names) <= 40:
        parts.chart(
            charts.confusion(evaluation["confusion"], names), "confusion", tr("Confusion matrix: truth against answer")
        )
        st.caption(tr("Each row is one true class; off the diagonal are the mistakes."))


def compared(run: Run, evaluation: dict) -> None:
    """This run beside others on the same pictures, and beside what came before networks."""
    about, name = run.read("about.json"), run.recipe.dataset
    rows = [
        {"name": tr("{model} (this run)", model=run.recipe.model), "accuracy": evaluation["accuracy"], "kind": "this"}
    ]
    rows.append(
        {"name": tr("always the commonest class"), "accuracy": evaluation["majority_accuracy"], "kind": "baseline"}
    )
    if evaluation.get("linear_accuracy"):
        rows.append({"name": tr("a linear classifier"), "accuracy": evaluation["linear_accuracy"], "kind": "baseline"})
    best: dict[str, float] = {}
    for other in run_table.rows():
        same = other["run"] != run.name and other["fingerprint"] == about.get("fingerprint")
        if same and (accuracy := other["test_accuracy"]):
            model = str(other.get("model"))
            best[model] = max(accuracy, best.get(model, 0.0))
    rows += [
        {"name": tr("{model} (best other run)", model=model), "accuracy": accuracy, "kind": "run"}
        for model, accuracy in sorted(best.items(), key=lambda b: -b[1])[:6]
    ]
    study = Study("baselines", name, fingerprint=str(about.get("fingerprint", "")))
    if found := study.found:
        pairs = zip(found["method"].tolist(), found["accuracy"].tolist(), strict=True)
        rows += [{"name": tr(baselines.METHODS[m].title), "accuracy": a, "kind": "baseline"} for m, a in pairs]
    st.html(charts.ranking(rows))
    st.caption(
        sentences(
            tr(
                "Dark: this run. Light: the best run of each other network on the same pictures. Grey: without a network."
            ),
            tr("Those learned from the pixels of {n:,} pictures.", n=found["pictures"][0]) if found else "",
        )
    )
    if not found:
        study.offer(tr("Compare with a linear SVM, a decision tree and nearest neighbours"))
