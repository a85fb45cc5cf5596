"""What the pages share: pickers, tiles of pictures, upload box, and names from strangers as plain text."""

from __future__ import annotations

import io
import itertools
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import streamlit as st
from streamlit import runtime

from imgrec import charts, data
from imgrec.data import sources
from imgrec.home import in_words
from imgrec.images import EXTENSIONS, Recalled, as_pillow, in_address, to_png
from imgrec.jobs import LIVE
from imgrec.language import current, follow, mark, plural, speaking, tr
from imgrec.run_table import rows
from imgrec.runs import Run, RunError, list_runs, open_run, usable_runs
from pages import scripts, tongue

PAGE: dict[str, st.Page] = {}  # address → page, filled by main.py
ICON = in_address((Path(__file__).parent / "icon.svg").read_bytes(), "svg+xml")
STATUS_COLOURS = {
    mark("new"): "blue", mark("waiting"): "blue", mark("training"): "blue", mark("paused"): "orange",
    mark("finished"): "green", mark("stopped"): "orange", mark("failed"): "red", mark("lost"): "red",
}  # fmt: skip
HEADINGS = (  # of tables, see `table`
    mark("name"), mark("class"), mark("classes"), mark("precision"), mark("recall"), mark("f1"), mark("support"),
    mark("train"), mark("validation"), mark("test"), mark("width"), mark("height"), mark("images"), mark("file"),
    mark("reason"), mark("layer"), mark("shape"), mark("parameters"), mark("when"), mark("what"), mark("network"),
    mark("year"), mark("weights"), mark("multiply-adds"), mark("pictures"), mark("accuracy"), mark("value"),
)  # fmt: skip
ARCHIVES = tuple(ending[1:] for ending in sources.ARCHIVES)
KEPT_ADDRESS, MOST_KEPT = 2**14, 1000  # characters of a picture's address up to which it is kept, and how many are
PHOTO = 2**19  # bytes beyond which a picture is sent as a JPEG
ON_THE_WAY = 1  # second in which a browser may still send the address from before the last change
MOST_ALIKE = 300  # newest runs that are looked through for those of the same classes
BUSY = mark("The network is being asked …")
_asked = itertools.count()  # downloads made on request
FETCHED_WITHIN = 120  # seconds in which a browser begins to fetch what it asked for
follow(tongue.spoken)


def text(name: object, most: int = 60) -> str:
    """A name from a stranger for Markdown: shown as it is, never as formatting, links, icons or formulas. What an error says
    in backticks, and addresses in it, are set as code, so that they can be copied."""
    line = " ".join((in_words(name) if isinstance(name, Exception) else str(name)).split())
    line = line if len(line) <= most else line[: most - 1] + "…"
    if isinstance(name, Exception):
        pieces = re.split(r"`([^`]+)`|(https?://[^\s`;,]+)", line)
        return "".join(
            f"`{piece}`" if number % 3 else _plain(piece) for number, piece in enumerate(pieces) if piece is not None
        )
    return _plain(line)


def _plain(line: str) -> str:
    line = re.sub(
        r"(://|www(?=\.)|@)", "\\1\u2060", line
    )  # an invisible joiner, or addresses become links all the same
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&@/])", r"\\\1", line)


def open_dataset(name: str, size: int = 0, resize: str = "crop", channels: int = 0) -> data.Dataset:
    """The data set as it is now, opened once for all visitors until somebody changes it."""
    asked = (name, size, resize, channels, data.stamps(name))
    with nullcontext() if asked in _opened_before else st.spinner(tr("Opening the data set …")):
        dataset = _opened(*asked)
    if len(_opened_before) > 1000:
        _opened_before.clear()
    _opened_before.add(asked)
    return dataset


_opened_before: set[tuple] = set()


@st.cache_resource(max_entries=6, show_spinner=False)
def _opened(name: str, size: int, resize: str, channels: int, stamps: tuple[int, ...]) -> data.Dataset:
    return data.open_dataset(name, size, resize, channels)


def address_box(label: str, names: Sequence[str], key: str, help: str) -> str:
    """A box whose choice is kept in the address as ?key=…, so that a link, a reload and the back button show the same."""
    asked, shown = st.query_params.get(key), f"{key} in the address"
    before, now = st.session_state.get(shown), st.session_state.get(key)
    wanted = (asked, now, before) if asked != before else (now, before)
    # set in any case: after a link the box would show its first, whatever was kept of it
    st.session_state[key] = next(name for name in (*wanted, *names) if name in names)
    chosen = st.selectbox(label, names, key=key, help=help, persist_state="session")
    st.query_params[key] = st.session_state[shown] = chosen
    return chosen


def is_new(what: str, asked: object) -> bool:
    """Whether the address asks for something that was not written there from here, and was not a moment ago either: what a
    browser sends may be from before the last change."""
    now, said = time.monotonic(), st.session_state.get(f"{what} in the address", [])
    return bool(said or asked) and not any(asked == old and now < until for old, until in said)


def written(what: str, now_there: object) -> None:
    """Remember what the address says now, and what it said a moment ago."""
    name, now = f"{what} in the address", time.monotonic()
    said = [
        (old, min(until, now + ON_THE_WAY))
        for old, until in st.session_state.get(name, [])
        if now < until and old != now_there
    ]
    st.session_state[name] = [*said, (now_there, math.inf)]


def address_choice(label: str, options: Sequence[str], key: str, name: str, first: str, **more) -> str:
    """Options side by side, beginning with ``first``; the chosen one is kept in the address as ?name=…"""
    asked = st.query_params.get(name)
    if asked in options and is_new(name, asked):
        st.session_state[key] = asked
    st.session_state.setdefault(key, first)
    chosen = st.segmented_control(label, options, required=True, key=key, format_func=tr, persist_state="session", **more)  # fmt: skip
    st.query_params[name] = chosen
    written(name, chosen)
    return chosen


def dataset_picker(help: str = "", labelled: bool = True, broken: Callable[[str], None] | None = None) -> data.Dataset:
    """A box to choose a data set, kept in the address as ?dataset=…; opens it, or says why not and stops the page.

    With ``labelled`` the page also stops at a set in which no picture has a label yet. ``broken`` draws what can be done
    about a stored set that cannot be opened.
    """
    ready = {row.name: row for row in data.list_datasets() if row.ready}
    asked = (st.query_params.get("dataset"), st.session_state.get("dataset"))  # perhaps shapes with options
    names = list(dict.fromkeys([*ready, *filter(None, asked)]))
    chosen = address_box(tr("Data set"), names, "dataset", help or tr("The pictures to look at."))
    if chosen.partition(":")[0] == "shapes":
        shapes_options()
    try:
        dataset = open_dataset(chosen)
    except ValueError as error:
        st.error(text(error, 400))
        if broken and any((row.name, row.kind) == (chosen, "imported") for row in data.list_datasets()):
            broken(chosen)
        st.stop()
    row = ready.get(chosen.partition(":")[0])
    st.caption(
        tr(
            "{title}: {kept}, {classes}; {unlabelled:,} more wait for a label"
            if len(dataset.unlabelled)
            else "{title}: {kept}, {classes}",
            title=text(tr(row.title)) if row else text(chosen),
            kept=pictures(len(dataset.kept)),
            classes=classes(len(dataset.classes)),
            unlabelled=len(dataset.unlabelled),
        )
    )
    if labelled and not len(dataset.kept):
        st.info(tr("None of its pictures has a label yet, so there is nothing to learn from."))
        link("label", "Give them labels", ":material/label:", dataset=chosen)
        st.stop()
    return dataset


def shapes_options() -> None:
    """How hard and how large the drawn shapes are; a change goes into the data set's name and so into the address."""
    from imgrec.data import shapes
    from imgrec.recipe import RecipeError, parse_options

    try:
        given = shapes.parse(parse_options(st.session_state["dataset"].partition(":")[2]))
    except RecipeError:
        given = {}

    def rename() -> None:
        st.session_state["dataset"] = shapes.name(
            **{**given, "size": st.session_state["shapes_size"], "difficulty": st.session_state["shapes_difficulty"]}
        )

    left, right = st.columns(2)
    difficulty = given.get("difficulty", shapes.OPTIONS["difficulty"].default)
    left.slider(
        tr("Difficulty"),
        0.0,
        1.0,
        difficulty,
        0.1,
        key="shapes_difficulty",
        on_change=rename,
        help=tr(shapes.OPTIONS["difficulty"].help),
    )
    sizes = sorted({32, 48, 64, 96, 128, given.get("size", 32)})
    right.select_slider(
        tr("Size in pixels"),
        sizes,
        given.get("size", 32),
        key="shapes_size",
        on_change=rename,
        help=tr(shapes.OPTIONS["size"].help),
    )


def run_picker(
    usable: bool = False, label: str = "", trained_on: str = "", first: str = "", only: bool = False, here: bool = False
) -> Run | None:
    """A box to choose a run, newest first, kept in the address as ?run=…; None when there is none.

    Those that learned from the data set ``trained_on`` come before the others, or ``only`` those come; of those that come
    with imgrec the ones whose pictures are ``here`` come first; the run named ``first`` comes before all.
    """
    runs = usable_runs() if usable else list_runs()
    if trained_on:
        learned = runs_of(trained_on)
        runs.sort(key=lambda run: run.name not in learned)
        if only:
            asked = st.query_params.get("run")
            if asked not in learned and any(run.name == asked for run in runs):
                del st.query_params["run"]  # of the data set that was chosen before
            runs = [run for run in runs if run.name in learned]
    if here:
        runs.sort(key=lambda run: run.bundled and not data.is_here(run.recipe.dataset))
    runs.sort(key=lambda run: run.name != first)
    names = [run.name for run in runs]
    if not names:
        return None
    if st.query_params.get("run", names[0]) not in names:
        st.warning(
            tr("There is no run named {run} to show here; this is another one.", run=text(st.query_params["run"]))
        )
    return open_run(address_box(label or tr("Run"), names, "run", tr("Each training is kept as a run.")))


def model_picker(label: str = "", first: str = "", here: bool = False):
    """The box of `run_picker` for runs that can classify: the run and its Predictor; the page ends here without one."""
    run = run_picker(usable=True, label=label or tr("Model"), first=first, here=here)
    if run is None:
        st.info(tr("No trained model yet. Train one first; the digits take well under a minute."))
        link("train", "Train a network", ":material/arrow_forward:", dataset="digits")
        st.stop()
    try:
        run.recipe  # noqa: B018  unreadable: said here, once
    except RunError as error:
        st.error(text(error, 400))
        st.stop()
    return run, network(run.name) or st.stop()


def network(names: str):
    """The network of a run, or of several with commas between; None once it was said why it cannot be opened."""
    from imgrec.predict import open_network  # brings torch in, which other pages do without

    try:
        return open_network(names)
    except (ValueError, OSError) as error:
        st.error(text(error, 400))
        return None


def alike(run: Run, model) -> list[tuple[str, dict]]:
    """The other runs, among the newest, that tell the same classes apart: name and passport."""
    found = []
    for other in usable_runs()[:MOST_ALIKE]:
        with suppress(OSError):  # deleted just now
            given = _passport(other, os.stat(other.path).st_mtime_ns)
            if other != run and sorted(given.get("classes", [])) == sorted(model.classes):
                found.append((other.name, given))
    return found


@lru_cache(2 * MOST_ALIKE)
def _passport(run: Run, changed: int) -> dict:
    """What a run says of its classes; ``changed`` is when its folder did."""
    return run.read("classes.json")


def runs_of(dataset: str) -> set[str]:
    """The names of all runs that learned from the data set of that name, whatever its options."""
    return {row["run"] for row in rows() if str(row.get("dataset")).partition(":")[0] == dataset.partition(":")[0]}


def status_badge(run: Run) -> str:
    """The run's one-word status as coloured Markdown."""
    status = run.status
    return f":{STATUS_COLOURS[status]}-badge[{tr(status)}]"


def live(run: Run) -> bool:
    return run.status in LIVE


@lru_cache
def made(table: tuple[tuple[str, ...], ...], language: str) -> list[st.Page]:
    """The pages of main.py's table in a language. Making one looks its file up, for all an eighth of the time of a click."""
    with speaking(language):
        return [
            st.Page(file, title=tr(title), icon=icon, url_path=address, default=not address)
            for file, title, address, icon, _ in table
        ]


@contextmanager
def refusals() -> Iterator[None]:
    """Say in a sentence why what stands within cannot be done, instead of an error page; the rest of it is left out."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        st.error(text(error, 500))


def link(address: str, label: str, icon: str | None = None, **query: str) -> None:
    """A link to another page; does nothing where pages stand alone, as in a test of one page."""
    if address in PAGE:
        st.page_link(PAGE[address], label=tr(label), icon=icon, query_params=query or None)


def download(
    label: str,
    content: bytes | str | Callable[[], bytes | str],
    file: str,
    mime: str = "application/octet-stream",
    **more,
) -> None:
    """A button that saves a file and draws nothing anew. What makes the content, if it is a function, is called when it
    is asked for, outside of any page, in the language that is spoken now."""
    st.download_button(
        label, _made(content, file, mime) if callable(content) else content, file, mime, on_click="ignore",
        **{"icon": ":material/download:", **more},
    )  # fmt: skip


def _made(make: Callable[[], bytes | str], file: str, mime: str) -> Callable[[], bytes]:
    """The content, and a claim to it until the browser has fetched it: for what is made on request Streamlit knows no
    owner, so it is gone once two scripts have ended, anybody's."""
    language = current()

    def made() -> bytes:
        with speaking(language):
            content = make()
        content = content.encode() if isinstance(content, str) else content
        files, place = runtime.get_instance().media_file_mgr, f"download {next(_asked)}"
        files.add(content, mime, place, file, is_for_static_download=True)
        later = threading.Timer(FETCHED_WITHIN, files.add, (b"", mime, place, file), {"is_for_static_download": True})
        later.daemon = True
        later.start()  # nothing takes its place
        return content

    return made


def go_to(address: str, **query: str) -> None:
    if address in PAGE:
        st.switch_page(PAGE[address], query_params=query or None)


def table(rows: Iterable[Mapping], **more):
    """Rows as a table with headings in the reader's language."""
    return grid(({tr(heading): value for heading, value in row.items()} for row in rows), **more)


def grid(rows: Iterable[Mapping[str, object]], **more):
    """Rows as a table, with their keys as headings.

    Left to itself, st.dataframe takes ten times as long, by way of pandas; so it goes still with what Arrow cannot hold,
    such as numbers and words in one column.
    """
    told = list(rows)
    with suppress(ValueError, TypeError, OverflowError):
        told = pa.table(
            {name: [row.get(name) for row in told] for name in dict.fromkeys(k for row in told for k in row)}
        )
    return st.dataframe(told, hide_index=True, **more)


def chart(figure: charts.Figure, key: str, alt: str, select: bool = False):
    """A Plotly figure without the tool bar, with a text for those who cannot see it; with ``select`` its points can be
    clicked, and it gives those that are. Who has asked for tables gets its numbers as one, too."""
    config, more = {"displayModeBar": False, "responsive": True}, {}
    if (factor := st.session_state.get("larger", 1.0)) != 1:
        figure = figure.larger(factor)
    if select:
        more = {"on_select": "rerun", "selection_mode": "points"}
    chosen = st.plotly_chart(figure, key=key, config=config, alt=alt, **more)
    if st.session_state.get("tables"):
        st.caption(text(alt, 300))
        grid(figure.table())
    return chosen


def likeliest(classes: Sequence[str], probabilities: np.ndarray, most: int = 5, ranked: bool = True) -> None:
    """Bars of the likeliest classes of a softmax (C,), the likeliest on top, or where they are not ``ranked`` in their
    order, so that none changes its place while a number moves."""
    order, names = np.argsort(-probabilities, kind="stable")[:most], data.class_names(classes)
    order = order if ranked else np.sort(order)
    st.html(charts.probability_bars([{"name": names[i], "probability": float(probabilities[i])} for i in order]))


@dataclass(frozen=True)
class Tile:
    """A picture uint8 (H, W, C) in a grid, enlarged to about ``side`` pixels, with a caption, a longer text for the pointer
    and for screen readers, and what a click does to it, in words; ``name`` tells it from others where they may change."""

    picture: np.ndarray
    caption: str = ""
    title: str = ""
    marked: bool = False
    side: int = 0
    action: str = ""
    name: str = ""


def tiles(items: Sequence[Tile], key: str, size: int = 76, clickable: bool = True, columns: int = 0) -> int | None:
    """A grid of pictures at least ``size`` px wide that fits any screen, or scrolls sideways if it has a number of columns.

    Returns which one was just clicked, by mouse, finger or Enter key; None if it is not among them any more.
    """
    names = [item.name or str(number) for number, item in enumerate(items)]
    content = [
        {
            "name": name,
            "src": data_url(item.picture, item.side),
            "caption": item.caption,
            "title": item.title or item.caption,
            "marked": item.marked,
            "action": item.action,
        }
        for item, name in zip(items, names, strict=True)
    ]
    result = _tiles(
        key=key,
        data={"tiles": content, "size": size, "clickable": clickable, "columns": columns},
        on_clicked_change=lambda: None,
        height="content",
    )
    return names.index(result.clicked) if clickable and result.clicked in names else None


def metrics(*rows: tuple[str, str, str | None]) -> None:
    """Numbers side by side, as many in a row as fit: (label, value, help)."""
    with st.container(horizontal=True, gap="medium"):
        for label, value, help in rows:
            st.metric(label, value, help=help, width="content")


def floors(evaluation: dict) -> list[tuple[str, str, str]]:
    """Rows for `metrics`: what an accuracy must be compared with."""
    rows = [
        (
            tr("Always the commonest class"),
            evaluation["majority_accuracy"],
            tr("What guessing reaches without looking."),
        )
    ]
    if evaluation.get("linear_accuracy"):
        rows.append(
            (tr("A linear classifier"), evaluation["linear_accuracy"], tr("What a weighted sum of the pixels reaches."))
        )
    return [(label, f"{value:.1%}", help) for label, value, help in rows]


def image(picture: np.ndarray, alt: str, width: int | str = "stretch", side: int = 0, at=st) -> None:
    """A picture uint8 (H, W, C) as wide as asked, its pixels repeated until there are about ``side``, or ``width``, of them.

    Every pixel keeps its value: an array that st.image is given becomes a JPEG, in which colours run into each other.
    Only for large photos that is good enough.
    """
    side = side or (width if isinstance(width, int) else 0)
    at.image(picture if picture.nbytes > PHOTO else data_url(picture, side), width=width, alt=alt)


def data_url(picture: np.ndarray, side: int = 0) -> str:
    """A picture uint8 (H, W, C), enlarged to about ``side`` pixels, as a PNG inside an address; kept, for most pictures of a
    page are the same after the next click."""
    return _addresses.of(picture, lambda: in_address(to_png(enlarge(picture, side))), side)


_addresses = Recalled(MOST_KEPT, worth=lambda address: len(address) <= KEPT_ADDRESS)


def thumbnail_url(picture: np.ndarray, most: int = 96) -> str:
    """A picture uint8 (H, W, C) inside an address, exactly, or at most about ``most`` pixels wide if it is larger."""
    if max(picture.shape[:2]) <= most:
        return data_url(picture)
    image = as_pillow(picture)
    file = io.BytesIO()
    image.reduce(-(-max(image.size) // most)).save(file, "JPEG", quality=85)
    return in_address(file.getvalue(), "jpeg")


def enlarge(picture: np.ndarray, side: int = 256) -> np.ndarray:
    """Repeat pixels until the picture is about ``side`` wide, so that browsers do not blur it."""
    grow = max(1, side // picture.shape[0])
    return picture.repeat(grow, 0).repeat(grow, 1)


def upload_box(label: str, key: str, many: bool = True):
    """Pictures from files; a list, empty when nothing was chosen."""
    return st.file_uploader(label, EXTENSIONS, accept_multiple_files=many, key=key, max_upload_size=upload_mb(20))


def upload_mb(most: int = 0) -> int:
    """MB of a file that a browser may send here: what the server takes, or less. Bigger archives come by a folder of the
    server or the command line."""
    taken = int(st.get_option("server.maxUploadSize"))
    return min(most, taken) if most else taken


def server_roots() -> list[Path]:
    """The folders of the server that visitors may read: IMGREC_SERVER_FOLDERS, several with a : between."""
    return [Path(root).resolve() for root in os.environ.get("IMGREC_SERVER_FOLDERS", "").split(os.pathsep) if root]


def opened(path: Path, *more: Path) -> bool:
    """Whether a path lies where visitors may read: in one of the `server_roots`, or of ``more`` folders."""
    return any(path.resolve().is_relative_to(root.resolve()) for root in (*server_roots(), *more))


def server_path(label: str, key: str) -> Path | None:
    """The box for a path on the server, which gives it, or None where nothing is there that visitors may read."""
    typed = st.text_input(label, str(server_roots()[0]), key=key)
    with suppress(OSError, RuntimeError, ValueError):  # too long, of nobody (~who), with a null in it
        path = Path(typed).expanduser().resolve()
        if opened(path) and path.exists():
            return path
    return None


def percent_of(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "0%"


def pictures(count: int) -> str:
    """So many pictures, in words."""
    return plural("{n:,} picture", "{n:,} pictures", count)


def classes(count: int) -> str:
    """So many classes, in words."""
    return plural("{n:,} class", "{n:,} classes", count)


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return "…"
    if seconds < 90:
        return tr("{seconds:.0f} s", seconds=seconds)
    return (
        tr("{seconds:.0f} min", seconds=seconds / 60) if seconds < 5400 else tr("{hours:.1f} h", hours=seconds / 3600)
    )


_tiles = st.components.v2.component(
    "imgrec_tiles",
    html="<div class='grid'></div>",
    css=scripts.read("tile.css"),
    js=scripts.read("tile.js", "tiles.js"),
)
