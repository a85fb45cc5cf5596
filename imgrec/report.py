"""A printable report of a run: one HTML file that needs nothing else, no script, no network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html import escape

import numpy as np

from imgrec.charts import percent
from imgrec.data import Dataset, class_names, named
from imgrec.elsewhere import by_heart, learned_before
from imgrec.evaluate import Answers, reliability, report
from imgrec.hardware import in_words
from imgrec.images import in_address, to_png
from imgrec.language import current, sentences, tr
from imgrec.recipe import FIELDS
from imgrec.runs import Run

MOST_CLASSES = 40  # in the confusion matrix
MISTAKES = 24  # that are shown

GRID = """
.mistakes{display:flex;flex-wrap:wrap;gap:.6rem}
.mistakes figure{margin:0;width:6.5rem;font-size:.75rem;overflow-wrap:anywhere}
.mistakes img{width:6.5rem;height:6.5rem;image-rendering:pixelated}
"""
STYLE = (
    GRID
    + """
body{font:15px/1.5 system-ui,sans-serif;color:#1a1d21;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.7rem}h2{font-size:1.2rem;margin-top:2rem}table{border-collapse:collapse;margin:.5rem 0}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left}
.matrix td{border:1px solid #fff;text-align:center;min-width:1.6rem;padding:.1rem .2rem}
.matrix th{font-weight:normal;border:0;font-size:.8rem}
.big{display:flex;flex-wrap:wrap;gap:2rem}.big div{font-size:1.6rem}.big small{display:block;font-size:.8rem;color:#555}
.note{color:#555}
@media print{h2{break-after:avoid}figure,tr{break-inside:avoid}body{margin:0;max-width:none}}
"""
)


def printable(run: Run, given: Answers, dataset: Dataset) -> str:
    """The report as HTML: figures, recipe, classes, confusion matrix, calibration, curves of the training, worst mistakes."""
    found, recipe, about = report(given, dataset), run.recipe, run.read("about.json")
    made_with = {
        **(about.get("versions") or {}),
        tr("device"): in_words(about.get("device")),
        tr("data"): about.get("fingerprint", ""),
    }
    title = tr("{model} on {dataset}", model=_text(recipe.model), dataset=_text(recipe.dataset))
    low, high = found["interval"]
    learned = int(np.isin(given.positions, learned_before(run, dataset)).sum())
    figures = (
        (tr("accuracy"), found["accuracy"]), (tr("balanced accuracy"), found["balanced_accuracy"]), (tr("macro F1"), found["macro"]["f1"]),
        (tr("always the commonest class"), found["majority_accuracy"]), (tr("calibration error"), found["calibration_error"]),
    )  # fmt: skip
    if linear := run.read("evaluation.json").get("linear_accuracy"):
        figures += ((tr("a linear classifier"), linear),)
    sections = [
        f"<h1>{title}</h1>",
        "<p class=note>"
        + sentences(
            tr(
                "Run {name}, {n:,} test pictures that it never learned from. The accuracy lies between {low} and {high} "
                "(95% interval)."
                if given.split == "test"
                else "Run {name}, {n:,} pictures that it learned from or was chosen by: no test. The accuracy lies between "
                "{low} and {high} (95% interval).",
                name=_text(run.name),
                n=len(given.labels),
                low=percent(low),
                high=percent(high),
            ),
            by_heart(learned) if learned else "",
        )
        + "</p>",
        "<div class=big>" + "".join(f"<div>{percent(v)}<small>{name}</small></div>" for name, v in figures) + "</div>",
        *(
            f"<h2>{words}</h2>{content}"
            for words, content in (
                (tr("Training"), _curves(run)),
                (tr("Classes"), _classes(found)),
                (tr("Confusion matrix"), _matrix(given)),
                (tr("Certainty"), _certainty(given)),
                (tr("Most confident mistakes"), _mistakes(given, dataset)),
                (
                    tr("Recipe"),
                    _pairs(
                        {
                            tr(FIELDS[name].metadata["title"]): value
                            for name, value in dataclasses.asdict(recipe).items()
                        }
                    ),
                ),
                (tr("Made with"), _pairs(made_with)),
            )
        ),
    ]
    language = current().replace("_", "-")
    head = f"<!doctype html><html lang={language}><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
    policy = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
    return head + policy + "<body>" + "".join(sections) + "</body></html>"


def _text(value: object) -> str:
    return escape(" ".join(str(value).split()))


def _pairs(values: dict) -> str:
    return "<table>" + "".join(f"<tr><td>{_text(k)}<td>{_text(v)}" for k, v in values.items()) + "</table>"


def _curves(run: Run) -> str:
    """Training and validation loss by epoch, drawn as lines."""
    epochs = run.epochs
    if len(epochs) < 2:
        return f"<p class=note>{tr('One epoch.')}</p>"
    curves = {key: [row.get(key) for row in epochs] for key in ("train_loss", "validation_loss")}
    curves = {key: values for key, values in curves.items() if None not in values}
    lines, most = "", max(map(max, curves.values())) or 1.0
    for key, values in curves.items():
        colour = {"train_loss": "#0072B2", "validation_loss": "#E69F00"}[key]
        points = " ".join(
            f"{40 + 520 * i / (len(values) - 1):.1f},{10 + 160 * (1 - v / most):.1f}" for i, v in enumerate(values)
        )
        lines += f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
    axes = '<path d="M40 10V170H560" fill="none" stroke="#888"/>'
    marks = f'<text x="36" y="16" text-anchor="end" font-size="12">{most:.2g}</text><text x="36" y="174" text-anchor="end" font-size="12">0</text>'
    words = '<text x="560" y="190" text-anchor="end" font-size="12">{}</text>'.format(tr("epoch"))
    checked = [row for row in epochs if row.get("validation_accuracy") is not None]
    best = max(checked, key=lambda row: row["validation_accuracy"], default=None)
    told = (
        tr(
            "Loss by epoch: blue training, orange validation. Best validation accuracy {validation_accuracy} in "
            "epoch {epoch}.",
            validation_accuracy=percent(best["validation_accuracy"]),
            epoch=best["epoch"],
        )
        if best
        else tr("Training loss by epoch; there were no validation pictures.")
    )
    return f'<svg viewBox="0 0 570 195" width="570" role="img" aria-label="{told}">{axes}{lines}{marks}{words}</svg><p class=note>{told}</p>'


def _classes(found: dict) -> str:
    rows = [
        *named(found["classes"]),
        {"name": tr("macro mean"), **found["macro"]},
        {"name": tr("weighted mean"), **found["weighted"]},
    ]
    body = "".join(
        f"<tr><td>{_text(row['name'])}<td>{row['precision']:.1%}<td>{row['recall']:.1%}<td>{row['f1']:.1%}<td>{row.get('support', '')}"
        for row in rows
    )
    return _table((tr("class"), tr("precision"), tr("recall"), tr("f1"), tr("pictures")), body)


def _table(headings: Sequence[str], body: str) -> str:
    return f"<table><tr><th>{'<th>'.join(headings)}{body}</table>"


def _matrix(given: Answers) -> str:
    if len(given.classes) > MOST_CLASSES:
        return f"<p class=note>{tr('{n} classes are too many to print.', n=len(given.classes))}</p>"
    share = given.confusion / np.maximum(given.confusion.sum(1, keepdims=True), 1)
    names = class_names(given.classes)
    head = "".join(f"<th>{_text(name)[:12]}" for name in names)
    rows = ""
    for name, counts, shares in zip(names, given.confusion, share, strict=True):
        cells = "".join(
            f'<td style="background:rgba(0,114,178,{s:.2f});color:{"#fff" if s > 0.5 else "#1a1d21"}">{n or ""}'
            for n, s in zip(counts.tolist(), shares.tolist(), strict=True)
        )
        rows += f"<tr><th>{_text(name)}{cells}"
    return f"<table class=matrix><tr><th>{tr('truth')} \\ {tr('answer')}{head}{rows}</table>"


def _certainty(given: Answers) -> str:
    body = "".join(
        f"<tr><td>{row['low']:.0%} – {row['high']:.0%}<td>{row['count']:,}<td>{row['confidence']:.1%}<td>{row['accuracy']:.1%}"
        for row in reliability(given)
    )
    return _table((tr("confidence"), tr("answers"), tr("on average"), tr("right")), body)


def mistakes(given: Answers, dataset: Dataset, count: int = MISTAKES) -> str:
    """The pictures that the network is surest and wrong about, as HTML with its own style."""
    return f"<style>{GRID}</style>{_mistakes(given, dataset, count)}"


def _mistakes(given: Answers, dataset: Dataset, count: int = MISTAKES) -> str:
    if not len(given.mistakes):
        return f"<p>{tr('None.')}</p>"
    figures, names = "", [_text(name) for name in class_names(given.classes)]
    for index in given.mistakes[:count].tolist():
        picture = in_address(to_png(dataset.images[given.positions[index]]))
        truth, said = names[given.labels[index]], names[given.predicted[index]]
        figures += (
            f'<figure><img src="{picture}" alt="{truth}"><figcaption>'
            + tr(
                "{truth}, taken for {said} ({share})",
                truth=truth,
                said=said,
                share=percent(float(given.confidence[index])),
            )
            + "</figcaption></figure>"
        )
    return f"<div class=mistakes>{figures}</div>"
