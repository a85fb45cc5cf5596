"""Teaching: what every lesson has: its beginning, a question that is checked, the code, and the teacher's plan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from imgrec.data import class_names
from imgrec.images import fit, open_image
from imgrec.language import current, mark, tr
from imgrec.lessons.quiz import QUESTIONS
from imgrec.runs import Run
from pages import parts, pickers, sharing, transfers, visitors

if TYPE_CHECKING:
    from imgrec.data import Dataset
    from imgrec.predict import Predictor

FIGURE = re.compile(r"[-−]?\d+\.\d+(e[+-]?\d+)?%?|\d+e[+-]?\d+")  # in words
LARGER = 1.3  # times as large, for a projector
STYLE = (  # the tops of fractions would be cut off; where the reader's own colours hold, numbers keep what they stand on
    ".katex-display{padding:.4em 3px}"
    "@media (forced-colors:active){:is(.bright,.signed) td{forced-color-adjust:none}.signed td{color:CanvasText}}"
)
COLOURS = (mark("red"), mark("green"), mark("blue"))  # the channels of a picture


def begin(title: str, words: str) -> None:
    """The title, what the lesson is about, and large type for those in the back row."""
    sharing.restore()
    st.session_state["lesson_title"] = title
    st.title(title, anchor=False)
    st.html(f"<style>{STYLE}</style>")
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.markdown(words)
    st.session_state.setdefault("large_type", visitors.recalls("large_type"))
    large = right.toggle(tr("Large type"), key="large_type", persist_state="session", help=tr("For a projector."))
    st.session_state["larger"] = LARGER if large else 1.0  # for charts; the frame of all pages takes it back
    visitors.remember("large_type", large)
    if large:
        st.html(f"<style>html{{font-size:{LARGER:.0%}}}</style>")


def question(key: str) -> None:
    """The lesson's question; the page says at once whether the answer was right, and why."""
    st.subheader(tr("Try this"), anchor=False)
    if ask(key, f"question_{key}") is False:
        st.error(tr("Not yet. Play with the controls above and try again."), icon=":material/replay:")


def ask(key: str, box: str) -> bool | None:
    """One of the QUESTIONS in a widget of that key; whether the answer is right, None before there is one."""
    asked = QUESTIONS[key]
    said = st.radio(
        tr(asked.words), range(len(asked.options)), index=None, key=box, format_func=lambda i: tr(asked.options[i])
    )
    if said == asked.right:
        st.success(tr("Right. {because}", because=tr(asked.because)), icon=":material/check:")
    return None if said is None else said == asked.right


def while_waiting() -> None:
    """A question for those who wait; another one after it, and the way to the lesson where it can be tried out."""
    turn = st.session_state.setdefault("quiz_turn", 0)
    key = list(QUESTIONS)[turn % len(QUESTIONS)]
    st.subheader(tr("A question while you wait"), anchor=False)
    if ask(key, f"quiz_{key}") is False:
        st.error(tr("Not yet. Try again, or look at the lesson."), icon=":material/replay:")
    with st.container(horizontal=True):
        st.button(tr("Another question"), icon=":material/casino:", key="quiz_next", on_click=_another)
        parts.link(QUESTIONS[key].lesson, "Open the lesson", ":material/school:")


def _another() -> None:
    st.session_state["quiz_turn"] = st.session_state.get("quiz_turn", 0) + 1


def in_pytorch(code: str) -> None:
    """The same in some lines that can be run as they are."""
    if inside := _opened(tr("In PyTorch"), ":material/code:", "same_in_pytorch"):
        inside.code(code.strip() + "\n", language="python")


def _opened(title: str, icon: str, key: str):
    """An expander if it is open, else None: what is folded away would be drawn again at every step of a lesson."""
    box = st.expander(title, icon=icon, key=key, on_change="rerun")
    return box if box.open else None


def plan(goal: str, minutes: int, questions: Sequence[tuple[str, str]]) -> None:
    """For teachers: the goal, the time, and questions for the class with their answers; not where they shared the lesson."""
    if "state" in st.query_params or not (inside := _opened(tr("For teachers"), ":material/school:", "for_teachers")):
        return
    with inside:
        st.markdown(tr("**Goal** {goal}", goal=goal) + "\n\n" + tr("**Time** {minutes} minutes", minutes=minutes))
        for asked, answer in questions:
            st.markdown("- " + tr("{asked} *{answer}*", asked=asked, answer=answer))
        title = str(st.session_state.get("lesson_title", ""))
        transfers.download(
            tr("A worksheet to print"), lambda: worksheet(title, questions), f"{title}.html", "text/html",
            icon=":material/print:", key="worksheet",
        )  # fmt: skip


def worksheet(title: str, questions: Sequence[tuple[str, str]]) -> str:
    """The questions on a page with room to write, and the answers on the next one, as HTML that needs nothing else."""
    asked = "".join(f"<li>{escape(words)}<div class=room></div></li>" for words, _ in questions)
    answers = "".join(f"<li>{escape(words)}<br><em>{escape(answer)}</em></li>" for words, answer in questions)
    return f"""<!doctype html><html lang="{current().replace("_", "-")}"><meta charset="utf-8"><title>{escape(title)}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}}.room{{height:7rem;border-bottom:1px solid #999}}
.answers{{break-before:page}}li{{margin-bottom:1.2rem}}
:lang(zh) em{{font-style:normal;font-family:KaiTi,STKaiti,serif}}</style>
<h1>{escape(title)}</h1><p>{escape(tr("Name:"))} ______________________</p><ol>{asked}</ol>
<div class=answers><h2>{escape(tr("Answers"))}</h2><ol>{answers}</ol></div></html>"""


def further(address: str) -> None:
    """The lesson as it is now for others, and the way to the lessons before and after."""
    sharing.offer()
    lessons = [
        None,
        *(name for name in parts.PAGE if name.startswith("learn_")),
        None,
    ]  # none where a page stands alone
    place = lessons.index(address) if address in lessons else 0
    ways = (lessons[place - 1], ":material/arrow_back:"), (lessons[place + 1], ":material/arrow_forward:")
    for column, (lesson, icon) in zip(st.columns(2), ways, strict=True):
        if lesson:
            with column:
                st.page_link(parts.PAGE[lesson], icon=icon)


def picture(side: int, channels: int = 3) -> np.ndarray:
    """A picture to learn with, uint8 (side, side, channels): a sample, or the visitor's own."""
    sets = {mark("Shape"): "shapes:difficulty=0.2", mark("Digit"): "digits"}
    left, right = st.columns(2)
    source = left.segmented_control(
        tr("Picture"), [*sets, sharing.OWN], default="Shape", required=True, key="lesson_source", format_func=tr
    )
    if source == sharing.OWN:
        with right:
            return own(side, channels, "crop", "lesson_file")
    image = pickers.open_dataset(sets[source], side).images[
        right.slider(tr("Which one"), 0, 29, 3, key="lesson_number")
    ]
    if image.shape[2] == channels:
        return image
    return np.repeat(image, 3, 2) if channels == 3 else image.mean(2, keepdims=True).astype(np.uint8)


def its_pictures(run: Run, model: Predictor) -> tuple[Dataset, np.ndarray] | None:
    """The data set of a run as its network wants it, and the positions of those that it was tested on, or of all if there
    are none; None where the set is not here."""
    wanted = model.passport.preprocess
    try:
        dataset = pickers.open_dataset(run.recipe.dataset, wanted.size, wanted.resize)
    except ValueError:
        return None
    return dataset, dataset.indices("test") if len(dataset.indices("test")) else dataset.kept


def of_a_run(run: Run, model: Predictor, key: str, first: int = 0) -> tuple[np.ndarray, int]:
    """A picture uint8 (S, S, C) that the run never learned from, chosen by a slider, and the number of its class; where
    that is not known, of what the network takes it for."""
    wanted, found = model.passport.preprocess, its_pictures(run, model)
    known = found is not None and found[0].classes == model.classes
    if found is None:
        st.caption(tr("Its data set is not on this machine; these are pictures of something else."))
        name = "shapes:count=60" if wanted.channels == 3 else "digits"
        dataset = pickers.open_dataset(name, wanted.size, wanted.resize)
        found = dataset, dataset.indices("test")
    dataset, pool = found
    last = min(99, len(pool) - 1)
    if st.session_state.get(f"{key}_number", 0) > last:  # of a run with more pictures
        st.session_state[f"{key}_number"] = last
    position = int(pool[st.slider(tr("Which one"), 0, last, min(first, last), key=f"{key}_number")])
    picture = dataset.images[position]
    if not known:
        return picture, int(model.recalled(picture[None])[0].argmax())
    label = int(dataset.labels[position])
    st.caption(tr("Its label is {classes}.", classes=parts.text(class_names(model.classes)[label])))
    return picture, label


def formula(left: str, *steps: str) -> None:
    """``left`` = the first step = the next …, a line for each, so that a phone shows them all. A percent sign would begin a
    comment, and a minus after a plus is one sign."""
    lines = r" \\[.4em] ".join(rf"{left if not number else ''} &= {step}" for number, step in enumerate(steps))
    st.latex(rf"\begin{{aligned}} {lines} \end{{aligned}}".replace("%", r"\,\%").replace("+ -", "- "))


def points(share: float) -> str:
    """A difference of shares as percentage points, for `formula`."""
    return rf"{100 * share:.1f}\ \text{{{tr('percentage points')}}}"


def own(side: int, channels: int, resize: str, key: str) -> np.ndarray:
    """A picture of the visitor's own, uint8 (side, side, channels); the page waits here until there is one."""
    file = transfers.upload_box(tr("A picture"), key, many=False)
    if file is None:
        st.info(tr("Choose a picture to go on."))
        st.stop()
    try:
        return fit(open_image(file.getvalue(), file.name), side, channels, resize)
    except ValueError as error:
        st.error(parts.text(error, 300))
        st.stop()


def shades(values: np.ndarray, signed: bool = False) -> np.ndarray:
    """Values (H, W) as a picture: 0..1 grey (H, W, 1), or signed (H, W, 3) with blue below and orange above zero."""
    if not signed:
        return (np.clip(values, 0, 1) * 255).astype(np.uint8)[..., None]
    share = (values / max(np.abs(values).max(), 1e-9))[..., None]
    below, above, white = np.array([0, 114, 178]), np.array([230, 159, 0]), np.array([255, 255, 255])
    mixed = np.where(share < 0, white + (below - white) * -share, white + (above - white) * share)
    return mixed.round().astype(np.uint8)


def framed(image: np.ndarray, row: int, column: int, height: int, width: int = 0, grow: int = 12) -> np.ndarray:
    """The picture enlarged, with a frame around ``height`` × ``width`` pixels at (row, column)."""
    width = width or height
    image = np.broadcast_to(image, (*image.shape[:2], 3)).repeat(grow, 0).repeat(grow, 1).copy()
    top, left, bottom, right = (max(0, grow * v) for v in (row, column, row + height, column + width))
    frame = image[top:bottom, left:right]
    for edge in (frame[:3], frame[-3:], frame[:, :3], frame[:, -3:]):
        edge[:] = (213, 94, 0)
    return image


def rows(rows: Iterable[Mapping[str, object]], digits: int = 3) -> None:
    """A few rows as a table whose words anybody can read, select and print, with headings in the reader's language.

    It is drawn at once; st.dataframe paints its own, for long ones, and tells screen readers a fifth of a second later.
    """
    head, written = "", ""
    for row in rows:
        head = head or "".join(_cell("th", tr(name), value) for name, value in row.items())
        cells = (_cell("td", _in_digits(value, digits), value) for value in row.values())
        written += f"<tr>{''.join(cells)}</tr>"
    style = "width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.875rem"
    st.html(f'<div style="overflow-x:auto"><table style="{style}"><tr>{head}</tr>{written}</table></div>')


def _in_digits(value: object, digits: int) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:z.{digits}f}"  # without the minus of -0.000
    return f"{value:,}" if isinstance(value, int) else str(value)


def _cell(tag: str, words: str, value: object) -> str:
    """A cell of a table; numbers end to the right, so that their digits stand below each other."""
    side = "left" if isinstance(value, str) and not FIGURE.fullmatch(value) else "right"
    look = (
        f"padding:.3rem .5rem;border:0;border-bottom:1px solid rgba(128,128,128,.3);font-weight:400;text-align:{side}"
    )
    return f'<{tag} style="{look}"><bdi>{escape(words)}</bdi></{tag}>'


def table(values: np.ndarray, digits: int = 2, white: float = 0.0) -> str:
    """Numbers as an HTML table, to be shown by st.html; cells as bright as the pixels they are, of which ``white`` is the
    brightest, or without that orange above zero and blue below."""
    most = max(float(np.abs(values).max()), 1e-9)
    rows = ""
    for row in values:
        cells = ""
        for value in row:
            if not white:
                colour = "230,159,0" if value > 0 else "0,114,178"
                look = f"background:rgba({colour},{0.75 * abs(value) / most:.2f})"
            else:
                grey = round(255 * min(max(float(value) / white, 0), 1))
                look = f"background:rgb({grey},{grey},{grey});color:{'#000' if grey > 115 else '#fff'}"
            cells += f'<td style="{look};padding:.25rem .45rem">{value:z.{digits}f}</td>'
        rows += f"<tr>{cells}</tr>"
    style = "border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem;text-align:center"
    kind = "bright" if white else "signed"
    return f'<div style="overflow-x:auto"><table class="{kind}" style="{style}">{rows}</table></div>'
